from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.scenarios import (
    default_scaled,
    leave_one_out,
    monte_carlo_ranks,
    scenario_frame,
    scenarios,
    weight_draw_frame,
    weight_draws,
    without_dimension,
    without_indicator,
)
from btg.index.sensitivity import (
    FactorialResult,
    factorial,
    factorial_frame,
    interval_frame,
    sensitivity_frame,
    variant,
)
from btg.index.synthetic import synthetic_inputs
from btg.index.variants import (
    DEFAULT_VARIANT,
    SensitivityInputs,
    common_set,
    default_index,
    design,
    parse_variant_id,
    ranks,
    scaled_values,
)

EXAMPLE = "form=geometric_goalposts|weights=pca|set=common|ruler=none|base=nearest"


@pytest.fixture(scope="module")
def inputs() -> SensitivityInputs:
    return synthetic_inputs(n_municipalities=80, n_indicators=24, years=(2017, 2019, 2021, 2022))


@pytest.fixture(scope="module")
def result(inputs: SensitivityInputs) -> FactorialResult:
    return factorial(inputs)


# --- ids ---


def test_the_design_has_120_variants_with_readable_ids() -> None:
    ids = [chosen.variant_id for chosen in design()]
    assert len(ids) == len(set(ids)) == 5 * 3 * 2 * 2 * 2
    assert ids[0] == DEFAULT_VARIANT
    assert EXAMPLE in ids
    assert parse_variant_id(EXAMPLE).variant_id == EXAMPLE


