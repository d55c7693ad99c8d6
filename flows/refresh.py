"""The nightly refresh under Prefect: the stages of ``btg.pipeline`` as tasks, and nothing more.

Order, lock, decisions, outcome and exit code are those of ``btg refresh``: the same functions run.
This file adds what an orchestrator is for: a task per stage and per table, retries, a limit on
the run, logs, artifacts, and a final state that says how the run ended. As a script it runs once
here, with a temporary server if none is set: ``python flows/refresh.py``.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

# before Prefect is imported: nothing is reported to anyone, and a slow machine may start slowly
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "60")

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType

from btg import pipeline
from btg.catalogue.loader import load_catalogue
from btg.errors import SourceAnswerError, UsageError
from btg.operations import digest, notify
from btg.pipeline import Stages
from btg.settings import Settings, load_settings
from btg.sources.transport import Limits
from btg.workspace import Decision, Ending, Options, RunReport, Workspace, ending

P = ParamSpec("P")
R = TypeVar("R")


def run_limit_s() -> float:
    """Return the limit of a run; a setting that cannot be used is told by the run itself."""
    try:
        return load_settings().run_limit_s
    except UsageError:
        return Settings.run_limit_s


RUN_LIMIT_S = run_limit_s()
RETRY_DELAY_S = 20
FINAL_STATES: dict[Ending, tuple[StateType, str]] = {
    "published": (StateType.COMPLETED, "Published"),
    "published_with_warnings": (StateType.COMPLETED, "PublishedWithWarnings"),
    "nothing_new": (StateType.COMPLETED, "NothingNew"),
    "nothing_new_with_warnings": (StateType.COMPLETED, "NothingNewWithWarnings"),
    "blocked": (StateType.FAILED, "Blocked"),
}


@flow(name="btg-refresh", timeout_seconds=RUN_LIMIT_S)
def refresh(offline: bool = False, full: bool = False, only: str | None = None) -> State[RunReport]:
    """Take what is new, check, build and publish."""
    return run(Options(offline=offline, full=full, only=only))


def run(options: Options) -> State[RunReport]:
    """Run the pipeline with its stages as tasks, and return the state that the flow ends in."""
    settings = load_settings()
    with notify.on_crash(settings), limited():
        workspace = Workspace(settings, load_catalogue(), progress=tell)
        report = pipeline.refresh(workspace, options, STAGES)
    notify.after(settings, report)
    publish_artifacts(workspace)
    kind, name = FINAL_STATES[ending(report)]
    return State(type=kind, name=name, message=digest.summary(report), data=report)


@contextmanager
def limited() -> Iterator[None]:
    """Call the end of a run at its limit by its name.

    The alarm of the limit breaks off a query as an error of the database, which says nothing of
    time; Prefect would show it as any failure.
    """
    ends_at = time.monotonic() + RUN_LIMIT_S - 1.0
    try:
        yield
    except Exception as error:
        if time.monotonic() < ends_at:
            raise
        raise TimeoutError(f"the run took longer than {RUN_LIMIT_S:g} s") from error


def tell(text: str) -> None:
    """Log the progress of the pipeline with the flow or task that is running."""
    get_run_logger().info(text)


def as_task(function: Callable[P, R], name: str, **options: Any) -> Callable[P, R]:
    """Return the function as a task of this name; arguments stay out of Prefect's hands."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        @task(
            name=name,
            task_run_name=name.replace("{", "{{").replace("}", "}}"),
            cache_policy=NO_CACHE,
            persist_result=False,
            **options,
        )
        def stage() -> R:
            return function(*args, **kwargs)

        return stage()

    return call


def fetch_all(workspace: Workspace, decisions: Sequence[Decision]) -> None:
    """Fetch one table after the other: one task each, and one bar for all.

    The client holds one call at a time, and no host is asked twice at once. The catalogue's
    retries hold for each request inside a task, and again for a table whose host answered with
    something else; a host that does not answer is not asked again in this run. The catalogue's
    time-outs and the deadline of a table end a task from the inside: Prefect's task time-out uses
    the same alarm as the limit of the flow and would stop its clock.
    """
    if not decisions:
        return
    bar = create_progress_artifact(0.0, key="btg-fetch", description=f"{len(decisions)} tables")
    for number, decision in enumerate(decisions, start=1):
        table = workspace.catalogue.table(decision.table_id)
        download = as_task(
            pipeline.download,
            f"fetch {table.source_id} {table.id}",
            retries=Limits.of(workspace.settings, table.retries, table.timeout_s).retries,
            retry_delay_seconds=RETRY_DELAY_S,
            retry_condition_fn=is_passing,
        )
        pipeline.fetch(workspace, decision, download)
        update_progress_artifact(bar, 100.0 * number / len(decisions))  # type: ignore[arg-type]


def is_passing(_task: object, _run: object, state: State[Any]) -> bool:
    """Return whether another attempt may help: the host answered, but not with the table."""
    return isinstance(state.result(raise_on_failure=False), SourceAnswerError)


def publish_artifacts(workspace: Workspace) -> None:
    """Show the run: the report, what was found, what was revised, and where to read on.

    The run has ended by then; what cannot be shown is logged, and changes nothing of its end.
    """
    report = workspace.report
    shows: dict[str, Callable[[], object]] = {
        "btg-run": lambda: create_markdown_artifact(
            digest.markdown(report), key="btg-run", description="Run report"
        ),
        "btg-findings": lambda: create_table_artifact(
            digest.findings(report), key="btg-findings", description="Findings"
        ),
        "btg-revisions": lambda: create_table_artifact(
            digest.revisions(workspace), key="btg-revisions", description="Revised figures"
        ),
        "btg-report": lambda: create_link_artifact(
            digest.report_path(workspace).as_uri(), key="btg-report", description="Full report"
        ),
    }
    for key, show in shows.items():
        try:
            show()
        except Exception as error:
            get_run_logger().warning("%s could not be shown: %s", key, error)


STAGES = Stages(
    adopt_seed=as_task(pipeline.adopt_seed, "adopt seed"),
    plan=as_task(pipeline.plan, "plan"),
    fetch_all=fetch_all,
    build_all=as_task(pipeline.build_all, "build"),
    audited_candidate=as_task(pipeline.audited_candidate, "gates"),
    put_in_place=as_task(pipeline.put_in_place, "publish"),
    finish=as_task(pipeline.finish, "finish"),
)


def exit_code(state: State[Any]) -> int:
    """Return the exit code of ``btg refresh`` for the state that a flow ended in."""
    return int(getattr(state.result(raise_on_failure=False), "exit_code", 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow once in this process and return its exit code."""
    parser = argparse.ArgumentParser(description=refresh.description)
    parser.add_argument("--offline", action="store_true", help="ask no source")
    parser.add_argument("--full", action="store_true", help="fetch all, whatever Modified says")
    parser.add_argument("--only", metavar="SOURCE", help="ask this source only")
    chosen = parser.parse_args(arguments)
    return exit_code(refresh(chosen.offline, chosen.full, chosen.only, return_state=True))


if __name__ == "__main__":
    sys.exit(main())
