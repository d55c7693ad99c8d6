import numpy as np
import pytest

from btg.index.arrays import FloatArray, Labels
from btg.index.diagnostics import correlations_with_index
from btg.index.errors import MethodError
from btg.index.weights import (
    correlation_balanced_weights,
    dirichlet_draws,
    equal_weights,
    given_weights,
    pca_weights,
    perturbed_weights,
    relative_weights,
    weights_within,
)

LABELS = Labels(indicators=["income", "safety", "health"])


def correlated(matrix: FloatArray, n: int = 400, seed: int = 1) -> FloatArray:
    """Data with exactly this sample correlation matrix."""
    raw = np.random.default_rng(seed).normal(size=(n, len(matrix)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    data: FloatArray = white @ np.linalg.cholesky(matrix).T
    return data


def test_given_weights_must_sum_to_1_and_name_the_set() -> None:
    assert equal_weights(4).tolist() == [0.25] * 4
    assert given_weights([0.2, 0.3, 0.5]).tolist() == [0.2, 0.3, 0.5]
    with pytest.raises(MethodError, match=r"income, safety, health.*sum to 1.1, not 1"):
        given_weights([0.2, 0.3, 0.6], labels=LABELS)
    with pytest.raises(MethodError, match=r"'safety'.*0 or more"):
        given_weights([0.5, -0.1, 0.6], labels=LABELS)
    with pytest.raises(MethodError, match=r"'health'.*0 or more"):
        given_weights([0.5, 0.5, np.nan], labels=LABELS)


def test_relative_weights() -> None:
    np.testing.assert_allclose(relative_weights([1, 1, 2]), [0.25, 0.25, 0.5])
    with pytest.raises(MethodError, match="all weights are 0"):
        relative_weights([0, 0, 0], labels=LABELS)


def test_weights_within_groups_over_what_is_kept() -> None:
    found = weights_within(
        np.array([0.5, 0.5, 0.2, 0.8]), ["a", "a", "b", "b"], np.array([True, False, True, True])
    )
    np.testing.assert_allclose(found, [1.0, 0.0, 0.2, 0.8])


def test_pca_weights_by_hand() -> None:
    r = 0.6  # eigenvalues 1 + r with (1, 1, 0)/sqrt 2, 1 with (0, 0, 1), 1 - r
    matrix = np.array([[1, r, 0], [r, 1, 0], [0, 0, 1.0]])
    np.testing.assert_allclose(pca_weights(correlated(matrix)), [0.5, 0.5, 0.0], atol=1e-9)
    blocks = np.array([[1, 0.8, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1.0]])
    by_variance = np.array([0.9, 0.9, 0.75, 0.75]) / 3.3  # eigenvalues 1.8 and 1.5
    np.testing.assert_allclose(pca_weights(correlated(blocks)), by_variance, atol=1e-9)
    third = np.array([[1, 0.8, 0.1], [0.8, 1, 0.3], [0.1, 0.3, 1.0]])
    values, vectors = np.linalg.eigh(third)
    raw = sum(values[k] * vectors[:, k] ** 2 for k in range(3) if values[k] > 1)
    np.testing.assert_allclose(pca_weights(correlated(third)), raw / raw.sum(), atol=1e-9)


def test_pca_weights_do_not_depend_on_units_and_skip_incomplete_regions() -> None:
    data = correlated(np.array([[1, 0.5, 0.2], [0.5, 1, 0.4], [0.2, 0.4, 1.0]]))
    weights = pca_weights(data)
    np.testing.assert_allclose(pca_weights(data * [1, 1000, 0.1] + 5), weights, atol=1e-12)
    extended = np.vstack([data, [[np.nan, 99.0, -99.0]]])
    np.testing.assert_array_equal(pca_weights(extended), weights)
    with pytest.raises(MethodError, match="4 regions with all 3 items, found 3"):
        pca_weights(data[:3])
    with pytest.raises(MethodError, match=r"'safety'.*constant"):
        pca_weights(np.column_stack([data[:, 0], np.ones(400), data[:, 2]]), labels=LABELS)


def test_balanced_weights_equalise_the_correlations() -> None:
    matrix = np.array([[1, 0.6, 0.5, 0.1], [0.6, 1, 0.4, 0.2], [0.5, 0.4, 1, 0.3],
                       [0.1, 0.2, 0.3, 1.0]])  # fmt: skip
    data = correlated(matrix) * [1.0, 3.0, 10.0, 0.2]
    weights = correlation_balanced_weights(data)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()
    found = correlations_with_index(data, data @ weights)
    assert np.ptp(found) < 1e-9
    equal = correlations_with_index(data, data @ equal_weights(4))
    assert np.ptp(equal) > 0.1


def test_balanced_weights_stay_non_negative_and_are_optimal() -> None:
    matrix = np.array([[1, 0.9, 0.6], [0.9, 1, 0.2], [0.6, 0.2, 1.0]])
    data = correlated(matrix)
    weights = correlation_balanced_weights(data)
    assert (weights >= 0).all()
    assert (weights == 0).any()

    def relative_spread(w: FloatArray) -> float:
        found = correlations_with_index(data, data @ w)
        return float(found.std() / found.mean())

    best = relative_spread(weights)
    rng = np.random.default_rng(0)
    assert all(relative_spread(rng.dirichlet(np.ones(3))) >= best - 1e-12 for _ in range(300))


def test_balanced_weights_refuse_dependent_items() -> None:
    data = correlated(np.array([[1, 0.2], [0.2, 1.0]]))
    with pytest.raises(MethodError, match="dependent"):
        correlation_balanced_weights(np.column_stack([data, data.sum(axis=1)]))


def test_dirichlet_draws_are_seeded_sum_to_1_and_centre_on_alpha() -> None:
    draws = dirichlet_draws([50 / 11] * 11, 4000, seed=7)
    assert np.array_equal(draws, dirichlet_draws([50 / 11] * 11, 4000, seed=7))
    assert not np.array_equal(draws, dirichlet_draws([50 / 11] * 11, 4000, seed=8))
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    np.testing.assert_allclose(draws.mean(axis=0), 1 / 11, atol=0.004)
    expected_sd = np.sqrt(1 / 11 * 10 / 11 / 51)
    np.testing.assert_allclose(draws.std(axis=0), expected_sd, rtol=0.1)
    with pytest.raises(MethodError, match=r"'safety'.*above 0"):
        dirichlet_draws([1, 0, 1], 3, seed=1, labels=LABELS)


def test_perturbed_weights_stay_within_the_noise() -> None:
    rng = np.random.default_rng(5)
    draws = perturbed_weights([1.0, 1.0, 2.0], 0.25, 500, rng)
    np.testing.assert_allclose(draws.sum(axis=1), 1.0)
    ratio = draws[:, 2] / draws[:, 0] / 2
    assert ratio.min() >= 0.75 / 1.25
    assert ratio.max() <= 1.25 / 0.75
    assert ratio.std() > 0.05
    with pytest.raises(MethodError, match="noise_share"):
        perturbed_weights([1.0], 25, 3, rng)
