"""Every check of the doctor has something that makes it complain, and says what to do."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.support.network import refusing_url

from btg import cli, publish
from btg.catalogue.loader import Catalogue
from btg.errors import CatalogueError
from btg.operations import doctor, service
from btg.operations.service import Check, Server
from btg.settings import Settings, load_settings
from btg.state import load_state, save_state

NOW = datetime.now(UTC)
SCHEDULES = {
    "nightly": ("flows/refresh.py:refresh", "15 3 * * *"),
    "weekly": ("flows/full_refetch.py:full_refetch", "15 6 * * 0"),
}


def report(settings: Settings, started_at: datetime, **values: Any) -> None:
    """Leave the report of a run in the run folder."""
    values = {"command": "refresh", "outcome": "published", "exit_code": 0, "message": ""} | values
    path = settings.runs_dir / f"run_{started_at.strftime('%Y%m%dT%H%M%S_000')}.json"
    path.write_text(json.dumps({"started_at": started_at.isoformat(), **values}))


def is_complaint(check: Check, state: str, word: str) -> bool:
    """Return whether a check is in this state, says this word, and has a next step."""
    return check.state == state and word in check.found and bool(check.next_step)


def test_a_healthy_machine_has_no_complaint(home: Settings, catalogue: Catalogue) -> None:
    state = load_state(home.runs_dir)
    for table in catalogue.used_tables():
        state = state.with_table(table.id, checked_at=NOW.isoformat())
    save_state(home.runs_dir, state)
    checks = doctor.examine(home, datetime.now(UTC))
    local = [c for c in checks if c.name not in ("server", "worker") and "schedule" not in c.name]
    assert [(c.name, c.found) for c in local if c.state not in ("ok", "off")] == []
    assert len(local) == 10


def test_what_cannot_be_looked_at_is_a_complaint_and_no_crash(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> Check:
        raise PermissionError(13, "Permission denied")

    def wrong() -> Catalogue:
        raise CatalogueError("method.yml: no base year")

    monkeypatch.setattr(doctor, "check_lock", denied)
    monkeypatch.setattr(doctor, "load_catalogue", wrong)
    checks = {c.name: c for c in doctor.examine(home, NOW)}
    assert is_complaint(checks["lock"], "fail", "Permission denied")
    assert is_complaint(checks["tables"], "fail", "method.yml: no base year")
    assert "webhook" in checks, "the others are looked at all the same"


def test_the_command_ends_with_the_code_of_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BTG_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", f"{refusing_url()}/api")
    assert cli.main(["doctor", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 3
    states = {c["name"]: c["state"] for c in told["checks"]}
    assert states["published"] == states["last run"] == states["server"] == "fail"
    assert list(tmp_path.rglob("*")) == [], "the doctor writes nothing"


@pytest.mark.parametrize(
    ("states", "code"), [(["ok", "off"], 0), (["ok", "warn"], 4), (["warn", "fail"], 3)]
)
def test_exit_codes(states: list[service.State], code: int) -> None:
    assert doctor.exit_code([Check("x", state, "") for state in states]) == code


def test_a_package_outside_its_pin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.155.0" if name == "fastapi" else real(name)
    )
    assert is_complaint(doctor.check_versions(), "fail", "fastapi 0.155.0, needs <0.151,>=0.139")


def test_a_full_disk(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage(home.home)
    for free, state in ((1_000_000_000, "warn"), (1_000_000, "fail")):
        shown = usage._replace(free=free)
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, shown=shown: shown)
        assert is_complaint(doctor.check_disk(home), state, "GB free")


def test_a_published_file_that_can_be_written_to(home: Settings) -> None:
    home.database.chmod(0o644)
    assert is_complaint(doctor.check_permissions(home), "warn", "can be written to")


def test_a_folder_of_someone_else(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: "raw" not in str(path))
    assert is_complaint(doctor.check_permissions(home), "fail", "data/raw")


def test_a_clock_that_runs_behind(home: Settings) -> None:
    past = NOW - timedelta(days=300)
    assert is_complaint(doctor.check_clock(home, past), "fail", "something was written at")


def test_a_run_that_is_busy_and_one_that_hangs(home: Settings) -> None:
    with publish.only_one_run(home, 0):
        now = datetime.now(UTC)
        busy = doctor.check_lock(home, now)
        assert (busy.state, "busy for 0 minutes" in busy.found) == ("ok", True)
        assert str(os.getpid()) in busy.found
        late = doctor.check_lock(home, now + timedelta(hours=3))
        assert is_complaint(late, "fail", "busy for 180 minutes")
    assert doctor.check_lock(home, NOW).found == "free"


def test_a_writer_has_left_a_wal(home: Settings) -> None:
    home.database.with_name("btg.duckdb.wal").touch()
    assert is_complaint(doctor.check_published(home), "fail", ".wal lies beside")


def test_the_last_run(home: Settings) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    report(home, now, outcome="blocked", exit_code=3, message="1 check blocks")
    assert is_complaint(doctor.check_last_run(home, now), "warn", "1 check blocks")
    report(home, now + timedelta(seconds=5), exit_code=4, message="kept")
    assert is_complaint(doctor.check_last_run(home, now), "warn", "kept")
    report(home, now + timedelta(seconds=9))
    assert doctor.check_last_run(home, now).state == "ok"
    report(home, now + timedelta(seconds=12), command="rollback", outcome="published")
    later = now + timedelta(hours=30)
    assert is_complaint(doctor.check_last_run(home, later), "fail", "none ended well for 30 hours")


def test_a_damaged_report_is_passed_over(home: Settings) -> None:
    (home.runs_dir / "run_99990101T000000_000.json").write_text("{")
    assert doctor.check_last_run(home, NOW).state == "ok"


def test_tables_that_are_too_old(home: Settings, catalogue: Catalogue) -> None:
    later = NOW + timedelta(days=2000)
    assert is_complaint(doctor.check_tables(home, catalogue, later), "warn", "too_old")


def test_what_killed_runs_left(home: Settings) -> None:
    left = home.raw_dir / "rivm" / "50150NED" / ".20261124T031500_abc.xyz"
    left.mkdir()
    assert doctor.check_leftovers(home, NOW).state == "ok", "a run may be writing it"
    later = datetime.now(UTC) + timedelta(days=2)
    assert is_complaint(doctor.check_leftovers(home, later), "warn", left.name)


def test_the_webhook_is_checked_and_not_shown() -> None:
    secret = replace(load_settings({}), webhook_url="https://hooks.example.org/SECRET")
    assert doctor.check_webhook(secret) == Check("webhook", "ok", "set")
    wrong = doctor.check_webhook(replace(secret, webhook_url="SECRET"))
    assert is_complaint(wrong, "fail", "not an http")
    assert "SECRET" not in f"{wrong}"


class FakeServer(BaseHTTPRequestHandler):
    """Answers as a Prefect server whose state a test chooses."""

    version = metadata.version("prefect")
    status = "ONLINE"
    deployed: tuple[str, ...] = ("nightly", "weekly")
    active = True
    runs: tuple[dict[str, str], ...] = ({"expected_start_time": "2026-11-25T02:15:00Z"},)

    def do_GET(self) -> None:
        self._send(True if self.path == "/api/health" else self.version)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/workers/filter"):
            self._send([{"name": "w1", "status": self.status}])
        elif self.path.endswith("/deployments/filter"):
            self._send([self._deployment(name) for name in self.deployed])
        else:
            self._send(list(self.runs))

    def _deployment(self, name: str) -> dict[str, Any]:
        entrypoint, cron = SCHEDULES[name]
        schedule = {"cron": cron, "timezone": "Europe/Amsterdam"}
        return {
            "id": name, "name": name, "entrypoint": entrypoint, "paused": False,
            "schedules": [{"active": self.active, "schedule": schedule}],
        }  # fmt: skip

    def _send(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def prefect_server(monkeypatch: pytest.MonkeyPatch, **state: Any) -> Iterator[None]:
    """Let the doctor find a server in this state."""
    handler = type("Handler", (FakeServer,), state)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        Thread(target=http.serve_forever, args=[0.02], daemon=True).start()
        url = f"http://127.0.0.1:{http.server_address[1]}/api"
        monkeypatch.setattr(service, "_configured_server", lambda: Server(url, {}))
        yield
        http.shutdown()


@pytest.mark.parametrize(
    ("state", "name", "expected", "word"),
    [
        ({}, "schedule nightly", "ok", "next run 2026-11-25T02:15"),
        ({}, "worker", "ok", "w1 in pool btg"),
        ({"version": "3.1.0"}, "server", "warn", "runs Prefect 3.1.0"),
        ({"status": "OFFLINE"}, "worker", "fail", "none online"),
        ({"deployed": ("nightly",)}, "schedule weekly", "fail", "not deployed"),
        ({"active": False}, "schedule nightly", "warn", "paused"),
        ({"runs": ()}, "schedule nightly", "fail", "no run is scheduled"),
    ],
)
def test_server_worker_and_schedule(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], name: str, expected: str, word: str
) -> None:
    with prefect_server(monkeypatch, **state):
        checks = {c.name: c for c in service.examine(load_settings({}))}
    assert checks[name].state == expected, checks[name]
    assert word in checks[name].found
    assert expected == "ok" or checks[name].next_step


def test_a_schedule_that_is_not_that_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = SCHEDULES | {"nightly": ("flows/refresh.py:refresh", "0 4 * * *")}
    monkeypatch.setitem(globals(), "SCHEDULES", changed)
    with prefect_server(monkeypatch):
        checks = {c.name: c for c in service.examine(load_settings({}))}
    assert is_complaint(checks["schedule nightly"], "warn", "prefect.yaml says")


def test_a_server_over_the_network_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/health": True, "/admin/version": metadata.version("prefect")}
    monkeypatch.setattr(Server, "get", lambda _self, path: answers[path])
    checked = service.check_server(Server("http://prefect.example.org:4200/api", {}))
    assert is_complaint(checked, "warn", "without TLS")


def test_the_address_of_a_server_is_shown_without_its_password() -> None:
    url = refusing_url().replace("http://", "http://user:SECRET@")
    checked = service.check_server(Server(f"{url}/api", {}))
    assert is_complaint(checked, "fail", "127.0.0.1")
    assert "SECRET" not in f"{checked}"


def test_without_a_server_a_timer_or_a_crontab_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [c.state for c in service.examine(load_settings({}))] == ["off", "warn"]
    crontab = tmp_path / "crontab"
    crontab.write_text("#!/bin/sh\necho '15 3 * * * btg refresh'\n")
    crontab.chmod(0o755)
    assert service.check_timer() == Check("schedule", "ok", "in the crontab of this user")


def test_what_is_not_well_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(doctor.notify, "send", lambda _, notice: sent.append(notice) or True)
    settings = load_settings({})
    assert doctor.tell(settings, [Check("disk", "ok", "much")]) is False
    assert doctor.tell(settings, [Check("last run", "fail", "never")]) is True
    assert doctor.tell(settings, [Check("disk", "warn", "little")]) is True
    assert doctor.tell(settings, [Check("lock", "fail", "held")]) is True
    assert doctor.tell(settings, [Check("last run", "warn", "a source was away")]) is False
    assert [n.event for n in sent] == ["stale", "attention", "failed"]
