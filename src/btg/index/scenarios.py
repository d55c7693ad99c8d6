"""Choices reported one at a time beside the factorial design, and random weights.

All start from the default variant and return frames in the manner of the design: scenario_id,
region_code, year, score, rank, and a count of the municipalities that a scenario loses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from btg.index.aggregate import AGGREGATIONS
from btg.index.arrays import TOLERANCE, FloatArray, Labels
from btg.index.change import Structure
from btg.index.errors import IndexMethodError
from btg.index.hierarchy import Hierarchy, nodes
from btg.index.normalise import base_year_score, rank_last_axis
from btg.index.ruler import fit_ruler
from btg.index.variants import (
    DEFAULT_VARIANT,
    SensitivityInputs,
    default_index,
    dimension_scores,
    index_scores,
    parse_variant_id,
    ranks,
    scaled_values,
)
from btg.index.weights import dirichlet_draws, perturbed_weights, weights_within

CLIP_SCENARIOS = (0.0, 0.05)
COVERAGE_SCENARIO = 0.6
CONCENTRATION = 50.0
CHUNK = 100


def default_scaled(inputs: SensitivityInputs) -> FloatArray:
    """Cells of the default variant on the 100/10 scale: [R, Y, I]."""
    chosen = parse_variant_id(DEFAULT_VARIANT)
    return scaled_values(inputs, chosen.form, chosen.ruler, chosen.base)


def arithmetic_index(
    inputs: SensitivityInputs,
    scaled: FloatArray,
    structure: Structure,
    *,
    min_indicator_share: float | None = None,
) -> FloatArray:
    """Index [R, Y] of the default form from given cells, weights and threshold."""
    share = inputs.min_indicator_share if min_indicator_share is None else min_indicator_share
    weights = np.broadcast_to(structure.indicator_weights, inputs.common_set.shape)
    dimensions = dimension_scores(
        scaled,
        weights,
        structure,
        aggregation="arithmetic",
        min_share=share,
        labels=inputs.labels,
    )
    present = structure.dimension_weights > 0
    dimensions[..., ~present] = np.nan
    in_set = np.broadcast_to(present, (len(inputs.years), present.size))
    index = index_scores(
        dimensions,
        structure.dimension_weights,
        in_set,
        aggregation="arithmetic",
        min_share=inputs.min_dimension_share,
        labels=Labels(inputs.region_codes, inputs.dimension_ids, inputs.years),
    )
    return np.where(inputs.is_index_year, index, np.nan)


def _clip_scenario(inputs: SensitivityInputs, share: float) -> FloatArray:
    """Cells scored on a ruler clipped at another percentile of the same baseline."""
    municipal, baseline = inputs.is_municipality, inputs.base_values["method"]
    ruler = fit_ruler(
        baseline[municipal],
        weights=inputs.population[municipal],
        centre=inputs.rulers["population", "method"].m,
        clip=(share, 1.0 - share),
        labels=Labels(indicators=inputs.indicator_ids),
    )
    values = inputs.values.copy()
    values[:, inputs.base, :] = baseline
    return base_year_score(values, ruler, polarity=inputs.polarity, labels=inputs.labels)


def scenarios(inputs: SensitivityInputs) -> Iterator[tuple[str, FloatArray]]:
    """The one-at-a-time choices: (scenario_id, index [R, Y]).

    ``clip=0``, ``clip=0.05`` (percentiles at which the baseline is clipped), ``coverage=0.6``
    (weight that a dimension needs), ``coverage=1`` (complete dimensions only), ``carry=0`` (carried
    cells missing; a base cell is never carried).
    """
    scaled, structure = default_scaled(inputs), inputs.structure
    for share in CLIP_SCENARIOS:
        yield f"clip={share:g}", arithmetic_index(inputs, _clip_scenario(inputs, share), structure)
    for share in (COVERAGE_SCENARIO, 1.0):
        index = arithmetic_index(inputs, scaled, structure, min_indicator_share=share)
        yield f"coverage={share:g}", index
    observed = np.where(inputs.is_carried, np.nan, scaled)
    yield "carry=0", arithmetic_index(inputs, observed, structure)


def leave_one_out(inputs: SensitivityInputs) -> Iterator[tuple[str, FloatArray]]:
    """Without each indicator and without each dimension: (scenario_id, index [R, Y]).

    Ids ``without_indicator=<id>`` and ``without_dimension=<id>``. The remaining weights are scaled
    to sum 1 within the dimension, or over the dimensions; a dimension on one indicator goes with
    it.
    """
    scaled, structure = default_scaled(inputs), inputs.structure
    for i, name in enumerate(inputs.indicator_ids):
        index = arithmetic_index(inputs, scaled, without_indicator(structure, i))
        yield f"without_indicator={name}", index
    for d, name in enumerate(inputs.dimension_ids):
        index = arithmetic_index(inputs, scaled, without_dimension(structure, d))
        yield f"without_dimension={name}", index


def without_indicator(structure: Structure, indicator: int) -> Structure:
    """The structure with one indicator at weight 0; its dimension too if it was alone in it."""
    of = structure.dimension_of
    kept = np.arange(of.size) != indicator
    weights = weights_within(structure.indicator_weights, of.astype(np.str_).tolist(), kept)
    dimension = int(of[indicator])
    if weights[of == dimension].any():
        return replace(structure, indicator_weights=weights)
    return without_dimension(structure, dimension)


def without_dimension(structure: Structure, dimension: int) -> Structure:
    """The structure with one dimension at weight 0 and the others scaled to sum 1."""
    weights = structure.dimension_weights.copy()
    weights[dimension] = 0.0
    if weights.sum() <= 0:
        raise IndexMethodError("nothing is left without the dimension", setting="weights")
    return replace(structure, dimension_weights=weights / weights.sum())


def scenario_frame(
    inputs: SensitivityInputs, found: Iterator[tuple[str, FloatArray]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores and losses of scenarios in long form.

    Scores: scenario_id, region_code, year, score, rank. Losses: scenario_id, year, n_lost
    (municipalities with a default index but none here), n_gained, mean_abs_rank_shift against the
    default over municipalities that have both.
    """
    default = default_index(inputs)
    default_ranks = ranks(inputs, default)
    names, scores = zip(*found, strict=True)
    stacked = np.stack(scores)
    ranked = ranks(inputs, stacked)
    n_regions, n_years = default.shape
    index = np.arange(stacked.size)
    frame = pl.DataFrame(
        {
            "scenario_id": pl.Series(list(names))[index // (n_regions * n_years)],
            "region_code": pl.Series(list(inputs.region_codes))[index // n_years % n_regions],
            "year": np.asarray(inputs.years, dtype=np.int64)[index % n_years],
            "score": stacked.ravel(),
            "rank": ranked.ravel(),
        }
    ).with_columns(pl.col("score").fill_nan(None), pl.col("rank").fill_nan(None).cast(pl.Int64))
    return frame, _losses(inputs, names, default_ranks, ranked)


def _losses(
    inputs: SensitivityInputs,
    names: Sequence[str],
    default_ranks: FloatArray,
    ranked: FloatArray,
) -> pl.DataFrame:
    had, has = ~np.isnan(default_ranks), ~np.isnan(ranked)
    shift = np.where(had & has, np.abs(ranked - default_ranks), 0.0).sum(axis=1)
    both = (had & has).sum(axis=1)
    mean = np.divide(shift, both, out=np.full(shift.shape, np.nan), where=both > 0)
    n_years = len(inputs.years)
    return pl.DataFrame(
        {
            "scenario_id": [name for name in names for _ in range(n_years)],
            "year": list(inputs.years) * len(names),
            "n_lost": (had & ~has).sum(axis=1).ravel(),
            "n_gained": (~had & has).sum(axis=1).ravel(),
            "mean_abs_rank_shift": mean.ravel(),
        }
    ).with_columns(pl.col("mean_abs_rank_shift").fill_nan(None))


# --- random weights ---


@dataclass(frozen=True)
class WeightDraws:
    """Default form under random dimension weights.

    ``weights`` [n_draws, D]; ``scores`` and ``ranks`` [n_draws, R, Y], NaN where the default has
    no index (ranks: also for regions that are not municipalities).
    """

    weights: FloatArray
    scores: FloatArray
    ranks: FloatArray


def weight_draws(
    inputs: SensitivityInputs,
    *,
    n_draws: int = 1000,
    seed: int = 2019,
    concentration: float = CONCENTRATION,
) -> WeightDraws:
    """The default index under ``n_draws`` Dirichlet weights with mean the stated weights.

    alpha_d = ``concentration`` * W_d (50/11 each for eleven equal dimensions). Missing dimensions
    are re-normalised as in the default; the coverage rule does not depend on the draw.
    """
    structure = inputs.structure
    drawn = dirichlet_draws(concentration * structure.dimension_weights, n_draws, seed)
    dimensions = dimension_scores(
        default_scaled(inputs),
        np.broadcast_to(structure.indicator_weights, inputs.common_set.shape),
        structure,
        aggregation="arithmetic",
        min_share=inputs.min_indicator_share,
        labels=inputs.labels,
    )
    present = ~np.isnan(dimensions)
    kept = (present.mean(axis=-1) >= inputs.min_dimension_share - TOLERANCE) & inputs.is_index_year
    flat = np.where(present, dimensions, 0.0).reshape(-1, structure.dimension_weights.size)
    mass = drawn @ present.reshape(flat.shape).astype(np.float64).T
    scores = np.divide(drawn @ flat.T, mass, out=np.full(mass.shape, np.nan), where=mass > 0)
    scores[:, ~kept.ravel()] = np.nan
    cube = scores.reshape(n_draws, *kept.shape)
    ranked = np.empty(cube.shape)
    for start in range(0, n_draws, CHUNK):  # bounds the memory of the sorting
        ranked[start : start + CHUNK] = ranks(inputs, cube[start : start + CHUNK])
    return WeightDraws(drawn, cube, ranked)


def weight_draw_frame(inputs: SensitivityInputs, draws: WeightDraws) -> pl.DataFrame:
    """Spread over the draws per region and year.

    region_code, year, score_p05, score_p95, rank_p05, rank_median, rank_p95.
    Percentiles of type 7; null where there is no score (ranks: no municipality).
    """
    n_years = len(inputs.years)
    low, high = np.quantile(draws.scores, [0.05, 0.95], axis=0)
    rank_low, rank_middle, rank_high = np.quantile(draws.ranks, [0.05, 0.5, 0.95], axis=0)
    columns = {
        "score_p05": low,
        "score_p95": high,
        "rank_p05": rank_low,
        "rank_median": rank_middle,
        "rank_p95": rank_high,
    }
    return pl.DataFrame(
        {
            "region_code": [code for code in inputs.region_codes for _ in range(n_years)],
            "year": list(inputs.years) * len(inputs.region_codes),
            **{name: array.ravel() for name, array in columns.items()},
        }
    ).with_columns(pl.col(list(columns)).fill_nan(None))


def monte_carlo_ranks(
    alternatives: Sequence[FloatArray],
    hierarchy: Hierarchy,
    *,
    aggregations: Sequence[str],
    noise_share: float,
    perturbed: Sequence[str],
    n_replications: int,
    seed: int,
    weights: str = "given",
) -> FloatArray:
    """Ranks (best 1, ties lowest) of regions over random choices: [n_replications, n_regions].

    Every replication has one of the ``alternatives`` (complete normalised cells [n_regions, n],
    columns in the order of the hierarchy) and one of the ``aggregations``, each pair equally often
    and in random order, and draws, for the children of the ``perturbed`` dimensions, weights moved
    by at most ``noise_share``. Replications with the same pair are computed together.
    Source: Saisana et al. (2005); COINr ``get_sensitivity``.
    """
    rng = np.random.default_rng(seed)
    pair = rng.permutation(np.arange(n_replications) % (len(alternatives) * len(aggregations)))
    chosen, rule = np.divmod(pair, len(aggregations))
    ordered = nodes(hierarchy, weights)
    scores = np.empty((n_replications, alternatives[0].shape[0]))
    for a, values in enumerate(alternatives):
        for r, name in enumerate(aggregations):
            rows = np.flatnonzero((chosen == a) & (rule == r))
            if rows.size == 0:
                continue
            found = {item: values[None, :, i] for i, item in enumerate(hierarchy.indicator_ids)}
            for node in ordered:
                drawn = node.weights[None, :]
                if node.item_id in perturbed:
                    drawn = perturbed_weights(node.weights, noise_share, rows.size, rng)
                cells = np.stack(
                    np.broadcast_arrays(*(found[child] for child in node.children)), axis=-1
                )
                found[node.item_id] = AGGREGATIONS[name](cells, drawn[:, None, :])
            scores[rows] = found[hierarchy.root]
    return rank_last_axis(-scores)
