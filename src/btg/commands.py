"""What each command does: calls the stages, prints the result, returns the exit code."""

import json
import sys
from argparse import Namespace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from btg import terminal
from btg.catalogue.loader import Catalogue, load_catalogue
from btg.catalogue.schema import Table
from btg.errors import UsageError
from btg.settings import load_settings
from btg.state import save_state
from btg.workspace import Options, RunReport, Workspace


def refresh(arguments: Namespace) -> int:
    """Run all stages; print a readable summary of the published index."""
    from btg import pipeline
    from btg.answers import summary
    from btg.operations import notify

    settings = load_settings()
    options = Options(
        offline=arguments.offline,
        full=arguments.full,
        only=arguments.only,
        as_of=_date(arguments.as_of),
    )
    with terminal.progress(quiet=arguments.json) as tell, notify.on_crash(settings):
        catalogue = load_catalogue()
        workspace = Workspace(settings, catalogue, progress=tell)
        report = pipeline.refresh(workspace, options)
    notify.after(settings, report)
    if arguments.json:
        _print_json(report.as_json())
        return report.exit_code
    if report.outcome != "blocked" and report.database:
        summary.show(Path(report.database), catalogue)
    _say(report)
    return report.exit_code


def plan(arguments: Namespace) -> int:
    """Print the decision and its reason per table; writes nothing."""
    from btg import intake

    workspace = Workspace(load_settings(), load_catalogue())
    options = Options(offline=arguments.offline, full=arguments.full, only=arguments.only)
    decisions = intake.plan(workspace, options)
    failed = [d for d in decisions if d.action == "failed"]
    if arguments.json:
        _print_json([d.__dict__ for d in decisions])
    else:
        terminal.table(
            ["source", "table", "decision", "reason"],
            [[d.source_id, d.table_id, d.action, d.reason] for d in decisions],
        )
        n = sum(d.action == "fetch" for d in decisions)
        print(f"plan: {n} to fetch, {len(failed)} not reachable, {len(decisions)} tables")
    return 4 if failed else 0


def status(arguments: Namespace) -> int:
    """Print state and freshness of every table, and of the published file."""
    from btg.answers import freshness

    rows, published = freshness.status(load_settings(), load_catalogue(), datetime.now(UTC))
    bad = [r for r in rows if r["state"] in ("quarantined", "too_old", "broken")]
    if arguments.json:
        _print_json({"tables": rows, "published": published})
        return 4 if bad else 0
    terminal.table(
        ["source", "table", "state", "checked", "changed", "at source", "last period", "max age"],
        [
            [r["source_id"], r["table_id"], r["state"], _day(r["checked_at"]),
             _day(r["changed_at"]), _day(r["source_modified"]), r["period_max"] or "",
             f"{r['max_age_days']} d"]
            for r in rows
        ],
        colour_column=2,
    )  # fmt: skip
    for row in bad:
        print(f"  {row['source_id']}/{row['table_id']}: {row['message']}")
    file = published["database"] if published["exists"] else "nothing published yet"
    print(
        f"status: {len(rows)} tables, {len(bad)} need attention; {file}"
        + (f", run {published['run_id']}" if published["run_id"] else "")
    )
    return 4 if bad else 0


def check(arguments: Namespace) -> int:
    """Check catalogue, SQL, a build from the seed, both gates, golden figures and docs."""
    from btg.quality import check as quality_check

    with terminal.progress(quiet=arguments.json) as tell:
        result = quality_check.run(load_settings(), tell, update_golden=arguments.update_golden)
    if arguments.json:
        _print_json(result.as_json())
    elif arguments.format == "github":
        for line in result.as_github():
            print(line)
    else:
        for line in result.as_text():
            print(line)
    return result.exit_code


def explain(arguments: Namespace) -> int:
    """Print the chain from an index row to the raw cell."""
    from btg.answers import explanation

    settings = load_settings()
    if arguments.variant is not None:
        if arguments.item not in (None, "index"):
            raise UsageError("--variant recomputes the index: leave out the item")
        chain = explanation.explain_variant(
            settings, arguments.region, arguments.year, arguments.variant
        )
    else:
        chain = explanation.explain(
            settings, load_catalogue(), arguments.region, arguments.year, arguments.item
        )
    if arguments.json:
        _print_json(chain)
    else:
        for line in explanation.as_text(chain):
            print(line)
    return 0


def index(arguments: Namespace) -> int:
    """Print the index of Twente under other weights beside the published one; publishes nothing."""
    import polars as pl

    from btg.answers import reweighting

    weights = reweighting.read_weights(Path(arguments.weights))
    frame = reweighting.reweighted(load_settings(), weights)
    year = int(frame["year"].max()) if arguments.year is None else arguments.year  # type: ignore[arg-type]
    if year not in frame["year"]:
        known = ", ".join(str(y) for y in frame["year"].unique().sort())
        raise UsageError(f"{year} is no index year: {known} are")
    chosen = frame.filter(pl.col("year") == year)
    if arguments.json:
        _print_json(chosen.to_dicts())
        return 0
    shown = chosen.filter(pl.col("is_twente") | (pl.col("region_level") == "land"))
    terminal.table(
        ["region", "score", "published", "rank", "published rank"],
        [[r["region_name"], _number(r["score"]), _number(r["default_score"]),
          str(r["rank"] or ""), str(r["default_rank"] or "")]
         for r in shown.sort("score", descending=True, nulls_last=True).to_dicts()],
    )  # fmt: skip
    print(f"index: {year}, weights of {len(weights)} items from {arguments.weights}; not published")
    return 0


