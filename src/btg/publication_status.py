"""The publication status of a period, as the source gives it; never guessed.

CBS fills ``Perioden.Status``, or says it in prose in the period's description (70072ned): a heading
such as "Uitkomsten zijn voorlopig over:" with the topic groups on the lines below it, or a sentence
such as "De cijfers over inkomen en vermogen zijn voorlopig." Prose is read by the reviewed phrases
of the catalogue; a measure that no phrase speaks of is ``onbekend``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from btg.catalogue.schema import Table
from btg.errors import ContractError

STATUS_OF_SOURCE = {
    "definitief": "definitief",
    "voorlopig": "voorlopig",
    "nadervoorlopig": "nader_voorlopig",
    "nader voorlopig": "nader_voorlopig",
}
STATED = re.compile(r"\b(nader[\s-]+voorlopig|voorlopig|definitief|definitiev)e?\b")
QUALIFIED = re.compile(
    r"\b(niet|geen|behalve|uitgezonderd|uitzondering|tenzij|deels|gedeeltelijk|nog te|totdat|"
    r"wordt|worden|zal|zullen|was|waren|vervangen|bijgesteld|herzien|vervallen)\b"
)
"""Words with which a sentence says something else than what the status is now."""
YEAR = re.compile(r"\b(?:19|20)\d{2}\b")
BULLET = re.compile(r"^[\s\-–•*]+")
BEFORE = (
    r"(?:^|[,:]|\ben\b|\bzijn\b|\bis\b|\b(?:cijfers|uitkomsten|gegevens)(?: (?:over|van|voor))?)"
    r"\s*(?:de |het )?"
)
OF_A_YEAR = r"(?:(?:van|over|voor|in) )?(?:het (?:verslag)?jaar )?\(?\d{4}\)?"
AFTER_IN_LIST = rf"\s*(?:$|,|en\b|{OF_A_YEAR}\s*(?:$|,|en\b))"
AFTER = (
    rf"\s*(?:{OF_A_YEAR}\s*)?(?:$|,|en\b|(?:zijn|is|blijven|blijft|betreffen|betreft)\b|"
    r"[-–:(]?\s*(?:nader[\s-]+)?(?:voorlopig|definitie[fv]))"
)


@dataclass(frozen=True)
class _Statement:
    """Words that give a status, and the words that name the topics that have it."""

    wording: str
    topics: str
    is_list: bool

    def names(self, phrase: str) -> bool:
        """Return whether a topic is named by the phrase as a whole, not as part of another."""
        after = AFTER_IN_LIST if self.is_list else AFTER
        return re.search(f"{BEFORE}{re.escape(phrase)}{after}", self.topics) is not None

    def status(self, year: int | None) -> str | None:
        """Return the one status that is stated, None if there is more to it than that."""
        both = f"{self.wording} {self.topics}"
        stated = {_known(word) for word in STATED.findall(self.wording)}
        if len(stated) != 1 or QUALIFIED.search(both):
            return None
        return stated.pop() if len(_years(both) | ({year} if year else set())) <= 1 else None

    def is_of_another_year(self, year: int | None) -> bool:
        """Return whether every year that is mentioned is another than the period's."""
        years = _years(f"{self.wording} {self.topics}")
        return year is not None and bool(years) and year not in years


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
            "publication_status": _status(
                table, measure.id, key, *facts.get(key.strip(), (None, ""))
            ),
        }
        for measure in table.measures
        for key in period_keys
    ]
    schema = {"measure_id": pl.String, "period_key": pl.String, "publication_status": pl.String}
    return pl.DataFrame(rows, schema=schema)


def status_in_prose(description: str, phrases: list[str], year: int | None = None) -> str:
    """Return the status that a description gives to the topic that ``phrases`` name.

    Counts only a statement that names a phrase as a topic of its own ("Bevolking", not
    "Bevolking - Doodsoorzaken"), gives exactly one status, is not qualified, and mentions no year
    but ``year``. A statement that names the topic in any other way, two that differ, or none:
    ``onbekend``.
    """
    found: set[str] = set()
    wanted = [" ".join(phrase.lower().split()) for phrase in phrases]
    for statement in _statements(description):
        mentioned = [p for p in wanted if re.search(rf"\b{re.escape(p)}\b", statement.topics)]
        if not mentioned or statement.is_of_another_year(year):
            continue
        status = statement.status(year)
        if status is None:
            return "onbekend"
        if any(statement.names(phrase) for phrase in mentioned):
            found.add(status)
    return found.pop() if len(found) == 1 else "onbekend"


def _status(table: Table, measure_id: str, key: str, status: str | None, description: str) -> str:
    if table.status_rule.kind == "none":
        return "onbekend"
    if status:
        known = STATUS_OF_SOURCE.get(" ".join(str(status).lower().split()))
        if known is None:
            raise ContractError(
                f"{table.source_id}/{table.id}", "status", f"period status {status!r} is not known"
            )
        return known
    if table.status_rule.kind == "perioden_prose":
        years = YEAR.findall(key[:4])
        year = int(years[0]) if years else None
        return status_in_prose(description, _phrases(table, measure_id), year)
    return "onbekend"


def _statements(description: str) -> Iterator[_Statement]:
    """Yield what a description states: sentences, and lists under or after a heading.

    A heading ends in a colon and holds a status. Its list is the rest of the sentence, or the lines
    below it up to a blank line, another heading or a sentence with a status of its own.
    """
    heading, is_block, has_items = "", False, False
    for line in description.splitlines():
        text = BULLET.sub("", " ".join(line.lower().split()))
        if not text and has_items:
            heading = ""
        for sentence in re.split(r"\.(?=\s|$)", text):
            for clause in filter(None, (part.strip() for part in sentence.split(";"))):
                head, colon, rest = (part.strip() for part in clause.partition(":"))
                if colon and STATED.search(head):
                    heading, is_block, has_items = clause, not rest, bool(rest)
                    if rest:
                        yield _Statement(clause, rest, is_list=True)
                elif STATED.search(clause):
                    heading = ""
                    yield _Statement(clause, clause, is_list=False)
                elif colon:
                    heading = ""
                elif heading:
                    has_items = True
                    yield _Statement(heading, clause, is_list=True)
            if not is_block:
                heading = ""


def _known(word: str) -> str:
    return STATUS_OF_SOURCE[re.sub(r"[\s-]+", " ", word).replace("definitiev", "definitief")]


def _years(text: str) -> set[int]:
    return {int(year) for year in YEAR.findall(text)}


def _phrases(table: Table, measure_id: str) -> list[str]:
    return [phrase for phrase, ids in table.status_rule.groups.items() if measure_id in ids]
