"""The run state: when each table was last checked, and what came of it.

Lives in ``data/marts/runs/state.json``; it is what ``btg status`` reads. Losing it loses no
figures: the next run checks everything again.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from btg import durable


@dataclass(frozen=True)
class TableState:
    """What is known of one table at its source."""

    checked_at: str | None = None
    failed_at: str | None = None
    full_fetch_at: str | None = None
    changed_at: str | None = None
    source_modified: str | None = None
    problem: str | None = None
    message: str = ""


@dataclass(frozen=True)
class RunState:
    """State of all tables, and what the published file was made from."""

    tables: dict[str, TableState] = field(default_factory=dict)
    published_run_id: str | None = None
    published_inputs: str | None = None
    published_sources: str | None = None
    published_at: str | None = None

    def of(self, table_id: str) -> TableState:
        """Return the state of a table, empty if it was never looked at."""
        return self.tables.get(table_id, TableState())

    def with_table(self, table_id: str, **changes: Any) -> "RunState":
        """Return the state with some facts of one table changed."""
        tables = {**self.tables, table_id: replace(self.of(table_id), **changes)}
        return replace(self, tables=tables)

    def with_failure(self, table_id: str, at: str, message: str) -> "RunState":
        """Return the state after a failed check; why a delivery was refused stays to be read."""
        kept = self.of(table_id)
        is_refused = kept.problem is not None
        return self.with_table(
            table_id, failed_at=at, message=kept.message if is_refused else message
        )


def load_state(runs_dir: Path) -> RunState:
    """Return the stored state; a file that cannot be read counts as none."""
    path = runs_dir / "state.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: TableState(**facts) for name, facts in data.pop("tables", {}).items()}
        return RunState(tables=tables, **data)
    except (OSError, ValueError, TypeError, AttributeError):
        return RunState()


def save_state(runs_dir: Path, state: RunState) -> None:
    """Store the state."""
    durable.write_json(runs_dir / "state.json", asdict(state))


def is_older(moment: str | None, now: datetime, days: float) -> bool:
    """Return whether an ISO moment lies more than ``days`` before ``now``; never counts as old."""
    if moment is None:
        return True
    return now - datetime.fromisoformat(moment) > timedelta(days=days)
