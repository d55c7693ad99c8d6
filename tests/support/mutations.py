"""What a statistics office does to its tables, as pure functions: a store in, a changed copy out.

Each takes the store and the table's id first and leaves the store it was given alone, so a test
reads: ``server.store = rename_topic(server.store, "70072ned", PATH, "Bevolking, totaal")``.
``RecordCount`` follows the number of rows; ``Modified`` stays unless the function says so. Codes
and items are given trimmed. A function raises ``KeyError`` when there is nothing to change.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tests.support.store import (
    DATA_ENTITY,
    Entities,
    Row,
    Store,
    geo_dimension,
    time_dimension,
    topic_key,
)

Change = Callable[[Entities], None]


# ---- the topics


def rename_topic(store: Store, table_id: str, path: Sequence[str], title: str) -> Store:
    """Give a topic another title: its path no longer leads to it."""
    return _changed(store, table_id, lambda e: _property(e, path).update(Title=title))


def rename_group(store: Store, table_id: str, title: str, new_title: str) -> Store:
    """Give a group another title: the paths of all topics in it change."""

    def change(entities: Entities) -> None:
        rows = [r for r in entities["DataProperties"] if r["Type"] == "TopicGroup"]
        _one([row for row in rows if row["Title"] == title], title).update(Title=new_title)

    return _changed(store, table_id, change)


def list_topic_twice(store: Store, table_id: str, path: Sequence[str]) -> Store:
    """List a topic a second time under the same path and another key, with the same figures."""

    def change(entities: Entities) -> None:
        topic = _property(entities, path)
        properties = entities["DataProperties"]
        key = f"{topic['Key'].rsplit('_', 1)[0]}_{len(properties) + 100}"
        properties.append({**topic, "ID": max(row["ID"] for row in properties) + 1, "Key": key})
        for row in entities[DATA_ENTITY]:
            row[key] = row[topic["Key"]]

    return _changed(store, table_id, change)


def shift_suffixes(store: Store, table_id: str, by: int = 7) -> Store:
    """Renumber all topics, as a redesign does: ``TotaleBevolking_1`` becomes ``.._8``."""

    def shifted(key: str) -> str:
        stem, number = key.rsplit("_", 1)
        return f"{stem}_{int(number) + by}"

    def change(entities: Entities) -> None:
        topics = [r for r in entities["DataProperties"] if r["Type"] == "Topic"]
        keys = {row["Key"]: shifted(row["Key"]) for row in topics}
        for row in topics:
            row["Key"] = keys[row["Key"]]
        entities[DATA_ENTITY] = [
            {keys.get(name, name): value for name, value in row.items()}
            for row in entities[DATA_ENTITY]
        ]

    return _changed(store, table_id, change)


def change_unit(store: Store, table_id: str, path: Sequence[str], unit: str) -> Store:
    """Give a topic another unit without changing its figures."""
    return _changed(store, table_id, lambda e: _property(e, path).update(Unit=unit))


def change_datatype(store: Store, table_id: str, path: Sequence[str], datatype: str) -> Store:
    """Declare a topic's figures as another type without changing them."""
    return _changed(store, table_id, lambda e: _property(e, path).update(Datatype=datatype))


# ---- the figures


def scale_values(store: Store, table_id: str, path: Sequence[str], factor: float) -> Store:
    """Multiply every figure of a topic: shares as percentages, thousands as units."""

    def change(entities: Entities) -> None:
        key = topic_key(entities, path)
        for row in entities[DATA_ENTITY]:
            if row[key] is not None:
                row[key] = type(row[key])(row[key] * factor)

    return _changed(store, table_id, change)


def set_value(
    store: Store, table_id: str, path: Sequence[str], region: str, period: str, value: Any
) -> Store:
    """Revise one figure (in all rows of this region and period); None blanks it."""

    def change(entities: Entities) -> None:
        key, rows = topic_key(entities, path), _rows(entities, region, period)
        for row in rows:
            row[key] = value

    return _changed(store, table_id, change)


def blank_values(store: Store, table_id: str, path: Sequence[str], every: int = 1) -> Store:
    """Make every n-th figure of a topic null."""

    def change(entities: Entities) -> None:
        key = topic_key(entities, path)
        for row in entities[DATA_ENTITY][::every]:
            row[key] = None

    return _changed(store, table_id, change)


def duplicate_cell(store: Store, table_id: str, region: str, period: str | None = None) -> Store:
    """Send the rows of a region (and period) a second time, with other IDs."""

    def change(entities: Entities) -> None:
        rows = entities[DATA_ENTITY]
        last = max((row.get("ID", 0) for row in rows), default=0)
        for number, row in enumerate(_rows(entities, region, period), start=1):
            rows.append({**row, "ID": last + number})

    return _changed(store, table_id, change)


def drop_rows(store: Store, table_id: str, number: int) -> Store:
    """Leave out the last rows of the data set, and count as if they never were."""

    def change(entities: Entities) -> None:
        del entities[DATA_ENTITY][-number:]

    return _changed(store, table_id, change)


# ---- the regions


def remove_region(store: Store, table_id: str, region: str) -> Store:
    """Take a region out of the dimension and out of the figures."""

    def change(entities: Entities) -> None:
        geo, gone = geo_dimension(entities), _rows(entities, region)
        entities[geo] = [row for row in entities[geo] if row["Key"].strip() != region]
        ids = {id(row) for row in gone}
        entities[DATA_ENTITY] = [row for row in entities[DATA_ENTITY] if id(row) not in ids]

    return _changed(store, table_id, change)


