"""From the sources to accepted snapshots: plan, fetch, accept (gate 1)."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from btg import revisions
from btg.catalogue.schema import Table
from btg.errors import ContractError, SourceError, UsageError
from btg.raw import Snapshot, SnapshotStore
from btg.sources.protocol import Delivery
from btg.state import is_older, save_state
from btg.workspace import Action, Decision, Fetched, Options, Workspace

FULL_FETCH_DAYS = 7
"""Silent corrections exist: at least this often the figures themselves are compared."""


def adopt_seed(workspace: Workspace) -> None:
    """Put the committed seed in use for every table that has nothing accepted yet."""
    with workspace.stage("seed"):
        for table in workspace.catalogue.used_tables():
            workspace.store.adopt_seed(table)


def plan(workspace: Workspace, options: Options) -> list[Decision]:
    """Return the decision and its reason per table; asks the sources, writes nothing."""
    known = {s.id for s in workspace.catalogue.sources}
    if options.only is not None and options.only not in known:
        raise UsageError(f"there is no source {options.only!r}; known: {', '.join(sorted(known))}")
    if options.only is not None and options.offline:
        raise UsageError("--only names a source to ask, --offline asks none: give one of them")
    with workspace.stage("plan"):
        _name_hosts(workspace, options)
        decisions = [
            _decide(workspace, table, options) for table in workspace.catalogue.used_tables()
        ]
    workspace.report.decisions = decisions
    return decisions


def _name_hosts(workspace: Workspace, options: Options) -> None:
    """Make every client before the first is used, so that all hosts are tried at once."""
    if options.offline or options.as_of is not None:
        return
    for table in workspace.catalogue.used_tables():
        if table.kind == "odata_v3" and options.only in (None, table.source_id):
            workspace.source(table)


def _decide(workspace: Workspace, table: Table, options: Options) -> Decision:
    def decision(action: Action, reason: str, **more: Any) -> Decision:
        return Decision(table.source_id, table.id, action, reason, **more)

    if options.as_of is not None:
        return decision("keep", "as known on a date: nothing is fetched", is_due=False)
    if options.only is not None and table.source_id != options.only:
        return decision("keep", f"only {options.only} was asked for", is_due=False)
    if options.offline:
        return decision("keep", "offline", is_due=False)
    if table.kind == "edition_file":
        return decision("keep", f"edition file: btg import {table.source_id} FILE")
    workspace.progress(f"probe {table.id}")
    try:
        probe = workspace.source(table).probe(table)
    except SourceError as error:
        return decision("failed", str(error))
    state = workspace.state.of(table.id)
    if options.full:
        return decision("fetch", "full refetch was asked for", source_modified=probe.modified)
    if state.full_fetch_at is None:
        return decision("fetch", "never fetched from the source", source_modified=probe.modified)
    if state.problem == "quarantined":
        return decision("fetch", "the last delivery was refused", source_modified=probe.modified)
    lacking = _series_not_held(workspace.store, table)
    if lacking:
        return decision(
            "fetch",
            f"the catalogue asks for series that are not held yet: {', '.join(lacking)}",
            source_modified=probe.modified,
        )
    if probe.modified != state.source_modified:
        return decision(
            "fetch",
            f"changed at the source: {state.source_modified} -> {probe.modified}",
            source_modified=probe.modified,
        )
    if is_older(state.full_fetch_at, workspace.clock(), FULL_FETCH_DAYS):
        return decision(
            "fetch",
            f"unchanged, but the last full fetch is over {FULL_FETCH_DAYS} days old",
            source_modified=probe.modified,
        )
    return decision("skip", f"unchanged since {probe.modified}", source_modified=probe.modified)


def fetch_all(workspace: Workspace, decisions: Sequence[Decision]) -> None:
    """Fetch the tables one after the other: no host is asked twice at a time."""
    for decision in decisions:
        fetch(workspace, decision)


def download(workspace: Workspace, decision: Decision) -> Delivery:
    """Return a table as its source has it now; raises ``SourceError``, writes nothing."""
    table = workspace.catalogue.table(decision.table_id)
    return workspace.source(table).fetch(table)


def fetch(
    workspace: Workspace,
    decision: Decision,
    download: Callable[[Workspace, Decision], Delivery] = download,
) -> Fetched:
    """Fetch one table whole, keep it, and accept or quarantine it; returns what came of it."""
    from btg.contracts import check_types, readable

    catalogue = workspace.catalogue
    table = catalogue.table(decision.table_id)
    with workspace.stage("fetch"):
        workspace.progress(f"fetch {table.id}")
        try:
            delivery = download(workspace, decision)
            check_types(table, delivery.entities)
            with readable(table):
                snapshot = workspace.store.store(
                    table,
                    catalogue.source(table.source_id),
                    delivery,
                    retrieved_at=workspace.now(),
                    origin="fetched",
                    origin_note="",
                )
        except ContractError as error:
            return _record(workspace, Fetched(table.id, "quarantined", str(error)))
        except SourceError as error:
            return _record(workspace, Fetched(table.id, "failed", str(error)))
    return accept(workspace, table, snapshot, delivery.modified)


def accept(
    workspace: Workspace, table: Table, snapshot: Snapshot, source_modified: str | None
) -> Fetched:
    """Pass a stored snapshot through gate 1: put it in use, or quarantine it."""
    from btg.contracts import check_snapshot

    store = workspace.store
    with workspace.stage("accept"):
        accepted = accepted_or_none(store, table)
        if accepted is not None and accepted.id == snapshot.id:
            result = Fetched(table.id, "unchanged", "same figures as the last time", snapshot.id)
            return _record(workspace, result, source_modified)
        try:
            notes = check_snapshot(workspace.catalogue, table, snapshot, accepted)
        except ContractError as error:
            store.quarantine(table, snapshot, workspace.now(), str(error), workspace.run_id)
            return _record(workspace, Fetched(table.id, "quarantined", str(error), snapshot.id))
        changed = _put_in_use(workspace, table, snapshot, "; ".join(notes) or "passed gate 1")
        message = revisions.in_words(changed, workspace.catalogue.method.base_year)
        result = Fetched(table.id, "accepted", message, snapshot.id, changed.height)
        return _record(workspace, result, source_modified)


def put_in_use(workspace: Workspace, table: Table, snapshot: Snapshot, reason: str) -> int:
    """Accept a snapshot, keep its differences from the one before, and return their number."""
    return _put_in_use(workspace, table, snapshot, reason).height


def _put_in_use(
    workspace: Workspace, table: Table, snapshot: Snapshot, reason: str
) -> pl.DataFrame:
    from btg.contracts import readable

    accepted = accepted_or_none(workspace.store, table)
    changed = revisions.empty_revisions()
    if accepted is not None:
        with readable(table):
            changed = revisions.compare(table, accepted, snapshot, workspace.run_id)
    workspace.store.accept(table, snapshot, workspace.now(), reason, workspace.run_id, changed)
    return changed


def accepted_or_none(store: SnapshotStore, table: Table) -> Snapshot | None:
    """Return the snapshot of a table that is in use, if there is one."""
    return store.accepted(table) if store.has_accepted(table) else None


def _series_not_held(store: SnapshotStore, table: Table) -> list[str]:
    """Return the measures of the catalogue that the snapshot in use was not asked for."""
    accepted = accepted_or_none(store, table)
    if accepted is None:
        return []
    return [m.id for m in table.measures if m.id not in accepted.manifest["fingerprint"]]


def _record(workspace: Workspace, result: Fetched, source_modified: str | None = None) -> Fetched:
    workspace.report.fetched.append(result)
    workspace.progress(f"{result.table_id}: {result.result}: {result.message}")
    now = workspace.now()
    changes: dict[str, Any] = {}
    if result.result in ("accepted", "unchanged"):
        changes = {
            "checked_at": now,
            "full_fetch_at": now,
            "failed_at": None,
            "problem": None,
            "message": "",
            "source_modified": source_modified,
        }
        if result.result == "accepted":
            changes["changed_at"] = now
    elif result.result == "quarantined":
        changes = {"problem": "quarantined", "message": result.message, "failed_at": now}
    workspace.state = workspace.state.with_table(result.table_id, **changes)
    if result.result == "failed":
        workspace.state = workspace.state.with_failure(result.table_id, now, result.message)
    save_state(workspace.settings.runs_dir, workspace.state)
    return result
