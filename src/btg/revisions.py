"""What changed between two snapshots of a table, down to the cell."""

import polars as pl

from btg.catalogue.schema import Table
from btg.cells import cells, period_year
from btg.publication_status import period_statuses
from btg.raw import Snapshot, columns_of, comparable

REVISION_SCHEMA: dict[str, type[pl.DataType]] = {
    "source_id": pl.String,
    "table_id": pl.String,
    "region_code": pl.String,
    "period": pl.String,
    "topic_id": pl.String,
    "old_value": pl.Float64,
    "new_value": pl.Float64,
    "old_status": pl.String,
    "new_status": pl.String,
    "old_snapshot_id": pl.String,
    "new_snapshot_id": pl.String,
    "run_id": pl.String,
    "cause": pl.String,
}
CAUSES = ("revised", "added", "removed", "status")
KEYS = ["topic_id", "region_code", "period"]


def empty_revisions() -> pl.DataFrame:
    """Return a frame of revisions without rows."""
    return pl.DataFrame(schema=REVISION_SCHEMA)


def compare(table: Table, old: Snapshot, new: Snapshot, run_id: str) -> pl.DataFrame:
    """Return one row per cell whose value or status differs: revised, added, removed, status.

    A period that is new to the table is an addition of figures, not a revision: its cells are
    ``added``. A measure that the older snapshot does not hold (the catalogue added it since) is no
    part of the comparison. An areas table has no cells and gives no rows.
    """
    if table.role == "areas" or old.id == new.id:
        return empty_revisions()
    table = comparable(table, old.entities())
    before, after = _with_status(table, old), _with_status(table, new)
    both = before.join(after, on=KEYS, how="full", suffix="_new", coalesce=True, nulls_equal=True)
    was, now = pl.col("value"), pl.col("value_new")
    cause = (
        pl.when(was.is_null() & now.is_not_null())
        .then(pl.lit("added"))
        .when(was.is_not_null() & now.is_null())
        .then(pl.lit("removed"))
        .when(was != now)
        .then(pl.lit("revised"))
        .when(was.is_not_null() & (pl.col("status") != pl.col("status_new")))
        .then(pl.lit("status"))
    )
    return (
        both.with_columns(
            cause.alias("cause"),
            pl.lit(table.source_id).alias("source_id"),
            pl.lit(table.id).alias("table_id"),
            pl.lit(old.id).alias("old_snapshot_id"),
            pl.lit(new.id).alias("new_snapshot_id"),
            pl.lit(run_id).alias("run_id"),
        )
        .filter(pl.col("cause").is_not_null())
        .rename({"value": "old_value", "value_new": "new_value",
                 "status": "old_status", "status_new": "new_status"})
        .select(*REVISION_SCHEMA)
        .sort(KEYS)
    )  # fmt: skip


def in_words(changed: pl.DataFrame, base_year: int) -> str:
    """Return one line on what a new snapshot changed; revised base-year figures are counted."""
    if changed.height == 0:
        return "no figure differs from the last; the status or the description of a period does"
    count = dict(changed.get_column("cause").value_counts().iter_rows())
    parts = [f"{count[cause]} {cause}" for cause in CAUSES if cause in count]
    base = changed.filter(
        (pl.col("cause") != "added") & pl.col("period").str.contains(str(base_year))
    ).height
    ruler = f", of which {base} of {base_year}: the ruler stays as it is" if base else ""
    return f"{changed.height} cells differ from the last ({', '.join(parts)}){ruler}"


def _with_status(table: Table, snapshot: Snapshot) -> pl.DataFrame:
    entities = snapshot.entities()
    frame = cells(table, entities, columns_of(table, entities))
    keys = [
        key
        for key in sorted(frame.get_column("period_key").unique().to_list())
        if period_year(table, key) is not None
    ]
    status = period_statuses(table, keys, entities.get(table.time_dimension or ""))
    return frame.join(status, on=["measure_id", "period_key"], how="inner", validate="m:1").select(
        pl.col("measure_id").alias("topic_id"),
        pl.col("region_key").str.strip_chars().replace("NL00", "NL01").alias("region_code"),
        pl.col("period_key").str.strip_chars().alias("period"),
        "value",
        pl.col("publication_status").alias("status"),
    )
