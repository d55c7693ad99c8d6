"""Tables in the shape of OData v3 answers: loaded from folders, or built small for a test.

A ``Store`` is plain data, so a test may change it in any way: table id -> entity -> rows.
"""

import gzip
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

Row = dict[str, Any]
Entities = dict[str, list[Row]]
Store = dict[str, Entities]

DATA_ENTITY = "TypedDataSet"

TWENTE = {
    "GM0141": "Almelo",
    "GM0147": "Borne",
    "GM0153": "Enschede",
    "GM0158": "Haaksbergen",
    "GM0163": "Hellendoorn",
    "GM0164": "Hengelo (O.)",
    "GM0168": "Losser",
    "GM0173": "Oldenzaal",
    "GM0183": "Tubbergen",
    "GM0189": "Wierden",
    "GM1700": "Twenterand",
    "GM1735": "Hof van Twente",
    "GM1742": "Rijssen-Holten",
    "GM1774": "Dinkelland",
}
LARGER = {"NL01": "Nederland", "PV23": "Overijssel (PV)", "CR12": "Twente (CR)"}
REGIONS = {**LARGER, **TWENTE}
MODIFIED = "2026-02-17T02:00:00"


@dataclass(frozen=True)
class TopicSpec:
    """A topic of a built table: its title path (groups first) and how it is typed."""

    path: tuple[str, ...]
    unit: str = "aantal"
    datatype: str = "Double"
    decimals: int = 0
    description: str = ""


@dataclass(frozen=True)
class DimensionSpec:
    """A further dimension of a built table: item -> title, keys padded to ``width``."""

    items: Mapping[str, str]
    width: int = 0
    title: str = ""


TOPICS = (
    TopicSpec(("Bevolking", "Bevolkingssamenstelling op 1 januari", "Totale bevolking")),
    TopicSpec(("Inkomen", "Besteedbaar inkomen", "Alle huishoudens"), "1 000 euro", decimals=1),
    TopicSpec(("Inkomen", "Vermogen", "Alle huishoudens"), "1 000 euro", "Long"),
)
"""Three topics, of which two have the same title in different groups."""


def figure(region: str, period: str, topic: int, item: int) -> float:
    """Return the made-up figure of a cell: whole, different everywhere, the same every time."""
    return float(
        1_000 * (topic + 1) + 10 * (sum(map(ord, region)) % 97) + int(period[2:4]) + 7 * item
    )


def small_table(
    table_id: str = "99001ned",
    *,
    title: str = "Kerncijfers van een kleine regio",
    regions: Mapping[str, str] = REGIONS,
    periods: Iterable[str] = ("2019", "2020", "2021", "2022", "2023"),
    topics: Sequence[TopicSpec] = TOPICS,
    dimensions: Mapping[str, DimensionSpec] | None = None,
    geo: str = "RegioS",
    width: int = 6,
    time: str | None = "Perioden",
    modified: str = MODIFIED,
    figure_of: Callable[[str, str, int, int], float | None] = figure,
    info: Mapping[str, Any] | None = None,
) -> Store:
    """Return a store with one realistic table: groups, dimensions, periods, padded codes.

    ``periods`` are years; ``time=None`` makes a table of one year without a time dimension.
    ``figure_of(region, period, topic number, item number)`` gives the values; None is a gap.
    """
    further = dict(dimensions or {})
    years = list(periods) if time else [next(iter(periods))]
    properties, keys = _properties(further, geo, time, topics)
    rows = _rows(further, geo, width, time, regions, years, topics, keys, figure_of)
    entities: Entities = {
        "TableInfos": [_table_info(table_id, title, modified, len(rows), len(keys), info or {})],
        DATA_ENTITY: rows,
        "DataProperties": properties,
        "CategoryGroups": [],
    }
    for name, spec in further.items():
        entities[name] = [
            {
                "Key": item.ljust(spec.width),
                "Title": text,
                "Description": "",
                "CategoryGroupID": None,
            }
            for item, text in spec.items.items()
        ]
    entities[geo] = [_region(geo, code.ljust(width), name) for code, name in regions.items()]
    if time:
        entities[time] = [
            {
                "Key": f"{year}JJ00",
                "Title": year,
                "Description": "",
                "Status": "Voorlopig" if year == years[-1] else "Definitief",
            }
            for year in years
        ]
    return {table_id: entities}


