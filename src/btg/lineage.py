"""Lineage down to the column, read from the SQL itself by DuckDB's own parser.

For every column of every relation: the columns that its expression names. From these hops follow
the staging columns behind each published one, and the topics of the sources behind those.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from btg.build import COMPUTED_FROM, COMPUTED_SCHEMA
from btg.catalogue.loader import Catalogue
from btg.sqlrun import Model
from btg.warehouse import Connection

Column = tuple[str, str]
Lineage = dict[Column, frozenset[Column]]
Scope = Mapping[str, Mapping[str, frozenset[Column]]]

NOT_TRACED = frozenset({"lhs", "order_bys"})


def column_lineage(con: Connection, models: Sequence[Model]) -> Lineage:
    """Return the columns that each column of the models is computed from, one hop back.

    The relations must exist in ``con``: their columns give meaning to ``*``. Filters, joins and
    groups decide which rows there are and are not traced; a constant comes from no column; a
    structure counts as a whole. What the engine computes between the models rests on all columns
    (``*``) of what it reads.
    """
    known = _known_columns(con)
    result: Lineage = {}
    for model in models:
        text = con.execute("select json_serialize_sql(?::varchar)", [model.sql]).fetchall()[0][0]
        node = json.loads(text)["statements"][0]["node"]
        for name, origin in zip(
            known[model.relation], _query(node, {}, known).values(), strict=True
        ):
            result[model.relation, name] = origin
    for relation, columns in known.items():
        if relation.startswith(f"{COMPUTED_SCHEMA}."):
            behind = frozenset((name, "*") for name in COMPUTED_FROM)
            result |= {(relation, column): behind for column in columns}
    return result


def origins(lineage: Lineage, column: Column, schema: str) -> frozenset[Column]:
    """Return the columns of one schema that a column goes back to, over any number of hops."""
    found: set[Column] = set()
    seen: set[Column] = set()
    todo = [column]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        if here != column and here[0].startswith(f"{schema}."):
            found.add(here)
        elif here[1] == "*":
            todo.extend(known for known in lineage if known[0] == here[0])
        else:
            todo.extend(lineage.get(here, frozenset()))
    return frozenset(found)


def lineage_frame(con: Connection, catalogue: Catalogue, models: Sequence[Model]) -> pl.DataFrame:
    """Return meta.lineage: direct hops, the staging columns behind each mart column, and topics."""
    lineage = column_lineage(con, models)
    rows = [
        (table, column, "direct", f"{origin}.{name}")
        for (table, column), behind in lineage.items()
        for origin, name in behind
    ]
    rows += [
        (table, column, "staging", f"{origin}.{name}")
        for table, column in lineage
        if table.startswith("marts.")
        for origin, name in origins(lineage, (table, column), "staging")
    ]
    rows += [
        ("staging.observation", "value", "source", _topic(catalogue, table.id, measure.id))
        for table in catalogue.used_tables()
        for measure in table.measures
    ]
    rows += [
        ("marts.indicator_score", f"value[{i.id}]", "source",
         _topic(catalogue, i.numerator.table, i.numerator.measure))
        for i in catalogue.indicators
    ]  # fmt: skip
    names = ("table_name", "column_name", "hop", "reads_from")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.unique().sort(names)


def _topic(catalogue: Catalogue, table_id: str, measure_id: str) -> str:
    table = catalogue.table(table_id)
    measure = next(m for m in table.measures if m.id == measure_id)
    path = " / ".join([*measure.path, *(f"{k} {v}" for k, v in measure.select.items())])
    return f"{table.source_id}:{table.id}:{path}"


def _known_columns(con: Connection) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for table, column in con.execute(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where database_name = current_database() order by table_oid, column_index"
    ).fetchall():
        known.setdefault(table, []).append(column)
    return known


def _query(
    node: Mapping[str, Any],
    ctes: Mapping[str, Mapping[str, frozenset[Column]]],
    known: Mapping[str, Sequence[str]],
) -> dict[str, frozenset[Column]]:
    """Return the output columns of a query node, in order, with what each is computed from."""
    ctes = dict(ctes)
    for entry in (node.get("cte_map") or {}).get("map") or []:
        value = entry["value"]
        query = value.get("query_node") or value["query"]["node"]
        ctes[entry["key"]] = _query(query, ctes, known)
    if node["type"] == "SET_OPERATION_NODE":
        parts = [_query(child, ctes, known) for child in _children(node)]
        return {
            name: frozenset().union(*(list(part.values())[i] for part in parts))
            for i, name in enumerate(parts[0])
        }
    scope = _scope(node.get("from_table") or {}, ctes, known)
    columns: dict[str, frozenset[Column]] = {}
    for position, expression in enumerate(node["select_list"]):
        if expression["type"] == "STAR":
            columns |= _star(expression, scope, ctes, known)
        else:
            name = expression.get("alias") or _own_name(expression) or f"column{position}"
            columns[name] = _named(expression, scope, ctes, known)
    return columns


def _children(node: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return node.get("children") or [node["left"], node["right"]]


def _scope(
    source: Mapping[str, Any],
    ctes: Mapping[str, Mapping[str, frozenset[Column]]],
    known: Mapping[str, Sequence[str]],
) -> dict[str, Mapping[str, frozenset[Column]]]:
    """Return the tables that a from clause brings, by alias."""
    match source.get("type"):
        case "JOIN":
            return _scope(source["left"], ctes, known) | _scope(source["right"], ctes, known)
        case "BASE_TABLE":
            alias = source.get("alias") or source["table_name"]
            if not source.get("schema_name"):
                return {alias: ctes.get(source["table_name"], {})}
            name = f"{source['schema_name']}.{source['table_name']}"
            return {alias: {c: frozenset({(name, c)}) for c in known.get(name, [])}}
        case "SUBQUERY":
            return {source["alias"]: _query(source["subquery"]["node"], ctes, known)}
    return {}


def _star(
    expression: Mapping[str, Any],
    scope: Scope,
    ctes: Mapping[str, Mapping[str, frozenset[Column]]],
    known: Mapping[str, Sequence[str]],
) -> dict[str, frozenset[Column]]:
    wanted = expression.get("relation_name")
    columns: dict[str, frozenset[Column]] = {}
    for alias, found in scope.items():
        if not wanted or wanted == alias:
            columns |= found
    for entry in expression.get("replace_list") or []:
        columns[entry["key"]] = _named(entry["value"], scope, ctes, known)
    return columns


def _own_name(expression: Mapping[str, Any]) -> str | None:
    names = expression.get("column_names")
    return str(names[-1]) if names else None


def _named(
    node: Any,
    scope: Scope,
    ctes: Mapping[str, Mapping[str, frozenset[Column]]],
    known: Mapping[str, Sequence[str]],
) -> frozenset[Column]:
    """Return the columns that an expression names, subqueries included."""
    if isinstance(node, list):
        return frozenset().union(*(_named(item, scope, ctes, known) for item in node))
    if not isinstance(node, dict):
        return frozenset()
    if node.get("type") == "COLUMN_REF":
        names = node["column_names"]
        if len(names) > 1:
            return scope.get(names[0], {}).get(names[1], frozenset())
        return frozenset().union(*(table.get(names[0], frozenset()) for table in scope.values()))
    if node.get("type") == "SUBQUERY":
        inner = node["subquery"]["node"]
        within = _query(inner, ctes, known) if node.get("subquery_type") == "SCALAR" else {}
        return frozenset().union(*within.values())
    return frozenset().union(
        *(_named(v, scope, ctes, known) for k, v in node.items() if k not in NOT_TRACED)
    )