def remove_region_rows(store: Store, table_id: str, region: str) -> Store:
    """Take a region out of the figures only; the dimension still lists it."""

    def change(entities: Entities) -> None:
        ids = {id(row) for row in _rows(entities, region)}
        entities[DATA_ENTITY] = [row for row in entities[DATA_ENTITY] if id(row) not in ids]

    return _changed(store, table_id, change)


def add_region(
    store: Store, table_id: str, region: str, title: str = "Nieuwland", like: str = "GM0153"
) -> Store:
    """Add a region with the figures of another: a new or an unknown municipality."""

    def change(entities: Entities) -> None:
        geo, model = geo_dimension(entities), _rows(entities, like)
        code = region.ljust(len(model[0][geo]))
        entities[DATA_ENTITY] += [{**row, geo: code} for row in model]
        entry = next(row for row in entities[geo] if row["Key"].strip() == like)
        entities[geo].append({**entry, "Key": code, "Title": title})

    return _changed(store, table_id, change)


def change_padding(store: Store, table_id: str, dimension: str, width: int) -> Store:
    """Pad the codes of one dimension to another width, in the dimension and in the figures."""

    def change(entities: Entities) -> None:
        for row in entities[dimension]:
            row["Key"] = row["Key"].strip().ljust(width)
        for row in entities[DATA_ENTITY]:
            row[dimension] = row[dimension].strip().ljust(width)

    return _changed(store, table_id, change)


# ---- the periods and their status


def set_status(store: Store, table_id: str, period: str, status: str | None) -> Store:
    """Give a period another publication status; None takes it away."""
    return _changed(store, table_id, lambda e: _period(e, period).update(Status=status))


def describe_period(store: Store, table_id: str, period: str, description: str) -> Store:
    """Give a period a description, where some tables keep their status as prose."""
    return _changed(store, table_id, lambda e: _period(e, period).update(Description=description))


def unlist_period(store: Store, table_id: str, period: str) -> Store:
    """Take a period out of its dimension; the figures keep it, so it has no status at all."""

    def change(entities: Entities) -> None:
        entities[time_dimension(entities)].remove(_period(entities, period))

    return _changed(store, table_id, change)


def rename_period(store: Store, table_id: str, period: str, new_period: str) -> Store:
    """Give a period a code of another form (2023JJ00 -> 2023G400), in dimension and figures."""

    def change(entities: Entities) -> None:
        time = time_dimension(entities)
        _period(entities, period).update(Key=new_period)
        for row in entities[DATA_ENTITY]:
            if row[time] == period:
                row[time] = new_period

    return _changed(store, table_id, change)


def add_period(store: Store, table_id: str, period: str, like: str, status: str | None) -> Store:
    """Add a period with the figures of another one."""

    def change(entities: Entities) -> None:
        time = time_dimension(entities)
        new = [{**row, time: period} for row in entities[DATA_ENTITY] if row[time] == like]
        entities[DATA_ENTITY] += new
        entry = _period(entities, like)
        entities[time].append({**entry, "Key": period, "Title": period[:4], "Status": status})

    return _changed(store, table_id, change)


# ---- the table


def set_info(store: Store, table_id: str, **values: Any) -> Store:
    """Change what TableInfos says: ``Modified``, ``Title``, ``ReasonDelivery``, ..."""
    return _changed(store, table_id, lambda e: e["TableInfos"][0].update(values))


def add_dimension(store: Store, table_id: str, name: str, item: str = "T001038") -> Store:
    """Give the table a further dimension with one item, as a redesign may."""

    def change(entities: Entities) -> None:
        properties = entities["DataProperties"]
        properties.append(
            {
                "odata.type": "Cbs.OData.Dimension",
                "ID": max(row["ID"] for row in properties) + 1,
                "Position": len(properties),
                "ParentID": None,
                "Type": "Dimension",
                "Key": name,
                "Title": name,
                "Description": "",
            }
        )
        entities[name] = [{"Key": item, "Title": "Totaal", "Description": ""}]
        for row in entities[DATA_ENTITY]:
            row[name] = item

    return _changed(store, table_id, change)


def remove_item(store: Store, table_id: str, dimension: str, item: str) -> Store:
    """Take an item out of a further dimension and out of the figures."""

    def change(entities: Entities) -> None:
        entities[dimension] = [r for r in entities[dimension] if r["Key"].strip() != item]
        rows = entities[DATA_ENTITY]
        entities[DATA_ENTITY] = [row for row in rows if row[dimension].strip() != item]

    return _changed(store, table_id, change)


# ---- inner workings


def _changed(store: Store, table_id: str, change: Change) -> Store:
    entities = {name: [dict(row) for row in rows] for name, rows in store[table_id].items()}
    before = len(entities[DATA_ENTITY])
    change(entities)
    info = entities["TableInfos"][0]
    if isinstance(info.get("RecordCount"), int):
        info["RecordCount"] += len(entities[DATA_ENTITY]) - before
    return {**store, table_id: entities}


def _property(entities: Entities, path: Sequence[str]) -> Row:
    key = topic_key(entities, path)
    return next(row for row in entities["DataProperties"] if row["Key"] == key)


def _rows(entities: Entities, region: str, period: str | None = None) -> list[Row]:
    geo = geo_dimension(entities)
    rows = [row for row in entities[DATA_ENTITY] if row[geo].strip() == region]
    if period is not None:
        time = time_dimension(entities)
        rows = [row for row in rows if row[time].strip() == period]
    if not rows:
        raise KeyError(f"no rows of {region} {period or ''}")
    return rows


def _period(entities: Entities, period: str) -> Row:
    rows = entities[time_dimension(entities)]
    return _one([row for row in rows if row["Key"].strip() == period], period)


def _one(rows: list[Row], name: str) -> Row:
    if len(rows) != 1:
        raise KeyError(f"expected one {name!r}, found {len(rows)}")
    return rows[0]
