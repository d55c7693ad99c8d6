"""The OData v3 services of CBS and its partners, read through cbsodata.

This is the only module that imports cbsodata, and only inside a function: on import, and on every
call, cbsodata logs through the root logger, which puts a handler on it. Its session and options
are module globals, so one call at a time runs under a lock, and all is put back afterwards.

What is proved complete: pages follow on each other without a gap or a repeat (the ``$skip`` of
each link equals the rows received), no cell occurs twice, every requested item has rows, and the
number of rows equals what the service itself counts for the same filter. What stays undetected,
and is left to the comparison with the last accepted snapshot: a last page that is missing when
the service cannot count; rows that the service leaves out of data and count alike; a wrong value
in a sound row; a change of figures for which the source does not change ``Modified``.
"""

import logging
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import polars as pl
import requests

from btg.catalogue.schema import Table
from btg.errors import CatalogueError, ContractError, SourceAnswerError, SourceError
from btg.settings import Settings
from btg.sources import frames, odata
from btg.sources.guard import Guard
from btg.sources.hosts import HostState
from btg.sources.protocol import DATA_ENTITY, Delivery, Probe, Progress
from btg.sources.transport import Limits, Transport, address_of

T = TypeVar("T")
Rows = list[dict[str, Any]]

ENTITY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ONE_CALL_AT_A_TIME = threading.Lock()


