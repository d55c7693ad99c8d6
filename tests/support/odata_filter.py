"""The part of OData's ``$filter`` that the statistics service understands, with its quirks.

``eq``, ``ge``, ``le``, ``gt``, ``lt``, ``ne``, ``startswith``, ``substringof``, ``and``, ``or``
and brackets, on dimensions only. Quotes inside a text are doubled. As at the real service: a
topic column is answered with HTTP 500, and an order comparison on WijkenEnBuurten is ignored.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

Row = dict[str, Any]
Condition = Callable[[Row], bool]

TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][A-Za-z0-9_]*)|([(),]))")
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "le": lambda a, b: a <= b,
    "lt": lambda a, b: a < b,
}


class FilterError(Exception):
    """The filter is refused; ``status`` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def parse(text: str, dimensions: Collection[str], topics: Collection[str]) -> Condition:
    """Return the condition that a filter puts on a row; raises ``FilterError``."""
    return _Parser(text, dimensions, topics).parse()


class _Parser:
    def __init__(self, text: str, dimensions: Collection[str], topics: Collection[str]) -> None:
        self._tokens = _tokens(text)
        self._dimensions = dimensions
        self._topics = topics

    def parse(self) -> Condition:
        condition = self._either()
        if self._tokens:
            raise FilterError(400, f"unexpected {self._tokens[0]!r}")
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._peek() == "or":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _both(self) -> Condition:
        parts = [self._clause()]
        while self._peek() == "and":
            self._take()
            parts.append(self._clause())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _clause(self) -> Condition:
        word = self._take()
        if word == "(":
            condition = self._either()
            self._take(")")
            return condition
        if word in ("startswith", "substringof"):
            return self._function(word)
        return self._comparison(self._column(word))

    def _function(self, name: str) -> Condition:
        self._take("(")
        first = self._take()
        self._take(",")
        second = self._take()
        self._take(")")
        if name == "startswith":
            column, start = self._column(first), _text(second)
            return lambda row: str(row[column]).startswith(start)
        part, column = _text(first), self._column(second)
        return lambda row: part in str(row[column])

    def _comparison(self, column: str) -> Condition:
        operator = self._take()
        if operator not in COMPARISONS:
            raise FilterError(400, f"unknown operator {operator!r}")
        compare, value = COMPARISONS[operator], _text(self._take())
        if column == "WijkenEnBuurten" and operator in ("ge", "gt", "le", "lt"):
            return lambda row: True
        return lambda row: compare(str(row[column]), value)

    def _column(self, name: str) -> str:
        if name in self._topics:
            raise FilterError(500, f"a filter on the topic {name} is not possible")
        if name not in self._dimensions:
            raise FilterError(400, f"no property {name!r}")
        return name

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, expected: str | None = None) -> str:
        token = self._tokens.pop(0) if self._tokens else ""
        if (expected is not None and token != expected) or not token:
            raise FilterError(400, f"expected {expected or 'more'}, found {token!r}")
        return token


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if match is None:
            raise FilterError(400, f"cannot read {text[position:][:20]!r}")
        tokens.append(match.group(match.lastindex or 0))
        position = match.end()
    return tokens


def _text(token: str) -> str:
    if not token.startswith("'"):
        raise FilterError(400, f"expected a text in quotes, found {token!r}")
    return token[1:-1].replace("''", "'")