def load_figures(folder: Path, tables: Iterable[str] | None = None) -> Store:
    """Return the tables below a folder of recorded answers (``<table>/TableInfos.json`` ...)."""
    wanted = None if tables is None else set(tables)
    store: Store = {}
    for info in sorted(folder.rglob("TableInfos.json")):
        if wanted is None or info.parent.name in wanted:
            files = [*sorted(info.parent.glob("*.json")), *sorted(info.parent.glob("*.json.gz"))]
            store[info.parent.name] = {file.name.split(".")[0]: _answer(file) for file in files}
    return store


def load_snapshots(folder: Path, tables: Iterable[str] | None = None) -> Store:
    """Return the tables below a folder of raw snapshots, in the state that is in use.

    Layout: ``<source>/<table>/<stamp>_<hash>/<Entity>.parquet``. The file ``ACCEPTED`` beside
    the snapshots names the one in use; without it the newest counts. Served tables have the
    columns that were fetched, no others.
    """
    wanted = None if tables is None else set(tables)
    store: Store = {}
    for table_dir in sorted({path.parents[1] for path in folder.rglob(f"{DATA_ENTITY}.parquet")}):
        snapshot = _snapshot_in_use(table_dir)
        entities = {
            file.stem: pl.read_parquet(file).to_dicts()
            for file in sorted(snapshot.glob("*.parquet"))
        }
        table_id = str((entities.get("TableInfos") or [{}])[0].get("Identifier") or table_dir.name)
        if wanted is None or table_id in wanted:
            store[table_id] = entities
    return store


def geo_dimension(entities: Entities) -> str:
    """Return the name of the dimension that holds the regions."""
    return _dimension(entities, {"GeoDimension", "GeoDetail"})


def time_dimension(entities: Entities) -> str:
    """Return the name of the dimension that holds the periods."""
    return _dimension(entities, {"TimeDimension"})


def topic_key(entities: Entities, path: Sequence[str]) -> str:
    """Return today's key of the topic with this title path."""
    groups = {row["ID"]: row for row in entities["DataProperties"] if row["Type"] == "TopicGroup"}
    for row in entities["DataProperties"]:
        if row["Type"] != "Topic":
            continue
        titles, parent = [row["Title"]], row["ParentID"]
        while parent is not None:
            titles.insert(0, groups[parent]["Title"])
            parent = groups[parent]["ParentID"]
        if titles == list(path):
            return str(row["Key"])
    raise KeyError(f"no topic {' / '.join(path)}")


def topic_path(entities: Entities, key: str) -> tuple[str, ...]:
    """Return the title path of the topic with this key."""
    by_id = {row["ID"]: row for row in entities["DataProperties"]}
    row = next(r for r in entities["DataProperties"] if r["Type"] == "Topic" and r["Key"] == key)
    titles = [row["Title"]]
    while row["ParentID"] is not None:
        row = by_id[row["ParentID"]]
        titles.insert(0, row["Title"])
    return tuple(titles)


def _dimension(entities: Entities, types: set[str]) -> str:
    return next(str(row["Key"]) for row in entities["DataProperties"] if row["Type"] in types)


def _answer(file: Path) -> list[Row]:
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    rows: list[Row] = json.loads(text)["value"]
    return rows


def _snapshot_in_use(table_dir: Path) -> Path:
    accepted = table_dir / "ACCEPTED"
    if accepted.is_file():
        words = accepted.read_text(encoding="utf-8").split()
        named = [table_dir / word for word in words if (table_dir / word).is_dir()]
        if named:
            return named[0]
    return max(path for path in table_dir.iterdir() if (path / f"{DATA_ENTITY}.parquet").is_file())


