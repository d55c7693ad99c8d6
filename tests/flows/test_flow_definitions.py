"""The flows as they are declared: states, exit codes, retries, limits; no server is asked."""

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.flows.harness import REPOSITORY

SCRIPT = """
import dataclasses, json, sys
sys.path.insert(0, "flows")
import full_refetch, refresh
from prefect.client.schemas.objects import State, StateType
from btg.errors import (
    ContractError, GateBlockedError, SourceAnswerError, SourceUnreachableError, UsageError,
)
from btg.pipeline import RunReport, Stages

def report(outcome, code):
    return RunReport("r", "2026-11-24T03:15:00+00:00", "refresh", outcome=outcome, exit_code=code)

def code(kind, data):
    return refresh.exit_code(State(type=kind, data=data))

def again(error):
    return refresh.is_passing(None, None, State(type=StateType.FAILED, data=error))

print(json.dumps({
    "codes": [code(StateType.COMPLETED, report("published", 0)),
              code(StateType.COMPLETED, report("published", 4)),
              code(StateType.FAILED, report("blocked", 3)),
              code(StateType.FAILED, UsageError("x")),
              code(StateType.FAILED, GateBlockedError("x")),
              code(StateType.FAILED, ZeroDivisionError()),
              code(StateType.CRASHED, None)],
    "states": {k: [t.value, n] for k, (t, n) in refresh.FINAL_STATES.items()},
    "again": {e.__name__: again(e("t", *a, "m")) for e, a in
              [(SourceAnswerError, []), (SourceUnreachableError, []), (ContractError, ["unit"])]},
    "flows": {f.name: [f.timeout_seconds, f.retries]
              for f in (refresh.refresh, full_refetch.full_refetch)},
    "unwatched": [f.name for f in dataclasses.fields(Stages)
                  if getattr(refresh.STAGES, f.name) is getattr(Stages(), f.name)],
}))
"""


@pytest.fixture(scope="module")
def declared() -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_exit_codes_are_those_of_the_command(declared: Any) -> None:
    assert declared["codes"] == [0, 4, 3, 2, 3, 1, 1]


def test_every_end_has_a_state_of_its_own(declared: Any) -> None:
    assert declared["states"] == {
        "published": ["COMPLETED", "Published"],
        "published_with_warnings": ["COMPLETED", "PublishedWithWarnings"],
        "nothing_new": ["COMPLETED", "NothingNew"],
        "nothing_new_with_warnings": ["COMPLETED", "NothingNewWithWarnings"],
        "blocked": ["FAILED", "Blocked"],
    }


def test_only_a_wrong_answer_is_worth_another_attempt(declared: Any) -> None:
    """A host that is down is not asked again, and a broken contract stays broken."""
    assert declared["again"] == {
        "SourceAnswerError": True,
        "SourceUnreachableError": False,
        "ContractError": False,
    }


def test_both_flows_have_a_limit_and_no_retries(declared: Any) -> None:
    assert declared["flows"] == {"btg-refresh": [7200.0, 0], "btg-full-refetch": [7200.0, 0]}


def test_every_stage_of_the_pipeline_is_watched(declared: Any) -> None:
    assert declared["unwatched"] == []
