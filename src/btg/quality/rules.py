"""The rules of both gates, derived from the catalogue: adding an indicator adds its rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.quality.findings import Gate, Severity

RuleKind = Literal[
    "columns",
    "unique",
    "between",
    "in_set",
    "contains",
    "row_count",
    "null_share",
]


MOST_NULLS = 0.95
"""A mart with fewer figures than this leaves is hardly one; early years and context are empty."""


@dataclass(frozen=True)
class Rule:
    """One expectation on one table: what must hold, how bad it is if not, and why."""

    kind: RuleKind
    severity: Severity
    why: str
    columns: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def check_id(self) -> str:
        """Return the stable name of the check within its table."""
        return ".".join(["gx", self.kind, *self.columns[:3]])


@dataclass(frozen=True)
class Subject:
    """A table with its rules; ``query`` gives the frame that is checked."""

    gate: Gate
    table_name: str
    query: str
    rules: tuple[Rule, ...]


def snapshot_subject(catalogue: Catalogue, table: Table) -> Subject:
    """Return the rules of one source table, on its cells with one column per measure."""
    measures = [m.id for m in table.measures]
    wide = ", ".join(
        f"max(cell.value) filter (where cell.measure_id = '{m}') as {m}" for m in measures
    )
    query = (
        "select trim(cell.region_key) as region_code, cell.period_key, count(*) as n_cells, "
        "any_value(cell.year) - lag(any_value(cell.year)) over "
        "(partition by cell.region_key order by cell.period_key) as period_step, "
        f"{wide} "
        f"from raw.cell as cell where cell.table_id = '{table.id}' "
        "group by cell.region_key, cell.period_key order by all"
    )
    rules = [
        Rule("columns", "critical", "the columns that the build reads", (),
             {"columns": ["region_code", "period_key", "n_cells", "period_step", *measures]}),
        Rule("row_count", "critical", "fewer rows than the 14 have is a fault", (),
             {"minimum": len(catalogue.twente())}),
        Rule("between", "critical", "periods rise: two keys of one year would count twice",
             ("period_step",), {"minimum": 1, "maximum": None}),
        Rule("between", "critical", "a cell that occurs twice has no value", ("n_cells",),
             {"minimum": 1, "maximum": len(measures)}),
        Rule("contains", "critical", "the 14 municipalities are what the product is about",
             ("region_code",), {"values": sorted(catalogue.twente())}),
    ]  # fmt: skip
    for measure in table.measures:
        if measure.minimum is not None or measure.maximum is not None:
            rules.append(
                Rule("between", "critical", f"range in which {measure.id} can be true",
                     (measure.id,), {"minimum": measure.minimum, "maximum": measure.maximum})
            )  # fmt: skip
        rules.append(
            Rule("null_share", "warning", f"{measure.id} should have figures", (measure.id,),
                 {"maximum": 0.98})
        )  # fmt: skip
    return Subject("gate1", f"{table.source_id}.{table.id}", query, tuple(rules))


def mart_subject(catalogue: Catalogue, name: str) -> Subject:
    """Return the rules of one published table, from the data dictionary."""
    entry = catalogue.dictionary.tables[name]
    rules = [
        Rule("columns", "critical", "analysts and checks rely on names and order", (),
             {"columns": list(entry.columns)}),
        Rule("unique", "critical", "one row per grain", tuple(entry.grain)),
    ]  # fmt: skip
    of_regions = "region_code" in entry.columns and entry.has_municipalities
    if name.startswith("marts.") and not of_regions:
        rules.append(Rule("row_count", "critical", "a mart is never empty", (), {"minimum": 1}))
    elif name.startswith("marts."):
        rules.append(
            Rule("row_count", "critical", "every region has rows", (),
                 {"minimum": _n_regions(catalogue)})
        )  # fmt: skip
        rules.append(
            Rule("contains", "critical", "the 14 municipalities are what the product is about",
                 ("region_code",), {"values": sorted(catalogue.twente())})
        )  # fmt: skip
        rules.extend(
            Rule("null_share", "warning", "most of a mart should have figures", (column,),
                 {"maximum": MOST_NULLS})
            for column in ("score", "value", "matched_change") if column in entry.columns
        )  # fmt: skip
    # columns that may not be null are declared so in the file, which file_subject checks
    for column in entry.columns:
        rules.extend(_column_rules(catalogue, column))
    return Subject("gate2", name, f"select * from {name}", tuple(rules))


def file_subject() -> Subject:
    """Return the rules of the file itself: every promised column, its type and its comment."""
    query = (
        "select coalesce(promised.table_name || '.' || promised.column_name, "
        "found.schema_name || '.' || found.table_name || '.' || found.column_name) as column_id, "
        "coalesce(promised.data_type = found.data_type "
        "and promised.is_nullable = found.is_nullable, false) as is_as_promised, "
        "coalesce(length(found.comment) > 0, false) as has_comment "
        "from meta.data_dictionary as promised "
        "full join duckdb_columns() as found "
        "on promised.table_name = found.schema_name || '.' || found.table_name "
        "and promised.column_name = found.column_name "
        "where found.database_name is null or (found.database_name = current_database() "
        "and found.schema_name in ('marts', 'meta')) order by all"
    )
    return Subject("gate2", "meta.data_dictionary.file", query, (
        Rule("in_set", "critical", "names, types and not null are what the dictionary promises",
             ("is_as_promised",), {"values": [True]}),
        Rule("in_set", "critical", "the database explains itself: every column has a comment",
             ("has_comment",), {"values": [True]}),
        Rule("unique", "critical", "a column is promised once", ("column_id",)),
    ))  # fmt: skip


def _n_regions(catalogue: Catalogue) -> int:
    regions = catalogue.regions
    present = [m for m in regions.municipalities if m.last_year is None]
    return len(present) + len(regions.corop_areas) + len(regions.provinces) + 1


def _column_rules(catalogue: Catalogue, name: str) -> Sequence[Rule]:
    entry = catalogue.dictionary.columns[name]
    why = f"otherwise {name} is not what it says: {entry.description}"
    rules = []
    if entry.allowed:
        rules.append(Rule("in_set", "critical", why, (name,), {"values": entry.allowed}))
    if entry.minimum is not None or entry.maximum is not None:
        rules.append(
            Rule("between", "critical", why, (name,),
                 {"minimum": entry.minimum, "maximum": entry.maximum})
        )  # fmt: skip
    return rules
