"""The factorial design of 120 variants: intervals, signs and shares of variance.

How a variant is computed is in :mod:`btg.index.variants`; what is varied one at a time, outside the
design, in :mod:`btg.index.scenarios`. Results are dense arrays [n_variants, n_regions, n_years] and
long frames with variant_id, region_code, year.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from btg.index.arrays import FloatArray, IntArray
from btg.index.variance import pooled_variance_shares
from btg.index.variants import (
    FACTORS,
    DimensionEnds,
    SensitivityInputs,
    Variant,
    default_index,
    design,
    dimension_ends,
    feasible,
    index_and_change,
    own_scale,
    parse_variant_id,
    ranks,
    scale_mapping,
    scaled_values,
)

SIGN_MARGIN = 1e-9


def variant(variant_id: str, inputs: SensitivityInputs) -> pl.DataFrame:
    """One variant recomputed alone: variant_id, region_code, year, score, rank, change.

    Identical to its rows in :func:`factorial_frame`. score and change are on the default's scale.
    """
    chosen = parse_variant_id(variant_id)
    level, change = own_scale(inputs, chosen)
    factor, shift = scale_mapping(inputs, default_index(inputs), level, chosen.variant_id)
    mapped = (factor * level + shift)[None]
    ranked, changes = ranks(inputs, mapped), (factor * change)[None]
    return _variant_frame(inputs, [chosen.variant_id], mapped, ranked, changes)


# --- the design ---


@dataclass(frozen=True)
class FactorialResult:
    """All variants: ``scores``, ``ranks`` and ``changes`` [n_variants, R, Y] on one scale.

    ``dimension_improved`` and ``dimension_worsened`` [R, Y, D]: share of the variants in which the
    matched change of a dimension has that sign, over the variants that have the dimension (the
    weights of dimensions do not touch it); NaN unless all of these have the change.
    """

    variant_ids: Sequence[str]
    scores: FloatArray
    ranks: FloatArray
    changes: FloatArray
    dimension_improved: FloatArray
    dimension_worsened: FloatArray
    inputs: SensitivityInputs


def _cells(
    inputs: SensitivityInputs,
) -> Iterator[tuple[str, str, DimensionEnds, list[tuple[str, str]]]]:
    """Dimension scores for every (form, set, ruler, base): what the weights factor starts from.

    Yields form, set, the scores, and the pairs (ruler, base) that share them: a form that does not
    use the ruler's weighting (goalposts) is computed once for both.
    """
    for form in FACTORS["form"]:
        for sharing in _same_scale(inputs, form):
            scaled = scaled_values(inputs, form, *sharing[0])
            for chosen in FACTORS["set"]:
                yield form, chosen, dimension_ends(inputs, scaled, form, chosen), sharing


def _same_scale(inputs: SensitivityInputs, form: str) -> list[list[tuple[str, str]]]:
    """Pairs (ruler, base) in groups for which all cells of a form are the same."""
    groups: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for ruler, base in product(FACTORS["ruler"], FACTORS["base"]):
        fitted, key = inputs.rulers[ruler, base], (ruler, base)
        limits = (fitted.clip_lo.tobytes(), fitted.clip_hi.tobytes(), base)
        groups.setdefault(limits if form.endswith("_goalposts") else key, []).append(key)
    return list(groups.values())


def factorial(inputs: SensitivityInputs) -> FactorialResult:
    """All 120 variants, in the order of :func:`design`; errors name region and indicator."""
    variants = design()
    place = {chosen.variant_id: i for i, chosen in enumerate(variants)}
    shape = (len(variants), len(inputs.region_codes), len(inputs.years))
    scores, changes = np.empty(shape), np.empty(shape)
    default, signs = default_index(inputs), _Signs(inputs)
    for form, chosen_set, found, sharing in _cells(inputs):
        signs.count(found, len(sharing))
        for weights in FACTORS["weights"]:
            level, change = index_and_change(inputs, found, weights)
            names = [Variant(form, weights, chosen_set, *pair).variant_id for pair in sharing]
            factor, shift = scale_mapping(inputs, default, level, names[0])
            for name in names:
                scores[place[name]], changes[place[name]] = factor * level + shift, factor * change
    ids = [chosen.variant_id for chosen in variants]
    ranked = ranks(inputs, scores)
    return FactorialResult(ids, scores, ranked, changes, *signs.shares(), inputs)


def dimension_signs(inputs: SensitivityInputs) -> tuple[FloatArray, FloatArray]:
    """Shares of the variants in which each dimension improved and worsened: [R, Y, D] each.

    As in :class:`FactorialResult`, without computing the index: for the years that have none.
    """
    signs = _Signs(inputs)
    for _, _, found, sharing in _cells(inputs):
        signs.count(found, len(sharing))
    return signs.shares()


def indicator_signs(inputs: SensitivityInputs) -> tuple[FloatArray, FloatArray]:
    """Shares of the variants in which each indicator improved and worsened: [R, Y, I] each.

    Over the variants that hold the indicator, each with its scale and base value; NaN where the
    indicator is not matched. (Sets and weights of dimensions do not touch a single indicator.)
    """
    improved, worsened = np.zeros(inputs.values.shape), np.zeros(inputs.values.shape)
    scales: dict[str, str] = {form.partition("_")[2]: form for form in FACTORS["form"]}
    n_forms = {
        scale: sum(form.endswith(f"_{scale}") for form in FACTORS["form"]) for scale in scales
    }
    total = 0
    for scale, form in scales.items():
        for sharing in _same_scale(inputs, form):
            scaled = scaled_values(inputs, form, *sharing[0])
            change = scaled - scaled[:, inputs.base, None, :]
            n_variants = n_forms[scale] * len(sharing)
            improved += n_variants * (change > SIGN_MARGIN)
            worsened += n_variants * (change < -SIGN_MARGIN)
            total += n_variants
    divisor = np.where(inputs.is_matched, float(total), np.nan)
    return improved / divisor, worsened / divisor


class _Signs:
    """Running count of the variants in which each dimension improved or worsened."""

    def __init__(self, inputs: SensitivityInputs) -> None:
        shape = (len(inputs.region_codes), len(inputs.years), len(inputs.dimension_ids))
        self.improved, self.worsened = np.zeros(shape), np.zeros(shape)
        self.known, self.expected = np.zeros(shape), np.zeros(shape)

    def count(self, found: DimensionEnds, n_variants: int) -> None:
        """Add the variants that share these dimension scores."""
        change = feasible(found.at_end) - feasible(found.at_base)
        self.improved += n_variants * (change > SIGN_MARGIN)
        self.worsened += n_variants * (change < -SIGN_MARGIN)
        self.known += n_variants * ~np.isnan(change)
        self.expected += n_variants * found.in_set[None, :, :]

    def shares(self) -> tuple[FloatArray, FloatArray]:
        """Shares improved and worsened; NaN unless known in every variant with the dimension."""
        whole = (self.known == self.expected) & (self.expected > 0)
        divisor = np.where(whole, self.expected, np.nan)
        return self.improved / divisor, self.worsened / divisor


def factorial_frame(result: FactorialResult) -> pl.DataFrame:
    """Long frame: variant_id, region_code, year, score, rank (municipalities only), change."""
    return _variant_frame(
        result.inputs, result.variant_ids, result.scores, result.ranks, result.changes
    )


def _variant_frame(
    inputs: SensitivityInputs,
    variant_ids: Sequence[str],
    scores: FloatArray,
    ranked: FloatArray,
    changes: FloatArray,
) -> pl.DataFrame:
    """Arrays [n_variants, R, Y] as one row per variant, region and year; NaN becomes null."""
    n_variants, n_regions, n_years = scores.shape
    codes = pl.Series("region_code", list(inputs.region_codes))
    index = np.arange(n_variants * n_regions * n_years)
    return pl.DataFrame(
        {
            "variant_id": pl.Series(list(variant_ids))[index // (n_regions * n_years)],
            "region_code": codes[index // n_years % n_regions],
            "year": np.asarray(inputs.years, dtype=np.int64)[index % n_years],
            "score": scores.ravel(),
            "rank": ranked.ravel(),
            "change": changes.ravel(),
        }
    ).with_columns(
        pl.col("score", "change").fill_nan(None), pl.col("rank").fill_nan(None).cast(pl.Int64)
    )


def interval_frame(result: FactorialResult) -> pl.DataFrame:
    """Method interval per region and year over the variants.

    region_code, year, rank_p05, rank_median, rank_p95, score_p05, score_p95, share_improved,
    share_worsened (of variants, by the sign of the change since the base year), n_variants with a
    score. Percentiles of type 7. Null unless every variant has the value.
    """
    low_score, high_score = np.quantile(result.scores, [0.05, 0.95], axis=0)
    low_rank, middle_rank, high_rank = np.quantile(result.ranks, [0.05, 0.5, 0.95], axis=0)
    known = ~np.isnan(result.changes).any(axis=0)
    improved: FloatArray = (result.changes > SIGN_MARGIN).mean(axis=0)
    worsened: FloatArray = (result.changes < -SIGN_MARGIN).mean(axis=0)
    columns = {
        "rank_p05": low_rank,
        "rank_median": middle_rank,
        "rank_p95": high_rank,
        "score_p05": low_score,
        "score_p95": high_score,
        "share_improved": np.where(known, improved, np.nan),
        "share_worsened": np.where(known, worsened, np.nan),
        "n_variants": (~np.isnan(result.scores)).sum(axis=0),
    }
    return _region_year_frame(result.inputs, columns)


def _region_year_frame(
    inputs: SensitivityInputs, columns: Mapping[str, FloatArray | IntArray]
) -> pl.DataFrame:
    """Arrays [R, Y] as long columns beside region_code and year; NaN becomes null."""
    n_regions, n_years = len(inputs.region_codes), len(inputs.years)
    frame = pl.DataFrame(
        {
            "region_code": pl.Series(list(inputs.region_codes))[
                np.repeat(np.arange(n_regions), n_years)
            ],
            "year": np.tile(np.asarray(inputs.years, dtype=np.int64), n_regions),
            **{name: array.ravel() for name, array in columns.items()},
        }
    )
    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    return frame.with_columns(pl.col(floats).fill_nan(None))


def sensitivity_frame(result: FactorialResult) -> pl.DataFrame:
    """Variance shares of the factors per year.

    year, output, factor, first_order_share, total_share, n_variants, n_excluded. ``output`` is
    "rank" (among municipalities) or "change" (since the base year), per index year,
    pooled over the municipalities for which every variant exists; the others are ``n_excluded``.
    Null where nothing varies (the change in the base year).
    """
    inputs, levels = result.inputs, [len(choices) for choices in FACTORS.values()]
    rows = []
    for position in np.flatnonzero(inputs.is_index_year).tolist():
        for output, array in (("rank", result.ranks), ("change", result.changes)):
            cells = array[:, inputs.is_municipality, position].reshape(*levels, -1)
            shares = pooled_variance_shares(cells, len(levels))
            for i, factor in enumerate(FACTORS):
                rows.append(
                    {
                        "year": int(inputs.years[position]),
                        "output": output,
                        "factor": factor,
                        "first_order_share": float(shares.first_order[i]),
                        "total_share": float(shares.total[i]),
                        "n_variants": array.shape[0],
                        "n_excluded": shares.n_excluded,
                    }
                )
    return pl.DataFrame(rows).with_columns(
        pl.col("first_order_share", "total_share").fill_nan(None)
    )
