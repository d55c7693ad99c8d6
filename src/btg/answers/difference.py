"""What publishing now would change against the published file: cells, scores, directions."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from btg import build, pipeline, revisions, warehouse
from btg.catalogue.loader import Catalogue
from btg.settings import Settings

SCORES = """
select region_code, year, level, item_id, score, matched_change, direction
from marts.change_since_2019
"""
SHOWN = 25
TOLERANCE = 1e-9
CHANGE_KEYS = ["region_code", "year", "level", "item_id"]


@dataclass(frozen=True)
class Difference:
    """Cells that were revised, and scores and changes that move with them."""

    cells: pl.DataFrame
    scores: pl.DataFrame
    base_cells: int

    def as_json(self) -> dict[str, Any]:
        """Return plain data, flipped changes first."""
        return {
            "cells": self.cells.to_dicts(),
            "scores": self.scores.to_dicts(),
            "n_base_year_cells": self.base_cells,
        }

    def as_text(self) -> list[str]:
        """Return lines for a terminal, flipped changes first."""
        lines = []
        flipped = self.scores.filter(pl.col("is_flipped"))
        if flipped.height:
            lines.append(f"flipped direction of change since 2019 ({flipped.height}):")
            lines += [_score_line(r) for r in flipped.head(SHOWN).to_dicts()]
        moved = self.scores.filter(~pl.col("is_flipped"))
        if moved.height:
            lines.append(f"other scores that move ({moved.height}), largest first:")
            lines += [_score_line(r) for r in moved.head(SHOWN).to_dicts()]
        if self.cells.height:
            lines.append(f"cells of the sources ({self.cells.height}):")
            lines += [
                f"  {r['table_id']} {r['topic_id']} {r['region_code']} {r['period']}: "
                f"{r['old_value']} ({r['old_status']}) -> "
                f"{r['new_value']} ({r['new_status']}) {r['cause']}"
                for r in self.cells.head(SHOWN).to_dicts()
            ]
        if self.base_cells:
            lines.append(
                f"{self.base_cells} revised cells are of 2019: the frozen ruler does not move; "
                "btg rebase with a new method version would take them in"
            )
        lines.append(
            f"diff: {flipped.height} flipped, {moved.height} moved, "
            f"{self.cells.height} cells differ"
        )
        return lines


def against_published(settings: Settings, catalogue: Catalogue) -> Difference:
    """Return what a publication of the snapshots in use would change; publishes nothing.

    Cells are compared between the snapshots behind the published file and those in use; scores and
    changes between the published marts and a build in memory, which also shows what another
    catalogue or other SQL change. Raises ``SnapshotError`` when nothing was published yet.
    """
    published = warehouse.open_published(settings.database)
    try:
        behind = dict(warehouse.rows(published, "select table_id, snapshot_id from meta.snapshot"))
        before = warehouse.frame(published, SCORES)
        base_year = warehouse.rows(published, "select base_year from meta.method")[0][0]
    finally:
        published.close()
    workspace = pipeline.Workspace(settings, catalogue)
    tables = pipeline.in_use(workspace, None)
    cells = [revisions.empty_revisions()]
    for item in tables:
        old = behind.get(item.table.id)
        if old is not None and old != item.snapshot.id:
            known = workspace.store.get(item.table, old)
            cells.append(revisions.compare(item.table, known, item.snapshot, workspace.run_id))
    changed = pl.concat(cells)
    inputs_id = pipeline.fingerprint(workspace, tables)
    if changed.height == 0 and inputs_id == workspace.state.published_inputs:
        return Difference(changed, _no_scores(before), 0)
    con = warehouse.open_build()
    try:
        pipeline.build_relations(workspace, con, build.read_inputs(catalogue, tables), tables)
        after = warehouse.frame(con, SCORES)
    finally:
        con.close()
    base_cells = changed.filter(
        pl.col("period").str.starts_with(str(base_year)) & (pl.col("cause") != "added")
    ).height
    return Difference(changed, compare_scores(before, after), base_cells)


def compare_scores(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the scores and changes that differ, flipped signs of change first, then by size.

    A difference in the last bits of a number, from another order of a sum, is none.
    """
    both = before.join(after, on=CHANGE_KEYS, how="full", suffix="_new", coalesce=True)
    moved = _differs("score") | _differs("matched_change")
    flipped = (pl.col("matched_change") * pl.col("matched_change_new") < 0).fill_null(value=False)
    size = (pl.col("score_new") - pl.col("score")).abs()
    return (
        both.filter(moved)
        .with_columns(flipped.alias("is_flipped"), size.alias("size"))
        .sort(
            ["is_flipped", "size", *CHANGE_KEYS],
            descending=[True, True, *[False] * 4],
            nulls_last=True,
        )
    )


def _differs(name: str) -> pl.Expr:
    """Return whether a figure and its new value differ; null against a number does."""
    old, new = pl.col(name), pl.col(f"{name}_new")
    is_near = ((old - new).abs() <= TOLERANCE).fill_null(value=False)
    return ~(is_near | old.eq_missing(new))


def _no_scores(like: pl.DataFrame) -> pl.DataFrame:
    return compare_scores(like.head(0), like.head(0))


def _score_line(row: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "none" if value is None else f"{value:.2f}"

    return (
        f"  {row['region_code']} {row['year']} {row['level']} {row['item_id']}: score "
        f"{number(row['score'])} -> {number(row['score_new'])}, matched change "
        f"{number(row['matched_change'])} -> {number(row['matched_change_new'])}"
    )
