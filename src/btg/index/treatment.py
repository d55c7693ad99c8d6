"""Outliers: skewness, kurtosis, the JRC rule, winsorising by points or by percentiles.

The default method uses these on the baseline distribution only and never changes a value that is
scored; other composites treat the data themselves. All arrays are ``values`` [n_regions,
n_indicators], NaN = missing, each column treated on its own.
Sources: OECD/EU/JRC Handbook (2008) step 4; Becker et al. (2022), COINr; Joanes & Gill (1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from btg.index.arrays import NUMBERED, BoolArray, FloatArray, IntArray, Labels, require
from btg.index.errors import IndexMethodError
from btg.index.transforms import transform

Moments = Literal["population", "sample", "minitab"]
MOMENTS: tuple[Moments, ...] = ("population", "sample", "minitab")


def _central_moments(column: FloatArray) -> tuple[int, float, float, float]:
    """Number of values and the 2nd, 3rd and 4th central moment of the values present."""
    present = column[~np.isnan(column)]
    if present.size == 0:
        return 0, 0.0, 0.0, 0.0
    deviations = present - present.mean()
    squares = deviations * deviations
    return (
        int(present.size),
        float(squares.mean()),
        float((squares * deviations).mean()),
        float((squares * squares).mean()),
    )


def _shape(column: FloatArray, estimator: Moments, name: str) -> tuple[float, float]:
    """Skewness and excess kurtosis of one column."""
    if estimator not in MOMENTS:
        raise IndexMethodError(f"unknown {estimator!r}; known: {MOMENTS}", setting="estimator")
    n, m2, m3, m4 = _central_moments(column)
    if n < 4:
        raise IndexMethodError(f"skewness and kurtosis need 4 values, found {n}", indicator=name)
    if m2 <= 1e-24 * float(np.nanmax(np.abs(column))) ** 2:
        raise IndexMethodError("all values are equal: no skewness or kurtosis", indicator=name)
    skew, kurt = m3 / m2**1.5, m4 / m2**2 - 3.0
    if estimator == "sample":
        skew *= float(np.sqrt(n * (n - 1))) / (n - 2)
        kurt = ((n + 1) * kurt + 6) * (n - 1) / ((n - 2) * (n - 3))
    elif estimator == "minitab":
        shrink = (n - 1) / n
        skew, kurt = skew * shrink**1.5, (kurt + 3) * shrink**2 - 3
    return skew, kurt


def moments(
    values: FloatArray, *, estimator: Moments = "sample", labels: Labels = NUMBERED
) -> tuple[FloatArray, FloatArray]:
    """Skewness and excess kurtosis per indicator: [n_regions, n] -> two arrays [n].

    g1 = m3 / m2^(3/2), g2 = m4 / m2^2 - 3 with central moments m_k ("population", type 1);
    "sample" (type 2): G1 = g1 sqrt(n(n-1))/(n-2), G2 = ((n+1) g2 + 6)(n-1)/((n-2)(n-3));
    "minitab" (type 3): b1 = g1 ((n-1)/n)^(3/2), b2 = (g2+3)(1-1/n)^2 - 3 (Joanes & Gill 1998).
    Errors: fewer than 4 values, or a constant column, naming the indicator.
    """
    pairs = [
        _shape(values[:, position], estimator, labels.indicator(position))
        for position in range(values.shape[1])
    ]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def jrc_rule(
    values: FloatArray,
    *,
    max_skewness: float = 2.0,
    max_kurtosis: float = 3.5,
    estimator: Moments = "sample",
    labels: Labels = NUMBERED,
) -> BoolArray:
    """True where an indicator needs no treatment: |skewness| < 2 or excess kurtosis < 3.5; [n]."""
    skew, kurt = moments(values, estimator=estimator, labels=labels)
    return (np.abs(skew) < max_skewness) | (kurt < max_kurtosis)


def choose_transform(
    values: FloatArray,
    candidates: Sequence[str] = ("identity", "log", "sqrt", "logit"),
    *,
    estimator: Moments = "sample",
    labels: Labels = NUMBERED,
) -> list[str]:
    """Per indicator the first candidate whose transformed values pass the JRC rule.

    A candidate whose domain does not hold all values is passed over. No candidate left: an error
    naming the indicator, because the choice is then for a person to make.
    """
    chosen: list[str] = []
    for position in range(values.shape[1]):
        name = labels.indicator(position)
        column, label = values[:, position : position + 1], Labels(labels.regions, [name])
        fitting = [c for c in candidates if _passes(column, c, estimator, label)]
        if not fitting:
            tried = ", ".join(candidates)
            raise IndexMethodError(f"none of {tried} passes the JRC rule", indicator=name)
        chosen.append(fitting[0])
    return chosen


def _passes(column: FloatArray, name: str, estimator: Moments, label: Labels) -> bool:
    transform(column[:0], name, labels=label)  # an unknown name is an error, not "does not fit"
    try:
        transformed = transform(column, name, labels=label)
    except IndexMethodError:
        return False
    return bool(jrc_rule(transformed, estimator=estimator, labels=label)[0])


@dataclass(frozen=True)
class Treated:
    """Treated values [n_regions, n] and, per indicator, what was done to them."""

    values: FloatArray
    n_winsorised: IntArray
    is_log: BoolArray
    passes: BoolArray


def _winsorised_point(column: FloatArray, ranked: FloatArray, n: int, high: bool) -> FloatArray:
    """The column with its ``n`` most extreme values on one side pulled to the next one."""
    limit = ranked[-1 - n] if high else ranked[n]
    pulled: FloatArray = np.minimum(column, limit) if high else np.maximum(column, limit)
    return pulled


def _treat_column(
    column: FloatArray, max_points: int, limits: tuple[float, float], estimator: Moments, name: str
) -> tuple[FloatArray, int, bool, bool]:
    def fails(candidate: FloatArray) -> bool:
        skew, kurt = _shape(candidate, estimator, name)
        return abs(skew) >= limits[0] and kurt >= limits[1]

    if not fails(column):
        return column, 0, False, True
    ranked = np.sort(column[~np.isnan(column)])
    high = _shape(column, estimator, name)[0] > 0
    for n in range(1, min(max_points, ranked.size - 1) + 1):
        candidate = _winsorised_point(column, ranked, n, high)
        if not fails(candidate):
            return candidate, n, False, True
    low, extent = ranked[0], ranked[-1] - ranked[0]
    logged = np.log(column - low + 0.01 * extent)
    return logged, 0, True, not fails(logged)


def treat_jrc(
    values: FloatArray,
    *,
    max_points: int = 5,
    max_skewness: float = 2.0,
    max_kurtosis: float = 3.5,
    estimator: Moments = "sample",
    labels: Labels = NUMBERED,
) -> Treated:
    """Columns that fail the JRC rule winsorised point by point, else logged.

    While |skewness| >= 2 and kurtosis >= 3.5, the k = 1, 2, ... most extreme values on the long
    tail take the value of the (k+1)-th. If ``max_points`` do not suffice the column becomes
    ln(x - min + 0.01 (max - min)) of the untreated values. Source: COINr, ``Treat`` defaults.
    """
    limits = (max_skewness, max_kurtosis)
    columns = [
        _treat_column(values[:, i], max_points, limits, estimator, labels.indicator(i))
        for i in range(values.shape[1])
    ]
    return Treated(
        np.column_stack([column[0] for column in columns]),
        np.array([column[1] for column in columns], dtype=np.int64),
        np.array([column[2] for column in columns], dtype=np.bool_),
        np.array([column[3] for column in columns], dtype=np.bool_),
    )


def percentile(values: FloatArray, share: float, *, labels: Labels = NUMBERED) -> FloatArray:
    """Percentile of type 7 (linear between order statistics) per indicator: [n_regions, n] -> [n].

    h = (N - 1) share; x_(floor h) + (h - floor h)(x_(floor h + 1) - x_(floor h)) over the N values
    present (Hyndman & Fan 1996). An indicator without any value is an error.
    """
    if not 0.0 <= share <= 1.0:
        raise IndexMethodError(f"a share between 0 and 1, not {share}", setting="percentile")
    n_present: IntArray = (~np.isnan(values)).sum(axis=0)
    require(n_present > 0, "no value at all in the reference distribution", labels)
    limits: FloatArray = np.nanquantile(values, share, axis=0, method="linear")
    return limits


def winsorise(
    values: FloatArray, *, lower: float = 0.025, upper: float = 0.975, labels: Labels = NUMBERED
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values clipped at two percentiles of their own column, and the two limits used.

    min(max(x, q_lower), q_upper) with type 7 percentiles; shapes [n_regions, n], [n], [n].
    """
    if not lower < upper:
        raise IndexMethodError(f"lower {lower} must be below upper {upper}", setting="winsorise")
    low = percentile(values, lower, labels=labels)
    high = percentile(values, upper, labels=labels)
    return np.clip(values, low, high), low, high
