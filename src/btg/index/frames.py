"""The border between long frames and dense arrays: every cell placed once, none lost."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from btg.index.arrays import FloatArray, IntArray
from btg.index.errors import IndexMethodError


def to_dense(
    frame: pl.DataFrame,
    *,
    regions: Sequence[str],
    years: Sequence[int],
    indicators: Sequence[str],
    column: str = "value",
) -> FloatArray:
    """The cells of a long frame as [n_regions, n_years, n_indicators]; null or absent is NaN.

    ``frame``: region_code, year, indicator_id and ``column`` (number or boolean). Errors: a cell
    that occurs twice, that is NaN or infinite (missing must be null), or whose region, year or
    indicator is not on an axis.
    """
    place = _flat_places(frame, regions, years, indicators)
    numbers = frame[column].cast(pl.Float64)
    wrong = numbers.is_not_null() & ~numbers.is_finite()
    if wrong.any():
        raise _cell_error(frame.filter(wrong), f"{column} is NaN or infinite; missing must be null")
    cells = np.full(len(regions) * len(years) * len(indicators), np.nan)
    cells[place] = numbers.to_numpy()
    return cells.reshape(len(regions), len(years), len(indicators))


def _flat_places(
    frame: pl.DataFrame, regions: Sequence[str], years: Sequence[int], indicators: Sequence[str]
) -> IntArray:
    """Position of each row in the flattened array."""
    axes = (("region_code", regions), ("year", years), ("indicator_id", indicators))
    place = np.zeros(frame.height, dtype=np.int64)
    for name, labels in axes:
        positions = frame[name].replace_strict(
            list(labels), list(range(len(labels))), default=None, return_dtype=pl.Int64
        )
        if positions.null_count():
            row = frame.filter(positions.is_null()).row(0, named=True)
            raise _cell_error(frame.filter(positions.is_null()), f"unknown {name} {row[name]!r}")
        place = place * len(labels) + positions.to_numpy()
    if place.size and int(np.bincount(place).max()) > 1:
        repeated = frame.select("region_code", "year", "indicator_id").is_duplicated()
        raise _cell_error(frame.filter(repeated), "the cell occurs twice")
    return place


def _cell_error(rows: pl.DataFrame, message: str) -> IndexMethodError:
    row = rows.row(0, named=True)
    return IndexMethodError(
        message, indicator=row["indicator_id"], region=row["region_code"], year=row["year"]
    )


def to_long(
    values: FloatArray,
    *,
    regions: Sequence[str],
    years: Sequence[int],
    items: Sequence[str],
    item_column: str = "indicator_id",
    column: str = "value",
) -> pl.DataFrame:
    """One row per cell of [n_regions, n_years, n_items], region by region; NaN becomes null."""
    n_regions, n_years, n_items = values.shape
    return pl.DataFrame(
        {
            "region_code": np.repeat(np.asarray(regions, dtype=object), n_years * n_items),
            "year": np.tile(np.repeat(np.asarray(years, dtype=np.int64), n_items), n_regions),
            item_column: np.tile(np.asarray(items, dtype=object), n_regions * n_years),
            column: values.ravel(),
        },
        schema={
            "region_code": pl.String,
            "year": pl.Int64,
            item_column: pl.String,
            column: pl.Float64,
        },
    ).with_columns(pl.col(column).fill_nan(None))
