"""The only caller of ``duckdb.connect``: opens the build, and the published file read-only.

Also loads the inputs of the SQL models: the cells of the snapshots in use (schema ``raw``) and the
catalogue (schema ``catalogue``).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from btg.catalogue.borders import successors
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator, MeasureRef
from btg.errors import PublishError, SnapshotError

STORAGE_VERSION = "v1.2.0"
"""Storage format of the published file: readable by every client from DuckDB 1.2 on."""

OPEN_ATTEMPTS = 10

Connection = duckdb.DuckDBPyConnection


def open_build() -> Connection:
    """Return an in-memory database for a build; nothing of it is visible until published."""
    con = duckdb.connect(":memory:")
    con.execute("set timezone = 'UTC'")
    # one thread: sums over the same rows give the same last bit in every build
    con.execute("set threads = 1")
    con.execute("set autoinstall_known_extensions = false")
    con.execute("set autoload_known_extensions = false")
    return con


def open_published(path: Path) -> Connection:
    """Return a read-only connection to a published file; never any other kind.

    The library opens a file three times (type, headers, blocks). A file that is replaced in between
    would be read with the headers of the one before, so it is opened again until it stays the same.
    """
    for _ in range(OPEN_ATTEMPTS):
        before = _identity(path)
        try:
            con = _open_read_only(path)
        except PublishError:
            if _identity(path) == before:
                raise
            continue
        if _identity(path) == before:
            return con
        con.close()
    raise PublishError(f"{path.name} is replaced all the time: {OPEN_ATTEMPTS} attempts to open it")


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a file from the one that takes its place; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _open_read_only(path: Path) -> Connection:
    if not path.exists():
        raise SnapshotError(f"{path.name} does not exist yet: run btg refresh")
    if path.with_name(path.name + ".wal").exists():
        raise PublishError(
            f"{path.name}.wal lies beside the published file: something wrote to it; find the "
            "writer, move the .wal away, and run btg refresh or btg rollback"
        )
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise PublishError(f"{path.name} cannot be opened read-only: {error}") from None


def allow_threads(con: Connection) -> None:
    """Let the work after the last sum use all cores; copies keep the order of the rows."""
    con.execute("reset threads")


def open_candidate(path: Path) -> Connection:
    """Return a read-write connection to a file in ``.build/``; never to the published one."""
    if path.parent.name != ".build":
        raise PublishError(
            f"{path.name} is not a candidate: the published file is never opened to write"
        )
    return duckdb.connect(str(path))


def rows(
    con: Connection, sql: str, params: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Return all rows of a query; nothing is left unfinished on the connection."""
    return con.execute(sql, params or {}).fetchall()


def frame(con: Connection, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Return a query's rows as a polars frame."""
    content: pl.DataFrame = con.sql(sql, params=dict(params) if params else None).pl()
    return content


CODE_TYPES: dict[str, tuple[str, ...]] = {
    "region_code": (
        "region_code",
        "present_code",
        "municipality_code",
        "corop_code",
        "province_code",
    ),
    "indicator_id": ("indicator_id",),
    "dimension_id": ("dimension_id",),
    "table_id": ("table_id", "num_table", "den_table"),
    "measure_id": ("measure_id", "num_measure", "den_measure"),
}
"""Enumerations of the build, and the columns that hold them: a code takes two bytes, not thirty."""


def declare_codes(con: Connection, codes: Mapping[str, Sequence[str]]) -> None:
    """Create the enumerations; a code that is in none of them cannot enter the build."""
    for name in CODE_TYPES:
        values = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(codes[name]))
        con.execute(f"create type {name} as enum ({values})")


def load(con: Connection, name: str, content: pl.DataFrame) -> None:
    """Create the table ``name`` (schema.table) from a polars frame, codes as enumerations."""
    con.execute(f"create schema if not exists {name.split('.')[0]}")
    con.register("incoming", content.to_arrow())
    coded = {column: kind for kind, columns in CODE_TYPES.items() for column in columns}
    is_input = name.startswith(("raw.", "catalogue.", "uncertainty."))
    casts = ", ".join(
        f"cast({column} as {coded[column]}) as {column}"
        for column in content.columns
        if is_input and column in coded
    )
    replaced = f"replace ({casts})" if casts else ""
    try:
        con.execute(f"create or replace table {name} as select * {replaced} from incoming")
    finally:
        con.unregister("incoming")