@pytest.mark.parametrize(
    ("variant_id", "message"),
    [
        (EXAMPLE.replace("pca", "PCA"), "setting 'weights'.*'PCA'"),
        (EXAMPLE.replace("|base=nearest", ""), "not of the form"),
        (EXAMPLE + "|colour=red", "not of the form"),
        (EXAMPLE + "|base=method", "not of the form"),
        ("default", "not of the form"),
    ],
)
def test_a_wrong_id_is_an_error(variant_id: str, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        parse_variant_id(variant_id)


# --- variants ---


def test_the_default_variant_by_hand(inputs: SensitivityInputs) -> None:
    values = inputs.values.copy()
    values[:, inputs.base] = inputs.base_values["method"]
    ruler = inputs.rulers["population", "method"]
    cells = 100 + 10 * inputs.polarity * (values - ruler.m) / ruler.s
    expected = np.full(cells.shape[:2], np.nan)
    of, weights = inputs.structure.dimension_of, inputs.structure.indicator_weights
    for r, t in np.ndindex(*cells.shape[:2]):
        found = []
        for d in range(len(inputs.dimension_ids)):
            present = (of == d) & ~np.isnan(cells[r, t])
            share = weights[present].sum()
            if share >= 0.5 - 1e-9:
                found.append((weights[present] * cells[r, t, present]).sum() / share)
        if len(found) >= 9:
            expected[r, t] = np.mean(found)
    np.testing.assert_allclose(default_index(inputs), expected, rtol=0, atol=1e-9)


def test_an_arithmetic_change_is_the_matched_change(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    from btg.index.change import matched_change

    found = matched_change(
        default_scaled(inputs), inputs.is_matched, inputs.structure, base=inputs.base
    )
    known = ~np.isnan(result.changes[0])
    np.testing.assert_allclose(result.changes[0][known], found.index[known], atol=1e-9)


def test_a_variant_alone_is_its_part_of_the_frame(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    whole = factorial_frame(result)
    assert whole.height == 120 * 81 * 4
    assert whole.columns == ["variant_id", "region_code", "year", "score", "rank", "change"]
    for variant_id in (DEFAULT_VARIANT, EXAMPLE, EXAMPLE.replace("pca", "balanced")):
        assert variant(variant_id, inputs).equals(whole.filter(pl.col("variant_id") == variant_id))


def test_each_factor_changes_the_scores(inputs: SensitivityInputs) -> None:
    default = variant(DEFAULT_VARIANT, inputs)["score"]
    for old, new in (
        ("arithmetic_sd", "arithmetic_percentile"),
        ("arithmetic_sd", "arithmetic_goalposts"),
        ("arithmetic_sd", "ampi_goalposts"),
        ("weights=equal", "weights=pca"),
        ("weights=equal", "weights=balanced"),
        ("set=all", "set=common"),
        ("ruler=population", "ruler=none"),
        ("base=method", "base=nearest"),
    ):
        other = variant(DEFAULT_VARIANT.replace(old, new), inputs)["score"]
        assert (other - default).abs().max() > 1e-3, new


def test_percentiles_are_weighted_as_the_ruler(inputs: SensitivityInputs) -> None:
    weighted = scaled_values(inputs, "arithmetic_percentile", "population", "method")
    plain = scaled_values(inputs, "arithmetic_percentile", "none", "method")
    assert np.nanmax(np.abs(weighted - plain)) > 1.0
    baseline = plain[inputs.is_municipality, inputs.base]
    np.testing.assert_allclose(np.nanmean(baseline, axis=0), 50.0)


def test_goalposts_do_not_depend_on_the_weighting_of_the_ruler(inputs: SensitivityInputs) -> None:
    one = scaled_values(inputs, "ampi_goalposts", "population", "method")
    other = scaled_values(inputs, "ampi_goalposts", "none", "method")
    np.testing.assert_array_equal(one, other)


def test_the_less_compensation_the_lower_the_unbalanced(inputs: SensitivityInputs) -> None:
    mean = variant(DEFAULT_VARIANT.replace("arithmetic_sd", "arithmetic_goalposts"), inputs)
    penalised = variant(DEFAULT_VARIANT.replace("arithmetic_sd", "ampi_goalposts"), inputs)
    assert (mean["rank"] != penalised["rank"]).any()


def test_ranks_are_among_municipalities_only(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    assert np.isnan(result.ranks[:, inputs.nation]).all()
    assert np.nanmin(result.ranks) == 1
    assert np.nanmax(result.ranks) <= 80


def test_years_outside_the_index_years_have_no_score(inputs: SensitivityInputs) -> None:
    limited = replace(inputs, is_index_year=np.array([False, True, True, True]))
    found = variant(EXAMPLE, limited)
    assert found.filter(pl.col("year") == 2017)["score"].null_count() == 81
    assert found.filter(pl.col("year") == 2021)["score"].null_count() < 81


def test_an_extreme_value_under_the_geometric_form_names_its_cell(
    inputs: SensitivityInputs,
) -> None:
    values = inputs.values.copy()
    extreme = -inputs.polarity[0] * 1e4
    values[5, 2, 0] = extreme
    with pytest.raises(MethodError, match=r"'indicator_00', region 'GM0005', year 2021"):
        factorial(replace(inputs, values=values))


# --- summaries ---


def test_intervals_hold_the_default_and_need_every_variant(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    table = interval_frame(result)
    assert table.height == 81 * 4
    known = table.filter(pl.col("rank_median").is_not_null())
    assert (known["rank_p05"] <= known["rank_median"]).all()
    assert (known["rank_median"] <= known["rank_p95"]).all()
    assert (known["n_variants"] == 120).all()
    scores = result.scores.copy()
    scores[3, 0, 0] = np.nan
    broken = interval_frame(replace(result, scores=scores)).row(0, named=True)
    assert broken["score_p05"] is None
    assert broken["n_variants"] == 119
    nation = table.filter((pl.col("region_code") == "NL01") & (pl.col("year") == 2019))
    assert nation["rank_median"].item() is None
    assert nation["score_p95"].item() == pytest.approx(100.0)
    assert nation["share_improved"].item() == 0.0


def test_variance_shares_per_year_and_output(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    table = sensitivity_frame(result)
    assert table.height == 4 * 2 * 5
    assert set(table["n_variants"]) == {120}
    base = table.filter((pl.col("year") == 2019) & (pl.col("output") == "change"))
    assert base["first_order_share"].null_count() == 5
    rest = table.filter(pl.col("first_order_share").is_not_null())
    assert (rest["first_order_share"] <= rest["total_share"] + 1e-12).all()
    ranked = result.ranks.copy()
    ranked[7, 0, :] = np.nan
    fewer = sensitivity_frame(replace(result, ranks=ranked))
    more = fewer.filter(pl.col("output") == "rank")["n_excluded"]
    assert (more == table.filter(pl.col("output") == "rank")["n_excluded"] + 1).all()


def test_signs_of_dimensions_count_the_variants_that_have_them(
    inputs: SensitivityInputs, result: FactorialResult
) -> None:
    total = result.dimension_improved + result.dimension_worsened
    known = ~np.isnan(total)
    assert known.any()
    assert (total[known] <= 1 + 1e-12).all()
    assert (result.dimension_improved[:, inputs.base][known[:, inputs.base]] == 0).all()


# --- inputs ---


def test_the_contract_of_the_inputs_is_checked(inputs: SensitivityInputs) -> None:
    with pytest.raises(MethodError, match=r"'is_carried'.*expected \(81, 4, 24\)"):
        replace(inputs, is_carried=inputs.is_carried[:, :2])
    with pytest.raises(MethodError, match="nearest"):
        replace(inputs, base_values={"method": inputs.base_values["method"]})
    with pytest.raises(MethodError, match="no ruler"):
        replace(inputs, rulers={})
    with pytest.raises(MethodError, match="NL00"):
        replace(inputs, national_region="NL00")
    with pytest.raises(MethodError, match="population"):
        replace(inputs, population=np.zeros(81))
    with pytest.raises(MethodError, match="dimension_weights"):
        replace(inputs, dimension_ids=inputs.dimension_ids[:-1])


def test_common_set_needs_95_per_cent_and_all_of_the_deal_region() -> None:
    values = np.ones((41, 1, 3))
    values[39:, 0, 0] = np.nan  # 1 of 40 municipalities (and the nation)
    values[37:, 0, 1] = np.nan  # 3 of 40
    values[2, 0, 2] = np.nan  # one of those that must have it
    municipal = np.arange(41) < 40
    found = common_set(values, is_municipality=municipal, must_have=np.arange(41) < 14)
    assert found.tolist() == [[True, False, False]]


# --- one at a time ---


def test_scenarios_report_what_they_lose(inputs: SensitivityInputs) -> None:
    frame, losses = scenario_frame(inputs, scenarios(inputs))
    names = ["clip=0", "clip=0.05", "coverage=0.6", "coverage=1", "carry=0"]
    assert frame["scenario_id"].unique(maintain_order=True).to_list() == names
    assert frame.height == 5 * 81 * 4
    lost = losses.group_by("scenario_id").agg(pl.col("n_lost").sum())
    by_name = dict(lost.iter_rows())
    assert by_name["clip=0"] == 0
    assert by_name["coverage=1"] > 0
    default = default_index(inputs)
    clip = frame.filter(pl.col("scenario_id") == "clip=0")["score"].to_numpy()
    assert np.nanmax(np.abs(clip - default.ravel())) > 1e-3


def test_without_carried_cells_is_as_if_they_were_missing(inputs: SensitivityInputs) -> None:
    values = np.where(inputs.is_carried, np.nan, inputs.values)
    expected = default_index(replace(inputs, values=values))
    found = dict(scenarios(inputs))["carry=0"]
    np.testing.assert_array_equal(found, expected)


def test_leaving_out_an_indicator_or_dimension(inputs: SensitivityInputs) -> None:
    frame, _ = scenario_frame(inputs, leave_one_out(inputs))
    assert frame["scenario_id"].n_unique() == 24 + 11
    structure = inputs.structure
    first = structure.members(0)
    fewer = without_indicator(structure, int(first[0]))
    assert fewer.indicator_weights[first[0]] == 0.0
    assert fewer.indicator_weights[first].sum() == pytest.approx(1.0)
    one_less = without_dimension(structure, 3)
    assert one_less.dimension_weights[3] == 0.0
    assert one_less.dimension_weights.sum() == pytest.approx(1.0)
    ignored = replace(
        inputs, values=np.where(structure.dimension_of == 3, np.nan, inputs.values),
        base_values={
            name: np.where(structure.dimension_of == 3, np.nan, table)
            for name, table in inputs.base_values.items()
        },
    )  # fmt: skip
    found = dict(leave_one_out(inputs))["without_dimension=dimension_03"]
    expected = default_index(ignored)
    both = ~np.isnan(found) & ~np.isnan(expected)
    assert both.mean() > 0.9
    np.testing.assert_allclose(found[both], expected[both], atol=1e-9)


def test_a_dimension_on_one_indicator_goes_with_it(inputs: SensitivityInputs) -> None:
    small = synthetic_inputs(n_municipalities=30, n_indicators=11, years=(2019, 2020))
    gone = without_indicator(small.structure, 4)
    assert gone.dimension_weights[small.structure.dimension_of[4]] == 0.0


# --- random weights ---


def test_draws_are_seeded_and_average_to_the_default(inputs: SensitivityInputs) -> None:
    draws = weight_draws(inputs, n_draws=2000, seed=3)
    again = weight_draws(inputs, n_draws=2000, seed=3)
    assert np.array_equal(draws.scores, again.scores, equal_nan=True)
    default = default_index(inputs)
    assert np.array_equal(np.isnan(draws.scores[0]), np.isnan(default))
    known = ~np.isnan(default)
    np.testing.assert_allclose(draws.scores.mean(axis=0)[known], default[known], atol=0.3)
    assert draws.ranks.shape == (2000, 81, 4)
    np.testing.assert_array_equal(draws.ranks[1500], ranks(inputs, draws.scores[1500]))
    table = weight_draw_frame(inputs, draws)
    assert table.height == 81 * 4
    national = table.filter((pl.col("region_code") == "NL01") & (pl.col("year") == 2019))
    assert national["score_p05"].item() == pytest.approx(100.0)


def test_a_draw_by_hand(inputs: SensitivityInputs) -> None:
    draws = weight_draws(inputs, n_draws=5, seed=9)
    structure = replace(inputs.structure, dimension_weights=draws.weights[4])
    drawn = default_index(replace(inputs, structure=structure))
    np.testing.assert_allclose(draws.scores[4], drawn, rtol=0, atol=1e-9)


def test_monte_carlo_without_noise_gives_one_ranking() -> None:
    from btg.index.hierarchy import Hierarchy

    hierarchy = Hierarchy(
        pl.DataFrame({"indicator_id": ["a", "b"], "parent_id": ["x", "x"]}),
        pl.DataFrame({"dimension_id": ["x"], "parent_id": [None]}),
    )
    values = np.array([[60.0, 90.0], [80.0, 80.0], [10.0, 20.0]])
    found = monte_carlo_ranks(
        [values], hierarchy, aggregations=["arithmetic"], noise_share=0.0, perturbed=["x"],
        n_replications=7, seed=1, weights="equal",
    )  # fmt: skip
    assert found.tolist() == [[2.0, 1.0, 3.0]] * 7
    noisy = monte_carlo_ranks(
        [values], hierarchy, aggregations=["arithmetic", "geometric"], noise_share=1.0,
        perturbed=["x"], n_replications=200, seed=1, weights="equal",
    )  # fmt: skip
    assert 0.05 < (noisy[:, 0] == 1).mean() < 0.7
    assert Labels().region(3) == "3"
