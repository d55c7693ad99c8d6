"""From the snapshots in use to a complete set of relations in a build database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from btg import sqlrun, warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.cells import CELL_SCHEMA, cells, period_year
from btg.errors import SnapshotError
from btg.publication_status import period_statuses
from btg.raw import Snapshot, columns_of
from btg.sources.protocol import DATA_ENTITY

COMPUTED_SCHEMA = "uncertainty"
COMPUTED_FROM = (
    "intermediate.change_weight",
    "intermediate.matched",
    "intermediate.support",
    "marts.indicator_score",
    "meta.baseline",
    "meta.dimension",
    "meta.index_year",
    "meta.indicator",
    "meta.method",
    "meta.region",
    "staging.membership",
)
"""What the engine computes between two halves of the models, and the relations it reads."""


@dataclass(frozen=True)
class TableInUse:
    """A table of the catalogue with the snapshot that serves it."""

    table: Table
    snapshot: Snapshot


@dataclass(frozen=True)
class Inputs:
    """What the SQL models read: cells, periods, areas and the snapshots behind them."""

    cell: pl.DataFrame
    period: pl.DataFrame
    area: pl.DataFrame
    accepted: pl.DataFrame

    @property
    def last_year(self) -> int:
        """Last year of any figure."""
        return int(self.cell.get_column("year").max())  # type: ignore[arg-type]


def read_inputs(catalogue: Catalogue, in_use: Sequence[TableInUse]) -> Inputs:
    """Return the inputs of the build from the snapshots in use; nothing is judged here."""
    cell_frames, period_frames, areas, accepted = [], [], [], []
    for item in in_use:
        entities = item.snapshot.entities()
        accepted.append(_accepted_row(catalogue, item, entities))
        if item.table.role == "areas":
            areas.append(_areas(item.table, entities))
            continue
        cell, period = table_cells(item.table, item.snapshot.id, entities)
        recent = pl.col("year") >= catalogue.method.observation_first_year
        cell_frames.append(cell.filter(recent))
        period_frames.append(period)
    if not areas:
        raise SnapshotError("no table with role 'areas' is in use: larger regions have no members")
    return Inputs(
        pl.concat(cell_frames), pl.concat(period_frames), pl.concat(areas), pl.DataFrame(accepted)
    )


def table_cells(
    table: Table, snapshot_id: str, entities: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the cells and the periods of one snapshot, periods outside the series left out."""
    frame = cells(table, entities, columns_of(table, entities))
    keys = sorted(frame.get_column("period_key").unique().to_list())
    years = {key: period_year(table, key) for key in keys}
    period = period_statuses(
        table, [k for k in keys if years[k] is not None], entities.get(table.time_dimension or "")
    ).with_columns(pl.lit(table.id).alias("table_id"))
    cell = frame.with_columns(
        pl.col("period_key").replace_strict(years, return_dtype=pl.Int64).alias("year"),
        pl.lit(table.source_id).alias("source_id"),
        pl.lit(table.id).alias("table_id"),
        pl.lit(snapshot_id).alias("snapshot_id"),
    ).filter(pl.col("year").is_not_null())
    return cell.select("source_id", "table_id", *CELL_SCHEMA, "year", "snapshot_id"), period


def load_inputs(
    con: warehouse.Connection, catalogue: Catalogue, inputs: Inputs, baseline: pl.DataFrame
) -> None:
    """Load the inputs, the catalogue and the ruler into the build database."""
    warehouse.declare_codes(con, warehouse.catalogue_codes(catalogue))
    warehouse.load(con, "raw.cell", inputs.cell)
    warehouse.load(con, "raw.period", inputs.period)
    warehouse.load(con, "raw.area", inputs.area)
    warehouse.load(con, "raw.accepted", inputs.accepted)
    warehouse.load_catalogue_tables(con, catalogue, baseline, inputs.last_year)


def run_models(
    con: warehouse.Connection, sql_dir: Path, targets: Iterable[str] | None = None
) -> list[sqlrun.Model]:
    """Materialise the models in order and return them.

    The method intervals and standard errors are computed between the models that they rest on and
    those that read them, if any of these is wanted.
    """
    known = sqlrun.load_models(con, sql_dir)
    models = sqlrun.in_order(known, targets)
    if targets is not None and sqlrun.halves(models, COMPUTED_SCHEMA)[1]:
        models = sqlrun.in_order(known, [*targets, *COMPUTED_FROM])
    before, after = sqlrun.halves(models, COMPUTED_SCHEMA)
    sqlrun.materialise(con, before)
    if after:
        # imported here: only a whole build needs the engine
        from btg.uncertainty import estimates

        for name, content in estimates.compute(con).items():
            warehouse.load(con, name, content)
        sqlrun.materialise(con, after)
    return models


def _areas(table: Table, entities: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return entities[DATA_ENTITY].select(
        pl.col(table.geo_dimension).str.strip_chars().alias("municipality_code"),
        pl.col("corop_code").str.strip_chars(),
        pl.col("province_code").str.strip_chars(),
        pl.col(str(table.time_dimension)).cast(pl.Int64).alias("year"),
    )


def _accepted_row(
    catalogue: Catalogue, item: TableInUse, entities: Mapping[str, pl.DataFrame]
) -> dict[str, Any]:
    manifest = item.snapshot.manifest
    return {
        "snapshot_id": item.snapshot.id,
        "source_id": item.table.source_id,
        "table_id": item.table.id,
        "title": str(manifest["title"]),
        "origin": str(manifest["origin"]),
        "origin_note": str(manifest.get("origin_note") or ""),
        "retrieved_at": str(manifest["retrieved_at"]),
        "source_modified": str(manifest["source_modified"]),
        "n_rows": entities[DATA_ENTITY].height,
        "content_hash": item.snapshot.content_hash,
        "request": warehouse.as_json(manifest["request"]),
        "licence": str(manifest["licence"]),
        "attribution": str(manifest["attribution"]),
    }
