"""Larger regions (method, par. 3): aggregated over a fixed set of municipalities or published."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.recompute.filled import MISSING, NONE, OBSERVED, Filled
from tests.recompute.observed import Array, Axes, Codes

from btg.build import Inputs
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import LEVEL_PREFIX, Method


@dataclass(frozen=True)
class Members:
    """Which municipality lies in which larger region, and how many live there in the base year."""

    is_member: NDArray[np.bool_]
    population: Array


@dataclass(frozen=True)
class Whole:
    """One indicator for all regions [region, year], with the share of inhabitants behind it."""

    filled: Filled
    covered: Array
    is_published: NDArray[np.bool_]


def members(catalogue: Catalogue, inputs: Inputs, axes: Axes, population: Array) -> Members:
    """Return the membership of the newest year; every municipality lies in the country."""
    newest = inputs.area.filter(inputs.area["year"] == inputs.area["year"].max())
    place = {code: position for position, code in enumerate(axes.regions)}
    n = axes.n_municipalities
    is_member = np.zeros((len(axes.regions) - n, n), dtype=bool)
    for code, corop, province in newest.select(
        "municipality_code", "corop_code", "province_code"
    ).iter_rows():
        for larger in (corop, province, catalogue.regions.country.code):
            is_member[place[larger] - n, place[code]] = True
    return Members(is_member, population)


def complete(filled: Filled, members: Members, axes: Axes, method: Method) -> Whole:
    """Return an indicator with one route per region level for all years."""
    n = axes.n_municipalities
    aggregate, covered = _aggregate(filled, members, axes, method)
    window = _window(axes, method)
    has_aggregate = ~np.isnan(aggregate.value[n:])
    has_own = ~np.isnan(filled.value[n:])
    is_published = np.zeros(len(axes.regions), dtype=bool)
    is_published[:n] = True
    for prefix in (p for level, p in LEVEL_PREFIX.items() if level != "gemeente"):
        rows = np.array([code.startswith(prefix) for code in axes.regions[n:]])
        needed = has_aggregate[rows][:, window]
        own = has_own[rows][:, window]
        is_published[n:][rows] = bool(needed.any() and own[needed].all())
    enough = covered >= method.aggregate_coverage_share
    parts = []
    for name in ("value", "weight", "status", "first", "last", "finality"):
        mine, summed = getattr(filled, name), getattr(aggregate, name)
        blank = np.nan if name in ("value", "weight") else MISSING if name == "status" else NONE
        summed = np.where(enough, summed, blank)
        parts.append(np.where(is_published[:, None], mine, summed))
    whole = Filled(*parts)
    shown = np.where(is_published[:, None], 1.0, covered)
    return Whole(whole, np.where(np.isnan(whole.value), np.nan, shown), is_published)


def _window(axes: Axes, method: Method) -> NDArray[np.bool_]:
    years = np.array(axes.years)
    return (years >= method.grid_first_year) & (years <= method.aggregate_last_year)


def _aggregate(
    filled: Filled, members: Members, axes: Axes, method: Method
) -> tuple[Filled, Array]:
    n = axes.n_municipalities
    value, weight = filled.value[:n], filled.weight[:n]
    has = ~np.isnan(value) & ~np.isnan(weight)
    fixed = _fixed_set(has, members.population, _window(axes, method), method)
    shape = filled.value.shape
    result = Filled(
        *(np.full(shape, np.nan) for _ in range(2)),
        *(np.full(shape, blank) for blank in (MISSING, NONE, NONE, NONE)),
    )
    covered = np.full(shape, np.nan)
    for row, belongs in enumerate(members.is_member):
        for t in range(shape[1]):
            chosen = belongs & fixed & has[:, t]
            if not chosen.any():
                continue
            w = weight[chosen, t]
            total = w.sum()
            result.value[n + row, t] = (w * value[chosen, t]).sum() / total
            result.weight[n + row, t] = total
            result.status[n + row, t] = _status(filled.status[:n][chosen, t], w / total, method)
            oldest, newest = filled.first[:n][chosen, t], filled.last[:n][chosen, t]
            result.first[n + row, t] = _reached(oldest, w / total, method, newest_first=False)
            result.last[n + row, t] = _reached(newest, w / total, method, newest_first=True)
            result.finality[n + row, t] = filled.finality[:n][chosen, t].max()
            everyone = members.population[belongs].sum()
            covered[n + row, t] = members.population[chosen].sum() / everyone
    return result, covered


def _fixed_set(
    has: NDArray[np.bool_], population: Array, window: NDArray[np.bool_], method: Method
) -> NDArray[np.bool_]:
    """Municipalities with a value in every year in which those with one hold enough inhabitants."""
    needed = population.sum() * method.aggregate_coverage_share
    series = window & (population @ has >= needed)
    if not series.any():
        return np.zeros(has.shape[0], dtype=bool)
    return has[:, series].all(axis=1)


def _status(statuses: Codes, shares: Array, method: Method) -> int:
    """Observed where 80 % of the weight is; else the other status with most weight."""
    by_status = np.bincount(statuses, weights=shares, minlength=5)
    if by_status[OBSERVED] >= method.aggregate_coverage_share:
        return OBSERVED
    by_status[OBSERVED] = -1
    return int(by_status.argmax())


def _reached(years: Codes, shares: Array, method: Method, *, newest_first: bool) -> int:
    """The year such that members with 80 % of the weight rest on one as new (as old)."""
    limit = method.aggregate_coverage_share - method.comparison_tolerance
    for year in sorted(set(years.tolist()), reverse=newest_first):
        as_good = years >= year if newest_first else years <= year
        if shares[as_good].sum() >= limit:
            return int(year)
    raise AssertionError("all members together hold all weight")
