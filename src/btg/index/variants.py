"""One variant of the index: what it is computed from, and how.

A variant is one choice per factor and has a readable id, e.g.
``form=geometric_goalposts|weights=pca|set=common|ruler=none|base=nearest``; the default is
:data:`DEFAULT_VARIANT`. Each can be recomputed alone with
:func:`btg.index.sensitivity.variant`.

How a variant is computed (arrays [n_regions, n_years, n_indicators], NaN = missing):

1. ``base``: the base-year slice of g(x) is the method's base value or the nearest observation.
2. ``form``, scale part, on the ruler of (``ruler``, ``base``): "sd" 100 + 10 p (g - m)/s;
   "percentile" the share of the baseline below (weighted as the ruler), 0-100; "goalposts" the
   clip limits mapped to 70-130, uncapped, turned round if p = -1. The clip limits are unweighted
   percentiles by definition, so for goalposts the factor ``ruler`` changes nothing.
3. ``set``: all indicators, or the common set; weights re-normalised within the dimension.
4. ``form``, aggregation part, used at both levels: arithmetic, geometric, or AMPI (penalty down).
   A dimension needs 50 % of its weight in the set, the index 9/11 of the dimensions in the set.
   Where a value that counts is 0 or less, neither a geometric mean nor the AMPI penalty exists:
   an error, or with ``infeasible="leave_out"`` a missing cell of the design (never a
   re-normalised one), see :func:`infeasible_cells`.
5. ``weights`` of dimensions: as stated, PCA, or correlation-balanced, both from the variant's own
   base-year dimension scores of the municipalities that have all dimensions of the set.
6. The index is mapped linearly to the default's scale: same score of the nation and same
   population-weighted standard deviation over municipalities in the base year.

The change of a variant is that of its index over the matched set, same weights at both ends, on
the mapped scale. Source: Saisana, Saltelli & Tarantola (2005); OECD/EU/JRC Handbook step 7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Literal

import numpy as np

from btg.index.aggregate import AGGREGATIONS
from btg.index.arrays import TOLERANCE, BoolArray, FloatArray, IntArray, Labels
from btg.index.change import Structure, base_position
from btg.index.errors import IndexMethodError
from btg.index.missing import present_weights
from btg.index.normalise import (
    base_year_score,
    goalposts,
    percentile_on_reference,
    rank_last_axis,
)
from btg.index.ruler import CLIP, Ruler, fit_ruler
from btg.index.weights import correlation_balanced_weights, pca_weights, weights_within

FACTORS: Mapping[str, tuple[str, ...]] = {
    "form": (
        "arithmetic_sd",
        "arithmetic_percentile",
        "arithmetic_goalposts",
        "geometric_goalposts",
        "ampi_goalposts",
    ),
    "weights": ("equal", "pca", "balanced"),
    "set": ("all", "common"),
    "ruler": ("population", "none"),
    "base": ("method", "nearest"),
}
DEFAULT_VARIANT = "form=arithmetic_sd|weights=equal|set=all|ruler=population|base=method"
NEEDS_POSITIVE = frozenset({"geometric", "ampi"})


# --- variants and their names ---


@dataclass(frozen=True)
class Variant:
    """One choice per factor of the design."""

    form: str
    weights: str
    set: str
    ruler: str
    base: str

    def __post_init__(self) -> None:
        for factor in fields(self):
            choice, known = getattr(self, factor.name), FACTORS[factor.name]
            if choice not in known:
                message = f"unknown choice {choice!r}; known: {', '.join(known)}"
                raise IndexMethodError(message, setting=factor.name)

    @property
    def variant_id(self) -> str:
        """Readable id, the factors in fixed order."""
        return "|".join(f"{name}={getattr(self, name)}" for name in FACTORS)


def parse_variant_id(variant_id: str) -> Variant:
    """The variant with this id; every factor must be named once, in any order."""
    pairs = [part.partition("=") for part in variant_id.split("|")]
    choices = {name: choice for name, _, choice in pairs}
    if len(choices) != len(pairs) or set(choices) != set(FACTORS):
        raise IndexMethodError(f"not of the form {DEFAULT_VARIANT!r}", setting=variant_id)
    return Variant(**choices)


def design() -> list[Variant]:
    """All 120 variants in the order of :data:`FACTORS`, the last factor fastest."""
    return [Variant(*choices) for choices in product(*FACTORS.values())]


# --- inputs ---


@dataclass(frozen=True)
class SensitivityInputs:
    """Everything the variants are computed from; a contract for the pipeline that prepares it.

    R regions (municipalities, their aggregates and the nation), Y years (base year among them), I
    indicators in the index, D dimensions. Values are on the scale of g(x), NaN = missing.

    region_codes, years, indicator_ids, dimension_ids: names of the axes, in their order.
    values [R, Y, I]: g(x) after the filling rule; the base-year slice is taken from base_values.
    base_values: {"method": [R, I], "nearest": [R, I]}, base-year g(x) by the base rule and by the
        nearest observation (:func:`btg.index.missing.nearest_observation`).
    is_carried [R, Y, I]: cells whose status is "carried".
    is_matched [R, Y, I]: cells of the matched set (:func:`btg.index.change.matched_set`), without
        the indicators relative to the nation.
    polarity [I]: +1 or -1. structure: membership and weights (sum 1 per level).
    common_set [Y, I]: indicators that nearly all regions have (:func:`common_set`).
    is_municipality [R]: regions that make the baseline and the ranking.
    population [R]: weight of each municipality in the ruler; NaN elsewhere.
    rulers: one :class:`Ruler` per (ruler weighting, base), :func:`build_rulers`; that of
        ("population", "method") is the stored one.
    is_index_year [Y]: years with an index; others give NaN.
    national_region, base_year; min_indicator_share (of the weight of a dimension),
        min_dimension_share (of the number of dimensions), the same for the matched change.
    infeasible: "error" or "leave_out", what a value of 0 or less means to a form that needs
        values above 0.
    """

    region_codes: Sequence[str]
    years: Sequence[int]
    indicator_ids: Sequence[str]
    dimension_ids: Sequence[str]
    values: FloatArray
    base_values: Mapping[str, FloatArray]
    is_carried: BoolArray
    is_matched: BoolArray
    polarity: FloatArray
    structure: Structure
    common_set: BoolArray
    is_municipality: BoolArray
    population: FloatArray
    rulers: Mapping[tuple[str, str], Ruler]
    is_index_year: BoolArray
    national_region: str = "NL01"
    base_year: int = 2019
    min_indicator_share: float = 0.5
    min_dimension_share: float = 9 / 11
    min_matched_dimension_share: float = 6 / 11
    infeasible: Literal["error", "leave_out"] = "error"

    def __post_init__(self) -> None:
        _check_shapes(self)
        if self.infeasible not in ("error", "leave_out"):
            raise IndexMethodError(f"unknown {self.infeasible!r}", setting="infeasible")
        _check_rulers(self)
        if self.national_region not in self.region_codes:
            raise IndexMethodError("not among the regions", region=self.national_region)
        if not (self.population[self.is_municipality] > 0).all():
            raise IndexMethodError("a municipality has no population", setting="population")

    @property
    def base(self) -> int:
        """Position of the base year."""
        return base_position(self.years, self.base_year)

    @property
    def nation(self) -> int:
        """Position of the national region."""
        return list(self.region_codes).index(self.national_region)

    @property
    def labels(self) -> Labels:
        """Names for error messages."""
        return Labels(self.region_codes, self.indicator_ids, self.years)


def _check_shapes(inputs: SensitivityInputs) -> None:
    n_regions, n_years = len(inputs.region_codes), len(inputs.years)
    n, n_dimensions = len(inputs.indicator_ids), len(inputs.dimension_ids)
    cube = (n_regions, n_years, n)
    expected: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("values", inputs.values.shape, cube),
        ("is_carried", inputs.is_carried.shape, cube),
        ("is_matched", inputs.is_matched.shape, cube),
        ("common_set", inputs.common_set.shape, (n_years, n)),
        ("polarity", inputs.polarity.shape, (n,)),
        ("is_municipality", inputs.is_municipality.shape, (n_regions,)),
        ("population", inputs.population.shape, (n_regions,)),
        ("is_index_year", inputs.is_index_year.shape, (n_years,)),
        ("dimension_weights", inputs.structure.dimension_weights.shape, (n_dimensions,)),
        ("indicator_weights", inputs.structure.indicator_weights.shape, (n,)),
    ]
    for base in FACTORS["base"]:
        if base not in inputs.base_values:
            raise IndexMethodError("not given", setting=f"base_values {base!r}")
        shape = inputs.base_values[base].shape
        expected.append((f"base_values {base!r}", shape, (n_regions, n)))
    for name, found, wanted in expected:
        if found != wanted:
            raise IndexMethodError(f"shape {found}, expected {wanted}", setting=name)


def _check_rulers(inputs: SensitivityInputs) -> None:
    for key in product(FACTORS["ruler"], FACTORS["base"]):
        if key not in inputs.rulers:
            raise IndexMethodError("no ruler for this pair", setting=f"rulers {key}")
        if list(inputs.rulers[key].indicator_ids) != list(inputs.indicator_ids):
            raise IndexMethodError("other indicators", setting=f"rulers {key}")


def build_rulers(
    base_values: Mapping[str, FloatArray],
    *,
    is_municipality: BoolArray,
    population: FloatArray,
    nation: int,
    stored: Ruler | None = None,
    clip: tuple[float, float] | None = CLIP,
    labels: Labels,
) -> dict[tuple[str, str], Ruler]:
    """The four rulers (population or no weights) x (base rule): centre is the nation's base value.

    ``base_values`` per base rule [n_regions, n]; ``nation`` its row. ``stored`` is used for
    ("population", "method") as it is; the others are always fitted to the given base values.
    """
    municipal = Labels(
        None
        if labels.regions is None
        else [code for code, kept in zip(labels.regions, is_municipality, strict=True) if kept],
        labels.indicators,
    )
    rulers: dict[tuple[str, str], Ruler] = {}
    for weighting, base in product(FACTORS["ruler"], FACTORS["base"]):
        values = base_values[base]
        rulers[weighting, base] = fit_ruler(
            values[is_municipality],
            weights=population[is_municipality] if weighting == "population" else None,
            centre=values[nation],
            clip=clip,
            labels=municipal,
        )
    if stored is not None:
        rulers["population", "method"] = stored
    return rulers


def common_set(
    values: FloatArray,
    *,
    is_municipality: BoolArray,
    must_have: BoolArray,
    min_share: float = 0.95,
) -> BoolArray:
    """Indicators that ``min_share`` of municipalities and all ``must_have`` regions have: [Y, I].

    ``values`` [R, Y, I]; ``is_municipality`` and ``must_have`` [R].
    """
    present = ~np.isnan(values)
    share: FloatArray = present[is_municipality].mean(axis=0)
    n_lacking: IntArray = (~present[must_have]).sum(axis=0)
    in_set: BoolArray = (share >= min_share - TOLERANCE) & (n_lacking == 0)
    return in_set


# --- one variant ---


def scaled_values(inputs: SensitivityInputs, form: str, ruler: str, base: str) -> FloatArray:
    """All cells on the scale of a form (steps 1 and 2): [R, Y, I]."""
    values = inputs.values.copy()
    values[:, inputs.base, :] = inputs.base_values[base]
    fitted, polarity = inputs.rulers[ruler, base], inputs.polarity
    scale = form.partition("_")[2]
    if scale == "sd":
        return base_year_score(values, fitted, polarity=polarity, labels=inputs.labels)
    if scale == "percentile":
        municipal = inputs.is_municipality
        return percentile_on_reference(
            values,
            inputs.base_values[base][municipal],
            weights=inputs.population[municipal] if ruler == "population" else None,
            polarity=polarity,
            labels=inputs.labels,
        )
    return goalposts(
        values,
        fitted.clip_lo,
        fitted.clip_hi,
        polarity=polarity,
        low=70.0,
        high=130.0,
        labels=inputs.labels,
    )


def set_weights(inputs: SensitivityInputs, chosen: str) -> FloatArray:
    """Indicator weights within dimensions over the set of each year: [Y, I], zero outside it."""
    of, weights = inputs.structure.dimension_of.astype(np.str_), inputs.structure.indicator_weights
    if chosen == "all":
        return np.broadcast_to(weights, inputs.common_set.shape)
    return np.array([weights_within(weights, of.tolist(), kept) for kept in inputs.common_set])


def dimension_scores(
    scaled: FloatArray,
    weights: FloatArray,
    structure: Structure,
    *,
    aggregation: str,
    min_share: float,
    labels: Labels,
) -> FloatArray:
    """Dimension scores [R, Y, D] from cells [R, Y, I] and weights [Y, I] (0 = not in the set)."""
    n_dimensions = structure.dimension_weights.size
    scores = np.full((*scaled.shape[:2], n_dimensions), np.nan)
    for d in range(n_dimensions):
        members = structure.members(d)
        cells, within = scaled[..., members], weights[:, members]
        used = within.any(axis=0)
        if not used.any():
            continue
        cells, within = cells[..., used], within[:, used]
        names = [labels.indicator(int(i)) for i in members[used]]
        effective, _ = present_weights(cells, within, min_share=min_share)
        scores[..., d] = AGGREGATIONS[aggregation](
            cells, effective, labels=Labels(labels.regions, names, labels.years)
        )
    return scores


def index_scores(
    dimensions: FloatArray,
    dimension_weights: FloatArray,
    in_set: BoolArray,
    *,
    aggregation: str,
    min_share: float,
    labels: Labels,
) -> FloatArray:
    """Index [R, Y] from dimension scores [R, Y, D]; ``in_set`` [Y, D] dimensions of the set.

    NaN where fewer than ``min_share`` of the dimensions in the set are present.
    """
    effective, _ = present_weights(dimensions, dimension_weights)
    counts = (~np.isnan(dimensions)).sum(axis=-1) / np.maximum(in_set.sum(axis=-1), 1)
    effective = np.where((counts >= min_share - TOLERANCE)[..., None], effective, np.nan)
    return AGGREGATIONS[aggregation](dimensions, effective, labels=labels)


def dimension_weights(
    inputs: SensitivityInputs, weights: str, dimensions: FloatArray, in_set: BoolArray
) -> FloatArray:
    """Dimension weights [D] of a variant from its own base-year scores (step 5)."""
    stated = inputs.structure.dimension_weights
    if weights == "equal":
        return stated
    chosen = in_set[inputs.base]
    basis = dimensions[inputs.is_municipality, inputs.base][:, chosen]
    names = [name for name, kept in zip(inputs.dimension_ids, chosen, strict=True) if kept]
    derive = pca_weights if weights == "pca" else correlation_balanced_weights
    derived = np.zeros(stated.size)
    derived[chosen] = derive(basis, labels=Labels(indicators=names))
    return derived


@dataclass(frozen=True)
class DimensionEnds:
    """Dimension scores of one (form, set, ruler, base): levels and both ends of the change.

    ``level``, ``at_base``, ``at_end`` [R, Y, D]. A dimension with an infeasible cell is infinite,
    so that the index over it is missing and not re-normalised; :func:`feasible` makes it NaN.
    """

    level: FloatArray
    at_base: FloatArray
    at_end: FloatArray
    in_set: BoolArray
    aggregation: str


def infeasible_cells(
    cells: FloatArray, counted: BoolArray, aggregation: str, inputs: SensitivityInputs
) -> BoolArray:
    """Cells of 0 or less that count in an aggregation that needs values above 0: [..., n].

    Always false where the aggregation takes any value, and under ``infeasible="error"``, where the
    aggregation itself names the cell.
    """
    if aggregation not in NEEDS_POSITIVE or inputs.infeasible == "error":
        return np.zeros(cells.shape, dtype=np.bool_)
    found: BoolArray = (cells <= 0) & counted
    return found


def feasible(scores: FloatArray) -> FloatArray:
    """Scores with those that rest on an infeasible cell missing."""
    return np.where(np.isinf(scores), np.nan, scores)


def dimension_ends(
    inputs: SensitivityInputs, scaled: FloatArray, form: str, chosen: str
) -> DimensionEnds:
    """Dimension scores of a form on a set, for the levels and for both ends of the change."""
    weights, of = set_weights(inputs, chosen), inputs.structure.dimension_of
    in_set = np.array(
        [[(row[of == d] > 0).any() for d in range(_n_dimensions(inputs))] for row in weights]
    )
    aggregation = form.partition("_")[0]
    matched = inputs.is_matched & (weights > 0)

    def scores(cells: FloatArray) -> FloatArray:
        bad = infeasible_cells(cells, weights > 0, aggregation, inputs)
        found = dimension_scores(
            np.where(bad, 1.0, cells),
            weights,
            inputs.structure,
            aggregation=aggregation,
            min_share=inputs.min_indicator_share,
            labels=inputs.labels,
        )
        if bad.any():
            for d in range(_n_dimensions(inputs)):
                struck = bad[..., of == d].any(axis=-1) & ~np.isnan(found[..., d])
                found[struck, d] = np.inf
        return found

    start = scaled[:, inputs.base : inputs.base + 1, :]
    return DimensionEnds(
        scores(scaled),
        scores(np.where(matched, start, np.nan)),
        scores(np.where(matched, scaled, np.nan)),
        in_set,
        aggregation,
    )


def _n_dimensions(inputs: SensitivityInputs) -> int:
    return int(inputs.structure.dimension_weights.size)


def index_and_change(
    inputs: SensitivityInputs, found: DimensionEnds, weights: str
) -> tuple[FloatArray, FloatArray]:
    """Index and matched change [R, Y] of a variant on its own scale; NaN outside index years."""
    outer = dimension_weights(inputs, weights, feasible(found.level), found.in_set)
    labels = Labels(inputs.region_codes, inputs.dimension_ids, inputs.years)

    def index(dimensions: FloatArray, min_share: float) -> FloatArray:
        bad = np.isinf(dimensions)
        bad |= infeasible_cells(dimensions, found.in_set, found.aggregation, inputs)
        scores = index_scores(
            np.where(bad, 1.0, dimensions),
            outer,
            found.in_set,
            aggregation=found.aggregation,
            min_share=min_share,
            labels=labels,
        )
        known = inputs.is_index_year & ~bad.any(axis=-1)
        return np.where(known, scores, np.nan)

    level = index(found.level, inputs.min_dimension_share)
    share = inputs.min_matched_dimension_share
    change = index(found.at_end, share) - index(found.at_base, share)
    change[:, inputs.base] = np.where(np.isnan(level[:, inputs.base]), np.nan, 0.0)
    return level, change


def _weighted_sd(values: FloatArray, weights: FloatArray) -> float:
    shares = weights / weights.sum()
    mean = (shares * values).sum()
    spread = (shares * (values - mean) ** 2).sum() / (1.0 - (shares * shares).sum())
    return float(np.sqrt(spread))


def scale_mapping(
    inputs: SensitivityInputs, default: FloatArray, level: FloatArray, variant_id: str
) -> tuple[float, float]:
    """Factor and shift that map a variant's index to the default's scale (step 6)."""
    base = inputs.base
    both = ~np.isnan(default[:, base]) & ~np.isnan(level[:, base])
    shared = inputs.is_municipality & both
    if not both[inputs.nation] or shared.sum() < 2:
        raise IndexMethodError(
            f"{variant_id}: no base-year index to map from",
            region=inputs.national_region,
            year=inputs.base_year,
        )
    weights = inputs.population[shared]
    spread = _weighted_sd(level[shared, base], weights)
    if not spread > 0:
        raise IndexMethodError(f"{variant_id}: the base-year index is constant")
    factor = _weighted_sd(default[shared, base], weights) / spread
    return factor, float(default[inputs.nation, base] - factor * level[inputs.nation, base])


def default_index(inputs: SensitivityInputs) -> FloatArray:
    """Index of the default variant, [R, Y]."""
    return own_scale(inputs, parse_variant_id(DEFAULT_VARIANT))[0]


def own_scale(inputs: SensitivityInputs, chosen: Variant) -> tuple[FloatArray, FloatArray]:
    """Index and matched change [R, Y] of one variant, before the mapping of step 6."""
    scaled = scaled_values(inputs, chosen.form, chosen.ruler, chosen.base)
    found = dimension_ends(inputs, scaled, chosen.form, chosen.set)
    return index_and_change(inputs, found, chosen.weights)


def ranks(inputs: SensitivityInputs, scores: FloatArray) -> FloatArray:
    """Rank among municipalities per year, best 1, ties the lowest: [..., R, Y] -> same shape.

    NaN for other regions and where there is no score.
    """
    result = np.full(scores.shape, np.nan)
    municipal = np.moveaxis(scores[..., inputs.is_municipality, :], -2, -1)
    result[..., inputs.is_municipality, :] = np.moveaxis(rank_last_axis(-municipal), -1, -2)
    return result
