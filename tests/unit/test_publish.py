"""The published file is the old one or the new one, whole, whatever happens on the way."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import polars as pl
import pytest

from btg import publish, warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import ColumnEntry, Dictionary, TableEntry
from btg.errors import GateBlockedError, PublishError
from btg.settings import Settings, load_settings

SMALL = Dictionary(
    columns={
        "year": ColumnEntry(type="INTEGER", description="Calendar year."),
        "score": ColumnEntry(type="DOUBLE", description="Score; 'higher' is better."),
        "run_id": ColumnEntry(type="VARCHAR", description="Run."),
    },
    tables={
        "marts.score": TableEntry(
            description="Scores.", grain=["year"], columns=["year", "score"], not_null=[]
        ),
        "meta.run": TableEntry(
            description="The run.", grain=["run_id"], columns=["run_id"], not_null=[]
        ),
    },
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"BTG_HOME": str(tmp_path), "BTG_HISTORY_KEEP": "3"})


@pytest.fixture
def small(catalogue: Catalogue) -> Catalogue:
    return dataclasses.replace(catalogue, dictionary=SMALL)


def candidate(
    settings: Settings, small: Catalogue, score: float | None = 100.0, run_id: str = "run"
) -> Path:
    """Write a candidate with one score and return its path."""
    con = warehouse.open_build()
    scores = pl.DataFrame({"year": [2019], "score": [score]}, schema_overrides={"year": pl.Int64})
    warehouse.load(con, "marts.score", scores)
    warehouse.load(con, "meta.run", pl.DataFrame({"run_id": [run_id]}))
    path = publish.write_candidate(con, small, settings.marts_dir / ".build", run_id)
    con.close()
    return path


def put(settings: Settings, small: Catalogue, score: float, run_id: str) -> None:
    publish.put_in_place(settings, candidate(settings, small, score, run_id), run_id)


def score_of(path: Path) -> float:
    con = warehouse.open_published(path)
    try:
        return float(warehouse.rows(con, "select score from marts.score")[0][0])
    finally:
        con.close()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- the candidate


def test_a_candidate_has_the_types_and_comments_of_the_dictionary(
    settings: Settings, small: Catalogue
) -> None:
    con = duckdb.connect(str(candidate(settings, small)), read_only=True)
    columns = con.execute(
        "select column_name, data_type, comment, is_nullable from duckdb_columns() "
        "where table_name = 'score' order by column_index"
    ).fetchall()
    tables = con.execute("select table_name, comment from duckdb_tables() order by 1").fetchall()
    con.close()
    assert columns == [
        ("year", "INTEGER", "Calendar year.", False),
        ("score", "DOUBLE", "Score; 'higher' is better.", True),
    ]
    assert tables == [("run", "The run. Grain: run_id."), ("score", "Scores. Grain: year.")]


def test_a_candidate_is_closed_and_has_no_wal(settings: Settings, small: Catalogue) -> None:
    path = candidate(settings, small)
    assert path == settings.marts_dir / ".build" / "run.duckdb"
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.duckdb"]


def test_a_null_where_none_may_be_leaves_no_candidate(settings: Settings, small: Catalogue) -> None:
    con = warehouse.open_build()
    warehouse.load(con, "marts.score", pl.DataFrame({"year": [None], "score": [1.0]}))
    warehouse.load(con, "meta.run", pl.DataFrame({"run_id": ["run"]}))
    with pytest.raises(PublishError, match=r"candidate could not be written: .*year"):
        publish.write_candidate(con, small, settings.marts_dir / ".build", "run")
    con.close()
    assert list((settings.marts_dir / ".build").iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_what_breaks_off_the_writing_is_what_is_raised(
    settings: Settings,
    small: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    """A limit or an interruption is no fault of the candidate, and is never called one."""

    def broken_off(*_: object) -> None:
        raise error

    con = warehouse.open_build()
    monkeypatch.setattr(publish, "_copy_table", broken_off)
    with pytest.raises(error):
        publish.write_candidate(con, small, settings.marts_dir / ".build", "run")
    names = "select database_name from duckdb_databases() where not internal"
    assert warehouse.rows(con, names) == [("memory",)]
    con.close()


def test_a_table_that_was_not_built_leaves_no_candidate(
    settings: Settings, small: Catalogue
) -> None:
    con = warehouse.open_build()
    with pytest.raises(PublishError, match=r"candidate could not be written: .*score"):
        publish.write_candidate(con, small, settings.marts_dir / ".build", "run")
    con.close()
    assert list((settings.marts_dir / ".build").iterdir()) == []


def test_a_quote_in_the_path_is_no_sql(tmp_path: Path, small: Catalogue) -> None:
    odd = load_settings({"BTG_HOME": str(tmp_path / "it's here")})
    assert score_of(candidate(odd, small)) == 100.0


def test_the_content_of_a_file_has_a_hash_per_table_whatever_the_order_of_the_rows(
    settings: Settings, small: Catalogue, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.duckdb", tmp_path / "other.duckdb"
    for path, order in ((one, "asc"), (other, "desc")):
        con = duckdb.connect(str(path))
        con.execute("create schema marts")
        con.execute(f"create table marts.t as select n from range(5) as r(n) order by n {order}")
        con.close()
    assert publish.content_hashes(one) == publish.content_hashes(other)
    con = duckdb.connect(str(other))
    con.execute("update marts.t set n = null where n = 0")
    con.close()
    assert publish.content_hashes(one) != publish.content_hashes(other)


def test_content_is_the_same_if_only_the_tables_about_the_run_differ() -> None:
    before = {"marts.score": "a", "meta.run": "1", "meta.source": "1", "meta.check_result": "1"}
    after = {"marts.score": "a", "meta.run": "2", "meta.source": "2", "meta.check_result": "2"}
    assert publish.same_content(before, after)
    assert not publish.same_content(before, after | {"marts.score": "b"})
    assert not publish.same_content(before, after | {"marts.more": "c"})


# ---- stamps


def test_the_tables_about_the_run_may_be_written_after_the_audit(
    settings: Settings, small: Catalogue
) -> None:
    path = candidate(settings, small)
    publish.restamp(path, {"meta.run": pl.DataFrame({"run_id": ["later"]})})
    con = warehouse.open_published(path)
    assert warehouse.rows(con, "select run_id from meta.run") == [("later",)]
    assert warehouse.rows(con, "select score from marts.score") == [(100.0,)]
    con.close()


@pytest.mark.parametrize("table", ["marts.score", "meta.method", "meta.baseline"])
def test_no_other_table_may_be_written_after_the_audit(
    settings: Settings, small: Catalogue, table: str
) -> None:
    path = candidate(settings, small)
    before = digest(path)
    with pytest.raises(PublishError, match="may be written after the audit"):
        publish.restamp(path, {table: pl.DataFrame({"year": [2019], "score": [200.0]})})
    assert digest(path) == before


def test_a_file_that_is_in_place_cannot_be_stamped(settings: Settings, small: Catalogue) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    with pytest.raises(PublishError, match="is not a candidate"):
        publish.restamp(settings.database, {"meta.run": pl.DataFrame({"run_id": ["later"]})})
    assert digest(settings.database) == before


def test_a_copy_of_the_published_file_is_stamped_and_not_the_file_itself(
    settings: Settings, small: Catalogue
) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    copy = publish.copy_published(settings, "run2")
    publish.restamp(copy, {"meta.run": pl.DataFrame({"run_id": ["run2"]})})
    assert digest(settings.database) == before
    assert score_of(copy) == 100.0


# ---- in place


def test_a_candidate_becomes_the_published_file_and_can_only_be_read(
    settings: Settings, small: Catalogue
) -> None:
    path = candidate(settings, small)
    publish.put_in_place(settings, path, "run")
    assert score_of(settings.database) == 100.0
    assert settings.database.stat().st_mode & 0o777 == 0o444
    assert not path.exists()
    assert publish.history(settings) == []


def test_the_file_before_goes_to_the_history(settings: Settings, small: Catalogue) -> None:
    put(settings, small, 100.0, "run1")
    put(settings, small, 101.0, "run2")
    assert score_of(settings.database) == 101.0
    assert [p.name for p in publish.history(settings)] == ["btg_until_run2.duckdb"]
    assert score_of(publish.history(settings)[0]) == 100.0


def test_a_reader_of_the_old_file_is_not_disturbed(settings: Settings, small: Catalogue) -> None:
    put(settings, small, 100.0, "run1")
    con = warehouse.open_published(settings.database)
    put(settings, small, 101.0, "run2")
    assert warehouse.rows(con, "select score from marts.score") == [(100.0,)]
    con.close()
    assert score_of(settings.database) == 101.0


def test_the_history_keeps_the_newest_files(settings: Settings, small: Catalogue) -> None:
    for number in range(6):
        put(settings, small, float(number), f"run{number}")
    assert [score_of(path) for path in publish.history(settings)] == [2.0, 3.0, 4.0]
    assert score_of(settings.database) == 5.0


def test_a_stale_wal_stops_publication_with_an_alarm(settings: Settings, small: Catalogue) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    path = candidate(settings, small, 101.0, "run2")
    settings.database.with_name("btg.duckdb.wal").write_bytes(b"x")
    with pytest.raises(PublishError, match=r"btg.duckdb.wal lies beside"):
        publish.put_in_place(settings, path, "run2")
    assert digest(settings.database) == before
    assert publish.history(settings) == []


def test_a_candidate_that_was_not_closed_is_refused(settings: Settings, small: Catalogue) -> None:
    path = candidate(settings, small)
    path.with_name(path.name + ".wal").write_bytes(b"x")
    with pytest.raises(PublishError, match=r"run.duckdb still has a .wal"):
        publish.put_in_place(settings, path, "run")
    assert not settings.database.exists()


def test_a_rename_that_fails_leaves_the_published_file(
    settings: Settings, small: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    path = candidate(settings, small, 101.0, "run2")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PublishError, match=r"btg.duckdb could not be replaced \(No space left"):
        publish.put_in_place(settings, path, "run2")
    assert digest(settings.database) == before


# ---- back


def test_rollback_puts_the_file_before_back_and_keeps_the_one_that_was_there(
    settings: Settings, small: Catalogue
) -> None:
    put(settings, small, 100.0, "run1")
    put(settings, small, 101.0, "run2")
    publish.rollback(settings, None)
    assert score_of(settings.database) == 100.0
    assert settings.database.stat().st_mode & 0o777 == 0o444
    assert sorted(score_of(path) for path in publish.history(settings)) == [100.0, 101.0]


def test_rollback_takes_the_file_that_was_replaced_in_the_run_that_is_named(
    settings: Settings, small: Catalogue
) -> None:
    for number in range(4):
        put(settings, small, float(number), f"run{number}")
    publish.rollback(settings, "run2")
    assert score_of(settings.database) == 1.0


def test_rollback_after_an_earlier_rollback_takes_the_newest_file(
    settings: Settings, small: Catalogue
) -> None:
    put(settings, small, 1.0, "20260101T000000_000")
    put(settings, small, 2.0, "20260102T000000_000")
    publish.rollback(settings, None)
    put(settings, small, 3.0, "29990103T000000_000")
    publish.rollback(settings, None)
    assert score_of(settings.database) == 1.0


def test_rollback_without_history_is_an_error(settings: Settings, small: Catalogue) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    with pytest.raises(PublishError, match="history holds no file: nothing to put back"):
        publish.rollback(settings, None)
    with pytest.raises(PublishError, match="history holds no file of run run9"):
        publish.rollback(settings, "run9")
    assert digest(settings.database) == before


def test_rollback_to_a_file_that_does_not_open_is_an_error(
    settings: Settings, small: Catalogue
) -> None:
    put(settings, small, 100.0, "run1")
    put(settings, small, 101.0, "run2")
    before = digest(settings.database)
    kept = publish.history(settings)[0]
    kept.chmod(0o644)
    kept.write_bytes(b"damaged")
    with pytest.raises(PublishError, match=rf"{kept.name} cannot be opened"):
        publish.rollback(settings, None)
    assert digest(settings.database) == before


# ---- parquet


def test_the_parquet_copies_hold_the_marts_and_no_rest(
    settings: Settings, small: Catalogue
) -> None:
    con = warehouse.open_build()
    for value in (1.0, 2.0):
        warehouse.load(con, "marts.score", pl.DataFrame({"year": [2019], "score": [value]}))
        publish.write_parquet(settings, con, small)
    con.close()
    folder = settings.marts_dir / "parquet"
    assert [path.name for path in folder.iterdir()] == ["score.parquet"]
    assert pl.read_parquet(folder / "score.parquet")["score"].to_list() == [2.0]


# ---- one run at a time, and sudden death


def test_a_second_run_waits_and_then_gives_up_naming_the_first(settings: Settings) -> None:
    with (
        publish.only_one_run(settings, 0),
        pytest.raises(GateBlockedError, match=rf'another run is busy \({{"pid": {os.getpid()}'),
        publish.only_one_run(settings, 0.2),
    ):
        pass
    with publish.only_one_run(settings, 0):
        pass


def test_the_lock_of_a_run_that_was_killed_holds_nobody_up(settings: Settings) -> None:
    code = f"""
        import os, signal
        from btg import publish
        from btg.settings import load_settings
        with publish.only_one_run(load_settings({{"BTG_HOME": {str(settings.home)!r}}}), 0):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert killed(code)
    held = json.loads((settings.marts_dir / ".lock").read_text(encoding="utf-8"))
    assert held["pid"] != os.getpid()
    with publish.only_one_run(settings, 0):
        pass


