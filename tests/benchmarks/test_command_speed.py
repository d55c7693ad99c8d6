"""How long a user waits for the commands that need no build."""

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from btg.settings import Settings


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plan", "--offline"], ["status"], ["raw", "list"]], ids=" ".join
)
def test_the_start_of_a_command(
    benchmark: BenchmarkFixture,
    published: Settings,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.setenv("BTG_HOME", str(published.home))

    def run() -> int:
        command = [sys.executable, "-m", "btg.cli", *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert benchmark.pedantic(run, rounds=5, warmup_rounds=1) == 0
