"""Write beside, check, replace: the published file is old or new, never in between.

Nothing opens the published file read-write. A candidate is built in ``.build/``, closed, audited,
and put in place by one rename; the file before it is kept in ``history/``.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from btg import durable, warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import TableEntry
from btg.errors import GateBlockedError, PublishError
from btg.settings import Settings

VOLATILE = frozenset({"meta.run", "meta.check_result", "meta.source"})
"""Tables that say when and how a file was made; no part of what it says about the region."""


def write_candidate(
    con: warehouse.Connection,
    catalogue: Catalogue,
    folder: Path,
    run_id: str,
    macros: Sequence[str] = (),
) -> Path:
    """Write the tables of the dictionary from the build into a new file and return its path.

    ``macros`` are statements that create table macros in it. Types are those of the dictionary;
    columns that may not be null are declared so; every table and column has its comment. The file
    is closed and synced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}.duckdb"
    path.unlink(missing_ok=True)
    name = str(path).replace("'", "''")
    try:
        con.execute(f"attach '{name}' as candidate (storage_version '{warehouse.STORAGE_VERSION}')")
        try:
            # one transaction: hundreds of comments, each of which would be logged by itself
            con.begin()
            for table in catalogue.dictionary.tables:
                _copy_table(con, catalogue, table)
            con.execute("use candidate")
            for statement in macros:
                con.execute(statement)
            con.commit()
            con.execute("checkpoint candidate")
        except BaseException:
            # whatever ended it, a limit or an interruption included, is what is raised
            with contextlib.suppress(duckdb.Error):
                con.rollback()
            with contextlib.suppress(duckdb.Error):
                _detach_candidate(con)
            raise
        _detach_candidate(con)
    except duckdb.Error as error:
        path.unlink(missing_ok=True)
        raise PublishError(f"the candidate could not be written: {error}") from error
    durable.sync_file(path)
    return path


def _detach_candidate(con: warehouse.Connection) -> None:
    con.execute("use memory")
    con.execute("detach candidate")


def content_hashes(path: Path) -> dict[str, str]:
    """Return a hash per table of a file, whatever the order of its rows."""
    con = warehouse.open_published(path)
    try:
        names = warehouse.rows(
            con,
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where schema_name in ('marts', 'meta') order by all",
        )
        return {name: _table_hash(con, name) for (name,) in names}
    finally:
        con.close()


