"""What the stages of one run share, and the report of what they did."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from btg import durable, publish
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.quality.findings import Finding
from btg.quality.validator import Validator
from btg.raw import SnapshotStore
from btg.settings import Settings
from btg.sources.protocol import Source
from btg.state import RunState, load_state

RUN_STAMP = "%Y%m%dT%H%M%S_%f"
"""How runs are named, cut after the milliseconds: names sort by time."""

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
    as_of: str | None = None
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
        self.validator = Validator()
        started = clock()
        self.report = RunReport(
            run_id=started.strftime(RUN_STAMP)[:-3],
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
    def alone(self) -> Iterator[None]:
        """Hold the lock of the data folder, with the state as the run before left it.

        What a killed run left unfinished is removed. Raises ``GateBlockedError`` if another run
        keeps the lock for longer than the settings say.
        """
        with publish.only_one_run(self.settings, self.settings.lock_wait_s):
            self.state = load_state(self.settings.runs_dir)
            self._clear_leftovers()
            yield

    def close(self) -> None:
        """End what was started for this run."""
        self.validator.close()

    def _clear_leftovers(self) -> None:
        for table in self.catalogue.used_tables():
            for folder in self.store.folders(table):
                durable.clear_leftovers(folder)
        # a run that has just given up the lock may still be writing its report
        durable.clear_leftovers(self.settings.runs_dir, older_than_s=3600.0)
        for path in self.settings.build_dir.glob("*"):
            with suppress(OSError):
                path.unlink()

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


def ending(report: RunReport) -> Ending:
    """Return in one word how a run ended, for whoever watches runs rather than exit codes."""
    match report.outcome, report.exit_code:
        case "published", code:
            return "published_with_warnings" if code else "published"
        case "nothing_new", code:
            return "nothing_new_with_warnings" if code else "nothing_new"
    return "blocked"


def report_path(workspace: Workspace) -> Path:
    """Return where the report of this run is kept."""
    return workspace.settings.runs_dir / f"run_{workspace.run_id}.json"


def save_report(workspace: Workspace) -> None:
    """Write the report of this run to the run folder."""
    durable.write_json(report_path(workspace), workspace.report.as_json())


def prune_reports(workspace: Workspace) -> None:
    """Remove reports of runs that are older than the settings say; their figures are elsewhere."""
    oldest = workspace.clock() - timedelta(days=workspace.settings.runs_keep_days)
    stamp = oldest.strftime(RUN_STAMP)
    for path in workspace.settings.runs_dir.glob("*_2*.json"):
        if path.stem.partition("_")[2] < stamp:
            path.unlink(missing_ok=True)
