"""The stages of a refresh as plain functions: plan, fetch, accept, build, audit, diff, publish.

The command line, cron and the Prefect flow call the same functions in the same order.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import polars as pl

from btg import baseline, build, durable, lineage, publish, revisions, sqlrun, warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.errors import (
    BtgError,
    ContractError,
    GateBlockedError,
    SnapshotError,
    SourceError,
    SourceUnreachableError,
    UsageError,
)
from btg.quality.findings import FINDING_SCHEMA, Finding, to_frame
from btg.raw import Snapshot, SnapshotStore
from btg.settings import Settings
from btg.sources.protocol import Delivery, Source
from btg.state import RunState, is_older, load_state, save_state

FULL_FETCH_DAYS = 7
"""Silent corrections exist: at least this often the figures themselves are compared."""

Action = Literal["fetch", "skip", "keep", "failed"]
Outcome = Literal["published", "nothing_new", "blocked"]
Ending = Literal[
    "published", "published_with_warnings", "nothing_new", "nothing_new_with_warnings", "blocked"
]


@dataclass(frozen=True)
class Options:
    """What a refresh was asked to do."""

    offline: bool = False
    full: bool = False
    only: str | None = None
    as_of: datetime | None = None
    command: str = "refresh"


@dataclass(frozen=True)
class Decision:
    """What to do about one table, and why."""

    source_id: str
    table_id: str
    action: Action
    reason: str
    is_due: bool = True
    source_modified: str | None = None


@dataclass(frozen=True)
class Fetched:
    """What came of fetching one table."""

    table_id: str
    result: Literal["accepted", "unchanged", "quarantined", "failed"]
    message: str
    snapshot_id: str | None = None
    n_revised: int = 0


@dataclass
class RunReport:
    """Everything that a run did, for the terminal, the run folder and the flow."""

    run_id: str
    started_at: str
    command: str
    decisions: list[Decision] = field(default_factory=list)
    fetched: list[Fetched] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    stages_s: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    exit_code: int = 0
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    database: str | None = None
    table_states: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data; passed checks are counted, failed ones listed."""
        data = asdict(self)
        data["n_checks"] = len(self.findings)
        data["findings"] = [asdict(f) for f in self.findings if not f.is_passed]
        return data


