"""Normalisations: values of different units put on one scale on which higher is better.

One signature: ``values`` [..., n_indicators] on the scale of g(x), NaN = missing; ``polarity``
+1 or -1 (per indicator); parameters are on the scale of ``values``, before polarity. The result has
the shape of ``values``. A ``reference`` [n_regions, n] is the distribution that supplies mean,
spread, extremes or percentiles; left out, it is ``values`` itself (then [n_regions, n]).
"""

from typing import Literal

import numpy as np

from btg.index.arrays import (
    NUMBERED,
    FloatArray,
    IntArray,
    Labels,
    checked_polarity,
    per_indicator,
    require,
)
from btg.index.errors import IndexMethodError
from btg.index.ruler import Ruler

Cap = Literal["none", "upper", "lower", "both"]
CAPS: tuple[Cap, ...] = ("none", "upper", "lower", "both")
Ties = Literal["lowest", "average", "highest"]
TIES: tuple[Ties, ...] = ("lowest", "average", "highest")


def _reference(values: FloatArray, reference: FloatArray | None, labels: Labels) -> FloatArray:
    """The reference distribution as [n_regions, n], with at least one value per indicator."""
    chosen = values if reference is None else reference
    flat = chosen.reshape(-1, chosen.shape[-1])
    if flat.shape[-1] != values.shape[-1]:
        raise IndexMethodError("the reference has other indicators", setting="reference")
    n_present: IntArray = (~np.isnan(flat)).sum(axis=0)
    require(n_present > 0, "no value at all in the reference distribution", labels)
    return flat


def _capped(scores: FloatArray, cap: Cap, low: float, high: float) -> FloatArray:
    if cap not in CAPS:
        raise IndexMethodError(f"unknown cap {cap!r}; known: {CAPS}", setting="cap")
    if cap in ("upper", "both"):
        scores = np.minimum(scores, high)
    if cap in ("lower", "both"):
        scores = np.maximum(scores, low)
    return scores


