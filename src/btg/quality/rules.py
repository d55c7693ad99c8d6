"""The rules of both gates, derived from the catalogue: adding an indicator adds its rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.quality.findings import Gate, Severity

RuleKind = Literal[
    "columns", "not_null", "unique", "between", "in_set", "contains", "row_count", "null_share"
]


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
        f"select trim(cell.region_key) as region_code, cell.period_key, count(*) as n_cells, "
        f"{wide} "
        f"from raw.cell as cell where cell.table_id = '{table.id}' "
        "group by all order by all"
    )
    rules = [
        Rule("columns", "critical", "the columns that the build reads", (),
             {"columns": ["region_code", "period_key", "n_cells", *measures]}),
        Rule("row_count", "critical", "an empty delivery is a fault", (), {"minimum": 1}),
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
    if name.startswith("marts."):
        rules.append(Rule("row_count", "critical", "a mart is never empty", (), {"minimum": 1}))
        rules.append(
            Rule("contains", "critical", "the 14 municipalities are what the product is about",
                 ("region_code",), {"values": sorted(catalogue.twente())})
        )  # fmt: skip
    for column in dict.fromkeys([*entry.grain, *entry.not_null]):
        rules.append(Rule("not_null", "critical", "missing here is a fault", (column,)))
    for column in entry.columns:
        rules.extend(_column_rules(catalogue, column))
    return Subject("gate2", name, f"select * from {name}", tuple(rules))


def _column_rules(catalogue: Catalogue, name: str) -> Sequence[Rule]:
    entry = catalogue.dictionary.columns[name]
    rules = []
    if entry.allowed:
        rules.append(
            Rule("in_set", "critical", entry.description, (name,), {"values": entry.allowed})
        )
    if entry.minimum is not None or entry.maximum is not None:
        rules.append(
            Rule("between", "critical", entry.description, (name,),
                 {"minimum": entry.minimum, "maximum": entry.maximum})
        )  # fmt: skip
    return rules
