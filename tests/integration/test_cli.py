"""The command line: what it prints, what it writes, and the exit code that it ends with.

0 done, 2 usage or catalogue, 3 blocked or nothing usable (published file unchanged), 4 a usable
file is in place but a source needs attention.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from btg import commands, publish
from btg.catalogue.loader import CATALOGUE_DIR, Catalogue, load_catalogue
from btg.cli import EPILOGS, main
from btg.raw import SnapshotStore
from btg.settings import Settings, load_settings
from btg.sources.protocol import DATA_ENTITY

COMMANDS = sorted(EPILOGS)
Capture = pytest.CaptureFixture[str]
Tree = dict[str, tuple[int, int, str]]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], Settings]:
    """Return a function that makes a home the one of the commands of this test."""

    def go(settings: Settings) -> Settings:
        monkeypatch.setenv("BTG_HOME", str(settings.home))
        return settings

    return go


@pytest.fixture
def here(home: Settings, at: Callable[[Settings], Settings]) -> Settings:
    """A published home of this test's own, at which the commands work."""
    return at(home)


@pytest.fixture
def empty(tmp_path: Path, at: Callable[[Settings], Settings]) -> Settings:
    """A home in which nothing was ever done."""
    return at(load_settings({"BTG_HOME": str(tmp_path / "empty")}))


