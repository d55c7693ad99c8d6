"""Text of a source cannot break SQL, comments, exports or the terminal."""

import csv
import dataclasses
from pathlib import Path

import polars as pl
import pytest

from btg import publish, terminal, warehouse
from btg.catalogue.loader import Catalogue
from btg.quality.check import CheckResult
from btg.quality.findings import Finding, to_frame
from btg.settings import load_settings

HOSTILE = [
    "Kerncijfers'; drop table marts.btg_index; --",
    'De "beste" gemeente; <script>alert(1)</script>',
    "eerste regel\ntweede regel\r\n\tderde",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\x1b[31mrood\x1b[0m \x07",
    "[bold red]opmaak[/bold red]",
    "100 % 'zeker' $$ \\ | ` é 中",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_title_travels_unchanged_into_meta_snapshot(text: str) -> None:
    con = warehouse.open_build()
    row = {
        "snapshot_id": "s", "source_id": "cbs", "table_id": "70072ned", "title": text,
        "origin": "fetched", "origin_note": text, "retrieved_at": "2026-01-01T00:00:00",
        "source_modified": text, "n_rows": 1, "content_hash": "h",
        "request": warehouse.as_json({"filter": text}), "licence": text, "attribution": text,
    }  # fmt: skip
    warehouse.declare_codes(con, {"region_code": ["GM0153"], "indicator_id": ["a"],
                                  "dimension_id": ["b"], "table_id": ["70072ned"],
                                  "measure_id": ["c"]})  # fmt: skip
    warehouse.load(con, "raw.accepted", pl.DataFrame([row]))
    sql = (load_settings({}).sql_dir / "30_marts" / "meta.snapshot.sql").read_text()
    found = warehouse.frame(con, sql.rstrip().rstrip(";"))
    con.close()
    assert found.get_column("title").to_list() == [text]
    assert found.get_column("attribution").to_list() == [text]


def test_descriptions_become_comments_as_they_are(catalogue: Catalogue, tmp_path: Path) -> None:
    text = " ".join(HOSTILE)
    table = "meta.exclusion"
    entry = catalogue.dictionary.tables[table]
    columns = {
        name: catalogue.dictionary.columns[name].model_copy(update={"description": text})
        for name in entry.columns
    }
    hostile = catalogue.dictionary.model_copy(
        update={"columns": columns, "tables": {table: entry.model_copy(
            update={"description": text})}}
    )  # fmt: skip
    con = warehouse.open_build()
    con.execute("create schema meta")
    con.execute(
        f"create table {table} as select "
        + ", ".join(f"null::{columns[c].type} as {c}" for c in entry.columns)
        + " limit 0"
    )
    path = publish.write_candidate(
        con, dataclasses.replace(catalogue, dictionary=hostile), tmp_path / ".build", "run"
    )
    con.close()
    published = warehouse.open_published(path)
    comments = warehouse.rows(published, "select comment from duckdb_columns() where not internal")
    tables = warehouse.rows(published, "select comment from duckdb_tables() where not internal")
    published.close()
    assert {c for (c,) in comments} == {text}
    assert tables[0][0].startswith(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_csv_of_any_client_keeps_one_row_per_row(text: str, tmp_path: Path) -> None:
    con = warehouse.open_build()
    warehouse.load(con, "meta.note", pl.DataFrame({"a": [text], "b": ["einde"]}))
    path = tmp_path / "out.csv"
    con.execute(f"copy meta.note to '{path}' (format csv, header)")
    con.close()
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], [text, "einde"]]
    path.write_text(pl.DataFrame({"a": [text], "b": ["einde"]}).write_csv(), newline="")
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], [text, "einde"]]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_terminal_shows_text_and_obeys_none(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.table(["source", "title"], [["cbs", text]])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out
    assert len(out.strip().splitlines()) == 2
    visible = "".join(c if c.isprintable() else " " for c in text)
    assert visible.split() == out.splitlines()[1].split()[1:]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_finding_with_such_text_is_one_annotation(text: str) -> None:
    finding = Finding("gate2", text, "warning", False, text, 1, text, text)
    result = CheckResult(warnings=[finding], faults=[(text, text)])
    lines = result.as_github()
    assert len(lines) == 3
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert lines[0].count("::") == lines[1].count("::") == 2
    assert to_frame([finding], "run").get_column("message").to_list() == [text]
