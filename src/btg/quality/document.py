"""docs/quality.md: every rule of both gates, how bad it is, why, and the test that breaks it."""

from collections import Counter
from pathlib import Path

from btg.catalogue.loader import Catalogue
from btg.quality import audits, rules

TESTS = "tests/quality"
INTRODUCTION = """# Data quality: the rules of both gates

Gate 1 judges a new delivery of a source; gate 2 judges exactly the file that is about to be
published. `critical` keeps it out, `warning` and `info` are shown. All results are in
`meta.check_result` and, per run, in `data/marts/runs/checks_RUN.json`.
"""
CONTRACT = """## Gate 1: contract of a delivery (`src/btg/contracts.py`)

Every rule is critical: the delivery goes to quarantine, the last accepted one stays in use.
Tests: `tests/contract/test_gate1_rules.py`, one fault or more per rule.

| rule | what must hold |
|---|---|"""
SUITES = f"""
## Both gates: suites from the catalogue (`src/btg/quality/rules.py`)

Ranges, allowed values and keys stand in the catalogue beside the indicator and in
[the dictionary](dictionary.md); a new indicator brings its rules with it.
Tests: `{TESTS}/test_rules.py`, one fault per kind.

| gate | kind | severity | rules | what must hold |
|---|---|---|---|---|"""
KINDS: dict[str, str] = {
    "columns": "The table has the promised columns, in their order.",
    "unique": "One row per grain.",
    "between": "Values lie in the range of the catalogue; periods rise; a cell occurs once.",
    "in_set": "Values are among those allowed; types, not null and comments are as promised.",
    "contains": "All 14 municipalities are there.",
    "row_count": "As many rows as there must be at least.",
    "null_share": "Not nearly everything is missing.",
}
RECONCILIATION = f"""
## Gate 2: reconciliation (`src/btg/quality/reconcile.py`)

Tests: `{TESTS}/test_reconcile.py`.

| check | severity | why | test |
|---|---|---|---|
| reconcile.INDICATOR.LEVEL | warning | A published figure of a larger region is near the \
aggregate of its municipalities. | test_rounding_to_tenths_of_a_kilometre_passes |
| reconcile.INDICATOR.twente | critical | Twente is exactly its 14: a published figure that they \
do not give is a fault. | test_twente_that_is_not_its_14_blocks |
| reconcile.SERIES | warning | Two tables with the same series agree. \
| test_two_tables_with_another_population_warn |
| reconcile.population.LEVEL | warning | Municipal populations sum to the published one. \
| test_population_that_does_not_add_up_warns |"""
AUDITS = f"""
## Gate 2: audits (`sql/90_audits/`)

A query per audit that returns the bad rows. Each has a fault that it stops,
`{TESTS}/test_audits.py::test_audit_stops_the_fault[NAME]`, and an oddity of the
sources that it lets pass, `::test_audit_lets_the_oddity_pass[NAME]`.

| audit | severity | table | why | incident or reason |
|---|---|---|---|---|"""
ISSUES = """
## Reviewed oddities and known errors (`corrections.yml`)

| table | measure | region | period | action | reason | reported |
|---|---|---|---|---|---|---|"""


def quality(catalogue: Catalogue) -> str:
    """Return the document without its note."""
    return "\n".join(
        [
            INTRODUCTION,
            CONTRACT,
            *_contract_rows(),
            SUITES,
            *_suite_rows(catalogue),
            RECONCILIATION,
            AUDITS,
            *_audit_rows(Path(__file__).resolve().parents[3] / "sql"),
            ISSUES,
            *_issue_rows(catalogue),
            "",
        ]
    )


def subjects(catalogue: Catalogue) -> list[rules.Subject]:
    """Return everything that the suites of both gates judge."""
    return [
        *(rules.snapshot_subject(catalogue, t) for t in catalogue.used_tables() if t.measures),
        *(rules.mart_subject(catalogue, name) for name in catalogue.dictionary.tables),
        rules.file_subject(),
    ]


def _contract_rows() -> list[str]:
    from btg.contracts import RULES

    return [
        f"| {rule.__name__} | {_cell((rule.__doc__ or '').splitlines()[0])} |" for rule in RULES
    ]


def _suite_rows(catalogue: Catalogue) -> list[str]:
    counts = Counter(
        (subject.gate, rule.kind, rule.severity)
        for subject in subjects(catalogue)
        for rule in subject.rules
    )
    return [
        f"| {gate} | gx.{kind} | {severity} | {n} | {KINDS[kind]} |"
        for (gate, kind, severity), n in sorted(counts.items())
    ]


def _audit_rows(sql_dir: Path) -> list[str]:
    return [
        f"| {audit.check_id.removeprefix('audit.')} | {audit.severity} | {audit.table_name} "
        f"| {_cell(audit.why)} | {_cell(audit.reason)} |"
        for audit in audits.load_audits(sql_dir)
    ]


def _issue_rows(catalogue: Catalogue) -> list[str]:
    return [
        f"| {c.table} | {c.measure} | {c.region} | {c.period} | {c.action} "
        f"| {_cell(c.reason)} | {c.reported} |"
        for c in catalogue.corrections
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
