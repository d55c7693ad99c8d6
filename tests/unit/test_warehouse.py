"""One module opens databases; the published file is opened to read and in no other way."""

import ast
import hashlib
from pathlib import Path

import duckdb
import polars as pl
import pytest

from btg import warehouse
from btg.catalogue.loader import Catalogue
from btg.errors import PublishError, SnapshotError

SOURCE = Path(warehouse.__file__).parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small published file."""
    path = tmp_path / "btg.duckdb"
    con = duckdb.connect(str(path))
    con.execute("create schema marts; create table marts.t as select 1 as n")
    con.close()
    return path


def test_a_published_file_can_be_read(file: Path) -> None:
    con = warehouse.open_published(file)
    assert warehouse.rows(con, "select n from marts.t") == [(1,)]
    assert warehouse.frame(con, "select n from marts.t")["n"].to_list() == [1]
    con.close()


@pytest.mark.parametrize(
    "sql", ["insert into marts.t values (2)", "drop table marts.t", "create table marts.u (n int)"]
)
def test_a_published_file_cannot_be_written(file: Path, sql: str) -> None:
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    con = warehouse.open_published(file)
    with pytest.raises(duckdb.Error, match="read-only"):
        con.execute(sql)
    con.close()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert not file.with_name("btg.duckdb.wal").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_is_replaced_while_it_is_opened_is_opened_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The library opens the file three times: headers of one file, blocks of another."""
    newer = tmp_path / "newer.duckdb"
    con = duckdb.connect(str(newer))
    con.execute("create schema marts; create table marts.t as select 2 as n")
    con.close()
    connect, calls = duckdb.connect, []

    def replaced_meanwhile(path: str, **options: bool) -> duckdb.DuckDBPyConnection:
        calls.append(path)
        opened = connect(path, **options)
        if len(calls) == 1:
            newer.replace(file)
            if fails:
                opened.close()
                raise duckdb.IOException("could not read enough bytes")
        return opened

    monkeypatch.setattr(duckdb, "connect", replaced_meanwhile)
    con = warehouse.open_published(file)
    assert len(calls) == 2
    assert warehouse.rows(con, "select n from marts.t") == [(2,)]
    con.close()


def test_a_file_that_never_stays_the_same_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1000))
    monkeypatch.setattr(warehouse, "_identity", lambda _: (next(numbers), 0, 0))
    with pytest.raises(PublishError, match=r"btg.duckdb is replaced all the time"):
        warehouse.open_published(file)


def test_many_may_read_at_once(file: Path) -> None:
    readers = [warehouse.open_published(file) for _ in range(3)]
    assert [warehouse.rows(con, "select n from marts.t") for con in readers] == [[(1,)]] * 3
    for con in readers:
        con.close()


def test_a_file_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"btg.duckdb does not exist yet: run btg refresh"):
        warehouse.open_published(tmp_path / "btg.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_wal_beside_the_published_file_is_an_alarm(file: Path) -> None:
    file.with_name("btg.duckdb.wal").write_bytes(b"")
    with pytest.raises(PublishError, match=r"btg.duckdb.wal lies beside the published file"):
        warehouse.open_published(file)


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 4096])
def test_a_file_that_is_no_database_is_an_error_that_names_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "btg.duckdb"
    path.write_bytes(content)
    with pytest.raises(PublishError, match=r"btg.duckdb cannot be opened"):
        warehouse.open_published(path)
    assert path.read_bytes() == content


def test_only_a_candidate_is_opened_to_write(tmp_path: Path, file: Path) -> None:
    with pytest.raises(PublishError, match=r"btg.duckdb is not a candidate"):
        warehouse.open_candidate(file)
    candidate = tmp_path / ".build" / "run.duckdb"
    candidate.parent.mkdir()
    warehouse.open_candidate(candidate).close()
    assert candidate.exists()


def test_a_build_is_in_memory_in_utc_and_on_one_thread() -> None:
    con = warehouse.open_build()
    settings = "select current_setting('timezone'), current_setting('threads')"
    assert warehouse.rows(con, settings) == [("UTC", 1)]
    assert warehouse.rows(con, "select path from duckdb_databases() where not internal") == [
        (None,)
    ]
    con.close()


def test_a_build_downloads_no_extension() -> None:
    con = warehouse.open_build()
    names = ("autoinstall_known_extensions", "autoload_known_extensions")
    assert [warehouse.rows(con, f"select current_setting('{n}')") for n in names] == [
        [(False,)]
    ] * 2
    con.close()


def test_a_code_that_the_catalogue_does_not_know_cannot_enter_a_build(
    catalogue: Catalogue,
) -> None:
    con = warehouse.open_build()
    warehouse.declare_codes(con, warehouse.catalogue_codes(catalogue))
    known = pl.DataFrame({"region_code": ["GM0153"], "value": [1.0]})
    warehouse.load(con, "raw.known", known)
    assert warehouse.rows(con, "select region_code, value from raw.known") == [("GM0153", 1.0)]
    with pytest.raises(duckdb.Error, match="GM9999"):
        warehouse.load(
            con, "raw.unknown", known.with_columns(pl.lit("GM9999").alias("region_code"))
        )
    con.close()


def test_loading_twice_replaces(catalogue: Catalogue) -> None:
    con = warehouse.open_build()
    warehouse.declare_codes(con, warehouse.catalogue_codes(catalogue))
    for value in (1.0, 2.0):
        warehouse.load(con, "raw.t", pl.DataFrame({"value": [value, None]}))
    assert warehouse.rows(con, "select value from raw.t") == [(2.0,), (None,)]
    con.close()


def test_every_present_region_and_every_code_of_the_past_has_an_enumeration(
    catalogue: Catalogue,
) -> None:
    codes = warehouse.catalogue_codes(catalogue)
    assert len(codes["region_code"]) == len(set(codes["region_code"]))
    assert {"GM0153", "GM0457", "CR12", "PV23", "NL01"} <= set(codes["region_code"])
    assert set(codes["indicator_id"]) == {i.id for i in catalogue.indicators}


@pytest.mark.parametrize(
    ("stranger", "keeper"),
    [("duckdb.connect", {"warehouse"}), ("cbsodata", {"cbs"}), ("great_expectations", {"gx"})],
)
def test_each_heavy_stranger_has_one_door(stranger: str, keeper: set[str]) -> None:
    found = {path.stem for path in SOURCE.rglob("*.py") if stranger in _used(path)}
    assert found == keeper


def test_the_command_line_loads_no_heavy_library_before_it_knows_the_command() -> None:
    tree = ast.parse((SOURCE / "cli.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {a.name for n in top if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in top if isinstance(n, ast.ImportFrom)}
    heavy = {"polars", "duckdb", "pydantic", "yaml", "rich", "btg.commands", "btg.pipeline"}
    assert not names & heavy


def _used(path: Path) -> set[str]:
    """Return the modules that a file imports and the attributes of modules that it calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            used.add(node.module.split(".")[0])
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.add(f"{node.value.id}.{node.attr}")
    return used
