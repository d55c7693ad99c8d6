"""Properties that the index must have for any data: each test is named after its rule."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btg.index import Hierarchy, Method, MethodError, compose
from btg.index.aggregate import ampi, arithmetic, geometric, harmonic
from btg.index.arrays import FloatArray, Labels
from btg.index.change import Structure, change_vs_reference, matched_change, matched_set
from btg.index.frames import to_dense
from btg.index.hierarchy import effective_weights
from btg.index.missing import FillingRule, fill_series, present_weights
from btg.index.normalise import base_year_score, percentile_on_reference, rank
from btg.index.ruler import Ruler, fit_ruler, ruler_from_frame, ruler_to_frame
from btg.index.sensitivity import factorial, variant
from btg.index.synthetic import synthetic_inputs
from btg.index.transforms import transform
from btg.index.variance import variance_shares
from btg.index.variants import DEFAULT_VARIANT, build_rulers, default_index, design, ranks

BASE_YEAR = 2019
NATION = "NL01"
MONOTONE = ["identity", "log", "sqrt", "cube_root", "square", "reciprocal"]
FAST = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(6, 18), st.integers(2, 4), st.integers(3, 7))


class Case:
    """A composite with one nation, some regions and years, gaps included; positive values."""

    def __init__(self, seed: int, size: tuple[int, int, int], *, gaps: bool = True) -> None:
        rng = np.random.default_rng(seed)
        n_regions, n_years, n = size
        self.regions = [f"GM{i:04d}" for i in range(n_regions)]
        self.years = list(range(BASE_YEAR, BASE_YEAR + n_years))
        self.indicators = [f"i{i}" for i in range(n)]
        level = rng.uniform(5.0, 50.0, n)
        cells = level * rng.lognormal(0.0, 0.3, (n_regions + 1, n_years, n))
        if gaps:
            lost = rng.random(cells.shape) < 0.1
            lost[-1], lost[:4, 0] = False, False
            cells[lost] = np.nan
        self.values = cells
        self.polarity = rng.choice([-1, 1], n)
        self.transforms = rng.choice(MONOTONE, n).tolist()
        self.population = rng.lognormal(9.0, 1.0, n_regions)
        self.dimension = [f"d{i % 2}" for i in range(n)]
        self.weight = rng.uniform(0.5, 2.0, n)
        for name in ("d0", "d1"):
            members = [i for i, d in enumerate(self.dimension) if d == name]
            self.weight[members] /= self.weight[members].sum()

    def frame(self) -> pl.DataFrame:
        rows = [
            {
                "region_code": region,
                "year": year,
                "indicator_id": name,
                "value": None if np.isnan(x) else float(x),
            }
            for region, table in zip([*self.regions, NATION], self.values, strict=True)
            for year, line in zip(self.years, table, strict=True)
            for name, x in zip(self.indicators, line, strict=True)
        ]
        return pl.DataFrame(rows, schema_overrides={"value": pl.Float64})

    def people(self) -> pl.DataFrame:
        return pl.DataFrame({"region_code": self.regions, "population": self.population})

    def hierarchy(self) -> Hierarchy:
        return Hierarchy(
            pl.DataFrame(
                {
                    "indicator_id": self.indicators,
                    "parent_id": self.dimension,
                    "weight": self.weight,
                    "polarity": self.polarity,
                    "transform": self.transforms,
                }
            ),
            pl.DataFrame(
                {
                    "dimension_id": ["index", "d0", "d1"],
                    "parent_id": [None, "index", "index"],
                    "weight": [None, 0.5, 0.5],
                }
            ),
        )

    def compose(self, frame: pl.DataFrame | None = None) -> pl.DataFrame:
        values = self.frame() if frame is None else frame
        return compose(values, self.hierarchy(), DEFAULT, population=self.people())


DEFAULT = Method(
    normalisation={"rule": "base_year_score", "base_year": BASE_YEAR, "centre_region": NATION},
    missing={"rule": "renormalise", "min_coverage_share": 0.5},
)


def scores(frame: pl.DataFrame) -> FloatArray:
    return frame["score"].fill_null(float("nan")).to_numpy()


# --- the ruler and the scores ---


@FAST
@given(seeds, sizes, st.sampled_from([1e-3, 0.01, 7.0, 1e3, 1e6]))
def test_a_change_of_unit_leaves_scores_identical(
    seed: int, size: tuple[int, int, int], factor: float
) -> None:
    case = Case(seed, size)
    before = scores(case.compose())
    case.values = case.values * factor
    np.testing.assert_allclose(scores(case.compose()), before, rtol=0, atol=1e-8)


@FAST
@given(seeds, st.integers(6, 30))
def test_a_share_and_a_percentage_give_one_score_under_logit(seed: int, n_regions: int) -> None:
    share = np.random.default_rng(seed).uniform(0.02, 0.98, (n_regions, 2))
    by_share, by_pct = transform(share, "logit"), transform(100.0 * share, "logit_pct")
    scored = [base_year_score(g, fit_ruler(g)) for g in (by_share, by_pct)]
    np.testing.assert_allclose(scored[0], scored[1], rtol=0, atol=1e-9)


@FAST
@given(seeds, sizes)
def test_flipping_polarity_mirrors_scores_around_100(seed: int, size: tuple[int, int, int]) -> None:
    case = Case(seed, size)
    before = scores(case.compose())
    case.polarity = -case.polarity
    np.testing.assert_allclose(scores(case.compose()), 200.0 - before, rtol=0, atol=1e-9)


@FAST
@given(seeds, sizes)
def test_the_nation_in_the_base_year_is_100(seed: int, size: tuple[int, int, int]) -> None:
    found = (
        Case(seed, size)
        .compose()
        .filter((pl.col("region_code") == NATION) & (pl.col("year") == BASE_YEAR))
    )
    assert found.height == size[2] + 3
    np.testing.assert_allclose(scores(found), 100.0, rtol=0, atol=1e-9)


@FAST
@given(seeds, sizes)
def test_permuting_rows_changes_nothing(seed: int, size: tuple[int, int, int]) -> None:
    case = Case(seed, size)
    shuffled = case.frame().sample(fraction=1.0, shuffle=True, seed=seed % 1000)
    assert case.compose(shuffled).equals(case.compose())


@FAST
@given(seeds, st.integers(5, 40))
def test_permuting_regions_leaves_the_ruler_bit_identical(seed: int, n_regions: int) -> None:
    rng = np.random.default_rng(seed)
    baseline, weights = rng.normal(50, 9, (n_regions, 3)), rng.lognormal(9, 1, n_regions)
    order = rng.permutation(n_regions)
    one, other = (
        fit_ruler(baseline, weights=weights),
        fit_ruler(baseline[order], weights=weights[order]),
    )
    for name in ("m", "s", "clip_lo", "clip_hi", "n_units"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@FAST
@given(seeds, sizes)
def test_appending_a_year_leaves_earlier_scores_bit_identical(
    seed: int, size: tuple[int, int, int]
) -> None:
    case = Case(seed, size)
    frame = case.frame()
    shorter = frame.filter(pl.col("year") < case.years[-1])
    earlier = case.compose(frame).filter(pl.col("year") < case.years[-1])
    assert earlier.equals(case.compose(shorter))


@FAST
@given(seeds, sizes)
def test_a_stored_ruler_gives_bit_identical_scores(seed: int, size: tuple[int, int, int]) -> None:
    case = Case(seed, size)
    cells = transform(case.values, case.transforms)
    ruler = fit_ruler(
        cells[:-1, 0],
        weights=case.population,
        centre=cells[-1, 0],
        labels=Labels(indicators=case.indicators),
    )
    stored = ruler_from_frame(ruler_to_frame(ruler), case.indicators)
    method = replace(DEFAULT, normalisation="ruler_score")
    again = compose(case.frame(), case.hierarchy(), method, ruler=stored)
    assert again.equals(case.compose())


@FAST
@given(seeds, sizes, st.floats(0.001, 5.0), st.data())
def test_a_better_value_never_lowers_a_score(
    seed: int, size: tuple[int, int, int], step: float, data: st.DataObject
) -> None:
    case = Case(seed, size)
    region = data.draw(st.integers(0, size[0] - 1))
    year = data.draw(st.integers(1, size[1] - 1))  # the base year makes the ruler
    i = data.draw(st.integers(0, size[2] - 1))
    before = case.compose()
    case.values[region, year, i] *= 1.0 + step if case.polarity[i] > 0 else 1.0 / (1.0 + step)
    after = case.compose()
    assert (scores(after) >= scores(before) - 1e-9)[~np.isnan(scores(before))].all()
    untouched = (pl.col("region_code") != case.regions[region]) | (
        pl.col("year") != case.years[year]
    )
    assert after.filter(untouched).equals(before.filter(untouched))


# --- missing values ---


@FAST
@given(seeds, st.integers(2, 8), st.floats(0.0, 1.0))
def test_a_missing_indicator_never_acts_as_zero(seed: int, n: int, min_share: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(80, 120, (30, n))
    values[rng.random(values.shape) < 0.4] = np.nan
    weights = rng.dirichlet(np.ones(n))
    effective, share = present_weights(values, weights, min_share=min_share)
    found = arithmetic(values, effective)
    for row, line in enumerate(values):
        present = ~np.isnan(line)
        known = weights[present].sum()
        assert share[row] == pytest.approx(known, abs=1e-12)
        if not present.any() or known < min_share - 1e-9:
            assert np.isnan(found[row])
        else:
            by_hand = (weights[present] * line[present]).sum() / known
            assert found[row] == pytest.approx(by_hand, abs=1e-9)
            assert line[present].min() - 1e-9 <= found[row] <= line[present].max() + 1e-9


@st.composite
def series(draw: st.DrawFn) -> pl.DataFrame:
    """Observations of three series in some of the years 2012-2024."""
    rows = []
    for name in ("a", "b", "c"):
        for year in sorted(draw(st.sets(st.integers(2012, 2024), max_size=9))):
            value = draw(st.floats(-1e3, 1e3, allow_nan=False))
            rows.append(
                {"region_code": "GM0153", "indicator_id": name, "year": year, "value": value}
            )
    return pl.DataFrame(
        rows,
        schema={
            "region_code": pl.String,
            "indicator_id": pl.String,
            "year": pl.Int64,
            "value": pl.Float64,
        },
    )


@FAST
@given(series(), st.integers(2025, 2027), st.floats(-1e3, 1e3, allow_nan=False))
def test_a_later_observation_only_fills_what_was_not_observed(
    observations: pl.DataFrame, year: int, value: float
) -> None:
    later = pl.DataFrame(
        {
            "region_code": ["GM0153"] * 3,
            "indicator_id": ["a", "b", "c"],
            "year": [year] * 3,
            "value": [value] * 3,
        }
    )
    empty = pl.DataFrame(
        {
            "region_code": ["GM0153"] * 3,
            "indicator_id": ["a", "b", "c"],
            "year": [2010] * 3,
            "value": pl.Series([None] * 3, dtype=pl.Float64),
        }
    )
    observations = pl.concat([observations, empty])
    years = range(2012, 2025)
    before = fill_series(observations, years=years)
    after = fill_series(pl.concat([observations, later]), years=years)
    settled = before["cell_status"].is_in(["observed", "interpolated", "substituted"])
    columns = ["value", "cell_status", "obs_first_year", "obs_last_year"]
    assert before.filter(settled).select(columns).equals(after.filter(settled).select(columns))
    changed = before["cell_status"] != after["cell_status"]
    assert set(after.filter(changed)["cell_status"]) <= {"interpolated"}
    assert set(before.filter(changed)["cell_status"]) <= {"carried", "missing"}


@FAST
@given(series(), st.integers(1, 5), st.integers(0, 3))
def test_no_cell_is_filled_beyond_the_rule(
    observations: pl.DataFrame, max_gap: int, max_carry: int
) -> None:
    rule = FillingRule(max_gap=max_gap, max_carry=max_carry)
    filled = fill_series(observations, years=range(2012, 2027), rule=rule)
    assert filled.select("region_code", "indicator_id", "year").is_unique().all()
    missing = pl.col("cell_status") == "missing"
    assert filled.filter(missing)["value"].is_null().all()
    assert filled.filter(missing)["missing_reason"].is_not_null().all()
    assert filled.filter(~missing)["value"].is_not_null().all()
    off_base = filled.filter(pl.col("year") != rule.base_year)
    linear = off_base.filter(pl.col("cell_status") == "interpolated")
    assert (linear["obs_last_year"] - linear["obs_first_year"] <= max_gap).all()
    carried = off_base.filter(pl.col("cell_status") == "carried")
    assert (carried["year"] - carried["obs_last_year"]).is_between(1, max_carry).all()
    base = filled.filter((pl.col("year") == rule.base_year) & (pl.col("cell_status") != "observed"))
    assert (base["obs_first_year"] >= rule.base_year - 3).all()
    assert (base["obs_last_year"] <= rule.base_year + 3).all()


# --- change ---


def structure_of(case: Case) -> Structure:
    of = np.array([int(name[1]) for name in case.dimension])
    return Structure(of, case.weight, np.array([0.5, 0.5]))


def matched_of(case: Case) -> np.ndarray:
    observed = np.broadcast_to(np.array(case.years, dtype=float)[None, :, None], case.values.shape)
    return matched_set(case.values, observed, observed, years=case.years, base_year=BASE_YEAR)


@FAST
@given(seeds, sizes)
def test_contributions_sum_to_the_matched_change(seed: int, size: tuple[int, int, int]) -> None:
    case = Case(seed, size)
    found = matched_change(
        case.values, matched_of(case), structure_of(case), base=0, min_dimensions=1
    )
    total = np.nansum(found.contributions, axis=-1)
    known = ~np.isnan(found.index)
    assert known.any()
    np.testing.assert_allclose(total[known], found.index[known], rtol=0, atol=1e-9)
    assert np.isnan(found.contributions[~known]).all()
    np.testing.assert_allclose(found.index[:, 0][known[:, 0]], 0.0, atol=1e-12)


@FAST
@given(seeds, sizes, st.data())
def test_weight_0_gives_contribution_0(
    seed: int, size: tuple[int, int, int], data: st.DataObject
) -> None:
    case = Case(seed, (size[0], size[1], max(size[2], 4)))
    i = data.draw(st.integers(0, len(case.indicators) - 1))
    case.weight[i] = 0.0
    members = [j for j, d in enumerate(case.dimension) if d == case.dimension[i]]
    case.weight[members] /= case.weight[members].sum()
    structure, matched = structure_of(case), matched_of(case)
    found = matched_change(case.values, matched, structure, base=0, min_dimensions=1)
    own = found.contributions[..., i]
    assert (own[~np.isnan(own)] == 0.0).all()
    before = scores(case.compose().filter(pl.col("level") != "indicator"))
    case.values[1:-1, 1:, i] *= 3.0
    after = scores(case.compose().filter(pl.col("level") != "indicator"))
    np.testing.assert_array_equal(after, before)


@FAST
@given(seeds, sizes)
def test_change_against_the_nation_of_the_nation_is_0(
    seed: int, size: tuple[int, int, int]
) -> None:
    case = Case(seed, size)
    found = change_vs_reference(
        case.values, matched_of(case), structure_of(case), base=0, reference=-1, min_dimensions=1
    )
    np.testing.assert_array_equal(found.index[-1], 0.0)


# --- errors ---


@FAST
@given(sizes, seeds, st.data())
def test_a_constant_baseline_is_an_error_that_names_the_indicator(
    size: tuple[int, int, int], seed: int, data: st.DataObject
) -> None:
    case = Case(seed, size)
    i = data.draw(st.integers(0, size[2] - 1))
    case.values[:, 0, i] = 12.5
    with pytest.raises(MethodError, match=f"'i{i}'.*constant"):
        case.compose()


@FAST
@given(sizes, seeds, st.floats(1e-6, 0.5), st.data())
def test_weights_that_do_not_sum_to_1_are_an_error_that_names_the_indicator(
    size: tuple[int, int, int], seed: int, excess: float, data: st.DataObject
) -> None:
    case = Case(seed, size)
    i = data.draw(st.integers(0, size[2] - 1))
    case.weight[i] += excess
    with pytest.raises(MethodError, match=f"i{i}.*not 1"):
        case.compose()


@FAST
@given(st.sampled_from(["treatment", "normalisation", "weights", "missing", "aggregation"]))
def test_an_unknown_or_unused_setting_is_an_error_that_names_it(step: str) -> None:
    known = {
        "treatment": "jrc",
        "normalisation": "sample_z",
        "weights": "given",
        "missing": "complete",
        "aggregation": "arithmetic",
    }
    record = {"normalisation": "sample_z"}
    with pytest.raises(MethodError, match=f"{step}.wieght"):
        Method.from_record(record | {step: {"rule": known[step], "wieght": 1}})
    with pytest.raises(MethodError, match=step):
        Method.from_record(record | {step: "no such rule"})


@FAST
@given(seeds, sizes, st.data())
def test_a_value_of_0_under_a_log_or_geometric_mean_names_indicator_and_region(
    seed: int, size: tuple[int, int, int], data: st.DataObject
) -> None:
    case = Case(seed, size, gaps=False)
    i = data.draw(st.integers(0, size[2] - 1))
    region = data.draw(st.integers(0, size[0] - 1))
    case.values[region, -1, i] = 0.0
    case.transforms = ["identity"] * size[2]
    case.polarity = np.ones(size[2], dtype=int)
    where = f"'i{i}', region 'GM{region:04d}', year {case.years[-1]}"
    with pytest.raises(MethodError, match=where):
        compose(case.frame(), case.hierarchy(), Method("none", aggregation="geometric"))
    case.transforms[i] = "log"
    with pytest.raises(MethodError, match=where):
        case.compose()


# --- aggregation, weights, ranks ---


@FAST
@given(seeds, st.integers(1, 8))
def test_less_compensation_never_gives_more(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.uniform(40, 160, (20, n)), rng.dirichlet(np.ones(n))
    mean = arithmetic(values, weights)
    assert (geometric(values, weights) <= mean + 1e-9).all()
    assert (harmonic(values, weights) <= geometric(values, weights) + 1e-9).all()
    assert (ampi(values, weights) <= mean + 1e-9).all()
    assert (ampi(values, weights, penalty="up") >= mean - 1e-9).all()


@FAST
@given(seeds, sizes)
def test_effective_weights_of_indicators_sum_to_1(seed: int, size: tuple[int, int, int]) -> None:
    hierarchy = Case(seed, size).hierarchy()
    table = effective_weights(hierarchy)
    part = table.filter(pl.col("item_id").is_in(hierarchy.indicator_ids))
    assert part["effective_weight"].sum() == pytest.approx(1.0, abs=1e-9)


@FAST
@given(seeds, st.integers(2, 40))
def test_ranks_are_those_of_counting_better_regions(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).integers(0, 8, (n, 2)).astype(float)
    expected = 1 + (values[None, :, :] > values[:, None, :]).sum(axis=1)
    assert np.array_equal(rank(values), expected)


@FAST
@given(seeds, st.integers(4, 60))
def test_percentiles_are_between_0_and_100_and_keep_the_order(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    reference, weights = rng.normal(size=(n, 1)), rng.lognormal(size=n)
    values = np.sort(rng.normal(size=(50, 1)) * 3, axis=0)
    found = percentile_on_reference(values, reference, weights=weights)[:, 0]
    assert ((found >= 0) & (found <= 100)).all()
    assert (np.diff(found) >= 0).all()


@FAST
@given(seeds)
def test_variance_shares_of_an_additive_output_are_first_order_only(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=5), rng.normal(size=3), rng.normal(size=2)
    additive = (a[:, None, None] + b[None, :, None] + c[None, None, :])[..., None]
    shares = variance_shares(additive, 3)
    np.testing.assert_allclose(shares.first_order, shares.total, atol=1e-9)
    assert shares.first_order.sum() == pytest.approx(1.0, abs=1e-9)
    anything = variance_shares(rng.normal(size=(5, 3, 2, 4)), 3)
    assert (anything.first_order <= anything.total + 1e-12).all()
    assert (anything.first_order.sum(axis=0) <= 1.0 + 1e-12).all()


# --- the factorial design ---


@SLOW
@given(seeds)
def test_every_variant_has_the_nation_and_the_spread_of_the_default_in_the_base_year(
    seed: int,
) -> None:
    inputs = synthetic_inputs(n_municipalities=60, n_indicators=22, years=(2019, 2021), seed=seed)
    result = factorial(inputs)
    assert result.scores.shape == (120, 61, 2)
    np.testing.assert_allclose(result.scores[:, inputs.nation, inputs.base], 100.0, atol=1e-9)
    weights = inputs.population[inputs.is_municipality]
    spreads = [
        np.sqrt(np.cov(scored[inputs.is_municipality, inputs.base], aweights=weights))
        for scored in result.scores
    ]
    np.testing.assert_allclose(spreads, spreads[0], rtol=1e-9)
    default = [chosen.variant_id for chosen in design()].index(DEFAULT_VARIANT)
    np.testing.assert_allclose(result.scores[default], default_index(inputs), atol=1e-9)
    assert (result.changes[:, :, inputs.base] == 0.0).all()


@SLOW
@given(seeds, st.sampled_from([chosen.variant_id for chosen in design()]))
def test_a_variant_alone_equals_its_part_of_the_design_and_regions_may_be_permuted(
    seed: int, variant_id: str
) -> None:
    inputs = synthetic_inputs(n_municipalities=50, n_indicators=22, years=(2019, 2021), seed=seed)
    alone = variant(variant_id, inputs)
    place = [chosen.variant_id for chosen in design()].index(variant_id)
    whole = factorial(inputs)
    np.testing.assert_array_equal(scores(alone), whole.scores[place].ravel())
    order = np.random.default_rng(seed).permutation(len(inputs.region_codes))
    base_values = {name: table[order] for name, table in inputs.base_values.items()}
    codes = [inputs.region_codes[i] for i in order]
    shuffled = replace(
        inputs,
        region_codes=codes,
        values=inputs.values[order],
        base_values=base_values,
        is_carried=inputs.is_carried[order],
        is_matched=inputs.is_matched[order],
        is_municipality=inputs.is_municipality[order],
        population=inputs.population[order],
        rulers=build_rulers(
            base_values,
            is_municipality=inputs.is_municipality[order],
            population=inputs.population[order],
            nation=codes.index(NATION),
            labels=Labels(codes, inputs.indicator_ids),
        ),
    )
    again = variant(variant_id, shuffled).sort("region_code", "year")
    ordered = alone.sort("region_code", "year")
    np.testing.assert_allclose(scores(again), scores(ordered), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(ranks(inputs, whole.scores[place]), whole.ranks[place])


def test_long_and_dense_are_one_table() -> None:
    case = Case(1, (6, 3, 4))
    dense = to_dense(
        case.frame(), regions=[*case.regions, NATION], years=case.years, indicators=case.indicators
    )
    np.testing.assert_array_equal(dense, case.values)
    assert isinstance(fit_ruler(dense[:-1, 0]), Ruler)
