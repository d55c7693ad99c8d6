"""Gate 1: what must hold before a delivery may be used.

The rules run in order on a stored snapshot, against the catalogue and the snapshot that was last
accepted. The first that fails quarantines the delivery with one sentence that names the codes;
what is odd but harmless becomes a note.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import LEVEL_PREFIX, Table
from btg.cells import cells, period_year
from btg.errors import ContractError
from btg.publication_status import period_statuses
from btg.raw import Snapshot, columns_of, comparable, fingerprint
from btg.sources.protocol import DATA_ENTITY

GROWTH_LIMIT_SHARE = 0.5
"""Rows may grow by this share in one delivery: new years come one at a time."""
JUMP_FACTOR = 10.0
"""A cell that changes by this factor is a fault of unit or comma, not a revision."""
PERIOD_JUMP_FACTOR = 50.0
"""The same from one period to the next, where real growth can be large (solar power)."""
JUMP_FROM = 100.0
"""Below this value a jump can be chance (counts of few)."""
JUMP_SHARE = 0.1
"""That many cells of a measure do not jump by chance, however small the values."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at: one delivery, and the one before it if there is one."""

    catalogue: Catalogue
    table: Table
    entities: Mapping[str, pl.DataFrame]
    cell: pl.DataFrame
    fingerprint: Mapping[str, Mapping[str, str]]
    before: pl.DataFrame | None
    before_rows: int | None
    is_before_seed: bool
    before_fingerprint: Mapping[str, Mapping[str, str]]
    before_entities: Mapping[str, pl.DataFrame]
    notes: list[str] = field(default_factory=list)

    def fail(self, rule: str, message: str) -> ContractError:
        """Return the error of a rule, to be raised."""
        return ContractError(f"{self.table.source_id}/{self.table.id}", rule, message)


