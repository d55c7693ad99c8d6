"""Shares of the variance of an output that each uncertain choice accounts for."""

from dataclasses import dataclass

import numpy as np

from btg.index.arrays import FloatArray
from btg.index.errors import IndexMethodError


@dataclass(frozen=True)
class VarianceShares:
    """First-order and total shares per factor, [n_factors] (pooled) or [n_factors, n_cells].

    ``n_excluded``: cells (regions) left out because a combination of the design has no output.
    """

    first_order: FloatArray
    total: FloatArray
    n_excluded: int


def variance_parts(
    outputs: FloatArray, n_factors: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Variance, first-order and total parts of a balanced design, exact, per cell.

    ``outputs`` [levels of factor 1, ..., levels of factor k, n_cells]: one output for every
    combination of choices. V = Var(Y); V_i = Var(E[Y | factor i]); T_i = V - Var(E[Y | all but i]).
    Population variances over equally likely combinations: no sampling, no noise. A cell with a
    missing combination is NaN throughout. Returns V [n_cells], V_i and T_i [k, n_cells].
    Source: Saisana, Saltelli & Tarantola (2005), evaluated on the full design.
    """
    if outputs.ndim != n_factors + 1:
        raise IndexMethodError(f"{outputs.ndim - 1} axes for {n_factors} factors", setting="design")
    axes = tuple(range(n_factors))
    variance = outputs.var(axis=axes)
    first, total = [], []
    for factor in axes:
        others = tuple(axis for axis in axes if axis != factor)
        first.append(outputs.mean(axis=others).var(axis=0))
        total.append(variance - outputs.mean(axis=factor).var(axis=axes[:-1]))
    return variance, np.array(first), np.array(total)


def variance_shares(outputs: FloatArray, n_factors: int) -> VarianceShares:
    """Shares V_i / V and T_i / V per cell; NaN where the output does not vary or is missing."""
    variance, first, total = variance_parts(outputs, n_factors)
    divisor = np.where(variance > _noise(outputs, n_factors), variance, np.nan)
    return VarianceShares(first / divisor, total / divisor, int(np.isnan(variance).sum()))


def pooled_variance_shares(outputs: FloatArray, n_factors: int) -> VarianceShares:
    """One share per factor over all complete cells: sum of V_i over cells / sum of V over cells.

    Cells with a missing combination are left out and counted, never filled or re-normalised. NaN
    where nothing varies.
    """
    variance, first, total = variance_parts(outputs, n_factors)
    complete = ~np.isnan(variance)
    whole = float(variance[complete].sum())
    divisor = whole if whole > float(_noise(outputs, n_factors)[complete].sum()) else np.nan
    return VarianceShares(
        first[:, complete].sum(axis=1) / divisor,
        total[:, complete].sum(axis=1) / divisor,
        int((~complete).sum()),
    )


def _noise(outputs: FloatArray, n_factors: int) -> FloatArray:
    """Variance that rounding alone can produce in each cell."""
    largest: FloatArray = np.abs(outputs).max(axis=tuple(range(n_factors)))
    return 1e-24 * largest * largest


@dataclass(frozen=True)
class SobolIndices:
    """Estimated first-order and total indices, [n_factors], and the variance they refer to."""

    first_order: FloatArray
    total: FloatArray
    variance: float


def sobol_indices(y_a: FloatArray, y_b: FloatArray, y_ab: FloatArray) -> SobolIndices:
    """Sampling estimates of the variance shares from outputs on a Saltelli design.

    ``y_a``, ``y_b`` [n]: outputs on the sample matrices A and B; ``y_ab`` [k, n]: on A with column
    i taken from B. S_i = mean(y_b (y_ab_i - y_a)) / V, T_i = mean((y_a - y_ab_i)^2) / (2 V) with
    V the sample variance of y_a and y_b together. Source: Saltelli et al. (2010), Jansen (1999).
    """
    if y_a.shape != y_b.shape or y_ab.shape[1:] != y_a.shape:
        raise IndexMethodError("A, B and AB have different lengths", setting="design")
    variance = float(np.concatenate([y_a, y_b]).var(ddof=1))
    if not variance > 0:
        raise IndexMethodError("the output does not vary or is missing", setting="design")
    first = (y_b * (y_ab - y_a)).mean(axis=1) / variance
    total = ((y_a - y_ab) ** 2).mean(axis=1) / (2.0 * variance)
    return SobolIndices(first, total, variance)


def split_saltelli(
    outputs: FloatArray, n_samples: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Outputs stacked as A, B, AB_1, ..., AB_k split into y_a [n], y_b [n] and y_ab [k, n]."""
    if outputs.size % n_samples or outputs.size < 3 * n_samples:
        raise IndexMethodError(
            f"{outputs.size} outputs are not blocks of {n_samples}", setting="n_samples"
        )
    blocks = outputs.reshape(-1, n_samples)
    return blocks[0], blocks[1], blocks[2:]
