"""What a run under Prefect costs over the same command: both as processes, one after the other.

A server with a temporary home on 127.0.0.1 serves the flow; it is started and ended here.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from btg.errors import BtgError
from btg.settings import Settings

SERVER_START_S = 120.0
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


@dataclass(frozen=True)
class Process:
    """One command that ran to its end: wall seconds, and the most memory it held, in MB."""

    seconds: float
    peak_mb: float


def measure(settings: Settings, rounds: int) -> dict[str, list[Process]]:
    """Return the runs of flow and command, publishing the seed and with nothing new.

    Both work offline, each in homes of its own. The flow's process includes the import of Prefect,
    its tasks, logs and artifacts; the start of the server is not part of it.
    """
    found: dict[str, list[Process]] = {}
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as api_url:
        for number in range(rounds):
            for name, command, url in (
                ("command", ["-m", "btg.cli", "refresh", "--offline"], ""),
                ("flow", ["flows/refresh.py", "--offline"], api_url),
            ):
                home = Path(folder) / f"{name}_{number}"
                variables = environment(Path(folder), url, BTG_HOME=str(home))
                for what in ("publishing", "nothing new"):
                    ran = run_python(settings.repository, command, variables)
                    found.setdefault(f"{name}, {what}", []).append(ran)
    return found


def overheads(found: dict[str, list[Process]]) -> dict[str, list[float]]:
    """Return what the flow took longer than the command, in seconds, round by round."""
    return {
        f"flow minus command, {what}": [
            flow.seconds - command.seconds
            for flow, command in zip(found[f"flow, {what}"], found[f"command, {what}"], strict=True)
        ]
        for what in ("publishing", "nothing new")
    }


def run_python(folder: Path, command: list[str], variables: dict[str, str]) -> Process:
    """Run Python with arguments to its end; raises ``BtgError`` unless it ends with 0 or 4.

    4 says that a source needs attention, such as a seed that has grown old.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 4):
            output.seek(0)
            told = output.read().decode(errors="replace")[-1000:]
            raise BtgError(f"{' '.join(command)} ended with {process.returncode}: {told}")
    return Process(seconds, usage.ru_maxrss / 1024)


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """Yield the address of a Prefect server that lives in a folder, on 127.0.0.1 only."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "prefect"), *arguments],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        ends_at = time.monotonic() + SERVER_START_S
        while not _is_healthy(url):
            if server.poll() is not None or time.monotonic() > ends_at:
                raise BtgError(f"no Prefect server: {(folder / 'server.log').read_text()[-1000:]}")
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def environment(folder: Path, api_url: str = "", **more: str) -> dict[str, str]:
    """Return this process's environment with a Prefect of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BTG_"))}
    url = {"PREFECT_API_URL": api_url} if api_url else {}
    return {**kept, **QUIET, "PREFECT_HOME": str(folder / "prefect"), **url, **more}


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False