@pytest.mark.parametrize("step", ["os.fsync", "os.link", "Path.chmod", "Path.replace"])
def test_sudden_death_before_the_rename_leaves_the_published_file_as_it_was(
    settings: Settings, small: Catalogue, step: str
) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    path = candidate(settings, small, 101.0, "run2")
    owner, name = step.split(".")
    code = f"""
        import os, signal
        from pathlib import Path
        from btg import publish
        from btg.settings import load_settings
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        {owner}.{name} = die
        settings = load_settings({{"BTG_HOME": {str(settings.home)!r}}})
        publish.put_in_place(settings, Path({str(path)!r}), "run2")
    """
    assert killed(code)
    assert digest(settings.database) == before
    assert not settings.database.with_name("btg.duckdb.wal").exists()
    assert score_of(settings.database) == 100.0
    put(settings, small, 102.0, "run3")
    assert score_of(settings.database) == 102.0
    assert score_of(publish.history(settings)[-1]) == 100.0


def test_sudden_death_while_a_candidate_is_written_leaves_the_published_file_as_it_was(
    settings: Settings, small: Catalogue
) -> None:
    put(settings, small, 100.0, "run1")
    before = digest(settings.database)
    code = f"""
        import os, signal
        from btg import publish, warehouse
        from btg.settings import load_settings
        settings = load_settings({{"BTG_HOME": {str(settings.home)!r}}})
        copy = publish.copy_published(settings, "run2")
        con = warehouse.open_candidate(copy)
        con.execute("delete from meta.run")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert killed(code)
    assert digest(settings.database) == before
    assert score_of(settings.database) == 100.0


def killed(code: str) -> bool:
    """Run some code in a process of its own and return whether it was killed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False, timeout=60
    )
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr.decode()
    return done.returncode == -signal.SIGKILL