def load_catalogue_tables(
    con: Connection, catalogue: Catalogue, baseline: pl.DataFrame, last_year: int
) -> None:
    """Load the catalogue and the frozen ruler into the schema ``catalogue``.

    ``last_year`` is the last year of any figure: borders are needed up to there. The enumerations
    of the codes must have been declared.
    """
    load(con, "catalogue.method", pl.DataFrame([_method_row(catalogue)]))
    load(con, "catalogue.dimension", _dimensions(catalogue))
    load(con, "catalogue.indicator", _indicators(catalogue))
    load(con, "catalogue.measure", _measures(catalogue))
    load(con, "catalogue.table_info", _tables(catalogue))
    load(con, "catalogue.support", _support(catalogue))
    load(con, "catalogue.break", _breaks(catalogue))
    load(con, "catalogue.region", _regions(catalogue))
    load(con, "catalogue.successor", _successors(catalogue, last_year))
    load(con, "catalogue.exclusion", _exclusions(catalogue))
    load(con, "catalogue.correction", _corrections(catalogue))
    load(con, "catalogue.survey_statement", _statements(catalogue))
    load(con, "catalogue.survey", pl.DataFrame([s.model_dump() for s in catalogue.survey]))
    load(con, "catalogue.baseline", baseline)


def _method_row(catalogue: Catalogue) -> dict[str, Any]:
    return {
        **catalogue.method.model_dump(),
        "population_weight": catalogue.population_weight,
        "population_base": catalogue.population_base,
    }


def _dimensions(catalogue: Catalogue) -> pl.DataFrame:
    rows = [d.model_dump() | {"dimension_id": d.id} for d in catalogue.dimensions]
    return pl.DataFrame(rows, schema_overrides={"thin_reason": pl.String}).drop("id")


def _indicators(catalogue: Catalogue) -> pl.DataFrame:
    return pl.DataFrame(
        [_indicator_row(catalogue, i) for i in catalogue.indicators],
        infer_schema_length=None,
        schema_overrides={
            "den_table": pl.String,
            "den_measure": pl.String,
            "den_support": pl.String,
            "den_kind": pl.String,
            "minimum": pl.Float64,
            "maximum": pl.Float64,
            "reconciliation_tolerance": pl.Float64,
            "reconciliation_reason": pl.String,
        },
    )


def _indicator_row(catalogue: Catalogue, indicator: Indicator) -> dict[str, Any]:
    table = catalogue.table(indicator.numerator.table)
    measure = next(m for m in table.measures if m.id == indicator.numerator.measure)
    den = indicator.denominator
    kind: str | None = None
    if isinstance(den, MeasureRef):
        kind = next(m.merge for m in catalogue.table(den.table).measures if m.id == den.measure)
    elif den is not None:
        kind = "support"
    plain = indicator.model_dump(
        exclude={"id", "dimension", "numerator", "denominator", "breaks", "warnings",
                 "reconciliation", "relative", "survey"}
    )  # fmt: skip
    items = [f"{k} {v}" for k, v in measure.select.items()]
    return plain | {
        "indicator_id": indicator.id,
        "dimension_id": indicator.dimension,
        "is_relative": indicator.relative,
        "is_survey": indicator.survey,
        "source_id": table.source_id,
        "num_table": table.id,
        "num_measure": measure.id,
        "den_table": den.table if isinstance(den, MeasureRef) else None,
        "den_measure": den.measure if isinstance(den, MeasureRef) else None,
        "den_support": den if isinstance(den, str) else None,
        "den_kind": kind,
        "default_weight_proxy": None if kind in ("sum", "support") else "bevolking",
        "topic_path": " / ".join([*measure.path, *items]),
        "licence": catalogue.source(table.source_id).licence,
        "warnings": " ".join(w if w.endswith(".") else f"{w}." for w in indicator.warnings),
        "reconciliation_tolerance": indicator.reconciliation.tolerance
        if indicator.reconciliation
        else None,
        "reconciliation_reason": indicator.reconciliation.reason
        if indicator.reconciliation
        else None,
    }


