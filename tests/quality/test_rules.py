"""Every kind of rule of the catalogue's suites fails on a realistic fault, says why, and blocks."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import polars as pl
import pytest

from btg import build, warehouse
from btg.catalogue.loader import Catalogue
from btg.quality import gx
from btg.quality.findings import Finding
from btg.quality.rules import Subject, file_subject, mart_subject, snapshot_subject
from btg.raw import SnapshotStore
from btg.settings import Settings


def failed(con: Any, subject: Subject) -> dict[str, Finding]:
    return {f.check_id: f for f in gx.validate(con, [subject]) if not f.is_passed}


MART_FAULTS: dict[str, tuple[str, str, str]] = {
    # an analyst's query breaks on a new name
    "gx.columns": (
        "marts.change_contribution",
        "alter table marts.change_contribution rename column contribution to added",
        "critical",
    ),
    # a join that doubles a region
    "gx.unique.region_code.year": (
        "marts.btg_index",
        "insert into marts.btg_index select * from marts.btg_index "
        "where region_code = 'GM0153' and year = 2021",
        "critical",
    ),
    # re-normalised over nothing
    "gx.between.coverage_share": (
        "marts.btg_index",
        "update marts.btg_index set coverage_share = 1.4 where region_code = 'GM0153'",
        "critical",
    ),
    "gx.in_set.region_level": (
        "marts.btg_index",
        "update marts.btg_index set region_level = 'wijk' where region_code = 'GM0153'",
        "critical",
    ),
    "gx.contains.region_code": (
        "marts.btg_index",
        "delete from marts.btg_index where region_code = 'GM0164'",
        "critical",
    ),
    "gx.row_count": (
        "marts.btg_index",
        "delete from marts.btg_index where not is_twente",
        "critical",
    ),
    # nothing but nulls: the ruler was not found
    "gx.null_share.score": (
        "marts.btg_index",
        "update marts.btg_index set score = null",
        "warning",
    ),
}


@pytest.mark.parametrize("check_id", sorted(MART_FAULTS))
def test_mart_rule_stops_the_fault(
    broken: duckdb.DuckDBPyConnection, catalogue: Catalogue, check_id: str
) -> None:
    table, statement, severity = MART_FAULTS[check_id]
    broken.execute(statement)
    finding = failed(broken, mart_subject(catalogue, table))[check_id]
    assert finding.severity == severity
    assert finding.blocks == (severity == "critical")
    assert finding.table_name == table


def test_marts_with_their_oddities_pass(
    writable: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> None:
    """Blank surveys of Losser and Tubbergen, an island at -970 points, empty early years."""
    for table in ("marts.btg_index", "marts.indicator_score"):
        assert failed(writable, mart_subject(catalogue, table)) == {}


FILE_FAULTS = {
    "gx.in_set.is_as_promised": "alter table marts.btg_index alter column rank_nl type varchar",
    "gx.in_set.has_comment": "comment on column marts.btg_index.score is null",
    "gx.unique.column_id": (
        "insert into meta.data_dictionary select * from meta.data_dictionary "
        "where table_name = 'marts.btg_index' and column_name = 'score'"
    ),
}


@pytest.mark.parametrize("check_id", sorted(FILE_FAULTS))
def test_file_rule_stops_the_fault(broken: duckdb.DuckDBPyConnection, check_id: str) -> None:
    broken.execute(FILE_FAULTS[check_id])
    assert failed(broken, file_subject())[check_id].blocks


def test_a_column_that_may_hold_nothing_though_it_was_promised_is_found(
    broken: duckdb.DuckDBPyConnection,
) -> None:
    broken.execute("alter table marts.btg_index alter column region_name drop not null")
    assert failed(broken, file_subject())["gx.in_set.is_as_promised"].n_failed == 1


def test_a_column_that_nobody_promised_is_found(broken: duckdb.DuckDBPyConnection) -> None:
    broken.execute("alter table marts.btg_index add column secret double")
    assert failed(broken, file_subject())["gx.in_set.is_as_promised"].blocks


def test_the_published_file_is_as_promised(writable: duckdb.DuckDBPyConnection) -> None:
    assert failed(writable, file_subject()) == {}


POLICE = "47018NED"


@pytest.fixture
def cells(published: Settings, catalogue: Catalogue) -> Iterator[duckdb.DuckDBPyConnection]:
    """The cells of the police table, as the build has them."""
    table = catalogue.table(POLICE)
    snapshot = SnapshotStore(published.raw_dir, published.seed_raw_dir).accepted(table)
    cell, _ = build.table_cells(table, snapshot.id, snapshot.entities())
    con = warehouse.open_build()
    con.execute("create schema raw")
    con.register("incoming", cell.to_arrow())
    con.execute("create table raw.cell as select * from incoming")
    yield con
    con.close()


SNAPSHOT_FAULTS = {
    # the service gave a page twice
    "gx.between.n_cells": (
        "insert into raw.cell select * from raw.cell where trim(region_key) = 'GM0153'"
    ),
    # a negative count
    "gx.between.mishandeling": (
        "update raw.cell set value = -5 where measure_id = 'mishandeling' "
        "and trim(region_key) = 'GM0153' and year = 2020"
    ),
    # two keys of one year
    "gx.between.period_step": (
        "update raw.cell set year = 2019 where year = 2020 and trim(region_key) = 'GM0153'"
    ),
    "gx.contains.region_code": "delete from raw.cell where trim(region_key) = 'GM0164'",
    "gx.row_count": "delete from raw.cell where trim(region_key) <> 'GM0153' or year > 2020",
    "gx.null_share.vernieling": "update raw.cell set value = null where measure_id = 'vernieling'",
}


@pytest.mark.parametrize("check_id", sorted(SNAPSHOT_FAULTS))
def test_snapshot_rule_stops_the_fault(
    cells: duckdb.DuckDBPyConnection, catalogue: Catalogue, check_id: str
) -> None:
    cells.execute(SNAPSHOT_FAULTS[check_id])
    finding = failed(cells, snapshot_subject(catalogue, catalogue.table(POLICE)))[check_id]
    assert finding.gate == "gate1"


def test_snapshot_columns_are_those_of_the_catalogue(
    cells: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> None:
    subject = snapshot_subject(catalogue, catalogue.table(POLICE))
    renamed = replace(subject, query=subject.query.replace("as vernieling", "as vernielingen"))
    assert failed(cells, renamed)["gx.columns"].blocks


def test_the_dip_of_2020_and_padded_keys_pass(
    cells: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> None:
    assert failed(cells, snapshot_subject(catalogue, catalogue.table(POLICE))) == {}


def test_every_rule_says_why_and_how_bad(catalogue: Catalogue) -> None:
    subjects = [mart_subject(catalogue, name) for name in catalogue.dictionary.tables]
    subjects += [snapshot_subject(catalogue, t) for t in catalogue.used_tables() if t.measures]
    subjects.append(file_subject())
    for subject in subjects:
        ids = [rule.check_id for rule in subject.rules]
        assert len(ids) == len(set(ids)), subject.table_name
        for rule in subject.rules:
            assert len(rule.why) > 10, rule.check_id
            assert rule.severity in ("critical", "warning", "info")


def test_every_kind_of_rule_has_a_fault(catalogue: Catalogue) -> None:
    subjects = [mart_subject(catalogue, name) for name in catalogue.dictionary.tables]
    subjects += [snapshot_subject(catalogue, t) for t in catalogue.used_tables() if t.measures]
    kinds = {rule.kind for subject in subjects for rule in subject.rules}
    tested = {name.split(".")[1] for name in (*MART_FAULTS, *SNAPSHOT_FAULTS, *FILE_FAULTS)}
    assert kinds == tested


def test_all_results_of_a_run_are_kept_as_json(published: Settings) -> None:
    import json

    path = max(published.runs_dir.glob("checks_*.json"))
    results = json.loads(path.read_text())
    con = warehouse.open_published(published.database)
    stored = warehouse.rows(con, "select count(*) from meta.check_result")[0][0]
    con.close()
    assert len(results) == stored > 300
    assert {"gate", "check_id", "severity", "is_passed", "message"} <= results[0].keys()


def test_results_reach_the_database_failed_ones_first(published: Settings) -> None:
    con = warehouse.open_published(published.database)
    frame = warehouse.frame(con, "select is_passed, severity from meta.check_result")
    con.close()
    assert frame.get_column("is_passed").is_sorted()
    assert frame.filter(~pl.col("is_passed"), pl.col("severity") == "critical").is_empty()


def test_the_slow_library_is_imported_only_where_used() -> None:
    code = (
        "import sys, btg.cli, btg.pipeline, btg.quality.check; "
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
