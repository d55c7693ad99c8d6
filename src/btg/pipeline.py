"""The stages of a refresh as plain functions: plan, fetch, accept, build, audit, diff, publish.

The command line, cron and the Prefect flow call the same functions in the same order.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import polars as pl

from btg import baseline, build, durable, lineage, publish, revisions, sqlrun, warehouse
from btg.errors import BtgError, GateBlockedError, SnapshotError, SourceError
from btg.intake import adopt_seed, download, fetch, fetch_all, plan
from btg.quality.findings import FINDING_SCHEMA, Finding, to_frame
from btg.settings import Settings
from btg.source_state import (
    judge,
    newest_periods,
    source_states,
    sources_fingerprint,
    stamped_source_states,
)
from btg.state import save_state
from btg.workspace import (
    Decision,
    Options,
    RunReport,
    Workspace,
    prune_reports,
    save_report,
)

__all__ = [
    "Decision",
    "Options",
    "RunReport",
    "Stages",
    "Workspace",
    "adopt_seed",
    "download",
    "fetch",
    "fetch_all",
    "plan",
    "refresh",
]


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
    report.as_of = options.as_of.date().isoformat() if options.as_of else None
    try:
        with workspace.alone():
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
        save_report(workspace)
    except BaseException as error:
        report.exit_code = 1
        report.message = f"did not end: {type(error).__name__} {str(error)[:200]}".rstrip()
        save_report(workspace)
        raise
    finally:
        workspace.close()
    return report


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
    """Read the snapshots in use and materialise every relation from them.

    The rules of gate 1 are checked meanwhile; ``audit`` asks what was found.
    """
    workspace.validator.start()
    with workspace.stage("inputs"):
        inputs = build.read_inputs(workspace.catalogue, tables)
        load_inputs(workspace, con, inputs, tables)
        _check_figures(workspace, con)
    with workspace.stage("build"):
        make_relations(workspace, con, tables)


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
            "meta.run": _run_row(workspace),
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
    """Load the inputs and materialise every relation of the dictionary in the build database."""
    load_inputs(workspace, con, inputs, tables)
    make_relations(workspace, con, tables)


def load_inputs(
    workspace: Workspace,
    con: warehouse.Connection,
    inputs: build.Inputs,
    tables: Sequence[build.TableInUse],
) -> None:
    """Load what the SQL models read, the state of the sources included."""
    catalogue = workspace.catalogue
    build.load_inputs(con, catalogue, inputs, baseline.read_baseline(catalogue))
    states = source_states(workspace, tables, newest_periods(inputs))
    warehouse.load(con, "raw.source_state", states)


def make_relations(
    workspace: Workspace, con: warehouse.Connection, tables: Sequence[build.TableInUse]
) -> None:
    """Materialise every relation from the loaded inputs."""
    catalogue = workspace.catalogue
    models = build.run_models(con, workspace.settings.sql_dir)
    warehouse.load(con, "meta.data_dictionary", publish.dictionary_frame(catalogue))
    warehouse.load(con, "meta.lineage", lineage.lineage_frame(con, catalogue, models))
    warehouse.load(con, "meta.revision", _revisions(workspace, tables))
    warehouse.load(con, "meta.check_result", pl.DataFrame(schema=FINDING_SCHEMA))
    warehouse.load(con, "meta.run", _run_row(workspace))
    warehouse.allow_threads(con)


def audited_candidate(workspace: Workspace, con: warehouse.Connection, options: Options) -> Path:
    """Write the candidate, audit exactly that file, and return it; raises if a gate blocks.

    The findings are then written into it; its content is compared with what was audited.
    """
    catalogue, report = workspace.catalogue, workspace.report
    settings = workspace.settings
    with workspace.stage("write"):
        macros = sqlrun.load_macros(settings.sql_dir)
        candidate = publish.write_candidate(
            con, catalogue, settings.build_dir, workspace.run_id, macros
        )
    with workspace.stage("gates"):
        findings = audit(workspace, con, candidate)
    report.findings = findings
    durable.write_json(
        settings.runs_dir / f"checks_{workspace.run_id}.json",
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
            "meta.run": _run_row(workspace, options),
        }
        publish.restamp(candidate, stamps)
    return candidate


def audit(workspace: Workspace, con: warehouse.Connection, candidate: Path) -> list[Finding]:
    """Return the findings of both gates: rules on inputs and candidate, reconciliation, audits."""
    from btg.quality import audits, reconcile, rules

    catalogue = workspace.catalogue
    if not workspace.validator.is_asked:
        _check_figures(workspace, con)
    subjects = [rules.mart_subject(catalogue, name) for name in catalogue.dictionary.tables]
    workspace.validator.check_tables(candidate, [*subjects, rules.file_subject()])
    findings = reconcile.reconcile(con)
    published = warehouse.open_published(candidate)
    try:
        findings += audits.run_audits(published, audits.load_audits(workspace.settings.sql_dir))
    finally:
        published.close()
    return workspace.validator.findings() + findings


def _check_figures(workspace: Workspace, con: warehouse.Connection) -> None:
    """Start checking the figures of every source as they are loaded."""
    from btg.quality import rules

    catalogue = workspace.catalogue
    figures = [table for table in catalogue.used_tables() if table.role == "figures"]
    subjects = [rules.snapshot_subject(catalogue, table) for table in figures]
    workspace.validator.check_frames(con, subjects, workspace.settings.build_dir)


def finish(workspace: Workspace) -> None:
    """Save state and report of a run that came to its end, and let old reports go."""
    save_state(workspace.settings.runs_dir, workspace.state)
    save_report(workspace)
    prune_reports(workspace)


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


def note_rollback(workspace: Workspace, name: str) -> None:
    """Log a rollback, and make the next refresh build anew."""
    workspace.state = replace(
        workspace.state, published_inputs=None, published_sources=None, published_at=workspace.now()
    )
    save_state(workspace.settings.runs_dir, workspace.state)
    report = workspace.report
    report.command, report.outcome, report.message = "rollback", "published", f"put back {name}"
    save_report(workspace)


def _is_current(workspace: Workspace, inputs_id: str) -> bool:
    return workspace.settings.database.exists() and workspace.state.published_inputs == inputs_id


def _target(settings: Settings, options: Options) -> Path:
    if options.as_of is None:
        return settings.database
    return settings.marts_dir / f"btg_as_of_{options.as_of.date().isoformat()}.duckdb"


def _revisions(workspace: Workspace, tables: Sequence[build.TableInUse]) -> pl.DataFrame:
    frames = [workspace.store.revisions(item.table, item.snapshot) for item in tables]
    return pl.concat([revisions.empty_revisions(), *(f for f in frames if f.height)])


def revised(workspace: Workspace) -> pl.DataFrame:
    """Return the cells that this run found changed at their source (columns of meta.revision)."""
    fetched = {f.table_id for f in workspace.report.fetched if f.n_revised}
    tables = [
        build.TableInUse(table, workspace.store.accepted(table))
        for table in workspace.catalogue.used_tables()
        if table.id in fetched
    ]
    return _revisions(workspace, tables).filter(pl.col("run_id") == workspace.run_id)


def _run_row(workspace: Workspace, options: Options | None = None) -> pl.DataFrame:
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
        "method_version": workspace.catalogue.method.method_version,
        "as_of_date": as_of,
    }
    return pl.DataFrame([row], schema_overrides={"as_of_date": pl.String})


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
