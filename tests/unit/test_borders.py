"""Municipalities of every earlier year lead to present ones, by published shares."""

import pytest

from btg.catalogue.borders import codes_of_year, successors
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import BorderChange, Municipality, Recipient, Regions

FIRST_YEAR, PRESENT = 2012, 2026
NUMBER_OF_MUNICIPALITIES = {
    2012: 415,
    2013: 408,
    2014: 403,
    2015: 393,
    2016: 390,
    2017: 388,
    2018: 380,
    2019: 355,
    2020: 355,
    2021: 352,
    2022: 345,
    2023: 342,
    2024: 342,
    2025: 342,
    2026: 342,
}
"""Municipalities on 1 January, as Statistics Netherlands counts them."""


def shares_of(regions: Regions, year: int, code: str) -> dict[str, float | None]:
    return {to: share for origin, to, share in successors(regions, year) if origin == code}


def small(changes: list[BorderChange], **years: tuple[int | None, int | None]) -> Regions:
    """Return regions with a few municipalities (first and last year by code) and changes."""
    municipalities = [
        Municipality(code=code, name=code, first_year=first, last_year=last)
        for code, (first, last) in years.items()
    ]
    return Regions.model_construct(municipalities=municipalities, changes=changes)


def change(year: int, origins: list[str], **recipients: float | None) -> BorderChange:
    return BorderChange.model_validate(
        {
            "year": year,
            "kind": "split",
            "from": origins,
            "to": [Recipient(code=code, share=share) for code, share in recipients.items()],
        }
    )


@pytest.mark.parametrize(("year", "number"), NUMBER_OF_MUNICIPALITIES.items())
def test_every_year_has_as_many_municipalities_as_there_were(
    catalogue: Catalogue, year: int, number: int
) -> None:
    assert len(codes_of_year(catalogue.regions, year)) == number


@pytest.mark.parametrize("year", NUMBER_OF_MUNICIPALITIES)
def test_the_municipalities_of_a_year_lead_to_all_present_ones_and_to_nothing_else(
    catalogue: Catalogue, year: int
) -> None:
    found = successors(catalogue.regions, year)
    assert {origin for origin, _, _ in found} == codes_of_year(catalogue.regions, year)
    assert {to for _, to, _ in found} == codes_of_year(catalogue.regions, PRESENT)


@pytest.mark.parametrize("year", NUMBER_OF_MUNICIPALITIES)
def test_nobody_is_lost_or_counted_twice(catalogue: Catalogue, year: int) -> None:
    totals: dict[str, float] = {}
    for origin, _, share in successors(catalogue.regions, year):
        assert share is not None
        totals[origin] = totals.get(origin, 0.0) + share
    assert all(abs(total - 1) < 1e-4 for total in totals.values())


def test_a_pair_of_municipalities_occurs_once(catalogue: Catalogue) -> None:
    for year in NUMBER_OF_MUNICIPALITIES:
        pairs = [(origin, to) for origin, to, _ in successors(catalogue.regions, year)]
        assert len(pairs) == len(set(pairs))


def test_the_355_of_2019_become_the_342_of_now(catalogue: Catalogue) -> None:
    found = successors(catalogue.regions, 2019)
    assert len({origin for origin, _, _ in found}) == 355
    assert len({to for _, to, _ in found}) == 342


def test_the_14_of_twente_never_changed(catalogue: Catalogue) -> None:
    for year in NUMBER_OF_MUNICIPALITIES:
        for code in catalogue.twente():
            assert shares_of(catalogue.regions, year, code) == {code: 1.0}
        reached = [
            o for o, to, _ in successors(catalogue.regions, year) if to in catalogue.twente()
        ]
        assert sorted(reached) == sorted(catalogue.twente())


