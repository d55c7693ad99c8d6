"""The published file opens in the oldest DuckDB client promised, read-only, for anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from btg.settings import Settings, load_settings

OLDEST = "1.2.0"
SCRIPT = """
import os, sys
import duckdb
assert duckdb.__version__ == sys.argv[2], duckdb.__version__
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
assert os.getuid() != 0
con = duckdb.connect(sys.argv[1], read_only=True)
tables = con.sql("select schema_name, table_name from duckdb_tables()").fetchall()
for schema, table in tables:
    con.sql(f"select count(*) from {schema}.{table}").fetchall()
assert con.sql("select count(*) from marts.btg_index where is_twente").fetchall()[0][0] > 0
comments = "select count(*) from duckdb_columns() where comment is null and not internal"
assert con.sql(comments).fetchall() == [(0,)]
for statement in ("create table marts.mine (a int)", "delete from marts.btg_index"):
    try:
        con.execute(statement)
    except duckdb.Error as error:
        assert "read-only" in str(error), error
    else:
        sys.exit("a write went through")
con.close()
try:
    duckdb.connect(sys.argv[1])
except duckdb.Error:
    pass
else:
    sys.exit("the file was opened to write")
print(len(tables))
"""


@pytest.fixture(scope="session")
def oldest_python() -> Path:
    """A Python with only the oldest client; made once by ``make oldest``, else here."""
    folder = load_settings({}).repository / ".venv-oldest"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        make = [sys.executable, "-m", "venv", str(folder)]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                   "--only-binary=:all:", f"duckdb=={OLDEST}"]  # fmt: skip
        for command in (make, install):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                message = f"DuckDB {OLDEST} cannot be installed: {done.stderr[-300:]}"
                if os.environ.get("CI"):
                    pytest.fail(message)
                pytest.skip(message)
        (folder / ".ready").touch()
    return python


def test_oldest_client_reads_and_cannot_write(
    published: Settings, oldest_python: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "btg.duckdb"
    copy.write_bytes(published.database.read_bytes())
    copy.chmod(published.database.stat().st_mode & 0o777)
    before = copy.read_bytes()
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.is_relative_to("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [str(oldest_python), "-c", SCRIPT, str(copy), OLDEST],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
    assert copy.read_bytes() == before


def test_the_published_file_may_be_read_by_all_and_written_by_none(published: Settings) -> None:
    assert published.database.stat().st_mode & 0o777 == 0o444
