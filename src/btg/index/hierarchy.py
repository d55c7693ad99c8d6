"""The hierarchy of a composite: two small tables, checked and put in order of computation.

``indicators``: indicator_id, parent_id, and optionally weight, polarity (+1, -1; default +1),
transform (default identity) and the columns that the chosen normalisation reads (lower, upper,
target, origin, centre). ``dimensions``: dimension_id, parent_id (null for the one root), and
optionally weight, aggregation (overrides the method's for the children of this dimension) and
min_coverage_share. Levels may be of any depth, and a parent may have indicators and dimensions
as children. ``weight`` is the weight of the row within its parent; the root has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from btg.index.aggregate import AGGREGATIONS
from btg.index.arrays import FloatArray, Labels
from btg.index.errors import IndexMethodError
from btg.index.weights import equal_weights, given_weights, relative_weights

PARAMETERS = ("lower", "upper", "target", "origin", "centre")
INDICATOR_COLUMNS = ("indicator_id", "parent_id", "weight", "polarity", "transform", *PARAMETERS)
DIMENSION_COLUMNS = (
    "dimension_id",
    "parent_id",
    "weight",
    "aggregation",
    "min_coverage_share",
)
WEIGHT_RULES = ("given", "relative", "equal")


@dataclass(frozen=True)
class Node:
    """One dimension ready to be computed: its children with weights of sum 1, and its own rules."""

    item_id: str
    children: tuple[str, ...]
    weights: FloatArray
    aggregation: str | None
    min_coverage_share: float | None


@dataclass(frozen=True)
class Hierarchy:
    """The two tables of a composite; construction fails with a typed error if they do not fit."""

    indicators: pl.DataFrame
    dimensions: pl.DataFrame

    def __post_init__(self) -> None:
        _check_columns(self.indicators, INDICATOR_COLUMNS, "indicators")
        _check_columns(self.dimensions, DIMENSION_COLUMNS, "dimensions")
        _check_items(self)

    @property
    def indicator_ids(self) -> list[str]:
        """Indicators in the order of their table."""
        return [str(name) for name in self.indicators["indicator_id"]]

    @property
    def dimension_ids(self) -> list[str]:
        """Dimensions in the order of their table."""
        return [str(name) for name in self.dimensions["dimension_id"]]

    @property
    def root(self) -> str:
        """The one dimension without a parent: the index itself."""
        top = self.dimensions.filter(pl.col("parent_id").is_null())
        return str(top["dimension_id"][0])

    @property
    def parents(self) -> dict[str, str | None]:
        """Parent of every item, indicators first; the root maps to None."""
        found = dict(self.indicators.select("indicator_id", "parent_id").iter_rows())
        found.update(dict(self.dimensions.select("dimension_id", "parent_id").iter_rows()))
        return found


def _check_columns(table: pl.DataFrame, known: Sequence[str], name: str) -> None:
    for column in table.columns:
        if column not in known:
            raise IndexMethodError(
                f"unknown column in the table of {name}; known: {', '.join(known)}", setting=column
            )
    for column in known[:2]:
        if column not in table.columns:
            raise IndexMethodError(f"missing in the table of {name}", setting=column)
    if table.height == 0:
        raise IndexMethodError("the table is empty", setting=name)


def _check_items(hierarchy: Hierarchy) -> None:
    """Ids unique, parents known, one root, no circle, no dimension without children."""
    ids = hierarchy.indicator_ids + hierarchy.dimension_ids
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise IndexMethodError("the id occurs twice", indicator=repeated[0])
    dimensions, parents = set(hierarchy.dimension_ids), hierarchy.parents
    for name, parent in parents.items():
        if parent is None and name not in dimensions:
            raise IndexMethodError("the indicator has no parent", indicator=name)
        if parent is not None and parent not in dimensions:
            raise IndexMethodError(f"unknown parent {parent!r}", indicator=name)
    roots = [name for name, parent in parents.items() if parent is None]
    if len(roots) != 1:
        raise IndexMethodError(f"one dimension without parent is needed, found {roots}")
    for name in dimensions:
        if name not in parents.values():
            raise IndexMethodError("the dimension has no children", indicator=name)
        _climb(name, parents)


def _climb(name: str, parents: Mapping[str, str | None]) -> list[str]:
    """The way from an item up to the root; a circle is an error."""
    way, current = [name], parents[name]
    while current is not None:
        if current in way:
            raise IndexMethodError("the dimension is its own ancestor", indicator=current)
        way.append(current)
        current = parents[current]
    return way


def nodes(hierarchy: Hierarchy, weights: str = "given") -> tuple[Node, ...]:
    """All dimensions, children before parents, with weights by one of the three rules.

    "given": the weight columns, which must sum to 1 within each parent; "relative": the same
    divided by their sum; "equal": 1/n per parent, and stating a weight column is then an error.
    """
    if weights not in WEIGHT_RULES:
        raise IndexMethodError(f"unknown {weights!r}; known: {WEIGHT_RULES}", setting="weights")
    stated = _stated_weights(hierarchy, weights)
    parents = hierarchy.parents
    depth = {name: len(_climb(name, parents)) for name in hierarchy.dimension_ids}
    deepest_first = sorted(hierarchy.dimension_ids, key=lambda name: -depth[name])
    return tuple(_node(hierarchy, name, stated, weights) for name in deepest_first)


def _stated_weights(hierarchy: Hierarchy, rule: str) -> dict[str, float | None]:
    stated: dict[str, float | None] = {}
    for table, key in (
        (hierarchy.indicators, "indicator_id"),
        (hierarchy.dimensions, "dimension_id"),
    ):
        if rule == "equal" and "weight" in table.columns:
            raise IndexMethodError("not used by the rule 'equal'", setting="weight")
        if rule != "equal" and "weight" not in table.columns and table.height > 1:
            raise IndexMethodError(f"needed by the rule {rule!r}", setting="weight")
        if "weight" in table.columns:
            stated.update(dict(table.select(key, "weight").iter_rows()))
    if stated.get(hierarchy.root) is not None:
        raise IndexMethodError("the root has no weight", indicator=hierarchy.root)
    return stated


def _node(hierarchy: Hierarchy, name: str, stated: Mapping[str, float | None], rule: str) -> Node:
    children = tuple(item for item, parent in hierarchy.parents.items() if parent == name)
    labels = Labels(indicators=children)
    if rule == "equal":
        weights = equal_weights(len(children))
    else:
        for child in children:
            if stated.get(child) is None:
                raise IndexMethodError("the weight is missing", indicator=child)
        numbers = np.array([stated[child] for child in children], dtype=np.float64)
        check = given_weights if rule == "given" else relative_weights
        weights = check(numbers, labels=labels)
    row = hierarchy.dimensions.row(hierarchy.dimension_ids.index(name), named=True)
    aggregation, share = row.get("aggregation"), row.get("min_coverage_share")
    if aggregation is not None and aggregation not in AGGREGATIONS:
        raise IndexMethodError(
            f"unknown aggregation {aggregation!r}; known: {', '.join(AGGREGATIONS)}",
            indicator=name,
            setting="aggregation",
        )
    return Node(name, children, weights, aggregation, share)


def effective_weights(hierarchy: Hierarchy, weights: str = "given") -> pl.DataFrame:
    """Nominal weight of every item in the index: the product of weights on the way to the root.

    Columns item_id, parent_id, weight (within its parent), effective_weight; the root has 1. The
    effective weights of the indicators sum to 1.
    """
    parents = hierarchy.parents
    within = {hierarchy.root: 1.0}
    for node in nodes(hierarchy, weights):
        within.update(zip(node.children, node.weights.tolist(), strict=True))
    effective = {
        name: float(np.prod([within[step] for step in _climb(name, parents)])) for name in parents
    }
    return pl.DataFrame(
        {
            "item_id": list(parents),
            "parent_id": list(parents.values()),
            "weight": [within[name] for name in parents],
            "effective_weight": [effective[name] for name in parents],
        },
        schema_overrides={"parent_id": pl.String},
    )