def same_content(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two files say the same about the region."""
    relevant = (one.keys() | other.keys()) - VOLATILE
    return all(one.get(name) == other.get(name) for name in relevant)


def restamp(candidate: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Replace the rows of some tables in a file that is not published yet; the rest stays.

    For tables that say how a file was made (``VOLATILE``); raises ``PublishError`` on any other,
    and if the content of the others would change.
    """
    if not tables.keys() <= VOLATILE:
        raise PublishError(f"only {sorted(VOLATILE)} may be written after the audit")
    before = content_hashes(candidate)
    candidate.chmod(0o644)
    con = warehouse.open_candidate(candidate)
    try:
        for name, content in tables.items():
            columns = ", ".join(_quoted(c) for c in content.columns)
            con.register("incoming", content.to_arrow())
            con.execute(f"delete from {name}")
            con.execute(f"insert into {name} ({columns}) select {columns} from incoming")
            con.unregister("incoming")
        con.execute("checkpoint")
    finally:
        con.close()
    durable.sync_file(candidate)
    if not same_content(before, content_hashes(candidate)):
        raise PublishError("the file to publish differs from the one that was audited")


def copy_published(settings: Settings, run_id: str) -> Path:
    """Return a copy of the published file in ``.build/``, to be given new stamps."""
    path = settings.build_dir / f"{run_id}.duckdb"
    durable.write_bytes(path, settings.database.read_bytes())
    return path


def put_in_place(settings: Settings, candidate: Path, run_id: str) -> None:
    """Make the candidate the published file; the one before goes to ``history/``."""
    target = settings.database
    refuse_stale_wal(target)
    if candidate.with_name(candidate.name + ".wal").exists():
        raise PublishError(
            f"{candidate.name} still has a .wal: it was not closed; nothing published"
        )
    try:
        candidate.chmod(0o444)
        durable.sync_file(candidate)
        if target.exists():
            keep = settings.marts_dir / "history" / f"btg_until_{run_id}.duckdb"
            keep.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(target, keep)
            durable.sync_folder(keep.parent)
        candidate.replace(target)
        durable.sync_folder(target.parent)
    except OSError as error:
        raise PublishError(
            f"{target.name} could not be replaced ({error.strerror}); "
            "the published file is unchanged"
        ) from error
    prune_history(settings)


def refuse_stale_wal(target: Path) -> None:
    """Raise ``PublishError`` if a ``.wal`` lies beside the published file."""
    wal = target.with_name(target.name + ".wal")
    if wal.exists():
        raise PublishError(
            f"{wal.name} lies beside the published file: something wrote to it. Find the writer, "
            "move the .wal away, check the file with btg status, then run again; "
            "nothing was published"
        )


def prune_history(settings: Settings) -> None:
    """Keep the newest files of the history, as many as the settings say."""
    files = history(settings)
    for path in files[: max(0, len(files) - settings.history_keep)]:
        path.unlink(missing_ok=True)


def history(settings: Settings) -> list[Path]:
    """Return the kept files, oldest first."""
    return sorted((settings.marts_dir / "history").glob("btg_until_*.duckdb"))


def rollback(settings: Settings, run_id: str | None) -> Path:
    """Put a file of the history back (the newest, or the one that was replaced in ``run_id``).

    The file that was in place goes to the history in its turn. Raises ``PublishError`` if there is
    none, or if it does not open.
    """
    files = history(settings)
    if run_id is not None:
        files = [f for f in files if run_id in f.name]
    if not files:
        raise PublishError(
            f"history holds no file{f' of run {run_id}' if run_id else ''}: nothing to put back"
        )
    chosen = files[-1]
    warehouse.open_published(chosen).close()
    copy = settings.build_dir / f"rollback_{chosen.name}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.unlink(missing_ok=True)
    durable.write_bytes(copy, chosen.read_bytes(), mode=0o444)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    put_in_place(settings, copy, f"{stamp}_rollback")
    return chosen


def write_parquet(settings: Settings, con: warehouse.Connection, catalogue: Catalogue) -> None:
    """Write a Parquet copy of every mart, each replaced whole."""
    folder = settings.marts_dir / "parquet"
    folder.mkdir(parents=True, exist_ok=True)
    for table in catalogue.dictionary.tables:
        if not table.startswith("marts."):
            continue
        target = folder / f"{table.split('.')[1]}.parquet"
        temporary = folder / f".{target.name}.part"
        escaped = str(temporary).replace("'", "''")
        con.execute(f"copy {table} to '{escaped}' (format parquet, compression zstd)")
        durable.sync_file(temporary)
        temporary.replace(target)


@contextlib.contextmanager
def only_one_run(settings: Settings, wait_s: float) -> Iterator[None]:
    """Hold the lock of the data folder; raises ``GateBlockedError`` if another run keeps it."""
    settings.marts_dir.mkdir(parents=True, exist_ok=True)
    path = settings.marts_dir / ".lock"
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    raise GateBlockedError(
                        f"another run is busy ({holder}); waited {wait_s:g} s; nothing was changed"
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid()}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def dictionary_frame(catalogue: Catalogue) -> pl.DataFrame:
    """Return meta.data_dictionary: one row per published column."""
    dictionary = catalogue.dictionary
    rows = [
        {
            "table_name": table,
            "column_name": column,
            "position": position,
            "data_type": dictionary.columns[column].type,
            "unit": dictionary.columns[column].unit,
            "description": dictionary.columns[column].description,
            "is_nullable": column not in (*entry.grain, *entry.not_null),
        }
        for table, entry in dictionary.tables.items()
        for position, column in enumerate(entry.columns)
    ]
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"unit": pl.String})


def _copy_table(con: warehouse.Connection, catalogue: Catalogue, table: str) -> None:
    entry = catalogue.dictionary.tables[table]
    meaning = catalogue.dictionary.columns
    required = {*entry.grain, *entry.not_null}
    columns = ", ".join(
        f"{_quoted(c)} {meaning[c].type}{' not null' if c in required else ''}"
        for c in entry.columns
    )
    con.execute(f"create schema if not exists candidate.{table.split('.')[0]}")
    con.execute(f"create table candidate.{table} ({columns})")
    names = ", ".join(_quoted(c) for c in entry.columns)
    con.execute(f"insert into candidate.{table} ({names}) select {names} from {table}")
    con.execute(f"comment on table candidate.{table} is {_literal(_table_comment(entry))}")
    for column in entry.columns:
        text = meaning[column].description
        con.execute(f"comment on column candidate.{table}.{_quoted(column)} is {_literal(text)}")


def _table_comment(entry: TableEntry) -> str:
    return f"{entry.description} Grain: {', '.join(entry.grain)}."


def _table_hash(con: warehouse.Connection, name: str) -> str:
    total, count = warehouse.rows(con, f"select sum(hash(t)::hugeint), count(*) from {name} as t")[
        0
    ]
    return f"{int(total or 0):x}-{count}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
