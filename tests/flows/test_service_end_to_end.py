"""The whole service on loopback: deploy, publish, nothing new, break, kill, block, limit, race."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from tests.flows.harness import Service, wait_for
from tests.support.mutations import change_unit, set_info, set_value
from tests.support.odata_server import ODataServer
from tests.support.store import Store, load_snapshots

from btg import publish, warehouse
from btg.settings import load_settings

REPOSITORY = Path(__file__).resolve().parents[2]
NIGHTLY, WEEKLY = "btg-refresh/nightly", "btg-full-refetch/weekly"
SECRET = "a-secret-of-the-webhook"
ALWAYS_BLOCKS = """\
-- severity: critical
-- table: meta.method
-- why: a test
-- reason: a test
select method.base_year from meta.method as method
"""

pytestmark = pytest.mark.slow


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the address of a webhook on loopback, and what it has heard so far."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{SECRET}", heard
        server.shutdown()


def revised(store: Store, value: float, modified: str) -> Store:
    """Return the store with one figure of Enschede revised, and said to be."""
    store = set_value(store, "50090NED", ["Roker"], "GM0153", "2020JJ00", value)
    return set_info(store, "50090NED", Modified=modified)


class Story:
    """What the steps of the test share: the service, its sources, and the published file."""

    def __init__(self, service: Service, odata: ODataServer) -> None:
        self.service = service
        self.odata = odata
        self.settings = load_settings({"BTG_HOME": service.environment["BTG_HOME"]})
        self.started_at = time.monotonic()
        self.killed = ""

    def note(self, text: str) -> None:
        """Print the time so far, for who wonders where it goes (pytest -s)."""
        print(f"{time.monotonic() - self.started_at:6.1f} s  {text}", flush=True)

    def refresh(self, **parameters: Any) -> tuple[str, dict[str, Any]]:
        """Run the nightly deployment on the one source that is served; return id and state."""
        run_id = self.service.trigger(NIGHTLY, only="rivm", **parameters)
        state = self.service.ended(run_id)
        self.note(f"nightly ended as {state['name']}")
        return run_id, state

    def smokers(self) -> float:
        """Return the published share of smokers in Enschede in 2020."""
        con = warehouse.open_published(self.settings.database)
        try:
            query = (
                "select value from marts.indicator_score where region_code = 'GM0153' "
                "and year = 2020 and indicator_id = 'roken'"
            )
            return float(warehouse.rows(con, query)[0][0])
        finally:
            con.close()

    def content(self) -> dict[str, str]:
        """Return what the published file says, as hashes."""
        return publish.content_hashes(self.settings.database)

    def outcomes(self) -> list[str | None]:
        """Return the outcome of every run so far, in the order of their start."""
        paths = sorted(self.settings.runs_dir.glob("run_*.json"))
        return [json.loads(path.read_text())["outcome"] for path in paths]


def test_the_service_publishes_recovers_and_stops(tmp_path: Path) -> None:
    figures = load_snapshots(REPOSITORY / "data" / "raw" / "rivm")
    with webhook() as (address, heard), ODataServer(figures) as odata:
        with Service(
            tmp_path,
            BTG_DATADERDEN_URL=odata.url,
            BTG_RETRIES="0",
            BTG_LOCK_WAIT_S="600",
            BTG_WEBHOOK_URL=address,
        ) as service:
            story = Story(service, odata)
            deploy_and_see_scheduled_runs(story)
            publish_once_then_nothing_new(story)
            break_a_source(story, figures)
            kill_worker_and_run_in_the_middle(story, figures)
            block_a_gate(story, heard)
            outlive_the_limit(story, heard)
            recover_with_two_runs_at_once(story)
            story.note("stopping")
        story.note("stopped")
        nothing_was_open_to_others(service)
        no_secret_was_written(service)


def deploy_and_see_scheduled_runs(story: Story) -> None:
    service = story.service
    service.start_server()
    story.note("server answers")
    made = service.command("prefect", "work-pool", "create", "btg", "--type", "process")
    assert made.returncode == 0, made.stdout + made.stderr
    deployed = service.command("prefect", "--no-prompt", "deploy", "--all")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    story.note("deployed")
    times = wait_for("scheduled runs", lambda: scheduled(service), 90)
    assert {t.strftime("%H:%M") for t in times["nightly"]} == {"03:15"}
    assert {t.strftime("%H:%M %a") for t in times["weekly"]} == {"06:15 Sun"}
    create_automations(service)
    service.start_worker("first")
    story.note("worker online")


def create_automations(service: Service) -> None:
    """Create the automations of the documentation, impatient enough for a test."""
    path = REPOSITORY / "docs" / "deployment" / "automations.yaml"
    declared = yaml.safe_load(path.read_text())
    declared["automations"][0]["trigger"]["within"] = 40
    copy = service.root / "automations.yaml"
    copy.write_text(yaml.safe_dump(declared))
    made = service.command("prefect", "automation", "create", "--from-file", str(copy))
    assert made.returncode == 0, made.stdout + made.stderr


def scheduled(service: Service) -> dict[str, list[datetime]] | None:
    """Return when the runs of each deployment are due, in local time, once both have some."""
    times = {}
    for deployment in service.ask("/deployments/filter"):
        runs = service.ask(
            "/flow_runs/filter",
            deployments={"id": {"any_": [deployment["id"]]}},
            flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
        )
        times[deployment["name"]] = [
            datetime.fromisoformat(run["expected_start_time"]).astimezone(
                ZoneInfo("Europe/Amsterdam")
            )
            for run in runs
        ]
    return times if all(times.get(name) for name in ("nightly", "weekly")) else None


def publish_once_then_nothing_new(story: Story) -> None:
    run_id, state = story.refresh()
    assert (state["type"], state["name"]) == ("COMPLETED", "Published"), state
    assert "exit code 0" in state["message"]
    assert story.smokers() == 21.9
    assert story.odata.paths("TypedDataSet"), "the figures came from the service"
    tasks = story.service.tasks(run_id)
    assert {"plan", "fetch rivm 50090NED", "fetch rivm 50150NED", "build", "gates", "publish"} <= (
        tasks.keys()
    )
    assert set(tasks.values()) == {"Completed"}
    shown = story.service.artifacts(run_id)
    assert set(shown) == {"btg-run", "btg-fetch", "btg-findings", "btg-revisions", "btg-report"}
    assert shown["btg-fetch"] == 100.0
    assert "# Published" in shown["btg-run"]
    before = story.settings.database.stat().st_ino
    run_id, state = story.refresh()
    assert (state["type"], state["name"]) == ("COMPLETED", "NothingNew"), state
    assert story.settings.database.stat().st_ino == before


def break_a_source(story: Story, figures: Store) -> None:
    broken = change_unit(figures, "50150NED", ["Goed ervaren gezondheid"], "promille")
    story.odata.store = set_info(broken, "50150NED", Modified="2026-11-02T00:00:00")
    before = story.content()
    run_id, state = story.refresh()
    assert (state["type"], state["name"]) == ("COMPLETED", "PublishedWithWarnings"), state
    assert "exit code 4" in state["message"]
    findings = json.loads(story.service.artifacts(run_id)["btg-findings"])
    assert [f["table"] for f in findings if "promille" in f["message"]] == ["50150NED"]
    assert "50150NED" in story.service.artifacts(run_id)["btg-run"]
    assert publish.same_content(before, story.content())


def kill_worker_and_run_in_the_middle(story: Story, figures: Store) -> None:
    story.odata.store = revised(figures, 22.4, "2026-11-03T00:00:00")
    before = story.content()
    story.killed = story.service.trigger(NIGHTLY, only="rivm")
    marts = story.settings.marts_dir
    wait_for("a build under way", lambda: any((marts / ".build").glob("*.duckdb")), 120)
    pid = json.loads((marts / ".lock").read_text())["pid"]
    story.service.look_around()
    story.service.stop("first", signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    story.note("worker and run killed")
    assert story.content() == before
    assert not (marts / "btg.duckdb.wal").exists()
    story.service.start_worker("second")


def block_a_gate(story: Story, heard: list[dict[str, Any]]) -> None:
    audit = story.service.code / "sql" / "90_audits" / "always_blocks.sql"
    audit.write_text(ALWAYS_BLOCKS)
    before = story.content()
    run_id = story.service.trigger(WEEKLY)
    state = story.service.ended(run_id)
    audit.unlink()
    story.note(f"weekly ended as {state['name']}")
    assert (state["type"], state["name"]) == ("FAILED", "Blocked"), state
    assert "exit code 3" in state["message"]
    assert story.content() == before
    findings = json.loads(story.service.artifacts(run_id)["btg-findings"])
    assert "audit.always_blocks" in [finding.get("check") for finding in findings]
    assert story.service.tasks(run_id)["gates"] == "Failed"
    assert [n["event"] for n in heard if n["event"] == "blocked"] == ["blocked"]


def outlive_the_limit(story: Story, heard: list[dict[str, Any]]) -> None:
    before = story.content()
    run_id = story.service.trigger(WEEKLY, {"BTG_RUN_LIMIT_S": "4"})
    state = story.service.ended(run_id)
    story.note(f"weekly with a limit of 4 s ended as {state['name']}")
    assert (state["type"], state["name"]) == ("FAILED", "TimedOut"), state
    assert story.content() == before
    assert not (story.settings.marts_dir / "btg.duckdb.wal").exists()
    with publish.only_one_run(story.settings, wait_s=5):
        pass
    assert heard[-1]["event"] == "failed"


def recover_with_two_runs_at_once(story: Story) -> None:
    """One of two runs publishes, once the place of the killed run is free; the other follows."""
    n_before = len(story.outcomes())
    runs = [story.service.trigger(NIGHTLY, only="rivm"), story.service.trigger(WEEKLY)]
    states = [story.service.ended(run, limit_s=240)["name"] for run in runs]
    story.note(f"two at once ended as {' and '.join(states)}")
    assert sorted(map(str, story.outcomes()[n_before:])) == ["nothing_new", "published"]
    assert story.smokers() == 22.4
    assert not list((story.settings.marts_dir / ".build").iterdir())
    assert story.service.state(story.killed)["name"] == "Crashed"


def nothing_was_open_to_others(service: Service) -> None:
    assert service.listeners
    assert {address for address in service.listeners if not address.startswith("127.0.0.1:")} == (
        set()
    )
    assert service.strangers == set()


def no_secret_was_written(service: Service) -> None:
    paths = [p for p in service.root.rglob("*") if p.is_file() and not p.is_symlink()]
    assert any(p.name == "prefect.db" for p in paths)
    assert [str(p) for p in paths if SECRET.encode() in p.read_bytes()] == []
