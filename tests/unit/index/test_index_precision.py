import numpy as np
import pytest

from btg.index.errors import MethodError
from btg.index.precision import (
    DERIVATIVES,
    change_error,
    direction,
    empirical_error,
    margin_error,
    poisson_error,
    propagated_error,
    score_error,
)
from btg.index.transforms import TRANSFORMS, transform

NAN = np.nan


def test_error_models_by_hand() -> None:
    found = poisson_error(np.array([25.0, 0.0, NAN]), np.array([0.1, 0.1, 0.1]))
    np.testing.assert_allclose(found, [0.5, 0.1, NAN])
    np.testing.assert_allclose(margin_error(np.array([3.92])), [2.0], rtol=1e-4)


def test_empirical_error_recovers_the_noise_of_a_moving_series() -> None:
    rng = np.random.default_rng(4)
    course = np.linspace(0, 30, 10)[None, :, None] * rng.normal(size=(300, 1, 1))
    values = course + rng.normal(0.0, 2.0, (300, 10, 1))
    assert empirical_error(values)[0] == pytest.approx(2.0, rel=0.05)
    values[:, ::3] = NAN  # no three neighbours left
    assert np.isnan(empirical_error(values)[0])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_derivatives_are_those_of_the_transforms(name: str) -> None:
    x, step = np.array([[0.37]]), 1e-6
    numeric = (transform(x + step, name) - transform(x - step, name)) / (2 * step)
    assert DERIVATIVES[name](x)[0, 0] == pytest.approx(numeric[0, 0], rel=1e-6)


def test_score_error_follows_the_ruler_and_the_transform() -> None:
    found = score_error(
        np.array([[50.0, 20.0]]), np.array([[2.0, 1.0]]), ["identity", "log"], np.array([5.0, 0.1])
    )
    np.testing.assert_allclose(found, [[4.0, 5.0]])
    with pytest.raises(MethodError, match="transform"):
        score_error(np.ones((1, 1)), np.ones((1, 1)), ["ln"], np.ones(1))


def test_errors_of_a_change_add_in_squares() -> None:
    found = change_error(np.array([[3.0, 4.0, NAN]]), base=0)
    np.testing.assert_allclose(found, [[0.0, 5.0, NAN]])


def test_known_errors_are_propagated_and_their_share_is_stated() -> None:
    errors = np.array([[3.0, 4.0, NAN], [NAN, NAN, NAN]])
    error, share = propagated_error(errors, np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(error, [np.sqrt(1.5**2 + 1.0), NAN])
    np.testing.assert_allclose(share, [0.75, 0.0])


def test_a_direction_needs_agreement_and_precision() -> None:
    change = np.array([2.0, -2.0, 2.0, 1.0, 2.0, NAN, 2.0])
    error = np.array([1.0, 1.0, 1.0, 1.0, NAN, 1.0, 1.0])
    improved = np.array([1.0, 0.0, 0.9, 1.0, 1.0, 1.0, 1.0])
    worsened = 1.0 - improved
    broken = np.array([False] * 6 + [True])
    found, reason = direction(change, error, improved, worsened, level_break=broken)
    assert found.tolist() == ["up", "down", "unclear", "unclear", "unclear", "unknown", "unclear"]
    assert reason.tolist() == [
        "", "", "method_dependent", "within_error", "error_unknown",
        "no_independent_observation", "level_break",
    ]  # fmt: skip


def test_the_limits_of_a_direction_are_exact() -> None:
    one = np.ones(1)
    at_limit, _ = direction(1.645 * one, one, one, 0 * one)
    above, _ = direction(1.646 * one, one, 0.95 * one, 0.05 * one)
    assert (at_limit[0], above[0]) == ("unclear", "up")
    below, _ = direction(1.646 * one, one, 0.949 * one, 0.051 * one)
    assert below[0] == "unclear"
