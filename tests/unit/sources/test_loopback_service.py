"""The loopback service itself: it must have the real one's quirks, or the tests prove nothing."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support import mutations as m
from tests.support.odata_filter import FilterError, parse
from tests.support.odata_server import ODataServer
from tests.support.store import (
    TOPICS,
    TWENTE,
    DimensionSpec,
    Store,
    load_figures,
    small_table,
    topic_key,
    topic_path,
)

TABLE = "99001ned"
POPULATION, INCOME, WEALTH = (topic.path for topic in TOPICS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ODataServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ODataServer(small_table(TABLE), page_size=50) as running:
        yield running


def get(server: ODataServer, entity: str, **options: str) -> requests.Response:
    params = {"$format": "json", **{f"${name}": value for name, value in options.items()}}
    url = f"{server.url}/ODataFeed/odata/{TABLE.upper()}/{entity}"
    return requests.get(url, params=params, timeout=5)


def test_the_service_document_lists_typed_and_untyped_sets(server: ODataServer) -> None:
    names = [row["name"] for row in get(server, "").json()["value"]]
    assert {"TableInfos", "UntypedDataSet", "TypedDataSet", "DataProperties", "RegioS"} < set(names)


def test_pages_are_linked_by_absolute_addresses(server: ODataServer) -> None:
    first = get(server, "TypedDataSet").json()
    assert first["odata.nextLink"].startswith(f"{server.url}/ODataFeed/odata/")
    second = requests.get(first["odata.nextLink"], timeout=5).json()
    assert len(first["value"]) + len(second["value"]) == 85
    assert "odata.nextLink" not in second


def test_a_filter_on_a_topic_is_http_500(server: ODataServer) -> None:
    assert get(server, "TypedDataSet", filter="TotaleBevolking_1 eq '1'").status_code == 500


def test_a_wrong_padding_finds_nothing_and_says_200(server: ODataServer) -> None:
    answer = get(server, "TypedDataSet", filter="RegioS eq 'NL01'")
    assert answer.status_code == 200
    assert answer.json()["value"] == []
    assert get(server, "TypedDataSet", filter="RegioS eq 'NL01  '").json()["value"]


def test_count_is_plain_text_and_follows_the_filter(server: ODataServer) -> None:
    assert get(server, "TypedDataSet/$count").text == "85"
    assert get(server, "TypedDataSet/$count", filter="startswith(RegioS,'GM')").text == "70"


def test_an_unknown_column_or_table_is_refused(server: ODataServer) -> None:
    assert get(server, "TypedDataSet", select="RegioS,Nieuw_4").status_code == 400
    assert requests.get(f"{server.url}/ODataFeed/odata/1/X", timeout=5).status_code == 404


ROWS: list[dict[str, Any]] = [
    {"RegioS": code.ljust(6), "Perioden": f"{year}JJ00", "Topic_1": 1}
    for code in ("NL01", "PV23", "GM0153", "GM0141")
    for year in (2019, 2020)
]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("RegioS eq 'NL01  '", 2),
        ("startswith(RegioS,'GM')", 4),
        ("substringof('JJ',Perioden)", 8),
        ("Perioden ge '2020JJ00'", 4),
        ("(startswith(RegioS,'GM') or startswith(RegioS,'PV')) and (Perioden eq '2019JJ00')", 3),
        ("RegioS eq 'NL01  ' or RegioS eq 'PV23  ' and Perioden eq '2019JJ00'", 3),
        ("((RegioS eq 'it''s'))", 0),
    ],
)
def test_filters_select_what_they_say(text: str, count: int) -> None:
    condition = parse(text, {"RegioS", "Perioden"}, {"Topic_1"})
    assert sum(condition(row) for row in ROWS) == count


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Topic_1 ge '1'", 500),
        ("Nieuw eq '1'", 400),
        ("RegioS eq", 400),
        ("RegioS eq 'a' RegioS", 400),
        ("(RegioS eq 'a'", 400),
        ("RegioS is 'a'", 400),
        ("RegioS eq 5", 400),
    ],
)
def test_filters_that_cannot_be_read_are_refused(text: str, status: int) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, {"RegioS", "Perioden"}, {"Topic_1"})
    assert caught.value.status == status


def test_order_comparisons_on_neighbourhoods_are_ignored() -> None:
    rows = [{"WijkenEnBuurten": "GM0153    "}, {"WijkenEnBuurten": "WK015300  "}]
    condition = parse("WijkenEnBuurten lt 'H'", {"WijkenEnBuurten"}, set())
    assert all(condition(row) for row in rows)


def test_recorded_answers_are_loaded_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "service" / TABLE
    folder.mkdir(parents=True)
    store = small_table(TABLE)
    for entity, rows in store[TABLE].items():
        text = json.dumps({"odata.metadata": "", "value": rows})
        if entity == "TypedDataSet":
            (folder / f"{entity}.json.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{entity}.json").write_text(text)
    (tmp_path / "service" / "Tables.json").write_text("{}")
    assert load_figures(tmp_path) == store
    assert load_figures(tmp_path, ["other"]) == {}


def test_the_small_table_is_realistic() -> None:
    table = small_table(TABLE)[TABLE]
    assert [row["Key"] for row in table["RegioS"]][:2] == ["NL01  ", "PV23  "]
    assert {row["Key"].strip() for row in table["RegioS"]} > set(TWENTE)
    assert table["TableInfos"][0]["RecordCount"] == len(table["TypedDataSet"])
    assert [topic_key(table, topic.path) for topic in TOPICS] == [
        "TotaleBevolking_1",
        "AlleHuishoudens_2",
        "AlleHuishoudens_3",
    ]
    assert topic_path(table, "AlleHuishoudens_3") == WEALTH


MUTATIONS = {
    "rename_topic": lambda s: m.rename_topic(s, TABLE, WEALTH, "Huishoudens"),
    "rename_group": lambda s: m.rename_group(s, TABLE, "Vermogen", "Bezit"),
    "list_topic_twice": lambda s: m.list_topic_twice(s, TABLE, WEALTH),
    "shift_suffixes": lambda s: m.shift_suffixes(s, TABLE),
    "change_unit": lambda s: m.change_unit(s, TABLE, INCOME, "euro"),
    "change_datatype": lambda s: m.change_datatype(s, TABLE, INCOME, "String"),
    "scale_values": lambda s: m.scale_values(s, TABLE, INCOME, 100),
    "set_value": lambda s: m.set_value(s, TABLE, INCOME, "GM0153", "2019JJ00", None),
    "blank_values": lambda s: m.blank_values(s, TABLE, INCOME),
    "duplicate_cell": lambda s: m.duplicate_cell(s, TABLE, "GM0153"),
    "drop_rows": lambda s: m.drop_rows(s, TABLE, 3),
    "remove_region": lambda s: m.remove_region(s, TABLE, "GM0153"),
    "remove_region_rows": lambda s: m.remove_region_rows(s, TABLE, "GM0153"),
    "add_region": lambda s: m.add_region(s, TABLE, "GM1999"),
    "change_padding": lambda s: m.change_padding(s, TABLE, "RegioS", 9),
    "set_status": lambda s: m.set_status(s, TABLE, "2023JJ00", None),
    "describe_period": lambda s: m.describe_period(s, TABLE, "2023JJ00", "Voorlopig: inkomen"),
    "unlist_period": lambda s: m.unlist_period(s, TABLE, "2023JJ00"),
    "rename_period": lambda s: m.rename_period(s, TABLE, "2023JJ00", "2023G400"),
    "add_period": lambda s: m.add_period(s, TABLE, "2024JJ00", "2023JJ00", "Voorlopig"),
    "set_info": lambda s: m.set_info(s, TABLE, Modified="2026-03-01T00:00:00"),
    "add_dimension": lambda s: m.add_dimension(s, TABLE, "Leeftijd"),
    "remove_item": lambda s: m.remove_item(s, TABLE, "Geslacht", "3000"),
}


@pytest.fixture
def store() -> Store:
    items = {"T001038": "Totaal", "3000": "Mannen"}
    return small_table(TABLE, dimensions={"Geslacht": DimensionSpec(items, 7)})


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_changes_a_copy_and_keeps_the_table_consistent(name: str, store: Store) -> None:
    before = json.dumps(store)
    changed = MUTATIONS[name](store)
    assert json.dumps(store) == before
    assert json.dumps(changed) != before
    table = changed[TABLE]
    assert table["TableInfos"][0]["RecordCount"] == len(table["TypedDataSet"])
    keys = {r["Key"] for r in table["DataProperties"] if r["Type"] != "TopicGroup"}
    assert all(set(row) - {"ID"} == keys for row in table["TypedDataSet"])


def test_every_mutation_is_tried() -> None:
    public = {
        name
        for name, value in vars(m).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == m.__name__
    }
    assert public == set(MUTATIONS)


def test_scaled_and_duplicated_figures_are_what_they_say(store: Store) -> None:
    key = topic_key(store[TABLE], INCOME)
    scaled = m.scale_values(store, TABLE, INCOME, 100)[TABLE]["TypedDataSet"]
    assert scaled[0][key] == store[TABLE]["TypedDataSet"][0][key] * 100
    rows = m.duplicate_cell(store, TABLE, "GM0153", "2019JJ00")[TABLE]["TypedDataSet"]
    assert len(rows) == len(store[TABLE]["TypedDataSet"]) + 2
    assert len({row["ID"] for row in rows}) == len(rows)


def test_a_mutation_of_nothing_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError):
        m.rename_topic(store, TABLE, ["Bestaat niet"], "x")
    with pytest.raises(KeyError):
        m.remove_region(store, TABLE, "GM9999")
    with pytest.raises(KeyError):
        m.set_status(store, TABLE, "1999JJ00", None)