@contextmanager
def readable(table: Table) -> Iterator[None]:
    """Turn a failure to read a delivery as a table into a ``ContractError`` of one line."""
    try:
        yield
    except (pl.exceptions.PolarsError, LookupError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ContractError(
            f"{table.source_id}/{table.id}",
            "shape",
            f"the delivery cannot be read as the table it was ({type(error).__name__}: {reason})",
        ) from error


def check_types(table: Table, entities: Mapping[str, pl.DataFrame]) -> None:
    """The data type of every used column is one of those of the catalogue."""
    found = fingerprint(table, entities)
    for measure in table.measures:
        datatype = found.get(measure.id, {}).get("datatype")
        if datatype is not None and datatype not in measure.datatypes:
            raise ContractError(
                f"{table.source_id}/{table.id}",
                "datatype",
                f"data type of {measure.id} is {datatype!r}, "
                f"expected one of {', '.join(measure.datatypes)}",
            )


def check_snapshot(
    catalogue: Catalogue, table: Table, snapshot: Snapshot, accepted: Snapshot | None
) -> list[str]:
    """Return notes on a snapshot that may be used; raises ``ContractError`` on one that may not."""
    with readable(table):
        return _check(catalogue, table, snapshot, accepted)


def _check(
    catalogue: Catalogue, table: Table, snapshot: Snapshot, accepted: Snapshot | None
) -> list[str]:
    entities = snapshot.entities()
    if table.role == "areas":
        return _check_areas(catalogue, table, entities)
    check_types(table, entities)
    cell = _trimmed(table, cells(table, entities, columns_of(table, entities)))
    before = before_rows = None
    is_before_seed = accepted is not None and accepted.manifest["origin"] == "seed"
    before_fingerprint: Mapping[str, Mapping[str, str]] = {}
    old: Mapping[str, pl.DataFrame] = {}
    notes: list[str] = []
    if accepted is not None:
        old = accepted.entities()
        known = comparable(table, old)
        before = _trimmed(known, cells(known, old, columns_of(known, old)))
        before_rows = old[DATA_ENTITY].height if _is_same_slice(snapshot, accepted) else None
        before_fingerprint = fingerprint(known, old)
        new = [m.id for m in table.measures if m not in known.measures]
        if new:
            notes.append(f"not in the last accepted delivery, so not compared: {', '.join(new)}")
    evidence = Evidence(
        catalogue, table, entities, cell, fingerprint(table, entities),
        before, before_rows, is_before_seed, before_fingerprint, old, notes,
    )  # fmt: skip
    for rule in RULES:
        rule(evidence)
    return evidence.notes


def check_units(evidence: Evidence) -> None:
    """The unit of every used column is the catalogue's, and its data type that of the last time."""
    for measure in evidence.table.measures:
        found = evidence.fingerprint.get(measure.id)
        if found is None:
            continue
        if found["unit"].strip() != measure.unit:
            raise evidence.fail(
                "unit",
                f"unit of {measure.id} is {found['unit']!r}, expected {measure.unit!r}",
            )
        old = evidence.before_fingerprint.get(measure.id)
        if old is not None and old["datatype"] != found["datatype"]:
            raise evidence.fail(
                "datatype",
                f"data type of {measure.id} changed from {old['datatype']} to {found['datatype']}",
            )


def check_rows(evidence: Evidence) -> None:
    """The number of rows is within tolerance of the last accepted delivery."""
    rows = evidence.entities[DATA_ENTITY].height
    if rows == 0:
        raise evidence.fail("rows", "has no rows")
    before = evidence.before_rows
    if before is None:
        return
    least = before * (1 - evidence.table.row_tolerance_share)
    if rows < least:
        raise evidence.fail(
            "rows",
            f"{rows} rows, expected at least {least:.0f} (last accepted {before})",
        )
    # the seed is a part of its table (some years, some levels): the whole may be much larger
    if rows > before * (1 + GROWTH_LIMIT_SHARE) and not evidence.is_before_seed:
        raise evidence.fail(
            "rows", f"{rows} rows, more than half as many again as the last accepted {before}"
        )


def check_duplicates(evidence: Evidence) -> None:
    """No cell occurs twice."""
    keys = ["measure_id", "region_code", "period_key"]
    double = evidence.cell.filter(evidence.cell.select(keys).is_duplicated()).sort(keys)
    if double.height:
        first = double.row(0, named=True)
        raise evidence.fail(
            "duplicate",
            f"cell {first['measure_id']} {first['region_code']} {first['period_key']} "
            f"occurs more than once ({double.height} rows share a cell)",
        )


def check_regions_present(evidence: Evidence) -> None:
    """All 14 municipalities have figures, and the larger regions that the catalogue promises."""
    filled = evidence.cell.filter(pl.col("value").is_not_null())
    present = set(filled.get_column("region_code").to_list())
    lost = sorted(evidence.catalogue.twente() - present)
    if lost:
        raise evidence.fail("twente", f"no figures for {', '.join(lost)} of the 14 municipalities")
    for level in evidence.table.required_levels:
        if not any(code.startswith(LEVEL_PREFIX[level]) for code in present):
            raise evidence.fail("level", f"no row of level {level} ({LEVEL_PREFIX[level]}..)")


def check_regions_known(evidence: Evidence) -> None:
    """Every region code is one of the catalogue's, present or past."""
    regions = evidence.catalogue.regions
    known = {m.code for m in regions.municipalities}
    known |= {r.code for r in (*regions.provinces, *regions.corop_areas, regions.country)}
    known |= set(evidence.table.foreign_codes)
    filled = evidence.cell.filter(pl.col("value").is_not_null()).get_column("region_code")
    unknown = sorted(set(filled.to_list()) - known)
    if unknown:
        raise evidence.fail(
            "region",
            f"unknown region code {', '.join(unknown[:5])}"
            f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}: not in regions.yml; "
            "if borders changed, add the change there",
        )


def check_periods(evidence: Evidence) -> None:
    """Every period parses, and has a publication status or ``onbekend``."""
    table = evidence.table
    keys = sorted(evidence.cell.get_column("period_key").unique().to_list())
    for key in keys:
        period_year(table, key)
    periods = evidence.entities.get(table.time_dimension or "")
    if periods is not None:
        named = {str(k).strip() for k in periods.get_column("Key")}
        nameless = [key for key in keys if key not in named]
        if nameless:
            raise evidence.fail(
                "period", f"period {', '.join(nameless[:3])} is not in the table's own periods"
            )
    period_statuses(table, keys, periods)


