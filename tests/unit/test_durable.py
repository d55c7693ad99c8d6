"""A reader sees the old file or the new one, never half of one, and nothing is left lying about."""

import json
import os
from pathlib import Path

import pytest

from btg import durable


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_content_and_mode_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    durable.write_bytes(path, b"whole", mode=0o444)
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o444
    assert names(path.parent) == ["file"]


def test_a_file_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_bytes(path, b"old")
    with path.open("rb") as reader:
        durable.write_bytes(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_on_the_way_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    durable.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        durable.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_bytes_are_on_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (steps.append("rename"), real_replace(self, to))[1]
    )
    durable.write_bytes(tmp_path / "file", b"whole")
    assert steps == ["sync", "rename", "sync"]


def test_json_is_readable_and_keeps_the_order_of_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    durable.write_json(path, {"b": "één", "a": Path("x")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"b": "één", "a": "x"}
    assert path.read_text(encoding="utf-8").index("één") < path.read_text().index('"a"')


def test_a_folder_appears_whole_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "snapshots" / "one"
    with durable.new_folder(target) as folder:
        (folder / "figures").write_bytes(b"1")
        assert not target.exists()
    assert names(target) == ["figures"]
    assert names(target.parent) == ["one"]


def test_a_folder_that_was_not_finished_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "one"
    with pytest.raises(KeyboardInterrupt), durable.new_folder(target) as folder:
        (folder / "figures").write_bytes(b"1")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_folder_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "one"
    with durable.new_folder(target) as folder:
        (folder / "figures").write_bytes(b"1")
    with pytest.raises(OSError), durable.new_folder(target) as folder:
        (folder / "figures").write_bytes(b"2")
    assert (target / "figures").read_bytes() == b"1"
    assert names(tmp_path) == ["one"]


def test_leftovers_are_what_begins_with_a_dot(tmp_path: Path) -> None:
    durable.write_bytes(tmp_path / "state.json", b"{}")
    (tmp_path / "figures").mkdir()
    (tmp_path / ".state.json.x1").write_bytes(b"{")
    (tmp_path / ".figures.x2").mkdir()
    (tmp_path / ".figures.x2" / "half").write_bytes(b"h")
    durable.clear_leftovers(tmp_path)
    assert names(tmp_path) == ["figures", "state.json"]
    durable.clear_leftovers(tmp_path / "that is not there")


def test_what_somebody_may_still_be_writing_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / ".run.json.x1").write_bytes(b"{")
    (tmp_path / ".run.json.x2").write_bytes(b"{")
    os.utime(tmp_path / ".run.json.x2", (0, 0))
    durable.clear_leftovers(tmp_path, older_than_s=3600)
    assert names(tmp_path) == [".run.json.x1"]
