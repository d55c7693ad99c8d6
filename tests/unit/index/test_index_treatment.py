import numpy as np
import pytest

from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.treatment import (
    choose_transform,
    jrc_rule,
    moments,
    percentile,
    treat_jrc,
    winsorise,
)

SKEWED = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 200.0])[:, None]


def test_skewness_and_kurtosis_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 10.0])  # mean 4, m2 = 10, m3 = 36, m4 = 278.8
    g1, g2 = 36 / 10**1.5, 278.8 / 100 - 3
    found = {
        kind: [part[0] for part in moments(x[:, None], estimator=kind)]
        for kind in ("population", "sample", "minitab")
    }
    assert found["population"] == pytest.approx([g1, g2])
    assert found["sample"] == pytest.approx([g1 * np.sqrt(20) / 3, (6 * g2 + 6) * 4 / 6])
    assert found["minitab"] == pytest.approx([g1 * 0.8**1.5, (g2 + 3) * 0.64 - 3])


def test_moments_need_four_different_values() -> None:
    label = Labels(indicators=["deaths"])
    with pytest.raises(MethodError, match=r"'deaths'.*need 4 values, found 3"):
        moments(np.array([[1.0], [2.0], [3.0], [np.nan]]), labels=label)
    with pytest.raises(MethodError, match=r"'deaths'.*equal"):
        moments(np.full((6, 1), 3.3), labels=label)
    with pytest.raises(MethodError, match="estimator"):
        moments(SKEWED, estimator="g1", labels=label)  # type: ignore[arg-type]


def test_jrc_rule_needs_both_to_fail() -> None:
    assert jrc_rule(SKEWED).tolist() == [False]
    assert jrc_rule(SKEWED[:-1]).tolist() == [True]
    assert jrc_rule(SKEWED, max_kurtosis=50.0).tolist() == [True]
    assert jrc_rule(SKEWED, max_skewness=9.0).tolist() == [True]


def test_one_point_is_winsorised_to_the_next_value() -> None:
    treated = treat_jrc(SKEWED)
    assert treated.n_winsorised.tolist() == [1]
    assert treated.values[-1, 0] == 10.0
    assert treated.passes.all()
    low = treat_jrc(-SKEWED)
    assert low.values[-1, 0] == -10.0


def test_the_logarithm_takes_over_when_the_points_do_not_suffice() -> None:
    x = np.concatenate([np.linspace(1, 2, 30), [80.0, 90.0, 100.0]])[:, None]
    treated = treat_jrc(x, max_points=1)
    assert treated.is_log.tolist() == [True]
    np.testing.assert_allclose(treated.values, np.log(x - 1.0 + 0.01 * 99.0))
    assert treat_jrc(x, max_points=5).n_winsorised.tolist() == [3]


def test_first_transform_that_passes_is_chosen() -> None:
    rng = np.random.default_rng(3)
    columns = np.column_stack([rng.normal(50, 5, 300), rng.lognormal(0, 1.2, 300)])
    assert choose_transform(columns) == ["identity", "log"]
    with_zero = columns.copy()
    with_zero[0, 1] = 0.0
    assert choose_transform(with_zero)[1] == "sqrt"
    with pytest.raises(MethodError, match=r"'1'.*none of identity"):
        choose_transform(with_zero, ["identity", "log"])
    with pytest.raises(MethodError, match="unknown transform 'ln'"):
        choose_transform(columns, ["ln"])


def test_percentile_of_type_7_over_the_values_present() -> None:
    x = np.array([[1.0], [2.0], [np.nan], [4.0], [8.0]])
    assert percentile(x, 0.5)[0] == 3.0
    assert percentile(x, 0.1)[0] == pytest.approx(1.3)
    with pytest.raises(MethodError, match=r"'empty'.*no value"):
        percentile(np.full((3, 1), np.nan), 0.5, labels=Labels(indicators=["empty"]))
    with pytest.raises(MethodError, match="percentile"):
        percentile(x, 2.5)


def test_winsorise_returns_the_limits_it_used() -> None:
    clipped, low, high = winsorise(np.arange(101.0)[:, None], lower=0.05, upper=0.9)
    assert (low[0], high[0]) == (5.0, 90.0)
    assert (clipped.min(), clipped.max()) == (5.0, 90.0)
    with pytest.raises(MethodError, match="below"):
        winsorise(np.arange(5.0)[:, None], lower=0.9, upper=0.1)
