"""The frozen ruler: one file per method version in the repository, only read by a run."""

import json
from pathlib import Path

import polars as pl

from btg import durable
from btg.catalogue.loader import Catalogue
from btg.errors import CatalogueError

BASELINE_SCHEMA: dict[str, type[pl.DataType]] = {
    "method_version": pl.String,
    "indicator_id": pl.String,
    "transform": pl.String,
    "m": pl.Float64,
    "s": pl.Float64,
    "clip_lo": pl.Float64,
    "clip_hi": pl.Float64,
    "n_units": pl.Int64,
    "base_years": pl.String,
    "left_out_of_aggregates": pl.String,
    "skewness": pl.Float64,
    "kurtosis": pl.Float64,
    "input_hash": pl.String,
}


def baseline_path(catalogue: Catalogue) -> Path:
    """Return the file that holds the ruler of the catalogue's method version."""
    return catalogue.directory / "baseline" / f"{catalogue.method.method_version}.csv"


def read_baseline(catalogue: Catalogue) -> pl.DataFrame:
    """Return the frozen ruler; raises ``CatalogueError`` if it is not there or does not fit."""
    path = baseline_path(catalogue)
    if not path.exists():
        raise CatalogueError(
            f"baseline/{path.name}: there is no ruler for method version "
            f"{catalogue.method.method_version}: run btg rebase --reason '...'"
        )
    try:
        frame = pl.read_csv(path, schema=BASELINE_SCHEMA, empty_string_is_null=False)
    except pl.exceptions.PolarsError as error:
        raise CatalogueError(f"baseline/{path.name} cannot be read: {error}") from None
    if frame.columns != list(BASELINE_SCHEMA) or frame.null_count().row(0) != (0,) * frame.width:
        raise CatalogueError(f"baseline/{path.name}: a column or a figure is missing")
    expected = {i.id: i.transform for i in catalogue.indicators if i.in_index}
    found = dict(frame.select("indicator_id", "transform").iter_rows())
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise CatalogueError(
                f"baseline/{path.name}: {name}: the catalogue says "
                f"{expected.get(name, 'not in the index')}, "
                f"the ruler {found.get(name, 'nothing')}; "
                "give the change a new method_version and run btg rebase"
            )
    return frame


def empty_baseline() -> pl.DataFrame:
    """Return a ruler without rows, for the part of a build that comes before it."""
    return pl.DataFrame(schema=BASELINE_SCHEMA)


def write_baseline(catalogue: Catalogue, frame: pl.DataFrame, reason: str, at: str) -> Path:
    """Store the ruler and log the reason; a different ruler under the same version is an error."""
    path = baseline_path(catalogue)
    text = frame.write_csv()
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise CatalogueError(
            f"baseline/{path.name} exists and differs: a published ruler is never overwritten; "
            "give method.yml a new method_version"
        )
    durable.write_bytes(path, text.encode())
    log = path.with_name("log.jsonl")
    entry = {"at": at, "method_version": catalogue.method.method_version, "reason": reason}
    before = log.read_bytes() if log.exists() else b""
    durable.write_bytes(log, before + json.dumps(entry, ensure_ascii=False).encode() + b"\n")
    return path
