"""The store of raw snapshots: write-once, hashed, accepted or quarantined, never edited.

``data/raw/<source>/<table>/<stamp>_<hash12>/`` holds one Parquet file per entity as received and
``snapshot.json``. ``ACCEPTED`` beside them names the snapshot in use; ``acceptance.jsonl`` is the
log of every decision, from which the state of any date can be told.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from btg import durable
from btg.catalogue.schema import SourceEntry, Table
from btg.cells import cells
from btg.errors import ContractError, SnapshotError
from btg.sources import odata
from btg.sources.protocol import DATA_ENTITY, Delivery

MANIFEST = "snapshot.json"
ACCEPTED = "ACCEPTED"
LOG = "acceptance.jsonl"
SEED_LOG_REASON = "seed of the repository"


@dataclass(frozen=True)
class Snapshot:
    """One stored delivery of a table; the figures are read on demand.

    ``in_use_since`` is the moment of the acceptance by which it serves, where it was found by that.
    """

    folder: Path
    manifest: Mapping[str, Any]
    in_use_since: str | None = None

    @property
    def id(self) -> str:
        """Identifier, unique over all tables: table, stamp and the start of the content hash."""
        return str(self.manifest["snapshot_id"])

    @property
    def content_hash(self) -> str:
        """Hash of the canonical form of the figures and their status."""
        return str(self.manifest["content_hash"])

    def entities(self) -> dict[str, pl.DataFrame]:
        """Return every entity as received.

        Raises ``SnapshotError`` if a file is missing or not what was stored: most damage to a
        Parquet file is read without complaint, as other figures.
        """
        frames = {}
        for entry in self.manifest["files"]:
            try:
                data = (self.folder / entry["file"]).read_bytes()
                if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                    raise SnapshotError(self._unreadable(entry, "differs from its hash"))
                frames[entry["entity"]] = pl.read_parquet(io.BytesIO(data))
            except (OSError, pl.exceptions.PolarsError) as error:
                raise SnapshotError(self._unreadable(entry, str(error))) from None
        return frames

    def _unreadable(self, entry: Mapping[str, Any], why: str) -> str:
        return (
            f"snapshot {self.id}: {entry['file']} cannot be read ({why}); "
            "restore it from the repository or a back-up, then run: btg raw verify"
        )


class SnapshotStore:
    """The snapshots under one folder, and those of the committed seed."""

    def __init__(self, root: Path, seed_root: Path) -> None:
        self.root = root
        self.seed_root = seed_root

    def folder(self, table: Table) -> Path:
        """Return the folder of a table."""
        return self.root / table.source_id / table.id

    def folders(self, table: Table) -> tuple[Path, Path]:
        """Return the folders of a table that are written to."""
        return self.folder(table), self._revision_folder(table)

    def all(self, table: Table) -> list[Snapshot]:
        """Return all snapshots of a table, oldest first."""
        return _snapshots(self.folder(table))

    def get(self, table: Table, snapshot_id: str) -> Snapshot:
        """Return one snapshot; raises ``SnapshotError`` if there is none of that name."""
        for snapshot in self.all(table):
            if snapshot.id == snapshot_id:
                return snapshot
        raise SnapshotError(f"{table.id}: there is no snapshot {snapshot_id!r} under {table.id}")

    def has_accepted(self, table: Table) -> bool:
        """Return whether the table has a snapshot in use."""
        return (self.folder(table) / ACCEPTED).exists()

    def accepted(self, table: Table) -> Snapshot:
        """Return the snapshot in use; raises ``SnapshotError`` when the table has none."""
        path = self.folder(table) / ACCEPTED
        try:
            name = path.read_text(encoding="utf-8").strip()
        except OSError:
            raise SnapshotError(
                f"{table.source_id}/{table.id}: no accepted snapshot and no seed; "
                "run btg refresh with a network, or restore data/raw from the repository"
            ) from None
        return self.get(table, name)

    def accepted_at(self, table: Table, moment: datetime) -> Snapshot | None:
        """Return the snapshot that was in use at ``moment``, or None before the first."""
        known = [
            entry
            for entry in self.log(table)
            if entry["action"] == "accept" and datetime.fromisoformat(entry["at"]) <= moment
        ]
        if not known:
            return None
        return replace(self.get(table, known[-1]["snapshot_id"]), in_use_since=known[-1]["at"])

    def log(self, table: Table) -> list[dict[str, Any]]:
        """Return every decision on the table's snapshots, oldest first."""
        path = self.folder(table) / LOG
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return sorted((json.loads(line) for line in lines if line), key=lambda e: str(e["at"]))

    def adopt_seed(self, table: Table) -> Snapshot | None:
        """Put the committed seed in use for a table that has nothing accepted yet."""
        if self.has_accepted(table):
            return None
        seeds = [
            s
            for s in _snapshots(self.seed_root / table.source_id / table.id)
            if s.manifest["origin"] == "seed"
        ]
        if not seeds:
            return None
        seed = seeds[-1]
        target = self.folder(table) / seed.folder.name
        if not target.exists():
            with durable.new_folder(target) as temporary:
                for file in seed.folder.iterdir():
                    shutil.copyfile(file, temporary / file.name)
        snapshot = self.get(table, seed.id)
        # the seed counts as accepted from the day it was taken, so that any later date has it
        self.accept(table, snapshot, seed.manifest["retrieved_at"], SEED_LOG_REASON, run_id=None)
        return snapshot

    def store(
        self, table: Table, source: SourceEntry, delivery: Delivery, **facts: Any
    ) -> Snapshot:
        """Keep a delivery and return its snapshot; an equal one that is there is returned instead.

        ``facts`` are ``retrieved_at`` (UTC, ISO), ``origin`` (fetched, imported, seed) and
        ``origin_note``.
        """
        digest = content_hash(table, delivery.entities, delivery.columns)
        existing = [s for s in self.all(table) if s.content_hash == digest]
        if existing:
            return existing[-1]
        name = f"{_stamp(facts['retrieved_at'])}_{digest[:12]}"
        previous = self.accepted(table).id if self.has_accepted(table) else None
        target = self.folder(table) / name
        with durable.new_folder(target) as temporary:
            files = [_write_entity(temporary, *item) for item in delivery.entities.items()]
            manifest = {
                "snapshot_id": f"{table.id}_{name}",
                "source_id": table.source_id,
                "table_id": table.id,
                "delivered_table_id": delivery.table_id,
                "title": delivery.title,
                "request": delivery.request,
                "source_modified": delivery.modified,
                **facts,
                "files": files,
                "content_hash": digest,
                "fingerprint": fingerprint(table, delivery.entities),
                "licence": source.licence,
                "attribution": source.attribution,
                "previous_snapshot_id": previous,
                "notes": list(delivery.notes),
            }
            durable.write_json(temporary / MANIFEST, manifest)
        return Snapshot(target, manifest)

    def accept(
        self,
        table: Table,
        snapshot: Snapshot,
        at: str,
        reason: str,
        run_id: str | None,
        changed: pl.DataFrame | None = None,
    ) -> None:
        """Put a snapshot in use and log it, with the cells that differ from the one before it.

        Every acceptance keeps its own differences: a source may return to earlier figures.
        """
        more = {}
        if changed is not None and changed.height:
            more["revisions"] = f"{_stamp(at)}_{snapshot.content_hash[:12]}.parquet"
            buffer = io.BytesIO()
            changed.write_parquet(buffer)
            durable.write_bytes(self._revision_folder(table) / more["revisions"], buffer.getvalue())
        self._append_log(table, "accept", snapshot.id, at, reason, run_id, **more)
        durable.write_bytes(self.folder(table) / ACCEPTED, f"{snapshot.id}\n".encode())

    def revisions(self, table: Table, until: Snapshot) -> pl.DataFrame:
        """Return the kept differences of all acceptances up to that of ``until``, oldest first.

        A cell that changed, went back and changed again is listed three times, with its runs.
        """
        accepted = [entry for entry in self.log(table) if entry["action"] == "accept"]
        ends = [
            number
            for number, entry in enumerate(accepted, start=1)
            if entry["snapshot_id"] == until.id and until.in_use_since in (None, entry["at"])
        ]
        # a run killed between the log and ACCEPTED has logged what the next run accepted again
        in_a_row = groupby(accepted[: max(ends, default=0)], key=lambda e: str(e["snapshot_id"]))
        named = [[e["revisions"] for e in group if e.get("revisions")] for _, group in in_a_row]
        kept = [names[-1] for names in named if names]
        paths = [self._revision_folder(table) / name for name in kept]
        frames = [pl.read_parquet(path) for path in paths if path.exists()]
        if not frames:
            return pl.DataFrame()
        return pl.concat(frames)

    def quarantine(
        self, table: Table, snapshot: Snapshot, at: str, reason: str, run_id: str | None
    ) -> None:
        """Log that a snapshot was refused, once for the same reason; the accepted one stays."""
        decided = [e for e in self.log(table) if e["snapshot_id"] == snapshot.id]
        if decided and (decided[-1]["action"], decided[-1]["reason"]) == ("quarantine", reason):
            return
        self._append_log(table, "quarantine", snapshot.id, at, reason, run_id)

    def verify(self, table: Table) -> list[str]:
        """Return one sentence per file of the table's snapshots that is not what it was."""
        faults = []
        for snapshot in self.all(table):
            for entry in snapshot.manifest["files"]:
                path = snapshot.folder / entry["file"]
                if not path.exists():
                    faults.append(f"{snapshot.id}: {entry['file']} is missing")
                elif file_hash(path) != entry["sha256"]:
                    faults.append(f"{snapshot.id}: {entry['file']} differs from its hash")
        return faults

    def _append_log(
        self,
        table: Table,
        action: str,
        snapshot_id: str,
        at: str,
        reason: str,
        run_id: str | None,
        **more: str,
    ) -> None:
        entry = {
            "at": at,
            "action": action,
            "snapshot_id": snapshot_id,
            "reason": reason,
            "run_id": run_id,
            **more,
        }
        path = self.folder(table) / LOG
        before = path.read_bytes() if path.exists() else b""
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        durable.write_bytes(path, before + line)

    def _revision_folder(self, table: Table) -> Path:
        return self.folder(table) / "revisions"


