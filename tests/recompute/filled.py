"""Filling (method, par. 5): a gap is bridged, the base year is served, the end is carried."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.recompute.observed import Array, Codes, Observed

from btg.catalogue.schema import Indicator, Method

STATUSES = ("missing", "observed", "interpolated", "substituted", "carried")
MISSING, OBSERVED, INTERPOLATED, SUBSTITUTED, CARRIED = range(5)
NONE = -1


@dataclass(frozen=True)
class Filled:
    """Values after filling, all arrays [region, year]; years of origin are places on the axis."""

    value: Array
    weight: Array
    status: Codes
    first: Codes
    last: Codes
    finality: Codes

    def years(self, which: Codes, first_year: int) -> Array:
        """Return places on the axis as calendar years, NaN where there is none."""
        return np.where(which == NONE, np.nan, which + first_year)


def fill(
    observed: Observed, years: tuple[int, ...], indicator: Indicator, method: Method
) -> Filled:
    """Return the series of every region with its gaps filled as far as the method allows."""
    has = ~np.isnan(observed.value)
    starts = {b.year for b in indicator.breaks if b.kind == "definition"}
    before, after = _nearest(has, years, starts)
    n_years = len(years)
    result = Filled(
        *(np.full(has.shape, np.nan) for _ in range(2)),
        *(np.full(has.shape, value) for value in (MISSING, NONE, NONE, NONE)),
    )
    for t in range(n_years):
        since = np.where(before[:, t] == NONE, 99, t - before[:, t])
        until = np.where(after[:, t] == NONE, 99, after[:, t] - t)
        status = _status(since, until, years[t] == method.base_year, indicator, method)
        _put(result, observed, t, status, before[:, t], after[:, t], since, until)
    return result


def _nearest(
    has: NDArray[np.bool_], years: tuple[int, ...], starts: set[int]
) -> tuple[Codes, Codes]:
    """Return the place of the last observation up to, and of the first from, every year."""
    before, after = (np.full(has.shape, NONE) for _ in range(2))
    seen = np.full(has.shape[0], NONE)
    for t, year in enumerate(years):
        seen = np.where(has[:, t], t, NONE if year in starts else seen)
        before[:, t] = seen
    seen = np.full(has.shape[0], NONE)
    for t in reversed(range(len(years))):
        seen = np.where(has[:, t], t, seen)
        after[:, t] = seen
        if years[t] in starts:
            seen = np.full(has.shape[0], NONE)
    return before, after


def _status(
    since: Codes, until: Codes, is_base: bool, indicator: Indicator, method: Method
) -> Codes:
    if indicator.missing_rule == "observed_only":
        return np.where(since == 0, OBSERVED, MISSING)
    if is_base:
        reach = method.base_interpolation_years
        bridged = (since <= reach) & (until <= reach)
        otherwise = np.where(
            np.minimum(since, until) <= method.base_substitution_years, SUBSTITUTED, MISSING
        )
    else:
        bridged = since + until <= method.interpolation_gap_years
        otherwise = np.where(since <= method.carry_years, CARRIED, MISSING)
    return np.where(since == 0, OBSERVED, np.where(bridged, INTERPOLATED, otherwise))


def _put(
    result: Filled,
    observed: Observed,
    t: int,
    status: Codes,
    before: Codes,
    after: Codes,
    since: Codes,
    until: Codes,
) -> None:
    rows = np.arange(status.size)
    # of two equally near years the earlier: it is also what is known first
    nearest = np.where(until < since, after, before)
    first = np.where(status == SUBSTITUTED, nearest, before)
    last = np.where(status == INTERPOLATED, after, first)
    is_there = status != MISSING
    share = np.where(status == INTERPOLATED, since / np.maximum(since + until, 1), 0.0)
    for target, source in ((result.value, observed.value), (result.weight, observed.weight)):
        low, high = source[rows, first], source[rows, last]
        line = np.where(status == INTERPOLATED, low + (high - low) * share, low)
        target[:, t] = np.where(is_there, line, np.nan)
    finality = np.maximum(observed.status[rows, first], observed.status[rows, last])
    for target_codes, codes in (
        (result.status, status),
        (result.first, first),
        (result.last, last),
        (result.finality, finality),
    ):
        target_codes[:, t] = np.where(is_there, codes, MISSING if codes is status else NONE)
