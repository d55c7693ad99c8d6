"""Aggregations: several items on one scale combined into one.

One signature: ``values`` [..., n] (NaN = missing), ``weights`` broadcastable to that shape, each
row non-negative with sum 1 and 0 under a missing value (see :func:`btg.index.missing.
present_weights`); a row of NaN weights means "too little is present" and gives NaN. An item of
weight 0 is not looked at. A missing value under a positive weight is an error, never a zero.
Result [...]. Copeland and Borda compare regions with each other: there ``values`` is
[n_regions, n].
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from btg.index.arrays import (
    NUMBERED,
    TOLERANCE,
    BoolArray,
    FloatArray,
    IntArray,
    Labels,
    ordered_sum,
    require,
)
from btg.index.errors import IndexMethodError
from btg.index.normalise import Ties, rank


def _weighted(values: FloatArray, weights: FloatArray, labels: Labels) -> BoolArray:
    """Cells that count; wrong weights, or a missing value among the cells, are an error."""
    _require_weights(weights, labels)
    counted = np.broadcast_to(~(weights == 0), np.broadcast_shapes(values.shape, weights.shape))
    lost = counted & np.isnan(values) & ~np.isnan(weights)
    if lost.any():
        raise labels.error("a missing value has a positive weight", lost)
    return counted


def _require_weights(weights: FloatArray, labels: Labels) -> None:
    """Every row is non-negative with sum 1, or all NaN (too little present)."""
    require(~(weights < 0), "a weight is negative", labels)
    totals = ordered_sum(weights)
    if (np.abs(totals - 1.0) > TOLERANCE).any():
        items = ", ".join(labels.indicator(i) for i in range(weights.shape[-1]))
        raise IndexMethodError("the weights do not sum to 1", indicator=items)


def _weighted_sum(terms: FloatArray, weights: FloatArray, counted: BoolArray) -> FloatArray:
    return ordered_sum(np.where(counted, weights * terms, 0.0))


def arithmetic(values: FloatArray, weights: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """Weighted arithmetic mean sum(w x): full compensation between items."""
    counted = _weighted(values, weights, labels)
    return _weighted_sum(values, weights, counted)


def geometric(values: FloatArray, weights: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """Weighted geometric mean exp(sum(w ln x)); a value of 0 or less is an error."""
    counted = _weighted(values, weights, labels)
    _require_positive(values, weights, counted, "a geometric mean", labels)
    logs = np.log(np.where(values > 0, values, 1.0))
    return np.exp(_weighted_sum(np.where(np.isnan(values), np.nan, logs), weights, counted))


def harmonic(values: FloatArray, weights: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """Weighted harmonic mean 1 / sum(w / x); a value of 0 or less is an error."""
    counted = _weighted(values, weights, labels)
    _require_positive(values, weights, counted, "a harmonic mean", labels)
    inverse = 1.0 / np.where(values > 0, values, np.nan)
    result: FloatArray = 1.0 / _weighted_sum(inverse, weights, counted)
    return result


def _require_positive(
    values: FloatArray, weights: FloatArray, counted: BoolArray, what: str, labels: Labels
) -> None:
    bad = counted & (values <= 0) & ~np.isnan(weights)
    if bad.any():
        raise labels.error(f"{what} needs values above 0", bad)


def ampi(
    values: FloatArray,
    weights: FloatArray,
    *,
    penalty: Literal["down", "up"] = "down",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Mean with a penalty for imbalance: M - S^2 / M ("down") or M + S^2 / M ("up").

    M = sum(w x), S^2 = sum(w (x - M)^2). "down" when higher is better, "up" when higher is worse.
    With equal weights and 70-130 goalposts it is AMPI, on z-scores of mean 100 and sd 10 it is
    MPI. M or any value of 0 or less is an error. Source: Mazziotta & Pareto (2016).
    """
    if penalty not in ("down", "up"):
        raise IndexMethodError(f"unknown penalty {penalty!r}", setting="penalty")
    counted = _weighted(values, weights, labels)
    _require_positive(values, weights, counted, "the AMPI penalty", labels)
    mean = _weighted_sum(values, weights, counted)
    deviations = values - mean[..., None]
    variance = _weighted_sum(deviations * deviations, weights, counted)
    sign = 1.0 if penalty == "up" else -1.0
    result: FloatArray = mean + sign * variance / mean
    return result


def outranking(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Matrix [n_regions, n_regions]: weight share on which the row region beats the column region.

    Per pair over the items that both have: sum(w [x_i > x_j] + w [x_i = x_j]/2) / sum(w). NaN
    where a pair shares no item; 1/2 on the diagonal. Independent of the order of the regions.
    """
    n_regions, n = values.shape
    if weights.shape != (n,):
        raise IndexMethodError(
            f"one weight per item: {n}, found {weights.shape}", setting="weights"
        )
    won, shared = np.zeros((n_regions, n_regions)), np.zeros((n_regions, n_regions))
    for i in range(n):
        column, weight = values[:, i], float(weights[i])
        present = ~np.isnan(column)
        wins = (column[:, None] > column[None, :]) + 0.5 * (column[:, None] == column[None, :])
        won += weight * wins
        shared += weight * (present[:, None] & present[None, :])
    return np.divide(won, shared, out=np.full_like(won, np.nan), where=shared > 0)


def copeland(values: FloatArray, weights: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """Number of regions beaten minus number that beat it: [n_regions, n] -> [n_regions].

    A region beats another if it is better on more than half of the weight of the items that both
    have. ``weights`` [n]. A region without any value gets NaN; two regions with values but without
    a common item are an error. Source: Munda & Nardo; COINr ``a_copeland`` (whose result depends
    on row order when values are missing; this one does not).
    """
    _require_weights(weights, labels)
    table = outranking(values, weights)
    n_present: IntArray = (~np.isnan(values)).sum(axis=1)
    present = n_present > 0
    pairless = np.isnan(table) & present[:, None] & present[None, :]
    if pairless.any():
        first, second = (int(axis) for axis in np.argwhere(pairless)[0])
        names = f"{labels.region(first)}, {labels.region(second)}"
        raise IndexMethodError("two regions share no item", region=names)
    lead = np.nan_to_num(table - 0.5)
    lead[np.abs(lead) < 1e-12] = 0.0
    score: FloatArray = np.sign(lead).sum(axis=1)
    return np.where(present, score, np.nan)


def borda(
    values: FloatArray,
    weights: FloatArray,
    *,
    ties: Ties = "average",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """Weighted mean of Borda points (rank - 1, worst 0): [n_regions, n] -> [n_regions].

    ``weights`` [n] or [n_regions, n]; ``ties`` as in :func:`btg.index.normalise.rank`.
    """
    points = rank(values, best_is_first=False, ties=ties, labels=labels) - 1.0
    return arithmetic(points, weights, labels=labels)


AGGREGATIONS: Mapping[str, Callable[..., FloatArray]] = {
    "arithmetic": arithmetic,
    "geometric": geometric,
    "harmonic": harmonic,
    "ampi": ampi,
    "copeland": copeland,
    "borda": borda,
}
CROSS_SECTION = frozenset({"copeland", "borda"})