class CbsSource:
    """One OData v3 service (``Source``): probes and fetches tables within the settings' limits.

    ``base_url`` is scheme, host and port. ``hosts`` is shared by all sources of one run: a host
    that failed for good is not asked again. ``progress`` hears of every page that is asked for.
    """

    def __init__(
        self,
        base_url: str,
        settings: Settings,
        *,
        hosts: HostState | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        progress: Progress | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._settings = settings
        self._hosts = HostState() if hosts is None else hosts
        self._hosts.register(address_of(self.base_url))
        self._clock = clock
        self._sleep = sleep
        self._progress = progress
        self._session = requests.Session()
        self._catalogue: Rows | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def probe(self, table: Table) -> Probe:
        """Return what TableInfos says of the table (of its newest edition, by title pattern)."""
        reader = self._reader(table)
        table_id = self._table_id(reader)
        info = reader.info(table_id)
        count = info.get("RecordCount")
        return Probe(
            table_id=table_id,
            title=str(info.get("Title") or ""),
            modified=str(info["Modified"]),
            reason_delivery=_text(info.get("ReasonDelivery")),
            output_status=_text(info.get("OutputStatus")),
            record_count=count if isinstance(count, int) else None,
        )

    def fetch(self, table: Table) -> Delivery:
        """Return the slice that the catalogue asks for, with all metadata, proved complete.

        A table that the source updates while it is read is read once more from the start.
        Raises ``SourceUnreachableError``, ``SourceAnswerError``, or ``ContractError`` when the
        table has not the topics, dimensions or items that the catalogue names.
        """
        reader = self._reader(table)
        table_id = self._table_id(reader)
        before = reader.info(table_id)
        for is_second in (False, True):
            try:
                delivery = reader.fetch(table_id, before)
            except (SourceAnswerError, ContractError):
                after = reader.info(table_id)
                if is_second or after["Modified"] == before["Modified"]:
                    raise
            else:
                after = reader.info(table_id)
                if after["Modified"] == before["Modified"]:
                    return delivery
            before = after
            reader.start_again()
        raise SourceAnswerError(
            table.id,
            "the table is being updated: Modified changed twice while it was read, last to "
            f"{before['Modified']}; try again later",
        )

    def topics(self, table: Table) -> tuple[str, list[odata.Topic]]:
        """Return the id under which the table is found today, and all its topics by title path."""
        reader = self._reader(table)
        table_id = self._table_id(reader)
        return table_id, odata.topics_of(reader.properties(table_id))

    def _reader(self, table: Table) -> "_TableReader":
        transport = Transport(
            table.id,
            self.base_url,
            Limits.of(self._settings, table.retries, table.timeout_s),
            self._hosts,
            self._session,
            self._clock,
            self._sleep,
        )
        return _TableReader(table, self.base_url, transport, self._progress)

    def _table_id(self, reader: "_TableReader") -> str:
        """Return the table's id: its own, or that of the newest edition by title pattern."""
        if reader.table.title_pattern is None:
            return reader.table.id
        if self._catalogue is None:
            self._catalogue = reader.catalogue()
        return newest_edition(reader.table, self._catalogue)


class _TableReader:
    """Reads one table of one service, under one deadline."""

    def __init__(
        self, table: Table, base_url: str, transport: Transport, progress: Progress | None
    ) -> None:
        self.table = table
        self._base_url = base_url
        self._transport = transport
        self._guard = Guard(transport, progress)

    def start_again(self) -> None:
        """Prepare to read the table anew; the deadline stays."""
        self._transport.renew_bytes()

    def info(self, table_id: str) -> dict[str, Any]:
        """Return the table's row of TableInfos; it has a ``Modified`` and the table's own id."""
        info = self._call(lambda client, host: client.get_info(table_id, catalog_url=host))
        if not isinstance(info, dict):
            raise SourceAnswerError(self.table.id, "TableInfos: expected one row, found none")
        found = str(info.get("Identifier") or table_id)
        if found.casefold() != table_id.casefold():
            raise SourceAnswerError(
                self.table.id, f"TableInfos: expected table {table_id}, found {found}"
            )
        if not _text(info.get("Modified")):
            raise SourceAnswerError(self.table.id, "TableInfos: Modified is missing")
        return info

    def properties(self, table_id: str) -> Rows:
        """Return the table's DataProperties."""
        return self._meta(table_id, "DataProperties")

    def catalogue(self) -> Rows:
        """Return the list of all tables; cbsodata reads its first page only, so go on from it."""
        columns = ["Identifier", "Title", "OutputStatus"]
        rows: Rows = self._call(
            lambda client, host: client.get_table_list(select=columns, catalog_url=host)
        )
        while self._guard.pending is not None:
            page = self._guard.send(requests.Request("GET", self._guard.pending).prepare())
            rows = rows + page.json()["value"]
        return rows

    def fetch(self, table_id: str, info: Mapping[str, Any]) -> Delivery:
        """Return the table as it is now, checked; ``info`` is its row of TableInfos."""
        properties = self._meta(table_id, "DataProperties")
        wanted = self._slice(properties)
        items = {
            name: odata.item_keys(self.table, name, self._meta(table_id, name))
            for name in self.table.selection
        }
        condition = self._condition(wanted, items)
        received = self._download(table_id, wanted, condition)
        if received["DataProperties"] != properties:
            raise SourceAnswerError(self.table.id, "DataProperties changed while it was read")
        rows, notes = self._requested_rows(received, items)
        notes += _uncalled_columns(received[DATA_ENTITY], wanted.select)
        notes += self._completeness(table_id, info, condition, received[DATA_ENTITY], len(rows))
        return Delivery(
            table_id=table_id,
            title=str(info.get("Title") or ""),
            modified=str(info["Modified"]),
            entities=self._frames(received, rows, wanted),
            columns=wanted.columns,
            request={
                "url": self._base_url,
                "table": table_id,
                "select": wanted.select,
                "filter": condition,
            },
            notes=tuple(notes),
        )

    def _slice(self, properties: Rows) -> odata.Slice:
        try:
            return odata.resolve(self.table, properties)
        except (TypeError, ValueError) as error:
            raise SourceAnswerError(
                self.table.id, f"DataProperties: not in the shape of the service ({error})"
            ) from error

    def _condition(self, wanted: odata.Slice, items: Mapping[str, Sequence[str]]) -> str | None:
        """Return the filter: one OR group per dimension, joined by and; no level is every region.

        Only ``startswith`` and ``eq`` are used: the service ignores comparisons on some
        dimensions without a word, and of two clauses on one dimension it may use the first only.
        """
        groups = []
        if self.table.region_levels:
            groups.append(odata.region_filter(self.table.geo_dimension, self.table.region_levels))
        groups += [odata.item_filter(n, items[n]) for n in wanted.dimensions if n in items]
        return " and ".join(groups) or None

    def _download(
        self, table_id: str, wanted: odata.Slice, condition: str | None
    ) -> dict[str, Rows]:
        """Return every entity of the table, the figures sliced; ``typed=False`` is the typed set.

        (cbsodata has the two turned round; a contract test watches it.)
        """
        received: dict[str, Rows] = self._call(
            lambda client, host: client.download_data(
                table_id, typed=False, select=wanted.select, filters=condition, catalog_url=host
            )
        )
        expected = {DATA_ENTITY, "TableInfos", "DataProperties", *wanted.dimensions}
        missing = sorted(name for name in expected if not received.get(name))
        if missing:
            raise SourceAnswerError(
                self.table.id,
                f"{', '.join(missing)}: expected rows, found none (a filter that matches nothing, "
                "or an answer without content)",
            )
        strange = [name for name in received if not ENTITY_NAME.fullmatch(name)]
        if strange:
            raise SourceAnswerError(
                self.table.id, f"service document: {strange[0]!r} is not the name of an entity"
            )
        return received

    def _requested_rows(
        self, received: Mapping[str, Rows], items: Mapping[str, Sequence[str]]
    ) -> tuple[Rows, list[str]]:
        """Return the rows that were asked for, and notes on rows that were not.

        A filter that the service misunderstands is answered with 200 and other rows. So every
        requested item must have rows, and rows that nobody asked for are let pass (dropped,
        noted) only when every requested level that the dimension lists has rows as well.
        """
        geo = self.table.geo_dimension
        levels = {odata.REGION_PREFIX[level] for level in self.table.region_levels}
        allowed = {name: {key.strip() for key in keys} for name, keys in items.items()}
        rows = [
            row
            for row in received[DATA_ENTITY]
            if (not levels or _code(row, geo)[:2] in levels)
            and all(_code(row, name) in keys for name, keys in allowed.items())
        ]
        for name, keys in allowed.items():
            self._require_all(name, keys, {_code(row, name) for row in rows})
        listed = levels & {_code(row, "Key", default="")[:2] for row in received[geo]}
        absent = listed - {_code(row, geo)[:2] for row in rows}
        dropped = len(received[DATA_ENTITY]) - len(rows)
        if (absent and dropped) or not rows:
            self._require_all(geo, listed or levels, listed - absent)
        notes = [f"no rows of level {level}, which {geo} lists" for level in sorted(absent)]
        if dropped:
            notes.append(f"{dropped:,} rows that were not asked for were left out")
        return rows, notes

    def _require_all(self, dimension: str, expected: set[str], found: set[str]) -> None:
        if not expected <= found:
            raise SourceAnswerError(
                self.table.id,
                f"{DATA_ENTITY}: asked for {dimension} {', '.join(sorted(expected))}, received "
                f"{', '.join(sorted(found)) or 'none of them'}: the filter was not followed",
            )

    def _completeness(
        self,
        table_id: str,
        info: Mapping[str, Any],
        condition: str | None,
        received: Rows,
        n_requested: int,
    ) -> list[str]:
        """Compare the rows with what the service counts, or with RecordCount if it cannot.

        A count that ignores the filter proves nothing; whether it does is asked with a filter
        that matches no row.
        """
        counted = self._count(table_id, condition)
        total = info.get("RecordCount")
        if counted in (len(received), n_requested):
            return []
        if counted is not None and (counted != total or self._counts_filtered(table_id)):
            raise SourceAnswerError(
                self.table.id,
                f"{DATA_ENTITY}: expected {counted:,} rows by the service's own count, received "
                f"{len(received):,}: a page is missing or repeated",
            )
        if isinstance(total, int) and total > 0:
            is_possible = len(received) <= total if condition else len(received) == total
            if not is_possible:
                raise SourceAnswerError(
                    self.table.id,
                    f"{DATA_ENTITY}: expected {'at most ' if condition else ''}{total:,} rows by "
                    f"RecordCount, received {len(received):,}",
                )
        return ["the service did not count the filtered rows; the last page could be missing"]

    def _counts_filtered(self, table_id: str) -> bool:
        return self._count(table_id, f"{self.table.geo_dimension} eq 'none such'") == 0

    def _count(self, table_id: str, condition: str | None) -> int | None:
        """Return the service's own count for a filter, None when it gives none."""
        url = f"{self._base_url}/ODataFeed/odata/{table_id}/{DATA_ENTITY}/$count"
        params = {"$filter": condition} if condition else {}
        try:
            return self._guard.count(
                requests.Request("GET", url, params=params).prepare().url or ""
            )
        except SourceError:
            return None

    def _frames(
        self, received: Mapping[str, Rows], rows: Rows, wanted: odata.Slice
    ) -> dict[str, pl.DataFrame]:
        entities = {
            name: frames.metadata(self.table.id, name, content)
            for name, content in received.items()
            if name != DATA_ENTITY
        }
        entities[DATA_ENTITY] = frames.figures(self.table.id, rows, wanted)
        repeated = frames.repeated_cells(entities[DATA_ENTITY], wanted.dimensions)
        if repeated:
            raise SourceAnswerError(
                self.table.id,
                f"{DATA_ENTITY}: expected every cell once, found {len(repeated)} twice or more "
                f"(such as {repeated[0]}): a page is repeated",
            )
        return entities

    def _meta(self, table_id: str, entity: str) -> Rows:
        rows: Rows = self._call(
            lambda client, host: client.get_meta(table_id, entity, catalog_url=host)
        )
        if not rows:
            raise SourceAnswerError(self.table.id, f"{entity}: expected rows, found none")
        return rows

    def _call(self, ask: Callable[[Any, str], T]) -> T:
        """Return what ``ask(client, host)`` gets from cbsodata, which then uses the guard."""
        base = urlsplit(self._base_url)
        try:
            with _cbsodata(self._guard, use_https=base.scheme == "https") as client:
                return ask(client, base.netloc)
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise SourceAnswerError(
                self.table.id,
                "the answer has not the shape of an OData v3 table "
                f"({type(error).__name__}: {error})",
            ) from error


def newest_edition(table: Table, catalogue: Sequence[Mapping[str, Any]]) -> str:
    """Return the id of the newest table whose title matches the table's pattern.

    Case and accents are ignored; the year is the pattern's one group. Of two tables with the
    same year one that is not discontinued wins; if that does not decide, it is an error.
    """
    try:
        pattern = re.compile(_bare(table.title_pattern or ""), re.IGNORECASE)
    except re.error as error:
        raise CatalogueError(f"{table.id}: title_pattern cannot be read: {error}") from None
    if pattern.groups != 1:
        raise CatalogueError(f"{table.id}: title_pattern must have one group, the year")
    editions = [
        (int(match[1]), row.get("OutputStatus") in (None, "Regulier"), str(row.get("Identifier")))
        for row in catalogue
        if (match := pattern.search(_bare(str(row.get("Title"))))) and str(match[1]).isdigit()
    ]
    if not editions:
        raise SourceAnswerError(
            table.id,
            f"catalogue of tables: no title among {len(catalogue)} matches {table.title_pattern!r}",
        )
    newest = max(edition[:2] for edition in editions)
    found = sorted({edition[2] for edition in editions if edition[:2] == newest})
    if len(found) > 1:
        raise SourceAnswerError(
            table.id,
            f"catalogue of tables: expected one title for {newest[0]} that matches "
            f"{table.title_pattern!r}, found {', '.join(found)}",
        )
    return found[0]


@contextmanager
def _cbsodata(guard: Guard, use_https: bool) -> Iterator[Any]:
    """Lend out cbsodata with the guard for its session; all is put back, also after an error."""
    with _ONE_CALL_AT_A_TIME:
        with _root_logger_left_alone():
            from cbsodata import cbsodata3 as client
        session, its_logging = client.Session, client.logging
        client.logging = SimpleNamespace(info=lambda *_: None)
        https, options = client.options.use_https, client.options.requests
        try:
            client.Session = lambda: guard
            client.options.use_https = use_https
            client.options.requests = {}
            yield client
        finally:
            client.Session = session
            client.options.use_https, client.options.requests = https, options
            client.logging = its_logging


@contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """Keep the import of cbsodata from putting a handler on the root logger."""
    nothing = logging.NullHandler()
    logging.root.addHandler(nothing)
    try:
        yield
    finally:
        logging.root.removeHandler(nothing)


def _uncalled_columns(rows: Sequence[Mapping[str, Any]], select: Sequence[str]) -> list[str]:
    """Return a note on columns that came without being asked for; they are left out."""
    received = set().union(*rows) - {"ID", *select}
    names = sorted(name for name in received if not name.startswith("odata."))
    if not names:
        return []
    return [f"{len(names)} columns that were not asked for were left out, such as {names[0]}"]


def _bare(text: str) -> str:
    """Return a text without accents and with single spaces."""
    decomposed = unicodedata.normalize("NFD", " ".join(text.split()))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _code(row: Mapping[str, Any], name: str, default: str = "?") -> str:
    """Return a code without its padding; what is no text is left for the typed frame to refuse."""
    value = row.get(name)
    return value.strip() if isinstance(value, str) else default


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
