"""Change since the base year on matched observations, trends, and the position among regions.

Arrays are [n_regions, n_years, n_indicators] unless stated, NaN = missing. Change is a change, not
an effect of a policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from btg.index.arrays import TOLERANCE, BoolArray, FloatArray, IntArray, ordered_sum
from btg.index.errors import IndexMethodError

TREND_WINDOW = 8
TREND_MIN_POINTS = 6


@dataclass(frozen=True)
class Structure:
    """Which indicator is in which dimension, and what both weigh.

    ``dimension_of`` [n_indicators] position of the dimension; ``indicator_weights`` [n_indicators]
    with sum 1 within each dimension; ``dimension_weights`` [n_dimensions] with sum 1.
    """

    dimension_of: IntArray
    indicator_weights: FloatArray
    dimension_weights: FloatArray

    def __post_init__(self) -> None:
        sums = np.bincount(
            self.dimension_of, self.indicator_weights, minlength=self.dimension_weights.size
        )
        wrong = np.flatnonzero(np.abs(sums - 1.0) > TOLERANCE)
        if wrong.size:
            raise IndexMethodError(
                f"its indicators weigh {sums[wrong[0]]:.12g} together, not 1",
                indicator=f"dimension {wrong[0]}",
            )
        if abs(float(self.dimension_weights.sum()) - 1.0) > TOLERANCE:
            raise IndexMethodError("the dimension weights do not sum to 1", setting="weights")

    def members(self, dimension: int) -> IntArray:
        """Positions of the indicators of a dimension."""
        found: IntArray = np.flatnonzero(self.dimension_of == dimension)
        return found


@dataclass(frozen=True)
class Change:
    """Matched change and what it is made of; NaN where too little is matched.

    ``index`` [n_regions, n_years]; ``dimensions`` [.., n_dimensions]; ``contributions``
    [.., n_indicators], NaN outside the matched set, summing to ``index``; ``n_dimensions``
    matched; ``weight_share`` nominal index weight of the indicators used; ``dimension_share``
    weight matched within each dimension.
    """

    index: FloatArray
    dimensions: FloatArray
    contributions: FloatArray
    n_dimensions: IntArray
    weight_share: FloatArray
    dimension_share: FloatArray


def crosses_definition_break(
    breaks: pl.DataFrame, *, years: Sequence[int], base_year: int, indicators: Sequence[str]
) -> BoolArray:
    """True where a definition break lies between the base year and the year: [n_years, n].

    ``breaks``: indicator_id, year (first year of the new definition), kind. A break in year b lies
    between two years if the earlier one is before b and the later one is not.
    """
    crossed = np.zeros((len(years), len(indicators)), dtype=np.bool_)
    calendar = np.asarray(years)
    low, high = np.minimum(calendar, base_year), np.maximum(calendar, base_year)
    for row in breaks.iter_rows(named=True):
        if row["kind"] == "definition" and row["indicator_id"] in indicators:
            column = list(indicators).index(row["indicator_id"])
            crossed[:, column] |= (low < row["year"]) & (row["year"] <= high)
    return crossed


def matched_set(
    values: FloatArray,
    obs_first_year: FloatArray,
    obs_last_year: FloatArray,
    *,
    years: Sequence[int],
    base_year: int,
    excluded: BoolArray | None = None,
    crosses_break: BoolArray | None = None,
) -> BoolArray:
    """Cells whose change against the base year rests on independent observations.

    A cell is in the set if both ends have a value and the end rests on a newer observation than the
    base: obs_last_year(t) > obs_last_year(base) for t after it, obs_first_year(t) <
    obs_first_year(base) for t before it. A carried copy of the base is not "no change".
    ``excluded`` [n_indicators] leaves indicators out (those relative to the nation);
    ``crosses_break`` [n_years, n_indicators] leaves out what lies beyond a definition break. In
    the base year itself the set holds every cell with a value.
    """
    base = base_position(years, base_year)
    calendar = np.asarray(years)[None, :, None]
    valid = ~np.isnan(values) & ~np.isnan(values[:, base, :])[:, None, :]
    newer = obs_last_year > obs_last_year[:, base, :][:, None, :]
    older = obs_first_year < obs_first_year[:, base, :][:, None, :]
    independent = np.where(calendar > base_year, newer, older) | (calendar == base_year)
    matched: BoolArray = valid & independent
    if crosses_break is not None:
        matched &= ~crosses_break[None, :, :]
    if excluded is not None:
        matched &= ~excluded[None, None, :]
    return matched


def base_position(years: Sequence[int], base_year: int) -> int:
    """Position of the base year on the year axis; it must be there."""
    if base_year not in years:
        raise IndexMethodError("not among the years", year=base_year, setting="base_year")
    return list(years).index(base_year)


def matched_change(
    scores: FloatArray,
    matched: BoolArray,
    structure: Structure,
    *,
    base: int,
    min_indicator_share: float = 0.5,
    min_dimensions: int = 6,
) -> Change:
    """Change of dimensions and index since the base year, on the same indicators at both ends.

    With weights re-normalised over the matched set, c_i = W_d w_i (score_i,t - score_i,base), a
    dimension's change is the sum of its w_i-terms and the index change the sum of all c_i. A
    dimension needs ``min_indicator_share`` of its weight matched, the index ``min_dimensions``
    dimensions; below that NaN. ``base``: position of the base year. Unit: points of the score.
    """
    deltas = scores - scores[:, base, :][:, None, :]
    return _weighted_change(deltas, matched, structure, min_indicator_share, min_dimensions)


def change_vs_reference(
    scores: FloatArray,
    matched: BoolArray,
    structure: Structure,
    *,
    base: int,
    reference: int,
    min_indicator_share: float = 0.5,
    min_dimensions: int = 6,
) -> Change:
    """Matched change minus that of a reference region over the same indicators and years.

    ``reference``: position of the region (the nation). The set is what both have matched;
    indicators stated relative to the nation may be in ``matched`` here.
    """
    deltas = scores - scores[:, base, :][:, None, :]
    common = matched & matched[reference][None, :, :]
    ahead = deltas - deltas[reference][None, :, :]
    return _weighted_change(ahead, common, structure, min_indicator_share, min_dimensions)


def _weighted_change(
    deltas: FloatArray,
    matched: BoolArray,
    structure: Structure,
    min_indicator_share: float,
    min_dimensions: int,
) -> Change:
    weights, n_dimensions = structure.indicator_weights, structure.dimension_weights.size
    shape = (*deltas.shape[:2], n_dimensions)
    shares, changes = np.zeros(shape), np.full(shape, np.nan)
    terms = np.where(matched, weights * deltas, 0.0)
    for d in range(n_dimensions):
        members = structure.members(d)
        shares[..., d] = ordered_sum(np.where(matched[..., members], weights[members], 0.0))
        enough = (shares[..., d] >= min_indicator_share - TOLERANCE) & (shares[..., d] > 0)
        total = ordered_sum(terms[..., members])
        np.divide(total, shares[..., d], out=changes[..., d], where=enough)
    present = ~np.isnan(changes)
    kept = np.where(present, structure.dimension_weights, 0.0)
    counts = present.sum(axis=-1).astype(np.int64)
    weight = np.where((counts >= min_dimensions) & (counts > 0), ordered_sum(kept), np.nan)
    outer = kept / np.where(weight > 0, weight, np.nan)[..., None]
    index = ordered_sum(np.where(outer == 0, 0.0, outer * changes))
    of = structure.dimension_of
    used = matched & present[..., of]
    inner = np.divide(terms, shares[..., of], out=np.full(terms.shape, np.nan), where=used)
    nominal = ordered_sum(np.where(used, weights * structure.dimension_weights[of], 0.0))
    return Change(index, changes, outer[..., of] * inner, counts, nominal, shares)


def composition_effect(level_change: FloatArray, matched: FloatArray) -> FloatArray:
    """Level change minus matched change: what comes from a changed set of observations."""
    return level_change - matched


@dataclass(frozen=True)
class Trend:
    """Least-squares trend per region and indicator, all [n_regions, n_indicators].

    ``slope`` in units of the values per year, its ``standard_error``, two-sided ``p_value``,
    ``n_points`` observed, ``direction``: "up" (better), "down", "stable" (not significant) or
    "too_few_points".
    """

    slope: FloatArray
    standard_error: FloatArray
    p_value: FloatArray
    n_points: IntArray
    direction: NDArray[np.str_]


def trend(
    observed: FloatArray,
    years: Sequence[int],
    *,
    last_year: int,
    window: int = TREND_WINDOW,
    min_points: int = TREND_MIN_POINTS,
    significance: float = 0.05,
    polarity: FloatArray | None = None,
) -> Trend:
    """Slope over the ``window`` years up to ``last_year`` with a t-test, on observed points only.

    b = sum(dt dx)/sum(dt^2), se = sqrt(SSE/(n-2)/sum(dt^2)), p two-sided from t with n - 2 degrees
    of freedom. ``observed`` must be NaN where a cell is not observed. Fewer than ``min_points``
    (at least 3): no slope, "too_few_points". Source: CBS regional monitor of well-being.
    """
    if min_points < 3:
        raise IndexMethodError(f"at least 3, not {min_points}", setting="min_points")
    calendar = np.asarray(years, dtype=np.float64)
    inside = (calendar > last_year - window) & (calendar <= last_year)
    cells, time = observed[:, inside, :], calendar[inside][None, :, None]
    present = ~np.isnan(cells)
    n = present.sum(axis=1).astype(np.int64)
    enough = n >= min_points
    count = np.where(enough, n, np.nan)
    dt = _centred(np.broadcast_to(time, cells.shape), present, count)
    dx = _centred(cells, present, count)
    spread = (dt * dt).sum(axis=1)
    slope = (dt * dx).sum(axis=1) / np.where(enough, spread, np.nan)
    residual = np.where(present, dx - slope[:, None] * dt, 0.0)
    error = np.sqrt((residual * residual).sum(axis=1) / (count - 2.0) / spread)
    p_value = _two_sided_p(slope, error, count - 2.0)
    signs = np.ones(cells.shape[-1]) if polarity is None else polarity
    sense = np.where(slope * signs > 0, "up", "down")
    direction = np.where(p_value < significance, sense, "stable")
    return Trend(slope, error, p_value, n, np.where(enough, direction, "too_few_points"))


def _centred(cells: FloatArray, present: BoolArray, count: FloatArray) -> FloatArray:
    """Deviations from the mean over the years present; 0 where not present."""
    mean = np.where(present, cells, 0.0).sum(axis=1) / count
    return np.where(present, cells - mean[:, None], 0.0)


def _two_sided_p(slope: FloatArray, error: FloatArray, freedom: FloatArray) -> FloatArray:
    """P(|T| >= |slope/error|) for Student's t; a perfect fit has p = 0, a flat line p = 1."""
    # imported here: only trends need it, and it is slow to load
    from scipy.special import betainc  # type: ignore[import-untyped, unused-ignore]

    squared = slope * slope
    below = freedom * error * error
    total = below + squared
    ratio = np.divide(below, total, out=np.ones_like(total), where=total > 0)
    p_value = np.asarray(betainc(freedom / 2.0, 0.5, ratio), dtype=np.float64)
    return np.where(np.isnan(slope), np.nan, p_value)


