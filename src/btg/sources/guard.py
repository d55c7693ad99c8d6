"""The session that cbsodata is given: every page is checked before cbsodata sees it.

cbsodata makes a new session per page, follows any ``odata.nextLink``, and hands on whatever can
be parsed. ``Guard`` stands in for that session: pages come over one kept connection within the
limits of ``Transport``, and a page that is no JSON, lacks its rows, repeats itself or does not
follow on the previous one ends in a typed error that names table, entity and page.
"""

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from btg.errors import SourceAnswerError
from btg.sources.protocol import Progress
from btg.sources.transport import Answer, PassingError, Transport

NEXT_LINK = "odata.nextLink"
EXCERPT_CHARACTERS = 80


@dataclass
class _Chain:
    """The pages of one entity, read one after the other."""

    urls: set[str] = field(default_factory=set)
    rows: int = 0


class Guard:
    """What cbsodata uses as ``requests.Session`` while one table is read."""

    def __init__(self, transport: Transport, progress: Progress | None = None) -> None:
        self._transport = transport
        self._progress = progress
        self._chain = _Chain()
        self._next: str | None = None

    @property
    def pending(self) -> str | None:
        """Address of the page after the last one, for the calls that do not follow it."""
        return self._next

    def send(self, request: requests.PreparedRequest, **_options: object) -> requests.Response:
        """Return the checked answer to one request of cbsodata.

        The options of cbsodata (time-outs, proxies, TLS) are ignored: the transport's hold.
        """
        url = request.url or ""
        if url != self._next:
            self._chain = _Chain()
        self._chain.urls.add(url)
        where = f"{entity_of(url, self._transport.table)}, page {len(self._chain.urls)}"
        if self._progress is not None:
            self._progress(f"{self._transport.table}: {where}")
        answer, page = self._transport.get(url, where, lambda got: (got, self._page(got, where)))
        self._chain.rows += len(page["value"])
        self._next = self._following(page.get(NEXT_LINK), where)
        return _as_response(answer)

    def count(self, url: str) -> int:
        """Return the number at ``url`` (``.../$count?...``), asked once, without retries."""

        def number(answer: Answer) -> int:
            text = answer.body.decode("utf-8-sig", errors="replace").strip()
            if not re.fullmatch(r"\d{1,15}", text):
                self._refuse("$count", f"expected a number, found {_excerpt(answer.body)!r}")
            return int(text)

        return self._transport.get(url, "$count", number, attempts=1)

    def _page(self, answer: Answer, where: str) -> dict[str, Any]:
        """Return the page as an object with a list of rows under ``value``.

        JSON that breaks off is a ``PassingError``; anything else is final.
        """
        try:
            page = json.loads(answer.body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            excerpt = _excerpt(answer.body)
            if "json" in answer.content_type.lower() or excerpt.startswith("{"):
                raise PassingError(
                    f"the JSON is damaged after {len(answer.body):,} bytes ({error})",
                    is_answer=True,
                ) from None
            self._refuse(
                where, f"expected JSON, found {answer.content_type} that starts with {excerpt!r}"
            )
        if not isinstance(page, dict) or not isinstance(page.get("value"), list):
            found = sorted(page)[:5] if isinstance(page, dict) else type(page).__name__
            self._refuse(where, f"expected a list of rows under 'value', found {found}")
        if not all(isinstance(row, dict) for row in page["value"]):
            self._refuse(where, "expected every row to be an object with named columns")
        return page

    def _following(self, link: object, where: str) -> str | None:
        """Return the next page's address as it will be asked, or None after the last page.

        The link must be new and must go on exactly where the rows received so far end.
        """
        if link is None or link == "":
            return None
        try:
            url = requests.Request("GET", str(link)).prepare().url or ""
        except (requests.RequestException, ValueError):
            self._refuse(where, f"the link to the next page is not an address: {str(link)[:120]!r}")
        self._transport.allowed(url, f"{where}, link to the next page")
        if url in self._chain.urls:
            self._refuse(where, "the link to the next page leads to a page already read")
        skip = parse_qs(urlsplit(url).query).get("$skip", [""])[0]
        if skip.isdigit() and int(skip) != self._chain.rows:
            self._refuse(
                where,
                f"the next page starts after row {int(skip):,}, but {self._chain.rows:,} rows "
                "were received: rows are missing or repeated",
            )
        return url

    def _refuse(self, where: str, message: str) -> NoReturn:
        raise SourceAnswerError(self._transport.table, f"{where}: {message}")


def entity_of(url: str, table: str) -> str:
    """Return what an address asks for, in words; a table other than ``table`` is named too."""
    steps = [unquote(step) for step in urlsplit(url).path.split("/") if step]
    if steps[:1] == ["ODataCatalog"]:
        return "catalogue of tables"
    owner, entity = [*steps[2:4], "", ""][:2]
    what = entity or "service document"
    return what if owner.casefold() == table.casefold() else f"{owner}/{what}"


def _as_response(answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.url = answer.url
    response.headers["Content-Type"] = answer.content_type
    response.raw = io.BytesIO(answer.body)
    response.encoding = "utf-8"
    return response


def _excerpt(body: bytes) -> str:
    """Return the first printable characters of a body, on one line."""
    text = body[: 8 * EXCERPT_CHARACTERS].decode("utf-8", errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:EXCERPT_CHARACTERS]
