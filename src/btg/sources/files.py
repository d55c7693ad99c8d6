"""Edition files: a figure file that a provider issues once, read under its own import contract."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from btg.catalogue.schema import Table
from btg.cells import period_year
from btg.errors import ContractError, SourceAnswerError, SourceUnreachableError
from btg.sources.protocol import DATA_ENTITY, Delivery, Probe

POLARS_TYPE = {"String": pl.String, "Int64": pl.Int64, "Float64": pl.Float64}


class EditionFileSource:
    """One edition file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def probe(self, table: Table) -> Probe:
        """Return the state of the file: its name and its date."""
        if not self.path.is_file():
            raise SourceUnreachableError(table.id, f"there is no file {self.path.name}")
        modified = datetime.fromtimestamp(self.path.stat().st_mtime, UTC).isoformat()
        return Probe(table_id=table.id, title=table.title, modified=modified)

    def fetch(self, table: Table) -> Delivery:
        """Return the file as one typed frame; anything but the agreed form is an error."""
        probe = self.probe(table)
        frame = read_edition(table, self.path)
        return Delivery(
            table_id=table.id,
            title=table.title,
            modified=probe.modified,
            entities={DATA_ENTITY: frame},
            columns={m.id: m.path[0] for m in table.measures},
            request={"file": self.path.name},
        )


def read_edition(table: Table, path: Path) -> pl.DataFrame:
    """Return the rows of an edition file with the declared types.

    Raises ``ContractError`` naming file, column and line on a wrong header, a line of another
    length, a value that is not of its type, a period that does not parse, or the same key twice.
    """
    assert table.file is not None
    spec = table.file
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceUnreachableError(table.id, f"{path.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SourceAnswerError(table.id, f"{path.name}: is not UTF-8 text") from None
    lines = _lines(table, path, text)
    if not lines:
        raise ContractError(table.id, "rows", f"{path.name}: has a header but no rows")
    raw = pl.DataFrame(lines, schema=dict.fromkeys(spec.columns, pl.String), orient="row")
    frame = raw.select(
        _typed(table, path, raw.get_column(name), kind) for name, kind in spec.columns.items()
    )
    _check_keys(table, path, frame)
    _check_periods(table, path, frame)
    return frame


def _lines(table: Table, path: Path, text: str) -> list[list[str]]:
    """Return the fields of every line below the agreed header.

    A file that was cut off ends in a short line: filled up with blanks it would pass as missing.
    """
    assert table.file is not None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = list(table.file.columns)
    lines: list[list[str]] = []
    try:
        header = next(reader, [])
        if header != columns:
            raise ContractError(table.id, "header", _header_message(path, header, columns))
        for fields in reader:
            if len(fields) != len(columns):
                raise ContractError(
                    table.id,
                    "fields",
                    f"{path.name}: line {reader.line_num}: {len(fields)} fields, "
                    f"expected {len(columns)}",
                )
            lines.append(fields)
    except csv.Error as error:
        raise ContractError(
            table.id, "csv", f"{path.name}: line {reader.line_num}: {error}"
        ) from None
    return lines


def _check_periods(table: Table, path: Path, frame: pl.DataFrame) -> None:
    assert table.file is not None
    column = table.file.period_column
    for period in frame.get_column(column).cast(pl.String).unique().sort():
        try:
            period_year(table, str(period))
        except ContractError as error:
            reason = str(error).removeprefix(f"{table.id}: ")
            raise ContractError(
                table.id, error.rule, f"{path.name}: column {column}: {reason}"
            ) from None


def _typed(table: Table, path: Path, column: pl.Series, kind: str) -> pl.Series:
    text = column.str.strip_chars()
    text = text.set(text == "", None)
    if kind == "String":
        return text.alias(column.name)
    typed = text.cast(POLARS_TYPE[kind], strict=False)
    wrong = typed.is_null() & text.is_not_null()
    if kind == "Float64":
        wrong = wrong | (typed.is_not_null() & ~typed.is_finite())
    if wrong.any():
        line = int(wrong.arg_true()[0])
        raise ContractError(
            table.id,
            "type",
            f"{path.name}: line {line + 2}, column {column.name}: {column[line]!r} is not "
            f"{'a whole number' if kind == 'Int64' else 'a number'}",
        )
    return typed.alias(column.name)


def _check_keys(table: Table, path: Path, frame: pl.DataFrame) -> None:
    assert table.file is not None
    spec = table.file
    for name in spec.key:
        if frame.get_column(name).null_count():
            line = int(frame.get_column(name).is_null().arg_true()[0]) + 2
            raise ContractError(table.id, "key", f"{path.name}: line {line}: {name} is blank")
    double = frame.filter(frame.select(spec.key).is_duplicated())
    if double.height:
        example = ", ".join(str(double.row(0, named=True)[name]) for name in spec.key)
        raise ContractError(
            table.id,
            "duplicate",
            f"{path.name}: {double.height} rows share a key ({', '.join(spec.key)}), "
            f"such as {example}",
        )


def _header_message(path: Path, found: list[str], expected: list[str]) -> str:
    missing = [c for c in expected if c not in found]
    unknown = [c for c in found if c not in expected]
    detail = "the order differs"
    if missing or unknown:
        detail = "; ".join(
            part
            for part in (
                f"missing {', '.join(missing)}" if missing else "",
                f"unknown {', '.join(unknown)}" if unknown else "",
            )
            if part
        )
    return f"{path.name}: wrong header ({detail}); expected {','.join(expected)}"
