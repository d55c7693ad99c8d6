"""Rows as received -> typed frames, without guessing: a value of another type is an error.

The figures are typed by what DataProperties declares; metadata by the JSON types themselves.
Codes stay as received, padding included.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from btg.errors import ContractError, SourceAnswerError
from btg.sources.odata import Slice

Row = Mapping[str, Any]

LARGEST_INTEGER = 2**63 - 1
NUMBERS = {
    "Double": pl.Float64,
    "Float": pl.Float64,
    "Decimal": pl.Float64,
    "Long": pl.Int64,
    "Integer": pl.Int64,
}


def figures(table_id: str, rows: Sequence[Row], wanted: Slice) -> pl.DataFrame:
    """Return the figures, one typed column per column asked for, rows in the order received.

    Dimensions and texts become String, numbers Float64 or Int64. Raises ``SourceAnswerError``
    naming column and cell for a value that is not what DataProperties declares (also NaN and
    infinity, which Python's JSON reader lets through), and for a column that was not sent.
    """
    types: dict[str, type[pl.DataType]] = dict.fromkeys(wanted.dimensions, pl.String)
    for topic in wanted.topics:
        types[topic.key] = _declared_type(table_id, topic.key, topic.datatype)
    _require_columns(table_id, rows, wanted)
    return pl.DataFrame(
        [_column(table_id, rows, wanted, name, dtype) for name, dtype in types.items()]
    )


def metadata(table_id: str, entity: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Return a metadata entity with every column received, typed by its JSON values.

    A column of texts, whole numbers, numbers or booleans keeps that type; a column of nested or
    mixed values becomes JSON text; one without any value is String. A key that a row lacks is
    null. No rows: no columns.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        [
            _metadata_column(table_id, entity, name, [row.get(name) for row in rows])
            for name in names
        ]
    )


def repeated_cells(frame: pl.DataFrame, dimensions: Sequence[str]) -> list[str]:
    """Return the cells (trimmed codes, joined) that occur more than once, in order."""
    codes = frame.select(pl.col(name).str.strip_chars() for name in dimensions)
    repeated = codes.filter(codes.is_duplicated()).unique(maintain_order=True)
    return [", ".join(str(code) for code in row) for row in repeated.iter_rows()]


def _declared_type(table_id: str, key: str, datatype: str) -> type[pl.DataType]:
    if datatype == "String":
        return pl.String
    if datatype not in NUMBERS:
        raise ContractError(
            table_id,
            "datatype_unknown",
            f"column {key}: expected one of {', '.join([*NUMBERS, 'String'])}, found {datatype}",
        )
    return NUMBERS[datatype]


def _require_columns(table_id: str, rows: Sequence[Row], wanted: Slice) -> None:
    expected = set(wanted.select)
    for row in rows:
        if not expected <= row.keys():
            missing = sorted(expected - row.keys())
            raise SourceAnswerError(
                table_id,
                f"the row of {_cell(row, wanted)} lacks column {', '.join(missing)}",
            )


def _column(
    table_id: str, rows: Sequence[Row], wanted: Slice, name: str, dtype: type[pl.DataType]
) -> pl.Series:
    is_sound = _SOUND[dtype]
    values = [row[name] for row in rows]
    for row, value in zip(rows, values, strict=True):
        is_missing_code = value is None and name in wanted.dimensions
        if is_missing_code or (value is not None and not is_sound(value)):
            raise SourceAnswerError(
                table_id,
                f"column {name}, cell {_cell(row, wanted)}: expected {_WORDS[dtype]}, "
                f"found {json.dumps(value)[:60]}",
            )
    if dtype == pl.Int64:
        values = [None if value is None else int(value) for value in values]
    return pl.Series(name, values, dtype=dtype)


def _is_whole(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= 2**53
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_SOUND: dict[type[pl.DataType], Callable[[object], bool]] = {
    pl.Float64: _is_number,
    pl.Int64: _is_whole,
    pl.String: _is_text,
}
_WORDS: dict[type[pl.DataType], str] = {
    pl.Float64: "a number",
    pl.Int64: "a whole number",
    pl.String: "a text",
}


def _cell(row: Row, wanted: Slice) -> str:
    return ", ".join(str(row.get(name)).strip() for name in wanted.dimensions)


def _metadata_column(table_id: str, entity: str, name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise SourceAnswerError(table_id, f"{entity}, column {name}: a number is NaN or infinite")
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(_is_whole(v) for v in values if v is not None):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds in ({float}, {int, float}) and all(_is_number(v) for v in values if v is not None):
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    if kinds <= {str}:
        return pl.Series(name, values, dtype=pl.String)
    texts = [
        None if v is None else json.dumps(v, ensure_ascii=False, sort_keys=True) for v in values
    ]
    return pl.Series(name, texts, dtype=pl.String)
