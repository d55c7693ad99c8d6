"""``btg sources verify``: asks the live services for every declared id and topic."""

from typing import Any

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import DeclaredTable, StatusRule, Table
from btg.errors import SourceError, UsageError
from btg.settings import Settings
from btg.sources import odata
from btg.sources.cbs import CbsSource
from btg.sources.hosts import HostState


def verify(settings: Settings, catalogue: Catalogue, only: str | None) -> list[dict[str, Any]]:
    """Return one row per table, used and declared: what would be taken from it, or why not.

    Nothing is stored and nothing enters the build. Edition files have no service to ask.
    """
    known = {s.id for s in catalogue.sources}
    if only is not None and only not in known:
        raise UsageError(f"there is no source {only!r}; known: {', '.join(sorted(known))}")
    hosts = HostState()
    clients = {
        "cbs": CbsSource(settings.cbs_url, settings, hosts=hosts),
        "dataderden": CbsSource(settings.dataderden_url, settings, hosts=hosts),
    }
    rows = []
    for table in catalogue.used_tables():
        service = catalogue.source(table.source_id).service
        if service != "file" and only in (None, table.source_id):
            rows.append(_row(table, "used", *_verify_used(clients[service], table)))
    for declared in catalogue.declared:
        if only in (None, declared.source_id):
            service = catalogue.source(declared.source_id).service
            client = clients["dataderden" if service == "dataderden" else "cbs"]
            rows.append(_row(declared, "declared", *_verify_declared(client, declared)))
    return rows


def _row(table: Table | DeclaredTable, status: str, result: str, message: str) -> dict[str, Any]:
    return {
        "source_id": table.source_id,
        "table_id": table.id,
        "status": status,
        "result": result,
        "message": message,
    }


def _verify_used(client: CbsSource, table: Table) -> tuple[str, str]:
    try:
        probe = client.probe(table)
        table_id, topics = client.topics(table)
        found = {
            measure.id: _find(topics, measure.path[-1], tuple(measure.path))
            for measure in table.measures
        }
    except SourceError as error:
        return "failed", str(error)
    missing = [name for name, keys in found.items() if len(keys) != 1]
    if missing:
        return "failed", f"{table_id}: topic of {', '.join(missing)} not found once"
    keys = ", ".join(sorted({keys[0].key for keys in found.values()}))
    return (
        "ok",
        f"{table_id}, {probe.output_status or 'status unknown'}, "
        f"modified {probe.modified[:10]}: {keys}",
    )


def _verify_declared(client: CbsSource, declared: DeclaredTable) -> tuple[str, str]:
    table = _as_table(declared)
    try:
        probe = client.probe(table)
        table_id, topics = client.topics(table)
    except SourceError as error:
        return "failed", str(error)
    lines, good = [], True
    for topic in declared.topics:
        keys = _find(topics, topic.title, None, topic.group)
        good = good and len(keys) == 1
        if len(keys) == 1:
            lines.append(f"{topic.indicator_id} = {' / '.join(keys[0].path)} ({keys[0].key})")
        else:
            lines.append(f"{topic.indicator_id}: {len(keys)} topics titled {topic.title!r}")
    text = f"{table_id}, modified {probe.modified[:10]}: {'; '.join(lines)}"
    return ("ok" if good else "failed"), text


def _find(
    topics: list[odata.Topic],
    title: str,
    path: tuple[str, ...] | None,
    group: str | None = None,
) -> list[odata.Topic]:
    def plain(text: str) -> str:
        return " ".join(text.split()).casefold()

    found = [t for t in topics if plain(t.path[-1]) == plain(title)]
    if path is not None:
        found = [t for t in found if [plain(p) for p in t.path] == [plain(p) for p in path]]
    if group is not None:
        found = [t for t in found if plain(group) in [plain(p) for p in t.path[:-1]]]
    return found


def _as_table(declared: DeclaredTable) -> Table:
    """Return a table of the catalogue's form, enough to probe it."""
    return Table(
        id=declared.id.removesuffix("_all"),
        source_id=declared.source_id,
        title=declared.title,
        title_pattern=declared.title_pattern,
        geo_dimension="RegioS",
        region_levels=["gemeente"],
        borders="period",
        status_rule=StatusRule(kind="none"),
        max_age_days=1,
    )
