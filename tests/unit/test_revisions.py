"""Revisions: what changed between two snapshots, and what was known at any moment."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.support import mutations as m
from tests.support.store import Store, small_table
from tests.support.tables import INCOME, POPULATION, catalogue_table

from btg import revisions
from btg.catalogue.schema import SourceEntry, Table
from btg.raw import Snapshot, SnapshotStore, comparable
from btg.sources import frames, odata
from btg.sources.protocol import DATA_ENTITY, Delivery

TABLE = "99001ned"
SOURCE = SourceEntry(
    id="cbs", name="CBS", provider="CBS", service="cbs", licence="CC BY 4.0", attribution="CBS"
)
CELL = ("bevolking", "GM0153", "2019JJ00")


@pytest.fixture
def table() -> Table:
    return catalogue_table(TABLE)


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path, tmp_path / "no seed")


def delivery(table: Table, store: Store) -> Delivery:
    """Return what a source would deliver of a store, without a service."""
    entities = store[TABLE]
    wanted = odata.resolve(table, entities["DataProperties"])
    received = {
        name: frames.metadata(TABLE, name, rows)
        for name, rows in entities.items()
        if name != DATA_ENTITY
    }
    received[DATA_ENTITY] = frames.figures(TABLE, entities[DATA_ENTITY], wanted)
    modified = str(entities["TableInfos"][0]["Modified"])
    return Delivery(TABLE, "", modified, received, wanted.columns, {"filter": None})


def keep(snapshots: SnapshotStore, table: Table, store: Store, day: int) -> Snapshot:
    facts = {"retrieved_at": at(day), "origin": "fetched", "origin_note": ""}
    return snapshots.store(table, SOURCE, delivery(table, store), **facts)


def at(day: int) -> str:
    return f"2026-11-{day:02d}T06:00:00+00:00"


def moment(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


def use(snapshots: SnapshotStore, table: Table, store: Store, day: int) -> Snapshot:
    """Keep a delivery and put it in use, with its differences, as a run does."""
    new = keep(snapshots, table, store, day)
    changed = revisions.empty_revisions()
    if snapshots.has_accepted(table):
        changed = revisions.compare(table, snapshots.accepted(table), new, f"run{day}")
    snapshots.accept(table, new, at(day), "test", f"run{day}", changed)
    return new


def by_cell(frame: pl.DataFrame) -> Mapping[tuple[str, str, str], dict[str, object]]:
    return {(r["topic_id"], r["region_code"], r["period"]): r for r in frame.to_dicts()}


# ---- the difference of two snapshots


def test_a_revised_figure_is_told_with_both_values_states_and_snapshots(
    snapshots: SnapshotStore, table: Table
) -> None:
    first = small_table(TABLE)
    old = keep(snapshots, table, first, 1)
    new = keep(snapshots, table, m.set_value(first, TABLE, POPULATION, *CELL[1:], 1.5), 2)
    found = by_cell(revisions.compare(table, old, new, "run2"))
    assert set(found) == {CELL}
    assert found[CELL]["new_value"] == 1.5
    assert found[CELL]["old_value"] not in (None, 1.5)
    assert (
        found[CELL]
        | {
            "source_id": "cbs",
            "table_id": TABLE,
            "old_status": "definitief",
            "new_status": "definitief",
            "old_snapshot_id": old.id,
            "new_snapshot_id": new.id,
            "run_id": "run2",
            "cause": "revised",
        }
        == found[CELL]
    )


def test_causes_are_told_apart(snapshots: SnapshotStore, table: Table) -> None:
    first = m.set_value(small_table(TABLE), TABLE, INCOME, "GM0141", "2020JJ00", None)
    old = keep(snapshots, table, first, 1)
    store = m.set_value(small_table(TABLE), TABLE, POPULATION, "GM0147", "2021JJ00", None)
    store = m.set_value(store, TABLE, POPULATION, "GM0153", "2019JJ00", 7.0)
    store = m.set_status(store, TABLE, "2023JJ00", "Definitief")
    found = by_cell(revisions.compare(table, old, keep(snapshots, table, store, 2), "run2"))
    causes = {cell: row["cause"] for cell, row in found.items()}
    assert causes.pop(("inkomen", "GM0141", "2020JJ00")) == "added"
    assert causes.pop(("bevolking", "GM0147", "2021JJ00")) == "removed"
    assert causes.pop(CELL) == "revised"
    assert set(causes.values()) == {"status"}
    assert {period for _, _, period in causes} == {"2023JJ00"}
    assert {(r["old_status"], r["new_status"]) for c, r in found.items() if c in causes} == {
        ("voorlopig", "definitief")
    }


def test_a_new_period_is_added_not_revised(snapshots: SnapshotStore, table: Table) -> None:
    first = small_table(TABLE)
    store = m.add_period(first, TABLE, "2024JJ00", "2023JJ00", "Voorlopig")
    old, new = keep(snapshots, table, first, 1), keep(snapshots, table, store, 2)
    found = revisions.compare(table, old, new, "run2")
    assert set(found["period"]) == {"2024JJ00"}
    assert set(found["cause"]) == {"added"}
    assert set(found["old_status"]) == {None}


@pytest.mark.parametrize(
    "redesign",
    [
        lambda s: m.shift_suffixes(s, TABLE),
        lambda s: m.change_padding(s, TABLE, "RegioS", 12),
        lambda s: m.set_info(s, TABLE, Modified="2026-11-20T02:00:00"),
    ],
    ids=["suffixes", "padding", "modified"],
)
def test_what_is_no_figure_and_no_status_is_no_new_snapshot(
    snapshots: SnapshotStore, table: Table, redesign: object
) -> None:
    first = small_table(TABLE)
    assert callable(redesign)
    old, new = keep(snapshots, table, first, 1), keep(snapshots, table, redesign(first), 2)
    assert old.id == new.id
    assert len(snapshots.all(table)) == 1


def test_the_country_has_one_code_in_all_tables(snapshots: SnapshotStore, table: Table) -> None:
    first = small_table(TABLE)
    store = m.set_value(first, TABLE, POPULATION, "NL01", "2019JJ00", 9.0)
    for tables in (first, store):
        for row in [*tables[TABLE]["RegioS"], *tables[TABLE][DATA_ENTITY]]:
            for name in ("Key", "RegioS"):
                if row.get(name) == "NL01  ":
                    row[name] = "NL00  "
    old, new = keep(snapshots, table, first, 1), keep(snapshots, table, store, 2)
    assert set(revisions.compare(table, old, new, "run2")["region_code"]) == {"NL01"}


def test_a_series_new_to_the_catalogue_is_no_revision(
    snapshots: SnapshotStore, table: Table
) -> None:
    narrow = table.model_copy(update={"measures": table.measures[:1]})
    first = small_table(TABLE)
    old = keep(snapshots, narrow, first, 1)
    new = keep(snapshots, table, m.set_value(first, TABLE, INCOME, "GM0153", "2019JJ00", 8.0), 2)
    assert [measure.id for measure in comparable(table, old.entities()).measures] == ["bevolking"]
    assert revisions.compare(table, old, new, "run2").height == 0


def test_a_renamed_topic_is_no_revision_once_the_catalogue_knows_it(
    snapshots: SnapshotStore, table: Table
) -> None:
    first = small_table(TABLE)
    old = keep(snapshots, table, first, 1)
    path = [*POPULATION[:-1], "Inwoners"]
    measures = [table.measures[0].model_copy(update={"path": path}), *table.measures[1:]]
    renamed = table.model_copy(update={"measures": measures})
    new = keep(snapshots, renamed, m.rename_topic(first, TABLE, POPULATION, "Inwoners"), 2)
    assert revisions.compare(renamed, old, new, "run2").height == 0


def test_the_words_count_each_cause_and_the_base_year(
    snapshots: SnapshotStore, table: Table
) -> None:
    first = small_table(TABLE)
    store = m.set_value(first, TABLE, POPULATION, "GM0153", "2019JJ00", 7.0)
    store = m.set_value(store, TABLE, POPULATION, "GM0153", "2020JJ00", 8.0)
    store = m.set_value(store, TABLE, POPULATION, "GM0153", "2021JJ00", None)
    old, new = keep(snapshots, table, first, 1), keep(snapshots, table, store, 2)
    words = revisions.in_words(revisions.compare(table, old, new, "run2"), 2019)
    assert words == (
        "3 cells differ from the last (2 revised, 1 removed), of which 1 of 2019: "
        "the ruler stays as it is"
    )
    assert "no figure differs" in revisions.in_words(revisions.empty_revisions(), 2019)


# ---- what was known when


def test_the_snapshot_of_a_moment_is_the_last_one_accepted_by_then(
    snapshots: SnapshotStore, table: Table
) -> None:
    store = small_table(TABLE)
    first = use(snapshots, table, store, 2)
    second = use(snapshots, table, m.set_value(store, TABLE, POPULATION, *CELL[1:], 1.5), 9)
    known = [snapshots.accepted_at(table, moment(day)) for day in (1, 2, 8, 9, 20)]
    assert known[0] is None
    assert [s.id for s in known[1:] if s] == [first.id, first.id, second.id, second.id]


def test_a_moment_counts_in_any_time_zone(snapshots: SnapshotStore, table: Table) -> None:
    use(snapshots, table, small_table(TABLE), 2)
    early = datetime.fromisoformat("2026-11-02T06:30:00+02:00")
    late = datetime.fromisoformat("2026-11-02T04:30:00-02:00")
    assert snapshots.accepted_at(table, early) is None
    assert snapshots.accepted_at(table, late) is not None


def test_a_refused_snapshot_is_never_known(snapshots: SnapshotStore, table: Table) -> None:
    store = small_table(TABLE)
    first = use(snapshots, table, store, 2)
    refused = keep(snapshots, table, m.set_value(store, TABLE, POPULATION, *CELL[1:], 1.5), 3)
    for day in (3, 4, 5):
        snapshots.quarantine(table, refused, at(day), "off by a factor", f"run{day}")
    snapshots.quarantine(table, refused, at(6), "another reason", "run6")
    known = snapshots.accepted_at(table, moment(20))
    assert known is not None
    assert known.id == first.id == snapshots.accepted(table).id
    assert [e["reason"] for e in snapshots.log(table)] == [
        "test",
        "off by a factor",
        "another reason",
    ]


def test_a_source_that_returns_to_earlier_figures_is_two_revisions(
    snapshots: SnapshotStore, table: Table
) -> None:
    store = small_table(TABLE)
    other = m.set_value(store, TABLE, POPULATION, *CELL[1:], 1.5)
    first = use(snapshots, table, store, 2)
    second = use(snapshots, table, other, 3)
    third = use(snapshots, table, store, 4)
    assert third.id == first.id
    told = snapshots.revisions(table, snapshots.accepted(table))
    assert told["new_snapshot_id"].to_list() == [second.id, first.id]
    assert told["run_id"].to_list() == ["run3", "run4"]
    earlier = [snapshots.accepted_at(table, moment(day)) for day in (2, 3, 4)]
    assert [snapshots.revisions(table, s).height for s in earlier if s] == [0, 1, 2]


def test_an_acceptance_that_was_cut_short_is_told_once(
    snapshots: SnapshotStore, table: Table
) -> None:
    store = small_table(TABLE)
    use(snapshots, table, store, 2)
    accepted = snapshots.folder(table) / "ACCEPTED"
    before = accepted.read_bytes()
    other = m.set_value(store, TABLE, POPULATION, *CELL[1:], 1.5)
    use(snapshots, table, other, 3)
    accepted.write_bytes(before)
    second = use(snapshots, table, other, 4)
    told = snapshots.revisions(table, snapshots.accepted(table))
    assert told["new_snapshot_id"].to_list() == [second.id]
    assert told["run_id"].to_list() == ["run4"]


def test_the_manifest_names_the_snapshot_that_was_in_use(
    snapshots: SnapshotStore, table: Table
) -> None:
    store = small_table(TABLE)
    first = use(snapshots, table, store, 2)
    keep(snapshots, table, m.set_value(store, TABLE, POPULATION, *CELL[1:], 1.5), 3)
    third = keep(snapshots, table, m.set_value(store, TABLE, POPULATION, *CELL[1:], 2.5), 4)
    assert third.manifest["previous_snapshot_id"] == first.id


def test_what_a_killed_run_left_unfinished_is_no_snapshot(
    snapshots: SnapshotStore, table: Table
) -> None:
    half = snapshots.folder(table) / ".20261102T060000_abc.xyz"
    half.mkdir(parents=True)
    (half / "TypedDataSet.parquet").write_bytes(b"PAR1")
    (snapshots.folder(table) / ".ACCEPTED.tmp").write_text("half")
    assert snapshots.all(table) == []
    kept = keep(snapshots, table, small_table(TABLE), 2)
    assert [s.id for s in snapshots.all(table)] == [kept.id]
    assert snapshots.verify(table) == []