def test_weesp_became_amsterdam_in_2023(catalogue: Catalogue) -> None:
    regions = catalogue.regions
    assert "GM0457" in codes_of_year(regions, 2022)
    assert "GM0457" not in codes_of_year(regions, 2023)
    assert shares_of(regions, 2022, "GM0457") == {"GM0363": 1.0}
    assert shares_of(regions, 2023, "GM0457") == {}
    assert shares_of(regions, 2022, "GM0363") == {"GM0363": 1.0}


def test_haaren_was_split_over_four_in_2021(catalogue: Catalogue) -> None:
    shares = shares_of(catalogue.regions, 2020, "GM0788")
    assert set(shares) == {"GM0824", "GM0865", "GM0757", "GM0855"}
    known = [share for share in shares.values() if share is not None]
    assert len(known) == 4
    assert sum(known) == pytest.approx(1, abs=1e-9)
    assert shares["GM0824"] == pytest.approx(0.40676)
    assert shares_of(catalogue.regions, 2021, "GM0788") == {}


def test_uden_and_landerd_became_maashorst_in_2022(catalogue: Catalogue) -> None:
    for code in ("GM0856", "GM1685"):
        assert shares_of(catalogue.regions, 2021, code) == {"GM1991": 1.0}


def test_changes_of_several_years_follow_each_other(catalogue: Catalogue) -> None:
    # Nieuw-Lekkerland became Molenwaard in 2013, Molenwaard became Molenlanden in 2019
    assert shares_of(catalogue.regions, 2012, "GM0571") == {"GM1978": 1.0}


def test_a_receiver_of_a_split_that_ends_itself_later_passes_its_part_on(
    catalogue: Catalogue,
) -> None:
    # Skarsterlân went to De Friese Meren (now De Fryske Marren) and to Heerenveen
    shares = shares_of(catalogue.regions, 2013, "GM0051")
    assert set(shares) == {"GM1940", "GM0074"}
    assert shares["GM1940"] == pytest.approx(0.97891)


def test_all_changes_of_a_year_take_effect_together() -> None:
    # A goes to B on the day on which B goes to C: who lived in A lives in the new B
    regions = small(
        [change(2020, ["GM01"], GM02=1.0), change(2020, ["GM03"], GM01=1.0)],
        GM01=(None, None),
        GM02=(None, None),
        GM03=(None, 2019),
    )
    assert shares_of(regions, 2019, "GM01") == {"GM02": 1.0}
    assert shares_of(regions, 2019, "GM03") == {"GM01": 1.0}
    in_other_order = regions.model_copy(update={"changes": regions.changes[::-1]})
    assert successors(in_other_order, 2019) == successors(regions, 2019)


def test_a_change_of_the_year_itself_is_in_force_already() -> None:
    regions = small([change(2020, ["GM01"], GM02=1.0)], GM01=(None, 2019), GM02=(2020, None))
    assert successors(regions, 2020) == [("GM02", "GM02", 1.0)]
    assert successors(regions, 2019) == [("GM01", "GM02", 1.0)]


def test_shares_multiply_along_the_way_and_add_where_ways_meet() -> None:
    regions = small(
        [
            change(2020, ["GM01"], GM02=0.5, GM03=0.5),
            change(2022, ["GM02"], GM04=0.4, GM03=0.6),
        ],
        GM01=(None, 2019),
        GM02=(None, 2021),
        GM03=(None, None),
        GM04=(None, None),
    )
    shares = shares_of(regions, 2019, "GM01")
    assert shares == {"GM04": pytest.approx(0.2), "GM03": pytest.approx(0.8)}


def test_an_unknown_share_stays_unknown_to_the_end() -> None:
    regions = small(
        [
            change(2020, ["GM01"], GM02=None, GM03=None),
            change(2022, ["GM02"], GM03=1.0),
        ],
        GM01=(None, 2019),
        GM02=(None, 2021),
        GM03=(None, None),
    )
    assert shares_of(regions, 2019, "GM01") == {"GM03": None}
    assert shares_of(regions, 2019, "GM02") == {"GM03": 1.0}
