"""COINr example: denominate, impute, screen, treat, normalise, aggregate, and 20 variants."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, compose, effective_weights
from btg.index.aggregate import copeland
from btg.index.arrays import FloatArray, Labels
from btg.index.change import compound_growth
from btg.index.diagnostics import correlations, cronbach_alpha, pca
from btg.index.missing import impute_group_mean, screen
from btg.index.normalise import (
    distance_to_reference,
    min_max,
    percentile_rank,
    rank,
    rank_last_axis,
    ratio_to_reference,
    sample_z,
)
from btg.index.transforms import denominate
from btg.index.treatment import moments, treat_jrc
from btg.index.weights import equal_weights, first_component_loadings

Published = Callable[[str], pl.DataFrame]
TIGHT = {"rtol": 1e-9, "atol": 1e-9}


@dataclass(frozen=True)
class Example:
    """The example: units sorted by code, indicators in the order of the metadata."""

    meta: pl.DataFrame
    units: list[str]
    indicators: list[str]
    table: pl.DataFrame

    @property
    def labels(self) -> Labels:
        return Labels(self.units, self.indicators)

    @property
    def polarity(self) -> FloatArray:
        rows = self.meta.filter(pl.col("Type") == "Indicator")
        return rows["Direction"].cast(pl.Float64).to_numpy()

    def members(self, pillar: str) -> list[int]:
        rows = self.meta.filter(pl.col("Type") == "Indicator")
        return [i for i, parent in enumerate(rows["Parent"]) if parent == pillar]

    def matrix(self, table: pl.DataFrame) -> FloatArray:
        ordered = table.sort("uCode")
        assert ordered["uCode"].to_list() == self.units
        return ordered.select(pl.col(self.indicators).cast(pl.Float64)).to_numpy()

    def hierarchy(self, *, without: str | None = None) -> Hierarchy:
        dropped = (
            pl.lit(False)
            if without is None
            else (pl.col("iCode").eq(without) | pl.col("Parent").eq_missing(pl.lit(without)))
        )
        rows = self.meta.filter(~dropped)
        return Hierarchy(
            rows.filter(pl.col("Type") == "Indicator").select(
                indicator_id="iCode",
                parent_id="Parent",
                weight=pl.col("Weight").cast(pl.Float64),
                polarity="Direction",
            ),
            rows.filter(pl.col("Type") == "Aggregate").select(
                dimension_id="iCode",
                parent_id="Parent",
                weight=pl.when(pl.col("Parent").is_not_null()).then(
                    pl.col("Weight").cast(pl.Float64)
                ),
            ),
        )

    def long(self, values: FloatArray, *, without: str | None = None) -> pl.DataFrame:
        dropped = [] if without is None else [self.indicators[i] for i in self.members(without)]
        return (
            pl.DataFrame(values, schema=self.indicators)
            .with_columns(region_code=pl.Series(self.units))
            .drop(dropped)
            .unpivot(index="region_code", variable_name="indicator_id", value_name="value")
        )


@pytest.fixture(scope="module")
def example(published: Published) -> Example:
    meta = published("coinr_hierarchy")
    table = published("coinr_values").sort("uCode")
    indicators = meta.filter(pl.col("Type") == "Indicator")["iCode"].to_list()
    return Example(meta, table["uCode"].to_list(), indicators, table)


@pytest.fixture(scope="module")
def imputed(example: Example) -> FloatArray:
    return impute_group_mean(
        denominated(example), example.table["EurAsia_group"].to_list(), labels=example.labels
    )


def denominated(example: Example) -> FloatArray:
    rows = example.meta.filter(pl.col("Type") == "Indicator")
    ones = np.ones(len(example.units))
    denominators = np.column_stack(
        [
            ones if name is None else example.table[name].cast(pl.Float64).to_numpy()
            for name in rows["Denominator"]
        ]
    )
    return denominate(
        example.matrix(example.table),
        denominators,
        missing_denominator="missing",
        labels=example.labels,
    )


def wide(scores: pl.DataFrame, items: list[str]) -> FloatArray:
    table = scores.filter(pl.col("item_id").is_in(items)).pivot(
        on="item_id", index="region_code", values="score"
    )
    return table.sort("region_code").select(items).to_numpy()


CHAIN = Method(
    treatment="jrc", normalisation="min_max", weights="relative", aggregation="arithmetic"
)


# --- the chain, step by step ---


def test_denominated(example: Example, published: Published) -> None:
    expected = example.matrix(published("coinr_denominated"))
    found = denominated(example)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_imputed_with_the_mean_of_the_group(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    np.testing.assert_allclose(imputed, example.matrix(published("coinr_imputed")), rtol=1e-9)


def test_screening_keeps_every_unit_after_imputation(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    available = published("coinr_availability").sort("uCode")["Dat_Avail"].to_numpy()
    raw = example.matrix(example.table)
    assert screen(imputed, 0.9).all()
    assert np.array_equal(screen(raw, 0.9), available >= 0.9)
    assert not screen(raw, 0.9).all()


def test_treated_by_the_jrc_rule(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    details = {row["iCode"]: row for row in published("coinr_treatment_details").to_dicts()}
    treated = treat_jrc(imputed, labels=example.labels)
    np.testing.assert_allclose(
        treated.values, example.matrix(published("coinr_treated")), rtol=1e-9
    )
    skew, kurt = moments(imputed)
    for i, name in enumerate(example.indicators):
        row = details[name]
        assert skew[i] == pytest.approx(row["check_SkewKurt0.Skew"], rel=1e-9)
        assert kurt[i] == pytest.approx(row["check_SkewKurt0.Kurt"], rel=1e-9)
        assert treated.n_winsorised[i] == (row["winsorise.nwin"] or 0)
    assert treated.passes.all()
    assert not treated.is_log.any()


def test_skewness_and_kurtosis_of_the_raw_values(example: Example, published: Published) -> None:
    rows = {row["iCode"]: row for row in published("coinr_statistics").to_dicts()}
    skew, kurt = moments(example.matrix(example.table))
    for i, name in enumerate(example.indicators):  # published with three significant digits
        assert skew[i] == pytest.approx(rows[name]["Skew"], rel=5e-3)
        assert kurt[i] == pytest.approx(rows[name]["Kurt"], rel=5e-3)


def test_normalised(example: Example, published: Published) -> None:
    treated = example.matrix(published("coinr_treated"))
    np.testing.assert_allclose(
        min_max(treated, polarity=example.polarity, labels=example.labels),
        example.matrix(published("coinr_normalised")),
        **TIGHT,
    )


def test_whole_chain_to_every_level_through_compose(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    scores = compose(example.long(imputed), example.hierarchy(), CHAIN)
    expected = published("coinr_aggregated").sort("uCode")
    items = [name for name in expected.columns if name != "uCode"]
    assert len(items) == 49 + 8 + 2 + 1
    np.testing.assert_allclose(
        wide(scores, items), expected.select(pl.col(items).cast(pl.Float64)).to_numpy(), **TIGHT
    )


# --- method variants ---

NORMALISATIONS = {
    "minmax_1_100": {"rule": "min_max", "low": 1.0, "high": 100.0},
    "zscore_10_2": {"rule": "sample_z", "centre": 10.0, "spread": 2.0},
}
AGGREGATIONS = {"a_amean": "arithmetic", "a_gmean": "geometric", "a_hmean": "harmonic"}


@pytest.mark.parametrize("number", range(1, 21))
def test_factorial_variant(
    example: Example, imputed: FloatArray, published: Published, number: int
) -> None:
    row = published("coinr_factorial_design").row(number - 1, named=True)
    method = Method(
        treatment={"rule": "jrc", "max_points": row["winmax"]},
        normalisation=NORMALISATIONS[row["norm"]],
        weights="relative",
        aggregation=AGGREGATIONS[row["agg"]],
    )
    scores = compose(example.long(imputed), example.hierarchy(), method)
    expected = published("coinr_factorial_scores").sort("uCode")[f"s{number}"].to_numpy()
    np.testing.assert_allclose(wide(scores, ["Index"])[:, 0], expected, **TIGHT)


@pytest.mark.parametrize("name", list(AGGREGATIONS))
def test_aggregations_on_the_scale_1_to_100(
    example: Example, imputed: FloatArray, published: Published, name: str
) -> None:
    method = Method(
        treatment="jrc",
        normalisation=NORMALISATIONS["minmax_1_100"],
        weights="relative",
        aggregation=AGGREGATIONS[name],
    )
    scores = compose(example.long(imputed), example.hierarchy(), method)
    expected = published("coinr_aggregations").sort("uCode")
    columns = [f"{name}_{item}" for item in ("Conn", "Sust", "Index")]
    np.testing.assert_allclose(
        wide(scores, ["Conn", "Sust", "Index"]), expected.select(columns).to_numpy(), **TIGHT
    )


def test_z_scores_of_all_levels(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    method = Method(
        treatment="jrc", normalisation=NORMALISATIONS["zscore_10_2"], weights="relative"
    )
    scores = compose(example.long(imputed), example.hierarchy(), method)
    items = ["Conn", "Sust", "Index"]
    expected = published("coinr_index_zscore").sort("uCode").select(items).to_numpy()
    np.testing.assert_allclose(wide(scores, items), expected, **TIGHT)


def test_leaving_out_one_pillar(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    expected = published("coinr_remove_pillar_ranks").sort("uCode")
    shifts = dict(published("coinr_remove_pillar_shift").iter_rows())
    nominal = expected["Nominal"].to_numpy()
    for pillar in [name for name in expected.columns if name not in ("uCode", "Nominal")]:
        scores = compose(
            example.long(imputed, without=pillar), example.hierarchy(without=pillar), CHAIN
        )
        ranks = rank(wide(scores, ["Index"]))[:, 0]
        assert np.array_equal(ranks, expected[pillar].to_numpy()), pillar
        assert np.abs(ranks - nominal).mean() == pytest.approx(shifts[pillar], abs=1e-9)


# --- single functions ---


def test_copeland_within_pillars(example: Example, published: Published) -> None:
    normalised = example.matrix(published("coinr_normalised"))
    expected = published("coinr_copeland").sort("uCode")
    for pillar in [name for name in expected.columns if name != "uCode"]:
        members = example.members(pillar)
        found = copeland(normalised[:, members], equal_weights(len(members)))
        assert np.array_equal(found, expected[pillar].to_numpy()), pillar


def test_normalisation_functions(example: Example, published: Published) -> None:
    expected = published("coinr_normalisations").sort("uCode")
    first = example.units.index("AUS")
    for name, sign in (("LPI", 1.0), ("CO2", -1.0)):
        x = example.table[name].cast(pl.Float64).to_numpy()[:, None]
        best = float((x * sign).max() * sign)
        found = {
            "n_minmax": min_max(x, polarity=sign),
            "n_zscore": sample_z(x, polarity=sign),
            "n_dist2max": distance_to_reference(x, best, polarity=sign),
            "n_dist2ref": distance_to_reference(x, float(x[first, 0]), polarity=sign),
            "n_prank": percentile_rank(x, polarity=sign),
            "n_rank": rank(x, polarity=sign, best_is_first=False),
            "n_borda": rank(x, polarity=sign, best_is_first=False) - 1,
        }
        if sign > 0:
            found["n_fracmax"] = ratio_to_reference(x, best)
        for function, column in found.items():
            np.testing.assert_allclose(
                column[:, 0], expected[f"{name}__{function}"].to_numpy(), err_msg=function, **TIGHT
            )


def test_cronbach_alpha_of_every_pillar(example: Example, published: Published) -> None:
    normalised = example.matrix(published("coinr_normalised"))
    table = published("coinr_alpha")
    assert table.height == 8
    for pillar, expected in table.iter_rows():
        alpha = cronbach_alpha(normalised[:, example.members(pillar)])
        assert alpha == pytest.approx(expected, abs=1e-9)


def test_principal_components_of_a_pillar(example: Example, published: Published) -> None:
    rotation = published("coinr_pca_rotation")
    columns = [example.indicators.index(name) for name in rotation["ind"]]
    cells = example.matrix(published("coinr_normalised"))[:, columns]
    found = pca(cells)
    np.testing.assert_allclose(
        np.sqrt(found.eigenvalues), published("coinr_pca_sdev")["sdev"].to_numpy(), **TIGHT
    )
    vectors = rotation.drop("ind").to_numpy()
    np.testing.assert_allclose(np.abs(found.vectors), np.abs(vectors), **TIGHT)
    weights = dict(
        published("coinr_pca_weights")
        .filter(pl.col("Level") == 1)
        .select("iCode", "Weight")
        .iter_rows()
    )
    np.testing.assert_allclose(
        first_component_loadings(cells), [weights[name] for name in rotation["ind"]], **TIGHT
    )


def test_correlations_of_a_pillar(example: Example, published: Published) -> None:
    table = published("coinr_correlations")
    columns = [example.indicators.index(name) for name in table.columns]
    cells = example.matrix(published("coinr_normalised"))[:, columns]
    np.testing.assert_allclose(correlations(cells), table.cast(pl.Float64).to_numpy(), **TIGHT)


def test_effective_weights(example: Example, published: Published) -> None:
    expected = dict(published("coinr_effective_weights").select("iCode", "EffWeight").iter_rows())
    found = effective_weights(example.hierarchy(), "relative")
    assert found.height == len(expected)
    for name, weight in found.select("item_id", "effective_weight").iter_rows():
        assert weight == pytest.approx(expected[name], abs=1e-9), name


# --- the panel ---


@pytest.fixture(scope="module")
def panel(example: Example, published: Published) -> pl.DataFrame:
    """Index of the panel: treated per year, normalised over all years, gaps skipped."""
    raw = published("coinr_panel_values").select(
        pl.col(example.indicators).cast(pl.Float64), region_code="uCode", year="Time"
    )
    kept = raw.filter(screen(raw.select(example.indicators).to_numpy(), 0.9))
    values = kept.unpivot(
        index=["region_code", "year"], variable_name="indicator_id", value_name="value"
    )
    method = Method(
        treatment={"rule": "jrc", "reference": "year"},
        normalisation={"rule": "min_max", "reference": "all"},
        weights="relative",
        missing={"rule": "renormalise", "min_coverage_share": 0.0},
    )
    return compose(values, example.hierarchy(), method)


def test_panel_of_five_years(panel: pl.DataFrame, published: Published) -> None:
    expected = published("coinr_panel_index").sort("Time", "uCode")
    for item in ("Conn", "Sust", "Index"):
        found = panel.filter(pl.col("item_id") == item).sort("year", "region_code")
        assert found["region_code"].to_list() == expected["uCode"].to_list()
        np.testing.assert_allclose(found["score"].to_numpy(), expected[item].to_numpy(), **TIGHT)


def test_compound_growth_of_the_panel(panel: pl.DataFrame, published: Published) -> None:
    expected = published("coinr_panel_growth").sort("uCode")
    index = panel.filter(pl.col("item_id") == "Index").sort("region_code")
    ends = [index.filter(pl.col("year") == year)["score"].to_numpy() for year in (2018, 2022)]
    growth = compound_growth(ends[0], ends[1], np.full(ends[0].size, 4.0))
    np.testing.assert_allclose(growth, expected["CAGR"].to_numpy(), **TIGHT)


def test_ranks_of_the_reference_scores(
    example: Example, imputed: FloatArray, published: Published
) -> None:
    nominal = published("coinr_monte_carlo_ranks").sort("uCode")["Nominal"].to_numpy()
    scores = compose(example.long(imputed), example.hierarchy(), CHAIN)
    assert np.array_equal(rank_last_axis(-wide(scores, ["Index"])[:, 0]), nominal)
