"""SQL audits: every file in sql/90_audits returns the rows that are wrong.

The first comment lines are read: ``-- severity:``, ``-- table:``, ``-- why:`` (the rule) and
``-- reason:`` (the incident or the thought behind it). An audit that returns no row has passed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from btg import warehouse
from btg.errors import CatalogueError
from btg.quality.findings import Finding, Severity

HEADER = re.compile(r"^--\s*(severity|table|why|reason):\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Audit:
    """One audit file."""

    check_id: str
    severity: Severity
    table_name: str
    why: str
    reason: str
    sql: str


def load_audits(sql_dir: Path) -> list[Audit]:
    """Return the audits of a folder; raises ``CatalogueError`` on a header that is incomplete."""
    audits = []
    for path in sorted((sql_dir / "90_audits").glob("*.sql")):
        sql = path.read_text(encoding="utf-8").strip().rstrip(";")
        header = dict(HEADER.findall(sql))
        severity = header.get("severity")
        if (
            severity not in ("critical", "warning", "info")
            or not {"table", "why", "reason"} <= header.keys()
        ):
            raise CatalogueError(
                f"90_audits/{path.name}: the header needs severity (critical, warning, info), "
                "table, why and reason"
            )
        audits.append(
            Audit(
                f"audit.{path.stem}",
                severity,
                header["table"],
                header["why"],
                header["reason"],
                sql,
            )
        )
    return audits


def run_audits(con: warehouse.Connection, audits: list[Audit]) -> list[Finding]:
    """Return a finding per audit."""
    return [_run(con, audit) for audit in audits]


def _run(con: warehouse.Connection, audit: Audit) -> Finding:
    try:
        cursor = con.execute(audit.sql)
        names = [d[0] for d in cursor.description or []]
        wrong = cursor.fetchall()
    except duckdb.Error as error:
        raise CatalogueError(f"90_audits/{audit.check_id}: {error}") from error
    example = ", ".join(f"{n}={v}" for n, v in zip(names, wrong[0], strict=True)) if wrong else ""
    return Finding(
        gate="gate2",
        check_id=audit.check_id,
        severity=audit.severity,
        is_passed=not wrong,
        table_name=audit.table_name,
        n_failed=len(wrong),
        example=example[:300],
        message=audit.why if not wrong else f"{audit.why} ({len(wrong)} rows)",
    )
