import numpy as np
import pytest

from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.normalise import (
    ampi_goalposts,
    distance_to_reference,
    goalposts,
    min_max,
    ons_scale,
    percentile_on_reference,
    percentile_rank,
    rank,
    ratio_to_reference,
    sample_z,
    truncate,
)

X = np.array([2.0, 4.0, 6.0, 8.0])[:, None]
LABELS = Labels(["a", "b", "c", "d"], ["income"])


def test_sample_z_with_sample_or_population_spread() -> None:
    np.testing.assert_allclose(sample_z(X)[:, 0], (X[:, 0] - 5) / np.sqrt(20 / 3))
    np.testing.assert_allclose(
        sample_z(X, ddof=0, centre=100, spread=10)[:, 0], 100 + 10 * (X[:, 0] - 5) / np.sqrt(5)
    )
    np.testing.assert_allclose(sample_z(X, polarity=-1.0), -sample_z(X))


def test_a_constant_reference_is_an_error() -> None:
    for function in (sample_z, min_max):
        with pytest.raises(MethodError, match=r"'income'.*constant"):
            function(np.full((4, 1), 7.0), labels=LABELS)


def test_ons_scale() -> None:
    np.testing.assert_allclose(ons_scale(np.array([-1.0, 0.0, 2.0])), [90.0, 100.0, 120.0])


def test_goalposts_with_and_without_caps_and_polarity() -> None:
    x = np.array([[0.0], [20.0], [52.5], [85.0], [98.0]])
    found = goalposts(x, 20.0, 85.0)[:, 0]
    np.testing.assert_allclose(found, [-20 / 65, 0.0, 0.5, 1.0, 78 / 65])
    assert goalposts(x, 20.0, 85.0, cap="upper")[-1, 0] == 1.0
    assert goalposts(x, 20.0, 85.0, cap="upper")[0, 0] < 0
    assert goalposts(x, 20.0, 85.0, cap="both").min() == 0.0
    assert goalposts(x, 20.0, 85.0, cap="lower").max() > 1.0
    np.testing.assert_allclose(
        goalposts(x, 20.0, 85.0, low=70, high=130, polarity=-1.0)[:, 0],
        200 - goalposts(x, 20.0, 85.0, low=70, high=130)[:, 0],
    )
    with pytest.raises(MethodError, match=r"'income'.*goalpost"):
        goalposts(X, 3.0, 3.0, labels=LABELS)
    with pytest.raises(MethodError, match="cap"):
        goalposts(X, 0.0, 1.0, cap="top")  # type: ignore[arg-type]


def test_min_max_on_a_fixed_reference_may_leave_the_range() -> None:
    reference = np.array([[4.0], [6.0]])
    np.testing.assert_allclose(min_max(X, reference=reference)[:, 0], [-100.0, 0.0, 100.0, 200.0])
    np.testing.assert_allclose(min_max(X, polarity=-1.0)[:, 0], [100, 200 / 3, 100 / 3, 0])


def test_ampi_goalposts_put_the_reference_at_100() -> None:
    found = ampi_goalposts(np.array([[5.0], [2.0], [8.0]]), 2.0, 8.0, centre=5.0)
    np.testing.assert_allclose(found[:, 0], [100.0, 70.0, 130.0])
    shifted = ampi_goalposts(np.array([[6.0]]), 2.0, 8.0, centre=6.0)
    np.testing.assert_allclose(shifted, [[100.0]])


def test_truncate_keeps_the_unit() -> None:
    x = np.array([[0.5, 1.2], [1.4, np.nan]])
    np.testing.assert_allclose(
        truncate(x, upper=np.array([1.0, np.nan])), [[0.5, 1.2], [1.0, np.nan]]
    )
    with pytest.raises(MethodError, match="turn round"):
        truncate(x, upper=1.0, polarity=-1.0)


def test_percentile_counts_ties_half_and_uses_weights() -> None:
    reference = np.array([1.0, 2.0, 2.0, 3.0])[:, None]
    x = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0])[:, None]
    found = percentile_on_reference(x, reference)[:, 0]
    np.testing.assert_allclose(found, [0.0, 12.5, 50.0, 75.0, 87.5, 100.0])
    weighted = percentile_on_reference(x, reference, weights=np.array([7.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(weighted[:, 0], [0.0, 35.0, 80.0, 90.0, 95.0, 100.0])
    np.testing.assert_allclose(
        percentile_on_reference(x, reference, polarity=-1.0)[:, 0], 100 - found
    )


def test_ranks_and_ties() -> None:
    x = np.array([5.0, 9.0, np.nan, 9.0, 1.0])[:, None]
    assert rank(x)[[0, 1, 3, 4], 0].tolist() == [3, 1, 1, 4]
    assert np.isnan(rank(x)[2, 0])
    assert rank(x, ties="average")[1, 0] == 1.5
    assert rank(x, ties="highest")[1, 0] == 2
    assert rank(x, best_is_first=False)[:, 0][[4, 0, 1]].tolist() == [1, 2, 3]
    assert rank(x, polarity=-1.0)[4, 0] == 1
    np.testing.assert_allclose(percentile_rank(x)[[0, 1, 4], 0], [1 / 3, 2 / 3, 0.0])
    with pytest.raises(MethodError, match="ties"):
        rank(x, ties="first")  # type: ignore[arg-type]


def test_distance_and_ratio_to_a_target() -> None:
    np.testing.assert_allclose(
        distance_to_reference(X, 6.0, origin=0.0)[:, 0], [1 / 3, 2 / 3, 1.0, 4 / 3]
    )
    assert distance_to_reference(X, 6.0, origin=0.0, cap="upper").max() == 1.0
    np.testing.assert_allclose(
        distance_to_reference(X, 2.0, origin=8.0, polarity=-1.0)[:, 0], [1, 2 / 3, 1 / 3, 0]
    )
    with pytest.raises(MethodError, match=r"'income'.*target"):
        distance_to_reference(X, 1.0, origin=3.0, labels=LABELS)
    np.testing.assert_allclose(ratio_to_reference(X, 4.0, scale=100)[:, 0], [50, 100, 150, 200])
    np.testing.assert_allclose(ratio_to_reference(X, 4.0, polarity=-1.0)[:, 0], [2, 1, 2 / 3, 0.5])
    with pytest.raises(MethodError, match=r"'income', region 'b'"):
        ratio_to_reference(
            np.array([[1.0], [0.0], [1.0], [1.0]]), 4.0, polarity=-1.0, labels=LABELS
        )


def test_polarity_is_one_or_minus_one() -> None:
    with pytest.raises(MethodError, match=r"'income'.*polarity"):
        sample_z(X, polarity=0.5, labels=LABELS)
