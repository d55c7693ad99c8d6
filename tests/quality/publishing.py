"""What the processes of the publication tests do: run as ``python publishing.py WHAT HOME ...``.

Builds are faked from the published file, so that a process takes seconds; writing, auditing,
stamping and replacing are the real functions.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from btg import pipeline, publish, warehouse
from btg.catalogue.loader import load_catalogue
from btg.errors import BtgError
from btg.pipeline import Options, Stages, Workspace, refresh
from btg.settings import Settings, load_settings


def settings_of(home: str) -> Settings:
    return load_settings({"BTG_HOME": home})


def copied_build(workspace: Workspace, con: Any, tables: Any) -> None:
    """Stand in for the build: the relations of the published file."""
    con.execute(f"attach '{workspace.settings.database}' as old (read_only)")
    for name in workspace.catalogue.dictionary.tables:
        con.execute(f"create schema if not exists {name.split('.')[0]}")
        con.execute(f"create table {name} as select * from old.{name}")
    con.execute("detach old")


def publish_once(home: str, audit: Any = lambda *_: []) -> int:
    """Refresh from the copied build; return the exit code and print the message."""
    pipeline.audit = audit
    settings = settings_of(home)
    workspace = Workspace(settings, load_catalogue())
    workspace.state = pipeline.replace(workspace.state, published_inputs=None)
    pipeline.save_state(settings.runs_dir, workspace.state)
    report = refresh(workspace, Options(offline=True), Stages(build_all=copied_build))
    print(report.message)
    return report.exit_code


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def after(function: Any, calls: int = 1) -> Any:
    """Return a function that does its work ``calls`` times, then is killed."""
    done = []

    def killed(*arguments: Any, **named: Any) -> Any:
        if len(done) == calls:
            die()
        done.append(1)
        return function(*arguments, **named)

    return killed


def kill_at(home: str, stage: str) -> int:
    audit: Any = lambda *_: []  # noqa: E731
    match stage:
        case "seed":
            pipeline.Stages.adopt_seed = staticmethod(die)
            refresh(Workspace(settings_of(home), load_catalogue()), Options(offline=True),
                    Stages(adopt_seed=die))  # fmt: skip
        case "plan":
            refresh(Workspace(settings_of(home), load_catalogue()), Options(offline=True),
                    Stages(plan=die))  # fmt: skip
        case "inputs":
            pipeline.build.read_inputs = die
            refresh_anew(home)
        case "build":
            from btg import sqlrun

            sqlrun.materialise = die
            refresh_anew(home)
        case "write":
            publish._copy_table = after(publish._copy_table, 4)
        case "gates":
            audit = die
        case "stamp":
            publish.durable.sync_file = after(publish.durable.sync_file, 1)
        case "link":
            os.link = die
        case "replace":
            Path.replace = after(Path.replace, 2)  # type: ignore[method-assign]
        case "after":
            publish.prune_history = die
    return publish_once(home, audit)


def refresh_anew(home: str) -> None:
    settings = settings_of(home)
    workspace = Workspace(settings, load_catalogue())
    workspace.state = pipeline.replace(workspace.state, published_inputs=None)
    pipeline.save_state(settings.runs_dir, workspace.state)
    refresh(workspace, Options(offline=True))


def full_disk(home: str, limit: str) -> int:
    """Publish where no file may be larger than ``limit`` bytes: a disk that fills up."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    return publish_once(home)


def read_only_folder(home: str, candidate: str) -> int:
    """Put a candidate in place as a user who may not write in the folder."""
    settings = settings_of(home)
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        publish.put_in_place(settings, Path(candidate), "run")
    except BtgError as error:
        print(error)
        return error.exit_code
    return 0


def read_loop(home: str, stop: str) -> int:
    """Query until ``stop`` exists; a torn read or an error ends with another code than 0."""
    database = settings_of(home).database
    reads, seen = 0, set()
    while not Path(stop).exists():
        con = warehouse.open_published(database)
        run, checks, n_checks = con.execute(
            "select (select min(run_id) from meta.run), "
            "(select min(run_id) from meta.check_result), "
            "(select count(distinct run_id) from meta.check_result)"
        ).fetchall()[0]
        rows = con.execute("select count(*) from marts.btg_index").fetchall()[0][0]
        con.close()
        if run != checks or n_checks != 1 or rows == 0:
            print(f"torn: {run} {checks} {n_checks} {rows}")
            return 1
        reads += 1
        time.sleep(0.02)
        seen.add(run)
    print(reads, len(seen))
    return 0


def publish_many(settings: Settings, times: int) -> None:
    """Publish the same figures again and again, each with the name of its run."""
    con = warehouse.open_published(settings.database)
    run = warehouse.frame(con, "select * from meta.run")
    checks = warehouse.frame(con, "select * from meta.check_result")
    con.close()
    for number in range(times):
        name = pl.lit(f"run_{number:02}").alias("run_id")
        candidate = publish.copy_published(settings, f"run_{number:02}")
        stamps = {
            "meta.run": run.with_columns(name),
            "meta.check_result": checks.with_columns(name),
        }
        publish.restamp(candidate, stamps)
        publish.put_in_place(settings, candidate, f"run_{number:02}")


def hold(home: str, ready: str) -> int:
    """Open the published file to write, as nobody should, and keep it."""
    database = settings_of(home).database
    database.chmod(0o644)
    con = duckdb.connect(str(database))
    con.execute("begin")
    con.execute("update meta.run set message = 'mine'")
    Path(ready).touch()
    time.sleep(60)
    con.close()
    return 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
