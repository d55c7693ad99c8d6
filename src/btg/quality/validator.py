"""Runs the rules in a process of its own, while this one builds: the library loads for seconds.

One line of JSON asks, one answers. The other process ends when this one closes the pipe or dies;
what it holds in memory goes with it. ``python -m btg.quality.validator`` is that process.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import duckdb

from btg import warehouse
from btg.errors import PublishError
from btg.quality.findings import Finding
from btg.quality.rules import Rule, Subject


class Validator:
    """The other process, from ``start`` or a question on; ``findings`` waits for the answers."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._talker = ThreadPoolExecutor(max_workers=1)
        self._answers: list[Future[list[Finding]]] = []
        self._files: list[Path] = []

    @property
    def is_asked(self) -> bool:
        """Whether there is anything that ``findings`` would return."""
        return bool(self._answers)

    @property
    def pid(self) -> int | None:
        """Number of the other process, if it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, if that was not done yet."""
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "btg.quality.validator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )

    def check_tables(self, database: Path, subjects: Sequence[Subject]) -> None:
        """Start checking tables of a file, which is opened read-only."""
        self._answers.append(self._talker.submit(self._ask, str(database), list(subjects)))

    def check_frames(
        self, con: warehouse.Connection, subjects: Sequence[Subject], folder: Path
    ) -> None:
        """Start checking what the queries give now; it is handed over in files in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        handed = []
        for number, subject in enumerate(subjects):
            path = folder / f"checked_{os.getpid()}_{number}.parquet"
            self._files.append(path)
            name = str(path).replace("'", "''")
            try:
                con.execute(f"copy ({subject.query}) to '{name}' (format parquet)")
            except duckdb.Error as error:
                raise PublishError(f"{subject.table_name} could not be checked: {error}") from error
            handed.append(replace(subject, query=f"from read_parquet('{name}')"))
        self._answers.append(self._talker.submit(self._ask, None, handed))

    def findings(self) -> list[Finding]:
        """Return a finding per rule of all that was asked so far, in that order."""
        answers, self._answers = self._answers, []
        found = [finding for answer in answers for finding in answer.result()]
        self._remove_files()
        return found

    def close(self) -> None:
        """End the other process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
        self._talker.shutdown(cancel_futures=True)
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
        if self._errors is not None:
            self._errors.close()
        self._remove_files()

    def _ask(self, database: str | None, subjects: list[Subject]) -> list[Finding]:
        self.start()
        assert self._process is not None and self._errors is not None
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"database": database, "subjects": [asdict(s) for s in subjects]}
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            told = self._errors.read().decode(errors="replace").strip()[-500:]
            raise RuntimeError(f"the validation ended by itself: {told or 'without a word'}")
        return [Finding(**finding) for finding in json.loads(answer)]

    def _remove_files(self) -> None:
        for path in self._files:
            path.unlink(missing_ok=True)
        self._files = []


def answer(request: dict[str, Any]) -> list[Finding]:
    """Return the findings for one request."""
    from btg.quality import gx

    subjects = [
        Subject(**{**s, "rules": tuple(_rule(rule) for rule in s["rules"])})
        for s in request["subjects"]
    ]
    database = request["database"]
    con = warehouse.open_published(Path(database)) if database else warehouse.open_build()
    try:
        return gx.validate(con, subjects)
    finally:
        con.close()


def _rule(data: dict[str, Any]) -> Rule:
    return Rule(**{**data, "columns": tuple(data["columns"])})


def main() -> None:
    """Answer until the pipe is closed; nothing but answers goes to the standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when to stop
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from btg.quality import gx

    gx.import_library()
    for line in sys.stdin:
        answers.write(json.dumps([asdict(f) for f in answer(json.loads(line))]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
