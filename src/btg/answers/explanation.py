"""The chain from an index row to the raw cell, for a reader who must defend a number."""

from typing import Any

import polars as pl

from btg import warehouse
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator, MeasureRef
from btg.cells import cells, period_year
from btg.errors import UsageError
from btg.raw import SnapshotStore, columns_of
from btg.settings import Settings

MEMBERS_SHOWN = 14


def explain(
    settings: Settings, catalogue: Catalogue, region: str, year: int, item: str | None
) -> dict[str, Any]:
    """Return the chain behind the index, a dimension or an indicator of a region and year.

    Raises ``UsageError`` if region, year or item is not published.
    """
    con = warehouse.open_published(settings.database)
    try:
        place = _region(con, region)
        _require_year(con, year)
        if item is None or item == "index":
            return {"region": place, "year": year, **_index(con, place["region_code"], year)}
        if any(d.id == item for d in catalogue.dimensions):
            return {
                "region": place,
                "year": year,
                **_dimension(con, place["region_code"], year, item),
            }
        for indicator in catalogue.indicators:
            if indicator.id == item:
                chain = _indicator(con, settings, catalogue, place["region_code"], year, indicator)
                return {"region": place, "year": year, **chain}
    finally:
        con.close()
    known = [*(d.id for d in catalogue.dimensions), *(i.id for i in catalogue.indicators)]
    raise UsageError(f"{item!r} is no dimension or indicator; known: {', '.join(known)}")


def explain_variant(settings: Settings, region: str, year: int, variant_id: str) -> dict[str, Any]:
    """Return index, rank and change of a region under one variant, from the published file alone.

    Beside it what the default says. Raises ``UsageError`` on an unknown variant, region or year.
    """
    from btg.index.errors import IndexMethodError
    from btg.index.sensitivity import variant
    from btg.index.variants import DEFAULT_VARIANT, parse_variant_id
    from btg.uncertainty import variant_inputs

    try:
        chosen = parse_variant_id(variant_id)
    except IndexMethodError as error:
        raise UsageError(f"--variant: {error}; meta.variant lists all") from None
    con = warehouse.open_published(settings.database)
    try:
        place = _region(con, region)
        _require_year(con, year)
        grid = variant_inputs.read_grid(con, "published")
    finally:
        con.close()
    inputs = variant_inputs.sensitivity_inputs(grid)
    indexed = variant_inputs.in_years(inputs, inputs.is_index_year)
    if year not in indexed.years:
        known = ", ".join(str(y) for y in indexed.years)
        raise UsageError(f"{year} is no index year: {known} are")
    found = {
        name: variant(name, indexed)
        .filter(pl.col("region_code") == place["region_code"], pl.col("year") == year)
        .select("score", "rank", "change")
        .to_dicts()[0]
        for name in dict.fromkeys([chosen.variant_id, DEFAULT_VARIANT])
    }
    return {
        "region": place,
        "year": year,
        "variant_id": chosen.variant_id,
        "variant": found[chosen.variant_id],
        "default": found[DEFAULT_VARIANT],
        "reading": "score and change on the scale of the default: 100 = the Netherlands in the "
        "base year; none where a form cannot take a value (meta.infeasible)",
    }


def as_text(chain: dict[str, Any]) -> list[str]:
    """Return the chain as indented lines."""
    place = chain["region"]
    lines = [f"{place['region_name']} ({place['region_code']}), {chain['year']}"]
    for key, value in chain.items():
        if key not in ("region", "year"):
            lines += _lines(key, value, 1)
    return lines


