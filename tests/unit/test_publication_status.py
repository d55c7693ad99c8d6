"""The publication status: what the source says of a period, per topic group, and nothing more."""

import polars as pl
import pytest
from tests.support.tables import catalogue_table

from btg.catalogue.loader import Catalogue
from btg.errors import ContractError
from btg.publication_status import period_statuses, status_in_prose

INCOME = ["inkomen en vermogen"]
NEARBY = ["nabijheid voorzieningen"]
PEOPLE = ["bevolking"]

NOTE_2025 = (
    "Uitkomsten zijn voorlopig over:\r\nNabijheid voorzieningen\r\nBedrijfsvestigingen\r\n"
    "Wonen - Gemiddelde WOZ waarde van woningen\r\nBevolking - Doodsoorzaken\r\n"
    "Onderwijs naar woonregio - Leerlingen\r\n\r\nUitkomsten zijn nader voorlopig over:\r\n"
    "Wonen - Voorraad woningen\r\nMilieu en bodemgebruik - Afval van huishoudens\r\n"
)
"""As the source writes it since 2025: headings, then one topic group per line."""


@pytest.mark.parametrize(
    ("phrases", "status"),
    [
        (NEARBY, "voorlopig"),
        (["bedrijfsvestigingen"], "voorlopig"),
        (["wonen - voorraad woningen"], "nader_voorlopig"),
        (["milieu en bodemgebruik - afval van huishoudens"], "nader_voorlopig"),
        (INCOME, "onbekend"),
        (PEOPLE, "onbekend"),
        (["huishoudens"], "onbekend"),
        (["wonen"], "onbekend"),
        (["leerlingen"], "onbekend"),
    ],
)
def test_a_heading_gives_its_status_to_the_topics_listed_below_it(
    phrases: list[str], status: str
) -> None:
    assert status_in_prose(NOTE_2025, phrases, 2025) == status


@pytest.mark.parametrize(
    ("description", "status"),
    [
        ("De cijfers over inkomen en vermogen zijn voorlopig.", "voorlopig"),
        ("De cijfers over inkomen en vermogen van 2024 zijn voorlopig.", "voorlopig"),
        ("De cijfers van inkomen en vermogen over het jaar 2024 zijn definitief", "definitief"),
        ("Cijfers over inkomen en vermogen zijn nader voorlopig.", "nader_voorlopig"),
        ("Cijfers over inkomen en vermogen zijn nader-voorlopig.", "nader_voorlopig"),
        ("Voorlopige cijfers: inkomen en vermogen, voorraad woningen.", "voorlopig"),
        ("Voorlopige cijfers: bedrijfsvestigingen; inkomen en vermogen; afval.", "voorlopig"),
        ("Voorlopig zijn: voorraad woningen, inkomen en vermogen en gediplomeerden.", "voorlopig"),
        ("Nader voorlopige cijfers: WOZ, inkomen en vermogen.", "nader_voorlopig"),
        (
            "De cijfers over bedrijfsvestigingen, voorraad woningen, inkomen en vermogen en "
            "gediplomeerden zijn voorlopig. De cijfers over WOZ en afval zijn nader voorlopig.",
            "voorlopig",
        ),
        ("Voorlopig: afval. Nader voorlopig: inkomen en vermogen.", "nader_voorlopig"),
        ("Inkomen en vermogen: voorlopig; voorraad woningen: definitief.", "voorlopig"),
        ("Inkomen en vermogen (voorlopig), voorraad woningen.", "voorlopig"),
        ("Status van de cijfers: inkomen en vermogen definitieve cijfers.", "definitief"),
        ("De volgende cijfers zijn voorlopig:\n- uitkeringsontvangers;\n- inkomen en vermogen;\n"
         "- afval van huishoudens.", "voorlopig"),
        ("Voorlopige cijfers:\n• Inkomen en vermogen\n• Voorraad woningen", "voorlopig"),
        ("Voorlopige  cijfers :\n\nINKOMEN EN\u00a0VERMOGEN", "voorlopig"),
        ("Inkomen en vermogen: voorlopig. De overige cijfers zijn definitief.", "voorlopig"),
    ],
)  # fmt: skip
def test_one_status_for_a_named_group_is_taken(description: str, status: str) -> None:
    assert status_in_prose(description, INCOME, 2024) == status


