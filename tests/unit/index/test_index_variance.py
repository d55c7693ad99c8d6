import numpy as np
import pytest

from btg.index.errors import MethodError
from btg.index.variance import (
    pooled_variance_shares,
    sobol_indices,
    split_saltelli,
    variance_shares,
)


def test_shares_of_a_small_design_by_hand() -> None:
    # Y = a + 2ab on a, b in {-1, 1}: V_a = 1, V_b = 0, interaction 4, V = 5
    a, b = np.array([-1.0, 1.0])[:, None], np.array([-1.0, 1.0])[None, :]
    found = variance_shares((a + 2 * a * b)[..., None], 2)
    np.testing.assert_allclose(found.first_order[:, 0], [0.2, 0.0], atol=1e-15)
    np.testing.assert_allclose(found.total[:, 0], [1.0, 0.8])


def test_a_missing_combination_makes_the_share_null() -> None:
    outputs = np.random.default_rng(1).normal(size=(3, 2, 5))
    outputs[1, 0, 2] = np.nan
    outputs[..., 4] = 7.0  # does not vary
    found = variance_shares(outputs, 2)
    assert np.isnan(found.first_order[:, [2, 4]]).all()
    assert not np.isnan(found.first_order[:, [0, 1, 3]]).any()
    assert found.n_excluded == 1


def test_pooled_shares_weigh_regions_by_their_variance_and_count_the_excluded() -> None:
    a, b = np.array([-1.0, 1.0])[:, None], np.array([-1.0, 1.0])[None, :]
    first, second = 3 * a + 0 * b, 0 * a + b
    lost = np.full((2, 2), np.nan)
    found = pooled_variance_shares(np.stack([first, second, lost], axis=-1), 2)
    np.testing.assert_allclose(found.first_order, [0.9, 0.1])
    assert found.n_excluded == 1
    constant = pooled_variance_shares(np.full((2, 2, 3), 5.0), 2)
    assert np.isnan(constant.first_order).all()


def test_estimators_approach_the_analytic_shares_of_the_ishigami_function() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.uniform(-np.pi, np.pi, (2, 60_000, 3))

    def ishigami(x: np.ndarray) -> np.ndarray:
        return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])

    mixed = [np.column_stack([b[:, j] if j == i else a[:, j] for j in range(3)]) for i in range(3)]
    found = sobol_indices(ishigami(a), ishigami(b), np.array([ishigami(x) for x in mixed]))
    np.testing.assert_allclose(found.first_order, [0.3139, 0.4424, 0.0], atol=0.02)
    np.testing.assert_allclose(found.total, [0.5576, 0.4424, 0.2437], atol=0.02)


def test_a_design_of_the_wrong_shape_is_an_error() -> None:
    with pytest.raises(MethodError, match="design"):
        variance_shares(np.ones((2, 2, 3)), 3)
    with pytest.raises(MethodError, match="n_samples"):
        split_saltelli(np.ones(10), 4)
    with pytest.raises(MethodError, match="design"):
        sobol_indices(np.ones(4), np.ones(3), np.ones((2, 4)))
    with pytest.raises(MethodError, match="does not vary"):
        sobol_indices(np.ones(4), np.ones(4), np.ones((2, 4)))
