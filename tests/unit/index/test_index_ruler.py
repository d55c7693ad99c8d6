import numpy as np
import polars as pl
import pytest

from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.normalise import base_year_score
from btg.index.ruler import fit_ruler, ruler_from_frame, ruler_to_frame

LABELS = Labels([f"GM{i:04d}" for i in range(5)], ["income"])


def test_weighted_spread_by_hand() -> None:
    x, w = np.array([10.0, 20.0, 40.0]), np.array([1.0, 1.0, 2.0])
    # shares .25 .25 .5: mean 27.5, squares .25*306.25 + .25*56.25 + .5*156.25 = 168.75
    ruler = fit_ruler(x[:, None], weights=w, clip=None)
    assert ruler.m[0] == pytest.approx(27.5)
    assert ruler.s[0] == pytest.approx(np.sqrt(168.75 / (1 - 0.375)))
    assert (ruler.clip_lo[0], ruler.clip_hi[0], ruler.n_units[0]) == (10.0, 40.0, 3)


def test_without_weights_it_is_the_sample_standard_deviation() -> None:
    x = np.array([3.0, 9.0, 4.0, 1.0, 7.0])
    assert fit_ruler(x[:, None], clip=None).s[0] == pytest.approx(x.std(ddof=1))


def test_only_the_baseline_is_clipped_never_a_value() -> None:
    baseline = np.concatenate([np.linspace(40, 60, 99), [1000.0]])[:, None]
    clipped, plain = fit_ruler(baseline), fit_ruler(baseline, clip=None)
    assert clipped.s[0] < 7 < plain.s[0]
    assert clipped.clip_hi[0] < 61
    score = base_year_score(baseline, clipped)[-1, 0]
    assert score == pytest.approx(100 + 10 * (1000 - clipped.m[0]) / clipped.s[0])


def test_the_stated_centre_is_the_national_value() -> None:
    baseline = np.arange(10.0)[:, None]
    ruler = fit_ruler(baseline, centre=np.array([3.0]))
    assert ruler.m[0] == 3.0
    assert ruler.s[0] == fit_ruler(baseline).s[0]
    with pytest.raises(MethodError, match=r"'income'.*centre"):
        fit_ruler(baseline, centre=np.array([np.nan]), labels=LABELS)


def test_missing_regions_do_not_count() -> None:
    x = np.array([10.0, 20.0, np.nan, 40.0])[:, None]
    w = np.array([1.0, 1.0, 99.0, 2.0])
    assert fit_ruler(x, weights=w, clip=None).s[0] == pytest.approx(np.sqrt(270.0))
    assert fit_ruler(x, weights=w).n_units[0] == 3


@pytest.mark.parametrize("values", [[5.0] * 5, [5.0, 5.0, 5.0, 5.0, np.nan]])
def test_a_constant_baseline_is_an_error(values: list[float]) -> None:
    with pytest.raises(MethodError, match=r"'income'.*constant"):
        fit_ruler(np.array(values)[:, None], labels=LABELS)


def test_constant_after_clipping_is_an_error_too() -> None:
    almost = np.array([0.0] * 99 + [5.0])[:, None]
    with pytest.raises(MethodError, match=r"'income'.*constant after clipping"):
        fit_ruler(almost, labels=Labels(indicators=["income"]))


def test_a_value_without_weight_or_a_single_region_is_an_error() -> None:
    x = np.arange(5.0)[:, None]
    with pytest.raises(MethodError, match=r"'income', region 'GM0002'.*no weight"):
        fit_ruler(x, weights=np.array([1.0, 1.0, np.nan, 1.0, 1.0]), labels=LABELS)
    lonely = np.array([1.0, np.nan, np.nan, np.nan, np.nan])[:, None]
    with pytest.raises(MethodError, match=r"'income'.*2 regions"):
        fit_ruler(lonely, labels=LABELS)
    with pytest.raises(MethodError, match="2 weights for 5 regions"):
        fit_ruler(x, weights=np.ones(2), labels=LABELS)


def test_the_stored_ruler_comes_back_in_the_order_asked() -> None:
    names = ["b", "a"]
    ruler = fit_ruler(np.random.default_rng(1).normal(size=(9, 2)), labels=Labels(None, names))
    stored = ruler_to_frame(ruler).sort("indicator_id")
    back = ruler_from_frame(stored, names)
    assert back.indicator_ids == ("b", "a")
    assert np.array_equal(back.s, ruler.s)
    with pytest.raises(MethodError, match=r"'c'.*no stored ruler"):
        ruler_from_frame(stored, ["a", "c"])
    with pytest.raises(MethodError, match="twice"):
        ruler_from_frame(pl.concat([stored, stored]), names)
    with pytest.raises(MethodError, match=r"'b'.*not above 0"):
        ruler_from_frame(stored.with_columns(s=pl.lit(0.0)), names)
