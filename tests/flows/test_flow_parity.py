"""With Prefect or without: the same functions, the same database, the same exit code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.flows.harness import BIN, REPOSITORY, plain_environment
from tests.support.mutations import set_info, set_value
from tests.support.network import refusing_url
from tests.support.odata_server import ODataServer
from tests.support.store import load_snapshots

from btg import warehouse
from btg.settings import Settings, load_settings

STAMP = r"\d{8}T\d{6}(_\d{3})?"
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


def differences(one: Path, other: Path) -> dict[str, list[Any]]:
    """Return rows that only one of two homes has published, by table; moments do not count."""
    con = duckdb.connect()
    for name, root in (("one", one), ("other", other)):
        con.execute(f"attach '{settings_of(root).database}' as {name} (read_only)")
    found = {}
    for table, columns in tables(con, "one").items():
        told = ", ".join(columns)
        rows = con.execute(
            f"(select {told} from one.{table} except all select {told} from other.{table}) "
            "union all "
            f"(select {told} from other.{table} except all select {told} from one.{table}) limit 5"
        ).fetchall()
        if rows:
            found[table] = rows
    assert tables(con, "one").keys() == tables(con, "other").keys()
    con.close()
    return found


def tables(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[str]]:
    """Return what each published table says, as expressions: stamps of runs are taken out."""
    rows = con.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? and schema_name in ('marts', 'meta') order by all",
        [database],
    ).fetchall()
    result: dict[str, list[str]] = {}
    for table, column, kind in rows:
        if table in MOMENTS or (table in TIMED and kind == "TIMESTAMP"):
            continue
        text = f"regexp_replace({column}, '{STAMP}', '', 'g')"
        result.setdefault(table, []).append(text if kind == "VARCHAR" else column)
    return result


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
    assert differences(tmp_path / "cron", tmp_path / "flow") == {}
    con = warehouse.open_published(settings_of(tmp_path / "flow").database)
    try:
        assert warehouse.rows(con, "select count(*) > 1000 from marts.btg_index") == [(True,)]
        revised = "select new_value from meta.revision where new_value = 22.4"
        assert len(warehouse.rows(con, revised)) == 1
    finally:
        con.close()


def test_a_difference_between_two_databases_is_seen(home: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "home" / "data" / "marts" / "btg.duckdb"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(home.database, copy)
    con = duckdb.connect(str(copy))
    con.execute("update marts.btg_index set score = score + 1 where region_code = 'GM0153'")
    con.close()
    (tmp_path / "home_of").mkdir()
    (tmp_path / "home_of" / "home").symlink_to(home.home)
    assert set(differences(tmp_path / "home_of", tmp_path)) == {"marts.btg_index"}


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
    operations = "btg.operations.notify, btg.operations.digest, btg.operations.doctor"
    modules = f"btg.cli, btg.commands, btg.pipeline, {operations}"
    loaded = "any(name.split('.')[0] == 'prefect' for name in sys.modules)"
    code = f"import sys, {modules}; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
