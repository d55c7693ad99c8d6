"""Readers never notice a publication, and whatever goes wrong leaves the published file whole."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.quality.publishing import publish_many

from btg import publish, warehouse
from btg.catalogue.loader import load_catalogue
from btg.errors import PublishError
from btg.pipeline import Options, Workspace, refresh
from btg.settings import Settings, load_settings

SCRIPT = Path(__file__).with_name("publishing.py")
PUBLICATIONS = 30


@pytest.fixture(scope="session")
def small_file(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file without most of its rows: fast to copy, otherwise the same."""
    path = tmp_path_factory.mktemp("small") / ".build" / "btg.duckdb"
    path.parent.mkdir()
    con = warehouse.open_build()
    con.execute(f"attach '{published.database}' as old (read_only)")
    con.execute("create schema marts; create schema meta")
    catalogue = load_catalogue()
    for name, entry in catalogue.dictionary.tables.items():
        few = (
            "where region_code in ('GM0153', 'CR12')"
            if "region_code" in entry.columns
            else "limit 50"
        )
        con.execute(f"create table {name} as select * from old.{name} {few}")
    con.execute("detach old")
    made = publish.write_candidate(con, catalogue, path.parent, "small")
    con.close()
    return made


@pytest.fixture
def small(published: Settings, small_file: Path, tmp_path: Path) -> Settings:
    """A home with the small published file."""
    settings = load_settings({"BTG_HOME": str(tmp_path / "home")})
    shutil.copytree(published.raw_dir, settings.raw_dir)
    shutil.copytree(published.runs_dir, settings.runs_dir)
    settings.database.write_bytes(small_file.read_bytes())
    settings.database.chmod(0o444)
    return settings


def digest(settings: Settings) -> str:
    return hashlib.sha256(settings.database.read_bytes()).hexdigest()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_readers_see_no_error_and_no_torn_read(small: Settings, tmp_path: Path) -> None:
    publish_many(small, 1)
    stop = tmp_path / "stop"
    command = [sys.executable, str(SCRIPT), "read_loop", str(small.home), str(stop)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(2)]  # fmt: skip
    held = warehouse.open_published(small.database)
    before = warehouse.rows(held, "select run_id from meta.run")
    time.sleep(3)
    publish_many(small, PUBLICATIONS)
    after = warehouse.rows(held, "select run_id from meta.run")
    held.close()
    stop.touch()
    answers = [reader.communicate(timeout=60) for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0], answers
    for out, _ in answers:
        reads, seen = map(int, out.split())
        assert reads >= PUBLICATIONS and seen >= 5
    assert before == after == [("run_00",)]
    assert len(publish.history(small)) <= small.history_keep


@pytest.mark.parametrize(
    "stage",
    ["seed", "plan", "inputs", "build", "write", "gates", "stamp", "link", "replace"],
)
def test_a_killed_run_leaves_the_published_file(small: Settings, stage: str) -> None:
    before = digest(small)
    result = run("kill_at", small.home, stage)
    assert result.returncode == -signal.SIGKILL, result.stderr + result.stdout
    assert digest(small) == before
    warehouse.open_published(small.database).close()
    assert not small.database.with_name("btg.duckdb.wal").exists()


def test_killed_just_after_the_rename_the_new_file_is_whole(small: Settings) -> None:
    before = publish.content_hashes(small.database)
    assert run("kill_at", small.home, "after").returncode == -signal.SIGKILL
    assert publish.same_content(before, publish.content_hashes(small.database))


def test_after_a_kill_the_next_run_publishes(small: Settings) -> None:
    assert run("kill_at", small.home, "write").returncode == -signal.SIGKILL
    assert list((small.marts_dir / ".build").iterdir())
    before = digest(small)
    result = run("publish_once", small.home)
    assert result.returncode == 0, result.stderr + result.stdout
    assert digest(small) != before
    assert not list((small.marts_dir / ".build").iterdir())


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(small: Settings) -> None:
    before = digest(small)
    result = run("full_disk", small.home, 400_000)
    assert result.returncode == 3, result.stderr
    assert "could not be written" in result.stdout
    assert "Traceback" not in result.stderr
    assert digest(small) == before


def test_a_folder_that_may_not_be_written_is_one_sentence(small: Settings) -> None:
    candidate = publish.copy_published(small, "next")
    candidate.chmod(0o444)
    before = digest(small)
    for folder in (small.home, *small.home.parents):
        if folder.stat().st_uid == small.home.stat().st_uid and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    for folder in (small.marts_dir, candidate.parent):
        folder.chmod(0o555)
    try:
        result = run("read_only_folder", small.home, candidate)
    finally:
        for folder in (small.marts_dir, candidate.parent):
            folder.chmod(0o755)
    assert result.returncode == 3, result.stderr
    assert "could not be replaced" in result.stdout
    assert "the published file is unchanged" in result.stdout
    assert digest(small) == before


def test_a_stale_wal_stops_with_what_to_do(small: Settings) -> None:
    wal = small.database.with_name("btg.duckdb.wal")
    wal.write_bytes(b"left by somebody")
    before = digest(small)
    report = refresh(Workspace(small, load_catalogue()), Options(offline=True))
    assert report.exit_code == 3
    assert "btg.duckdb.wal" in report.message and "move the .wal away" in report.message
    with pytest.raises(PublishError, match="find the writer"):
        warehouse.open_published(small.database)
    assert digest(small) == before
    assert wal.read_bytes() == b"left by somebody"


def test_a_writer_that_wrongly_holds_the_file_is_named(small: Settings, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    before = digest(small)
    writer = subprocess.Popen([sys.executable, str(SCRIPT), "hold", str(small.home), str(ready)])
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ready.exists()
        with pytest.raises(PublishError, match=r"cannot be opened read-only|lies beside"):
            warehouse.open_published(small.database)
        assert digest(small) == before
    finally:
        writer.kill()
        writer.wait()
    small.database.with_name("btg.duckdb.wal").unlink(missing_ok=True)
    warehouse.open_published(small.database).close()
    assert digest(small) == before


def test_a_candidate_that_was_not_closed_is_refused(small: Settings) -> None:
    candidate = publish.copy_published(small, "open")
    candidate.with_name(candidate.name + ".wal").write_bytes(b"")
    before = digest(small)
    with pytest.raises(PublishError, match="it was not closed"):
        publish.put_in_place(small, candidate, "open")
    assert digest(small) == before