def _lines(key: str, value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    name = key.replace("_", " ")
    if isinstance(value, dict):
        return [
            f"{pad}{name}:",
            *(line for k, v in value.items() for line in _lines(k, v, depth + 1)),
        ]
    if isinstance(value, list):
        rows = [f"{pad}{name}:"]
        for entry in value:
            if isinstance(entry, dict):
                parts = ", ".join(f"{k.replace('_', ' ')} {_show(v)}" for k, v in entry.items())
                rows.append(f"{pad}  - {parts}")
            else:
                rows.append(f"{pad}  - {_show(entry)}")
        return rows
    return [f"{pad}{name}: {_show(value)}"]


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _region(con: warehouse.Connection, text: str) -> dict[str, str]:
    found = warehouse.rows(
        con,
        "select region_code, region_name, region_level from meta.region "
        "where region_code = upper($text) or lower(region_name) = lower($text) "
        "order by region_level = 'gemeente' desc",
        {"text": text.strip()},
    )
    if not found:
        raise UsageError(f"{text!r} is no region: give a code (GM0153) or a name (Enschede)")
    return dict(zip(("region_code", "region_name", "region_level"), found[0], strict=True))


def _require_year(con: warehouse.Connection, year: int) -> None:
    first, last = warehouse.rows(con, "select min(year), max(year) from marts.btg_index")[0]
    if not first <= year <= last:
        raise UsageError(f"year {year} is not published: {first} to {last} are")


def _record(con: warehouse.Connection, sql: str, params: dict[str, Any]) -> dict[str, Any]:
    return warehouse.frame(con, sql, params).to_dicts()[0]


def _records(con: warehouse.Connection, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    return warehouse.frame(con, sql, params).to_dicts()


def _change(con: warehouse.Connection, level: str, params: dict[str, Any]) -> dict[str, Any]:
    return _record(
        con,
        "select base_score, change, matched_change, composition_effect, change_vs_nl, "
        "matched_weight_share, direction, direction_reason from marts.change_since_2019 "
        f"where region_code = $region and year = $year and level = '{level}' and item_id = $item",
        params,
    )


def _index(con: warehouse.Connection, region: str, year: int) -> dict[str, Any]:
    params = {"region": region, "year": year}
    return {
        "index": _record(
            con,
            "select score, null_reason, rank_nl, n_ranked, rank_common_set, coverage_share, "
            "imputed_share, provisional_share, status_unknown_share, n_dimensions, method_version "
            "from marts.btg_index where region_code = $region and year = $year",
            params,
        ),
        "change_since_2019": _change(con, "index", params | {"item": "index"}),
        "dimensions": _records(
            con,
            "select d.dimension_id, d.score, m.weight, d.coverage_share, d.null_reason "
            "from marts.dimension_score as d inner join meta.dimension as m using (dimension_id) "
            "where d.region_code = $region and d.year = $year order by m.position",
            params,
        ),
    }


def _dimension(con: warehouse.Connection, region: str, year: int, item: str) -> dict[str, Any]:
    params = {"region": region, "year": year, "item": item}
    return {
        "dimension": _record(
            con,
            "select m.label_nl, m.question_nl, d.score, d.null_reason, d.coverage_share, "
            "d.imputed_share "
            "from marts.dimension_score as d inner join meta.dimension as m using (dimension_id) "
            "where d.region_code = $region and d.year = $year and d.dimension_id = $item",
            params,
        ),
        "change_since_2019": _change(con, "dimension", params),
        "indicators": _records(
            con,
            "select s.indicator_id, i.weight, s.value, s.unit, s.score, s.cell_status, "
            "s.missing_reason "
            "from marts.indicator_score as s inner join meta.indicator as i using (indicator_id) "
            "where s.region_code = $region and s.year = $year and s.dimension_id = $item "
            "order by i.weight desc, s.indicator_id",
            params,
        ),
    }


def _indicator(
    con: warehouse.Connection,
    settings: Settings,
    catalogue: Catalogue,
    region: str,
    year: int,
    indicator: Indicator,
) -> dict[str, Any]:
    params = {"region": region, "year": year, "item": indicator.id}
    score = _record(
        con,
        "select * exclude (region_code, year) from marts.indicator_score "
        "where region_code = $region and year = $year and indicator_id = $item",
        params,
    )
    about = _record(
        con,
        "select label_nl, description_nl, polarity, weight, in_index, in_index_reason, source_id, "
        "table_id, topic_path, warnings from meta.indicator where indicator_id = $item",
        {"item": indicator.id},
    )
    ruler = _records(
        con,
        "select transform, m, s, n_units, base_years, method_version from meta.baseline "
        "where indicator_id = $item",
        {"item": indicator.id},
    )
    chain: dict[str, Any] = {"indicator": about, "score": score}
    if ruler:
        chain["ruler"] = ruler[0] | {
            "formula": "100 + 10 * polarity * (g(value) - m) / s, g = transform"
        }
        chain["change_since_2019"] = _change(con, "indicator", params)
    chain["raw_cells"] = _raw_cells(settings, catalogue, con, indicator, region, score)
    return chain


def _raw_cells(
    settings: Settings,
    catalogue: Catalogue,
    con: warehouse.Connection,
    indicator: Indicator,
    region: str,
    score: dict[str, Any],
) -> dict[str, Any]:
    """Return the cells of the raw snapshots that the value was made from."""
    refs = [("numerator", indicator.numerator)]
    if isinstance(indicator.denominator, MeasureRef):
        refs.append(("denominator", indicator.denominator))
    elif isinstance(indicator.denominator, str):
        series = next(s for s in catalogue.support if s.id == indicator.denominator)
        refs += [("denominator", ref) for ref in series.measures]
    if score["obs_first_year"] is None:
        return {"none": f"no observation behind it: {score['missing_reason']}"}
    years = {int(score["obs_first_year"]), int(score["obs_last_year"])}
    codes = _parts(catalogue, con, region, score["route"])
    return {
        f"{role} {ref.table}.{ref.measure}": _cells_of(settings, catalogue, con, ref, codes, years)
        for role, ref in refs
    }


def _parts(catalogue: Catalogue, con: warehouse.Connection, region: str, route: str) -> set[str]:
    """Return the codes whose cells are shown: the region, its predecessors, or the 14."""
    codes = {region}
    if route == "aggregated" and region == catalogue.regions.twente.corop_code:
        codes |= catalogue.twente()
    for change in sorted(catalogue.regions.changes, key=lambda c: -c.year):
        if codes & {r.code for r in change.to}:
            codes |= set(change.from_)
    return codes


def _cells_of(
    settings: Settings,
    catalogue: Catalogue,
    con: warehouse.Connection,
    ref: MeasureRef,
    codes: set[str],
    years: set[int],
) -> dict[str, Any]:
    table = catalogue.table(ref.table)
    store = SnapshotStore(settings.raw_dir, settings.seed_raw_dir)
    used = warehouse.rows(
        con, "select snapshot_id from meta.snapshot where table_id = $table", {"table": table.id}
    )
    snapshot = store.get(table, used[0][0])
    entities = snapshot.entities()
    columns = columns_of(table, entities)
    rows = [
        {
            "region": str(row["region_key"]).strip(),
            "period": str(row["period_key"]).strip(),
            "value": row["value"],
        }
        for row in cells(table, entities, columns).to_dicts()
        if row["measure_id"] == ref.measure
        and str(row["region_key"]).strip() in codes
        and period_year(table, row["period_key"]) in years
    ]
    file = next(f for f in snapshot.manifest["files"] if f["entity"] == "TypedDataSet")
    measure = next(m for m in table.measures if m.id == ref.measure)
    return {
        "source": table.source_id,
        "table": table.id,
        "topic": " / ".join([*measure.path, *(f"{k} {v}" for k, v in measure.select.items())]),
        "column": columns[ref.measure],
        "snapshot": snapshot.id,
        "file": f"{table.source_id}/{table.id}/{snapshot.folder.name}/{file['file']}",
        "sha256": file["sha256"],
        "origin": f"{snapshot.manifest['origin']} {snapshot.manifest['origin_note']}".strip(),
        "cells": rows[: 2 * MEMBERS_SHOWN],
        "cells_found": len(rows),
    }
