import numpy as np
import pytest

from btg.index.arrays import Labels
from btg.index.errors import MethodError
from btg.index.transforms import TRANSFORMS, denominate, transform

LABELS = Labels(["GM0153", "GM0164"], ["income", "crime"])

BY_HAND = {
    "identity": (0.25, 0.25),
    "log": (np.e, 1.0),
    "log1p": (np.e - 1, 1.0),
    "sqrt": (9.0, 3.0),
    "cube_root": (-27.0, -3.0),
    "square": (3.0, 9.0),
    "cube": (-2.0, -8.0),
    "reciprocal": (4.0, -0.25),
    "logit": (0.75, np.log(3.0)),
    "logit_pct": (75.0, np.log(3.0)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform_by_hand(name: str) -> None:
    x, expected = BY_HAND[name]
    assert transform(np.array([[x]]), name)[0, 0] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_keeps_the_order_and_the_missing_value(name: str) -> None:
    values = np.array([[0.1], [0.4], [np.nan], [0.7], [0.95]])
    found = transform(values, name)[:, 0]
    assert np.isnan(found[2])
    assert (np.diff(found[[0, 1, 3, 4]]) > 0).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("log", 0.0),
        ("log1p", -1.0),
        ("sqrt", -0.1),
        ("square", -2.0),
        ("reciprocal", 0.0),
        ("logit", 1.0),
        ("logit", 35.0),
        ("logit_pct", 100.0),
    ],
)
def test_a_value_outside_the_domain_names_its_cell(name: str, bad: float) -> None:
    values = np.array([[0.5, 0.5], [0.5, bad]])
    with pytest.raises(MethodError, match=r"'crime', region 'GM0164'"):
        transform(values, name, labels=LABELS)


def test_one_transform_per_indicator() -> None:
    found = transform(np.array([[4.0, np.e]]), ["sqrt", "log"])
    np.testing.assert_allclose(found, [[2.0, 1.0]])


def test_an_unknown_transform_names_the_indicator() -> None:
    with pytest.raises(MethodError, match=r"'crime'.*unknown transform 'ln'"):
        transform(np.ones((2, 2)), ["log", "ln"], labels=LABELS)
    with pytest.raises(MethodError, match="3 transforms for 2"):
        transform(np.ones((2, 2)), ["log"] * 3, labels=LABELS)


def test_an_infinite_value_is_an_error() -> None:
    with pytest.raises(MethodError, match=r"'income', region 'GM0164'.*infinite"):
        transform(np.array([[1.0, 1.0], [np.inf, 1.0]]), "identity", labels=LABELS)


def test_denominator_of_zero_or_missing_is_an_error_unless_declared_missing() -> None:
    values = np.array([[10.0, 6.0], [np.nan, 3.0]])
    people = np.array([[5.0, 2.0], [0.0, 3.0]])
    np.testing.assert_allclose(denominate(values, people), [[2.0, 3.0], [np.nan, 1.0]])
    people[0, 1] = np.nan
    with pytest.raises(MethodError, match=r"'crime', region 'GM0153'"):
        denominate(values, people, labels=LABELS)
    lenient = denominate(values, people, missing_denominator="missing")
    assert np.isnan(lenient[0, 1])
    people[0, 1] = 0.0
    with pytest.raises(MethodError, match=r"'crime', region 'GM0153'"):
        denominate(values, people, missing_denominator="missing", labels=LABELS)
