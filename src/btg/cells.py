"""A snapshot's figures as one long frame of cells: measure, region, period, value.

This is the one shape in which figures are compared, hashed, diffed and loaded. Codes are as
received; only the columns and items that the catalogue names are taken.
"""

import re
from collections.abc import Mapping

import polars as pl

from btg.catalogue.schema import Measure, Table
from btg.errors import ContractError
from btg.sources.protocol import DATA_ENTITY

CELL_SCHEMA: dict[str, type[pl.DataType]] = {
    "measure_id": pl.String,
    "region_key": pl.String,
    "period_key": pl.String,
    "value": pl.Float64,
}
YEAR_PERIOD = re.compile(r"^(\d{4})JJ00$")


def cells(
    table: Table, entities: Mapping[str, pl.DataFrame], columns: Mapping[str, str]
) -> pl.DataFrame:
    """Return the figures of a table as cells, one row per measure, region and period.

    ``columns`` maps a measure to the column that carries it. Missing figures stay as null rows.
    """
    figures = entities[DATA_ENTITY]
    parts = [_measure_cells(table, m, figures, columns[m.id]) for m in table.measures]
    frame = pl.concat(parts) if parts else pl.DataFrame(schema=CELL_SCHEMA)
    return frame.sort("measure_id", "region_key", "period_key")


def period_year(table: Table, period_key: str) -> int | None:
    """Return the year of a period, None for a period that is no part of the series.

    Raises ``ContractError`` for a form that is not known: a quarter filed as a year is a fault.
    """
    key = period_key.strip()
    if table.file is not None:
        match = re.match(table.file.period_pattern, key)
        if match:
            return int(match.group(1))
        if table.file.ignored_periods and re.match(table.file.ignored_periods, key):
            return None
        known = f"expected {table.file.period_pattern}"
    else:
        match = YEAR_PERIOD.match(key)
        if match:
            return int(match.group(1))
        if table.time_dimension is None and key == str(table.only_year):
            return table.only_year
        known = "expected yyyyJJ00"
    raise ContractError(table.id, "period", f"period {key!r} does not parse: {known}")


def _measure_cells(
    table: Table, measure: Measure, figures: pl.DataFrame, column: str
) -> pl.DataFrame:
    frame = figures
    for dimension in [*table.selection, *(d for d in measure.select if d not in table.selection)]:
        items = table.selection.get(dimension, [])
        item = measure.select.get(dimension, items[0] if len(items) == 1 else None)
        frame = frame.filter(pl.col(dimension).str.strip_chars() == item)
    if table.time_dimension is None:
        period = pl.lit(str(table.only_year))
    else:
        period = pl.col(table.time_dimension).cast(pl.String)
    return frame.select(
        pl.lit(measure.id).alias("measure_id"),
        pl.col(table.geo_dimension).alias("region_key"),
        period.alias("period_key"),
        pl.col(column).cast(pl.Float64).alias("value"),
    )
