"""Weights: equal, given, relative, from principal components, balanced, and random draws.

A weight vector [n] is non-negative and sums to 1. Functions that derive weights from data take
``values`` [n_regions, n] and use the regions that are complete in all n columns.
"""

from collections.abc import Sequence

import numpy as np

from btg.index.arrays import NUMBERED, TOLERANCE, BoolArray, FloatArray, Labels, require
from btg.index.diagnostics import pca
from btg.index.errors import IndexMethodError


def equal_weights(n: int) -> FloatArray:
    """1/n for each of n items."""
    if n < 1:
        raise IndexMethodError("there is nothing to weigh", setting="weights")
    return np.full(n, 1.0 / n)


def given_weights(
    weights: Sequence[float] | FloatArray,
    *,
    tolerance: float = TOLERANCE,
    labels: Labels = NUMBERED,
) -> FloatArray:
    """The weights as stated, guaranteed finite, non-negative and of sum 1 within ``tolerance``.

    The error names the offending item, or all items of a set whose sum is not 1.
    """
    stated = np.asarray(weights, dtype=np.float64)
    require(np.isfinite(stated) & (stated >= 0), "a weight must be a number of 0 or more", labels)
    total = float(stated.sum())
    if abs(total - 1.0) > tolerance:
        items = ", ".join(labels.indicator(i) for i in range(stated.size))
        raise IndexMethodError(
            f"the weights of {items} sum to {total:.12g}, not 1", indicator=items
        )
    return stated


def relative_weights(
    weights: Sequence[float] | FloatArray, *, labels: Labels = NUMBERED
) -> FloatArray:
    """Weights stated up to a factor, divided by their sum."""
    stated = np.asarray(weights, dtype=np.float64)
    require(np.isfinite(stated) & (stated >= 0), "a weight must be a number of 0 or more", labels)
    if stated.sum() <= 0:
        items = ", ".join(labels.indicator(i) for i in range(stated.size))
        raise IndexMethodError("all weights are 0", indicator=items)
    scaled: FloatArray = stated / stated.sum()
    return scaled


def complete_rows(values: FloatArray, minimum: int, what: str) -> FloatArray:
    """The regions with a value in every column; fewer than ``minimum`` of them is an error."""
    complete = values[~np.isnan(values).any(axis=1)]
    if complete.shape[0] < minimum:
        raise IndexMethodError(
            f"{what} need {minimum} regions with all {values.shape[1]} items, "
            f"found {complete.shape[0]}"
        )
    return complete


def pca_weights(
    values: FloatArray, *, min_eigenvalue: float = 1.0, labels: Labels = NUMBERED
) -> FloatArray:
    """Weights from the components of the correlation matrix with eigenvalue above 1; [n].

    w_i is proportional to sum over those k of v_ik^2 * lambda_k, where v_k is the eigenvector of
    length 1 (its squared entries are the squared loadings scaled to sum 1) and lambda_k the
    variance that the component explains. Source: OECD/EU/JRC Handbook (2008) step 6, unrotated.
    Errors: a constant column, too few complete regions, no eigenvalue above ``min_eigenvalue``.
    """
    complete = complete_rows(values, values.shape[1] + 1, "PCA weights")
    components = pca(complete, labels=labels)
    kept = components.eigenvalues > min_eigenvalue + TOLERANCE
    if not kept.any():
        raise IndexMethodError(f"no eigenvalue above {min_eigenvalue}", setting="weights")
    raw = components.vectors[:, kept] ** 2 @ components.eigenvalues[kept]
    return relative_weights(raw, labels=labels)


def first_component_loadings(values: FloatArray, *, labels: Labels = NUMBERED) -> FloatArray:
    """Entries of the first eigenvector (length 1, positive sum) as relative weights; [n].

    Source: COINr ``get_PCA``. They do not sum to 1, and a negative entry means that the item runs
    against the others: give them to :func:`relative_weights` only if all are positive.
    """
    complete = complete_rows(values, values.shape[1] + 1, "loadings")
    first: FloatArray = pca(complete, labels=labels).vectors[:, 0]
    return first


