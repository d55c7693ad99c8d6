"""Catalogue entries and settings for tests that fetch from the loopback service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.store import TOPICS

from btg.catalogue.schema import Table
from btg.settings import Settings

POPULATION, INCOME, WEALTH = (topic.path for topic in TOPICS)
MEASURES = {"bevolking": POPULATION, "inkomen": INCOME, "vermogen": WEALTH}


def catalogue_table(
    table_id: str = "99001ned",
    measures: dict[str, Sequence[str]] | None = None,
    **fields: Any,
) -> Table:
    """Return a catalogue entry for ``small_table``; ``measures`` maps an id to a title path."""
    values: dict[str, Any] = {
        "id": table_id,
        "source_id": "cbs",
        "title": "Kerncijfers van een kleine regio",
        "geo_dimension": "RegioS",
        "region_levels": ["gemeente", "corop", "provincie", "land"],
        "borders": "period",
        "status_rule": {"kind": "perioden_status"},
        "max_age_days": 60,
        "measures": [
            {"id": name, "path": list(path), "unit": "aantal", "merge": "sum"}
            for name, path in (MEASURES if measures is None else measures).items()
        ],
        **fields,
    }
    return Table.model_validate(values)


def quick_settings(**fields: Any) -> Settings:
    """Return settings with time-outs short enough for a test; no folder is touched."""
    nowhere = Path("/nonexistent")
    values: dict[str, Any] = {"timeout_s": 1.0, "connect_timeout_s": 1.0, "deadline_s": 20.0}
    return Settings(home=nowhere, repository=nowhere, **{**values, **fields})
