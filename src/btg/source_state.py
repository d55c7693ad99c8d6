"""How every source stands: seed, current, quarantined or too old; what that makes of a run."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from btg import build, warehouse
from btg.catalogue.schema import Table
from btg.intake import accepted_or_none
from btg.state import is_older, save_state
from btg.workspace import Workspace


def judge(workspace: Workspace) -> None:
    """Set the exit code and the warnings from the state of the sources, before anything is built.

    The published file carries the exit code of its own run, so it must be known by then.
    """
    report = workspace.report
    now = workspace.clock()
    due = {d.table_id for d in report.decisions if d.is_due}
    needs_attention = False
    for table in workspace.catalogue.used_tables():
        state, message = table_state(workspace, table, now)
        report.table_states[table.id] = state
        if state in ("quarantined", "too_old"):
            where = f"{table.source_id}/{table.id}"
            is_named = message.startswith((f"{where}:", f"{table.id}:"))
            report.warnings.append(message if is_named else f"{where}: {message}")
            needs_attention |= table.id in due
    failed = [d for d in report.decisions if d.action == "failed"]
    failed_tables = [d.table_id for d in failed]
    failed_tables += [f.table_id for f in report.fetched if f.result == "failed"]
    if failed_tables:
        reasons = [d.reason for d in failed]
        reasons += [f.message for f in report.fetched if f.result == "failed"]
        report.warnings.append(
            f"{len(failed_tables)} tables could not be checked at the source; their last accepted "
            f"figures serve. First: {reasons[0]}"
        )
    if (needs_attention or failed_tables) and report.exit_code == 0:
        report.exit_code = 4
    for decision in report.decisions:
        if decision.action == "failed":
            workspace.state = workspace.state.with_failure(
                decision.table_id, workspace.now(), decision.reason
            )
        elif decision.action == "skip":
            workspace.state = workspace.state.with_table(
                decision.table_id, checked_at=workspace.now(), failed_at=None, message=""
            )
    save_state(workspace.settings.runs_dir, workspace.state)


def table_state(workspace: Workspace, table: Table, now: datetime) -> tuple[str, str]:
    """Return state and message of a table: seed, current, quarantined or too_old."""
    state = workspace.state.of(table.id)
    if state.problem == "quarantined":
        return "quarantined", state.message
    snapshot = accepted_or_none(workspace.store, table)
    if snapshot is None:
        return "broken", "no accepted snapshot"
    checked = state.checked_at or str(snapshot.manifest["retrieved_at"])
    if is_older(checked, now, table.max_age_days):
        return (
            "too_old",
            f"last good check {checked[:10]}, at most {table.max_age_days} days allowed",
        )
    # figures of the seed that the source has confirmed since are as good as fetched ones
    is_seed = snapshot.manifest["origin"] == "seed" and state.checked_at is None
    return ("seed" if is_seed else "current"), ""


def source_states(
    workspace: Workspace, tables: Sequence[build.TableInUse], period_max: Mapping[str, str]
) -> pl.DataFrame:
    """Return one row per table in use for meta.source; ``period_max`` is by table."""
    now = workspace.clock()
    rows = []
    for item in tables:
        table, snapshot = item.table, item.snapshot
        source = workspace.catalogue.source(table.source_id)
        state, message = table_state(workspace, table, now)
        log = [e for e in workspace.store.log(table) if e["snapshot_id"] == snapshot.id]
        rows.append(
            {
                "source_id": source.id,
                "source_name": source.name,
                "table_id": table.id,
                "title": table.title,
                "state": state,
                "state_message": message,
                "checked_at": workspace.state.of(table.id).checked_at,
                "changed_at": str(log[-1]["at"]) if log else None,
                "source_modified": str(snapshot.manifest["source_modified"]),
                "period_max": period_max.get(table.id),
                "max_age_days": table.max_age_days,
                "snapshot_id": snapshot.id,
                "origin": str(snapshot.manifest["origin"]),
                "licence": source.licence,
                "attribution": source.attribution,
                "landing_page": table.landing_page,
                "note": table.note,
            }
        )
    text = ("checked_at", "changed_at", "period_max", "landing_page")
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(text, pl.String))


def stamped_source_states(workspace: Workspace, tables: Sequence[build.TableInUse]) -> pl.DataFrame:
    """Return meta.source anew for a file whose figures stay, typed as published."""
    con = warehouse.open_published(workspace.settings.database)
    try:
        known = dict(warehouse.rows(con, "select table_id, period_max from meta.source"))
    finally:
        con.close()
    moments = [
        pl.col(c).str.to_datetime(time_zone="UTC").dt.replace_time_zone(None)
        for c in ("checked_at", "changed_at")
    ]
    return source_states(workspace, tables, known).with_columns(moments)


def newest_periods(inputs: build.Inputs) -> dict[str, str]:
    """Return the last year with a figure, by table."""
    frame = inputs.cell.filter(pl.col("value").is_not_null()).group_by("table_id")
    return {table: str(year) for table, year in frame.agg(pl.col("year").max()).iter_rows()}


def sources_fingerprint(workspace: Workspace, tables: Sequence[build.TableInUse]) -> str:
    """Return a hash of the state of the sources; a failed check alone does not change it."""
    states = ["|".join(table_state(workspace, t.table, workspace.clock())) for t in tables]
    return hashlib.sha256("\n".join(states).encode()).hexdigest()