def correlation_balanced_weights(
    values: FloatArray, *, tolerance: float = 1e-8, labels: Labels = NUMBERED
) -> FloatArray:
    """Non-negative weights that make all items correlate as equally as possible with the index.

    With R the correlation matrix, sd_i the spread of item i and u_i = w_i sd_i, the correlation of
    item i with the weighted mean is (R u)_i / sqrt(u' R u). The spread is measured by the
    coefficient of variation of these correlations, which does not reward weak correlations; its
    minimum over u >= 0 is the non-negative least-squares solution of R u = 1 (unique if R is
    regular; if a positive solution exists, all correlations are equal). Returns w, sum 1.
    Errors: a constant column, a singular R, or a solution whose optimality conditions are not met
    within ``tolerance``. Source: Becker et al. (2017, 2022), weights by optimised correlations.
    """
    complete = complete_rows(values, values.shape[1] + 1, "balanced weights")
    spread = complete.std(axis=0, ddof=1)
    eigen = pca(complete, labels=labels)
    matrix = (eigen.vectors * eigen.eigenvalues) @ eigen.vectors.T
    if eigen.eigenvalues[-1] < 1e-10 * eigen.eigenvalues[0]:
        raise IndexMethodError("the items are linearly dependent", setting="weights")
    ones = np.ones(spread.size)
    solution = _non_negative_least_squares(matrix, ones)
    gradient = matrix.T @ (matrix @ solution - ones)
    active = solution > 0
    gap = max(float(np.abs(gradient[active]).max(initial=0.0)), float(-gradient.min()))
    if gap > tolerance or not active.any():
        raise IndexMethodError(f"not converged: gap {gap:.1e} > {tolerance}", setting="weights")
    return relative_weights(solution / spread, labels=labels)


def _non_negative_least_squares(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """The u >= 0 that minimises |matrix u - target|; the caller checks the optimality conditions.

    The active-set method of Lawson & Hanson (1974): take in the item with the steepest descent,
    solve freely, step back to the border if an item would become negative. (scipy has it too, but
    importing scipy.optimize takes longer than all weights of the design.)
    """
    n = matrix.shape[1]
    solution, free = np.zeros(n), np.zeros(n, dtype=np.bool_)
    for _ in range(3 * n):
        descent = matrix.T @ (target - matrix @ solution)
        descent[free] = -np.inf
        if free.all() or descent.max() <= 1e-12:
            break
        free[int(descent.argmax())] = True
        while True:
            proposed = np.zeros(n)
            proposed[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            negative = free & (proposed <= 0)
            if not negative.any():
                break
            step = solution[negative] / (solution[negative] - proposed[negative])
            solution = solution + step.min() * (proposed - solution)
            free &= solution > 1e-14
            solution[~free] = 0.0
        solution = proposed
    return solution


def dirichlet_draws(
    alpha: Sequence[float] | FloatArray, n_draws: int, seed: int, *, labels: Labels = NUMBERED
) -> FloatArray:
    """Random weights [n_draws, n], each row non-negative with sum 1; mean alpha_i / sum(alpha).

    Independent Gamma(alpha_i, 1) draws divided by their sum; a larger sum(alpha) keeps the draws
    closer to the mean. Deterministic given ``seed`` (PCG64).
    """
    shape = np.asarray(alpha, dtype=np.float64)
    require(np.isfinite(shape) & (shape > 0), "alpha must be above 0", labels)
    return np.random.default_rng(seed).dirichlet(shape, size=n_draws)


def perturbed_weights(
    weights: Sequence[float] | FloatArray,
    noise_share: float,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Weights times 1 + U(-noise, +noise), rescaled to sum 1 per draw: [n] -> [n_draws, n].

    ``noise_share`` 0.25 moves each weight by at most 25 %. Source: COINr ``get_noisy_weights``.
    """
    if not 0.0 <= noise_share <= 1.0:
        raise IndexMethodError(f"a share from 0 to 1, not {noise_share}", setting="noise_share")
    stated = relative_weights(weights)
    factor = rng.uniform(1.0 - noise_share, 1.0 + noise_share, size=(n_draws, stated.size))
    raw = stated * factor
    scaled: FloatArray = raw / raw.sum(axis=1, keepdims=True)
    return scaled


def weights_within(
    weights: FloatArray, groups: Sequence[str], kept: BoolArray | None = None
) -> FloatArray:
    """Weights scaled to sum 1 within each group, over the ``kept`` items (others get 0); [n].

    A group without any kept weight keeps zeros: the caller decides what that means.
    """
    chosen = weights if kept is None else np.where(kept, weights, 0.0)
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    totals = np.bincount(member, weights=chosen)[member]
    scaled: FloatArray = np.divide(chosen, totals, out=np.zeros_like(chosen), where=totals > 0)
    return scaled
