"""Transforms g(x) of single values, each increasing on its domain, and ratios to a denominator.

Every function takes ``values`` [..., n_indicators] (NaN = missing) and returns an array of the
same shape. A value outside the domain of a transform is an error that names its cell: it is never
turned into NaN. All transforms keep the order of the values, so polarity is applied afterwards.
Sources: ONS Health Index methods 2015-2019 (log, roots, powers, -1/x); OECD/EU/JRC Handbook (2008).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from btg.index.arrays import (
    NUMBERED,
    BoolArray,
    FloatArray,
    Labels,
    require,
    require_not_infinite,
)
from btg.index.errors import IndexMethodError


def _in_domain(inside: BoolArray, values: FloatArray, text: str, labels: Labels) -> None:
    require(inside | np.isnan(values), text, labels)


def identity(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = x; unit unchanged."""
    return values.copy()


def log(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = ln x for x > 0; a change of unit only shifts it."""
    _in_domain(values > 0, values, "log needs a value above 0", labels)
    return np.log(values)


def log1p(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = ln(1 + x) for x > -1; depends on the unit, for counts with zeros."""
    _in_domain(values > -1, values, "log1p needs a value above -1", labels)
    return np.log1p(values)


def sqrt(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = x^(1/2) for x >= 0."""
    _in_domain(values >= 0, values, "sqrt needs a value of 0 or more", labels)
    return np.sqrt(values)


def cube_root(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = x^(1/3), the real root, for any x."""
    return np.cbrt(values)


def square(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = x^2 for x >= 0 (below 0 it would turn the order round)."""
    _in_domain(values >= 0, values, "square needs a value of 0 or more", labels)
    return values * values


def cube(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = x^3 for any x."""
    return values * values * values


def reciprocal(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = -1/x for x > 0: the sign keeps the order (ONS); with polarity -1 it is 1/x."""
    _in_domain(values > 0, values, "reciprocal needs a value above 0", labels)
    return -1.0 / values


def logit(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = ln(x / (1 - x)) for a share 0 < x < 1."""
    inside = (values > 0) & (values < 1)
    _in_domain(inside, values, "logit needs a share between 0 and 1 (per cent: logit_pct)", labels)
    return np.log(values / (1.0 - values))


def logit_pct(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """g(x) = ln(x / (100 - x)) for a percentage 0 < x < 100; equals logit of the share."""
    inside = (values > 0) & (values < 100)
    _in_domain(inside, values, "logit_pct needs a percentage between 0 and 100", labels)
    return np.log(values / (100.0 - values))


TRANSFORMS: Mapping[str, Callable[..., FloatArray]] = {
    "identity": identity,
    "log": log,
    "log1p": log1p,
    "sqrt": sqrt,
    "cube_root": cube_root,
    "square": square,
    "cube": cube,
    "reciprocal": reciprocal,
    "logit": logit,
    "logit_pct": logit_pct,
}


def transform(
    values: FloatArray, names: str | Sequence[str], *, labels: Labels = NUMBERED
) -> FloatArray:
    """g_i(x) with one transform for all indicators or one name per indicator.

    ``values`` [..., n]; ``names`` one of :data:`TRANSFORMS`, or n of them. Same shape back.
    Errors: unknown name, infinite value, value outside the domain (each names its indicator).
    """
    n = values.shape[-1]
    chosen = [names] * n if isinstance(names, str) else list(names)
    if len(chosen) != n:
        raise IndexMethodError(f"{len(chosen)} transforms for {n} indicators", setting="transform")
    require_not_infinite(values, labels)
    result = np.empty(values.shape, dtype=np.float64)
    for position, name in enumerate(chosen):
        if name not in TRANSFORMS:
            raise IndexMethodError(
                f"unknown transform {name!r}; known: {', '.join(TRANSFORMS)}",
                indicator=labels.indicator(position),
                setting="transform",
            )
        one = slice(position, position + 1)
        result[..., one] = TRANSFORMS[name](values[..., one], labels=labels.only(position))
    return result


def denominate(
    values: FloatArray,
    denominators: FloatArray,
    *,
    missing_denominator: Literal["error", "missing"] = "error",
    labels: Labels = NUMBERED,
) -> FloatArray:
    """x / d, a count made comparable between regions of different size.

    ``denominators`` has the shape of ``values`` [..., n]; use 1 where an indicator has none.
    Unit: unit of x per unit of d. A denominator of 0 or less under a value that is present is an
    error that names the cell; so is a missing one, unless "missing" states that the ratio is then
    missing as well.
    """
    if missing_denominator not in ("error", "missing"):
        raise IndexMethodError(
            f"unknown choice {missing_denominator!r}", setting="missing_denominator"
        )
    known = np.isnan(values) | (denominators > 0)
    if missing_denominator == "missing":
        known |= np.isnan(denominators)
    require(known, "the denominator is missing, 0 or negative", labels)
    usable = np.where(denominators > 0, denominators, np.nan)
    return values / usable
