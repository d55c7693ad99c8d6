"""A loopback OData v3 service in the manner of the statistics office, with faults to switch on.

In a test::

    with ODataServer(small_table(), page_size=50) as server:
        with server.fault(Fault("status", entity="TypedDataSet", page=2, status=503, times=1)):
            ...
        assert server.paths("TypedDataSet")

By hand::

    python -m tests.support.odata_server --figures DIR      # recorded answers
    python -m tests.support.odata_server --snapshots DIR    # raw snapshots (parquet)

It listens on 127.0.0.1 only. As the real service it answers with absolute ``odata.nextLink``s,
ignores the case of table ids, refuses filters on topics with HTTP 500 and ignores order
comparisons on WijkenEnBuurten.
"""

import argparse
import gzip
import json
import os
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.odata_filter import FilterError, parse
from tests.support.store import DATA_ENTITY, Entities, Row, Store, load_figures, load_snapshots

FEED = re.compile(r"/(?:ODataFeed|ODataApi)/odata/([^/]+)(?:/([^/]*))?(/\$count)?/?", re.IGNORECASE)
CATALOGUE = re.compile(r"/ODataCatalog/Tables/?", re.IGNORECASE)
JSON_TYPE = "application/json; odata=minimalmetadata; charset=utf-8"
HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Onderhoud</title></head><body>Even geduld.</body></html>"
)
NEXT_LINK = "odata.nextLink"

FaultKind = Literal[
    "delay",  # ``seconds`` of silence before the headers
    "drip",  # the body comes in pieces with ``seconds`` between them
    "status",  # HTTP ``status`` with ``headers`` instead of the answer
    "reset",  # the connection is reset halfway through the body
    "short",  # the connection closes halfway: fewer bytes than Content-Length says
    "truncated",  # a whole HTTP answer whose JSON breaks off halfway
    "damaged_gzip",  # compressed, but not to be decompressed
    "html",  # a maintenance page with status 200
    "no_value",  # JSON without the list of rows
    "not_rows",  # a list of numbers where rows belong
    "empty",  # no rows at all
    "redirect",  # to ``location``; without one, to itself
    "page_repeated",  # the rows of the page before in place of this page's
    "page_missing",  # the page before links past this page; a last page is not linked at all
    "page_short",  # the last row of this page is left out, the links stay
    "next_to",  # the link to the next page leads to ``location``
    "next_to_itself",  # the link to the next page leads to this page
    "huge",  # ``size`` bytes of made-up rows, sent as a stream (with ``headers``)
    "bomb",  # ``size`` bytes that compress to next to nothing
    "number",  # ``value`` in place of the first figure of the page, as raw JSON (NaN, "x", true)
    "unknown_keys",  # every row has columns nobody asked for
    "filter_ignored",  # all rows, whatever the filter says
    "select_ignored",  # all columns, whatever was selected
    "filter_first_only",  # of several and-ed groups only the first counts
    "count_wrong",  # $count says one more than there is
    "count_unfiltered",  # $count ignores the filter
    "other_table",  # the answer of another table of the store
]


@dataclass
class Fault:
    """Something that goes wrong with matching requests, while it is switched on.

    ``table``, ``entity`` and ``page`` (from 1) narrow the requests; None matches all. Entities
    are those of the service, ``""`` for the service document, ``$count``, and ``Tables`` for the
    catalogue. After ``times`` strikes it is over; ``hits`` counts them.
    """

    kind: FaultKind
    table: str | None = None
    entity: str | None = None
    page: int | None = None
    times: int | None = None
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    location: str = ""
    size: int = 200_000_000
    value: str = "NaN"
    hits: int = 0