def import_file(arguments: Namespace) -> int:
    """Take in an edition file: read under its contract, keep, pass gate 1, put in use."""
    from btg import intake
    from btg.sources.files import EditionFileSource

    catalogue = load_catalogue()
    table = _edition_table(catalogue, arguments.source, arguments.table)
    path = Path(arguments.file)
    if not path.is_file():
        raise UsageError(f"there is no file {arguments.file}")
    workspace = Workspace(load_settings(), catalogue)
    with workspace.alone():
        intake.adopt_seed(workspace)
        delivery = EditionFileSource(path).fetch(table)
        snapshot = workspace.store.store(
            table,
            catalogue.source(table.source_id),
            delivery,
            retrieved_at=workspace.now(),
            origin="imported",
            origin_note=f"imported from {path.name}",
        )
        result = intake.accept(workspace, table, snapshot, delivery.modified)
    code = 3 if result.result == "quarantined" else 0
    if arguments.json:
        _print_json(result.__dict__ | {"exit_code": code})
    else:
        print(f"import {table.source_id}/{table.id}: {result.result}: {result.message}")
        if result.result == "accepted":
            print("next: btg refresh --offline publishes it")
    return code


def raw(arguments: Namespace) -> int:
    """List, verify or accept raw snapshots."""
    from btg import intake

    catalogue = load_catalogue()
    workspace = Workspace(load_settings(), catalogue)
    store, tables = workspace.store, catalogue.used_tables()
    if arguments.action == "list":
        rows = [
            [t.source_id, t.id, s.id, s.manifest["origin"], str(s.manifest["retrieved_at"])[:16],
             "in use" if store.has_accepted(t) and store.accepted(t).id == s.id else ""]
            for t in tables
            for s in store.all(t)
        ]  # fmt: skip
        if arguments.json:
            _print_json([dict(zip(["source_id", "table_id", "snapshot_id", "origin", "retrieved_at",
                                   "use"], r, strict=True)) for r in rows])  # fmt: skip
        else:
            terminal.table(["source", "table", "snapshot", "origin", "received", ""], rows)
            print(f"raw: {len(rows)} snapshots of {len(tables)} tables")
        return 0
    if arguments.action == "verify":
        faults = [fault for t in tables for fault in store.verify(t)]
        if arguments.json:
            _print_json({"faults": faults})
        else:
            for fault in faults:
                print(fault)
            print(f"raw: {len(faults)} faults")
        return 3 if faults else 0
    if not arguments.snapshot or not arguments.reason:
        raise UsageError("raw accept needs a snapshot id and --reason: it is recorded")
    table = _table_of_snapshot(catalogue, arguments.snapshot)
    with workspace.alone():
        snapshot = store.get(table, arguments.snapshot)
        changed = intake.put_in_use(workspace, table, snapshot, f"by hand: {arguments.reason}")
        workspace.state = workspace.state.with_table(
            table.id, problem=None, message="", checked_at=workspace.now()
        )
        save_state(workspace.settings.runs_dir, workspace.state)
    if arguments.json:
        _print_json({"accepted": snapshot.id, "n_revised": changed})
    else:
        print(
            f"raw: accepted {snapshot.id} ({changed} cells differ); btg refresh --offline publishes"
        )
    return 0


def diff(arguments: Namespace) -> int:
    """Print what publishing now would change, flipped directions of change first."""
    from btg.answers import difference

    result = difference.against_published(load_settings(), load_catalogue())
    if arguments.json:
        _print_json(result.as_json())
    else:
        for line in result.as_text():
            print(line)
    return 0


def rollback(arguments: Namespace) -> int:
    """Put a file of the history back, and log it."""
    from btg import pipeline, publish

    workspace = Workspace(load_settings(), load_catalogue())
    with workspace.alone():
        chosen = publish.rollback(workspace.settings, arguments.run)
        pipeline.note_rollback(workspace, chosen.name)
    if arguments.json:
        _print_json({"restored": chosen.name})
    else:
        print(f"rollback: {chosen.name} is the published file again; the next refresh builds anew")
    return 0


