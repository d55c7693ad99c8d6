import numpy as np
import polars as pl
import pytest
from scipy.stats import linregress

from btg.index.change import (
    Structure,
    base_position,
    change_vs_reference,
    composition_effect,
    compound_growth,
    crosses_definition_break,
    matched_change,
    matched_set,
    position,
    trend,
)
from btg.index.errors import MethodError

YEARS = [2018, 2019, 2020, 2021]
NAN = np.nan
STRUCTURE = Structure(
    np.array([0, 0, 1]), np.array([0.4, 0.6, 1.0]), np.array([0.25, 0.75])
)  # two dimensions


def test_a_carried_copy_of_the_base_is_not_a_change() -> None:
    values = np.array([[[1.0], [2.0], [2.0], [3.0]]])
    last = np.array([[[2018.0], [2019.0], [2019.0], [2021.0]]])
    found = matched_set(values, last, last, years=YEARS, base_year=2019)
    assert found[0, :, 0].tolist() == [True, True, False, True]


def test_before_the_base_year_the_first_observation_must_be_older() -> None:
    values = np.array([[[1.0], [2.0], [2.5], [NAN]]])
    first = np.array([[[2018.0], [2018.0], [2018.0], [NAN]]])
    last = np.array([[[2018.0], [2021.0], [2021.0], [NAN]]])
    found = matched_set(values, first, last, years=YEARS, base_year=2019)
    assert found[0, :, 0].tolist() == [False, True, False, False]


def test_excluded_indicators_and_breaks_are_not_matched() -> None:
    values = np.ones((1, 4, 2))
    observed = np.broadcast_to(np.array(YEARS, dtype=float)[None, :, None], values.shape)
    breaks = pl.DataFrame(
        {"indicator_id": ["b", "a"], "year": [2020, 2021], "kind": ["definition", "level"]}
    )
    crossed = crosses_definition_break(breaks, years=YEARS, base_year=2019, indicators=["a", "b"])
    assert crossed[:, 1].tolist() == [False, False, True, True]
    assert not crossed[:, 0].any()
    before = breaks.with_columns(year=pl.Series([2019, 2019]))
    crossed_before = crosses_definition_break(
        before, years=YEARS, base_year=2019, indicators=["a", "b"]
    )
    assert crossed_before[:, 1].tolist() == [True, False, False, False]
    found = matched_set(
        values, observed, observed, years=YEARS, base_year=2019,
        excluded=np.array([True, False]), crosses_break=crossed,
    )  # fmt: skip
    assert found[0].tolist() == [[False, True], [False, True], [False, False], [False, False]]


def test_matched_change_and_contributions_by_hand() -> None:
    scores = np.array([[[100.0, 100.0, 100.0], [110.0, 90.0, 104.0]]])
    matched = np.ones((1, 2, 3), dtype=bool)
    found = matched_change(scores, matched, STRUCTURE, base=0, min_dimensions=2)
    # dimension 0: .4*10 - .6*10 = -2; dimension 1: 4; index .25*-2 + .75*4 = 2.5
    np.testing.assert_allclose(found.dimensions[0, 1], [-2.0, 4.0])
    assert found.index[0, 1] == pytest.approx(2.5)
    np.testing.assert_allclose(found.contributions[0, 1], [1.0, -1.5, 3.0])
    assert found.n_dimensions[0, 1] == 2
    assert found.weight_share[0, 1] == pytest.approx(1.0)
    assert (found.index[0, 0], found.contributions[0, 0].sum()) == (0.0, 0.0)


def test_weights_are_renormalised_over_the_matched_set() -> None:
    scores = np.array([[[100.0, 100.0, 100.0], [110.0, 90.0, 104.0]]])
    matched = np.array([[[True] * 3, [False, True, True]]])
    found = matched_change(scores, matched, STRUCTURE, base=0, min_dimensions=2)
    np.testing.assert_allclose(found.dimensions[0, 1], [-10.0, 4.0])
    np.testing.assert_allclose(found.contributions[0, 1], [NAN, -2.5, 3.0])
    assert found.index[0, 1] == pytest.approx(0.5)
    assert found.weight_share[0, 1] == pytest.approx(0.25 * 0.6 + 0.75)
    assert found.dimension_share[0, 1, 0] == pytest.approx(0.6)


def test_too_little_matched_gives_no_change() -> None:
    scores = np.array([[[100.0, 100.0, 100.0], [110.0, 90.0, 104.0]]])
    matched = np.array([[[True] * 3, [True, False, True]]])  # 40 % of dimension 0
    one = matched_change(scores, matched, STRUCTURE, base=0, min_dimensions=1)
    assert np.isnan(one.dimensions[0, 1, 0])
    assert one.index[0, 1] == pytest.approx(4.0)
    assert np.isnan(one.contributions[0, 1, 0])
    assert one.weight_share[0, 1] == pytest.approx(0.75)
    two = matched_change(scores, matched, STRUCTURE, base=0, min_dimensions=2)
    assert np.isnan(two.index[0, 1])
    assert np.isnan(two.contributions[0, 1]).all()
    assert two.dimensions[0, 1, 1] == pytest.approx(4.0)


