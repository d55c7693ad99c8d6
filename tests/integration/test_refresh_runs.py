"""How a refresh runs: what it decides to fetch, how it waits, how it dies, how little it costs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import mutations as m
from tests.support.network import black_hole_url, refusing_url
from tests.support.odata_server import Fault, ODataServer
from tests.support.store import DATA_ENTITY, Store, load_snapshots

from btg import cli, pipeline, publish, warehouse
from btg.answers import freshness
from btg.catalogue.loader import Catalogue
from btg.pipeline import Decision, Options, RunReport, Workspace, refresh
from btg.raw import SnapshotStore
from btg.settings import Settings
from btg.state import RunState, TableState, load_state, save_state

TABLE, OTHER = "50150NED", "50090NED"
HEALTHY = ["Goed ervaren gezondheid"]
START = datetime(2026, 11, 20, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def served(published: Settings) -> Store:
    return load_snapshots(published.raw_dir, [TABLE, OTHER])


@pytest.fixture
def server(served: Store) -> Iterator[ODataServer]:
    with ODataServer(served) as running:
        yield running


@pytest.fixture
def home(home: Settings, catalogue: Catalogue) -> Settings:
    """The published home as it is on the day before the story, whatever day the test runs."""
    yesterday = START - timedelta(days=1)
    refresh(Workspace(home, catalogue, clock=lambda: yesterday), Options(offline=True))
    return home


@pytest.fixture
def asked(home: Settings, server: ODataServer) -> Settings:
    """A home that asks the loopback service."""
    return replace(home, cbs_url=server.url, dataderden_url=server.url, retries=0)


def run(settings: Settings, catalogue: Catalogue, now: datetime, **options: Any) -> RunReport:
    workspace = Workspace(settings, catalogue, clock=lambda: now)
    return refresh(workspace, Options(**{"only": "rivm", **options}))


def fetch_only(
    settings: Settings, catalogue: Catalogue, now: datetime, **options: Any
) -> RunReport:
    """Run the stages up to gate 1: what follows is a build, and slow."""
    workspace = Workspace(settings, catalogue, clock=lambda: now)
    with workspace.alone():
        pipeline.adopt_seed(workspace)
        for decision in pipeline.plan(workspace, Options(**{"only": "rivm", **options})):
            if decision.action == "fetch":
                pipeline.fetch(workspace, decision)
        pipeline.judge(workspace)
        pipeline.finish(workspace)
    return workspace.report


def decision(report: RunReport, table_id: str = TABLE) -> Decision:
    return next(d for d in report.decisions if d.table_id == table_id)


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file below a folder with what changes when it is written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


# ---- nobody has to clean up


def test_what_killed_runs_left_unfinished_is_removed_and_nothing_else(
    home: Settings, catalogue: Catalogue
) -> None:
    table = home.raw_dir / "rivm" / TABLE
    (table / ".20261119T060000_abc.x7").mkdir()
    (table / ".20261119T060000_abc.x7" / "half.parquet").write_bytes(b"half")
    left = [table / ".accepted.x8", table / "revisions" / ".2026.parquet.x7",
            home.runs_dir / ".state.json.x9", home.build_dir / "x.duckdb"]  # fmt: skip
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    before = everything(home.raw_dir)
    report = run(home, catalogue, START, only=None, offline=True)
    assert report.outcome == "nothing_new"
    assert not any(path.exists() for path in left)
    kept = {name: facts for name, facts in before.items() if "/." not in name}
    after = everything(home.raw_dir)
    assert {name: after[name] for name in kept if Path(home.raw_dir / name).is_file()} == {
        name: facts for name, facts in kept.items() if Path(home.raw_dir / name).is_file()
    }
    assert not any("/." in name for name in after)


def test_reports_of_runs_go_after_the_days_of_the_settings(
    home: Settings, catalogue: Catalogue
) -> None:
    old = ["run_20260101T031500_000.json", "checks_20261015T031500_000.json"]
    new = ["run_20261101T031500_000.json", "state.json"]
    for name in old + new[:1]:
        (home.runs_dir / name).write_text("{}")
    report = run(replace(home, runs_keep_days=30), catalogue, START, only=None, offline=True)
    names = {path.name for path in home.runs_dir.iterdir()}
    assert not names & set(old)
    assert {*new, f"run_{report.run_id}.json"} <= names


def test_a_figure_that_goes_there_and_back_is_listed_with_each_of_its_runs(
    home: Settings, catalogue: Catalogue, served: Store
) -> None:
    """A, B, A, B: three revisions of one cell, all published."""
    first = m.set_value(served, OTHER, ["Roker"], "GM0153", "2020JJ00", 30.0)
    stores = [m.set_info(first, OTHER, Modified="2026-11-20T01:00:00"), served, first]
    for number, store in enumerate(stores):
        with ODataServer(store) as server:
            settings = replace(home, cbs_url=server.url, dataderden_url=server.url, retries=0)
            now = START + timedelta(days=8 * number)
            fetch_only(settings, catalogue, now)
    now = START + timedelta(days=20)
    report = run(home, catalogue, now, only=None, offline=True)
    assert report.outcome == "published", report.message
    con = warehouse.open_published(home.database)
    try:
        query = (
            "select new_value = 30, count(*), count(distinct run_id) from meta.revision "
            "where topic_id = 'roken' and region_code = 'GM0153' group by all order by all"
        )
        assert warehouse.rows(con, query) == [(False, 1, 1), (True, 2, 2)]
    finally:
        con.close()


# ---- probe, then fetch


def test_modified_decides_and_a_week_is_the_longest_without_a_look_at_the_figures(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    def data_requests() -> int:
        return len([path for path in server.paths(DATA_ENTITY) if TABLE in path])

    first = run(asked, catalogue, START)
    assert decision(first).reason == "never fetched from the source"
    assert data_requests() == 1

    second = run(asked, catalogue, START + timedelta(days=6))
    assert (decision(second).action, data_requests()) == ("skip", 1)
    assert decision(second).reason.startswith("unchanged since 20")
    assert second.outcome == "nothing_new"
    state = load_state(asked.runs_dir).of(TABLE)
    assert state.checked_at == "2026-11-26T06:00:00+00:00"
    assert state.full_fetch_at == "2026-11-20T06:00:00+00:00"

    third = run(asked, catalogue, START + timedelta(days=7, hours=1))
    assert decision(third).reason == "unchanged, but the last full fetch is over 7 days old"
    assert [f.result for f in third.fetched if f.table_id == TABLE] == ["unchanged"]
    assert data_requests() == 2

    server.store = m.set_info(server.store, TABLE, Modified="2026-11-28T02:00:00")
    fourth = run(asked, catalogue, START + timedelta(days=8))
    assert "changed at the source" in decision(fourth).reason
    assert "-> 2026-11-28T02:00:00" in decision(fourth).reason
    assert decision(fourth, OTHER).action == "skip"
    assert data_requests() == 3
    assert len(SnapshotStore(asked.raw_dir, asked.seed_raw_dir).all(catalogue.table(TABLE))) == 1

    fifth = run(asked, catalogue, START + timedelta(days=9), full=True)
    assert decision(fifth).reason == "full refetch was asked for"
    assert data_requests() == 4
    assert (fifth.exit_code, fifth.outcome) == (0, "nothing_new")


def test_a_silent_correction_is_found_by_the_weekly_look(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    fetch_only(asked, catalogue, START)
    server.store = m.set_value(server.store, TABLE, HEALTHY, "GM0153", "2020JJ00", 76.3)
    early = fetch_only(asked, catalogue, START + timedelta(days=5))
    assert decision(early).action == "skip"
    late = fetch_only(asked, catalogue, START + timedelta(days=8))
    found = next(f for f in late.fetched if f.table_id == TABLE)
    assert (found.result, found.n_revised) == ("accepted", 1)
    assert found.message == "1 cells differ from the last (1 revised)"


def test_a_series_added_to_the_catalogue_is_fetched_without_waiting_for_the_source(
    asked: Settings, catalogue: Catalogue
) -> None:
    fetch_only(asked, catalogue, START)
    table = catalogue.table(TABLE)
    further = table.measures[0].model_copy(update={"id": "nieuw"})
    wider = table.model_copy(update={"measures": [*table.measures, further]})
    tables = tuple(wider if t.id == TABLE else t for t in catalogue.tables)
    report = fetch_only(asked, replace(catalogue, tables=tables), START + timedelta(hours=1))
    assert decision(report).reason == ("the catalogue asks for series that are not held yet: nieuw")
    assert [f.result for f in report.fetched] == ["accepted"]
    again = fetch_only(asked, replace(catalogue, tables=tables), START + timedelta(hours=2))
    assert decision(again).action == "skip"


def test_plan_writes_nothing(asked: Settings, catalogue: Catalogue, tmp_path: Path) -> None:
    before = everything(tmp_path)
    workspace = Workspace(asked, catalogue, clock=lambda: START)
    decisions = pipeline.plan(workspace, Options(only="rivm"))
    assert {d.action for d in decisions} == {"fetch", "keep"}
    assert everything(tmp_path) == before


def test_the_plan_of_an_empty_home_leaves_it_empty(
    server: ODataServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BTG_HOME", str(tmp_path))
    monkeypatch.setenv("BTG_DATADERDEN_URL", server.url)
    assert cli.main(["plan", "--only", "rivm"]) == 0
    assert "plan: 2 to fetch, 0 not reachable" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_source_is_an_error_of_use(asked: Settings, catalogue: Catalogue) -> None:
    report = run(asked, catalogue, START, only="knmi")
    assert (report.exit_code, report.outcome) == (2, "blocked")
    assert "there is no source 'knmi'" in report.message


# ---- a human overrides


def test_a_refused_delivery_can_be_put_in_use_by_hand_and_stays_in_use(
    asked: Settings,
    catalogue: Catalogue,
    server: ODataServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.store = m.set_value(server.store, TABLE, HEALTHY, "GM0168", "2020JJ00", None)
    refused = fetch_only(asked, catalogue, START)
    found = next(f for f in refused.fetched if f.table_id == TABLE)
    assert (refused.exit_code, found.result) == (4, "quarantined")
    assert found.snapshot_id is not None
    assert "GM0168 2020JJ00" in found.message

    monkeypatch.setenv("BTG_HOME", str(asked.home))
    assert cli.main(["raw", "accept", found.snapshot_id]) == 2
    reason = "RIVM withdrew the figure of Losser"
    assert cli.main(["raw", "accept", found.snapshot_id, "--reason", reason]) == 0
    assert "1 cells differ" in capsys.readouterr().out

    snapshots = SnapshotStore(asked.raw_dir, asked.seed_raw_dir)
    table = catalogue.table(TABLE)
    assert snapshots.accepted(table).id == found.snapshot_id
    entry = snapshots.log(table)[-1]
    assert (entry["action"], entry["snapshot_id"]) == ("accept", found.snapshot_id)
    assert entry["reason"] == f"by hand: {reason}"
    told = snapshots.revisions(table, snapshots.accepted(table))
    assert told.select("topic_id", "region_code", "period", "cause").rows() == [
        ("goed_ervaren_gezondheid", "GM0168", "2020JJ00", "removed")
    ]

    later = fetch_only(asked, catalogue, START + timedelta(days=1))
    found = next(f for f in later.fetched if f.table_id == TABLE)
    assert (later.exit_code, found.result) == (0, "unchanged")
    rows, _ = freshness.status(asked, catalogue, START + timedelta(days=1))
    assert {r["state"] for r in rows if r["source_id"] == "rivm"} == {"current"}


def test_what_a_hand_put_in_use_still_has_to_pass_the_gates(
    asked: Settings,
    catalogue: Catalogue,
    server: ODataServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A share of 7 630 % is refused, accepted by mistake, and then blocked."""
    server.store = m.set_value(server.store, TABLE, HEALTHY, "GM0153", "2020JJ00", 7630.0)
    refused = fetch_only(asked, catalogue, START)
    found = next(f for f in refused.fetched if f.table_id == TABLE)
    assert found.result == "quarantined" and found.snapshot_id is not None
    monkeypatch.setenv("BTG_HOME", str(asked.home))
    assert cli.main(["raw", "accept", found.snapshot_id, "--reason", "by mistake"]) == 0
    before = publish.content_hashes(asked.database)
    report = run(asked, catalogue, START + timedelta(days=1), only=None, offline=True)
    assert (report.exit_code, report.outcome) == (3, "blocked"), report.message
    assert "goed_ervaren_gezondheid" in report.message
    assert "7630" in report.message
    assert "the published file is unchanged" in report.message
    assert publish.content_hashes(asked.database) == before


