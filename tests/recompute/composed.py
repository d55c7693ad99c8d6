"""From values to the index (method, par. 4 and 5): ruler, scores, dimensions, index, ranks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.recompute.filled import INTERPOLATED, OBSERVED
from tests.recompute.larger import Whole
from tests.recompute.observed import Array, Axes

from btg.catalogue.schema import Indicator, Method

TRANSFORMS = {"identity": lambda x: x, "log": np.log, "sqrt": np.sqrt}
PROVISIONAL, UNKNOWN = (1, 2), 3


@dataclass(frozen=True)
class Ruler:
    """Centre and spread of one indicator, and the base distribution that they come from."""

    m: float
    s: float
    clip_lo: float
    clip_hi: float
    n_units: int
    skewness: float
    kurtosis: float


@dataclass(frozen=True)
class Composite:
    """A weighted mean of what is present, with the shares that say what it rests on."""

    score: Array
    coverage: Array
    provisional: Array
    unknown: Array
    imputed: Array
    near_observed: Array


def fit(whole: Whole, indicator: Indicator, axes: Axes, population: Array, method: Method) -> Ruler:
    """Return the ruler from the base year: all municipalities, weighted with inhabitants."""
    base = axes.years.index(method.base_year)
    g = TRANSFORMS[indicator.transform]
    values = whole.filled.value[: axes.n_municipalities, base]
    has = ~np.isnan(values)
    x = g(values[has])
    low, high = np.quantile(x, [method.clip_lower_share, method.clip_upper_share])  # type 7
    clipped = np.clip(x, low, high)
    w = population[has] / population[has].sum()
    mean = (w * clipped).sum()
    spread = np.sqrt((w * (clipped - mean) ** 2).sum() / (1 - (w**2).sum()))
    skewness, kurtosis = _shape(x)
    centre = float(g(whole.filled.value[-1, base]))
    return Ruler(centre, float(spread), low, high, int(has.sum()), skewness, kurtosis)


def _shape(x: Array) -> tuple[float, float]:
    """Skewness and excess kurtosis with the corrections for a sample (G1, G2)."""
    n = x.size
    z = (x - x.mean()) / x.std(ddof=1)
    skewness = n / ((n - 1) * (n - 2)) * (z**3).sum()
    kurtosis = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * (z**4).sum() - 3 * (n - 1) ** 2 / (
        (n - 2) * (n - 3)
    )
    return float(skewness), float(kurtosis)


def score(
    whole: Whole, indicator: Indicator, ruler: Ruler, years: tuple[int, ...], method: Method
) -> Array:
    """Return 100 + 10 * polarity * (g(x) - m) / s; nothing beyond a break of definition."""
    g = TRANSFORMS[indicator.transform]
    points = (
        method.score_centre
        + method.score_spread * indicator.polarity * (g(whole.filled.value) - ruler.m) / ruler.s
    )
    for b in indicator.breaks:
        if b.kind == "definition":
            is_after = np.array(years) >= b.year
            points[:, is_after != (method.base_year >= b.year)] = np.nan
    return points


def dimension(
    scores: NDArray[np.float64], wholes: list[Whole], weights: Array, method: Method
) -> Composite:
    """Return a dimension from its indicators [indicator, region, year]."""
    has = ~np.isnan(scores)
    w = weights[:, None, None]
    status = np.stack([whole.filled.status for whole in wholes])
    finality = np.stack([whole.filled.finality for whole in wholes])
    present = (w * has).sum(axis=0)
    is_covered = present >= method.dimension_coverage_share - method.comparison_tolerance

    def share(which: NDArray[np.bool_]) -> Array:
        return _where(is_covered, (w * (has & which)).sum(axis=0), present)

    return Composite(
        score=_where(is_covered, (w * np.where(has, scores, 0)).sum(axis=0), present),
        coverage=present,
        provisional=share(np.isin(finality, PROVISIONAL)),
        unknown=share(finality == UNKNOWN),
        imputed=share(status != OBSERVED),
        near_observed=(w * (has & np.isin(status, (OBSERVED, INTERPOLATED)))).sum(axis=0),
    )


def index(dimensions: list[Composite], weights: Array, method: Method) -> Composite:
    """Return the index before the rule on index years: mean of the dimensions present."""
    w = weights[:, None, None]
    scores = np.stack([d.score for d in dimensions])
    has = ~np.isnan(scores)
    present = (w * has).sum(axis=0)
    is_covered = has.sum(axis=0) >= method.index_min_dimensions

    def mean(parts: list[Array]) -> Array:
        stacked = np.where(has, np.stack(parts), 0)
        return _where(is_covered, (w * stacked).sum(axis=0), present)

    return Composite(
        score=mean([d.score for d in dimensions]),
        coverage=(w * np.where(has, np.stack([d.coverage for d in dimensions]), 0)).sum(axis=0),
        provisional=mean([d.provisional for d in dimensions]),
        unknown=mean([d.unknown for d in dimensions]),
        imputed=mean([d.imputed for d in dimensions]),
        near_observed=(w * np.stack([d.near_observed for d in dimensions])).sum(axis=0),
    )


def index_years(
    candidate: Composite, dimensions: list[Composite], axes: Axes, method: Method
) -> NDArray[np.bool_]:
    """Return per year whether it is an index year: the rule holds, without a gap from the base."""
    n = axes.n_municipalities
    near = 1 - method.comparison_tolerance
    rule = candidate.near_observed[-1] >= method.index_year_weight_share * near
    for part in (candidate, *dimensions):
        rule &= (~np.isnan(part.score[:n])).mean(axis=0) >= method.index_year_region_share * near
    base = axes.years.index(method.base_year)
    first = last = base
    while first > 0 and rule[first - 1]:
        first -= 1
    while last + 1 < len(rule) and rule[last + 1]:
        last += 1
    places = np.arange(len(rule))
    return rule & (places >= first) & (places <= last)


def is_common(
    scores: Array, twente: NDArray[np.bool_], n: int, method: Method
) -> NDArray[np.bool_]:
    """Return per indicator and year whether 95 % of the municipalities and all 14 have it."""
    has = ~np.isnan(scores[:, :n])
    return (has.mean(axis=1) >= method.common_set_share) & has[:, twente[:n]].all(axis=1)


def rank(scores: Array, n: int) -> Array:
    """Return ranks of the municipalities per year, 1 = highest, ties equal (lowest)."""
    ranks = np.full(scores.shape, np.nan)
    for t in range(scores.shape[1]):
        column = scores[:n, t]
        better = (column[None, :] > column[:, None]).sum(axis=1)
        ranks[:n, t] = np.where(np.isnan(column), np.nan, better + 1)
    return ranks


def _where(is_valid: NDArray[np.bool_], total: Array, by: Array) -> Array:
    return np.where(is_valid, total / np.where(by > 0, by, 1), np.nan)
