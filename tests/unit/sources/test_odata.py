"""Which columns and items are asked for: by title path and trimmed key, never by number."""

from typing import Any

import pytest
from tests.support import mutations as m
from tests.support.store import DimensionSpec, TopicSpec, small_table
from tests.support.tables import POPULATION, WEALTH, catalogue_table

from btg.errors import CatalogueError, ContractError, SourceAnswerError
from btg.sources import odata
from btg.sources.cbs import newest_edition

TABLE = "99001ned"


def properties(**fields: Any) -> list[dict[str, Any]]:
    return small_table(TABLE, **fields)[TABLE]["DataProperties"]


def test_the_same_title_in_two_groups_is_two_topics() -> None:
    chosen = odata.resolve(catalogue_table(), properties())
    assert chosen.columns["inkomen"] == "AlleHuishoudens_2"
    assert chosen.columns["vermogen"] == "AlleHuishoudens_3"


def test_dimensions_come_first_and_in_the_order_of_the_table() -> None:
    rows = properties(dimensions={"Geslacht": DimensionSpec({"T001038": "Totaal"}, 7)})
    table = catalogue_table(selection={"Geslacht": ["T001038"]}, measures={"v": WEALTH})
    assert odata.resolve(table, rows).select == [
        "Geslacht",
        "RegioS",
        "Perioden",
        "AlleHuishoudens_3",
    ]


def test_two_measures_of_one_topic_ask_for_one_column() -> None:
    table = catalogue_table(measures={"a": WEALTH, "b": WEALTH})
    chosen = odata.resolve(table, properties())
    assert [topic.key for topic in chosen.topics] == ["AlleHuishoudens_3"]
    assert chosen.columns == {"a": "AlleHuishoudens_3", "b": "AlleHuishoudens_3"}


def test_a_topic_without_a_group_has_its_title_for_a_path() -> None:
    rows = properties(topics=[TopicSpec(("Gemiddelde verkoopprijs",))])
    assert [topic.path for topic in odata.topics_of(rows)] == [("Gemiddelde verkoopprijs",)]


@pytest.mark.parametrize("path", [["Totale bevolking"], POPULATION[1:], [*POPULATION, "x"]])
def test_part_of_a_path_is_not_enough(path: list[str]) -> None:
    with pytest.raises(ContractError) as caught:
        odata.resolve(catalogue_table(measures={"a": path}), properties())
    assert caught.value.rule == "topic_missing"
    assert " / ".join(path) in str(caught.value)
    assert " / ".join(POPULATION) in str(caught.value), "the nearest path is named"


def test_accents_are_compared_in_one_form_and_matter() -> None:
    rows = properties(topics=[TopicSpec(("Cliënten",))])
    decomposed = catalogue_table(measures={"a": ["Clie\u0308nten"]})
    assert odata.resolve(decomposed, rows).columns == {"a": "Clienten_1"}
    with pytest.raises(ContractError):
        odata.resolve(catalogue_table(measures={"a": ["Clienten"]}), rows)


def test_a_group_that_is_not_listed_or_contains_itself_leads_nowhere() -> None:
    for parent in (99, 2):
        rows = properties()
        next(row for row in rows if row["ID"] == 2)["ParentID"] = parent
        with pytest.raises(ContractError, match=r"\? / "):
            odata.resolve(catalogue_table(measures={"a": POPULATION}), rows)
        assert odata.resolve(catalogue_table(measures={"a": WEALTH}), rows).columns


def test_region_levels_are_one_group_of_alternatives() -> None:
    levels: list[Any] = ["gemeente", "provincie", "corop", "land"]
    assert odata.region_filter("RegioS", levels) == (
        "(startswith(RegioS,'GM') or startswith(RegioS,'PV') or startswith(RegioS,'CR') "
        "or startswith(RegioS,'NL'))"
    )


def test_quotes_in_a_key_are_doubled() -> None:
    assert odata.item_filter("Dim", ["'s-Graven", "b  "]) == "(Dim eq '''s-Graven' or Dim eq 'b  ')"


def test_items_are_found_trimmed_and_asked_for_padded() -> None:
    table = catalogue_table(selection={"Leeftijd": ["10000", "20300"]})
    rows = [{"Key": "20300   "}, {"Key": "10000   "}, {"Key": "80200   "}]
    assert odata.item_keys(table, "Leeftijd", rows) == ["10000   ", "20300   "]


def test_one_item_under_two_keys_is_ambiguous() -> None:
    table = catalogue_table(selection={"Leeftijd": ["10000"]})
    with pytest.raises(ContractError) as caught:
        odata.item_keys(table, "Leeftijd", [{"Key": "10000"}, {"Key": "10000 "}])
    assert caught.value.rule == "item_ambiguous"


def test_a_selection_without_items_is_an_error_of_the_catalogue() -> None:
    with pytest.raises(CatalogueError, match="Leeftijd names no item"):
        odata.item_keys(catalogue_table(selection={"Leeftijd": []}), "Leeftijd", [{"Key": "1"}])


def test_a_new_dimension_is_noticed() -> None:
    store = m.add_dimension(small_table(TABLE), TABLE, "Geslacht")
    with pytest.raises(ContractError) as caught:
        odata.resolve(catalogue_table(), store[TABLE]["DataProperties"])
    assert caught.value.rule == "dimension_unexpected"


# ---- editions


def edition(table_id: str, year: int, status: str = "Regulier") -> dict[str, str]:
    return {"Identifier": table_id, "Title": f"Inkomen ({year})", "OutputStatus": status}


def newest(*rows: dict[str, str], pattern: str = r"^Inkomen \((\d{4})\)$") -> str:
    return newest_edition(catalogue_table(title_pattern=pattern), rows)


def test_the_highest_year_wins_whatever_the_order() -> None:
    assert newest(edition("3", 2024), edition("1", 2026), edition("2", 2025)) == "1"


def test_of_two_tables_of_one_year_the_one_that_goes_on_wins() -> None:
    assert newest(edition("1", 2026, "Gediscontinueerd"), edition("2", 2026)) == "2"


def test_two_tables_of_one_year_are_an_error_that_names_both() -> None:
    with pytest.raises(SourceAnswerError, match=r"expected one title for 2026 .* found 1, 2"):
        newest(edition("1", 2026), edition("2", 2026))


@pytest.mark.parametrize("pattern", [r"Inkomen", r"(Inkomen) \((\d{4})\)", r"Inkomen (\d{4}"])
def test_a_pattern_without_one_year_is_an_error_of_the_catalogue(pattern: str) -> None:
    with pytest.raises(CatalogueError, match="99001ned: title_pattern"):
        newest(edition("1", 2026), pattern=pattern)