def position(
    scores: FloatArray, reference: BoolArray, *, share: float = 0.25, min_regions: int = 8
) -> NDArray[np.str_]:
    """Place of each score among the reference regions: "best", "middle" or "worst" 25 %.

    ``scores`` [n_regions, ...], ``reference`` [n_regions] marks the regions that set the limits
    (all municipalities). At or above the 1 - share percentile (type 7): best; at or below the share
    percentile: worst; both limits equal: middle. No score: "missing"; fewer than ``min_regions``
    reference scores: "too_few_regions".
    """
    basis = scores[reference]
    counts = (~np.isnan(basis)).sum(axis=0)
    usable = np.where(counts >= min_regions, basis, 0.0)
    low, high = np.nanquantile(usable, [share, 1.0 - share], axis=0, method="linear")
    place = np.where(scores >= high, "best", np.where(scores <= low, "worst", "middle"))
    place = np.where(low == high, "middle", place)
    place = np.where(counts >= min_regions, place, "too_few_regions")
    return np.where(np.isnan(scores), "missing", place)


def compound_growth(first: FloatArray, last: FloatArray, n_years: FloatArray) -> FloatArray:
    """Compound annual growth rate (last / first)^(1 / n_years) - 1, a share per year.

    NaN where either end is missing. Ends of 0 or less, or no time between them, are errors.
    """
    known = ~np.isnan(first) & ~np.isnan(last)
    if (known & ((first <= 0) | (last <= 0) | (n_years <= 0))).any():
        raise IndexMethodError("growth needs two values above 0 and time between them")
    rate: FloatArray = (last / first) ** (1.0 / n_years) - 1.0
    return rate
