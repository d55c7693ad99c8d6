"""Change since the base year (method, par. 6): over the same observed things at both ends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.recompute.larger import Whole
from tests.recompute.observed import Array, Axes

from btg.catalogue.schema import Indicator, Method

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Both ends of every indicator [indicator, region, year]."""

    change: Array
    is_independent: Bools
    is_matched: Bools
    is_comparable: Bools
    versus_nl: Array


@dataclass(frozen=True)
class Change:
    """The change of a dimension or of the index [region, year]."""

    matched: Array
    versus_nl: Array
    matched_weight: Array
    n_matched: Array
    contributions: Array


def pairs(
    scores: Array, wholes: list[Whole], indicators: list[Indicator], axes: Axes, method: Method
) -> Pairs:
    """Return which indicators can carry a change, and that change."""
    base = axes.years.index(method.base_year)
    places = np.arange(len(axes.years))
    first = np.stack([whole.filled.first for whole in wholes])
    last = np.stack([whole.filled.last for whole in wholes])
    is_newer = last > last[:, :, base : base + 1]
    is_older = first < first[:, :, base : base + 1]
    is_independent = np.where(places > base, is_newer, np.where(places < base, is_older, True))
    change = scores - scores[:, :, base : base + 1]
    is_valid = ~np.isnan(change) & is_independent
    is_relative = np.array([i.relative for i in indicators])[:, None, None]
    nation = slice(len(axes.regions) - 1, len(axes.regions))
    return Pairs(
        change=change,
        is_independent=is_independent,
        is_matched=is_valid & ~is_relative,
        is_comparable=is_valid & is_valid[:, nation],
        versus_nl=change - change[:, nation],
    )


def of_dimension(pairs: Pairs, members: Bools, weights: Array, method: Method) -> Change:
    """Return the change of one dimension; needs half of its weight."""
    w = np.where(members, weights, 0)[:, None, None]
    limit = method.change_dimension_coverage_share - method.comparison_tolerance
    matched, total, parts = _mean(pairs.change, pairs.is_matched, w, limit)
    versus, _, _ = _mean(pairs.versus_nl, pairs.is_comparable, w, limit)
    return Change(matched, versus, total, (~np.isnan(matched)).astype(float), parts)


def of_index(dimensions: list[Change], weights: Array, method: Method) -> Change:
    """Return the change of the index; needs six of eleven dimensions."""
    w = weights[:, None, None]
    matched, n_matched, shares = _mean_of(dimensions, "matched", w, method)
    versus, _, _ = _mean_of(dimensions, "versus_nl", w, method)
    has = ~np.isnan(np.stack([d.matched for d in dimensions]))
    matched_weight = (w * np.where(has, np.stack([d.matched_weight for d in dimensions]), 0)).sum(
        axis=0
    )
    parts = np.full_like(dimensions[0].contributions, np.nan)
    for d, share in zip(dimensions, shares, strict=True):
        scaled = share * d.contributions
        parts = np.where(np.isnan(scaled), parts, scaled)
    return Change(matched, versus, matched_weight, n_matched, parts)


def _mean(change: Array, chosen: Bools, w: Array, limit: float) -> tuple[Array, Array, Array]:
    total = (w * chosen).sum(axis=0)
    enough = (total >= limit) & (total > 0)
    parts = np.where(enough & chosen & (w > 0), w * change / np.where(enough, total, 1), np.nan)
    return np.where(enough, np.nan_to_num(parts).sum(axis=0), np.nan), total, parts


def _mean_of(
    dimensions: list[Change], name: str, w: Array, method: Method
) -> tuple[Array, Array, Array]:
    changes = np.stack([getattr(d, name) for d in dimensions])
    has = ~np.isnan(changes)
    n = has.sum(axis=0)
    enough = n >= method.change_min_dimensions
    total = np.where(enough, (w * has).sum(axis=0), 1)
    shares = np.where(has & enough, w / total, np.nan)
    mean = np.where(enough, (np.nan_to_num(shares) * np.nan_to_num(changes)).sum(axis=0), np.nan)
    return mean, n.astype(float), shares
