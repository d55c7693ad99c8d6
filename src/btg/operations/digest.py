"""A run in words and tables, for those who watch runs rather than files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from btg import pipeline
from btg.workspace import Ending, RunReport, Workspace, ending
from btg.workspace import report_path as run_report_path

MAX_ROWS = 200
"""Rows of a table that a screen shows; the run folder and the database hold all."""
SEVERITIES = ("critical", "warning", "info")

TITLES: Mapping[Ending, str] = {
    "published": "Published",
    "published_with_warnings": "Published, with warnings",
    "nothing_new": "Nothing new",
    "nothing_new_with_warnings": "Nothing new, with warnings",
    "blocked": "Blocked: the published file is unchanged",
}


def summary(report: RunReport) -> str:
    """Return the outcome in one line: what happened, what the checks found, and the exit code."""
    parts = [report.message]
    if report.findings:
        n_blocking = sum(f.blocks for f in report.findings)
        n_others = sum(not f.is_passed for f in report.findings) - n_blocking
        parts.append(f"{len(report.findings)} checks, {n_blocking} block, {n_others} warn")
    if report.warnings:
        n = len(report.warnings)
        parts.append(f"{n} warning{'s' if n > 1 else ''} on the sources")
    return f"{'; '.join(parts)} (exit code {report.exit_code})"


def markdown(report: RunReport) -> str:
    """Return the run report as markdown: outcome, warnings, tables of the run, and times."""
    lines = [
        f"# {TITLES[ending(report)]}",
        "",
        f"{_plain(summary(report))}",
        "",
        f"Run `{report.run_id}`, started {report.started_at}, command `{report.command}`.",
        "",
    ]
    if report.warnings:
        lines += ["## Warnings", "", *(f"- {_plain(w)}" for w in report.warnings), ""]
    fetched = {f.table_id: f for f in report.fetched}
    rows = [
        [d.source_id, d.table_id, d.action, fetched[d.table_id].result, fetched[d.table_id].message]
        if d.table_id in fetched
        else [d.source_id, d.table_id, d.action, "", d.reason]
        for d in report.decisions
    ]
    states = [[*row[:2], report.table_states.get(row[1], ""), *row[2:]] for row in rows]
    header = ["source", "table", "state", "decision", "result", "why"]
    lines += ["## Tables", "", *_grid(header, states), ""]
    times = [[name, f"{seconds:.1f}"] for name, seconds in report.stages_s.items()]
    lines += ["## Time", "", *_grid(["stage", "seconds"], times)]
    return "\n".join(lines)


def findings(report: RunReport) -> list[dict[str, Any]]:
    """Return what is wrong, one row each: sources that gave nothing usable, then failed checks."""
    rows = [
        _row("warning", "source", d.table_id, d.reason)
        for d in report.decisions
        if d.action == "failed"
    ]
    rows += [
        _row("warning", "gate1", f.table_id, f.message)
        for f in report.fetched
        if f.result in ("failed", "quarantined")
    ]
    failed = (f for f in report.findings if not f.is_passed)
    rows += [
        _row(f.severity, f.gate, f.table_name, f.message, f.check_id, f.n_failed, f.example)
        for f in sorted(failed, key=lambda f: SEVERITIES.index(f.severity))
    ]
    return rows[:MAX_ROWS]


def revisions(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the figures that this run found changed at their source, the first of them."""
    return pipeline.revised(workspace).head(MAX_ROWS).to_dicts()


def report_path(workspace: Workspace) -> Path:
    """Return the page to read on: the report if there is one, else what the run left behind."""
    page = workspace.settings.marts_dir / "report" / "index.html"
    return page if page.exists() else run_report_path(workspace)


def _row(
    severity: str,
    gate: str,
    table: str,
    message: str,
    check: str = "",
    failed: int = 1,
    example: str = "",
) -> dict[str, Any]:
    """Return one finding, the long texts last: a screen shows the first columns."""
    return {
        "severity": severity,
        "gate": gate,
        "table": table,
        "check": check,
        "failed": failed,
        "message": message,
        "example": example,
    }


def _grid(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines]


def _plain(text: str) -> str:
    """Return text of a source as it is, never as markup."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    for mark in "\\`*_[]<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
