import numpy as np
import polars as pl
import pytest

from btg.index.errors import MethodError
from btg.index.missing import (
    FillingRule,
    carry_forward,
    complete_weights,
    fill_series,
    impute_group_mean,
    nearest_observation,
    present_weights,
    screen,
)

COLUMNS = ["value", "cell_status", "missing_reason", "obs_first_year", "obs_last_year"]


def observed(points: dict[int, float | None], name: str = "income") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "region_code": ["GM0153"] * len(points),
            "indicator_id": [name] * len(points),
            "year": list(points),
            "value": list(points.values()),
        },
        schema_overrides={"value": pl.Float64},
    )


def cell(frame: pl.DataFrame, year: int) -> tuple[object, ...]:
    return frame.filter(pl.col("year") == year).select(COLUMNS).row(0)


# --- weights ---


def test_weights_are_renormalised_over_what_is_present() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 3.0], [np.nan] * 3])
    weights, share = present_weights(values, np.array([0.2, 0.5, 0.3]), min_share=0.5)
    np.testing.assert_allclose(weights[0], [0.4, 0.0, 0.6])
    np.testing.assert_allclose(share, [0.5, 0.3, 0.0])
    assert np.isnan(weights[1:]).all()


def test_the_threshold_is_compared_with_a_margin() -> None:
    values = np.array([[1.0, 1.0, 1.0, np.nan]])
    thirds = np.array([0.1, 0.1, 0.1, 0.7])
    weights, _ = present_weights(values, thirds, min_share=0.3)
    assert not np.isnan(weights).any()
    weights, _ = present_weights(values, thirds, min_share=0.3 + 1e-6)
    assert np.isnan(weights).all()


def test_coverage_by_count_is_independent_of_weights() -> None:
    values = np.array([[1.0, 1.0, np.nan]])
    skewed = np.array([0.05, 0.05, 0.9])
    weights, share = present_weights(values, skewed, min_share=2 / 3, by_count=True)
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0.0]])
    assert share[0] == pytest.approx(2 / 3)


def test_complete_only() -> None:
    values = np.array([[1.0, 2.0], [np.nan, 2.0]])
    weights, _ = complete_weights(values, np.array([0.5, 0.5]))
    assert not np.isnan(weights[0]).any()
    assert np.isnan(weights[1]).all()
    ignoring, _ = complete_weights(values, np.array([0.0, 1.0]))
    assert not np.isnan(ignoring).any()


def test_carry_forward_on_an_array_stops_at_the_limit() -> None:
    values = np.array([1.0, np.nan, np.nan, np.nan, 5.0])[None, :, None]
    filled, carried = carry_forward(values, 2)
    np.testing.assert_array_equal(filled[0, :, 0], [1.0, 1.0, 1.0, np.nan, 5.0])
    assert carried[0, :, 0].tolist() == [False, True, True, False, False]


def test_group_means_and_screening() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [10.0, 8.0]])
    filled = impute_group_mean(values, ["a", "a", "b"])
    np.testing.assert_allclose(filled, [[1.0, 2.0], [3.0, 2.0], [10.0, 8.0]])
    assert screen(values, 0.9).tolist() == [True, False, True]
    with pytest.raises(MethodError, match=r"'1', region '1'"):
        impute_group_mean(values, ["a", "c", "b"])


# --- series ---


def test_linear_between_observations_at_most_four_apart() -> None:
    frame = fill_series(observed({2020: 10.0, 2024: 18.0}), years=range(2020, 2025))
    assert cell(frame, 2021) == (12.0, "interpolated", None, 2020, 2024)
    assert cell(frame, 2024) == (18.0, "observed", None, 2024, 2024)
    wide = fill_series(observed({2020: 10.0, 2025: 18.0}), years=range(2020, 2026))
    assert cell(wide, 2021) == (10.0, "carried", None, 2020, 2020)
    assert cell(wide, 2022)[1] == "carried"
    assert cell(wide, 2023) == (None, "missing", "beyond_carry", None, None)


