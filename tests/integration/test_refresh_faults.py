"""One refresh per fault of a source: the published file stays intact, and the run says what, where.

Intact means: it opens, and no table says anything else about the region. A check that failed
publishes nothing; a delivery that was refused publishes the same figures with a new state of the
source. Either way exit code 4: a usable file is in place.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support import mutations as m
from tests.support.network import black_hole_url, refusing_url
from tests.support.odata_server import Fault, ODataServer
from tests.support.store import DATA_ENTITY, Store, load_snapshots

from btg import publish, warehouse
from btg.answers import freshness
from btg.catalogue.loader import Catalogue
from btg.pipeline import Options, RunReport, Workspace, refresh
from btg.settings import Settings

TABLE, OTHER = "50150NED", "50090NED"
HEALTHY = ["Goed ervaren gezondheid"]
GEO = "WijkenEnBuurten"
PAGE = 400
"""Rows per page: the 1,715 rows of the table make five pages."""
CHECKED_AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def served(published: Settings) -> Store:
    return load_snapshots(published.raw_dir, [TABLE, OTHER])


@pytest.fixture(scope="module")
def checked(
    published: Settings,
    catalogue: Catalogue,
    served: Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """A published home whose sources at RIVM were found unchanged on 20 November 2026."""
    home = tmp_path_factory.mktemp("checked")
    shutil.copytree(published.home / "data", home / "data")
    settings = replace(published, home=home)
    with ODataServer(served) as server:
        report = run(at(settings, server.url), catalogue, CHECKED_AT)
    assert report.exit_code == 0, report.message
    assert {f.result for f in report.fetched} == {"unchanged"}
    return settings


@pytest.fixture(scope="module")
def hashes(checked: Settings) -> Mapping[str, str]:
    return publish.content_hashes(checked.database)


@pytest.fixture
def home(checked: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(checked.home / "data", tmp_path / "data")
    return replace(checked, home=tmp_path)


@pytest.fixture
def server(served: Store) -> Iterator[ODataServer]:
    with ODataServer(served, page_size=PAGE) as running:
        yield running


def at(settings: Settings, url: str, **more: Any) -> Settings:
    """Return settings that ask the service at ``url``, without patience."""
    quick = {"timeout_s": 2.0, "connect_timeout_s": 0.5, "retries": 0, "deadline_s": 20.0}
    return replace(settings, cbs_url=url, dataderden_url=url, **{**quick, **more})


def run(
    settings: Settings, catalogue: Catalogue, now: datetime = NOW, full: bool = True
) -> RunReport:
    workspace = Workspace(settings, catalogue, clock=lambda: now)
    return refresh(workspace, Options(only="rivm", full=full))


def mark(path: Path) -> tuple[int, int]:
    """Return what changes when a file is replaced or written to."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def states(settings: Settings) -> dict[str, tuple[str, str]]:
    """Return the published state and message of the tables."""
    con = warehouse.open_published(settings.database)
    try:
        rows = warehouse.rows(con, "select table_id, state, state_message from meta.source")
    finally:
        con.close()
    return {table: (state, message) for table, state, message in rows}


def accepted(settings: Settings) -> str:
    return (settings.raw_dir / "rivm" / TABLE / "ACCEPTED").read_text(encoding="utf-8")


def data(kind: Any, page: int | None = None, **fields: Any) -> Fault:
    return Fault(kind, table=TABLE, entity=DATA_ENTITY, page=page, **fields)


# ---- the source does not answer, or not with a table: nothing is published


@dataclass(frozen=True)
class Failure:
    """A fault of the service, what the run must say of it, and the patience it gets."""

    fault: Fault
    says: str
    settings: Mapping[str, Any] = field(default_factory=dict)


