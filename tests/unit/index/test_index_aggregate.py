import numpy as np
import pytest

from btg.index.aggregate import (
    ampi,
    arithmetic,
    borda,
    copeland,
    geometric,
    harmonic,
    outranking,
)
from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.missing import present_weights

X = np.array([[90.0, 110.0], [100.0, 100.0]])
W = np.array([0.25, 0.75])
LABELS = Labels(["GM0153", "GM0164"], ["income", "safety"])


def test_means_by_hand() -> None:
    np.testing.assert_allclose(arithmetic(X, W), [105.0, 100.0])
    np.testing.assert_allclose(geometric(X, W), [90**0.25 * 110**0.75, 100.0])
    np.testing.assert_allclose(harmonic(X, W), [1 / (0.25 / 90 + 0.75 / 110), 100.0])


def test_ampi_penalises_imbalance() -> None:
    equal = np.array([0.5, 0.5])
    np.testing.assert_allclose(ampi(X, equal), [100 - 100 / 100, 100.0])
    np.testing.assert_allclose(ampi(X, equal, penalty="up"), [101.0, 100.0])
    with pytest.raises(MethodError, match="penalty"):
        ampi(X, equal, penalty="minus")  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [geometric, harmonic, ampi])
@pytest.mark.parametrize("bad", [0.0, -3.0])
def test_non_positive_values_are_errors_naming_the_cell(function, bad: float) -> None:  # type: ignore[no-untyped-def]
    values = np.array([[90.0, 110.0], [bad, 100.0]])
    with pytest.raises(MethodError, match=r"'income', region 'GM0164'.*above 0"):
        function(values, W, labels=LABELS)
    assert np.isfinite(function(values, np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("function", [arithmetic, geometric, harmonic, ampi])
def test_missing_values_need_weight_0(function) -> None:  # type: ignore[no-untyped-def]
    values = np.array([[90.0, np.nan], [100.0, 100.0]])
    with pytest.raises(MethodError, match=r"'safety', region 'GM0153'.*missing"):
        function(values, W, labels=LABELS)
    weights, _ = present_weights(values, W, min_share=0.2)
    np.testing.assert_allclose(function(values, weights), [90.0, 100.0])
    weights, _ = present_weights(values, W, min_share=0.5)
    np.testing.assert_allclose(function(values, weights), [np.nan, 100.0])


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.5, -0.5]])
def test_weights_of_an_aggregation_are_checked(weights: list[float]) -> None:
    with pytest.raises(MethodError, match=r"income|safety"):
        arithmetic(X, np.array(weights), labels=LABELS)


def test_outranking_counts_ties_half() -> None:
    table = outranking(X, W)
    np.testing.assert_allclose(table, [[0.5, 0.75], [0.25, 0.5]])


def test_copeland_is_wins_minus_losses_and_ignores_row_order() -> None:
    values = np.array([[3.0, 3.0, 1.0], [2.0, 2.0, 3.0], [1.0, 1.0, 2.0], [np.nan] * 3])
    weights = np.full(3, 1 / 3)
    found = copeland(values, weights)
    np.testing.assert_array_equal(found, [2.0, 0.0, -2.0, np.nan])
    gaps = np.array([[3.0, np.nan, 1.0], [2.0, 2.0, np.nan], [1.0, 1.0, 2.0], [2.0, 5.0, 0.0]])
    order = np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(copeland(gaps, weights)[order], copeland(gaps[order], weights))


def test_copeland_refuses_two_regions_without_a_common_item() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 1.0]])
    with pytest.raises(MethodError, match="GM0153, GM0164"):
        copeland(values, W, labels=LABELS)


def test_borda_points_start_at_0() -> None:
    values = np.array([[1.0, 9.0], [2.0, 8.0], [3.0, 7.0]])
    np.testing.assert_allclose(borda(values, W), [0 + 1.5, 1.0, 0.5])
