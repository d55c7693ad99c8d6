"""The one way to create a file that others read: temporary name, fsync, rename."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as readable JSON with sorted keys left as given."""
    text = json.dumps(data, indent=1, ensure_ascii=False, default=str)
    write_bytes(path, (text + "\n").encode())


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's entries to disk, where the system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def clear_leftovers(folder: Path, older_than_s: float = 0.0) -> None:
    """Remove what ``write_bytes`` and ``new_folder`` could not finish, because they were killed.

    Everything in the folder whose name begins with a dot; only for who is alone in it. What cannot
    be removed stays: it takes room, and is in nobody's way.
    """
    for path in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime < older_than_s:
                continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill; it appears under ``target`` whole at the end, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        for file in sorted(temporary.iterdir()):
            sync_file(file)
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        for file in temporary.glob("*"):
            file.unlink()
        with contextlib.suppress(OSError):
            temporary.rmdir()
        raise
    sync_folder(target.parent)
