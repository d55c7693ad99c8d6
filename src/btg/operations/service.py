"""Whether the machinery around the runs is there: server, worker and schedule, or cron.

With ``PREFECT_API_URL`` (environment or Prefect profile) the server is asked over its REST
interface; without one, the timers and the crontab of this user are looked at.
"""

import base64
import os
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
import yaml

from btg.settings import Settings

TIME_ZONE = "Europe/Amsterdam"
TIMEOUTS_S = (3.0, 5.0)
LOOPBACK = ("127.0.0.1", "localhost", "::1")

State = Literal["ok", "warn", "fail", "off"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``next_step`` says what to do about it."""

    name: str
    state: State
    found: str
    next_step: str = ""


class Server:
    """The REST interface of a Prefect server; raises ``requests`` errors and ``ValueError``."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url.rstrip("/")
        self._headers = headers

    def get(self, path: str) -> Any:
        """Return the answer to a question without arguments."""
        return self._answer(
            requests.get(f"{self.url}{path}", headers=self._headers, timeout=TIMEOUTS_S)
        )

    def filtered(self, path: str, **conditions: Any) -> Any:
        """Return the objects that meet the conditions."""
        return self._answer(
            requests.post(
                f"{self.url}{path}/filter",
                headers=self._headers,
                json=conditions,
                timeout=TIMEOUTS_S,
            )
        )

    @staticmethod
    def _answer(response: requests.Response) -> Any:
        response.raise_for_status()
        return response.json()


def examine(settings: Settings) -> list[Check]:
    """Return the checks of server, worker and schedule, or of cron where there is no server."""
    server = _configured_server()
    if server is None:
        return [
            Check("server", "off", "no PREFECT_API_URL: runs come from cron or a timer"),
            check_timer(),
        ]
    reached = check_server(server)
    if reached.state == "fail":
        return [reached]
    try:
        return [reached, *_checks_of_deployments(settings, server)]
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        found = f"the server's answer is not understood ({type(error).__name__})"
        return [
            reached,
            Check("schedule", "fail", found, "prefect version; see docs/operations.md"),
        ]


def check_server(server: Server) -> Check:
    """The server answers, is of the same version, and is not open to others."""
    parts = urlsplit(server.url)
    where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    try:
        server.get("/health")
        version = server.get("/admin/version")
    except (requests.RequestException, ValueError) as error:
        found = f"{where} does not answer ({type(error).__name__})"
        next_step = "systemctl status btg-prefect-server; btg refresh works without it"
        return Check("server", "fail", found, next_step)
    if version != metadata.version("prefect"):
        found = f"{where} runs Prefect {version}, here is {metadata.version('prefect')}"
        return Check("server", "warn", found, "restart the server from this project's .venv")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        found = f"{where} is asked over the network without TLS"
        return Check("server", "warn", found, "put a proxy with TLS before it")
    return Check("server", "ok", f"{where}, Prefect {version}")


def check_timer() -> Check:
    """A systemd timer or a crontab line starts the refresh; only those of this user are seen."""
    if _says(["systemctl", "is-active", "btg-refresh.timer"], "active"):
        return Check("schedule", "ok", "btg-refresh.timer is active")
    if _says(["crontab", "-l"], "btg refresh"):
        return Check("schedule", "ok", "in the crontab of this user")
    found = "no btg-refresh.timer, and no btg refresh in the crontab of this user"
    return Check("schedule", "warn", found, "docs/operations.md, install")


def _checks_of_deployments(settings: Settings, server: Server) -> list[Check]:
    """Return whether a worker listens and every deployment of prefect.yaml is scheduled."""
    declared = yaml.safe_load((settings.repository / "prefect.yaml").read_text(encoding="utf-8"))
    wanted = {entry["name"]: entry for entry in declared["deployments"]}
    pools = sorted({entry["work_pool"]["name"] for entry in wanted.values()})
    checks = [_check_worker(server, pool) for pool in pools]
    found = server.filtered("/deployments", deployments={"name": {"any_": list(wanted)}})
    by_name = {d["name"]: d for d in found if d["entrypoint"] == wanted[d["name"]]["entrypoint"]}
    return checks + [
        _check_schedule(server, name, entry, by_name.get(name)) for name, entry in wanted.items()
    ]


def _check_worker(server: Server, pool: str) -> Check:
    try:
        workers = server.filtered(f"/work_pools/{pool}/workers")
    except requests.HTTPError:
        next_step = f"prefect work-pool create {pool} --type process"
        return Check("worker", "fail", f"no work pool {pool}", next_step)
    online = [str(w["name"]) for w in workers if w["status"] == "ONLINE"]
    if not online:
        found = f"none online in pool {pool}; {len(workers)} known"
        return Check("worker", "fail", found, "systemctl status btg-prefect-worker")
    return Check("worker", "ok", f"{', '.join(online)} in pool {pool}")


def _check_schedule(
    server: Server, name: str, wanted: dict[str, Any], found: dict[str, Any] | None
) -> Check:
    label = f"schedule {name}"
    next_step = "prefect --no-prompt deploy --all, in the project folder"
    if found is None:
        return Check(label, "fail", "not deployed", next_step)
    active = {
        (s["schedule"].get("cron"), s["schedule"].get("timezone"))
        for s in found["schedules"]
        if s["active"]
    }
    declared = {(s["cron"], s["timezone"]) for s in wanted["schedules"]}
    if found["paused"] or not active:
        next_step = "resume it, in the screen of the server or by deploying again"
        return Check(label, "warn", "deployed, but paused", next_step)
    if active != declared:
        return Check(label, "warn", f"{sorted(active)}, prefect.yaml says {declared}", next_step)
    runs = server.filtered(
        "/flow_runs",
        deployments={"id": {"any_": [found["id"]]}},
        flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
        sort="EXPECTED_START_TIME_ASC",
        limit=1,
    )
    if not runs:
        step = "wait two minutes; else the server's scheduler makes no runs: check its log and pins"
        return Check(label, "fail", "deployed, but no run is scheduled", step)
    return Check(label, "ok", f"next run {str(runs[0]['expected_start_time'])[:16]} UTC")


def _configured_server() -> Server | None:
    """Return the server that Prefect's own settings name, with their key; None without one."""
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    if not os.environ.get("PREFECT_API_URL") and not (home / "profiles.toml").exists():
        return None
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    if not api.url:
        return None
    headers = {}
    if api.key is not None:
        headers["Authorization"] = f"Bearer {api.key.get_secret_value()}"
    elif api.auth_string is not None:
        token = base64.b64encode(api.auth_string.get_secret_value().encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    return Server(api.url, headers)


def _says(command: list[str], text: str) -> bool:
    """Return whether a command ends well and says this; a command that is not there does not."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUTS_S[1], check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and text in done.stdout
