"""Runs the SQL models: order and lineage come from the SQL itself.

One file is one relation is one select; the file's name is the relation's name. A model refers to
others by schema-qualified name, which is all that the order is derived from.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from btg.errors import CatalogueError

MODEL_FOLDERS = ("10_staging", "20_intermediate", "30_marts")
MACRO_FOLDER = "40_macros"
INPUT_SCHEMAS = frozenset({"raw", "catalogue", "uncertainty"})
"""Schemas that are loaded, not made by a file; ``uncertainty`` halfway, from the first models."""


@dataclass(frozen=True)
class Model:
    """One SQL file: the relation it makes, its select, and the relations it reads."""

    relation: str
    path: Path
    sql: str
    reads: frozenset[str]

    @property
    def schema(self) -> str:
        """Schema of the relation."""
        return self.relation.split(".")[0]


def load_models(con: duckdb.DuckDBPyConnection, sql_dir: Path) -> dict[str, Model]:
    """Return all models by relation; raises ``CatalogueError`` naming the file that is wrong."""
    models: dict[str, Model] = {}
    for folder in MODEL_FOLDERS:
        for path in sorted((sql_dir / folder).glob("*.sql")):
            if path.stem.count(".") != 1:
                raise CatalogueError(f"{path.name}: name it schema.relation.sql")
            if path.stem in models:
                raise CatalogueError(f"{path.name}: the relation is made twice")
            sql = path.read_text(encoding="utf-8").strip().rstrip(";")
            models[path.stem] = Model(path.stem, path, sql, references(con, path, sql))
    for model in models.values():
        for name in sorted(model.reads):
            if name.split(".")[0] not in INPUT_SCHEMAS and name not in models:
                raise CatalogueError(f"{model.path.name}: reads {name}, which no file makes")
    return models


def load_macros(sql_dir: Path) -> list[str]:
    """Return the statements that create the table macros of the published file, one per file."""
    return [
        path.read_text(encoding="utf-8").strip().rstrip(";")
        for path in sorted((sql_dir / MACRO_FOLDER).glob("*.sql"))
    ]


def in_order(models: Mapping[str, Model], targets: Iterable[str] | None = None) -> list[Model]:
    """Return the models so that each comes after all it reads; only those ``targets`` need."""
    graph = {m.relation: {r for r in m.reads if r in models} for m in models.values()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise CatalogueError(f"the models read each other in a circle: {error.args[1]}") from None
    if targets is not None:
        needed: set[str] = set()
        todo = list(targets)
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo.extend(graph[name])
        order = [name for name in order if name in needed]
    return [models[name] for name in order]


def halves(models: Iterable[Model], schema: str) -> tuple[list[Model], list[Model]]:
    """Return the ordered models that can run before ``schema`` is loaded, and those that read it.

    A model that reads one of the second half is in the second half itself.
    """
    before: list[Model] = []
    after: list[Model] = []
    late: set[str] = set()
    for model in models:
        if any(name.split(".")[0] == schema or name in late for name in model.reads):
            late.add(model.relation)
            after.append(model)
        else:
            before.append(model)
    return before, after


def materialise(con: duckdb.DuckDBPyConnection, models: Iterable[Model]) -> None:
    """Create every relation as a table, replacing what is there."""
    for model in models:
        con.execute(f"create schema if not exists {model.schema}")
        try:
            con.execute(f"create or replace table {model.relation} as {model.sql}")
        except duckdb.Error as error:
            raise CatalogueError(f"{model.path.name}: {error}") from error


def references(con: duckdb.DuckDBPyConnection, path: Path, sql: str) -> frozenset[str]:
    """Return the schema-qualified relations that a select reads, from DuckDB's own parser."""
    tree = json.loads(con.execute("select json_serialize_sql(?::varchar)", [sql]).fetchall()[0][0])
    if tree.get("error"):
        raise CatalogueError(f"{path.name}: {tree.get('error_message')}")
    if len(tree["statements"]) != 1:
        raise CatalogueError(f"{path.name}: holds {len(tree['statements'])} statements, not one")
    found: set[str] = set()
    _collect(tree["statements"], found)
    return frozenset(found)


def _collect(node: Any, found: set[str]) -> None:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            found.add(f"{node['schema_name']}.{node['table_name']}")
        for value in node.values():
            _collect(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, found)
