"""The index under other weights than the catalogue's, computed from the published file.

The same arithmetic as the published index; nothing is published. (In SQL, for dimensions only:
the table macro ``marts.reweighted`` in the published file.)
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from btg import warehouse
from btg.errors import UsageError
from btg.index.change import Structure
from btg.index.scenarios import arithmetic_index, default_scaled
from btg.index.variants import SensitivityInputs, default_index, ranks
from btg.settings import Settings
from btg.uncertainty import variant_inputs

TOLERANCE = 1e-9


def read_weights(path: Path) -> dict[str, float]:
    """Return the weights of a file: a YAML mapping of item to weight, or a CSV item_id,weight.

    Raises ``UsageError`` naming the item that has no number, or that stands twice.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    pairs = _csv_pairs(text, path) if path.suffix == ".csv" else _yaml_pairs(text, path)
    weights: dict[str, float] = {}
    for item, raw in pairs:
        if item in weights:
            raise UsageError(f"{path.name}: {item} stands there twice")
        try:
            weights[item] = float(str(raw))
        except ValueError:
            raise UsageError(f"{path.name}: {item}: {raw!r} is not a number") from None
        if not weights[item] >= 0 or np.isinf(weights[item]):
            raise UsageError(f"{path.name}: {item}: a weight must be a number of 0 or more")
    if not weights:
        raise UsageError(f"{path.name}: no weights in it")
    return weights


def reweighted(settings: Settings, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return the index under other weights beside the published one, all regions and index years.

    ``weights``: dimensions (sum 1; those not named weigh nothing), or indicators (sum 1 within each
    dimension that is named so; the other dimensions keep theirs), or both. Columns region_code,
    region_name, region_level, is_twente, year, score, rank, default_score, default_rank. Raises
    ``UsageError`` naming the items that are unknown or do not sum to 1.
    """
    con = warehouse.open_published(settings.database)
    try:
        grid = variant_inputs.read_grid(con, "published")
        names = warehouse.frame(con, "select region_code, region_name from meta.region")
    finally:
        con.close()
    inputs = variant_inputs.sensitivity_inputs(grid)
    indexed = variant_inputs.in_years(inputs, inputs.is_index_year)
    found = arithmetic_index(indexed, default_scaled(indexed), new_structure(indexed, weights))
    default = default_index(indexed)
    columns = {
        "score": found,
        "rank": ranks(indexed, found),
        "default_score": default,
        "default_rank": ranks(indexed, default),
    }
    n_years = len(indexed.years)
    frame = pl.DataFrame(
        {
            "region_code": [code for code in indexed.region_codes for _ in range(n_years)],
            "year": list(indexed.years) * len(indexed.region_codes),
            **{name: array.ravel() for name, array in columns.items()},
        }
    ).with_columns(
        pl.col("score", "default_score").fill_nan(None),
        pl.col("rank", "default_rank").fill_nan(None).cast(pl.Int64),
    )
    about = grid.region.select("region_code", "region_level", "is_twente").join(
        names, on="region_code", validate="1:1"
    )
    return frame.join(about, on="region_code", how="left", validate="m:1").select(
        "region_code", "region_name", "region_level", "is_twente", "year", *columns
    )


def new_structure(inputs: SensitivityInputs, weights: Mapping[str, float]) -> Structure:
    """Return the structure of the index with these weights in place of the catalogue's."""
    dimensions, indicators = list(inputs.dimension_ids), list(inputs.indicator_ids)
    unknown = sorted(set(weights) - set(dimensions) - set(indicators))
    if unknown:
        raise UsageError(
            f"no dimension or indicator of the index: {', '.join(unknown)}; "
            f"known: {', '.join([*dimensions, *indicators])}"
        )
    structure = inputs.structure
    outer, inner = structure.dimension_weights.copy(), structure.indicator_weights.copy()
    if any(name in weights for name in dimensions):
        outer = np.array([weights.get(name, 0.0) for name in dimensions])
        _require_one(outer.sum(), [name for name in dimensions if name in weights])
    for d in range(len(dimensions)):
        members = structure.members(d)
        named = [indicators[i] for i in members if indicators[i] in weights]
        if named:
            inner[members] = [weights.get(indicators[i], 0.0) for i in members]
            _require_one(inner[members].sum(), named)
    return replace(structure, indicator_weights=inner, dimension_weights=outer)


def _require_one(total: float, items: list[str]) -> None:
    if abs(total - 1.0) > TOLERANCE:
        raise UsageError(f"the weights of {', '.join(items)} sum to {total:.12g}, not 1")


def _csv_pairs(text: str, path: Path) -> list[tuple[str, object]]:
    rows = csv.DictReader(text.splitlines())
    if list(rows.fieldnames or []) != ["item_id", "weight"]:
        raise UsageError(f"{path.name}: the header must be item_id,weight")
    return [(str(row["item_id"]).strip(), row["weight"]) for row in rows]


def _yaml_pairs(text: str, path: Path) -> list[tuple[str, object]]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name}: no YAML: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path.name}: expected a mapping of dimension or indicator to weight")
    return [(str(item), weight) for item, weight in content.items()]