# ---- no network


def test_without_a_network_all_tables_are_told_in_one_line_in_little_time(
    home: Settings, catalogue: Catalogue
) -> None:
    url = refusing_url()
    settings = replace(home, cbs_url=url, dataderden_url=url.replace("127.0.0.1", "localhost"))
    report, took = timed(settings, catalogue)
    assert took < 3.0
    assert (report.exit_code, report.outcome) == (4, "nothing_new")
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith(
        "7 tables could not be checked at the source; their last accepted figures serve. First: "
        "70072ned: 127.0.0.1:"
    )


def test_a_name_server_that_is_silent_costs_less_than_three_seconds(
    home: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object, **__: object) -> Any:
        time.sleep(6.0)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    settings = replace(home, cbs_url="https://one.invalid", dataderden_url="https://two.invalid")
    report, took = timed(settings, catalogue)
    assert took < 3.0
    assert (report.exit_code, report.outcome, len(report.warnings)) == (4, "nothing_new", 1)
    assert "one.invalid cannot be reached: no connection within 2.5 s" in report.warnings[0]


def test_a_black_hole_costs_one_connect_time_out_per_host(
    home: Settings, catalogue: Catalogue
) -> None:
    with black_hole_url() as one, black_hole_url() as two:
        settings = replace(home, cbs_url=one, dataderden_url=two, connect_timeout_s=1.0)
        report, took = timed(settings, catalogue)
    assert took < 2.5
    assert (report.exit_code, len(report.warnings)) == (4, 1)


