import numpy as np
import pytest

from btg.index.arrays import Labels
from btg.index.diagnostics import (
    correlations,
    correlations_with_index,
    cronbach_alpha,
    pca,
)
from btg.index.errors import MethodError

X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0]])
LABELS = Labels(indicators=["income", "safety"])


def test_alpha_by_hand() -> None:
    # item variances 5/3 each, variance of the sums 3 3 7 7: 16/3
    assert cronbach_alpha(X) == pytest.approx(2 * (1 - (10 / 3) / (16 / 3)))
    with_gap = np.vstack([X, [[np.nan, 5.0]]])
    assert cronbach_alpha(with_gap) == cronbach_alpha(X)
    assert cronbach_alpha(np.column_stack([X[:, 0], X[:, 0]])) == pytest.approx(1.0)
    with pytest.raises(MethodError, match="found 1 and 4"):
        cronbach_alpha(X[:, :1])
    with pytest.raises(MethodError, match="income, safety"):
        cronbach_alpha(np.column_stack([X[:, 0], -X[:, 0]]), labels=LABELS)


def test_correlations_use_the_regions_that_have_both() -> None:
    assert correlations(X)[0, 1] == pytest.approx(0.6)
    with_gap = np.vstack([X, [[99.0, np.nan]]])
    assert correlations(with_gap)[0, 1] == pytest.approx(0.6)
    curved = np.column_stack([X[:, 0], np.exp(X[:, 0])])
    assert correlations(curved, kind="spearman")[1, 0] == pytest.approx(1.0)
    assert correlations(curved)[1, 0] < 0.95
    with pytest.raises(MethodError, match=r"safety, income.*constant"):
        correlations(np.column_stack([X[:, 0], np.ones(4)]), labels=LABELS)
    with pytest.raises(MethodError, match="fewer than 3"):
        correlations(X[:2])
    with pytest.raises(MethodError, match="kendall"):
        correlations(X, kind="kendall")  # type: ignore[arg-type]


def test_correlations_with_the_index() -> None:
    found = correlations_with_index(X, X.mean(axis=1))
    np.testing.assert_allclose(found, [np.sqrt(0.8)] * 2)


def test_components_of_two_items() -> None:
    found = pca(X)
    np.testing.assert_allclose(found.eigenvalues, [1.6, 0.4])
    np.testing.assert_allclose(found.explained_share, [0.8, 0.2])
    np.testing.assert_allclose(found.vectors[:, 0], [np.sqrt(0.5)] * 2)
    np.testing.assert_allclose(found.scores.var(axis=0, ddof=1), found.eigenvalues)
    scaled = pca(X * [1.0, 10.0], matrix="covariance")
    assert scaled.explained_share[0] > 0.98
    with pytest.raises(MethodError, match=r"'safety', region '1'"):
        pca(np.array([[1.0, 2.0], [3.0, np.nan]]), labels=LABELS)
    with pytest.raises(MethodError, match=r"'safety'.*constant"):
        pca(np.column_stack([X[:, 0], np.ones(4)]), labels=LABELS)
