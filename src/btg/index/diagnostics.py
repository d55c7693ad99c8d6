"""Diagnostics of a composite: correlations, principal components, Cronbach's alpha.

All take ``values`` [n_regions, n], NaN = missing, and none changes a value. Nominal effective
weights of a hierarchy are in :func:`btg.index.hierarchy.effective_weights`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from btg.index.arrays import NUMBERED, FloatArray, IntArray, Labels, require
from btg.index.errors import IndexMethodError
from btg.index.normalise import rank_last_axis

Correlation = Literal["pearson", "spearman"]


def correlations(
    values: FloatArray, *, kind: Correlation = "pearson", labels: Labels = NUMBERED
) -> FloatArray:
    """Correlation matrix [n, n], each pair over the regions that have both items.

    "pearson": sum(dx dy) / sqrt(sum(dx^2) sum(dy^2)); "spearman": the same on average ranks within
    the pair. A pair with fewer than 3 common regions or a constant item is an error naming it.
    """
    if kind not in ("pearson", "spearman"):
        raise IndexMethodError(f"unknown correlation {kind!r}", setting="kind")
    n = values.shape[1]
    matrix = np.eye(n)
    for i in range(n):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = _pair(values[:, [i, j]], kind, labels, (i, j))
    return matrix


def _pair(both: FloatArray, kind: Correlation, labels: Labels, where: tuple[int, int]) -> float:
    common = both[~np.isnan(both).any(axis=1)]
    names = f"{labels.indicator(where[0])}, {labels.indicator(where[1])}"
    if common.shape[0] < 3:
        raise IndexMethodError("fewer than 3 regions have both items", indicator=names)
    if kind == "spearman":
        common = rank_last_axis(common.T, "average").T
    deviations = common - common.mean(axis=0)
    squares = (deviations**2).sum(axis=0)
    if (squares <= 1e-24 * (common**2).sum(axis=0)).any():
        raise IndexMethodError("an item is constant: no correlation", indicator=names)
    product: np.float64 = (deviations[:, 0] * deviations[:, 1]).sum()
    return float(product / np.sqrt(squares[0] * squares[1]))


def correlations_with_index(
    values: FloatArray, index: FloatArray, *, labels: Labels = NUMBERED
) -> FloatArray:
    """Pearson correlation of each item with the index ([n_regions]): what it really weighs; [n].

    Source: Paruolo, Saisana & Saltelli (2013), squared for the share of variance.
    """
    names = [labels.indicator(i) for i in range(values.shape[1])]
    with_index = Labels(labels.regions, [*names, "index"])
    columns = [
        _pair(np.column_stack([values[:, i], index]), "pearson", with_index, (i, len(names)))
        for i in range(len(names))
    ]
    return np.array(columns)


@dataclass(frozen=True)
class Components:
    """Principal components, largest first.

    ``eigenvalues`` [n] (variance of each component), ``vectors`` [n, n] (column k has length 1 and
    a positive sum), ``explained_share`` [n], ``scores`` [n_regions, n], ``n_regions`` used.
    """

    eigenvalues: FloatArray
    vectors: FloatArray
    explained_share: FloatArray
    scores: FloatArray
    n_regions: int


def pca(
    values: FloatArray,
    *,
    matrix: Literal["correlation", "covariance"] = "correlation",
    labels: Labels = NUMBERED,
) -> Components:
    """Principal components of the complete regions.

    Eigenvalues and vectors of Z'Z/(N-1), Z centred and, for "correlation", divided by the sample
    standard deviation; the square roots of the eigenvalues are the standard deviations of the
    components. Errors: a missing value (choose the regions first), a constant column.
    """
    require(~np.isnan(values), "PCA needs complete regions: a value is missing", labels)
    if matrix not in ("correlation", "covariance"):
        raise IndexMethodError(f"unknown matrix {matrix!r}", setting="matrix")
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0, ddof=1)
    varies = spread > 1e-12 * np.abs(values).max(axis=0)
    require(varies, "the item is constant", labels)
    scaled = centred / spread if matrix == "correlation" else centred
    eigenvalues, vectors = np.linalg.eigh(scaled.T @ scaled / (values.shape[0] - 1))
    order: IntArray = np.argsort(-eigenvalues, kind="stable")
    eigenvalues, vectors = np.maximum(eigenvalues[order], 0.0), vectors[:, order]
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    share = eigenvalues / eigenvalues.sum()
    return Components(eigenvalues, vectors, share, scaled @ vectors, values.shape[0])


def cronbach_alpha(values: FloatArray, *, labels: Labels = NUMBERED) -> float:
    """Internal consistency: k/(k-1) (1 - sum of item variances / variance of the item sum).

    On the complete regions; sample variances (n - 1). Items must be on one scale and point the same
    way. Errors: fewer than 2 items or 3 complete regions, a constant sum. Source: Cronbach (1951).
    """
    n_items = values.shape[1]
    complete = values[~np.isnan(values).any(axis=1)]
    if n_items < 2 or complete.shape[0] < 3:
        raise IndexMethodError(
            f"alpha needs 2 items and 3 complete regions, found {n_items} and {complete.shape[0]}"
        )
    total = float(complete.sum(axis=1).var(ddof=1))
    if total <= 0:
        names = ", ".join(labels.indicator(i) for i in range(n_items))
        raise IndexMethodError("the sum of the items is constant", indicator=names)
    items = float(complete.var(axis=0, ddof=1).sum())
    return float(n_items / (n_items - 1) * (1.0 - items / total))