def tree(folder: Path) -> Tree:
    """Return what lies below a folder: size, time and content of every file."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_size,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_anew(settings: Settings) -> None:
    """Make the next refresh build, although nothing is new."""
    state = settings.runs_dir / "state.json"
    facts = json.loads(state.read_text(encoding="utf-8")) | {"published_inputs": None}
    state.write_text(json.dumps(facts), encoding="utf-8")


# ---- help and usage


def test_without_a_command_the_help_is_shown_and_nothing_is_done(capsys: Capture) -> None:
    assert main([]) == 2
    assert "exit codes: 0 done" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_two_examples_of_itself(
    command: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    _, _, examples = capsys.readouterr().out.partition("examples:")
    lines = [line for line in examples.splitlines() if line.startswith(f"  btg {command}")]
    assert len(lines) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_machine_output_on_demand(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--json" in capsys.readouterr().out


def test_the_help_lists_every_command(capsys: Capture) -> None:
    main([])
    text = capsys.readouterr().out
    assert all(f"    {command} " in text for command in COMMANDS)
    assert all(callable(getattr(commands, c if c != "import" else "import_file")) for c in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["refesh"],
        ["refresh", "--fast"],
        ["explain", "Enschede"],
        ["explain", "Enschede", "last"],
        ["raw", "delete"],
        ["rebase"],
        ["check", "--format", "html"],
    ],
)
def test_a_command_that_cannot_be_understood_ends_with_2(
    arguments: list[str], capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: btg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["refresh", "--only", "nobody"], "there is no source 'nobody'; known: cbs"),
        (["refresh", "--only", "cbs", "--offline"], "--only names a source to ask"),
        (["refresh", "--as-of", "yesterday"], "--as-of 'yesterday' is not a date"),
        (["plan", "--only", "nobody"], "there is no source 'nobody'; known: cbs"),
        (["explain", "GM9999", "2022"], "'GM9999' is no region"),
        (["explain", "Enschede", "1999"], "year 1999 is not published"),
        (["explain", "Enschede", "2022", "geluk"], "'geluk' is no dimension or indicator"),
        (["import", "nobody", __file__], "'nobody' is not one source of edition files"),
        (["import", "rmbw", "/nowhere.csv"], "there is no file /nowhere.csv"),
        (["raw", "accept"], "raw accept needs a snapshot id and --reason"),
        (["raw", "accept", "99999NED_x", "--reason", "y"], "'99999NED_x' names no table"),
        (["sources", "verify", "--only", "nobody"], "there is no source 'nobody'"),
    ],
)
def test_what_cannot_be_carried_out_ends_with_2_and_one_sentence(
    arguments: list[str],
    words: str,
    published: Settings,
    at: Callable[[Settings], Settings],
    capsys: Capture,
) -> None:
    before = digest(at(published).database)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert digest(published.database) == before


@pytest.mark.parametrize(("name", "value"), [("BTG_CBS_URL", "opendata"), ("BTG_RETRIES", "often")])
def test_a_setting_that_cannot_be_used_ends_with_2_and_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["status"]) == 2
    assert f"{name}='{value}'" in capsys.readouterr().err


# ---- machine output


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--offline"],
        ["status"],
        ["raw", "list"],
        ["raw", "verify"],
        ["explain", "Enschede", "2022"],
        ["explain", "GM0153", "2021", "woninginbraak"],
        ["diff"],
    ],
)
def test_machine_output_stands_alone_on_stdout(
    arguments: list[str],
    published: Settings,
    at: Callable[[Settings], Settings],
    capsys: Capture,
) -> None:
    at(published)
    before = tree(published.home)
    assert main([*arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) not in (None, "")
    assert said.err == ""
    assert tree(published.home) == before


def test_an_error_is_machine_output_too(
    published: Settings, at: Callable[[Settings], Settings], capsys: Capture
) -> None:
    at(published)
    assert main(["explain", "GM9999", "2022", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 2
    assert "'GM9999' is no region" in said["error"]


@pytest.mark.parametrize("arguments", [["plan", "--offline"], ["status"], ["raw", "list"]])
def test_the_last_line_for_a_reader_is_a_summary(
    arguments: list[str],
    published: Settings,
    at: Callable[[Settings], Settings],
    capsys: Capture,
) -> None:
    at(published)
    assert main(arguments) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(f"{arguments[0]}: ")


# ---- plan


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--full"], ["plan", "--offline"]])
def test_plan_writes_nothing(arguments: list[str], here: Settings, capsys: Capture) -> None:
    before = tree(here.home)
    main(arguments)
    assert tree(here.home) == before
    assert "tables" in capsys.readouterr().out


def test_plan_in_an_empty_home_writes_nothing(empty: Settings, capsys: Capture) -> None:
    assert main(["plan", "--offline"]) == 0
    assert not empty.home.exists()
    assert "plan: 0 to fetch" in capsys.readouterr().out


def test_plan_without_a_network_says_so_and_ends_with_4(
    published: Settings, at: Callable[[Settings], Settings], capsys: Capture
) -> None:
    at(published)
    assert main(["plan", "--only", "politie", "--json"]) == 4
    decisions = {d["table_id"]: d for d in json.loads(capsys.readouterr().out)}
    assert decisions["47018NED"]["action"] == "failed"
    assert "47018NED" in decisions["47018NED"]["reason"]
    assert decisions["70072ned"]["action"] == "keep"


# ---- refresh


def test_a_refresh_with_nothing_new_leaves_the_file_alone(here: Settings, capsys: Capture) -> None:
    before = (digest(here.database), here.database.stat().st_mtime_ns)
    assert main(["refresh", "--offline"]) == 0
    assert (digest(here.database), here.database.stat().st_mtime_ns) == before
    said = capsys.readouterr()
    assert "Enschede" in said.out
    assert "nothing new" in said.out.strip().splitlines()[-1]


def test_a_refresh_tells_a_machine_what_it_did(here: Settings, capsys: Capture) -> None:
    assert main(["refresh", "--offline", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["outcome"] == "nothing_new"
    assert report["exit_code"] == 0
    assert len(report["decisions"]) == 11


def test_a_refresh_without_a_network_ends_with_4_and_keeps_the_file(
    here: Settings, capsys: Capture
) -> None:
    before = digest(here.database)
    assert main(["refresh", "--only", "politie", "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["outcome"] == "nothing_new"
    assert any("could not be checked" in warning for warning in report["warnings"])
    assert digest(here.database) == before


def test_a_catalogue_error_ends_with_2_names_the_file_and_leaves_the_published_file(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder = tmp_path / "catalogue"
    shutil.copytree(CATALOGUE_DIR, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = folder / "indicators" / "milieu.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("weight: 0.5", "weight: 0.6", 1))
    monkeypatch.setattr(commands, "load_catalogue", lambda: load_catalogue(folder))
    before = tree(here.marts_dir)
    assert main(["refresh", "--offline"]) == 2
    assert "indicators/milieu.yml: weights sum to 1.1" in capsys.readouterr().err
    assert tree(here.marts_dir) == before


def test_a_missing_seed_ends_with_3_and_names_source_and_table(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    without_seed = replace(empty, repository=tmp_path)
    monkeypatch.setattr(commands, "load_settings", lambda: without_seed)
    assert main(["refresh", "--offline"]) == 3
    assert "cbs/70072ned: no accepted snapshot and no seed" in capsys.readouterr().err
    assert not empty.database.exists()


def test_snapshots_that_are_gone_end_with_3_and_leave_the_published_file(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    without_seed = replace(here, repository=tmp_path)
    monkeypatch.setattr(commands, "load_settings", lambda: without_seed)
    shutil.rmtree(here.raw_dir)
    before = digest(here.database)
    assert main(["refresh", "--offline"]) == 3
    assert "no accepted snapshot and no seed" in capsys.readouterr().err
    assert digest(here.database) == before


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "gone"])
def test_a_damaged_snapshot_ends_with_3_names_it_and_leaves_the_published_file(
    here: Settings, catalogue: Catalogue, damage: str, capsys: Capture
) -> None:
    table = catalogue.table("47018NED")
    snapshot = SnapshotStore(here.raw_dir, here.seed_raw_dir).accepted(table)
    path = snapshot.folder / f"{DATA_ENTITY}.parquet"
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data if damage == "flipped bit" else data[: len(data) // 2])
    build_anew(here)
    before = digest(here.database)
    assert main(["refresh", "--offline"]) == 3
    said = capsys.readouterr().err
    assert snapshot.id in said
    assert f"{DATA_ENTITY}.parquet cannot be read" in said
    assert digest(here.database) == before
    assert main(["raw", "verify"]) == 3
    assert f"{snapshot.id}: {DATA_ENTITY}.parquet" in capsys.readouterr().out


def test_a_wal_beside_the_published_file_ends_with_3(here: Settings, capsys: Capture) -> None:
    here.database.with_name("btg.duckdb.wal").write_bytes(b"")
    before = digest(here.database)
    assert main(["refresh", "--offline"]) == 3
    assert "btg.duckdb.wal lies beside the published file" in capsys.readouterr().err
    assert digest(here.database) == before


def test_two_refreshes_do_not_work_on_one_home(
    here: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("BTG_LOCK_WAIT_S", "0.1")
    before = digest(here.database)
    with publish.only_one_run(here, 0):
        assert main(["refresh", "--offline"]) == 3
    assert "another run is busy" in capsys.readouterr().err
    assert digest(here.database) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_an_interrupt_ends_with_1_and_publishes_nothing(
    here: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: BaseException
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    monkeypatch.setattr(publish, "refuse_stale_wal", interrupt)
    before = digest(here.database)
    assert main(["refresh", "--offline"]) == 1
    assert "nothing was published" in capsys.readouterr().err
    assert digest(here.database) == before


# ---- import


Edit = Callable[[pl.DataFrame], pl.DataFrame]


def edition(settings: Settings, catalogue: Catalogue, file: Path, edit: Edit) -> Path:
    """Write the edition file in use with a change, and return it."""
    store = SnapshotStore(settings.raw_dir, settings.seed_raw_dir)
    frame = store.accepted(catalogue.table("rmbw_2023")).entities()[DATA_ENTITY]
    edit(frame).write_csv(file)
    return file


def on_first(column: str, value: Any) -> Edit:
    """Return an edit that changes one cell: life satisfaction in Enschede in 2019."""
    cell = (
        (pl.col("indicator_code") == "01_KL_H_01")
        & (pl.col("statcode") == "GM0153")
        & (pl.col("year") == 2019)
    )
    return lambda frame: frame.with_columns(
        pl.when(cell).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (on_first("value", 0.0), "tevreden_leven of GM0153 in 2019 is 0, expected no zero"),
        (on_first("value", 101.0), "tevreden_leven of GM0153 in 2019 is 101, expected 0 to 100"),
        (on_first("statcode", "GM9999"), "unknown region code GM9999"),
        (lambda f: f.filter(pl.col("statcode") != "GM0153"), "GM0153"),
        (lambda f: f.head(f.height // 2), "rows"),
    ],
    ids=["zero means missing", "out of range", "no region", "one of the 14 is gone", "cut off"],
)
def test_an_edition_that_gate_1_refuses_ends_with_3_and_is_not_used(
    here: Settings,
    catalogue: Catalogue,
    tmp_path: Path,
    edit: Edit,
    words: str,
    capsys: Capture,
) -> None:
    store, table = (
        SnapshotStore(here.raw_dir, here.seed_raw_dir),
        catalogue.table("rmbw_2023"),
    )
    used, before = store.accepted(table).id, digest(here.database)
    file = edition(here, catalogue, tmp_path / "rmbw-2024.csv", edit)
    assert main(["import", "rmbw", str(file)]) == 3
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert "rmbw_2023" in said.out + said.err
    assert store.accepted(table).id == used
    assert digest(here.database) == before


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f.rename({"value": "waarde"}), "wrong header (missing value; unknown waarde)"),
        (
            lambda f: on_first("value", "veel")(f.with_columns(pl.col("value").cast(pl.String))),
            "column value: 'veel' is not a number",
        ),
        (lambda f: pl.concat([f, f.head(1)]), "2 rows share a key"),
        (
            lambda f: f.with_columns(pl.col("year") * 10),
            "column year: period '20130' does not parse",
        ),
    ],
    ids=["header", "type", "duplicate key", "period"],
)
def test_an_edition_of_another_form_is_refused_naming_file_and_place(
    here: Settings,
    catalogue: Catalogue,
    tmp_path: Path,
    edit: Edit,
    words: str,
    capsys: Capture,
) -> None:
    before = tree(here.home)
    file = edition(here, catalogue, tmp_path / "rmbw-2024.csv", edit)
    assert main(["import", "rmbw", str(file)]) in (3, 4)
    said = capsys.readouterr().err
    assert "rmbw-2024.csv" in said
    assert words in said
    after = tree(here.home)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"data/marts/.lock", "rmbw-2024.csv"}


def test_the_same_edition_again_is_recognised(
    here: Settings, catalogue: Catalogue, tmp_path: Path, capsys: Capture
) -> None:
    file = edition(here, catalogue, tmp_path / "rmbw-2023.csv", lambda f: f.reverse())
    assert main(["import", "rmbw", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == "unchanged"


# ---- rollback


def test_rollback_without_a_history_ends_with_3(here: Settings, capsys: Capture) -> None:
    before = digest(here.database)
    assert main(["rollback"]) == 3
    assert "history holds no file" in capsys.readouterr().err
    assert digest(here.database) == before


def test_rollback_puts_the_file_before_back(here: Settings, capsys: Capture) -> None:
    before = digest(here.database)
    copy = publish.copy_published(here, "later")
    with copy.open("ab") as file:
        file.write(b"another file")
    publish.put_in_place(here, copy, "later")
    assert digest(here.database) != before
    assert main(["rollback"]) == 0
    assert digest(here.database) == before
    assert "btg_until_later.duckdb is the published file again" in capsys.readouterr().out


# ---- as a program


def test_the_program_ends_with_the_code_and_writes_machine_output_alone(
    published: Settings, tmp_path: Path
) -> None:
    environment = {"BTG_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "btg.cli", "raw", "list", "--json"],
        env=environment | {"BTG_HOME": str(published.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 11
    assert done.stderr == ""
    wrong = subprocess.run(
        [sys.executable, "-m", "btg.cli", "diff"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert wrong.returncode == 3
    assert "btg.duckdb does not exist yet: run btg refresh" in wrong.stderr
    assert wrong.stdout == ""
