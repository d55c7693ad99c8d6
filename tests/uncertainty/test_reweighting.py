import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from btg import warehouse
from btg.answers import reweighting
from btg.cli import main
from btg.errors import UsageError
from btg.settings import Settings

TOLERANCE = 1e-9
TWO = {"gezondheid": 0.25, "veiligheid": 0.75}


def _macro(published: Settings, weights: dict[str, float]) -> pl.DataFrame:
    con = warehouse.open_published(published.database)
    try:
        pairs = ", ".join(f"'{name}': {weight!r}" for name, weight in weights.items())
        return warehouse.frame(con, f"from marts.reweighted(map {{{pairs}}})")
    finally:
        con.close()


def _stated(published: Settings) -> dict[str, float]:
    con = warehouse.open_published(published.database)
    found = dict(warehouse.rows(con, "select dimension_id, weight from meta.dimension"))
    con.close()
    return found


def test_the_weights_of_the_catalogue_give_the_published_index(published: Settings) -> None:
    found = _macro(published, _stated(published))
    con = warehouse.open_published(published.database)
    known = warehouse.frame(
        con,
        "select region_code, year, score, rank_nl from marts.btg_index where year in "
        "(select year from meta.index_year where is_index_year) order by year, region_code",
    )
    con.close()
    assert found.select("region_code", "year").equals(known.select("region_code", "year"))
    assert (found["score"] - known["score"]).abs().max() <= TOLERANCE  # type: ignore[operator]
    assert found["rank_nl"].to_list() == known["rank_nl"].to_list()


@pytest.mark.parametrize("weights", [TWO, {"inkomen": 1.0}])
def test_macro_and_command_agree(published: Settings, weights: dict[str, float]) -> None:
    macro = _macro(published, weights).sort("region_code", "year")
    engine = reweighting.reweighted(published, weights).sort("region_code", "year")
    assert macro["region_code"].to_list() == engine["region_code"].to_list()
    assert (macro["score"].is_null() == engine["score"].is_null()).all()
    assert (macro["score"] - engine["score"]).abs().max() <= TOLERANCE  # type: ignore[operator]
    assert macro["rank_nl"].to_list() == engine["rank"].to_list()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"gezondheid": 0.5, "veiligheid": 0.4}, "gezondheid, veiligheid sum to 0.9"),
        ({"gezondheid": 0.5, "geluk": 0.5}, "geluk"),
        ({"gezondheid": 1.5, "veiligheid": -0.5}, "veiligheid"),
    ],
)
def test_the_macro_names_what_is_wrong(
    published: Settings, weights: dict[str, float], message: str
) -> None:
    with pytest.raises(duckdb.Error, match=message):
        _macro(published, weights)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gezondheid: 0.5\nveiligheid: 0.4\n", "gezondheid, veiligheid sum to 0.9"),
        ("gezondheid: 0.5\ngeluk: 0.5\n", "geluk"),
        ("gezondheid: 1.5\nveiligheid: -0.5\n", "veiligheid"),
        ("gezondheid: veel\n", "gezondheid"),
        ("roken: 0.5\novergewicht: 0.4\n", "roken"),
        ("- gezondheid\n", "mapping"),
        ("", "mapping"),
    ],
)
def test_a_wrong_weight_file_is_an_error_that_names_the_item(
    published: Settings, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "weights.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        reweighting.reweighted(published, reweighting.read_weights(path))


def test_weights_of_indicators_touch_their_dimension_only(published: Settings) -> None:
    same = reweighting.reweighted(published, {"inkomen_mediaan": 1.0})
    assert (same["score"] - same["default_score"]).abs().max() > 0.1  # type: ignore[operator]
    con = warehouse.open_published(published.database)
    rows = warehouse.rows(
        con,
        "select s.score, i.score, d.weight, s.region_code from marts.dimension_score as s "
        "inner join marts.indicator_score as i using (region_code, year, dimension_id) "
        "inner join meta.dimension as d using (dimension_id) "
        "where i.indicator_id = 'inkomen_mediaan' and year = 2022 and region_code = 'GM0153'",
    )
    con.close()
    dimension, indicator, weight, region = rows[0]
    row = same.filter((pl.col("region_code") == region) & (pl.col("year") == 2022)).to_dicts()[0]
    moved = weight * (indicator - dimension)
    assert row["score"] - row["default_score"] == pytest.approx(moved, abs=TOLERANCE)


def test_the_command_takes_csv(
    published: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BTG_HOME", str(published.home))
    path = tmp_path / "weights.csv"
    path.write_text("item_id,weight\ngezondheid,0.25\nveiligheid,0.75\n", encoding="utf-8")
    assert main(["index", "--weights", str(path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 395
    assert main(["index", "--weights", str(path), "--year", "2021"]) == 0
    assert "not published" in capsys.readouterr().out
    assert main(["index", "--weights", str(tmp_path / "none.yml")]) == 2
