"""Global Gender Gap Index 2023: caps, and weights re-normalised over what is present."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, compose

CAPS = {"sex_ratio_at_birth": 0.944, "healthy_life_expectancy": 1.06}
SUB_INDICES = [
    "economic_participation_and_opportunity",
    "educational_attainment",
    "health_and_survival",
    "political_empowerment",
]
INPUT_ROUNDING = 0.0014  # three decimals in, re-weighted


@pytest.fixture(scope="module")
def table(published: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    return published("gender_gap_2023").rename({"country": "region_code"})


@pytest.fixture(scope="module")
def computed(table: pl.DataFrame, published: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    return composed(table, published)


def composed(table: pl.DataFrame, published: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    weights = published("gender_gap_indicators")
    names = weights["variable"].to_list()
    hierarchy = Hierarchy(
        weights.select(
            indicator_id="variable",
            parent_id="dimension",
            weight="var_weight",
            upper=pl.col("variable").replace_strict(CAPS, default=1.0),
        ),
        pl.DataFrame(
            {
                "dimension_id": ["overall", *SUB_INDICES],
                "parent_id": [None] + ["overall"] * 4,
                "weight": [None] + [0.25] * 4,
            }
        ),
    )
    method = Method(
        normalisation="truncate",
        weights="relative",
        missing={"rule": "renormalise", "min_coverage_share": 0.0},
    )
    values = table.select("region_code", pl.col(names).cast(pl.Float64)).unpivot(
        index="region_code", variable_name="indicator_id", value_name="value"
    )
    return compose(values, hierarchy, method)


def test_sub_indices_of_all_countries_also_where_indicators_are_missing(
    table: pl.DataFrame, computed: pl.DataFrame
) -> None:
    gaps, worst = 0, []
    for name in SUB_INDICES:
        found = computed.filter(pl.col("item_id") == name).sort("region_code")
        expected = table.sort("region_code")[name].cast(pl.Float64).to_numpy()
        gaps += int((found["coverage_share"] < 1 - 1e-9).sum())
        difference = np.abs(found["score"].to_numpy() - expected)
        assert np.quantile(difference, 0.98) < 0.00105
        worst.append(difference.max())
    assert gaps == 35 + 46 + 1
    assert max(worst) < INPUT_ROUNDING


def test_ratios_above_their_cap_count_as_the_cap(
    table: pl.DataFrame, published: Callable[[str], pl.DataFrame]
) -> None:
    names = published("gender_gap_indicators")["variable"].to_list()
    lifted = table.with_columns(  # the published ratios end at their caps: lift those by 10 %
        pl.when(pl.col(name).cast(pl.Float64) >= CAPS.get(name, 1.0))
        .then(pl.col(name).cast(pl.Float64) * 1.1)
        .otherwise(pl.col(name).cast(pl.Float64))
        .alias(name)
        for name in names
    )
    found = composed(lifted, published).filter(pl.col("item_id") == "overall").sort("region_code")
    expected = table.sort("region_code")["index"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(found["score"].to_numpy(), expected, rtol=0, atol=0.00066)


def test_overall_index_of_146_countries(table: pl.DataFrame, computed: pl.DataFrame) -> None:
    found = computed.filter(pl.col("item_id") == "overall").sort("region_code")
    expected = table.sort("region_code")["index"].cast(pl.Float64).to_numpy()
    assert found.height == 146
    np.testing.assert_allclose(found["score"].to_numpy(), expected, rtol=0, atol=0.00066)
