"""Reading DataProperties: which columns and items a table of the catalogue means.

Keys such as ``TotaleBevolking_1`` get other numbers at every redesign of a table, and the same
title occurs in several groups. So a topic is found by its whole title path through the groups,
and an item of a dimension by its trimmed key, whose padding is the dimension's own.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from btg.catalogue.schema import RegionLevel, Table
from btg.errors import CatalogueError, ContractError

Row = Mapping[str, Any]

REGION_PREFIX: dict[RegionLevel, str] = {
    "gemeente": "GM",
    "provincie": "PV",
    "corop": "CR",
    "land": "NL",
}
DIMENSION_TYPES = frozenset({"Dimension", "TimeDimension", "GeoDimension", "GeoDetail"})


@dataclass(frozen=True)
class Topic:
    """A column with figures: its key of today, its title path, and how the source types it."""

    key: str
    path: tuple[str, ...]
    datatype: str
    position: int


@dataclass(frozen=True)
class Slice:
    """What is asked of a table: the columns, and which of them carries which measure."""

    dimensions: tuple[str, ...]
    topics: tuple[Topic, ...]
    columns: dict[str, str]

    @property
    def select(self) -> list[str]:
        """Every column that is asked for, dimensions first."""
        return [*self.dimensions, *(topic.key for topic in self.topics)]


def resolve(table: Table, properties: Sequence[Row]) -> Slice:
    """Return the columns that the table's measures mean in these DataProperties.

    Raises ``ContractError`` when a dimension is missing or new, or when a title path leads to no
    topic or to several.
    """
    dimensions = _dimensions(table, properties)
    topics = topics_of(properties)
    chosen = {
        measure.id: _topic(table.id, [measure.path, *measure.also_paths], topics)
        for measure in table.measures
    }
    unique = {topic.key: topic for topic in chosen.values()}
    return Slice(
        dimensions=dimensions,
        topics=tuple(sorted(unique.values(), key=lambda topic: (topic.position, topic.key))),
        columns={measure_id: topic.key for measure_id, topic in chosen.items()},
    )


def topics_of(properties: Sequence[Row]) -> list[Topic]:
    """Return every topic with its title path, outermost group first."""
    groups = {row.get("ID"): row for row in properties if row.get("Type") == "TopicGroup"}
    return [
        Topic(
            key=str(row.get("Key")),
            path=_path(row, groups),
            datatype=str(row.get("Datatype")),
            position=_position(row),
        )
        for row in properties
        if row.get("Type") == "Topic"
    ]


def region_filter(geo_dimension: str, levels: Iterable[RegionLevel]) -> str:
    """Return the OR group that selects the levels by the first letters of their codes."""
    return _any_of(f"startswith({geo_dimension},'{REGION_PREFIX[level]}')" for level in levels)


def item_filter(dimension: str, keys: Iterable[str]) -> str:
    """Return the OR group that selects items by their exact keys, padding included."""
    quoted = (key.replace("'", "''") for key in keys)
    return _any_of(f"{dimension} eq '{key}'" for key in quoted)


def item_keys(table: Table, dimension: str, rows: Sequence[Row]) -> list[str]:
    """Return the padded keys of the items that the catalogue selects in one dimension.

    Raises ``ContractError`` for an item that the dimension does not have.
    """
    wanted = table.selection[dimension]
    if not wanted:
        raise CatalogueError(f"{table.id}: the selection of {dimension} names no item")
    known: dict[str, list[str]] = {}
    for row in rows:
        known.setdefault(str(row.get("Key")).strip(), []).append(str(row.get("Key")))
    keys: list[str] = []
    for item in wanted:
        found = known.get(item.strip(), [])
        if len(found) != 1:
            near = difflib.get_close_matches(item, known, n=3) or sorted(known)[:3]
            raise ContractError(
                table.id,
                "item_ambiguous" if found else "item_missing",
                f"dimension {dimension}: expected one item {item!r}, found {len(found)} among "
                f"{len(known)} items (such as {', '.join(near) or 'none'}); look the item up and "
                "correct 'selection' in the catalogue",
            )
        keys.extend(found)
    return keys


def _dimensions(table: Table, properties: Sequence[Row]) -> tuple[str, ...]:
    rows = [row for row in properties if row.get("Type") in DIMENSION_TYPES]
    found = [str(row.get("Key")) for row in sorted(rows, key=_position)]
    declared = {table.geo_dimension, *table.selection}
    if table.time_dimension is not None:
        declared.add(table.time_dimension)
    for rule, names in (
        ("dimension_missing", declared - set(found)),
        ("dimension_unexpected", set(found) - declared),
    ):
        if names:
            raise ContractError(
                table.id,
                rule,
                f"expected the dimensions {', '.join(sorted(declared))}; found "
                f"{', '.join(found) or 'none'}: the table was redesigned, review its entry",
            )
    return tuple(found)


def _topic(table_id: str, paths: Sequence[Sequence[str]], topics: Sequence[Topic]) -> Topic:
    """Return the one topic under any of the reviewed paths; the first names it in errors."""
    path = paths[0]
    wanted = tuple(_plain(title) for title in path)
    known = {tuple(_plain(title) for title in also) for also in paths}
    hits = [topic for topic in topics if tuple(_plain(title) for title in topic.path) in known]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise ContractError(
            table_id,
            "topic_ambiguous",
            f"expected one topic {_show(path)}, found {len(hits)}: "
            f"{', '.join(topic.key for topic in hits)}",
        )
    raise ContractError(
        table_id,
        "topic_missing",
        f"expected the topic {_show(path)}, found none among {len(topics)}; nearest: "
        f"{'; '.join(_nearest(wanted, topics)) or 'nothing like it'}",
    )


def _nearest(wanted: tuple[str, ...], topics: Sequence[Topic]) -> list[str]:
    """Return the paths that a renamed topic is probably found under: same title, then similar."""
    paths = {" / ".join(_plain(title) for title in topic.path): topic.path for topic in topics}
    same_title = [key for key, path in paths.items() if _plain(path[-1]) == wanted[-1]]
    similar = difflib.get_close_matches(" / ".join(wanted), paths, n=3, cutoff=0.5)
    return [_show(paths[key]) for key in dict.fromkeys([*same_title, *similar])][:3]


def _path(topic: Row, groups: Mapping[Any, Row]) -> tuple[str, ...]:
    """Return the titles from the outermost group to the topic; '?' where a group is not listed."""
    titles = [str(topic.get("Title"))]
    seen: set[Any] = set()
    parent = topic.get("ParentID")
    while parent is not None:
        if parent in seen or parent not in groups:
            titles.append("?")
            break
        seen.add(parent)
        titles.append(str(groups[parent].get("Title")))
        parent = groups[parent].get("ParentID")
    return tuple(reversed(titles))


def _position(row: Row) -> int:
    position = row.get("Position")
    return position if isinstance(position, int) else 0


def _any_of(clauses: Iterable[str]) -> str:
    return f"({' or '.join(clauses)})"


def _plain(title: str) -> str:
    """Return a title as it is compared: one kind of space, no case, composed accents."""
    return unicodedata.normalize("NFC", " ".join(title.split())).casefold()


def _show(path: Sequence[str]) -> str:
    return "'" + " / ".join(" ".join(title.split()) for title in path) + "'"
