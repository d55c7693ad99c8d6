"""The SQL models run in the order that they themselves give; a wrong file is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from btg import sqlrun, warehouse
from btg.errors import CatalogueError
from btg.settings import load_settings


@pytest.fixture
def con() -> Iterator[warehouse.Connection]:
    connection = warehouse.open_build()
    yield connection
    connection.close()


@pytest.fixture
def sql_dir(tmp_path: Path) -> Path:
    for folder in sqlrun.MODEL_FOLDERS:
        (tmp_path / folder).mkdir()
    return tmp_path


def write(sql_dir: Path, name: str, sql: str) -> None:
    layer = {"staging": "10_staging", "intermediate": "20_intermediate"}
    folder = layer.get(name.split(".")[0], "30_marts")
    (sql_dir / folder / f"{name}.sql").write_text(sql, encoding="utf-8")


def order(con: warehouse.Connection, sql_dir: Path, targets: list[str] | None = None) -> list[str]:
    models = sqlrun.in_order(sqlrun.load_models(con, sql_dir), targets)
    return [model.relation for model in models]


def test_a_model_comes_after_all_that_it_reads_whatever_the_names(
    con: warehouse.Connection, sql_dir: Path
) -> None:
    write(sql_dir, "staging.z", "select 1 as n")
    write(
        sql_dir, "intermediate.a", "select z.n from intermediate.b as b cross join staging.z as z"
    )
    write(sql_dir, "intermediate.b", "select n + 1 as n from staging.z")
    write(sql_dir, "marts.c", "select * from intermediate.a")
    found = order(con, sql_dir)
    assert found.index("staging.z") < found.index("intermediate.b") < found.index("intermediate.a")
    assert found.index("intermediate.a") < found.index("marts.c")


@pytest.mark.parametrize(
    "sql",
    [
        "select * from staging.a",
        "with own as (select * from staging.a) select * from own",
        "select (select max(n) from staging.a) as n",
        "select 1 as n where exists (select 1 from staging.a)",
        "select 1 as n union all select n from staging.a",
        "select x.n from (select 1 as n) as x left join staging.a as a on x.n = a.n",
        "select n from raw.cell where n in (select n from staging.a)",
    ],
)
def test_what_a_model_reads_is_found_wherever_it_stands(
    con: warehouse.Connection, sql_dir: Path, sql: str
) -> None:
    assert "staging.a" in sqlrun.references(con, Path("marts.x.sql"), sql)


def test_names_in_texts_comments_and_columns_are_no_references(
    con: warehouse.Connection,
) -> None:
    sql = "-- staging.a\nselect 'staging.b' as note, c.d from staging.c as c"
    assert sqlrun.references(con, Path("marts.x.sql"), sql) == {"staging.c"}


def test_models_are_materialised_as_tables(con: warehouse.Connection, sql_dir: Path) -> None:
    write(sql_dir, "staging.a", "select 1 as n;\n")
    write(sql_dir, "marts.b", "select n + 1 as n from staging.a")
    sqlrun.materialise(con, sqlrun.in_order(sqlrun.load_models(con, sql_dir)))
    assert warehouse.rows(con, "select n from marts.b") == [(2,)]
    sqlrun.materialise(con, sqlrun.in_order(sqlrun.load_models(con, sql_dir)))
    assert warehouse.rows(con, "select count(*) from marts.b") == [(1,)]


def test_only_what_a_target_needs_is_made(con: warehouse.Connection, sql_dir: Path) -> None:
    write(sql_dir, "staging.a", "select 1 as n")
    write(sql_dir, "staging.other", "select 1 as n")
    write(sql_dir, "intermediate.b", "select n from staging.a")
    write(sql_dir, "marts.c", "select n from intermediate.b")
    assert order(con, sql_dir, ["intermediate.b"]) == ["staging.a", "intermediate.b"]


def test_models_that_read_each_other_in_a_circle_are_an_error_that_names_them(
    con: warehouse.Connection, sql_dir: Path
) -> None:
    write(sql_dir, "intermediate.a", "select n from intermediate.b")
    write(sql_dir, "intermediate.b", "select n from intermediate.a")
    with pytest.raises(CatalogueError, match=r"circle: .*intermediate\.a.*") as caught:
        order(con, sql_dir)
    assert "intermediate.b" in str(caught.value)


def test_a_model_that_reads_itself_is_an_error_that_names_it(
    con: warehouse.Connection, sql_dir: Path
) -> None:
    write(sql_dir, "intermediate.a", "select n from intermediate.a")
    with pytest.raises(CatalogueError, match=r"circle: .*intermediate\.a"):
        order(con, sql_dir)


def test_a_relation_that_no_file_makes_is_an_error_that_names_file_and_relation(
    con: warehouse.Connection, sql_dir: Path
) -> None:
    write(sql_dir, "marts.b", "select n from staging.a")
    with pytest.raises(CatalogueError, match=r"marts.b.sql: reads staging.a, which no file makes"):
        order(con, sql_dir)


def test_inputs_need_no_file(con: warehouse.Connection, sql_dir: Path) -> None:
    write(sql_dir, "staging.a", "select n from raw.cell cross join catalogue.method")
    assert order(con, sql_dir) == ["staging.a"]


@pytest.mark.parametrize("sql", ["select 1; select 2", "select 1;\nselect 2;"])
def test_two_statements_in_a_file_are_an_error_that_names_it(
    con: warehouse.Connection, sql_dir: Path, sql: str
) -> None:
    write(sql_dir, "staging.a", sql)
    with pytest.raises(CatalogueError, match=r"staging.a.sql: holds 2 statements, not one"):
        order(con, sql_dir)


@pytest.mark.parametrize(
    "sql", ["", "-- nothing\n", "create table t as select 1", "drop table marts.x", "selekt 1"]
)
def test_a_file_that_is_not_one_select_is_an_error_that_names_it(
    con: warehouse.Connection, sql_dir: Path, sql: str
) -> None:
    write(sql_dir, "staging.a", sql)
    with pytest.raises(CatalogueError, match=r"staging.a.sql: "):
        order(con, sql_dir)


@pytest.mark.parametrize("name", ["observation", "staging.a.b"])
def test_a_file_that_is_not_named_after_its_relation_is_an_error(
    con: warehouse.Connection, sql_dir: Path, name: str
) -> None:
    (sql_dir / "10_staging" / f"{name}.sql").write_text("select 1 as n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=rf"{name}.sql: name it schema.relation.sql"):
        order(con, sql_dir)


def test_a_relation_that_two_files_make_is_an_error_that_names_it(
    con: warehouse.Connection, sql_dir: Path
) -> None:
    write(sql_dir, "marts.a", "select 1 as n")
    (sql_dir / "10_staging" / "marts.a.sql").write_text("select 2 as n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"marts.a.sql: the relation is made twice"):
        order(con, sql_dir)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select m from staging.a", "m"),
        ("select n from a", "a"),
        ("select n / 'x' as n from staging.a", "Conver"),
    ],
)
def test_a_select_that_fails_is_an_error_that_names_the_file(
    con: warehouse.Connection, sql_dir: Path, sql: str, words: str
) -> None:
    write(sql_dir, "staging.a", "select 1 as n")
    write(sql_dir, "marts.b", sql)
    with pytest.raises(CatalogueError, match=rf"marts.b.sql: (?s:.*){words}"):
        sqlrun.materialise(con, sqlrun.in_order(sqlrun.load_models(con, sql_dir)))


def test_the_models_of_the_repository_make_every_published_table(
    con: warehouse.Connection,
) -> None:
    models = sqlrun.load_models(con, load_settings({}).sql_dir)
    made = {name for name in models if name.startswith(("marts.", "meta."))}
    assert {"marts.btg_index", "marts.change_since_2019", "meta.method"} <= made
    assert all(model.path.stem == model.relation for model in models.values())