def _properties(
    further: Mapping[str, DimensionSpec], geo: str, time: str | None, topics: Sequence[TopicSpec]
) -> tuple[list[Row], list[str]]:
    """Return DataProperties with one row per dimension, group and topic, and the topics' keys."""
    rows: list[Row] = []

    def add(kind: str, key: str, title: str, parent: int | None, **more: Any) -> int:
        position = None if kind == "TopicGroup" else sum(r["Position"] is not None for r in rows)
        rows.append(
            {
                "odata.type": f"Cbs.OData.{kind}",
                "ID": len(rows),
                "Position": position,
                "ParentID": parent,
                "Type": kind,
                "Key": key,
                "Title": title,
                "Description": "",
                **more,
            }
        )
        return len(rows) - 1

    for name, spec in further.items():
        add("Dimension", name, spec.title or name, None)
    if geo == "WijkenEnBuurten":
        add("GeoDetail", geo, "Wijken en buurten", None, MapYear=None)
    else:
        add("GeoDimension", geo, "Regio's", None, MapYear=None)
    if time:
        add("TimeDimension", time, "Perioden", None, ReleasePolicy=True)
    groups: dict[tuple[str, ...], int] = {}
    keys = []
    for number, topic in enumerate(topics, start=1):
        parent = None
        for depth in range(1, len(topic.path)):
            group = topic.path[:depth]
            if group not in groups:
                groups[group] = add("TopicGroup", "", group[-1], parent)
            parent = groups[group]
        keys.append(f"{_stem(topic.path[-1])}_{number}")
        more = {
            "Description": topic.description,
            "Datatype": topic.datatype,
            "Unit": topic.unit,
            "Decimals": topic.decimals,
            "Default": "Impossible",
            "PresentationType": "Absolute",
        }
        add("Topic", keys[-1], topic.path[-1], parent, **more)
    return rows, keys


def _rows(
    further: Mapping[str, DimensionSpec],
    geo: str,
    width: int,
    time: str | None,
    regions: Mapping[str, str],
    years: Sequence[str],
    topics: Sequence[TopicSpec],
    keys: Sequence[str],
    figure_of: Callable[[str, str, int, int], float | None],
) -> list[Row]:
    combinations: list[dict[str, str]] = [{}]
    for name, spec in further.items():
        combinations = [
            {**combination, name: item.ljust(spec.width)}
            for combination in combinations
            for item in spec.items
        ]
    rows: list[Row] = []
    for number, combination in enumerate(combinations):
        for region in regions:
            for year in years:
                row: Row = {"ID": len(rows), **combination, geo: region.ljust(width)}
                if time:
                    row[time] = f"{year}JJ00"
                for index, (topic, key) in enumerate(zip(topics, keys, strict=True)):
                    row[key] = _typed(
                        figure_of(region, year, index, number), topic.datatype, region
                    )
                rows.append(row)
    return rows


def _typed(value: float | None, datatype: str, region: str) -> Any:
    if datatype == "String":
        return region.ljust(10)
    if value is None:
        return None
    return int(value) if datatype in ("Long", "Integer") else float(value)


def _table_info(
    table_id: str, title: str, modified: str, rows: int, columns: int, more: Mapping[str, Any]
) -> Row:
    return {
        "Updated": modified,
        "ID": 0,
        "Identifier": table_id,
        "Title": title,
        "ShortTitle": title,
        "ShortDescription": "Een kleine tabel om mee te toetsen.",
        "Summary": title,
        "Modified": modified,
        "MetaDataModified": modified,
        "ReasonDelivery": "Actualisering",
        "ExplanatoryText": "",
        "OutputStatus": "Regulier",
        "Source": "CBS.",
        "Language": "nl",
        "Catalog": "CBS",
        "Frequency": "Perjaar",
        "Period": "",
        "RecordCount": rows,
        "ColumnCount": columns,
        "SearchPriority": "2",
        **more,
    }


def _region(geo: str, key: str, title: str) -> Row:
    if geo == "WijkenEnBuurten":
        code = key.strip() if key.startswith("GM") else ""
        return {
            "Key": key,
            "Title": title,
            "Description": None,
            "Municipality": code,
            "DetailRegionCode": code,
        }
    return {"Key": key, "Title": title, "Description": "", "CategoryGroupID": None}


def _stem(title: str) -> str:
    """Return the letters of a key as the service makes them from a title."""
    plain = "".join(c for c in unicodedata.normalize("NFD", title) if not unicodedata.combining(c))
    words = re.findall(r"[A-Za-z0-9]+", plain)
    return "".join(word[:1].upper() + word[1:] for word in words)