def rebase(arguments: Namespace) -> int:
    """Compute the ruler of the catalogue's method version and freeze it."""
    from btg import baseline, build, intake, pipeline, warehouse
    from btg import rebase as ruler
    from btg.answers import version_report

    catalogue = load_catalogue()
    workspace = Workspace(load_settings(), catalogue)
    with workspace.alone():
        intake.adopt_seed(workspace)
    inputs = build.read_inputs(catalogue, pipeline.in_use(workspace, None))
    con = warehouse.open_build()
    build.load_inputs(con, catalogue, inputs, baseline.empty_baseline())
    build.run_models(con, workspace.settings.sql_dir, ["intermediate.indicator_value"])
    frame = ruler.compute_baseline(con, catalogue)
    con.close()
    if not arguments.dry_run:
        baseline.write_baseline(catalogue, frame, arguments.reason, workspace.now())
    if arguments.json:
        _print_json(frame.to_dicts())
    else:
        terminal.table(
            ["indicator", "transform", "m", "s", "municipalities", "base years"],
            [[r["indicator_id"], r["transform"], f"{r['m']:.4f}", f"{r['s']:.4f}",
              str(r["n_units"]), r["base_years"]] for r in frame.to_dicts()],
        )  # fmt: skip
        found = version_report.moved(workspace.settings, catalogue, inputs, frame)
        for line in version_report.as_text(found, catalogue.method.method_version):
            print(line)
        done = "not written (dry run)" if arguments.dry_run else "frozen"
        print(f"rebase: ruler {catalogue.method.method_version}, {frame.height} indicators, {done}")
    return 0


def doctor(arguments: Namespace) -> int:
    """Look at versions, disk, permissions, clock, lock, last run, server, worker and schedule."""
    from btg.operations import doctor as examination

    settings = load_settings()
    checks = examination.examine(settings, datetime.now(UTC))
    code = examination.exit_code(checks)
    if arguments.notify:
        examination.tell(settings, checks)
    if arguments.json:
        _print_json({"checks": [c.__dict__ for c in checks], "exit_code": code})
        return code
    terminal.table(
        ["check", "state", "found", "next step"],
        [
            [c.name, c.state, c.found, c.next_step if c.state in ("warn", "fail") else ""]
            for c in checks
        ],
    )
    bad = sum(c.state in ("warn", "fail") for c in checks)
    print(f"doctor: {len(checks)} checks, {bad} need attention")
    return code


def bench(arguments: Namespace) -> int:
    """Measure the stages of an offline refresh, the commands, and the flow around them."""
    from btg.operations import bench as measure

    result = measure.run(load_settings(), arguments.rounds, with_flow=not arguments.no_flow)
    if arguments.json:
        _print_json(result)
    else:
        terminal.table(
            ["what", "seconds (median)", "minimum", "maximum"],
            [[r["what"], f"{r['median']:.2f}", f"{r['minimum']:.2f}", f"{r['maximum']:.2f}"]
             for r in result["timings"]],
        )  # fmt: skip
        print(f"bench: {arguments.rounds} rounds, peak memory {result['peak_mb']:.0f} MB")
    return 0


def sources(arguments: Namespace) -> int:
    """Probe every declared id and key at the source."""
    from btg.sources import verification

    rows = verification.verify(load_settings(), load_catalogue(), arguments.only)
    bad = [r for r in rows if r["result"] != "ok"]
    if arguments.json:
        _print_json(rows)
    else:
        terminal.table(
            ["source", "table", "declared", "result", "what would be taken, or why not"],
            [[r["source_id"], r["table_id"], r["status"], r["result"], r["message"]] for r in rows],
        )
        print(f"sources: {len(rows) - len(bad)} of {len(rows)} tables can be taken")
    return 4 if bad else 0


def _edition_table(catalogue: Catalogue, source: str, table_id: str | None) -> Table:
    tables = [
        t for t in catalogue.used_tables() if t.source_id == source and t.kind == "edition_file"
    ]
    if table_id is not None:
        tables = [t for t in tables if t.id == table_id]
    if len(tables) != 1:
        known = sorted({t.source_id for t in catalogue.used_tables() if t.kind == "edition_file"})
        raise UsageError(
            f"{source!r} is not one source of edition files; known: {', '.join(known)}"
        )
    return tables[0]


def _table_of_snapshot(catalogue: Catalogue, snapshot_id: str) -> Table:
    for table in catalogue.used_tables():
        if snapshot_id.startswith(f"{table.id}_"):
            return table
    raise UsageError(f"{snapshot_id!r} names no table of the catalogue; see btg raw list")


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError(f"--as-of {text!r} is not a date: use YYYY-MM-DD") from None
    return datetime.combine(day, time(23, 59, 59), UTC)


def _day(moment: Any) -> str:
    return str(moment)[:10] if moment else "never"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _say(report: RunReport) -> None:
    for warning in report.warnings:
        print(f"warning: {warning}")
    failed = [f for f in report.findings if not f.is_passed]
    for finding in failed[:10]:
        print(f"{finding.severity}: {finding.message} [{finding.example}]")
    seconds = sum(report.stages_s.values())
    stream = sys.stderr if report.outcome == "blocked" else sys.stdout
    checks = f", {len(report.findings)} checks" if report.findings else ""
    print(f"refresh: {report.message}{checks}, {seconds:.1f} s", file=stream)


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=1, default=str))
