"""Data uncertainty: standard errors by error model, carried to scores, changes and directions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from btg.index.arrays import TOLERANCE, BoolArray, FloatArray, ordered_sum
from btg.index.errors import IndexMethodError

Z_95_ONE_SIDED = 1.645
Z_95_TWO_SIDED = 1.959963984540054

DERIVATIVES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda x: np.ones_like(x),
    "log": lambda x: 1.0 / x,
    "log1p": lambda x: 1.0 / (1.0 + x),
    "sqrt": lambda x: 0.5 / np.sqrt(x),
    "cube_root": lambda x: 1.0 / (3.0 * np.cbrt(x) ** 2),
    "square": lambda x: 2.0 * x,
    "cube": lambda x: 3.0 * x * x,
    "reciprocal": lambda x: 1.0 / (x * x),
    "logit": lambda x: 1.0 / (x * (1.0 - x)),
    "logit_pct": lambda x: 100.0 / (x * (100.0 - x)),
}


def poisson_error(counts: FloatArray, unit_factor: FloatArray) -> FloatArray:
    """Standard error of a rate that rests on a count: unit_factor * sqrt(max(count, 1)).

    ``unit_factor`` turns the count into the value (e.g. 1 000 / inhabitants). A count of 0 is given
    the error of 1, or a small municipality without events would look certain.
    """
    error: FloatArray = unit_factor * np.sqrt(np.maximum(counts, 1.0))
    return np.where(np.isnan(counts), np.nan, error)


def margin_error(half_width: FloatArray, *, z: float = Z_95_TWO_SIDED) -> FloatArray:
    """Standard error from a published margin: half the width of the interval / z (95 %: 1.96)."""
    error: FloatArray = half_width / z
    return error


def empirical_error(values: FloatArray) -> FloatArray:
    """Standard error of one observation of an annual series, per indicator: [n_indicators].

    Second differences d = x_(t+1) - 2 x_t + x_(t-1) remove a locally linear course; with
    independent errors Var(d) = 6 sigma^2, so sigma = sqrt(mean(d^2) / 6) over all regions and years
    with three neighbouring values. ``values`` [n_regions, n_years, n] in consecutive years, NaN
    where not observed; NaN where no three neighbours exist. Real bends count as error: cautious.
    """
    second = values[:, 2:] - 2.0 * values[:, 1:-1] + values[:, :-2]
    present = ~np.isnan(second)
    counts = present.sum(axis=(0, 1))
    squares = np.where(present, second * second, 0.0).sum(axis=(0, 1))
    mean = np.divide(squares, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    error: FloatArray = np.sqrt(mean / 6.0)
    return error


def score_error(
    values: FloatArray,
    errors: FloatArray,
    transforms: Sequence[str],
    s: FloatArray,
    *,
    spread: float = 10.0,
) -> FloatArray:
    """Standard error of a base-year score: spread * |g'(x)| * se(x) / s (first order).

    ``values`` and ``errors`` [..., n] in the unit of x, ``transforms`` n names, ``s`` [n] of the
    ruler. NaN where the error is unknown.
    """
    result = np.full(errors.shape, np.nan)
    for i, name in enumerate(transforms):
        if name not in DERIVATIVES:
            raise IndexMethodError(f"unknown transform {name!r}", setting="transform")
        slope = DERIVATIVES[name](values[..., i])
        result[..., i] = spread * np.abs(slope) * errors[..., i] / s[i]
    return result


def change_error(errors: FloatArray, *, base: int) -> FloatArray:
    """Standard error of the change since the base year: sqrt(se_t^2 + se_base^2), independent.

    ``errors`` [n_regions, n_years, ...]; 0 in the base year itself.
    """
    at_base = errors[:, base : base + 1]
    error: FloatArray = np.sqrt(errors * errors + at_base * at_base)
    error[:, base] = np.where(np.isnan(at_base[:, 0]), np.nan, 0.0)
    return error


def propagated_error(errors: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standard error of a weighted mean from the known errors, and the weight they cover.

    sqrt(sum(w^2 se^2)) over known errors (independent between indicators), and sum(w [known]) /
    sum(w): [..., n] -> [...], [...]. NaN errors with weight 0 do not count.
    """
    known = ~np.isnan(errors)
    squares = np.where(known & (weights != 0), weights * weights * errors * errors, 0.0)
    covered = ordered_sum(np.where(known, weights, 0.0))
    total = ordered_sum(np.broadcast_to(weights, errors.shape))
    share = np.divide(covered, total, out=np.full(total.shape, np.nan), where=total > 0)
    error = np.where(covered > 0, np.sqrt(ordered_sum(squares)), np.nan)
    return error, share


def direction(
    change: FloatArray,
    standard_error: FloatArray,
    share_improved: FloatArray,
    share_worsened: FloatArray,
    *,
    level_break: BoolArray | None = None,
    min_share: float = 0.95,
    z: float = Z_95_ONE_SIDED,
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Direction of a change and the reason where it is not up or down; arrays of one shape.

    "up" ("down") only if the share of method variants that improve (worsen) is at least
    ``min_share`` and |change| > z * standard error. Otherwise "unclear": "level_break",
    "error_unknown" (NaN error), "method_dependent" (variants disagree), "within_error"; no change
    known: "unknown", "no_independent_observation". The reason of a direction is "".
    """
    broken = np.zeros(change.shape, dtype=np.bool_) if level_break is None else level_break
    agreed = np.where(change > 0, share_improved, share_worsened) >= min_share - TOLERANCE
    beyond = np.abs(change) > z * standard_error
    reason = np.where(beyond, "", "within_error")
    reason = np.where(agreed, reason, "method_dependent")
    reason = np.where(np.isnan(standard_error), "error_unknown", reason)
    reason = np.where(broken, "level_break", reason)
    sense = np.where(change > 0, "up", "down")
    found = np.where(reason == "", sense, "unclear")
    missing = np.isnan(change)
    return (
        np.where(missing, "unknown", found),
        np.where(missing, "no_independent_observation", reason),
    )
