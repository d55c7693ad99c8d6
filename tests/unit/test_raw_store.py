"""Snapshots are written once, proven by hash, and only an accepted one serves."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.tables import catalogue_table

from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import SourceEntry, Table
from btg.errors import ContractError, SnapshotError
from btg.raw import Snapshot, SnapshotStore, columns_of, content_hash
from btg.sources.protocol import DATA_ENTITY, Delivery

COLUMNS = {"bevolking": "Totaal_1"}
FIRST, SECOND = "2026-01-01T03:15:00+00:00", "2026-02-01T03:15:00+00:00"
SOURCE = SourceEntry(
    id="cbs", name="CBS", provider="CBS", service="cbs", licence="CC BY 4.0", attribution="CBS"
)


@pytest.fixture
def table() -> Table:
    return catalogue_table(measures={"bevolking": ["Bevolking", "Totaal"]})


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "raw", tmp_path / "seed")


def properties(number: int = 1, unit: str = "aantal") -> pl.DataFrame:
    rows = [
        {"ID": 0, "ParentID": None, "Type": "GeoDimension", "Key": "RegioS", "Title": "Regio"},
        {"ID": 1, "ParentID": None, "Type": "TimeDimension", "Key": "Perioden", "Title": "P"},
        {"ID": 2, "ParentID": None, "Type": "TopicGroup", "Key": "", "Title": "Bevolking"},
        {"ID": 3, "ParentID": 2, "Type": "Topic", "Key": f"Totaal_{number}", "Title": "Totaal"},
    ]
    frame = pl.DataFrame(rows).with_row_index("Position")
    topic = pl.col("Type") == "Topic"
    return frame.with_columns(
        pl.when(topic).then(pl.lit(unit)).alias("Unit"),
        pl.when(topic).then(pl.lit("Long")).alias("Datatype"),
        pl.col("Position").cast(pl.Int64),
    )


def delivery(
    values: tuple[float | None, ...] = (158986, 73000),
    *,
    padding: str = "",
    number: int = 1,
    unit: str = "aantal",
    status: str = "Definitief",
    modified: str = "2026-01-01",
) -> Delivery:
    column = f"Totaal_{number}"
    figures = {
        "RegioS": [f"GM0153{padding}", f"GM0141{padding}"],
        "Perioden": ["2019JJ00", "2019JJ00"],
        column: list(values),
    }
    period = {"Key": ["2019JJ00"], "Title": ["2019"], "Description": [""], "Status": [status]}
    return Delivery(
        table_id="99001ned",
        title="Kerncijfers",
        modified=modified,
        entities={
            DATA_ENTITY: pl.DataFrame(figures, schema_overrides={column: pl.Int64}),
            "DataProperties": properties(number, unit),
            "Perioden": pl.DataFrame(period),
        },
        columns={"bevolking": column},
        request={"select": [column], "filter": None},
    )


def keep(
    store: SnapshotStore, table: Table, at: str = FIRST, given: Delivery | None = None, **facts: Any
) -> Snapshot:
    more = {"origin": "fetched", "origin_note": "", **facts}
    return store.store(table, SOURCE, given or delivery(), retrieved_at=at, **more)


def use(store: SnapshotStore, table: Table, snapshot: Snapshot, at: str) -> None:
    store.accept(table, snapshot, at, "passed gate 1", run_id="run")


# ---- what is kept


def test_a_snapshot_holds_the_delivery_as_received(store: SnapshotStore, table: Table) -> None:
    given = delivery(padding="    ")
    snapshot = keep(store, table, given=given)
    found = snapshot.entities()
    assert set(found) == set(given.entities)
    assert all(found[name].equals(frame) for name, frame in given.entities.items())
    assert found[DATA_ENTITY]["RegioS"].to_list() == ["GM0153    ", "GM0141    "]


def test_the_manifest_says_where_the_figures_come_from(store: SnapshotStore, table: Table) -> None:
    manifest = keep(store, table).manifest
    assert manifest["source_id"] == "cbs"
    assert manifest["table_id"] == "99001ned"
    assert manifest["retrieved_at"] == FIRST
    assert manifest["source_modified"] == "2026-01-01"
    assert manifest["origin"] == "fetched"
    assert manifest["licence"] == "CC BY 4.0"
    assert manifest["attribution"] == "CBS"
    assert manifest["request"] == {"select": ["Totaal_1"], "filter": None}
    assert manifest["fingerprint"] == {"bevolking": {"unit": "aantal", "datatype": "Long"}}
    assert {entry["rows"] for entry in manifest["files"]} == {1, 2, 4}
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"])


def test_the_folder_is_named_by_stamp_and_hash(store: SnapshotStore, table: Table) -> None:
    snapshot = keep(store, table)
    assert snapshot.folder.name == f"20260101T031500_{snapshot.content_hash[:12]}"
    assert snapshot.id == f"99001ned_{snapshot.folder.name}"
    assert snapshot.folder.parent == store.root / "cbs" / "99001ned"


def test_a_second_snapshot_names_the_one_that_was_in_use(
    store: SnapshotStore, table: Table
) -> None:
    first = keep(store, table)
    use(store, table, first, FIRST)
    second = keep(store, table, SECOND, delivery((158987, 73000)))
    assert first.manifest["previous_snapshot_id"] is None
    assert second.manifest["previous_snapshot_id"] == first.id
    assert [s.id for s in store.all(table)] == [first.id, second.id]


# ---- nothing changed is provable


@pytest.mark.parametrize(
    "same",
    [
        delivery(),
        delivery(padding="    "),
        delivery(number=7),
        delivery(modified="2026-03-01"),
    ],
    ids=["again", "padding", "column number", "date of change"],
)
def test_the_same_figures_make_no_new_folder(
    store: SnapshotStore, table: Table, same: Delivery
) -> None:
    first = keep(store, table)
    assert keep(store, table, SECOND, same).id == first.id
    assert len(store.all(table)) == 1


@pytest.mark.parametrize(
    "other",
    [
        delivery((158986, 73001)),
        delivery((158986, None)),
        delivery((158986, 0)),
        delivery(unit="x 1 000"),
        delivery(status="Voorlopig"),
    ],
    ids=["value", "missing", "zero", "unit", "status"],
)
def test_another_figure_unit_or_status_makes_a_new_folder(
    store: SnapshotStore, table: Table, other: Delivery
) -> None:
    keep(store, table)
    keep(store, table, SECOND, other)
    assert len(store.all(table)) == 2


def test_missing_and_zero_are_not_the_same_content(table: Table) -> None:
    missing, zero = (delivery((158986, v)) for v in (None, 0))
    assert content_hash(table, missing.entities, missing.columns) != content_hash(
        table, zero.entities, zero.columns
    )


def test_the_order_of_the_rows_is_no_part_of_the_content(table: Table) -> None:
    given = delivery()
    turned = {**given.entities, DATA_ENTITY: given.entities[DATA_ENTITY].reverse()}
    assert content_hash(table, given.entities, COLUMNS) == content_hash(table, turned, COLUMNS)


# ---- what is in use


def test_fetched_is_not_accepted(store: SnapshotStore, table: Table) -> None:
    keep(store, table)
    assert not store.has_accepted(table)
    with pytest.raises(SnapshotError, match=r"cbs/99001ned: no accepted snapshot and no seed"):
        store.accepted(table)


def test_the_accepted_snapshot_serves_until_another_is_accepted(
    store: SnapshotStore, table: Table
) -> None:
    first = keep(store, table)
    use(store, table, first, FIRST)
    second = keep(store, table, SECOND, delivery((158987, 73000)))
    assert store.accepted(table).id == first.id
    use(store, table, second, SECOND)
    assert store.accepted(table).id == second.id


def test_a_refused_snapshot_is_logged_and_does_not_serve(
    store: SnapshotStore, table: Table
) -> None:
    first = keep(store, table)
    use(store, table, first, FIRST)
    second = keep(store, table, SECOND, delivery((1, 2)))
    store.quarantine(table, second, SECOND, "jump", run_id="run")
    assert store.accepted(table).id == first.id
    assert [(e["action"], e["snapshot_id"]) for e in store.log(table)] == [
        ("accept", first.id),
        ("quarantine", second.id),
    ]


def test_what_was_in_use_on_a_date_can_be_told(store: SnapshotStore, table: Table) -> None:
    first = keep(store, table)
    use(store, table, first, FIRST)
    second = keep(store, table, SECOND, delivery((158987, 73000)))
    use(store, table, second, SECOND)

    def on(day: str) -> str | None:
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
        found = store.accepted_at(table, moment)
        return found.id if found else None

    assert on("2025-12-31") is None
    assert on("2026-01-15") == first.id
    assert on("2026-02-02") == second.id


def test_an_accepted_snapshot_that_is_gone_is_an_error_that_names_it(
    store: SnapshotStore, table: Table
) -> None:
    snapshot = keep(store, table)
    use(store, table, snapshot, FIRST)
    shutil.rmtree(snapshot.folder)
    with pytest.raises(SnapshotError, match=f"99001ned: there is no snapshot '{snapshot.id}'"):
        store.accepted(table)


# ---- the seed


def seeded(store: SnapshotStore, table: Table) -> Snapshot:
    seed = SnapshotStore(store.seed_root, store.seed_root)
    return keep(seed, table, FIRST, origin="seed")


def test_the_seed_serves_where_nothing_was_accepted(store: SnapshotStore, table: Table) -> None:
    seed = seeded(store, table)
    adopted = store.adopt_seed(table)
    assert adopted is not None
    assert adopted.id == seed.id
    assert store.accepted(table).folder.is_relative_to(store.root)
    assert store.log(table)[0]["at"] == FIRST


def test_the_seed_never_takes_the_place_of_an_accepted_snapshot(
    store: SnapshotStore, table: Table
) -> None:
    seeded(store, table)
    newer = keep(store, table, SECOND, delivery((158987, 73000)))
    use(store, table, newer, SECOND)
    assert store.adopt_seed(table) is None
    assert store.accepted(table).id == newer.id


def test_adopting_the_seed_twice_changes_nothing(store: SnapshotStore, table: Table) -> None:
    seeded(store, table)
    store.adopt_seed(table)
    before = sorted(p for p in store.root.rglob("*"))
    assert store.adopt_seed(table) is None
    assert sorted(p for p in store.root.rglob("*")) == before


def test_without_a_seed_there_is_nothing_to_adopt(store: SnapshotStore, table: Table) -> None:
    assert store.adopt_seed(table) is None


def test_every_table_in_use_has_a_seed_in_the_repository(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    seeds = Path(__file__).parents[2] / "data" / "raw"
    store = SnapshotStore(tmp_path, seeds)
    for table in catalogue.used_tables():
        adopted = store.adopt_seed(table)
        assert adopted is not None, table.id
        assert adopted.manifest["origin_note"], table.id
        assert store.verify(table) == []


# ---- damage


def figures(snapshot: Snapshot) -> Path:
    return snapshot.folder / f"{DATA_ENTITY}.parquet"


def test_an_intact_snapshot_has_no_faults(store: SnapshotStore, table: Table) -> None:
    keep(store, table)
    assert store.verify(table) == []


def test_a_missing_file_is_an_error_that_names_snapshot_and_file(
    store: SnapshotStore, table: Table
) -> None:
    snapshot = keep(store, table)
    figures(snapshot).unlink()
    with pytest.raises(
        SnapshotError, match=rf"{snapshot.id}: {DATA_ENTITY}.parquet cannot be read"
    ):
        snapshot.entities()
    assert store.verify(table) == [f"{snapshot.id}: {DATA_ENTITY}.parquet is missing"]


@pytest.mark.parametrize("part", ["start", "middle", "end", "cut"])
def test_a_damaged_file_is_an_error_and_never_other_figures(
    store: SnapshotStore, table: Table, part: str
) -> None:
    snapshot = keep(store, table)
    data = bytearray(figures(snapshot).read_bytes())
    if part == "cut":
        data = data[: len(data) // 2]
    else:
        place = {"start": 0, "middle": len(data) // 2, "end": len(data) - 1}[part]
        data[place] ^= 1
    figures(snapshot).write_bytes(data)
    with pytest.raises(
        SnapshotError, match=rf"{snapshot.id}: {DATA_ENTITY}.parquet cannot be read"
    ):
        snapshot.entities()
    assert store.verify(table) == [f"{snapshot.id}: {DATA_ENTITY}.parquet differs from its hash"]


def test_well_formed_but_other_figures_are_an_error_too(store: SnapshotStore, table: Table) -> None:
    snapshot = keep(store, table)
    delivery((1, 2)).entities[DATA_ENTITY].write_parquet(figures(snapshot))
    with pytest.raises(SnapshotError, match=r"differs from its hash"):
        snapshot.entities()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"snapshot_id": "x"}'])
def test_a_manifest_that_cannot_be_read_is_an_error_that_names_it(
    store: SnapshotStore, table: Table, text: str
) -> None:
    snapshot = keep(store, table)
    (snapshot.folder / "snapshot.json").write_text(text, encoding="utf-8")
    with pytest.raises(SnapshotError, match=rf"{snapshot.folder.name}/snapshot.json is not"):
        store.all(table)


def test_a_snapshot_that_was_not_finished_is_not_seen(store: SnapshotStore, table: Table) -> None:
    snapshot = keep(store, table)
    unfinished = snapshot.folder.with_name(f".{snapshot.folder.name}.part")
    shutil.copytree(snapshot.folder, unfinished)
    assert [s.id for s in store.all(table)] == [snapshot.id]


def test_the_log_survives_as_one_line_per_decision(store: SnapshotStore, table: Table) -> None:
    snapshot = keep(store, table)
    use(store, table, snapshot, FIRST)
    lines = (store.folder(table) / "acceptance.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["snapshot_id"] for line in lines] == [snapshot.id]


# ---- the columns of a snapshot


def test_a_topic_that_the_table_does_not_have_is_an_error_that_names_table_and_path(
    table: Table,
) -> None:
    given = dict(delivery().entities)
    given["DataProperties"] = given["DataProperties"].with_columns(
        pl.col("Title").replace({"Totaal": "Totaal aantal"})
    )
    with pytest.raises(ContractError, match=r"99001ned: .*'Bevolking / Totaal'.*found none") as e:
        columns_of(table, given)
    assert e.value.rule == "topic_missing"


def test_two_topics_with_one_path_are_an_error_that_names_both(table: Table) -> None:
    given = dict(delivery().entities)
    again = given["DataProperties"].filter(pl.col("Type") == "Topic")
    again = again.with_columns(pl.lit("Totaal_2").alias("Key"), pl.lit(9, pl.Int64).alias("ID"))
    given["DataProperties"] = pl.concat([given["DataProperties"], again])
    with pytest.raises(ContractError, match=r"99001ned: .*found 2: Totaal_1, Totaal_2") as e:
        columns_of(table, given)
    assert e.value.rule == "topic_ambiguous"