def timed(settings: Settings, catalogue: Catalogue) -> tuple[RunReport, float]:
    """Return the report of a refresh of all sources, and the seconds it took."""
    started = time.monotonic()
    report = refresh(Workspace(settings, catalogue, clock=lambda: START), Options())
    return report, time.monotonic() - started


# ---- nothing to do


def test_twenty_five_unchanged_tables_take_less_than_three_seconds_and_publish_nothing(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    """The tables of the catalogue and copies of one of them, under other ids."""
    table = catalogue.table(TABLE)
    ids = [f"{number}NED" for number in range(60001, 60026)]
    server.store = {
        name: m.set_info({name: server.store[TABLE]}, name, Identifier=name)[name] for name in ids
    }
    tables = tuple(table.model_copy(update={"id": name}) for name in ids)
    wider = replace(catalogue, tables=tables)
    seed = SnapshotStore(asked.raw_dir, asked.seed_raw_dir).accepted(table).folder.parent
    moment = START.isoformat(timespec="seconds")
    modified = str(server.store[ids[0]]["TableInfos"][0]["Modified"])
    for name in ids:
        shutil.copytree(seed, seed.with_name(name))
    for path in asked.raw_dir.glob("rivm/6*/*/snapshot.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        name = path.parents[1].name
        snapshot_id = manifest["snapshot_id"].replace(TABLE, name)
        manifest.update(table_id=name, snapshot_id=snapshot_id, origin="fetched")
        path.write_text(json.dumps(manifest), encoding="utf-8")
        for file in ("ACCEPTED", "acceptance.jsonl"):
            text = path.parents[1] / file
            text.write_text(text.read_text(encoding="utf-8").replace(TABLE, name), encoding="utf-8")
    fact = TableState(checked_at=moment, full_fetch_at=moment, source_modified=modified)
    save_state(asked.runs_dir, RunState(tables=dict.fromkeys(ids, fact)))
    workspace = Workspace(asked, wider, clock=lambda: START)
    used = pipeline.in_use(workspace, None)
    published = replace(
        workspace.state,
        published_inputs=pipeline.fingerprint(workspace, used),
        published_sources=pipeline.sources_fingerprint(workspace, used),
    )
    save_state(asked.runs_dir, published)

    before, kept = publish.content_hashes(asked.database), publish.history(asked)
    started = time.monotonic()
    report = refresh(Workspace(asked, wider, clock=lambda: START + timedelta(days=1)), Options())
    took = time.monotonic() - started
    assert took < 3.0
    assert [d.action for d in report.decisions] == ["skip"] * 25
    assert (report.exit_code, report.outcome) == (0, "nothing_new")
    assert len(server.requests) == 25
    assert server.connections <= 2
    assert publish.content_hashes(asked.database) == before
    assert sorted(asked.marts_dir.glob("history/*")) == kept


# ---- two at once


def test_a_second_refresh_waits_for_the_first(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    busy, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        busy.set()
        release.wait(20)

    server.hooks.append(hold)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run, asked, catalogue, START)
        assert busy.wait(20)
        second = pool.submit(run, asked, catalogue, START + timedelta(hours=1))
        time.sleep(0.5)
        assert not second.done()
        assert len(server.requests) == 1
        release.set()
        reports = first.result(60), second.result(60)
    assert [r.exit_code for r in reports] == [0, 0]
    assert decision(reports[0]).action == "fetch"
    assert decision(reports[1]).action == "skip"


def test_a_second_refresh_that_has_waited_long_enough_says_who_is_busy(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    before = everything(asked.raw_dir)
    with publish.only_one_run(asked, 1.0):
        report = run(replace(asked, lock_wait_s=0.3), catalogue, START)
    assert (report.exit_code, report.outcome) == (3, "blocked")
    assert "another run is busy" in report.message
    assert str(os.getpid()) in report.message
    assert "nothing was changed" in report.message
    assert server.requests == []
    assert everything(asked.raw_dir) == before
    assert run(asked, catalogue, START).exit_code == 0


# ---- killed

DYING = """
import os, pathlib, signal, sys
from dataclasses import replace
from datetime import datetime
from btg import pipeline
from btg.catalogue.loader import load_catalogue
from btg.settings import load_settings

url, stages, now, *homes = sys.argv[1:]
catalogue, moment = load_catalogue(), datetime.fromisoformat(now)
steps, is_counting = 0, stages == "fetch"


def run(home, stop_at):
    def step(original):
        # die before the n-th time that a file or folder gets its final name
        def wrapper(self, *arguments):
            global steps
            steps += is_counting
            if is_counting and steps == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, *arguments)

        return wrapper

    def tell(stage):
        global is_counting
        is_counting = is_counting or stage == stages

    pathlib.Path.replace = step(pathlib.Path.replace)
    pathlib.Path.rename = step(pathlib.Path.rename)
    settings = replace(load_settings({"BTG_HOME": home}), cbs_url=url, dataderden_url=url)
    workspace = pipeline.Workspace(settings, catalogue, clock=lambda: moment, progress=tell)
    options = pipeline.Options(only="rivm")
    if stages != "fetch":
        pipeline.refresh(workspace, options)
        return
    for decision in pipeline.plan(workspace, options):
        if decision.table_id == "50150NED":
            pipeline.fetch(workspace, decision)


if len(homes) == 1:
    run(homes[0], 0)
    sys.exit()
for number, home in enumerate(homes):
    child = os.fork()
    if child == 0:
        run(home, number)
        os._exit(100 + steps)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def is_asked_for(server: ODataServer, table_id: str) -> bool:
    return any(table_id in path for path in server.paths(DATA_ENTITY))


def dying(url: str, stages: str, homes: list[Settings]) -> subprocess.Popen[str]:
    """Start runs that are killed at their n-th step, one per home; the first one is not.

    It prints how each ended: minus the signal, or 100 and the number of steps.
    """
    arguments = [url, stages, START.isoformat(), *(str(home.home) for home in homes)]
    command = [sys.executable, "-c", DYING, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def copied(settings: Settings, folder: Path) -> Settings:
    shutil.copytree(settings.home / "data", folder / "data")
    return replace(settings, home=folder)


def is_sound(settings: Settings, catalogue: Catalogue) -> bool:
    """Return whether every stored snapshot is whole and one of each table is in use."""
    snapshots = SnapshotStore(settings.raw_dir, settings.seed_raw_dir)
    return all(
        snapshots.verify(t) == [] and snapshots.accepted(t).entities()
        for t in catalogue.used_tables()
    )


STEPS = {"fetch": 6, "publish": 5}
"""Names given by a fetch that is accepted (manifest, snapshot, revisions, log, ACCEPTED, state),
and by the publication of a new state (copy, published file, state, state again, report)."""


@pytest.mark.parametrize("stages", STEPS)
def test_a_run_killed_before_any_step_leaves_nothing_half_and_the_next_one_works(
    asked: Settings, catalogue: Catalogue, server: ODataServer, tmp_path: Path, stages: str
) -> None:
    run(asked, catalogue, START - timedelta(hours=1))
    value = 76.3 if stages == "fetch" else 7630.0
    server.store = m.set_value(server.store, TABLE, HEALTHY, "GM0153", "2020JJ00", value)
    server.store = m.set_info(server.store, TABLE, Modified="2026-11-20T02:00:00")
    intact = publish.content_hashes(asked.database)
    homes = [copied(asked, tmp_path / f"step {n}") for n in range(STEPS[stages] + 1)]
    ends = [
        int(line) for line in dying(server.url, stages, homes).communicate(timeout=120)[0].split()
    ]
    assert ends == [100 + STEPS[stages], *[-signal.SIGKILL] * STEPS[stages]]
    for number, home in list(enumerate(homes))[1:]:
        assert publish.same_content(publish.content_hashes(home.database), intact), number
        assert is_sound(home, catalogue), number
        assert not home.database.with_name("btg.duckdb.wal").exists()
        if stages == "fetch":
            report = fetch_only(home, catalogue, START + timedelta(hours=1))
            found = next(f for f in report.fetched if f.table_id == TABLE)
            assert found.result == ("unchanged" if number == 6 else "accepted"), number
            told = SnapshotStore(home.raw_dir, home.seed_raw_dir)
            table = catalogue.table(TABLE)
            assert told.revisions(table, told.accepted(table)).height == 1, number
        else:
            report = run(home, catalogue, START + timedelta(hours=1))
            assert report.exit_code == 4, (number, report.message)
            assert report.outcome == ("nothing_new" if number >= 4 else "published"), number
            assert publish.same_content(publish.content_hashes(home.database), intact), number
        assert is_sound(home, catalogue), number
        assert not [p for p in home.raw_dir.rglob(".*") if p.is_dir()], number


def test_a_run_killed_while_it_waits_for_a_source_does_not_keep_the_lock(
    asked: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    intact = publish.content_hashes(asked.database)
    with server.fault(Fault("delay", table=TABLE, entity=DATA_ENTITY, seconds=30.0)):
        child = dying(server.url, "none", [asked])
        deadline = time.monotonic() + 30
        while not is_asked_for(server, TABLE) and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    assert publish.content_hashes(asked.database) == intact
    started = time.monotonic()
    report = run(asked, catalogue, START + timedelta(hours=1))
    assert time.monotonic() - started < 5.0
    assert (report.exit_code, is_sound(asked, catalogue)) == (0, True)


# ---- the run state


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"x"', '{"tables": 3}', '{"tables": {"a": {"b": 1}}}']
)
def test_a_run_state_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, encoding="utf-8")
    assert load_state(tmp_path) == RunState()


def test_the_run_state_is_what_was_saved(tmp_path: Path) -> None:
    state = RunState().with_table("a", checked_at=START.isoformat(), message="unit changed")
    state = state.with_table("a", problem="quarantined")
    state = state.with_failure("a", "2026-11-21T06:00:00+00:00", "no network")
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    assert state.of("a").message == "unit changed"
    assert state.with_failure("b", "2026-11-21", "no network").of("b").message == "no network"