def check_nulls(evidence: Evidence) -> None:
    """No figure of the 14 that was there vanishes, and null shares stay within tolerance."""
    if evidence.before is None:
        return
    keys = ["measure_id", "region_code", "period_key"]
    old = evidence.before.filter(pl.col("value").is_not_null())
    new = evidence.cell.filter(pl.col("value").is_not_null())
    gone = old.join(new, on=keys, how="anti")
    twente = gone.filter(pl.col("region_code").is_in(sorted(evidence.catalogue.twente())))
    if twente.height:
        first = twente.sort(keys).row(0, named=True)
        raise evidence.fail(
            "vanished",
            f"{twente.height} figures of the 14 municipalities are gone, such as "
            f"{first['measure_id']} {first['region_code']} {first['period_key']}",
        )
    tolerance = evidence.table.null_tolerance_share
    for measure in evidence.table.measures:
        was = old.filter(pl.col("measure_id") == measure.id).height
        lost = gone.filter(pl.col("measure_id") == measure.id).height
        if was and lost / was > tolerance:
            raise evidence.fail(
                "nulls",
                f"{lost} of {was} figures of {measure.id} became missing "
                f"({lost / was:.0%}, tolerance {tolerance:.0%})",
            )


def check_values(evidence: Evidence) -> None:
    """Values are finite, within the catalogue's range, and not off by a factor of ten."""
    for measure in evidence.table.measures:
        frame = evidence.cell.filter(
            (pl.col("measure_id") == measure.id) & pl.col("value").is_not_null()
        )
        low = -float("inf") if measure.minimum is None else measure.minimum
        high = float("inf") if measure.maximum is None else measure.maximum
        wrong = frame.filter(
            ~pl.col("value").is_finite() | (pl.col("value") < low) | (pl.col("value") > high)
        )
        if wrong.height:
            raise evidence.fail("range", _value_message(measure.id, wrong, f"{low:g} to {high:g}"))
        if not evidence.table.known_zero and (zero := frame.filter(pl.col("value") == 0)).height:
            raise evidence.fail(
                "zero", _value_message(measure.id, zero, "no zero (missing is stored as 0)")
            )
    _check_jumps(evidence)


def check_unused(evidence: Evidence) -> None:
    """Columns that the catalogue does not use may change: a note."""
    if not evidence.before_entities or "DataProperties" not in evidence.entities:
        return
    now, before = (
        _topic_titles(entities["DataProperties"])
        for entities in (evidence.entities, evidence.before_entities)
    )
    if now != before:
        changed = sorted(now ^ before)
        evidence.notes.append(
            f"{len(changed)} topics were added, dropped or renamed: {changed[:3]}"
        )


RULES: tuple[Callable[[Evidence], None], ...] = (
    check_units,
    check_rows,
    check_duplicates,
    check_regions_present,
    check_regions_known,
    check_periods,
    check_nulls,
    check_values,
    check_unused,
)
"""In order; the columns themselves are resolved by title path before the first."""


def _topic_titles(properties: pl.DataFrame) -> set[str]:
    topics = properties.filter(pl.col("Type") == "Topic")
    return set(topics.get_column("Title").to_list())


def _check_jumps(evidence: Evidence) -> None:
    """No cell changes by a factor of ten at once, nor by fifty from one period to the next."""
    keys = ["measure_id", "region_code", "period_key"]
    if evidence.before is not None:
        both = evidence.cell.join(evidence.before, on=keys, suffix="_before")
        jumps = both.filter(_is_jump(JUMP_FACTOR) & (pl.col("value_before") != 0))
        wrong = _beyond_chance(jumps, evidence.before, both)
        if wrong.height:
            first = wrong.sort(keys).row(0, named=True)
            raise evidence.fail(
                "jump",
                f"{first['measure_id']} {first['region_code']} {first['period_key']} changed from "
                f"{first['value_before']:g} to {first['value']:g} "
                f"({wrong.height} cells by a factor of {JUMP_FACTOR:g} or more)",
            )
    series = evidence.cell.filter(pl.col("value").is_not_null()).sort(keys)
    previous = pl.col("value").shift(1).over("measure_id", "region_code")
    steps = series.with_columns(previous.alias("value_before"))
    above_zero = (pl.col("value") != 0) & (pl.col("value_before") != 0)
    jumps = _beyond_chance(
        steps.filter(_is_jump(PERIOD_JUMP_FACTOR) & above_zero), evidence.before, None
    )
    if jumps.height:
        first = jumps.sort(keys).row(0, named=True)
        raise evidence.fail(
            "jump",
            f"{first['measure_id']} {first['region_code']} {first['period_key']} is "
            f"{first['value']:g}, the period before {first['value_before']:g}",
        )