def test_carried_at_most_two_years_and_never_backward() -> None:
    frame = fill_series(observed({2021: 4.0}), years=range(2018, 2026))
    assert cell(frame, 2023) == (4.0, "carried", None, 2021, 2021)
    assert cell(frame, 2024)[1:3] == ("missing", "beyond_carry")
    assert cell(frame, 2020)[1:3] == ("missing", "before_series")
    assert cell(frame, 2019)[1:3] == ("missing", "no_base")


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({2016: 1.0, 2022: 7.0}, (4.0, "interpolated", None, 2016, 2022)),
        ({2018: 1.0, 2020: 5.0}, (3.0, "interpolated", None, 2018, 2020)),
        ({2018: 1.0, 2023: 7.0}, (1.0, "substituted", None, 2018, 2018)),
        ({2015: 1.0, 2020: 7.0}, (7.0, "substituted", None, 2020, 2020)),
        ({2018: 1.0}, (1.0, "substituted", None, 2018, 2018)),
        ({2015: 1.0, 2022: 7.0}, (None, "missing", "no_base", None, None)),
        ({2017: 1.0}, (None, "missing", "no_base", None, None)),
        ({2021: 1.0}, (None, "missing", "no_base", None, None)),
    ],
)
def test_base_year_rule(points: dict[int, float | None], expected: tuple[object, ...]) -> None:
    assert cell(fill_series(observed(points), years=[2019]), 2019) == expected


def breaks(year: int, kind: str) -> pl.DataFrame:
    return pl.DataFrame({"indicator_id": ["income"], "year": [year], "kind": [kind]})


def test_nothing_crosses_a_definition_break() -> None:
    points = observed({2018: 1.0, 2020: 5.0, 2022: 6.0})
    broken = fill_series(points, years=range(2018, 2023), breaks=breaks(2020, "definition"))
    assert cell(broken, 2019) == (1.0, "substituted", None, 2018, 2018)
    assert cell(broken, 2021)[1] == "interpolated"
    late = fill_series(points, years=range(2018, 2025), breaks=breaks(2023, "definition"))
    assert cell(late, 2023)[1:3] == ("missing", "break")
    early = fill_series(points, years=range(2018, 2023), breaks=breaks(2019, "definition"))
    assert cell(early, 2019) == (5.0, "substituted", None, 2020, 2020)
    level = fill_series(points, years=range(2018, 2025), breaks=breaks(2020, "level"))
    assert level.equals(fill_series(points, years=range(2018, 2025)))
    with pytest.raises(MethodError, match=r"'income'.*break kind 'jump'"):
        fill_series(points, years=[2019], breaks=breaks(2020, "jump"))


def test_a_break_concerns_its_own_indicator_only() -> None:
    points = pl.concat([observed({2022: 1.0}), observed({2022: 1.0}, "crime")])
    frame = fill_series(points, years=[2023], breaks=breaks(2023, "definition"))
    status = dict(frame.select("indicator_id", "cell_status").iter_rows())
    assert status == {"income": "missing", "crime": "carried"}


def test_the_reason_of_the_source_is_kept() -> None:
    points = observed({2020: None, 2021: 3.0}).with_columns(
        missing_reason=pl.Series(["not_surveyed", None])
    )
    frame = fill_series(points, years=[2018, 2020, 2021])
    assert cell(frame, 2020)[2] == "not_surveyed"
    assert cell(frame, 2018)[2] == "before_series"
    never = fill_series(observed({2020: None}), years=[2020])
    assert cell(never, 2020)[2] == "null_in_source"


def test_the_limits_are_parameters() -> None:
    rule = FillingRule(max_gap=2, max_carry=0)
    frame = fill_series(observed({2020: 10.0, 2023: 18.0}), years=range(2020, 2025), rule=rule)
    assert frame["cell_status"].to_list() == [
        "observed", "missing", "missing", "observed", "missing",
    ]  # fmt: skip


def test_double_and_not_a_number_observations_are_errors() -> None:
    with pytest.raises(MethodError, match=r"'income', region 'GM0153', year 2020.*two"):
        fill_series(pl.concat([observed({2020: 1.0})] * 2), years=[2020])
    with pytest.raises(MethodError, match=r"year 2020.*must be null"):
        fill_series(observed({2020: float("nan")}), years=[2020])


def test_nearest_observation_prefers_the_earlier_one() -> None:
    points = pl.concat(
        [observed({2017: 1.0, 2021: 2.0, 2019: None}), observed({2010: 5.0}, "crime")]
    )
    found = nearest_observation(points, base_year=2019, reach=3)
    assert found.rows() == [("GM0153", "income", 1.0, 2017)]
