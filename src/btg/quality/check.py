"""``btg check``: everything that can be judged without a network, for CI and before a commit."""

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from btg import docs, sqlrun, warehouse
from btg.catalogue.loader import load_catalogue
from btg.errors import BtgError
from btg.pipeline import Options, RunReport, Workspace, refresh
from btg.quality import audits, golden, rules
from btg.quality.findings import Finding
from btg.settings import Settings


@dataclass
class CheckResult:
    """What was checked, and what was found; exit code 0, 2 (catalogue) or 3 (a gate)."""

    passed: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    n_rules: int = 0
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "passed": self.passed,
            "faults": [{"check": c, "message": m} for c, m in self.faults],
            "warnings": [dataclasses.asdict(w) for w in self.warnings],
            "n_rules": self.n_rules,
            "exit_code": self.exit_code,
        }

    def as_text(self) -> list[str]:
        """Return lines for a terminal."""
        lines = [f"ok     {name}" for name in self.passed]
        lines += [
            f"warn   {w.check_id} {w.table_name}: {w.message} [{w.example}]" for w in self.warnings
        ]
        lines += [f"FAULT  {check}: {message}" for check, message in self.faults]
        verdict = "all well" if not self.faults else f"{len(self.faults)} faults"
        return [*lines, f"check: {verdict}, {self.n_rules} rules, {len(self.warnings)} warnings"]

    def as_github(self) -> list[str]:
        """Return GitHub workflow annotations and a last line in plain text."""
        lines = [f"::error title={_escape(c)}::{_escape(m)}" for c, m in self.faults]
        lines += [
            f"::warning title={_escape(w.check_id)}::{_escape(w.message)} [{_escape(w.example)}]"
            for w in self.warnings
        ]
        return [*lines, self.as_text()[-1]]


def run(
    settings: Settings, tell: Callable[[str], None], *, update_golden: bool = False
) -> CheckResult:
    """Check the catalogue, the SQL, a build from the seed with both gates, golden figures, docs.

    Works in a temporary folder; the published file is not touched. With ``update_golden`` the
    golden figures and the generated documents are written anew.
    """
    result = CheckResult()
    try:
        catalogue = load_catalogue()
        result.passed.append(
            f"catalogue: {len(catalogue.indicators)} indicators, {len(catalogue.tables)} tables"
        )
        con = warehouse.open_build()
        models = sqlrun.in_order(sqlrun.load_models(con, settings.sql_dir))
        con.close()
        n_audits = len(audits.load_audits(settings.sql_dir))
        result.passed.append(f"sql: {len(models)} models in order, {n_audits} audits")
    except BtgError as error:
        result.faults.append(("catalogue", str(error)))
        result.exit_code = error.exit_code
        return result
    with tempfile.TemporaryDirectory(prefix="btg_check_") as folder:
        inside = dataclasses.replace(settings, home=Path(folder))
        report = refresh(
            Workspace(inside, catalogue, progress=tell), Options(offline=True, command="check")
        )
        _judge_build(result, report)
        if report.outcome == "published":
            _judge_columns(result, inside)
            _judge_golden(result, inside, update_golden)
    if update_golden:
        docs.write(catalogue, settings.repository)
    stale = docs.drift(catalogue, settings.repository)
    for name in stale:
        result.faults.append(
            (f"docs/{name}", "differs from the catalogue: btg check --update-golden")
        )
    if not stale:
        result.passed.append(f"docs: {', '.join(docs.GENERATED)} are what the catalogue says")
    if result.faults and result.exit_code == 0:
        result.exit_code = 3
    return result


def _judge_build(result: CheckResult, report: RunReport) -> None:
    result.n_rules = len(report.findings)
    result.warnings = [f for f in report.findings if not f.is_passed and not f.blocks]
    if report.outcome == "published":
        result.passed.append("build: from the seed, through both gates")
        return
    blocking = [f for f in report.findings if f.blocks]
    for finding in blocking:
        result.faults.append((finding.check_id, f"{finding.message} [{finding.example}]"))
    if not blocking:
        result.faults.append(("build", report.message))
    result.exit_code = report.exit_code


def _judge_columns(result: CheckResult, settings: Settings) -> None:
    """Compare the columns of the file with those that the dictionary promises."""
    subject = rules.file_subject()
    con = warehouse.open_published(settings.database)
    try:
        found = warehouse.frame(con, subject.query)
    finally:
        con.close()
    wrong = found.filter(~pl.col("is_as_promised") | ~pl.col("has_comment"))
    for name in wrong.get_column("column_id").to_list():
        result.faults.append(("columns", f"{name} is not what the dictionary promises"))
    if wrong.is_empty():
        result.passed.append(f"columns: {found.height} published as promised, each with a comment")


def _judge_golden(result: CheckResult, settings: Settings, update: bool) -> None:
    found = golden.figures(settings.database)
    changed = golden.differences(found, settings.repository)
    if update:
        golden.write(found, settings.repository)
        result.passed.append(f"golden: written anew, {len(changed)} figures changed")
        result.passed += [f"golden: {line}" for line in changed[:50]]
    elif changed:
        first = "; ".join(changed[:3])
        result.faults.append(("golden", f"{len(changed)} figures differ: {first}"))
    else:
        result.passed.append(f"golden: {found.height} figures within {golden.TOLERANCE:g}")


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("::", ": :")
