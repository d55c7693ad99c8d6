"""A webhook hears what needs a human, and nothing that goes wrong with it harms a run."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.support.network import refusing_url, silent_url

from btg.catalogue.loader import Catalogue
from btg.operations import notify
from btg.pipeline import Options, RunReport, Stages, Workspace, refresh
from btg.quality.findings import Finding
from btg.settings import Settings, load_settings

SECRET = "T0K3N-of-the-hook"


@contextmanager
def hook(status: int = 204) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the address of a webhook on loopback and what it heard."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{SECRET}", heard
        server.shutdown()


def settings(url: str | None) -> Settings:
    return replace(load_settings({}), webhook_url=url)


def report(**values: Any) -> RunReport:
    return RunReport("20261124T031500_000", "2026-11-24T03:15:00+00:00", "refresh", **values)


def blocked() -> RunReport:
    finding = Finding("gate2", "audit.x", "critical", False, "marts.x", 3, "GM0153", "is wrong")
    return report(outcome="blocked", exit_code=3, message="1 check blocks", findings=[finding])


def test_a_blocked_run_is_told_with_its_findings() -> None:
    with hook() as (url, heard):
        notify.after(settings(url), blocked())
    assert [n["event"] for n in heard] == ["blocked"]
    assert heard[0]["run_id"] == "20261124T031500_000"
    assert heard[0]["details"] == ["audit.x: is wrong [GM0153]"]
    assert "1 check blocks" in heard[0]["text"]


def test_quarantined_and_stale_tables_are_told_by_name() -> None:
    states = {"a": "current", "b": "quarantined", "c": "too_old", "d": "too_old"}
    found = notify.notices(report(outcome="published", exit_code=4, table_states=states))
    assert [(n.event, n.message.split(":")[0]) for n in found] == [
        ("quarantined", "b"),
        ("stale", "c, d"),
    ]


@pytest.mark.parametrize("exit_code", [0, 4])
def test_a_good_run_and_an_unreachable_source_are_not_told(exit_code: int) -> None:
    """A night without a source is no alarm; when its figures grow too old, it becomes one."""
    states = {"a": "current", "b": "seed"}
    run = report(outcome="nothing_new", exit_code=exit_code, table_states=states)
    assert notify.notices(run) == []


def test_a_crash_is_told_and_raised() -> None:
    with (
        hook() as (url, heard),
        pytest.raises(ZeroDivisionError),
        notify.on_crash(settings(url)),
    ):
        raise ZeroDivisionError
    assert [n["event"] for n in heard] == ["failed"]
    assert "ZeroDivisionError" in heard[0]["text"]


@pytest.mark.parametrize(("is_watched", "events"), [(True, []), (False, ["failed"])])
def test_an_interruption_is_told_unless_somebody_at_a_terminal_did_it(
    monkeypatch: pytest.MonkeyPatch, is_watched: bool, events: list[str]
) -> None:
    monkeypatch.setattr(notify, "_is_watched", lambda: is_watched)
    with (
        hook() as (url, heard),
        pytest.raises(KeyboardInterrupt),
        notify.on_crash(settings(url)),
    ):
        raise KeyboardInterrupt
    assert [n["event"] for n in heard] == events


def test_without_an_address_nothing_is_sent() -> None:
    assert notify.send(settings(None), notify.Notice("failed", "x")) is False


@pytest.mark.parametrize("url", ["not an address", "ftp://127.0.0.1/x", "http://", "http://[::1"])
def test_an_address_that_is_none_does_no_harm(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert notify.send(settings(url), notify.Notice("failed", "x")) is False
    assert "BTG_WEBHOOK_URL is not an http or https address" in caplog.text


def test_a_hook_that_fails_does_no_harm_and_its_address_stays_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(notify, "TIMEOUTS_S", (0.3, 0.3))
    notify.send(settings(f"{refusing_url()}/{SECRET}"), notify.Notice("failed", "x"))
    with silent_url() as url:
        notify.send(settings(f"{url}/{SECRET}"), notify.Notice("failed", "x"))
    with hook(status=500) as (url, _):
        notify.send(settings(url), notify.Notice("failed", "x"))
    assert "ConnectionError" in caplog.text
    assert "ReadTimeout" in caplog.text
    assert "HTTP 500" in caplog.text
    assert SECRET not in caplog.text


def test_the_address_is_not_shown_with_the_settings() -> None:
    chosen = load_settings({"BTG_WEBHOOK_URL": f"http://127.0.0.1/{SECRET}"})
    assert chosen.webhook_url is not None
    assert SECRET not in repr(chosen)


def test_a_crash_is_kept_in_the_run_folder(tmp_path: Path, catalogue: Catalogue) -> None:
    chosen = load_settings({"BTG_HOME": str(tmp_path)})
    workspace = Workspace(chosen, catalogue)

    def breaks(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        refresh(workspace, Options(offline=True), Stages(finish=breaks, adopt_seed=breaks))
    kept = json.loads(next(chosen.runs_dir.glob("run_*.json")).read_text())
    assert (kept["exit_code"], kept["outcome"]) == (1, None)
    assert "ZeroDivisionError" in kept["message"]
