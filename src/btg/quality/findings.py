"""What a check found: one form for both gates, the database and the run report."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

Severity = Literal["critical", "warning", "info"]
Gate = Literal["gate1", "gate2"]

FINDING_SCHEMA: dict[str, type[pl.DataType]] = {
    "run_id": pl.String,
    "gate": pl.String,
    "check_id": pl.String,
    "severity": pl.String,
    "is_passed": pl.Boolean,
    "table_name": pl.String,
    "n_failed": pl.Int64,
    "example": pl.String,
    "message": pl.String,
}


@dataclass(frozen=True)
class Finding:
    """The result of one check on one table."""

    gate: Gate
    check_id: str
    severity: Severity
    is_passed: bool
    table_name: str
    n_failed: int
    example: str
    message: str

    @property
    def blocks(self) -> bool:
        """True if it keeps the build from being published."""
        return not self.is_passed and self.severity == "critical"

    def as_row(self, run_id: str) -> dict[str, Any]:
        """Return the finding as a row of meta.check_result."""
        return {"run_id": run_id, **asdict(self)}


def to_frame(findings: Iterable[Finding], run_id: str) -> pl.DataFrame:
    """Return findings as rows of meta.check_result, failed ones first."""
    rows = [f.as_row(run_id) for f in findings]
    frame = pl.DataFrame(rows, schema=FINDING_SCHEMA)
    return frame.sort("is_passed", "gate", "table_name", "check_id")
