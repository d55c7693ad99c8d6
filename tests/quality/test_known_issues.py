"""A known error of a source is corrected while it lasts, shown always, and expires by itself."""

import dataclasses

import duckdb
import polars as pl
import pytest

from btg import warehouse
from btg.catalogue.loader import Catalogue, check_catalogue
from btg.catalogue.schema import Correction
from btg.errors import CatalogueError
from btg.settings import load_settings

SQL = load_settings({}).sql_dir
CELL = {"table": "47018NED", "measure": "vernieling", "region": "GM0441", "period": "2014JJ00",
        "reason": "seven hundred cases of one night", "reported": "not reported"}  # fmt: skip


def correction(**fields: object) -> Correction:
    return Correction.model_validate({**CELL, "action": "keep", "expect": 711.0, **fields})


def outcome(catalogue: Catalogue, entry: Correction, now: float) -> tuple[list[float], bool]:
    """Return the staged figures of the cell, and whether the issue is current."""
    con = warehouse.open_build()
    warehouse.declare_codes(con, warehouse.catalogue_codes(catalogue))
    with_entry = dataclasses.replace(catalogue, corrections=(entry,))
    base = pl.read_csv(catalogue.directory / "baseline" / "2026.1.csv")
    warehouse.load_catalogue_tables(con, with_entry, base, 2025)
    cell = {"source_id": "politie", "table_id": "47018NED", "measure_id": "vernieling",
            "region_key": "GM0441    ", "period_key": "2014JJ00", "value": now, "year": 2014,
            "snapshot_id": "s"}  # fmt: skip
    period = {"table_id": "47018NED", "measure_id": "vernieling", "period_key": "2014JJ00",
              "publication_status": "definitief"}  # fmt: skip
    warehouse.load(con, "raw.cell", pl.DataFrame([cell]))
    warehouse.load(con, "raw.period", pl.DataFrame([period]))
    staged = con.execute((SQL / "10_staging" / "staging.observation.sql").read_text()).fetchall()
    names = [d[0] for d in con.description or []]
    values = [row[names.index("value")] for row in staged]
    issue = warehouse.frame(con, (SQL / "30_marts" / "meta.known_issue.sql").read_text())
    con.close()
    assert issue.get_column("value_now").to_list() == [now]
    return values, bool(issue.get_column("is_current")[0])


@pytest.mark.parametrize(
    ("fields", "staged"),
    [
        ({"action": "keep"}, [711.0]),
        ({"action": "drop"}, []),
        ({"action": "set", "value": 271.0}, [271.0]),
    ],
)
def test_the_action_is_applied_between_raw_and_staging(
    catalogue: Catalogue, fields: dict[str, object], staged: list[float]
) -> None:
    assert outcome(catalogue, correction(**fields), 711.0) == (staged, True)


@pytest.mark.parametrize("fields", [{"action": "drop"}, {"action": "set", "value": 271.0}])
def test_the_action_rests_when_the_provider_has_another_value(
    catalogue: Catalogue, fields: dict[str, object]
) -> None:
    assert outcome(catalogue, correction(**fields), 275.0) == ([275.0], False)


@pytest.mark.parametrize(
    "fields", [{"table": "nothing"}, {"measure": "nothing"}, {"region": "GM9999"}]
)
def test_an_entry_for_a_cell_that_cannot_be_is_refused(
    catalogue: Catalogue, fields: dict[str, object]
) -> None:
    wrong = dataclasses.replace(catalogue, corrections=(correction(**fields),))
    with pytest.raises(CatalogueError, match=r"corrections\.yml"):
        check_catalogue(wrong)


def test_set_needs_a_value_and_only_set_has_one() -> None:
    for fields in ({"action": "set"}, {"action": "keep", "value": 1.0}):
        with pytest.raises(ValueError, match="give value"):
            correction(**fields)


def test_every_entry_of_the_catalogue_is_shown_and_current(
    writable: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> None:
    shown = writable.execute("select count(*), bool_and(is_current) from meta.known_issue")
    assert shown.fetchall() == [(len(catalogue.corrections), True)]


def test_lineage_goes_from_mart_to_staging_to_topic(writable: duckdb.DuckDBPyConnection) -> None:
    rows = writable.execute(
        "select hop, reads_from from meta.lineage where table_name = 'marts.btg_index' "
        "and column_name = 'score'"
    ).fetchall()
    assert ("staging", "staging.observation.value") in rows
    assert ("direct", "intermediate.index_candidate.score") in rows
    topics = writable.execute(
        "select reads_from from meta.lineage where hop = 'source' "
        "and table_name = 'staging.observation' and column_name = 'value'"
    ).fetchall()
    assert ("politie:47018NED:Geregistreerde misdrijven / SoortMisdrijf 1.1.1",) in topics


def test_every_column_of_the_index_has_a_lineage_or_is_a_constant(
    writable: duckdb.DuckDBPyConnection,
) -> None:
    without = writable.execute(
        "select table_name || '.' || column_name from meta.data_dictionary "
        "where table_name in ('marts.btg_index', 'marts.dimension_score', "
        "'marts.indicator_score', 'marts.change_since_2019', 'marts.change_contribution') "
        "and (table_name, column_name) not in "
        "(select (table_name, column_name) from meta.lineage) order by all"
    ).fetchall()
    assert [name for (name,) in without] == ["marts.change_since_2019.level"]