FAILURES = {
    "429 that stays": Failure(
        data("status", status=429, headers={"Retry-After": "1"}), "HTTP 429", {"retries": 1}
    ),
    "429 for longer than we wait": Failure(
        data("status", status=429, headers={"Retry-After": "3600"}),
        "the next attempt would be in 3600 s",
        {"retries": 2},
    ),
    "500": Failure(data("status", status=500), "HTTP 500"),
    "503 on page 3 of 5": Failure(
        data("status", 3, status=503), "TypedDataSet, page 3 of 127.0.0.1", {"retries": 1}
    ),
    "read time-out": Failure(
        data("delay", 2, seconds=5.0), "no answer within 0.2 s", {"timeout_s": 0.2}
    ),
    "reset in mid-body": Failure(data("reset", 2), "the body broke off"),
    "truncated JSON": Failure(data("truncated", 4), "the JSON is damaged"),
    "HTML with status 200": Failure(data("html"), "expected JSON, found text/html"),
    "empty value list": Failure(data("empty"), "0 rows were received"),
    "empty value list of a probe": Failure(
        Fault("empty", table=TABLE, entity="TableInfos"), "TableInfos: expected one row, found none"
    ),
    "redirect loop": Failure(data("redirect"), "redirected more than 3 times (a loop?)"),
    "a page repeated": Failure(data("page_repeated", 3), "a page is"),
    "a page missing": Failure(data("page_missing", 3), "rows are missing or repeated"),
    "the last page missing": Failure(data("page_missing", 5), "a page is missing or repeated"),
    "nextLink to another host": Failure(
        data("next_to", 1, location="http://127.0.0.2:1/x?$skip=400"),
        "the answer points to another host",
    ),
    "NaN": Failure(data("number", 2, value="NaN"), "expected a number, found NaN"),
    "Infinity": Failure(data("number", 2, value="Infinity"), "expected a number, found Infinity"),
    "a string in a number": Failure(data("number", 2, value='"75,1"'), 'found "75,1"'),
    "200 MB": Failure(
        data("huge", size=200_000_000), "stopped at 5,000,000 bytes", {"max_bytes": 5_000_000}
    ),
    "200 MB that are announced": Failure(
        data("huge", size=200_000_000, headers={"Content-Length": "200000000"}),
        "stopped at 150,000,000 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_check_leaves_the_published_file_alone(
    home: Settings,
    catalogue: Catalogue,
    server: ODataServer,
    hashes: Mapping[str, str],
    name: str,
) -> None:
    failure = FAILURES[name]
    before, used = mark(home.database), accepted(home)
    with server.fault(Fault(**{**vars(failure.fault), "hits": 0})) as fault:
        report = run(at(home, server.url, **failure.settings), catalogue)
    assert fault.hits > 0
    assert (report.exit_code, report.outcome) == (4, "nothing_new")
    assert len(report.warnings) == 1
    says = report.warnings[0]
    assert f"{TABLE}: " in says
    assert failure.says in says
    assert "their last accepted figures serve" in says
    assert "\n" not in says
    assert mark(home.database) == before
    assert publish.content_hashes(home.database) == hashes
    assert accepted(home) == used
    assert server.bytes_sent < 50_000_000


def test_a_refused_connection_leaves_the_published_file_alone(
    home: Settings, catalogue: Catalogue, hashes: Mapping[str, str]
) -> None:
    report = run(at(home, refusing_url()), catalogue)
    assert report.exit_code == 4
    assert "the connection was refused" in report.warnings[0]
    assert OTHER in report.warnings[0]
    assert publish.content_hashes(home.database) == hashes


def test_a_name_that_cannot_be_resolved_leaves_the_published_file_alone(
    home: Settings, catalogue: Catalogue, hashes: Mapping[str, str]
) -> None:
    report = run(at(home, "http://nonexistent.invalid", connect_timeout_s=2.5), catalogue)
    assert report.exit_code == 4
    assert "nonexistent.invalid cannot be reached" in report.warnings[0]
    assert publish.content_hashes(home.database) == hashes


def test_a_network_that_swallows_everything_leaves_the_published_file_alone(
    home: Settings, catalogue: Catalogue, hashes: Mapping[str, str]
) -> None:
    with black_hole_url() as url:
        report = run(at(home, url), catalogue)
    assert report.exit_code == 4
    assert "no connection within 0.5 s" in report.warnings[0]
    assert publish.content_hashes(home.database) == hashes


def test_a_failure_is_in_the_run_state_and_gone_after_the_next_good_check(
    home: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    settings = at(home, server.url)
    with server.fault(data("status", status=500)):
        run(settings, catalogue)
    row = state_of(settings, catalogue)
    assert row["state"] == "current"
    assert row["failed_at"] == NOW.isoformat(timespec="seconds")
    assert row["checked_at"] == CHECKED_AT.isoformat(timespec="seconds")
    assert "HTTP 500" in row["message"]
    report = run(settings, catalogue, NOW.replace(hour=7))
    assert (report.exit_code, report.warnings) == (0, [])
    row = state_of(settings, catalogue)
    assert (row["failed_at"], row["message"]) == (None, "")


def state_of(settings: Settings, catalogue: Catalogue, now: datetime = NOW) -> dict[str, Any]:
    rows, _ = freshness.status(settings, catalogue, now)
    return next(row for row in rows if row["table_id"] == TABLE)


def test_a_429_with_retry_after_is_waited_for(
    home: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    fault = data("status", 2, status=429, headers={"Retry-After": "1"}, times=1)
    with server.fault(fault):
        report = run(at(home, server.url, retries=1), catalogue)
    page_2 = [
        r.at for r in server.requests if (r.table, r.entity, r.page) == (TABLE, DATA_ENTITY, 2)
    ]
    assert fault.hits == 1
    assert 1.0 <= page_2[1] - page_2[0] < 3.0
    assert (report.exit_code, report.outcome) == (0, "nothing_new")


# ---- a delivery that breaks the contract: refused, and told in the file


def as_text(store: Store) -> Store:
    changed = m.change_datatype(store, TABLE, HEALTHY, "String")
    key = m.topic_key(changed[TABLE], HEALTHY)
    for row in changed[TABLE][DATA_ENTITY]:
        row[key] = None if row[key] is None else f"{row[key]}"
    return changed


REFUSALS: dict[str, tuple[Callable[[Store], Store], str]] = {
    "renamed topic": (
        lambda s: m.rename_topic(s, TABLE, HEALTHY, "Gezondheid goed ervaren"),
        "expected the topic 'Goed ervaren gezondheid', found none",
    ),
    "topic listed twice": (
        lambda s: m.list_topic_twice(s, TABLE, HEALTHY),
        "expected one topic 'Goed ervaren gezondheid', found 2",
    ),
    "unit changed": (
        lambda s: m.change_unit(s, TABLE, HEALTHY, "aantal"),
        "unit of goed_ervaren_gezondheid is 'aantal', expected '%'",
    ),
    "type changed": (as_text, "data type of goed_ervaren_gezondheid is 'String'"),
    "a municipality missing": (
        lambda s: m.remove_region(s, TABLE, "GM0153"),
        "no figures for GM0153 of the 14 municipalities",
    ),
    "an unknown municipality": (
        lambda s: m.add_region(s, TABLE, "GM9901"),
        "unknown region code GM9901: not in regions.yml",
    ),
    "a value a hundred times too large": (
        lambda s: m.set_value(s, TABLE, HEALTHY, "GM0164", "2024JJ00", 7510.0),
        "goed_ervaren_gezondheid of GM0164 in 2024JJ00 is 7510, expected 0 to 100",
    ),
    "a new period code form": (
        lambda s: m.rename_period(s, TABLE, "2024JJ00", "2024G400"),
        "period '2024G400' does not parse: expected yyyyJJ00",
    ),
    "a new dimension": (
        lambda s: m.add_dimension(s, TABLE, "Geslacht"),
        "the table was redesigned, review its entry",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_delivery_publishes_the_same_figures_and_the_state_of_the_source(
    home: Settings,
    catalogue: Catalogue,
    server: ODataServer,
    hashes: Mapping[str, str],
    name: str,
) -> None:
    mutation, says = REFUSALS[name]
    used = accepted(home)
    server.store = mutation(server.store)
    report = run(at(home, server.url), catalogue)
    assert (report.exit_code, report.outcome) == (4, "published")
    assert len(report.warnings) == 1
    assert TABLE in report.warnings[0]
    assert says in report.warnings[0]
    assert "\n" not in report.warnings[0]
    assert publish.same_content(publish.content_hashes(home.database), hashes)
    assert accepted(home) == used
    state, message = states(home)[TABLE]
    assert state == "quarantined"
    assert says in message
    assert states(home)[OTHER] == ("current", "")
    row = state_of(home, catalogue)
    assert (row["state"], says in row["message"]) == ("quarantined", True)


def test_a_cell_that_occurs_twice_is_never_used(
    home: Settings, catalogue: Catalogue, server: ODataServer, hashes: Mapping[str, str]
) -> None:
    server.store = m.duplicate_cell(server.store, TABLE, "GM0153", "2020JJ00")
    report = run(at(home, server.url), catalogue)
    assert report.exit_code == 4
    assert f"{TABLE}: TypedDataSet: expected every cell once" in report.warnings[0]
    assert "GM0153, 2020JJ00" in report.warnings[0]
    assert publish.content_hashes(home.database) == hashes


# ---- changes that mean nothing: no new snapshot, nothing published


HARMLESS: dict[str, Callable[[Store], Store]] = {
    "all values identical": lambda s: m.set_info(s, TABLE, Modified="2026-11-20T02:00:00"),
    "suffix shifted": lambda s: m.shift_suffixes(s, TABLE),
    "padding changed": lambda s: m.change_padding(s, TABLE, GEO, 16),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_delivery_that_says_the_same_stores_and_publishes_nothing(
    home: Settings, catalogue: Catalogue, server: ODataServer, name: str
) -> None:
    server.store = HARMLESS[name](server.store)
    folders = sorted(path.name for path in (home.raw_dir / "rivm" / TABLE).iterdir())
    before = mark(home.database)
    report = run(at(home, server.url), catalogue)
    assert (report.exit_code, report.outcome, report.warnings) == (0, "nothing_new", [])
    assert {f.table_id: f.result for f in report.fetched} == {
        TABLE: "unchanged",
        OTHER: "unchanged",
    }
    assert sorted(path.name for path in (home.raw_dir / "rivm" / TABLE).iterdir()) == folders
    assert mark(home.database) == before


# ---- a refused source over several runs


def test_a_refusal_is_stored_and_logged_once_and_published_once(
    home: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    settings = at(home, server.url)
    server.store = m.change_unit(server.store, TABLE, HEALTHY, "aantal")
    run(settings, catalogue)
    before = mark(home.database)
    folder = home.raw_dir / "rivm" / TABLE
    content = {path.name: mark(path) for path in folder.iterdir()}
    second = run(settings, catalogue, NOW.replace(hour=7), full=False)
    assert [d.reason for d in second.decisions if d.table_id == TABLE] == [
        "the last delivery was refused"
    ]
    assert (second.exit_code, second.outcome) == (4, "nothing_new")
    assert mark(home.database) == before
    assert {path.name: mark(path) for path in folder.iterdir()} == content


def test_a_network_failure_does_not_hide_why_a_delivery_was_refused(
    home: Settings, catalogue: Catalogue, server: ODataServer
) -> None:
    server.store = m.change_unit(server.store, TABLE, HEALTHY, "aantal")
    run(at(home, server.url), catalogue)
    before = mark(home.database)
    for hour, url in ((7, refusing_url()), (8, server.url)):
        with server.fault(data("status", status=500)):
            report = run(at(home, url), catalogue, NOW.replace(hour=hour))
        assert report.exit_code == 4
        assert "unit of goed_ervaren_gezondheid is 'aantal'" in report.warnings[0]
        assert len(report.warnings) == 2
        assert mark(home.database) == before
    state, message = states(home)[TABLE]
    assert (state, "expected '%'" in message) == ("quarantined", True)


def test_a_source_that_is_sound_again_is_current_again(
    home: Settings,
    catalogue: Catalogue,
    server: ODataServer,
    served: Store,
    hashes: Mapping[str, str],
) -> None:
    settings = at(home, server.url)
    server.store = m.change_unit(server.store, TABLE, HEALTHY, "aantal")
    run(settings, catalogue)
    server.store = served
    report = run(settings, catalogue, NOW.replace(hour=7), full=False)
    assert (report.exit_code, report.outcome, report.warnings) == (0, "published", [])
    assert states(home)[TABLE] == ("current", "")
    assert publish.same_content(publish.content_hashes(home.database), hashes)


# ---- too old


def test_figures_that_nobody_could_check_for_too_long_are_shown_as_too_old_and_kept(
    home: Settings, catalogue: Catalogue, hashes: Mapping[str, str]
) -> None:
    late = datetime(2028, 1, 20, 6, tzinfo=UTC)
    settings = at(home, refusing_url())
    report = run(settings, catalogue, late)
    assert (report.exit_code, report.outcome) == (4, "published")
    assert any(
        w.startswith(f"rivm/{TABLE}: last good check 2026-11-20, at most 400 days")
        for w in report.warnings
    )
    assert publish.same_content(publish.content_hashes(home.database), hashes)
    state, message = states(home)[TABLE]
    assert (state, message) == ("too_old", "last good check 2026-11-20, at most 400 days allowed")
    assert state_of(home, catalogue, late)["state"] == "too_old"
    again = run(settings, catalogue, late.replace(day=21))
    assert (again.exit_code, again.outcome) == (4, "nothing_new")


def test_old_figures_are_no_failure_of_a_run_that_asks_no_source(
    home: Settings, catalogue: Catalogue
) -> None:
    late = datetime(2028, 1, 20, 6, tzinfo=UTC)
    workspace = Workspace(home, catalogue, clock=lambda: late)
    report = refresh(workspace, Options(offline=True))
    assert report.exit_code == 0
    assert any("last good check" in warning for warning in report.warnings)
    assert states(home)[TABLE][0] == "too_old"
