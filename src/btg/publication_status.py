"""The publication status of a period, as the source gives it; never guessed.

CBS fills ``Perioden.Status``, or says it in prose in the period's description (70072ned), such as
"Cijfers over inkomen en vermogen zijn voorlopig". Prose is read per sentence by reviewed phrases;
a measure that no phrase speaks of is ``onbekend``.
"""

import re

import polars as pl

from btg.catalogue.schema import Table
from btg.errors import ContractError

STATUS_OF_SOURCE = {
    "definitief": "definitief",
    "voorlopig": "voorlopig",
    "naderVoorlopig".lower(): "nader_voorlopig",
    "nader voorlopig": "nader_voorlopig",
}
PROSE = re.compile(r"\b(nader\s+voorlopig|voorlopig|definitief)e?\b", re.IGNORECASE)


def period_statuses(
    table: Table, period_keys: list[str], periods: pl.DataFrame | None
) -> pl.DataFrame:
    """Return one row per measure and period: measure_id, period_key, publication_status."""
    facts: dict[str, tuple[str | None, str]] = {}
    if periods is not None:
        for row in periods.to_dicts():
            facts[str(row["Key"]).strip()] = (row.get("Status"), str(row.get("Description") or ""))
    rows = [
        {
            "measure_id": measure.id,
            "period_key": key,
            "publication_status": _status(table, measure.id, *facts.get(key.strip(), (None, ""))),
        }
        for measure in table.measures
        for key in period_keys
    ]
    schema = {"measure_id": pl.String, "period_key": pl.String, "publication_status": pl.String}
    return pl.DataFrame(rows, schema=schema)


def _status(table: Table, measure_id: str, status: str | None, description: str) -> str:
    if table.status_rule.kind == "none":
        return "onbekend"
    if status:
        known = STATUS_OF_SOURCE.get(str(status).strip().lower())
        if known is None:
            raise ContractError(table.id, "status", f"period status {status!r} is not known")
        return known
    if table.status_rule.kind == "perioden_prose":
        return status_in_prose(description, _phrases(table, measure_id))
    return "onbekend"


def status_in_prose(description: str, phrases: list[str]) -> str:
    """Return the status that a description gives to a topic named by one of ``phrases``.

    A clause counts only if it names one phrase and exactly one status; two clauses that differ, or
    none, give ``onbekend``.
    """
    found: set[str] = set()
    for clause in re.split(r"[.;\n\r]+", description):
        lowered = " ".join(clause.lower().split())
        if any(re.search(rf"\b{re.escape(p.lower())}\b", lowered) for p in phrases):
            stated = {" ".join(m.lower().split()) for m in PROSE.findall(lowered)}
            if "niet" in lowered.split() or len(stated) != 1:
                return "onbekend"
            found |= stated
    if len(found) != 1:
        return "onbekend"
    return STATUS_OF_SOURCE[found.pop()]


def _phrases(table: Table, measure_id: str) -> list[str]:
    return [phrase for phrase, ids in table.status_rule.groups.items() if measure_id in ids]
