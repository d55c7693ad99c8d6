"""The questions in docs/analysts.md run as they stand and have an answer."""

import re

import pytest

from btg import warehouse
from btg.settings import Settings, load_settings

DOCUMENT = load_settings({}).repository / "docs" / "analysts.md"
QUESTIONS = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def test_there_are_ten_questions_and_more() -> None:
    assert len(re.findall(r"^### \d+\. ", DOCUMENT.read_text(), re.MULTILINE)) == 10
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize("position", range(len(QUESTIONS)))
def test_question_has_an_answer(published: Settings, position: int) -> None:
    con = warehouse.open_published(published.database)
    try:
        assert warehouse.rows(con, QUESTIONS[position])
    finally:
        con.close()


def test_python_example_runs(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)[0]
    monkeypatch.chdir(published.home)
    names: dict[str, object] = {}
    exec(code, names)
    assert len(names["frame"]) > 0  # type: ignore[arg-type]
    names["con"].close()  # type: ignore[attr-defined]