def _is_jump(factor: float) -> pl.Expr:
    now, before = pl.col("value").abs(), pl.col("value_before").abs()
    return (now >= before * factor) | (before >= now * factor)


def _beyond_chance(
    jumps: pl.DataFrame, known: pl.DataFrame | None, compared: pl.DataFrame | None
) -> pl.DataFrame:
    """Return the jumps that few cases cannot explain.

    Those are jumps of large values, to a value far outside all that the measure ever was, or of
    a good part of the cells that were compared.
    """
    size = pl.max_horizontal(pl.col("value").abs(), pl.col("value_before").abs())
    is_odd = size >= JUMP_FROM
    if known is not None:
        was = known.filter(pl.col("value") != 0).group_by("measure_id")
        extent = was.agg(
            pl.col("value").abs().min().alias("least"), pl.col("value").abs().max().alias("most")
        )
        jumps = jumps.join(extent, on="measure_id", how="left", validate="m:1")
        now = pl.col("value").abs()
        is_odd |= (now > 2 * pl.col("most")) | ((now > 0) & (now < pl.col("least") / 2))
    if compared is not None:
        total = compared.filter(pl.col("value_before").is_not_null()).group_by("measure_id").len()
        jumps = jumps.join(total, on="measure_id", how="left", validate="m:1")
        is_odd |= pl.len().over("measure_id") > JUMP_SHARE * pl.col("len")
    return jumps.filter(is_odd)


def _is_same_slice(one: Snapshot, other: Snapshot) -> bool:
    """Return whether two deliveries were asked for with the same filter, whatever the padding."""
    first, second = (str(s.manifest["request"].get("filter")).split() for s in (one, other))
    return "".join(first) == "".join(second)


def _value_message(measure_id: str, wrong: pl.DataFrame, expected: str) -> str:
    first = wrong.sort("region_code", "period_key").row(0, named=True)
    return (
        f"{measure_id} of {first['region_code']} in {first['period_key']} is {first['value']:g}, "
        f"expected {expected} ({wrong.height} values)"
    )


def _trimmed(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    code = pl.col("region_key").str.strip_chars()
    return frame.select(
        "measure_id",
        pl.when(code == "NL00").then(pl.lit("NL01")).otherwise(code).alias("region_code"),
        pl.col("period_key").str.strip_chars(),
        "value",
    )


def _check_areas(
    catalogue: Catalogue, table: Table, entities: Mapping[str, pl.DataFrame]
) -> list[str]:
    """Every present municipality has one area; the 14 lie in Twente; all codes are known."""
    frame = entities[DATA_ENTITY]
    newest = frame.filter(
        pl.col(str(table.time_dimension)) == frame[str(table.time_dimension)].max()
    )
    code = pl.col(table.geo_dimension).str.strip_chars()
    found = dict(newest.select(code, "corop_code").iter_rows())
    present = {m.code for m in catalogue.regions.municipalities if m.last_year is None}
    where = f"{table.source_id}/{table.id}"
    if present ^ found.keys():
        raise ContractError(
            where,
            "region",
            f"municipalities differ from regions.yml: {sorted(present ^ found.keys())[:5]}",
        )
    twente = {c for c, corop in found.items() if corop == catalogue.regions.twente.corop_code}
    if twente != catalogue.twente():
        raise ContractError(
            where, "twente", f"Twente differs: {sorted(twente ^ catalogue.twente())}"
        )
    known = {r.code for r in catalogue.regions.corop_areas}
    unknown = sorted(set(newest["corop_code"].to_list()) - known)
    if unknown:
        raise ContractError(where, "region", f"unknown COROP area {', '.join(unknown)}")
    return []