def columns_of(table: Table, entities: Mapping[str, pl.DataFrame]) -> dict[str, str]:
    """Return the column of each measure, read from the snapshot's own DataProperties."""
    if table.kind == "edition_file":
        return {m.id: m.path[0] for m in table.measures}
    return odata.resolve(table, entities["DataProperties"].to_dicts()).columns


def comparable(table: Table, entities: Mapping[str, pl.DataFrame]) -> Table:
    """Return the table with only those of its measures that these entities hold.

    An older snapshot lacks what the catalogue has added since, or has it under an older title.
    """
    held = set(entities[DATA_ENTITY].columns)
    measures = []
    for measure in table.measures:
        alone = table.model_copy(update={"measures": [measure]})
        try:
            column = columns_of(alone, entities)[measure.id]
        except ContractError:
            continue
        if {column, *measure.select} <= held:
            measures.append(measure)
    return table.model_copy(update={"measures": measures})


def fingerprint(table: Table, entities: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, str]]:
    """Return unit and data type of every used column, by measure; empty for an edition file."""
    if table.kind == "edition_file":
        return {}
    by_key = {str(r["Key"]): r for r in entities["DataProperties"].to_dicts()}
    return {
        measure_id: {
            "unit": str(by_key[column].get("Unit")),
            "datatype": str(by_key[column].get("Datatype")),
        }
        for measure_id, column in columns_of(table, entities).items()
    }