def _measures(catalogue: Catalogue) -> pl.DataFrame:
    rows = [
        {
            "source_id": t.source_id,
            "table_id": t.id,
            "measure_id": m.id,
            "merge": m.merge,
            "unit": m.unit,
            "topic_path": " / ".join([*m.path, *(f"{k} {v}" for k, v in m.select.items())]),
        }
        for t in catalogue.used_tables()
        for m in t.measures
    ]
    return pl.DataFrame(rows)


def _tables(catalogue: Catalogue) -> pl.DataFrame:
    rows = [
        {
            "source_id": t.source_id,
            "table_id": t.id,
            "title": t.title,
            "borders_year": None if t.borders == "period" else t.borders,
            "foreign_codes": list(t.foreign_codes),
        }
        for t in catalogue.tables
    ]
    return pl.DataFrame(
        rows, schema_overrides={"borders_year": pl.Int64, "foreign_codes": pl.List(pl.String)}
    )


def _support(catalogue: Catalogue) -> pl.DataFrame:
    rows = [
        {
            "series_id": s.id,
            "position": position,
            "table_id": ref.table,
            "measure_id": ref.measure,
            "tolerance_share": s.tolerance_share,
        }
        for s in catalogue.support
        for position, ref in enumerate(s.measures)
    ]
    return pl.DataFrame(rows)


def _breaks(catalogue: Catalogue) -> pl.DataFrame:
    rows = [
        {"indicator_id": i.id, "year": b.year, "kind": b.kind, "reason": b.reason}
        for i in catalogue.indicators
        for b in i.breaks
    ]
    schema = {
        "indicator_id": pl.String,
        "year": pl.Int64,
        "kind": pl.String,
        "reason": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


def _regions(catalogue: Catalogue) -> pl.DataFrame:
    regions, twente = catalogue.regions, catalogue.twente()
    named = [
        (regions.country.code, regions.country.name, "land"),
        *((r.code, r.name, "provincie") for r in regions.provinces),
        *((r.code, r.name, "corop") for r in regions.corop_areas),
        *((m.code, m.name, "gemeente") for m in regions.municipalities if m.last_year is None),
    ]
    return pl.DataFrame(
        [
            {
                "region_code": code,
                "region_name": name,
                "region_level": level,
                "is_twente": code in twente,
            }
            for code, name, level in named
        ]
    )


def _successors(catalogue: Catalogue, last_year: int) -> pl.DataFrame:
    fixed = [t.borders for t in catalogue.tables if isinstance(t.borders, int)]
    rows = [
        {"borders_year": year, "region_code": code, "present_code": to, "share": share}
        for year in range(catalogue.method.observation_first_year, max([last_year, *fixed]) + 1)
        for code, to, share in successors(catalogue.regions, year)
    ]
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"share": pl.Float64})


def _exclusions(catalogue: Catalogue) -> pl.DataFrame:
    rows = [e.model_dump() for e in catalogue.exclusions]
    return pl.DataFrame(rows).rename({"dimension": "dimension_id"})


def _corrections(catalogue: Catalogue) -> pl.DataFrame:
    schema = {
        "table_id": pl.String,
        "measure_id": pl.String,
        "region_code": pl.String,
        "source_period": pl.String,
        "action": pl.String,
        "value_expected": pl.Float64,
        "value_set": pl.Float64,
        "reason": pl.String,
        "reported": pl.String,
    }
    rows = [
        (c.table, c.measure, c.region, c.period, c.action, c.expect, c.value, c.reason, c.reported)
        for c in catalogue.corrections
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _statements(catalogue: Catalogue) -> pl.DataFrame:
    rows = [s.model_dump() | {"statement_id": s.id} for s in catalogue.survey_statements]
    kinds: dict[str, Any] = {"regions": pl.List(pl.String), "reference": pl.String}
    return pl.DataFrame(rows, schema_overrides=kinds).drop("id")


def catalogue_codes(catalogue: Catalogue) -> dict[str, list[str]]:
    """Return every code that the catalogue knows, by enumeration."""
    regions = catalogue.regions
    larger = (regions.country, *regions.provinces, *regions.corop_areas)
    return {
        "region_code": [*(m.code for m in regions.municipalities), *(r.code for r in larger)],
        "indicator_id": [i.id for i in catalogue.indicators],
        "dimension_id": [d.id for d in catalogue.dimensions],
        "table_id": [t.id for t in catalogue.tables],
        "measure_id": sorted({m.id for t in catalogue.tables for m in t.measures}),
    }


def as_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return compact JSON for a text column."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
