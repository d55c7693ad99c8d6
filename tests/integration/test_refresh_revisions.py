"""A revision from the source to the published file, and the figures as they were known before it.

One slow scenario, told once: the police revise a figure of the base year and leave a year without
its status; later somebody asks what was known before.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support import mutations as m
from tests.support.odata_server import ODataServer
from tests.support.store import DATA_ENTITY, Store, load_snapshots, topic_key

from btg import publish, warehouse
from btg.catalogue.loader import Catalogue
from btg.pipeline import Options, RunReport, Workspace, refresh
from btg.settings import Settings

pytestmark = pytest.mark.slow

TABLE = "47018NED"
BURGLARY, REGION, BASE = "1.1.1", "GM0153", "2019JJ00"
REVISED_AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
KNOWN_AT = datetime(2026, 11, 10, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class Story:
    """What happened: the home, the files before and after, and the report of the revision."""

    settings: Settings
    before: dict[str, str]
    report: RunReport
    old_value: float
    old_snapshot: str


def revise(store: Store) -> tuple[Store, float]:
    """Return the store with one burglary figure of the base year raised by 7, and the old value."""
    key = topic_key(store[TABLE], ["Geregistreerde misdrijven"])
    changed = m.set_info(store, TABLE, Modified="2026-11-20T02:00:00")
    changed = m.set_status(changed, TABLE, "2024JJ00", None)
    for row in changed[TABLE][DATA_ENTITY]:
        codes = [row[n].strip() for n in ("SoortMisdrijf", "WijkenEnBuurten", "Perioden")]
        if codes == [BURGLARY, REGION, BASE]:
            row[key] += 7
            return changed, float(row[key] - 7)
    raise KeyError(BURGLARY)


@pytest.fixture(scope="module")
def story(
    published: Settings, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("revision")
    shutil.copytree(published.home / "data", home / "data")
    leftovers = home / "data" / "marts" / ".build"
    leftovers.mkdir(exist_ok=True)
    for name in ("20261119T060000_000.duckdb", "20261119T060000_000.duckdb.wal"):
        (leftovers / name).write_bytes(b"half a file of a run that was killed")
    store, old_value = revise(load_snapshots(published.raw_dir, [TABLE]))
    with ODataServer(store) as server:
        settings = replace(published, home=home, dataderden_url=server.url)
        workspace = Workspace(settings, catalogue, clock=lambda: REVISED_AT)
        old = workspace.store.accepted(catalogue.table(TABLE)).id
        report = refresh(workspace, Options(only="politie"))
        assert report.exit_code == 0, report.message
        before = publish.content_hashes(published.database)
        yield Story(settings, before, report, old_value, old)


def rows(settings: Settings, query: str, *, file: str | None = None) -> list[tuple[Any, ...]]:
    path = settings.database if file is None else settings.database.with_name(file)
    con = warehouse.open_published(path)
    try:
        return warehouse.rows(con, query)
    finally:
        con.close()


BURGLARY_SCORE = f"""
select value from marts.indicator_score
where region_code = '{REGION}' and year = 2019 and indicator_id = 'woninginbraak'
"""


def test_a_revised_figure_of_the_base_year_is_published_reported_and_counted(story: Story) -> None:
    assert story.report.outcome == "published"
    found = story.report.fetched[0]
    assert (found.table_id, found.result) == (TABLE, "accepted")
    assert "1 revised" in found.message
    assert "of which 1 of 2019: the ruler stays as it is" in found.message
    told = rows(
        story.settings,
        "select source_id, table_id, region_code, period, topic_id, old_value, new_value, "
        "old_status, new_status, old_snapshot_id, new_snapshot_id, run_id "
        "from meta.revision where cause = 'revised'",
    )
    assert told == [
        (
            "politie", TABLE, REGION, BASE, "woninginbraak", story.old_value, story.old_value + 7,
            "definitief", "definitief", story.old_snapshot, found.snapshot_id, story.report.run_id,
        )
    ]  # fmt: skip
    assert rows(story.settings, "select count(*) from meta.revision") == [(found.n_revised,)]


def test_the_frozen_ruler_does_not_move_with_a_revision(story: Story) -> None:
    after = publish.content_hashes(story.settings.database)
    assert after["meta.baseline"] == story.before["meta.baseline"]
    assert after["meta.method"] == story.before["meta.method"]
    assert after["marts.indicator_score"] != story.before["marts.indicator_score"]


def test_a_period_that_lost_its_status_is_unknown_never_final(story: Story) -> None:
    told = rows(
        story.settings,
        "select distinct period, old_status, new_status from meta.revision where cause = 'status'",
    )
    assert told == [("2024JJ00", "voorlopig", "onbekend")]
    status = rows(
        story.settings,
        "select distinct publication_status from marts.indicator_score where year = 2024 "
        f"and indicator_id = 'woninginbraak' and region_code = '{REGION}' and value is not null",
    )
    assert status == [("onbekend",)]


def test_the_file_before_the_revision_is_kept(story: Story) -> None:
    kept = publish.history(story.settings)
    assert [path.name for path in kept] == [f"btg_until_{story.report.run_id}.duckdb"]
    assert publish.content_hashes(kept[0]) == story.before


def test_what_a_killed_build_left_behind_is_cleared(story: Story) -> None:
    assert list((story.settings.marts_dir / ".build").iterdir()) == []


def test_the_state_of_the_source_is_in_the_file(story: Story) -> None:
    told = rows(
        story.settings,
        f"select state, changed_at, snapshot_id from meta.source where table_id = '{TABLE}'",
    )
    snapshot_id = story.report.fetched[0].snapshot_id
    assert told == [("current", REVISED_AT.replace(tzinfo=None), snapshot_id)]


def test_as_known_then_gives_the_earlier_figures_in_a_file_of_its_own(
    story: Story, catalogue: Catalogue
) -> None:
    after = publish.content_hashes(story.settings.database)
    workspace = Workspace(story.settings, catalogue, clock=lambda: REVISED_AT.replace(hour=9))
    report = refresh(workspace, Options(as_of=KNOWN_AT))
    assert (report.exit_code, report.outcome) == (0, "published"), report.message
    assert {d.action for d in report.decisions} == {"keep"}
    name = "btg_as_of_2026-11-10.duckdb"
    assert report.database == str(story.settings.database.with_name(name))
    known = publish.content_hashes(story.settings.database.with_name(name))
    assert publish.same_content(known, story.before)
    assert publish.content_hashes(story.settings.database) == after
    old, new = (rows(story.settings, BURGLARY_SCORE, file=file) for file in (name, None))
    assert old[0][0] < new[0][0]
    as_of = rows(story.settings, "select as_of_date::varchar from meta.run", file=name)
    assert as_of == [("2026-11-10",)]


def test_a_date_before_anything_was_accepted_is_a_clear_error(
    story: Story, catalogue: Catalogue
) -> None:
    after = publish.content_hashes(story.settings.database)
    workspace = Workspace(story.settings, catalogue, clock=lambda: REVISED_AT.replace(hour=10))
    report = refresh(workspace, Options(as_of=datetime(2026, 10, 1, 23, 59, 59, tzinfo=UTC)))
    assert (report.exit_code, report.outcome) == (3, "blocked")
    assert report.message == "cbs/70072ned: nothing was accepted yet on 2026-10-01"
    assert not list(story.settings.marts_dir.glob("btg_as_of_2026-10*"))
    assert publish.content_hashes(story.settings.database) == after