def base_year_score(
    values: FloatArray,
    ruler: Ruler,
    *,
    polarity: float | FloatArray | None = None,
    centre: float = 100.0,
    spread: float = 10.0,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Score on the fixed ruler: centre + spread * p * (g(x) - m) / s; never capped.

    100 = the centre of the ruler (the nation, or the mean) in the base year; +10 = one base-year
    standard deviation. Source: ONS Health Index methods 2015-2019 (the 100/10 scale).
    """
    signs = checked_polarity(polarity, values.shape[-1], labels)
    if len(ruler.indicator_ids) != values.shape[-1]:
        raise IndexMethodError("the ruler has other indicators than the values", setting="ruler")
    return centre + spread * (signs * (values - ruler.m) / ruler.s)


def ons_scale(z: FloatArray, *, centre: float = 100.0, spread: float = 10.0) -> FloatArray:
    """centre + spread z: a z-score on the 100/10 scale of the ONS Health Index."""
    return centre + spread * z


def sample_z(
    values: FloatArray,
    *,
    reference: FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    centre: float = 0.0,
    spread: float = 1.0,
    ddof: int = 1,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """centre + spread * p * (x - mean) / sd over the reference, unweighted.

    sd divides by N - ``ddof`` (1: sample, 0: population). Source: OECD/EU/JRC Handbook step 5.
    A constant reference, or fewer than ddof + 1 values, is an error that names the indicator.
    """
    signs = checked_polarity(polarity, values.shape[-1], labels)
    basis = _reference(values, reference, labels)
    _require_spread(basis, labels)
    enough = (~np.isnan(basis)).sum(axis=0) > ddof
    require(enough, f"a spread with ddof {ddof} needs more values", labels)
    mean: FloatArray = np.nanmean(basis, axis=0)
    sd: FloatArray = np.nanstd(basis, axis=0, ddof=ddof)
    return centre + spread * (signs * (values - mean) / sd)


def _require_spread(basis: FloatArray, labels: Labels) -> tuple[FloatArray, FloatArray]:
    low: FloatArray = np.nanmin(basis, axis=0)
    high: FloatArray = np.nanmax(basis, axis=0)
    varies = high - low > 1e-12 * np.maximum(np.abs(low), np.abs(high))
    require(varies, "the reference distribution is constant", labels)
    return low, high


def goalposts(
    values: FloatArray,
    lower: float | FloatArray,
    upper: float | FloatArray,
    *,
    polarity: float | FloatArray | None = None,
    low: float = 0.0,
    high: float = 1.0,
    cap: Cap = "none",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Fixed goalposts: low + (high - low)(x - lower)/(upper - lower), turned round if p = -1.

    ``cap`` limits scores to ``low`` and/or ``high`` ("none", "upper", "lower", "both"). Goalposts
    are on the scale of ``values``: transform them with the same g. Source: UNDP technical note 1.
    """
    n = values.shape[-1]
    signs = checked_polarity(polarity, n, labels)
    bottom, top = per_indicator(lower, n, 0.0), per_indicator(upper, n, 1.0)
    require(top > bottom, "the lower goalpost must be below the upper one", labels)
    share = (values - bottom) / (top - bottom)
    oriented = np.where(signs > 0, share, 1.0 - share)
    return _capped(low + (high - low) * oriented, cap, low, high)


def truncate(
    values: FloatArray,
    *,
    lower: float | FloatArray | None = None,
    upper: float | FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """min(max(x, lower), upper) in the unit of the values, for items that share one already.

    A missing (or NaN) limit does not limit. Only for polarity +1: nothing is rescaled. Source: WEF
    Global Gender Gap Report (ratios truncated at parity).
    """
    n = values.shape[-1]
    require(checked_polarity(polarity, n, labels) > 0, "truncation cannot turn round", labels)
    bottom, top = per_indicator(lower, n, -np.inf), per_indicator(upper, n, np.inf)
    bottom, top = np.where(np.isnan(bottom), -np.inf, bottom), np.where(np.isnan(top), np.inf, top)
    require(top >= bottom, "the lower limit must not be above the upper one", labels)
    return np.clip(values, bottom, top)


def min_max(
    values: FloatArray,
    *,
    reference: FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    low: float = 0.0,
    high: float = 100.0,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """low + (high - low)(x - min)/(max - min) with the extremes of the reference, turned if p = -1.

    Values outside the reference fall outside [low, high]. Source: OECD/EU/JRC Handbook step 5.
    """
    bottom, top = _require_spread(_reference(values, reference, labels), labels)
    return goalposts(values, bottom, top, polarity=polarity, low=low, high=high, labels=labels)


def ampi_goalposts(
    values: FloatArray,
    lower: float | FloatArray,
    upper: float | FloatArray,
    *,
    centre: float | FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    low: float = 70.0,
    high: float = 130.0,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """AMPI normalisation: goalposts mapped to 70-130, with the reference value at 100.

    With half-range d = (upper - lower)/2 and a ``centre`` c the goalposts become c - d and c + d;
    score = low + (high - low)(x - (c - d))/(2 d), its mirror image around the middle if p = -1.
    Without ``centre`` they are ``lower`` and ``upper``. Source: Mazziotta & Pareto (2016).
    """
    n = values.shape[-1]
    bottom, top = per_indicator(lower, n, 0.0), per_indicator(upper, n, 1.0)
    if centre is not None:
        middle, half = per_indicator(centre, n, 0.0), (top - bottom) / 2.0
        bottom, top = middle - half, middle + half
    return goalposts(values, bottom, top, polarity=polarity, low=low, high=high, labels=labels)


def percentile_on_reference(
    values: FloatArray,
    reference: FloatArray,
    *,
    weights: FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    scale: float = 100.0,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Share of a fixed reference distribution below each value, ties counted half, times ``scale``.

    F(x) = sum(w [r < x]) + sum(w [r = x]) / 2 with ``weights`` [n_regions] scaled to sum to 1 over
    the regions present (none: equal); scale * F(x), or scale * (1 - F(x)) if p = -1. Values beyond
    the reference get 0 or ``scale``. Source: OECD/EU/JRC Handbook step 5 (percentile rank).
    """
    n = values.shape[-1]
    signs = checked_polarity(polarity, n, labels)
    basis = _reference(values, reference, labels)
    result = np.full(values.shape, np.nan)
    for i in range(n):
        share = _distribution_share(values[..., i], basis[:, i], weights)
        result[..., i] = scale * (share if signs[i] > 0 else 1.0 - share)
    return np.where(np.isnan(values), np.nan, result)


def _distribution_share(
    values: FloatArray, reference: FloatArray, weights: FloatArray | None
) -> FloatArray:
    present = ~np.isnan(reference)
    mass = np.ones(int(present.sum())) if weights is None else weights[present]
    order = np.argsort(reference[present], kind="stable")
    ranked = reference[present][order]
    cumulative = np.concatenate([[0.0], np.cumsum(mass[order])])
    below = cumulative[np.searchsorted(ranked, values, side="left")]
    up_to = cumulative[np.searchsorted(ranked, values, side="right")]
    share: FloatArray = (below + up_to) / (2.0 * cumulative[-1])
    return share


def rank(
    values: FloatArray,
    *,
    polarity: float | FloatArray | None = None,
    best_is_first: bool = True,
    ties: Ties = "lowest",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Rank per indicator over the regions present ([n_regions, n]); NaN stays NaN.

    ``best_is_first``: the best region has rank 1 (a league table); otherwise the worst has rank 1
    and the rank is a score. ``ties``: equal regions all get the "lowest", "average" or "highest"
    of their ranks.
    """
    signs = checked_polarity(polarity, values.shape[-1], labels)
    keys = values * signs
    return rank_last_axis(np.moveaxis(-keys if best_is_first else keys, 0, -1), ties).T


def rank_last_axis(keys: FloatArray, ties: Ties = "lowest") -> FloatArray:
    """Ascending rank over the last axis, [..., n] -> [..., n]; NaN keys get NaN."""
    if ties not in TIES:
        raise IndexMethodError(f"unknown {ties!r}; known: {TIES}", setting="ties")
    order = np.argsort(keys, axis=-1, kind="stable")
    ranked = np.take_along_axis(keys, order, axis=-1)
    lowest, highest = _tie_ranks(ranked)
    chosen = {"lowest": lowest, "highest": highest, "average": (lowest + highest) / 2.0}[ties]
    result = np.empty(keys.shape, dtype=np.float64)
    np.put_along_axis(result, order, chosen.astype(np.float64), axis=-1)
    result[np.isnan(keys)] = np.nan
    return result


def _tie_ranks(ranked: FloatArray) -> tuple[IntArray, IntArray]:
    """First and last rank (1-based) of the group of equal keys that each sorted key is in."""
    n = ranked.shape[-1]
    places = np.broadcast_to(np.arange(1, n + 1), ranked.shape)
    new = np.ones(ranked.shape, dtype=np.bool_)
    new[..., 1:] = ranked[..., 1:] != ranked[..., :-1]
    lowest = np.maximum.accumulate(np.where(new, places, 0), axis=-1)
    ends = np.ones(ranked.shape, dtype=np.bool_)
    ends[..., :-1] = new[..., 1:]
    backwards = np.where(ends, places, n)[..., ::-1]
    highest = np.minimum.accumulate(backwards, axis=-1)[..., ::-1]
    return lowest.astype(np.int64), highest.astype(np.int64)


def percentile_rank(
    values: FloatArray,
    *,
    polarity: float | FloatArray | None = None,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """(rank - 1)/(N - 1) over the N regions present, worst 0, best 1; ties get the lowest."""
    present: IntArray = (~np.isnan(values)).sum(axis=0)
    require(present > 1, "a percentile rank needs 2 regions", labels)
    ranks = rank(values, polarity=polarity, best_is_first=False, labels=labels)
    return (ranks - 1.0) / (present - 1.0)


def distance_to_reference(
    values: FloatArray,
    target: float | FloatArray,
    *,
    origin: float | FloatArray | None = None,
    polarity: float | FloatArray | None = None,
    cap: Cap = "none",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Way travelled from an origin to a target: (p x - o) / (p target - o); 1 = at the target.

    ``target`` is a policy target, a reference region's value or a maximum. ``origin`` is on the
    scale of ``values``; left out, it is the worst value present (min of p x). A target that is not
    better than the origin is an error. ``cap`` limits to 1 ("upper"), 0 ("lower") or "both".
    Source: OECD/EU/JRC Handbook step 5 (distance to a reference).
    """
    n = values.shape[-1]
    signs = checked_polarity(polarity, n, labels)
    oriented = values * signs
    goal = signs * per_indicator(target, n, 1.0)
    if origin is None:
        start = np.nanmin(_reference(oriented, None, labels), axis=0)
    else:
        start = signs * per_indicator(origin, n, 0.0)
    require(goal > start, "the target must be better than the origin", labels)
    return _capped((oriented - start) / (goal - start), cap, 0.0, 1.0)


def ratio_to_reference(
    values: FloatArray,
    target: float | FloatArray,
    *,
    polarity: float | FloatArray | None = None,
    scale: float = 1.0,
    cap: Cap = "none",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """scale * x / target, or scale * target / x if a lower value is better; target at ``scale``.

    For ratio scales with values above 0 (an index of the national figure, share of a maximum).
    ``cap`` "upper" or "both" limits the ratio to ``scale``. A value of 0 under p = -1 or a target
    of 0 or less is an error that names the cell.
    """
    n = values.shape[-1]
    signs = checked_polarity(polarity, n, labels)
    goal = per_indicator(target, n, 1.0)
    require(goal > 0, "the target of a ratio must be above 0", labels)
    usable = np.isnan(values) | (values > 0) | ((signs > 0) & (values >= 0))
    require(usable, "a ratio to a target needs values above 0", labels)
    ratio = np.where(signs > 0, values / goal, goal / np.where(values > 0, values, np.nan))
    return _capped(scale * ratio, cap, 0.0, scale)
