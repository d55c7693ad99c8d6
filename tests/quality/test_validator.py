"""The rules run in a process of their own: same findings, and no silence when it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from btg import warehouse
from btg.catalogue.loader import Catalogue
from btg.quality import gx
from btg.quality.rules import Rule, Subject, mart_subject
from btg.quality.validator import Validator
from btg.settings import Settings

TOO_MANY = Subject(
    "gate1", "a.table", "select * from range(3) as t(n)",
    (Rule("between", "critical", "small", ("n",), {"minimum": 0, "maximum": 1}),
     Rule("in_set", "warning", "known", ("n",), {"values": [0, 1, 2]})),
)  # fmt: skip


@pytest.fixture
def validator() -> Iterator[Validator]:
    validator = Validator()
    yield validator
    validator.close()


def test_the_findings_are_those_of_the_library(
    validator: Validator, published: Settings, catalogue: Catalogue, tmp_path: Path
) -> None:
    subjects = [mart_subject(catalogue, name) for name in ("marts.btg_index", "meta.region")]
    con = warehouse.open_build()
    validator.check_frames(con, [TOO_MANY], tmp_path / "files")
    validator.check_tables(published.database, subjects)
    assert validator.is_asked
    found = validator.findings()
    assert [f.is_passed for f in found[:2]] == [False, True]
    assert (found[0].n_failed, found[0].example, found[0].blocks) == (1, "2", True)
    file = warehouse.open_published(published.database)
    assert found == gx.validate(con, [TOO_MANY]) + gx.validate(file, subjects)
    assert len(found) > 20
    assert list((tmp_path / "files").iterdir()) == []
    assert not validator.is_asked
    file.close()
    con.close()


def test_a_process_that_dies_is_no_pass(validator: Validator, tmp_path: Path) -> None:
    validator.start()
    assert validator.pid is not None
    os.kill(validator.pid, signal.SIGKILL)
    validator.check_frames(warehouse.open_build(), [TOO_MANY], tmp_path)
    with pytest.raises(RuntimeError, match="the validation ended by itself"):
        validator.findings()


def test_a_question_that_cannot_be_answered_is_no_pass(
    validator: Validator, tmp_path: Path
) -> None:
    validator.check_tables(tmp_path / "missing.duckdb", [TOO_MANY])
    with pytest.raises(RuntimeError, match=r"missing.duckdb does not exist"):
        validator.findings()


def test_closing_ends_the_process_at_once_and_leaves_no_file(tmp_path: Path) -> None:
    validator = Validator()
    validator.check_frames(warehouse.open_build(), [TOO_MANY], tmp_path)
    validator.start()
    pid = validator.pid
    validator.close()
    assert pid is not None and not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_process_ends_with_the_one_that_asks() -> None:
    code = (
        "import os, signal; from btg.quality.validator import Validator; v = Validator();"
        "v.start(); print(v.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    pid = int(done.stdout)
    ends_at = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and not _is_gone(pid):
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def _is_gone(pid: int) -> bool:
    """Whether nobody has yet collected a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