def test_composition_effect_is_what_the_match_leaves() -> None:
    found = composition_effect(np.array([3.0, 1.0]), np.array([2.5, NAN]))
    np.testing.assert_allclose(found, [0.5, NAN])


def test_change_against_a_reference_uses_one_set() -> None:
    scores = np.array([[[100.0] * 3, [110.0, 90.0, 104.0]], [[100.0] * 3, [101.0, 101.0, 102.0]]])
    matched = np.ones((2, 2, 3), dtype=bool)
    matched[1, 1, 0] = False  # the reference lacks the first indicator
    found = change_vs_reference(scores, matched, STRUCTURE, base=0, reference=1, min_dimensions=2)
    # dimension 0 on its second indicator: -10 - 1 = -11; dimension 1: 4 - 2
    assert found.index[0, 1] == pytest.approx(0.25 * -11 + 0.75 * 2)
    assert found.index[1, 1] == 0.0


def test_the_structure_is_checked() -> None:
    with pytest.raises(MethodError, match="dimension 0"):
        Structure(np.array([0, 0, 1]), np.array([0.4, 0.5, 1.0]), np.array([0.5, 0.5]))
    with pytest.raises(MethodError, match="dimension weights"):
        Structure(np.array([0, 1]), np.array([1.0, 1.0]), np.array([0.5, 0.6]))
    with pytest.raises(MethodError, match="base_year"):
        base_position([2020, 2021], 2019)


def test_trend_by_hand() -> None:
    years = list(range(2016, 2025))
    series = np.array([99.0, 1.0, 2.0, 2.0, 4.0, 3.0, 5.0, NAN, 6.0])[None, :, None]
    found = trend(series, years, last_year=2024)
    x = np.array([2017, 2018, 2019, 2020, 2021, 2022, 2024.0])
    y = np.array([1.0, 2.0, 2.0, 4.0, 3.0, 5.0, 6.0])
    slope, intercept = np.polyfit(x - 2020, y, 1)
    residual = y - slope * (x - 2020) - intercept
    error = np.sqrt((residual**2).sum() / 5 / ((x - x.mean()) ** 2).sum())
    assert found.n_points[0, 0] == 7  # 2016 is outside the eight years
    assert found.slope[0, 0] == pytest.approx(slope)
    assert found.standard_error[0, 0] == pytest.approx(error)
    assert found.p_value[0, 0] == pytest.approx(linregress(x, y).pvalue, rel=1e-9)
    assert found.direction[0, 0] == "up"
    down = trend(series, years, last_year=2024, polarity=np.array([-1.0]))
    assert down.direction[0, 0] == "down"


def test_p_value_of_the_t_test_is_that_of_the_tables() -> None:
    years = list(range(2017, 2025))
    rng = np.random.default_rng(8)
    series = rng.normal(size=(40, 8, 3)).cumsum(axis=1)
    found = trend(series, years, last_year=2024)
    t = np.abs(found.slope / found.standard_error)
    # two-sided 5 % point of t with 6 degrees of freedom: 2.447
    assert np.array_equal(t > 2.4469118, found.p_value < 0.05)
    assert 0 < (found.p_value < 0.05).mean() < 1


def test_too_few_points_is_its_own_answer() -> None:
    years = list(range(2017, 2025))
    series = np.array([1.0, 2.0, 3.0, 4.0, 5.0, NAN, NAN, NAN])[None, :, None]
    found = trend(series, years, last_year=2024)
    assert found.direction[0, 0] == "too_few_points"
    assert np.isnan(found.slope[0, 0])
    assert trend(series, years, last_year=2024, min_points=5).direction[0, 0] == "up"
    flat = np.full((1, 8, 1), 4.0)
    assert trend(flat, years, last_year=2024).direction[0, 0] == "stable"


def test_position_among_municipalities() -> None:
    scores = np.append(np.arange(1.0, 9.0), [NAN, 100.0])
    reference = np.array([True] * 9 + [False])
    found = position(scores, reference)
    # percentiles of 1..8, type 7: 2.75 and 6.25
    assert found.tolist() == [
        "worst", "worst", "middle", "middle", "middle", "middle", "best", "best", "missing", "best",
    ]  # fmt: skip
    assert set(position(scores, reference, min_regions=9)[:8]) == {"too_few_regions"}
    assert set(position(np.full(9, 3.0), reference[:9])) == {"middle"}


def test_compound_growth() -> None:
    found = compound_growth(np.array([100.0, NAN]), np.array([121.0, 3.0]), np.array([2.0, 2.0]))
    np.testing.assert_allclose(found, [0.1, NAN])
    with pytest.raises(MethodError, match="above 0"):
        compound_growth(np.array([0.0]), np.array([1.0]), np.array([2.0]))