@dataclass(frozen=True)
class Request:
    """One request that the service received; ``at`` is in seconds of a steady clock."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float
    table: str
    entity: str
    page: int


class ODataServer:
    """The service: a context manager that serves ``store`` on a free port of 127.0.0.1.

    ``store`` may be changed or replaced while it runs (a revision). ``hooks`` are called with
    each request before it is answered. ``requests`` logs them; ``connections`` counts the
    connections and ``bytes_sent`` the bytes of bodies. ``can_count=False`` refuses ``$count``.
    """

    def __init__(self, store: Store, *, page_size: int = 10_000, port: int = 0) -> None:
        self.store = store
        self.page_size = page_size
        self.can_count = True
        self.requests: list[Request] = []
        self.hooks: list[Callable[[Request], None]] = []
        self.connections = 0
        self.bytes_sent = 0
        self.closing = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._http = _HttpServer(("127.0.0.1", port), _Handler)
        self._http.service = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=[0.01], daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """Scheme, host and port: what a source takes for its base address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @contextmanager
    def fault(self, *faults: Fault) -> Iterator[Fault]:
        """Switch faults on for as long as the context lasts; yields the first."""
        self._faults.extend(faults)
        try:
            yield faults[0]
        finally:
            ended = {id(fault) for fault in faults}
            self._faults = [fault for fault in self._faults if id(fault) not in ended]

    def paths(self, entity: str | None = None) -> list[str]:
        """Return the paths asked for so far, of one entity if given."""
        return [r.path for r in self.requests if entity is None or r.entity == entity]

    def strike(self, kind: FaultKind, request: Request, page: int | None = None) -> Fault | None:
        """Return the active fault of this kind that the request meets, and count the hit."""
        page = request.page if page is None else page
        with self._lock:
            for fault in self._faults:
                is_met = (
                    fault.kind == kind
                    and (fault.times is None or fault.hits < fault.times)
                    and (fault.table is None or fault.table.lower() == request.table.lower())
                    and (fault.entity is None or fault.entity == request.entity)
                    and (fault.page is None or fault.page == page)
                )
                if is_met:
                    fault.hits += 1
                    return fault
        return None

    def entities(self, table_id: str) -> Entities | None:
        """Return a table by its id, in any case."""
        return next((v for k, v in self.store.items() if k.lower() == table_id.lower()), None)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    service: ODataServer

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error of the service."""


class _RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def service(self) -> ODataServer:
        return self.server.service

    def setup(self) -> None:
        super().setup()
        self.service.connections += 1

    def log_message(self, *_: object) -> None:
        """Stay quiet: the requests are in ``ODataServer.requests``."""

    def do_GET(self) -> None:
        request = self._request()
        self.service.requests.append(request)
        for hook in list(self.service.hooks):
            hook(request)
        if self._goes_wrong_instead(request):
            return
        try:
            if request.entity == "$count":
                body = str(len(self._matching(request))).encode()
                if self.service.strike("count_wrong", request):
                    body = str(len(self._matching(request)) + 1).encode()
                self._send(request, 200, body, "text/plain;charset=utf-8")
            else:
                payload = self._payload(request)
                self._send(request, 200, _dump(payload, self.service.strike("number", request)))
        except (FilterError, _RefusalError) as refusal:
            error = {"odata.error": {"code": "", "message": {"lang": "nl", "value": str(refusal)}}}
            self._send(request, refusal.status, json.dumps(error).encode())

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        table, entity = "", "?"
        if CATALOGUE.fullmatch(parts.path):
            entity = "Tables"
        elif match := FEED.fullmatch(parts.path):
            table, entity = match[1], "$count" if match[3] else match[2] or ""
        skip = query.get("$skip", "0")
        page = int(skip) // self.service.page_size + 1 if skip.isdigit() else 1
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(parts.path, query, headers, time.monotonic(), table, entity, page)

    # ---- answers

    def _payload(self, request: Request) -> dict[str, Any]:
        """Return the page that is asked for, with the faults that change what it says."""
        service = self.service
        if request.entity == "Tables":
            return self._page(request, [r for e in service.store.values() for r in e["TableInfos"]])
        entities = self._entities(request)
        if request.entity == "":
            names = list(entities)
            if "UntypedDataSet" not in names:
                names.insert(
                    names.index(DATA_ENTITY) if DATA_ENTITY in names else 0, "UntypedDataSet"
                )
            base = self._absolute(request.path.rstrip("/"))
            value = [{"name": name, "url": f"{base}/{name}"} for name in names]
            return {"odata.metadata": f"{base}/$metadata", "value": value}
        rows = self._matching(request)
        return self._page(request, rows)

    def _page(self, request: Request, rows: list[Row]) -> dict[str, Any]:
        service, size = self.service, self.service.page_size
        start = int(request.query.get("$skip") or 0)
        payload: dict[str, Any] = {
            "odata.metadata": self._absolute(f"{request.path}/$metadata"),
            "value": [dict(row) for row in rows[start : start + size]],
        }
        if service.strike("page_repeated", request):
            payload["value"] = [dict(row) for row in rows[max(start - size, 0) : start]]
        following = start + size
        if following < len(rows) and service.strike("page_missing", request, request.page + 1):
            following += size
        if following < len(rows):
            payload[NEXT_LINK] = self._link(request, following)
        if fault := service.strike("next_to", request):
            payload[NEXT_LINK] = fault.location
        if service.strike("next_to_itself", request):
            payload[NEXT_LINK] = self._absolute(self.path)
        if service.strike("page_short", request):
            payload["value"] = payload["value"][:-1]
        if service.strike("empty", request):
            payload["value"] = []
        if service.strike("not_rows", request):
            payload["value"] = [1, 2, 3]
        if service.strike("unknown_keys", request):
            payload["value"] = [
                {**row, "Onbekend_99": 1, "odata.x": ""} for row in payload["value"]
            ]
        if service.strike("no_value", request):
            payload = {"odata.metadata": payload["odata.metadata"], "message": "no rows today"}
        return payload

    def _matching(self, request: Request) -> list[Row]:
        """Return all rows that the request's filter and selection leave."""
        service = self.service
        entities = self._entities(request)
        entity = DATA_ENTITY if request.entity == "$count" else request.entity
        if request.entity == "$count" and not service.can_count:
            raise _RefusalError(404, "Resource not found for the segment '$count'.")
        if entity == "UntypedDataSet" and entity not in entities:
            rows = [_untyped(row) for row in entities[DATA_ENTITY]]
        elif entity in entities:
            rows = entities[entity]
        else:
            raise _RefusalError(404, f"Resource not found for the segment {entity!r}.")
        rows = self._filtered(request, entities, rows)
        select = [
            name.strip() for name in request.query.get("$select", "").split(",") if name.strip()
        ]
        if not select or request.entity == "$count" or service.strike("select_ignored", request):
            return rows
        known = {str(row["Key"]) for row in entities["DataProperties"]} | {"ID"}
        unknown = [name for name in select if name not in known and entity.endswith("DataSet")]
        if unknown:
            raise _RefusalError(400, f"Could not find a property named {unknown[0]!r}.")
        return [{name: row[name] for name in select if name in row} for row in rows]

    def _filtered(self, request: Request, entities: Entities, rows: list[Row]) -> list[Row]:
        text = request.query.get("$filter", "")
        ignored: FaultKind = "count_unfiltered" if request.entity == "$count" else "filter_ignored"
        if not text or self.service.strike(ignored, request):
            return rows
        if self.service.strike("filter_first_only", request):
            text = text.split(" and ")[0]
        topics = {r["Key"] for r in entities["DataProperties"] if r["Type"] == "Topic"}
        columns = set(rows[0]) if rows else set()
        condition = parse(text, columns - topics, topics)
        return [row for row in rows if condition(row)]

    def _entities(self, request: Request) -> Entities:
        entities = self.service.entities(request.table)
        if self.service.strike("other_table", request):
            entities = next(v for k, v in self.service.store.items() if k != request.table)
        if entities is None:
            raise _RefusalError(404, f"Table {request.table!r} does not exist.")
        return entities

    def _link(self, request: Request, skip: int) -> str:
        query = {**request.query, "$skip": str(skip)}
        return self._absolute(f"{request.path}?{urlencode(query, safe='$')}")

    def _absolute(self, path: str) -> str:
        return f"{self.service.url}{path}"

    # ---- sending, and what goes wrong with it

    def _goes_wrong_instead(self, request: Request) -> bool:
        """Let a fault happen that replaces the answer (or delays it); True when it was sent."""
        service = self.service
        if fault := service.strike("delay", request):
            service.closing.wait(fault.seconds)
        if fault := service.strike("status", request):
            self._send(request, fault.status, b"try another time", "text/plain", fault.headers)
        elif fault := service.strike("redirect", request):
            headers = {"Location": fault.location or self.path}
            self._send(request, 302, b"", "text/plain", headers)
        elif service.strike("html", request):
            self._send(request, 200, HTML, "text/html; charset=utf-8")
        elif fault := service.strike("huge", request):
            self._send_huge(fault)
        elif fault := service.strike("bomb", request):
            headers = {"Content-Encoding": "gzip"}
            self._send(request, 200, _bomb(fault.size), JSON_TYPE, headers, is_final=True)
        else:
            return False
        return True

    def _send(
        self,
        request: Request,
        status: int,
        body: bytes,
        content_type: str = JSON_TYPE,
        headers: dict[str, str] | None = None,
        is_final: bool = False,
    ) -> None:
        service = self.service
        head = {"Content-Type": content_type, **(headers or {})}
        if service.strike("truncated", request):
            body = body[: len(body) // 2]
        accepts = "gzip" in request.headers.get("accept-encoding", "")
        if accepts and len(body) > 500 and not is_final:
            head["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=1)
            if service.strike("damaged_gzip", request):
                body = body[:20] + bytes(20) + body[40:]
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if service.strike("reset", request):
            self._write(body[: len(body) // 2])
            self._reset()
        elif service.strike("short", request):
            self._write(body[: len(body) // 2])
            self.close_connection = True
        elif fault := service.strike("drip", request):
            for start in range(0, len(body), 100):
                self._write(body[start : start + 100])
                if service.closing.wait(fault.seconds) or self.close_connection:
                    break
        else:
            self._write(body)

    def _send_huge(self, fault: Fault) -> None:
        self.send_response(200)
        self.send_header("Content-Type", JSON_TYPE)
        for name, value in {"Connection": "close", **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        row = json.dumps({"ID": 0, "filling": "x" * 900}).encode() + b","
        piece = row * 100
        self._write(b'{"value":[')
        sent = 0
        while sent < fault.size and not self.service.closing.is_set():
            if not self._write(piece):
                return
            sent += len(piece)

    def _write(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True
            return False
        self.service.bytes_sent += len(data)
        return True

    def _reset(self) -> None:
        """Close so that the client sees a reset, not an end."""
        self.close_connection = True
        time.sleep(0.02)  # let the first half arrive
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


def _dump(payload: dict[str, Any], fault: Fault | None) -> bytes:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    if fault is not None and payload.get("value"):
        row = payload["value"][0]
        key = next(k for k in reversed(row) if not isinstance(row[k], str))
        text = text.replace(f'"{key}":{json.dumps(row[key])}', f'"{key}":{fault.value}', 1)
    return text.encode()


def _untyped(row: Row) -> Row:
    """Return a row as the untyped set has it: figures as right-aligned texts, a dot for none."""
    return {
        name: value
        if isinstance(value, str) or name == "ID"
        else ("." if value is None else f"{value:g}").rjust(10)
        for name, value in row.items()
    }


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    piece = b" " * 1_000_000
    packed = packer.compress(b'{"value":[')
    for _ in range(size // len(piece)):
        packed += packer.compress(piece)
    return packed + packer.compress(b"]}") + packer.flush()


def main() -> None:
    """Serve a folder until interrupted; the address is the one line on stdout."""
    parser = argparse.ArgumentParser(description="Serve tables as a loopback OData v3 service.")
    folder = parser.add_mutually_exclusive_group(required=True)
    folder.add_argument("--figures", type=Path, help="folder of recorded answers")
    folder.add_argument("--snapshots", type=Path, help="folder of raw snapshots")
    parser.add_argument("--tables", nargs="*", help="only these tables")
    parser.add_argument("--page-size", type=int, default=10_000)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.figures:
        store = load_figures(arguments.figures, arguments.tables)
    else:
        store = load_snapshots(arguments.snapshots, arguments.tables)
    with ODataServer(store, page_size=arguments.page_size, port=arguments.port) as server:
        print(server.url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
