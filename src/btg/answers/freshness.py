"""How fresh everything is: per table when it was checked and changed, without building anything."""

from datetime import datetime
from typing import Any

from btg import warehouse
from btg.catalogue.loader import Catalogue
from btg.settings import Settings
from btg.source_state import table_state
from btg.workspace import Workspace


def status(
    settings: Settings, catalogue: Catalogue, now: datetime
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return one row per table in use, and the state of the published file."""
    workspace = Workspace(settings, catalogue)
    period_max, published_run = _published(settings)
    rows = []
    for table in catalogue.used_tables():
        state = workspace.state.of(table.id)
        name, message = table_state(workspace, table, now)
        has_one = workspace.store.has_accepted(table)
        log = workspace.store.log(table)
        manifest = workspace.store.accepted(table).manifest if has_one else {}
        accepted = [e for e in log if e["action"] == "accept"]
        rows.append(
            {
                "source_id": table.source_id,
                "table_id": table.id,
                "title": table.title,
                "state": name,
                "message": message or state.message,
                "checked_at": state.checked_at,
                "failed_at": state.failed_at,
                "changed_at": accepted[-1]["at"] if accepted else None,
                "source_modified": manifest.get("source_modified"),
                "period_max": period_max.get(table.id),
                "max_age_days": table.max_age_days,
                "snapshot_id": manifest.get("snapshot_id"),
            }
        )
    published = {
        "database": settings.database.name,
        "exists": settings.database.exists(),
        "run_id": published_run,
        "published_at": workspace.state.published_at,
    }
    return rows, published


def _published(settings: Settings) -> tuple[dict[str, str], str | None]:
    if not settings.database.exists():
        return {}, None
    con = warehouse.open_published(settings.database)
    try:
        periods = dict(warehouse.rows(con, "select table_id, period_max from meta.source"))
        run = warehouse.rows(con, "select max(run_id) from meta.run")[0][0]
    finally:
        con.close()
    return periods, run
