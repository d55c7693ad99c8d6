import numpy as np
import polars as pl
import pytest

from btg.index.errors import IndexMethodError, MethodError
from btg.index.frames import to_dense, to_long

AXES = {"regions": ["p", "q"], "years": [2019, 2020], "indicators": ["a", "b"]}
ROWS = pl.DataFrame(
    {
        "region_code": ["q", "p", "p"],
        "year": [2020, 2019, 2020],
        "indicator_id": ["a", "b", "b"],
        "value": [1.0, 2.0, None],
    }
)


def test_every_cell_is_placed_by_name() -> None:
    dense = to_dense(ROWS, **AXES)
    assert dense.shape == (2, 2, 2)
    assert dense[1, 1, 0] == 1.0
    assert dense[0, 0, 1] == 2.0
    assert np.isnan(dense).sum() == 6


def test_there_and_back() -> None:
    dense = to_dense(ROWS, **AXES)
    long = to_long(dense, regions=["p", "q"], years=[2019, 2020], items=["a", "b"])
    assert long.height == 8
    assert long["value"].null_count() == 6
    np.testing.assert_array_equal(to_dense(long, **AXES), dense)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region_code": ["z", "p", "p"]}, "region 'z'.*unknown region_code"),
        ({"year": [1999, 2019, 2020]}, "unknown year 1999"),
        ({"indicator_id": ["a", "b", "c"]}, "indicator 'c'.*unknown"),
        ({"year": [2020, 2019, 2019]}, "'b', region 'p', year 2019.*twice"),
        ({"value": [float("inf"), 2.0, None]}, "'a', region 'q', year 2020.*infinite"),
    ],
)
def test_a_cell_that_cannot_be_placed_is_an_error(
    change: dict[str, list[object]], message: str
) -> None:
    changed = ROWS.with_columns(**{name: pl.Series(column) for name, column in change.items()})
    with pytest.raises(MethodError, match=message):
        to_dense(changed, **AXES)


def test_the_error_carries_its_cell() -> None:
    error = IndexMethodError("no value", indicator="a", region="p", year=2019, setting="log")
    assert (error.indicator, error.region, error.year, error.setting) == ("a", "p", 2019, "log")
    assert str(error) == "indicator 'a', region 'p', year 2019, setting 'log': no value"
    assert isinstance(error, ValueError)
