"""The one protocol that every source fulfils: probe cheaply, then fetch the whole slice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from btg.catalogue.schema import Table

DATA_ENTITY = "TypedDataSet"
"""Name of the entity that holds the figures; all others are metadata."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Probe:
    """What the source says of a table without sending its figures."""

    table_id: str
    title: str
    modified: str
    reason_delivery: str | None = None
    output_status: str | None = None
    record_count: int | None = None


@dataclass(frozen=True)
class Delivery:
    """One table as received: codes untouched, padding kept, one frame per entity.

    ``entities`` holds the figures under ``DATA_ENTITY`` and every metadata entity under the
    service's own name. ``columns`` maps a measure of the catalogue to the column of the figures
    that carries it. ``request`` is what was asked, so that it can be asked again.
    """

    table_id: str
    title: str
    modified: str
    entities: dict[str, pl.DataFrame]
    columns: dict[str, str]
    request: dict[str, Any]
    notes: tuple[str, ...] = field(default=())


class Source(Protocol):
    """A place that tables come from."""

    def probe(self, table: Table) -> Probe:
        """Return the table's state; raises ``SourceError`` when there is none to be had."""
        ...

    def fetch(self, table: Table) -> Delivery:
        """Return the whole slice that the catalogue asks for; raises ``SourceError``."""
        ...
