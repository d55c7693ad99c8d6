"""With Prefect or without: the same functions, the same database, the same exit code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.flows.harness import BIN, REPOSITORY, plain_environment
from tests.support.mutations import set_info, set_value
from tests.support.network import refusing_url
from tests.support.odata_server import ODataServer
from tests.support.store import load_snapshots

from btg import warehouse
from btg.settings import Settings, load_settings

STAMPS = re.compile(r"\d{8}T\d{6}(_\d{3})?")
MOMENTS = {"meta.run", "meta.check_result"}
"""Tables that are about the run itself."""
TIMED = {"meta.source", "meta.snapshot"}
"""Tables that say when something was fetched or checked."""


@pytest.fixture(scope="module")
def odata() -> Iterator[ODataServer]:
    """The figures of one source, one of them revised."""
    store = load_snapshots(REPOSITORY / "data" / "raw" / "rivm")
    store = set_value(store, "50090NED", ["Roker"], "GM0153", "2020JJ00", 22.4)
    with ODataServer(set_info(store, "50090NED", Modified="2026-11-03T00:00:00")) as server:
        yield server


def run(root: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a home of its own, with no Prefect server set."""
    root.mkdir(exist_ok=True)
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=REPOSITORY,
        env=plain_environment(root, REPOSITORY, BTG_RETRIES="0", **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def content(root: Path) -> dict[str, list[str]]:
    """Return every row that a home has published, with the moments taken out."""
    settings = settings_of(root)
    con = warehouse.open_published(settings.database)
    try:
        names = warehouse.rows(
            con,
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where schema_name in ('marts', 'meta') order by all",
        )
        return {
            name: sorted(told(name, row) for row in warehouse.rows(con, f"select * from {name}"))
            for (name,) in names
            if name not in MOMENTS
        }
    finally:
        con.close()


def told(table: str, row: tuple[Any, ...]) -> str:
    """Return a row as text; when a thing was fetched or checked is no part of what it says."""
    cells = [str(c) for c in row if not (table in TIMED and hasattr(c, "hour"))]
    return STAMPS.sub("", "|".join(cells))


def settings_of(root: Path) -> Settings:
    return load_settings({"BTG_HOME": str(root / "home")})


@pytest.mark.slow
def test_cron_and_flow_make_the_same_database(tmp_path: Path, odata: ODataServer) -> None:
    address = {"BTG_DATADERDEN_URL": odata.url, "BTG_CBS_URL": refusing_url()}
    with ThreadPoolExecutor(2) as both:
        running = [
            both.submit(run, tmp_path / "cron", "btg", "refresh", **address),
            both.submit(run, tmp_path / "flow", "python", "flows/refresh.py", **address),
        ]
    cron, flow = (one.result() for one in running)
    assert cron.returncode == 4, cron.stderr
    assert flow.returncode == 4, flow.stdout + flow.stderr
    assert "Published" in flow.stdout + flow.stderr
    by_cron, by_flow = content(tmp_path / "cron"), content(tmp_path / "flow")
    assert by_cron.keys() == by_flow.keys()
    assert len(by_cron["marts.btg_index"]) > 1000
    assert any("22.4" in row for row in by_cron["meta.revision"])
    for name, rows in by_cron.items():
        assert rows == by_flow[name], name


def test_a_server_that_is_down_does_not_stop_the_cron_path(home: Settings) -> None:
    done = run(
        home.home / "elsewhere",
        *("btg", "refresh", "--offline", "--json"),
        BTG_HOME=str(home.home),
        PREFECT_API_URL=f"{refusing_url()}/api",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "nothing_new"


def test_the_command_line_never_loads_prefect() -> None:
    modules = "btg.cli, btg.commands, btg.pipeline, btg.notify, btg.digest, btg.doctor"
    loaded = "any(name.split('.')[0] == 'prefect' for name in sys.modules)"
    code = f"import sys, {modules}; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
