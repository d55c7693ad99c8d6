"""The ruler: centre and spread of each indicator in the base year, fixed for all later years."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np
import polars as pl

from btg.index.arrays import NUMBERED, FloatArray, IntArray, Labels, per_indicator, require
from btg.index.errors import IndexMethodError
from btg.index.treatment import winsorise

CLIP = (0.025, 0.975)
COLUMNS = ("indicator_id", "m", "s", "clip_lo", "clip_hi", "n_units")


@dataclass(frozen=True)
class Ruler:
    """Base-year parameters on the scale of g(x), one entry per indicator, all arrays [n].

    ``m`` centre, ``s`` spread, ``clip_lo``/``clip_hi`` the limits at which the baseline
    distribution (never a value) was clipped, ``n_units`` regions that the spread rests on.
    """

    indicator_ids: tuple[str, ...]
    m: FloatArray
    s: FloatArray
    clip_lo: FloatArray
    clip_hi: FloatArray
    n_units: IntArray


def fit_ruler(
    baseline: FloatArray,
    *,
    weights: FloatArray | None = None,
    centre: float | FloatArray | None = None,
    clip: tuple[float, float] | None = CLIP,
    labels: Labels = NUMBERED,
) -> Ruler:
    """The base-year ruler of every indicator from the values g(x) of the reference regions.

    ``baseline`` [n_regions, n] is g(x) in the base year, NaN = missing. ``weights`` [n_regions]
    is the population (any unit); it is scaled to sum to 1 over the regions with a value; none
    gives every region the same weight. With x' = baseline clipped at its own ``clip`` percentiles
    (type 7, unweighted; ``None`` does not clip) and x_bar = sum(w x'):

        s = sqrt( sum(w (x' - x_bar)^2) / (1 - sum(w^2)) ),   m = ``centre``, or x_bar if None.

    With equal weights s is the sample standard deviation (n - 1). Sums are exactly rounded, so
    the order of the regions changes nothing. Errors: fewer than 2 regions, a column that is
    constant after clipping, a value without weight; each names the indicator.
    Source: ONS Health Index methods 2015-2019; Freni-Sterrantino et al. (2022).
    """
    n = baseline.shape[1]
    clipped, low, high = _clipped(baseline, clip, labels)
    shares = _region_weights(baseline, weights, labels)
    rows = [_mean_and_sd(clipped[:, i], shares, labels.indicator(i)) for i in range(n)]
    means = np.array([row[0] for row in rows])
    middle = means if centre is None else per_indicator(centre, n, 0.0)
    require(np.isfinite(middle), "no value at the centre of the ruler (national value)", labels)
    return Ruler(
        tuple(labels.indicator(i) for i in range(n)),
        middle,
        np.array([row[1] for row in rows]),
        low,
        high,
        (~np.isnan(baseline)).sum(axis=0).astype(np.int64),
    )


def _clipped(
    baseline: FloatArray, clip: tuple[float, float] | None, labels: Labels
) -> tuple[FloatArray, FloatArray, FloatArray]:
    lower, upper = (0.0, 1.0) if clip is None else clip
    return winsorise(baseline, lower=lower, upper=upper, labels=labels)


def _region_weights(baseline: FloatArray, weights: FloatArray | None, labels: Labels) -> FloatArray:
    if weights is None:
        return np.ones(baseline.shape[0])
    if weights.shape != baseline.shape[:1]:
        raise IndexMethodError(
            f"{weights.shape[0]} weights for {baseline.shape[0]} regions", setting="weights"
        )
    usable = np.isfinite(weights) & (weights >= 0)
    require(np.isnan(baseline) | usable[:, None], "the region has a value but no weight", labels)
    return weights


def _mean_and_sd(column: FloatArray, weights: FloatArray, name: str) -> tuple[float, float]:
    """Weighted mean and standard deviation of one clipped baseline column."""
    present = ~np.isnan(column) & (np.nan_to_num(weights) > 0)
    values, raw = column[present].tolist(), weights[present].tolist()
    if len(values) < 2:
        raise IndexMethodError(f"a ruler needs 2 regions, found {len(values)}", indicator=name)
    if max(values) - min(values) <= 1e-12 * max(abs(max(values)), abs(min(values))):
        raise IndexMethodError("the baseline is constant after clipping", indicator=name)
    total = fsum(raw)
    shares = [weight / total for weight in raw]
    mean = fsum(w * x for w, x in zip(shares, values, strict=True))
    squares = fsum(w * (x - mean) ** 2 for w, x in zip(shares, values, strict=True))
    return mean, sqrt(squares / (1.0 - fsum(w * w for w in shares)))


def ruler_to_frame(ruler: Ruler) -> pl.DataFrame:
    """One row per indicator: indicator_id, m, s, clip_lo, clip_hi, n_units (for storage)."""
    return pl.DataFrame({name: _column(ruler, name) for name in COLUMNS})


def _column(ruler: Ruler, name: str) -> pl.Series:
    stored = ruler.indicator_ids if name == "indicator_id" else getattr(ruler, name)
    return pl.Series(name, stored)


def ruler_from_frame(frame: pl.DataFrame, indicator_ids: Sequence[str]) -> Ruler:
    """The stored ruler in the order of ``indicator_ids``; nothing is computed or filled in.

    Errors: an indicator without a row, a row twice, or a spread that is not above 0.
    """
    position = {name: row for row, name in enumerate(frame["indicator_id"].to_list())}
    if len(position) != frame.height:
        raise IndexMethodError("an indicator occurs twice in the stored ruler", setting="ruler")
    for name in indicator_ids:
        if name not in position:
            raise IndexMethodError("no stored ruler: re-base or leave it out", indicator=name)
    rows = frame[[position[name] for name in indicator_ids]]
    arrays = {c: rows[c].to_numpy().astype(np.float64) for c in COLUMNS[1:5]}
    labels = Labels(indicators=list(indicator_ids))
    require(arrays["s"] > 0, "the stored spread is not above 0", labels)
    require(np.isfinite(arrays["m"]), "the stored centre is missing", labels)
    return Ruler(
        tuple(indicator_ids),
        arrays["m"],
        arrays["s"],
        arrays["clip_lo"],
        arrays["clip_hi"],
        rows["n_units"].to_numpy().astype(np.int64),
    )
