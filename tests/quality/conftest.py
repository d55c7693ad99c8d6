"""A writable copy of the published file, broken inside a transaction that is rolled back."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from btg import warehouse
from btg.settings import Settings


@pytest.fixture(scope="session")
def writable_file(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broken") / ".build" / "candidate.duckdb"
    path.parent.mkdir()
    path.write_bytes(published.database.read_bytes())
    path.chmod(0o644)
    return path


@pytest.fixture(scope="session")
def writable(writable_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    con = warehouse.open_candidate(writable_file)
    yield con
    con.close()


@pytest.fixture
def broken(writable: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published content; whatever a test does to it is undone."""
    writable.execute("begin")
    yield writable
    writable.execute("rollback")
