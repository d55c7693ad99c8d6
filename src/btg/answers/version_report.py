"""What moves between two versions of the method: the published figures against another ruler."""

from pathlib import Path

import polars as pl

from btg import build, warehouse
from btg.answers import difference
from btg.catalogue.loader import Catalogue
from btg.settings import Settings

TARGET = "marts.change_since_2019"


def moved(
    settings: Settings, catalogue: Catalogue, inputs: build.Inputs, ruler: pl.DataFrame
) -> difference.Difference | None:
    """Return scores and changes that differ between the published file and a build with ``ruler``.

    The sources are those in use and the settings those of the catalogue. Flipped changes come
    first. None where nothing is published yet.
    """
    if not settings.database.exists():
        return None
    before = _scores(settings.database)
    con = warehouse.open_build()
    try:
        build.load_inputs(con, catalogue, inputs, ruler)
        build.run_models(con, settings.sql_dir, [TARGET])
        after = warehouse.frame(con, difference.SCORES)
    finally:
        con.close()
    codes = [pl.col(name).cast(pl.String) for name in difference.CHANGE_KEYS if name != "year"]
    after = after.with_columns(*codes, pl.col("year").cast(before.schema["year"]))
    nothing = pl.DataFrame()
    return difference.Difference(nothing, difference.compare_scores(before, after), 0)


def as_text(found: difference.Difference | None, version: str) -> list[str]:
    """Return lines for a terminal, flipped changes first."""
    if found is None:
        return ["nothing is published yet: no figures to compare with"]
    n_flipped = found.scores.filter(pl.col("is_flipped")).height
    return [
        f"published figures against method version {version}:",
        *found.as_text()[:-1],
        f"{n_flipped} flipped, {found.scores.height} figures move",
    ]


def _scores(path: Path) -> pl.DataFrame:
    con = warehouse.open_published(path)
    try:
        return warehouse.frame(con, difference.SCORES)
    finally:
        con.close()
