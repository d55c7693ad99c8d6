"""The CBS source against the loopback service: what a sound table is turned into."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from tests.support import mutations as m
from tests.support.odata_server import Fault, ODataServer, Request
from tests.support.store import (
    REGIONS,
    TWENTE,
    DimensionSpec,
    Store,
    TopicSpec,
    figure,
    load_snapshots,
    small_table,
)
from tests.support.tables import (
    INCOME,
    POPULATION,
    WEALTH,
    catalogue_table,
    quick_settings,
)

from btg.errors import ContractError, SourceAnswerError
from btg.sources.cbs import CbsSource
from btg.sources.protocol import Delivery
from btg.sources.transport import Limits

TABLE = "99001ned"
CRIME = "99047NED"
CRIMES = DimensionSpec({"0.0.0": "Totaal", "1.1.1": "Diefstal uit woning"}, width=6)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ODataServer]:
    with ODataServer(small_table(TABLE)) as running:
        yield running


def source_of(server: ODataServer, **fields: Any) -> CbsSource:
    return CbsSource(server.url, quick_settings(**fields), sleep=lambda _: None)


def fetch(server: ODataServer, **fields: Any) -> Delivery:
    with source_of(server) as source:
        return source.fetch(catalogue_table(**fields))


def crime_table(width: int = 6) -> Store:
    return small_table(
        CRIME,
        topics=[TopicSpec(("Geregistreerde misdrijven",), datatype="Long")],
        dimensions={"SoortMisdrijf": DimensionSpec(CRIMES.items, width)},
        geo="WijkenEnBuurten",
        width=10,
    )


def crime_entry(**fields: Any) -> Any:
    values: dict[str, Any] = {
        "geo_dimension": "WijkenEnBuurten",
        "selection": {"SoortMisdrijf": ["1.1.1"]},
        "measures": {"inbraak": ["Geregistreerde misdrijven"]},
        **fields,
    }
    return catalogue_table(CRIME, **values)


# ---- the figures


def test_three_pages_arrive_as_one_typed_frame(server: ODataServer) -> None:
    server.page_size = 35
    delivery = fetch(server)
    figures = delivery.entities["TypedDataSet"]
    assert figures.shape == (len(REGIONS) * 5, 5)
    assert figures.schema == {
        "RegioS": pl.String,
        "Perioden": pl.String,
        "TotaleBevolking_1": pl.Float64,
        "AlleHuishoudens_2": pl.Float64,
        "AlleHuishoudens_3": pl.Int64,
    }
    assert delivery.columns == {
        "bevolking": "TotaleBevolking_1",
        "inkomen": "AlleHuishoudens_2",
        "vermogen": "AlleHuishoudens_3",
    }
    cell = figures.filter(pl.col("RegioS") == "GM0153", pl.col("Perioden") == "2019JJ00")
    assert cell["AlleHuishoudens_3"].to_list() == [int(figure("GM0153", "2019", 2, 0))]
    assert [r.page for r in server.requests if r.entity == "TypedDataSet"] == [1, 2, 3]
    assert delivery.notes == ()


def test_padding_of_the_codes_is_kept() -> None:
    with ODataServer(small_table(TABLE, width=9)) as server:
        regions = fetch(server).entities["TypedDataSet"]["RegioS"].unique()
    assert set(regions) == {code.ljust(9) for code in REGIONS}


def test_gaps_stay_null_and_zero_stays_zero() -> None:
    def gappy(region: str, period: str, topic: int, item: int) -> float | None:
        return {"GM0183": None, "GM0147": 0.0}.get(region, figure(region, period, topic, item))

    with ODataServer(small_table(TABLE, figure_of=gappy)) as server:
        figures = fetch(server).entities["TypedDataSet"]
    code = pl.col("RegioS").str.strip_chars()
    assert figures.filter(code == "GM0183")["TotaleBevolking_1"].null_count() == 5
    assert figures.filter(code == "GM0147")["AlleHuishoudens_3"].to_list() == [0] * 5


def test_only_what_is_needed_is_asked_for(server: ODataServer) -> None:
    delivery = fetch(server, measures={"vermogen": WEALTH}, region_levels=["gemeente", "land"])
    request = next(r for r in server.requests if r.entity == "TypedDataSet")
    assert request.query["$select"] == "RegioS,Perioden,AlleHuishoudens_3"
    assert request.query["$filter"] == "(startswith(RegioS,'GM') or startswith(RegioS,'NL'))"
    assert delivery.request == {
        "url": server.url,
        "table": TABLE,
        "select": ["RegioS", "Perioden", "AlleHuishoudens_3"],
        "filter": request.query["$filter"],
    }
    regions = delivery.entities["TypedDataSet"]["RegioS"].str.strip_chars().unique()
    assert set(regions) == {*TWENTE, "NL01"}


def test_an_item_is_asked_for_by_its_padded_key() -> None:
    with ODataServer(crime_table()) as server, source_of(server) as source:
        delivery = source.fetch(crime_entry())
        request = next(r for r in server.requests if r.entity == "TypedDataSet")
    assert request.query["$filter"].endswith(" and (SoortMisdrijf eq '1.1.1 ')")
    assert delivery.entities["TypedDataSet"]["SoortMisdrijf"].unique().to_list() == ["1.1.1 "]
    assert delivery.entities["TypedDataSet"]["GeregistreerdeMisdrijven_1"].dtype == pl.Int64


def test_no_region_level_asks_for_every_region(server: ODataServer) -> None:
    delivery = fetch(server, region_levels=[])
    assert delivery.request["filter"] is None
    assert delivery.entities["TypedDataSet"].height == 85


def test_a_table_of_one_year_has_no_time_dimension() -> None:
    store = small_table(TABLE, time=None, geo="WijkenEnBuurten", width=10)
    with ODataServer(store) as server:
        delivery = fetch(server, time_dimension=None, geo_dimension="WijkenEnBuurten")
    assert delivery.entities["TypedDataSet"].columns[0] == "WijkenEnBuurten"
    assert delivery.entities["TypedDataSet"].height == 17


def test_a_text_topic_is_a_text_column() -> None:
    topics = [TopicSpec(("Indeling", "Code"), datatype="String")]
    with ODataServer(small_table(TABLE, topics=topics)) as server:
        figures = fetch(server, measures={"code": ["Indeling", "Code"]}).entities["TypedDataSet"]
    assert figures["Code_1"].dtype == pl.String
    assert figures["Code_1"][0] == "NL01".ljust(10)


def test_metadata_comes_whole_and_typed(server: ODataServer) -> None:
    entities = fetch(server).entities
    assert sorted(entities) == [
        "CategoryGroups",
        "DataProperties",
        "Perioden",
        "RegioS",
        "TableInfos",
        "TypedDataSet",
    ]
    assert entities["CategoryGroups"].shape == (0, 0)
    assert entities["Perioden"]["Status"].to_list() == ["Definitief"] * 4 + ["Voorlopig"]
    properties = entities["DataProperties"]
    assert properties["ID"].dtype == pl.Int64
    assert properties["ParentID"].dtype == pl.Int64
    assert properties["ReleasePolicy"].dtype == pl.Boolean
    assert properties.filter(pl.col("Key") == "AlleHuishoudens_2")["Unit"].item() == "1 000 euro"


def test_title_and_modified_come_from_table_infos(server: ODataServer) -> None:
    delivery = fetch(server)
    assert delivery.table_id == TABLE
    assert delivery.title == "Kerncijfers van een kleine regio"
    assert delivery.modified == "2026-02-17T02:00:00"


def test_two_fetches_of_one_state_are_equal(server: ODataServer) -> None:
    first, second = fetch(server), fetch(server)
    assert first.entities.keys() == second.entities.keys()
    assert all(first.entities[name].equals(second.entities[name]) for name in first.entities)


def test_snapshots_in_parquet_can_be_served_again(server: ODataServer, tmp_path: Any) -> None:
    first = fetch(server)
    snapshot = tmp_path / "cbs" / TABLE / "20260217T020000_abc"
    snapshot.mkdir(parents=True)
    for name, frame in first.entities.items():
        frame.write_parquet(snapshot / f"{name}.parquet")
    (snapshot.parent / "ACCEPTED").write_text(snapshot.name)
    with ODataServer(load_snapshots(tmp_path)) as again:
        second = fetch(again)
    assert all(first.entities[name].equals(second.entities[name]) for name in first.entities)


# ---- what moves at the source without harm


def test_moved_suffixes_are_found_by_title_path(server: ODataServer) -> None:
    server.store = m.shift_suffixes(server.store, TABLE)
    assert fetch(server).columns["vermogen"] == "AlleHuishoudens_10"


def test_another_padding_is_read_from_the_dimension() -> None:
    with ODataServer(crime_table()) as server, source_of(server) as source:
        before = source.fetch(crime_entry())
        server.store = m.change_padding(server.store, CRIME, "SoortMisdrijf", 12)
        server.store = m.change_padding(server.store, CRIME, "WijkenEnBuurten", 8)
        after = source.fetch(crime_entry())
    assert after.entities["TypedDataSet"].height == before.entities["TypedDataSet"].height
    assert after.request["filter"].endswith("eq '1.1.1       ')")


def test_case_and_spaces_in_titles_do_not_matter(server: ODataServer) -> None:
    path = ["BEVOLKING ", "Bevolkingssamenstelling  op 1\u00a0januari", "totale bevolking"]
    assert fetch(server, measures={"bev": path}).columns == {"bev": "TotaleBevolking_1"}


def test_the_case_of_the_table_id_does_not_matter(server: ODataServer) -> None:
    with source_of(server) as source:
        assert source.fetch(catalogue_table(TABLE.upper())).entities["TypedDataSet"].height == 85


def test_a_new_region_and_a_new_period_come_along(server: ODataServer) -> None:
    server.store = m.add_region(server.store, TABLE, "GM1999")
    server.store = m.add_period(server.store, TABLE, "2024JJ00", "2023JJ00", "Voorlopig")
    figures = fetch(server).entities["TypedDataSet"]
    assert figures.height == 18 * 6
    assert "GM1999" in set(figures["RegioS"].str.strip_chars())


def test_columns_nobody_asked_for_are_left_out_and_noted(server: ODataServer) -> None:
    with server.fault(Fault("unknown_keys", entity="TypedDataSet")):
        delivery = fetch(server)
    assert "Onbekend_99" not in delivery.entities["TypedDataSet"].columns
    assert delivery.notes == (
        "1 columns that were not asked for were left out, such as Onbekend_99",
    )


def test_an_ignored_selection_does_no_harm(server: ODataServer) -> None:
    with server.fault(Fault("select_ignored")):
        delivery = fetch(server, measures={"vermogen": WEALTH})
    assert delivery.entities["TypedDataSet"].columns == ["RegioS", "Perioden", "AlleHuishoudens_3"]


# ---- what the catalogue and the table do not agree on


@pytest.mark.parametrize(
    ("change", "rule", "says"),
    [
        (
            lambda s: m.rename_topic(s, TABLE, POPULATION, "Inwoners"),
            "topic_missing",
            "Bevolkingssamenstelling op 1 januari / Inwoners",
        ),
        (
            lambda s: m.rename_group(s, TABLE, "Vermogen", "Bezit"),
            "topic_missing",
            "Inkomen / Bezit / Alle huishoudens",
        ),
        (
            lambda s: m.list_topic_twice(s, TABLE, WEALTH),
            "topic_ambiguous",
            "found 2: AlleHuishoudens_3, AlleHuishoudens_1",
        ),
        (lambda s: m.add_dimension(s, TABLE, "Geslacht"), "dimension_unexpected", "Geslacht"),
        (
            lambda s: m.change_datatype(s, TABLE, INCOME, "Tekst"),
            "datatype_unknown",
            "AlleHuishoudens_2: expected one of Double",
        ),
    ],
)
def test_a_redesigned_table_is_a_broken_contract(
    server: ODataServer, change: Callable[[Store], Store], rule: str, says: str
) -> None:
    server.store = change(server.store)
    with pytest.raises(ContractError, match=TABLE) as caught:
        fetch(server)
    assert caught.value.rule == rule
    assert says in str(caught.value)


def test_a_missing_dimension_is_a_broken_contract(server: ODataServer) -> None:
    with pytest.raises(ContractError, match="found RegioS, Perioden") as caught:
        fetch(server, geo_dimension="Gemeenten")
    assert caught.value.rule == "dimension_missing"


def test_an_unknown_item_is_a_broken_contract() -> None:
    with ODataServer(crime_table()) as server, source_of(server) as source:
        server.store = m.remove_item(server.store, CRIME, "SoortMisdrijf", "1.1.1")
        with pytest.raises(ContractError, match=r"SoortMisdrijf: expected one item '1.1.1'") as got:
            source.fetch(crime_entry())
    assert got.value.rule == "item_missing"


def test_figures_of_another_kind_than_declared_are_refused(server: ODataServer) -> None:
    server.store = m.set_value(server.store, TABLE, WEALTH, "GM0153", "2021JJ00", 12.5)
    says = "AlleHuishoudens_3, cell GM0153, 2021JJ00: expected a whole number, found 12.5"
    with pytest.raises(SourceAnswerError, match=says):
        fetch(server)


def test_whole_floats_are_accepted_as_whole_numbers(server: ODataServer) -> None:
    server.store = m.set_value(server.store, TABLE, WEALTH, "GM0153", "2021JJ00", 12.0)
    assert 12 in fetch(server).entities["TypedDataSet"]["AlleHuishoudens_3"].to_list()


# ---- tables that change while they are read


def modify_at(server: ODataServer, entity: str, *stamps: str) -> None:
    """Let the table be modified at each of the next requests for an entity."""
    left = list(stamps)

    def hook(request: Request) -> None:
        if request.entity == entity and left:
            server.store = m.set_info(server.store, TABLE, Modified=left.pop(0))

    server.hooks.append(hook)


def test_a_table_modified_while_it_is_read_is_read_again(server: ODataServer) -> None:
    modify_at(server, "TypedDataSet", "2026-03-01T02:00:00")
    delivery = fetch(server)
    assert delivery.modified == "2026-03-01T02:00:00"
    assert len(server.paths("TypedDataSet")) == 2


def test_the_second_reading_has_the_full_budget_again(
    server: ODataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough_for_one = replace(Limits(), max_requests=15)
    monkeypatch.setattr(Limits, "of", lambda *_: enough_for_one)
    modify_at(server, "TypedDataSet", "2026-03-01T02:00:00")
    assert fetch(server).modified == "2026-03-01T02:00:00"
    assert len(server.requests) > 15


def test_a_table_that_keeps_being_modified_is_an_error(server: ODataServer) -> None:
    modify_at(server, "TypedDataSet", "2026-03-01T02:00:00", "2026-03-01T02:05:00")
    with pytest.raises(SourceAnswerError, match="99001ned: the table is being updated"):
        fetch(server)
    assert len(server.paths("TypedDataSet")) == 2


def test_rows_that_vanish_because_of_an_update_lead_to_a_second_reading(
    server: ODataServer,
) -> None:
    def hook(request: Request) -> None:
        if request.entity == "$count" and len(server.paths("$count")) == 1:
            server.store = m.drop_rows(server.store, TABLE, 5)
            server.store = m.set_info(server.store, TABLE, Modified="2026-03-01T02:00:00")

    server.hooks.append(hook)
    assert fetch(server).entities["TypedDataSet"].height == 80


# ---- probing


def test_probe_reads_table_infos_only(server: ODataServer) -> None:
    with source_of(server) as source:
        probe = source.probe(catalogue_table())
    assert (probe.table_id, probe.title) == (TABLE, "Kerncijfers van een kleine regio")
    assert probe.modified == "2026-02-17T02:00:00"
    assert probe.reason_delivery == "Actualisering"
    assert probe.output_status == "Regulier"
    assert probe.record_count == 85
    assert server.paths() == [f"/ODataFeed/odata/{TABLE}/TableInfos"]


def editions() -> Store:
    store: Store = {}
    for table_id, title in (
        ("85012NED", "Gezondheid per wijk en buurt; 2012/2016/2020 (indeling 2020)"),
        ("86137NED", "Gezondheid per wijk en buurt; 2012/2016/2020/2022/2024 (indeling 2024)"),
        ("85563NED", "GEZONDHEÏD per wijk en buurt; 2012/2016/2020/2022 (indeling 2022)"),
        ("99001ned", "Kerncijfers van een kleine regio"),
    ):
        store |= small_table(table_id, title=title)
    return store


PATTERN = r"^Gezondheid per wijk en buurt; .*\(indeling (\d{4})\)$"


def test_the_newest_edition_is_found_by_title() -> None:
    with ODataServer(editions()) as server, source_of(server) as source:
        table = catalogue_table("85012NED", title_pattern=PATTERN)
        assert source.probe(table).table_id == "86137NED"
        assert source.fetch(table).table_id == "86137NED"
        assert server.requests[0].query["$select"] == "Identifier,Title,OutputStatus"
        assert len(server.paths("Tables")) == 1, "the catalogue is read once per source"


def test_a_pattern_ignores_case_and_accents() -> None:
    with ODataServer(editions()) as server, source_of(server) as source:
        table = catalogue_table("85012NED", title_pattern=r"gezondheid .* (2022)\)")
        assert source.probe(table).table_id == "85563NED"


def test_a_catalogue_in_pages_is_read_to_the_end() -> None:
    with ODataServer(editions(), page_size=1) as server, source_of(server) as source:
        table = catalogue_table("85012NED", title_pattern=PATTERN)
        assert source.probe(table).table_id == "86137NED"
        assert len(server.paths("Tables")) == 4


def test_no_title_that_matches_is_an_error_naming_the_pattern() -> None:
    with ODataServer(editions()) as server, source_of(server) as source:
        table = catalogue_table("85012NED", title_pattern=r"Nabijheid wijken en buurten (\d{4})")
        with pytest.raises(
            SourceAnswerError, match=r"85012NED: .*no title among 4 matches .*Nabij"
        ):
            source.probe(table)


# ---- manners


def test_one_connection_is_kept_and_the_service_is_told_who_asks(server: ODataServer) -> None:
    server.page_size = 20
    fetch(server)
    assert server.connections == 2, "one to see whether the host is there, one for everything else"
    agents = {r.headers["user-agent"] for r in server.requests}
    assert len(agents) == 1
    assert agents.pop().startswith("btg/")
    assert all(r.headers["accept-encoding"] == "gzip" for r in server.requests)


def test_progress_hears_of_every_page(server: ODataServer) -> None:
    heard: list[str] = []
    server.page_size = 50
    with CbsSource(server.url, quick_settings(), progress=heard.append) as source:
        source.fetch(catalogue_table())
    assert f"{TABLE}: TypedDataSet, page 2" in heard


def test_cbsodata_is_left_as_it_was(server: ODataServer) -> None:
    from cbsodata import cbsodata3

    def state() -> tuple[object, ...]:
        options = cbsodata3.options
        return (
            cbsodata3.Session,
            cbsodata3.logging,
            options.use_https,
            options.catalog_url,
            options.requests,
        )

    before = state()
    fetch(server)
    assert state() == before
    with server.fault(Fault("html")), pytest.raises(SourceAnswerError):
        fetch(server)
    assert state() == before


def test_the_root_logger_gets_no_handler_and_logs_show_no_query(server: ODataServer) -> None:
    script = f"""
import logging
from btg.sources.cbs import CbsSource
from tests.support.tables import catalogue_table, quick_settings
CbsSource({server.url!r}, quick_settings()).fetch(catalogue_table())
assert logging.root.handlers == [], logging.root.handlers
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_log_shows_paths_without_queries(
    server: ODataServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="btg"):
        fetch(server)
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("btg")]
    assert any("/TypedDataSet: 200," in line for line in lines)
    assert not any("filter" in line for line in lines)
    assert not any(r.name == "root" for r in caplog.records), "cbsodata logs whole addresses"
