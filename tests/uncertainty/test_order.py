"""The engine runs between two halves of the models; the order comes from the SQL alone."""

from pathlib import Path

from btg import build, sqlrun, warehouse
from btg.settings import Settings


def _model(relation: str, *reads: str) -> sqlrun.Model:
    return sqlrun.Model(relation, Path(f"{relation}.sql"), "select 1", frozenset(reads))


def test_what_reads_the_engine_runs_after_it_also_indirectly() -> None:
    models = [
        _model("marts.a", "raw.x"),
        _model("marts.b", "marts.a", "uncertainty.interval"),
        _model("marts.c", "marts.b"),
        _model("marts.d", "marts.a"),
    ]
    before, after = sqlrun.halves(models, "uncertainty")
    assert [m.relation for m in before] == ["marts.a", "marts.d"]
    assert [m.relation for m in after] == ["marts.b", "marts.c"]


def test_what_the_engine_reads_is_made_before_it(published: Settings) -> None:
    con = warehouse.open_build()
    models = sqlrun.in_order(sqlrun.load_models(con, published.sql_dir))
    con.close()
    before, after = sqlrun.halves(models, build.COMPUTED_SCHEMA)
    assert set(build.COMPUTED_FROM) <= {m.relation for m in before}
    assert "marts.btg_index" in {m.relation for m in after}