class Workspace:
    """What the stages of one run share: settings, catalogue, store, clock, and the clients."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.store = SnapshotStore(settings.raw_dir, settings.seed_raw_dir)
        self.state: RunState = load_state(settings.runs_dir)
        self.clock = clock
        self.progress = progress or (lambda _: None)
        started = clock()
        self.report = RunReport(
            run_id=started.strftime("%Y%m%dT%H%M%S_%f")[:-3],
            started_at=started.isoformat(timespec="seconds"),
            command="refresh",
        )
        self._sources: dict[str, Source] = {}
        self._hosts: Any = None

    @property
    def run_id(self) -> str:
        """Name of this run."""
        return self.report.run_id

    def now(self) -> str:
        """Return the present moment, UTC, ISO."""
        return self.clock().isoformat(timespec="seconds")

    def source(self, table: Table) -> Source:
        """Return the client of a table's service, made on first use and shared by its tables."""
        from btg.sources.cbs import CbsSource
        from btg.sources.hosts import HostState

        service = self.catalogue.source(table.source_id).service
        if self._hosts is None:
            self._hosts = HostState()
        if service not in self._sources:
            url = {"cbs": self.settings.cbs_url, "dataderden": self.settings.dataderden_url}[
                service
            ]
            self._sources[service] = CbsSource(
                url, self.settings, hosts=self._hosts, progress=self.progress
            )
        return self._sources[service]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage into the report and tell the progress."""
        self.progress(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.report.stages_s[name] = round(
                self.report.stages_s.get(name, 0.0) + time.perf_counter() - start, 3
            )


def refresh(workspace: Workspace, options: Options, stages: "Stages | None" = None) -> RunReport:
    """Run every stage and return the report; the exit code is in it.

    Expected failures end in the report (blocked, nothing usable); the published file is then as it
    was. Only one run at a time works on the data folder; another waits for it. A crash or an
    interruption is noted in the run folder and raised. ``stages`` are the functions to call, for
    whoever wants to watch each of them; order, lock and outcome are the same for all.
    """
    stages = stages or Stages()
    report = workspace.report
    report.command = options.command
    try:
        with publish.only_one_run(workspace.settings, workspace.settings.lock_wait_s):
            workspace.state = load_state(workspace.settings.runs_dir)
            stages.adopt_seed(workspace)
            decisions = stages.plan(workspace, options)
            stages.fetch_all(workspace, [d for d in decisions if d.action == "fetch"])
            judge(workspace)
            build_and_publish(workspace, options, stages)
            stages.finish(workspace)
    except BtgError as error:
        report.outcome = "blocked"
        # a source error here is one of the snapshots in use: nothing usable, not a source away
        report.exit_code = 3 if isinstance(error, SourceError) else error.exit_code
        report.message = str(error)
        _save_report(workspace)
    except BaseException as error:
        report.exit_code = 1
        report.message = f"did not end: {type(error).__name__} {str(error)[:200]}".rstrip()
        _save_report(workspace)
        raise
    return report


def ending(report: RunReport) -> Ending:
    """Return in one word how a run ended, for whoever watches runs rather than exit codes."""
    match report.outcome, report.exit_code:
        case "published", code:
            return "published_with_warnings" if code else "published"
        case "nothing_new", code:
            return "nothing_new_with_warnings" if code else "nothing_new"
    return "blocked"


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
        accepted = _accepted_or_none(store, table)
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

    accepted = _accepted_or_none(workspace.store, table)
    changed = revisions.empty_revisions()
    if accepted is not None:
        with readable(table):
            changed = revisions.compare(table, accepted, snapshot, workspace.run_id)
    workspace.store.accept(table, snapshot, workspace.now(), reason, workspace.run_id, changed)
    return changed


def in_use(workspace: Workspace, as_of: datetime | None) -> list[build.TableInUse]:
    """Return the snapshot of every table that serves the build (as known on a date)."""
    result = []
    for table in workspace.catalogue.used_tables():
        if as_of is None:
            snapshot = workspace.store.accepted(table)
        else:
            known = workspace.store.accepted_at(table, as_of)
            if known is None:
                raise SnapshotError(
                    f"{table.source_id}/{table.id}: nothing was accepted yet on "
                    f"{as_of.date().isoformat()}"
                )
            snapshot = known
        result.append(build.TableInUse(table, snapshot))
    return result


def build_and_publish(
    workspace: Workspace, options: Options, stages: "Stages | None" = None
) -> None:
    """Build all relations, pass gate 2 on the candidate file, and put it in place.

    Nothing is built when the snapshots, the catalogue, the SQL and the state of the sources are
    those of the published file.
    """
    stages = stages or Stages()
    settings, report = workspace.settings, workspace.report
    publish.refuse_stale_wal(settings.database)
    tables = in_use(workspace, options.as_of)
    inputs_id, sources_id = fingerprint(workspace, tables), sources_fingerprint(workspace, tables)
    target = _target(settings, options)
    report.database = str(target)
    if options.as_of is None and _is_current(workspace, inputs_id):
        if workspace.state.published_sources == sources_id:
            report.outcome = "nothing_new"
            report.message = "nothing new: the published file is up to date"
            return
        _publish_source_state(workspace, tables)
        _note_published(workspace, inputs_id, sources_id)
        return
    threading.Thread(target=_import_quality_library, daemon=True).start()
    con = warehouse.open_build()
    try:
        stages.build_all(workspace, con, tables)
        candidate = stages.audited_candidate(workspace, con, options)
        stages.put_in_place(workspace, con, candidate, options)
        if options.as_of is None:
            _note_published(workspace, inputs_id, sources_id)
    finally:
        con.close()
    report.outcome = "published"
    report.message = f"published {target.name}"


def build_all(
    workspace: Workspace, con: warehouse.Connection, tables: Sequence[build.TableInUse]
) -> None:
    """Read the snapshots in use and materialise every relation from them."""
    with workspace.stage("inputs"):
        inputs = build.read_inputs(workspace.catalogue, tables)
    with workspace.stage("build"):
        build_relations(workspace, con, inputs, tables)


def put_in_place(
    workspace: Workspace, con: warehouse.Connection, candidate: Path, options: Options
) -> None:
    """Make the audited candidate the published file (or the file of a past date)."""
    settings = workspace.settings
    with workspace.stage("publish"):
        if options.as_of is None:
            publish.put_in_place(settings, candidate, workspace.run_id)
            publish.write_parquet(settings, con, workspace.catalogue)
        else:
            target = _target(settings, options)
            candidate.chmod(0o444)
            candidate.replace(target)
            durable.sync_folder(target.parent)


def _publish_source_state(workspace: Workspace, tables: Sequence[build.TableInUse]) -> None:
    """Publish the same figures with a new meta.source: only the state of a source changed."""
    with workspace.stage("publish"):
        candidate = publish.copy_published(workspace.settings, workspace.run_id)
        stamps = {
            "meta.source": stamped_source_states(workspace, tables),
            "meta.run": _run_row(workspace, workspace.catalogue),
        }
        publish.restamp(candidate, stamps)
        publish.put_in_place(workspace.settings, candidate, workspace.run_id)
    workspace.report.outcome = "published"
    workspace.report.message = "same figures, published with the new state of the sources"


def _note_published(workspace: Workspace, inputs_id: str, sources_id: str) -> None:
    workspace.state = replace(
        workspace.state,
        published_run_id=workspace.run_id,
        published_inputs=inputs_id,
        published_sources=sources_id,
        published_at=workspace.now(),
    )
    save_state(workspace.settings.runs_dir, workspace.state)


def build_relations(
    workspace: Workspace,
    con: warehouse.Connection,
    inputs: build.Inputs,
    tables: Sequence[build.TableInUse],
) -> None:
    """Materialise every relation of the dictionary in the build database."""
    catalogue = workspace.catalogue
    build.load_inputs(con, catalogue, inputs, baseline.read_baseline(catalogue))
    states = source_states(workspace, tables, newest_periods(inputs))
    warehouse.load(con, "raw.source_state", states)
    models = build.run_models(con, workspace.settings.sql_dir)
    warehouse.load(con, "meta.data_dictionary", publish.dictionary_frame(catalogue))
    warehouse.load(con, "meta.lineage", lineage.lineage_frame(con, catalogue, models))
    warehouse.load(con, "meta.revision", _revisions(workspace, tables))
    warehouse.load(con, "meta.check_result", pl.DataFrame(schema=FINDING_SCHEMA))
    warehouse.load(con, "meta.run", _run_row(workspace, catalogue))
    warehouse.allow_threads(con)


def audited_candidate(workspace: Workspace, con: warehouse.Connection, options: Options) -> Path:
    """Write the candidate, audit exactly that file, and return it; raises if a gate blocks.

    The findings are then written into it; its content is compared with what was audited.
    """
    catalogue, report = workspace.catalogue, workspace.report
    folder = workspace.settings.marts_dir / ".build"
    _clear(folder)
    with workspace.stage("write"):
        candidate = publish.write_candidate(
            con, catalogue, folder, workspace.run_id, sqlrun.load_macros(workspace.settings.sql_dir)
        )
    with workspace.stage("gates"):
        findings = audit(workspace, con, candidate)
    report.findings = findings
    durable.write_json(
        workspace.settings.runs_dir / f"checks_{workspace.run_id}.json",
        [asdict(f) for f in findings],
    )
    blocking = [f for f in findings if f.blocks]
    if blocking:
        candidate.unlink(missing_ok=True)
        raise GateBlockedError(
            f"{len(blocking)} checks block publication, first: {blocking[0].message} "
            f"({blocking[0].example}); the published file is unchanged"
        )
    with workspace.stage("write"):
        stamps = {
            "meta.check_result": to_frame(findings, workspace.run_id),
            "meta.run": _run_row(workspace, catalogue, options),
        }
        publish.restamp(candidate, stamps)
    return candidate


def audit(workspace: Workspace, con: warehouse.Connection, candidate: Path) -> list[Finding]:
    """Return the findings of both gates: rules on inputs and candidate, audits, reconciliation."""
    from btg.quality import audits, gx, reconcile, rules

    catalogue = workspace.catalogue
    figures = [t for t in catalogue.used_tables() if t.role == "figures"]
    findings = gx.validate(con, [rules.snapshot_subject(catalogue, t) for t in figures])
    findings += reconcile.reconcile(con)
    published = warehouse.open_published(candidate)
    try:
        subjects = [rules.mart_subject(catalogue, name) for name in catalogue.dictionary.tables]
        subjects.append(rules.file_subject())
        findings += gx.validate(published, subjects)
        findings += audits.run_audits(published, audits.load_audits(workspace.settings.sql_dir))
    finally:
        published.close()
    return findings


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


def finish(workspace: Workspace) -> None:
    """Save state and report of a run that came to its end."""
    save_state(workspace.settings.runs_dir, workspace.state)
    _save_report(workspace)


def table_state(workspace: Workspace, table: Table, now: datetime) -> tuple[str, str]:
    """Return state and message of a table: seed, current, quarantined or too_old."""
    state = workspace.state.of(table.id)
    if state.problem == "quarantined":
        return "quarantined", state.message
    snapshot = _accepted_or_none(workspace.store, table)
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


def fingerprint(workspace: Workspace, tables: Sequence[build.TableInUse]) -> str:
    """Return a hash of all that decides what the published file says about the region."""
    digest = hashlib.sha256(version("btg").encode())
    for item in tables:
        digest.update(item.snapshot.id.encode())
    for folder in (workspace.catalogue.directory, workspace.settings.sql_dir):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".yml", ".csv", ".sql"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def sources_fingerprint(workspace: Workspace, tables: Sequence[build.TableInUse]) -> str:
    """Return a hash of the state of the sources; a failed check alone does not change it."""
    states = ["|".join(table_state(workspace, t.table, workspace.clock())) for t in tables]
    return hashlib.sha256("\n".join(states).encode()).hexdigest()


def note_rollback(workspace: Workspace, name: str) -> None:
    """Log a rollback, and make the next refresh build anew."""
    workspace.state = replace(
        workspace.state, published_inputs=None, published_sources=None, published_at=workspace.now()
    )
    save_state(workspace.settings.runs_dir, workspace.state)
    report = workspace.report
    report.command, report.outcome, report.message = "rollback", "published", f"put back {name}"
    _save_report(workspace)


def _is_current(workspace: Workspace, inputs_id: str) -> bool:
    return workspace.settings.database.exists() and workspace.state.published_inputs == inputs_id


def _target(settings: Settings, options: Options) -> Path:
    if options.as_of is None:
        return settings.database
    return settings.marts_dir / f"btg_as_of_{options.as_of.date().isoformat()}.duckdb"


def _accepted_or_none(store: SnapshotStore, table: Table) -> Snapshot | None:
    return store.accepted(table) if store.has_accepted(table) else None


def _series_not_held(store: SnapshotStore, table: Table) -> list[str]:
    """Return the measures of the catalogue that the snapshot in use was not asked for."""
    accepted = _accepted_or_none(store, table)
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


def _revisions(workspace: Workspace, tables: Sequence[build.TableInUse]) -> pl.DataFrame:
    frames = [workspace.store.revisions(item.table, item.snapshot) for item in tables]
    return pl.concat([revisions.empty_revisions(), *(f for f in frames if f.height)])


def revised(workspace: Workspace) -> pl.DataFrame:
    """Return the cells that this run found changed at their source (columns of meta.revision)."""
    tables = [build.TableInUse(t, s) for t in workspace.catalogue.used_tables()
              if (s := _accepted_or_none(workspace.store, t)) is not None]  # fmt: skip
    return _revisions(workspace, tables).filter(pl.col("run_id") == workspace.run_id)


def report_path(workspace: Workspace) -> Path:
    """Return where the report of this run is kept."""
    return workspace.settings.runs_dir / f"run_{workspace.run_id}.json"


def _run_row(
    workspace: Workspace, catalogue: Catalogue, options: Options | None = None
) -> pl.DataFrame:
    report = workspace.report
    as_of = options.as_of.date().isoformat() if options is not None and options.as_of else None
    row = {
        "run_id": report.run_id,
        "started_at": datetime.fromisoformat(report.started_at).replace(tzinfo=None),
        "finished_at": workspace.clock().replace(tzinfo=None),
        "command": report.command,
        "outcome": "published",
        "exit_code": report.exit_code,
        "message": report.message,
        "btg_version": version("btg"),
        "method_version": catalogue.method.method_version,
        "as_of_date": as_of,
    }
    return pl.DataFrame([row], schema_overrides={"as_of_date": pl.String})


def _clear(folder: Path) -> None:
    """Remove what a killed run left in the build folder."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)


def _save_report(workspace: Workspace) -> None:
    durable.write_json(report_path(workspace), workspace.report.as_json())


def _import_quality_library() -> None:
    """Load the slow library while the build is busy; a run with nothing new never needs it."""
    from btg.quality import gx

    gx.import_library()


@dataclass(frozen=True)
class Stages:
    """The functions of a refresh, in the order of ``refresh`` and ``build_and_publish``.

    A flow puts the same functions in place as tasks; each keeps arguments, result and errors.
    """

    adopt_seed: Callable[[Workspace], None] = adopt_seed
    plan: Callable[[Workspace, Options], list[Decision]] = plan
    fetch_all: Callable[[Workspace, Sequence[Decision]], None] = fetch_all
    build_all: Callable[[Workspace, warehouse.Connection, Sequence[build.TableInUse]], None] = (
        build_all
    )
    audited_candidate: Callable[[Workspace, warehouse.Connection, Options], Path] = (
        audited_candidate
    )
    put_in_place: Callable[[Workspace, warehouse.Connection, Path, Options], None] = put_in_place
    finish: Callable[[Workspace], None] = finish


__all__ = ["Options", "RunReport", "SourceUnreachableError", "Workspace", "plan", "refresh"]
