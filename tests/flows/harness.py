"""A Prefect server and process workers on 127.0.0.1, in folders and an environment of their own.

Everything is started as a user would, by command, and ended by its own process id.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import requests

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LISTEN, ESTABLISHED, CONNECTING = "0A", "01", "02"


def checkout(folder: Path) -> Path:
    """Return a copy of what a run needs of the project, without git, at another path."""
    for name in ("src", "sql", "flows"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    (folder / "data").mkdir()
    (folder / "data" / "raw").symlink_to(REPOSITORY / "data" / "raw")
    return folder


def wait_for(what: str, attempt: Callable[[], T | None], limit_s: float) -> T:
    """Return the first result of ``attempt`` that is not None (or False); fails at the limit."""
    ends_at = time.monotonic() + limit_s
    while time.monotonic() < ends_at:
        result = attempt()
        if result is not None and result is not False:
            return result
        time.sleep(0.4)
    raise AssertionError(f"waited {limit_s:g} s in vain for {what}")


def plain_environment(root: Path, code: Path, **more: str) -> dict[str, str]:
    """Return an environment of which nothing comes from the caller but where commands are."""
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(root),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(code / "src"),
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60",
        "DO_NOT_TRACK": "1",
        "BTG_HOME": str(root / "home"),
        "BTG_CBS_URL": "http://127.0.0.1:9",
        "BTG_DATADERDEN_URL": "http://127.0.0.1:9",
        **more,
    }


class Service:
    """A Prefect server with workers; ``environment`` is that of every command."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.code = checkout(root / "elsewhere")
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.environment = plain_environment(
            root,
            self.code,
            PREFECT_API_URL=self.url,
            PREFECT_WORKER_QUERY_SECONDS="2",
            PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS="1",
            **environment,
        )
        self.strangers: set[str] = set()
        self.listeners: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._seen: set[int] = set()
        self._looked_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.look_around()
        for name in reversed(list(self._processes)):
            self.stop(name)
        for pid in sorted(self._seen):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._start("server", arguments, PREFECT_API_URL="")
        wait_for("the server", lambda: self._answers(), 120)

    def start_worker(self, name: str, **environment: str) -> None:
        """Start a process worker; it is there when the server says that it is online."""
        arguments = ["worker", "start", "--pool", "btg", "--name", name]
        self._start(name, arguments, **environment)
        wait_for(f"worker {name}", lambda: name in self.workers(), 90)

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one process that was started here; kill it if it does not end."""
        process = self._processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def command(
        self, *arguments: str, limit_s: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the project's environment in the checkout, and return it when done."""
        return subprocess.run(
            [str(BIN / arguments[0]), *arguments[1:]],
            cwd=self.code,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def ask(self, path: str, **conditions: Any) -> Any:
        """Return the answer of the server's REST interface; with conditions it is a POST."""
        method = "POST" if conditions or path.endswith("filter") else "GET"

        def attempt() -> requests.Response | None:
            answer = requests.request(
                method, f"{self.url}{path}", json=conditions or {}, timeout=(2, 10)
            )
            # a busy SQLite; Prefect's own client tries again as well
            return None if answer.status_code == 503 else answer

        answer = wait_for(f"an answer to {path}", attempt, 20)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def workers(self) -> list[str]:
        """Return the names of the workers that are online."""
        found = self.ask("/work_pools/btg/workers/filter")
        return [w["name"] for w in found if w["status"] == "ONLINE"]

    def trigger(
        self, deployment: str, environment: dict[str, str] | None = None, **parameters: Any
    ) -> str:
        """Start a run of a deployment (``flow/name``) now and return its id."""
        found = self.ask(f"/deployments/name/{deployment}")
        run = self.ask(
            f"/deployments/{found['id']}/create_flow_run",
            parameters=parameters,
            job_variables={"env": environment} if environment else {},
            state={"type": "SCHEDULED"},
            idempotency_key=str(uuid.uuid4()),
        )
        return str(run["id"])

    def state(self, run_id: str) -> dict[str, Any]:
        """Return the state that a run is in now."""
        if time.monotonic() - self._looked_at > 1.5:
            self.look_around()
        state: dict[str, Any] = self.ask(f"/flow_runs/{run_id}")["state"]
        return state

    def ended(self, run_id: str, limit_s: float = 150) -> dict[str, Any]:
        """Return the state that a run ends in."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        def attempt() -> dict[str, Any] | None:
            state = self.state(run_id)
            return state if state["type"] in final else None

        try:
            return wait_for(f"the end of run {run_id}", attempt, limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.state(run_id)}\n{self.output()}") from None

    def artifacts(self, run_id: str) -> dict[str, Any]:
        """Return the artifacts of a run by key."""
        found = self.ask("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run_id]}})
        return {artifact["key"]: artifact["data"] for artifact in found}

    def tasks(self, run_id: str) -> dict[str, str]:
        """Return the tasks of a run and the names of their states."""
        found = self.ask(
            "/task_runs/filter",
            task_runs={"flow_run_id": {"any_": [run_id]}},
            sort="EXPECTED_START_TIME_ASC",
        )
        return {run["name"]: run["state"]["name"] for run in found}

    def logs(self, run_id: str) -> str:
        """Return what a run has logged with the server."""
        found = self.ask("/logs/filter", logs={"flow_run_id": {"any_": [run_id]}}, limit=200)
        return "\n".join(entry["message"] for entry in found)

    def output(self) -> str:
        """Return the end of what the processes have written."""
        texts = [path.read_text(errors="replace")[-3000:] for path in self.root.glob("*.log")]
        return "\n----\n".join(texts)

    def look_around(self) -> None:
        """Note the processes that run, and with whom they speak."""
        self._looked_at = time.monotonic()
        pids = _family({p.pid for p in self._processes.values()})
        self._seen |= pids
        for state, local, remote in _sockets(pids):
            if state == LISTEN:
                self.listeners.add(local)
            elif state in (ESTABLISHED, CONNECTING) and not remote.startswith("127.0.0.1:"):
                self.strangers.add(remote)

    def _start(self, name: str, arguments: list[str], **environment: str) -> None:
        with (self.root / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(BIN / "prefect"), *arguments],
                cwd=self.root,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        if self._processes["server"].poll() is not None:
            raise AssertionError(f"the server ended by itself\n{self.output()}")
        try:
            return requests.get(f"{self.url}/health", timeout=2).ok
        except requests.RequestException:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pids: Iterable[int]) -> set[int]:
    """Return the processes and all that they have started and that still belong to them."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family = set(pids)
    while children := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= children
    return family


def _sockets(pids: Iterable[int]) -> Iterable[tuple[str, str, str]]:
    """Yield state, own and other address of every TCP socket that the processes hold."""
    inodes = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                yield fields[3], _address(fields[1]), _address(fields[2])


def _address(text: str) -> str:
    """Return an address of /proc/net/tcp as it is usually written; one of IPv6 as it stands."""
    host, port = text.split(":")
    if len(host) != 8:
        return f"[{host}]:{int(port, 16)}"
    return f"{socket.inet_ntoa(bytes.fromhex(host)[::-1])}:{int(port, 16)}"