def content_hash(
    table: Table, entities: Mapping[str, pl.DataFrame], columns: Mapping[str, str]
) -> str:
    """Return the hash of what the snapshot says, whatever its column numbers and padding.

    Covers the cells that the catalogue uses, their units and types, and the status of every
    period. The dates in TableInfos are no part of it: same figures, same hash.
    """
    digest = hashlib.sha256()
    if table.role == "areas":
        frame = entities[DATA_ENTITY]
        digest.update(frame.sort(frame.columns).write_csv().encode())
    else:
        frame = cells(table, entities, columns).with_columns(
            pl.col("region_key").str.strip_chars(), pl.col("period_key").str.strip_chars()
        )
        digest.update(frame.sort(frame.columns).write_csv().encode())
    period = entities.get(table.time_dimension or "")
    if period is not None:
        keep = [c for c in ("Key", "Status", "Description") if c in period.columns]
        digest.update(period.select(keep).sort("Key").write_csv().encode())
    digest.update(json.dumps(fingerprint(table, entities), sort_keys=True).encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stamp(moment: str) -> str:
    """Return an ISO moment in the form that names of files have, to the second."""
    return str(moment).replace("-", "").replace(":", "")[:15]


def _write_entity(folder: Path, entity: str, frame: pl.DataFrame) -> dict[str, Any]:
    path = folder / f"{entity}.parquet"
    frame.write_parquet(path, compression="zstd", compression_level=19)
    return {
        "entity": entity,
        "file": path.name,
        "rows": frame.height,
        "sha256": file_hash(path),
    }


def _snapshots(folder: Path) -> list[Snapshot]:
    found = []
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST}")):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            manifest["snapshot_id"], manifest["content_hash"], manifest["files"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SnapshotError(
                f"{path.parent.name}/{MANIFEST} is not a manifest: {error}"
            ) from None
        found.append(Snapshot(path.parent, manifest))
    return found