@pytest.mark.parametrize(
    "description",
    [
        "",
        "De cijfers over de voorraad woningen zijn voorlopig.",
        "Alle cijfers zijn definitief, behalve inkomen en vermogen.",
        "De cijfers over inkomen en vermogen zijn niet voorlopig.",
        "De cijfers over inkomen en vermogen zijn nog niet definitief.",
        "De cijfers over inkomen en vermogen worden in december definitief.",
        "De cijfers over inkomen en vermogen waren voorlopig.",
        "De voorlopige cijfers over inkomen en vermogen zijn vervangen.",
        "De voorlopige cijfers over inkomen en vermogen zijn nu definitief.",
        "De cijfers over inkomen en vermogen zijn voorlopig en die over afval nader voorlopig.",
        "De cijfers over inkomen en vermogen zijn voorlopig. Inkomen en vermogen: definitief.",
        "De cijfers over inkomen en vermogen van 2023 zijn voorlopig.",
        "De cijfers over inkomen en vermogen van 2023 en 2024 zijn voorlopig.",
        "De cijfers over inkomen en vermogen van zelfstandigen zijn voorlopig.",
        "Lage inkomen en vermogen zijn voorlopig.",
        "Voorlopige cijfers:\nInkomen en vermogen - Mediaan vermogen",
        "Voorlopige cijfers:\nWonen\n\nInkomen en vermogen is herplaatst.",
        "Voorlopige cijfers:\nWonen\nGewijzigd zijn:\nInkomen en vermogen",
        "Voorlopige of definitieve cijfers:\nInkomen en vermogen",
        "Inkomen en vermogen: vanaf 2011.",
        "Deels voorlopige cijfers: inkomen en vermogen.",
        "Voorlopige cijfers: afval. Inkomen en vermogen is toegevoegd.",
    ],
)
def test_what_is_not_said_plainly_stays_unknown(description: str) -> None:
    assert status_in_prose(description, INCOME, 2024) == "onbekend"


def test_part_of_a_group_is_not_the_group() -> None:
    assert status_in_prose("Voorlopig: Bevolking - Doodsoorzaken", PEOPLE) == "onbekend"
    assert status_in_prose("Voorlopig zijn: bevolking naar herkomst", PEOPLE) == "onbekend"
    assert status_in_prose("Voorlopig zijn: bevolking en afval", PEOPLE) == "voorlopig"


def test_the_reviewed_phrases_of_the_catalogue_read_the_note_of_the_source(
    catalogue: Catalogue,
) -> None:
    table = catalogue.table("70072ned")
    note_2024 = (
        "Uitkomsten zijn voorlopig over:\r\nInkomen en vermogen\r\nWonen - Voorraad woningen\r\n"
    )
    periods = pl.DataFrame(
        {
            "Key": ["2023JJ00", "2024JJ00", "2025JJ00"],
            "Status": [None, None, None],
            "Description": ["", note_2024, NOTE_2025],
        },
        schema_overrides={"Status": pl.String},
    )
    found = period_statuses(table, periods["Key"].to_list(), periods)
    status = {(m, k): s for m, k, s in found.iter_rows()}
    assert len(status) == 3 * len(table.measures)
    assert {s for (_, key), s in status.items() if key == "2023JJ00"} == {"onbekend"}
    assert {m for (m, k), s in status.items() if k == "2024JJ00" and s == "voorlopig"} == {
        "huishoudens",
        "besteedbaar_inkomen",
    }
    assert {m for (m, k), s in status.items() if k == "2025JJ00" and s == "voorlopig"} == {
        "afstand_huisarts",
        "afstand_kinderdagverblijf",
        "afstand_bibliotheek",
    }
    assert set(status.values()) == {"onbekend", "voorlopig"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Definitief", "definitief"),
        ("Voorlopig", "voorlopig"),
        ("NaderVoorlopig", "nader_voorlopig"),
        ("Nader voorlopig", "nader_voorlopig"),
        (None, "onbekend"),
        ("", "onbekend"),
    ],
)
def test_the_status_column_is_read_as_it_is(status: str | None, expected: str) -> None:
    periods = pl.DataFrame(
        {"Key": ["2024JJ00"], "Status": [status]}, schema_overrides={"Status": pl.String}
    )
    found = period_statuses(catalogue_table(), ["2024JJ00"], periods)
    assert set(found["publication_status"]) == {expected}


def test_the_status_column_goes_before_prose(catalogue: Catalogue) -> None:
    periods = pl.DataFrame(
        {
            "Key": ["2024JJ00"],
            "Status": ["Definitief"],
            "Description": ["Voorlopige cijfers: inkomen en vermogen."],
        }
    )
    found = period_statuses(catalogue.table("70072ned"), ["2024JJ00"], periods)
    assert set(found["publication_status"]) == {"definitief"}


def test_an_unknown_word_in_the_status_column_is_refused() -> None:
    periods = pl.DataFrame({"Key": ["2024JJ00"], "Status": ["Herzien"]})
    with pytest.raises(ContractError, match="cbs/99001ned: period status 'Herzien' is not known"):
        period_statuses(catalogue_table(), ["2024JJ00"], periods)


def test_a_period_without_an_entry_or_without_any_list_is_unknown() -> None:
    table = catalogue_table()
    none_listed = period_statuses(table, ["2024JJ00"], None)
    other_listed = period_statuses(
        table, ["2024JJ00"], pl.DataFrame({"Key": ["2023JJ00"], "Status": ["Definitief"]})
    )
    for found in (none_listed, other_listed):
        assert set(found["publication_status"]) == {"onbekend"}


def test_a_table_without_a_rule_for_status_has_none() -> None:
    table = catalogue_table(status_rule={"kind": "none"})
    periods = pl.DataFrame({"Key": ["2024JJ00"], "Status": ["Definitief"]})
    assert set(period_statuses(table, ["2024JJ00"], periods)["publication_status"]) == {"onbekend"}
