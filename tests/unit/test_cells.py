"""The cells of a table: what the catalogue names, codes untouched, missing stays missing."""

from typing import Any

import polars as pl
import pytest
from tests.support.tables import catalogue_table

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.cells import CELL_SCHEMA, cells, period_year
from btg.errors import ContractError
from btg.sources.protocol import DATA_ENTITY

COLUMNS = {"bevolking": "Totaal_1", "inkomen": "Inkomen_2", "vermogen": "Vermogen_3"}


def entities(**columns: list[Any]) -> dict[str, pl.DataFrame]:
    rows: dict[str, list[Any]] = {
        "RegioS": ["GM0153", "GM0141"],
        "Perioden": ["2019JJ00", "2019JJ00"],
        "Totaal_1": [158986, 73000],
        "Inkomen_2": [24.5, None],
        "Vermogen_3": [10, 20],
    }
    return {DATA_ENTITY: pl.DataFrame({**rows, **columns})}


def test_one_row_per_measure_region_and_period() -> None:
    frame = cells(catalogue_table(), entities(), COLUMNS)
    assert dict(frame.schema) == CELL_SCHEMA
    assert frame.height == 6
    assert frame.filter(pl.col("measure_id") == "bevolking")["value"].to_list() == [73000, 158986]


def test_a_missing_figure_is_a_null_row_and_never_zero() -> None:
    frame = cells(catalogue_table(), entities(), COLUMNS)
    gap = frame.filter((pl.col("measure_id") == "inkomen") & (pl.col("region_key") == "GM0141"))
    assert gap["value"].to_list() == [None]
    assert 0.0 not in frame["value"].to_list()


def test_codes_stay_as_received() -> None:
    frame = cells(catalogue_table(), entities(RegioS=["GM0153    ", "GM0141    "]), COLUMNS)
    assert set(frame["region_key"].to_list()) == {"GM0153    ", "GM0141    "}


def test_the_order_of_the_rows_of_a_delivery_does_not_matter() -> None:
    given = entities()
    turned = {DATA_ENTITY: given[DATA_ENTITY].reverse()}
    table = catalogue_table()
    assert cells(table, given, COLUMNS).equals(cells(table, turned, COLUMNS))


def test_only_the_item_that_a_measure_selects_is_taken_whatever_its_padding() -> None:
    table = catalogue_table(
        measures={"bevolking": ["Bevolking"]}, selection={"Geslacht": ["T001038"]}
    )
    given = entities(Geslacht=["T001038   ", "3000   "])
    frame = cells(table, given, COLUMNS)
    assert frame["region_key"].to_list() == ["GM0153"]


def test_a_measure_may_select_among_several_items() -> None:
    table = catalogue_table(
        measures={},
        selection={"Soort": ["1.1.1", "1.4.5"]},
    )
    measures = [
        {"id": "inbraak", "path": ["x"], "unit": "aantal", "merge": "sum"},
        {"id": "geweld", "path": ["x"], "unit": "aantal", "merge": "sum"},
    ]
    measures = [
        m | {"select": {"Soort": s}} for m, s in zip(measures, ("1.1.1", "1.4.5"), strict=True)
    ]
    table = Table.model_validate(table.model_dump() | {"measures": measures})
    given = entities(Soort=["1.1.1 ", "1.4.5 "])
    frame = cells(table, given, {"inbraak": "Totaal_1", "geweld": "Totaal_1"})
    assert frame.select("measure_id", "region_key").rows() == [
        ("geweld", "GM0141"),
        ("inbraak", "GM0153"),
    ]


def test_a_table_without_periods_is_of_its_one_year() -> None:
    table = catalogue_table(time_dimension=None, only_year=2020)
    frame = cells(table, entities(), COLUMNS)
    assert set(frame["period_key"].to_list()) == {"2020"}
    assert period_year(table, "2020") == 2020


def test_a_period_is_a_whole_year() -> None:
    assert period_year(catalogue_table(), "2019JJ00") == 2019
    assert period_year(catalogue_table(), " 2019JJ00 ") == 2019


@pytest.mark.parametrize(
    "period", ["2019KW01", "2019MM12", "2019", "2019JJ01", "20190JJ00", "2015G400", "", "JJ00"]
)
def test_any_other_period_is_an_error_that_names_table_and_period(period: str) -> None:
    with pytest.raises(ContractError, match=rf"99001ned: period '{period}' does not parse") as e:
        period_year(catalogue_table(), period)
    assert e.value.rule == "period"


def test_another_year_than_the_one_of_a_table_is_an_error() -> None:
    table = catalogue_table(time_dimension=None, only_year=2020)
    with pytest.raises(ContractError, match="period '2021'"):
        period_year(table, "2021")


def test_elections_of_another_kind_are_known_and_left_out(catalogue: Catalogue) -> None:
    table = catalogue.table("verkiezingen")
    assert period_year(table, "TK2021") == 2021
    for other in ("GR2018", "PS2019", "EP2019", "WS2019"):
        assert period_year(table, other) is None


@pytest.mark.parametrize("period", ["TK21", "XX2021", "TK2021-2", "2021"])
def test_an_unknown_kind_of_election_is_an_error(catalogue: Catalogue, period: str) -> None:
    with pytest.raises(ContractError, match=rf"verkiezingen: period '{period}' does not parse"):
        period_year(catalogue.table("verkiezingen"), period)
