import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from tests.uncertainty.conftest import Built

from btg import warehouse
from btg.answers import explanation
from btg.cli import main
from btg.errors import MethodError, UsageError
from btg.index.precision import direction
from btg.index.sensitivity import factorial_frame, variant
from btg.index.variants import DEFAULT_VARIANT, FACTORS, design
from btg.settings import Settings
from btg.uncertainty import estimates
from btg.uncertainty.variant_inputs import in_years, nearest_base, read_grid, sensitivity_inputs

TOLERANCE = 1e-9


def _close(one: pl.Series, other: pl.Series) -> bool:
    """Equal to 1e-9, and missing in the same rows."""
    if not (one.is_null() == other.is_null()).all():
        return False
    return bool(((one - other).abs().max() or 0.0) <= TOLERANCE)


def _default(built: Built) -> pl.DataFrame:
    return factorial_frame(built.result).filter(pl.col("variant_id") == DEFAULT_VARIANT)


def test_default_variant_is_the_published_index(built: Built) -> None:
    marts = warehouse.frame(
        built.con,
        "select cast(b.region_code as varchar) as region_code, b.year, b.score, b.rank_nl, "
        "c.matched_change from marts.btg_index as b inner join marts.change_since_2019 as c "
        "using (region_code, year) where c.level = 'index' and b.year in (select year from "
        "meta.index_year where is_index_year)",
    )
    both = marts.join(
        _default(built).with_columns(pl.col("year").cast(pl.Int32)),
        on=["region_code", "year"],
        suffix="_variant",
        validate="1:1",
    )
    assert both.height == marts.height == len(built.grid.region_codes) * 4
    assert _close(both["score"], both["score_variant"])
    assert _close(both["rank_nl"], both["rank"])
    assert _close(both["matched_change"], both["change"])


def test_contributions_sum_to_the_matched_change_everywhere(built: Built) -> None:
    frame = warehouse.frame(
        built.con,
        "select any_value(c.matched_change) as matched_change, sum(k.contribution) as total "
        "from marts.change_since_2019 as c left join marts.change_contribution as k "
        "using (region_code, year) where c.level = 'index' group by c.region_code, c.year",
    )
    assert frame.height == len(built.grid.region_codes) * len(built.grid.years)
    assert _close(frame["matched_change"], frame["total"])


def test_common_set_of_the_engine_is_that_of_the_sql(built: Built) -> None:
    known = warehouse.rows(
        built.con, "select year, indicator_id from intermediate.common_indicator"
    )
    engine = {
        (built.grid.years[y], built.grid.indicator_ids[i])
        for y, i in np.argwhere(built.inputs.common_set).tolist()
    }
    assert engine == {(year, str(name)) for year, name in known}


def test_no_variant_is_missing_for_the_14(built: Built) -> None:
    years = built.result.inputs.years
    ends = [years.index(2019), years.index(built.grid.method["last_index_year"])]
    twente = built.grid.region["is_twente"].to_numpy()
    assert twente.sum() == 14
    assert built.result.scores.shape[0] == 120
    for array in (built.result.scores, built.result.ranks, built.result.changes):
        assert not np.isnan(array[:, twente][:, :, ends]).any()


def test_directions_are_those_of_the_engine(built: Built) -> None:
    marts = warehouse.frame(
        built.con,
        "select c.*, u.share_worsened from marts.change_since_2019 as c left join "
        "uncertainty.change as u on c.region_code = u.region_code and c.year = u.year and "
        "c.level = u.level and c.item_id = u.item_id where c.year <> 2019 and "
        "c.direction_reason not in ('level_break', 'variant_missing')",
    )
    numbers = {
        name: marts[name].fill_null(np.nan).to_numpy()
        for name in ("matched_change", "standard_error", "share_improved", "share_worsened")
    }
    found, reason = direction(*numbers.values())
    assert marts["direction"].to_list() == found.tolist()
    known = marts["direction"].to_numpy() != "unknown"
    reasons = np.where(reason == "", "robust", reason)[known]
    assert marts["direction_reason"].to_numpy()[known].tolist() == reasons.tolist()
    assert {"up", "down", "unclear", "unknown"} == set(found.tolist())


def test_no_direction_across_a_level_break_or_without_a_known_error(built: Built) -> None:
    rows = dict(
        warehouse.rows(
            built.con,
            "select direction_reason, list(distinct direction) from marts.change_since_2019 "
            "where direction_reason in ('level_break', 'error_unknown', 'relative', "
            "'no_independent_observation', 'base_year') group by direction_reason",
        )
    )
    assert rows == {
        "level_break": ["unclear"],
        "error_unknown": ["unclear"],
        "base_year": ["unclear"],
        "relative": ["unknown"],
        "no_independent_observation": ["unknown"],
    }


def test_left_out_cells_are_listed_and_counted(built: Built) -> None:
    """Nothing is dropped silently: a municipality without an interval has a listed cell."""
    listed = set(warehouse.rows(built.con, "select region_code, year from meta.infeasible"))
    lacking = set(
        warehouse.rows(
            built.con,
            "select cast(region_code as varchar), year from marts.btg_index "
            "where score is not null and score_p05 is null",
        )
    )
    assert lacking == {(str(region), year) for region, year in listed}
    counts = warehouse.rows(
        built.con,
        "select distinct year, n_excluded from marts.sensitivity where output = 'rank' order by 1",
    )
    assert counts == [
        (year, sum(y == year and str(r).startswith("GM") for r, y in lacking))
        for year in (2019, 2020, 2021, 2022)
    ]


def test_shares_are_complete_and_exact(built: Built) -> None:
    frame = warehouse.frame(built.con, "select * from marts.sensitivity")
    assert frame.height == 4 * 2 * len(FACTORS)
    assert frame["n_variants"].unique().to_list() == [120]
    at_base = pl.col("year") == 2019
    change = pl.col("output") == "change"
    assert frame.filter(at_base & change)["total_share"].null_count() == len(FACTORS)
    whole = frame.filter(~(at_base & change))
    assert (whole["first_order_share"] <= whole["total_share"] + TOLERANCE).all()
    first = whole.group_by("year", "output").agg(pl.col("first_order_share").sum())
    assert (first["first_order_share"] <= 1 + TOLERANCE).all()


@pytest.mark.parametrize("place", [0, 17, 64, 119])
def test_a_variant_is_recomputed_from_the_published_file(
    published: Settings, built: Built, place: int
) -> None:
    variant_id = design()[place].variant_id
    con = warehouse.open_published(published.database)
    inputs = sensitivity_inputs(read_grid(con, "published"))
    con.close()
    again = variant(variant_id, in_years(inputs, inputs.is_index_year))
    known = factorial_frame(built.result).filter(pl.col("variant_id") == variant_id)
    for column in ("score", "rank", "change"):
        assert _close(again[column], known[column]), column


def test_explain_recomputes_a_variant(
    published: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BTG_HOME", str(published.home))
    assert main(["explain", "Enschede", "2022", "--variant", DEFAULT_VARIANT, "--json"]) == 0
    chain = json.loads(capsys.readouterr().out)
    con = warehouse.open_published(published.database)
    query = "select score, rank_nl from marts.btg_index where region_code='GM0153' and year=2022"
    score, rank = warehouse.rows(con, query)[0]
    con.close()
    assert chain["variant"] == chain["default"]
    assert chain["variant"]["score"] == pytest.approx(score, abs=TOLERANCE)
    assert chain["variant"]["rank"] == rank
    with pytest.raises(UsageError, match=r"meta\.variant"):
        explanation.explain_variant(published, "Enschede", 2022, "form=best")
    with pytest.raises(UsageError, match="index year"):
        explanation.explain_variant(published, "Enschede", 2014, DEFAULT_VARIANT)


def test_nearest_base_is_an_observation_near_the_base_year(built: Built) -> None:
    grid = built.grid
    nearest, standing = nearest_base(grid), grid.values[:, grid.base]
    assert (np.isnan(nearest) == np.isnan(standing)).all()
    observed = grid.is_observed[:, grid.base]
    assert (nearest[observed] == standing[observed]).all()
    health = grid.indicator_ids.index("overgewicht")  # waves of 2016 and 2020
    wave = grid.values[:, grid.years.index(2020), health]
    seen = ~np.isnan(wave)
    assert (nearest[seen, health] == wave[seen]).all()


def test_error_models_give_the_stated_errors(built: Built) -> None:
    grid = built.grid
    errors = estimates.value_errors(built.con, grid)
    models = grid.indicator["error_model"].to_list()
    present = ~np.isnan(grid.values)
    for i, model in enumerate(models):
        cells = errors[..., i][present[..., i]]
        if model == "none":
            assert (cells == 0).all()
        elif model == "unknown":
            assert np.isnan(cells).all()
        else:
            assert (cells > 0).all()
    burglary = grid.indicator_ids.index("woninginbraak")
    place = grid.region_codes.index("GM0153"), grid.years.index(2022)
    population = warehouse.rows(
        built.con,
        "select value from intermediate.support where series_id = 'bevolking_gemiddeld' "
        "and region_code = 'GM0153' and year = 2022",
    )[0][0]
    count = grid.values[place][burglary] * population / 1000
    assert errors[place][burglary] == pytest.approx(1000 / population * np.sqrt(count))


def test_an_empirical_error_shrinks_in_a_larger_region(built: Built) -> None:
    grid = built.grid
    errors = estimates.value_errors(built.con, grid)
    item, year = grid.indicator_ids.index("werkloosheid"), grid.years.index(2022)
    one, twente, country = (
        errors[grid.region_codes.index(code), year, item] for code in ("GM0153", "CR12", "NL01")
    )
    assert country < twente < one


def test_poisson_needs_a_rate_of_a_known_number_of_persons(built: Built) -> None:
    wrong = built.grid.indicator.with_columns(
        pl.when(pl.col("indicator_id") == "misdrijven")
        .then(pl.lit("per 100 huishoudens"))
        .otherwise(pl.col("unit"))
        .alias("unit")
    )
    with pytest.raises(MethodError, match="misdrijven"):
        estimates.value_errors(built.con, dataclasses.replace(built.grid, indicator=wrong))


def test_uncertainty_is_the_same_in_every_run(built: Built) -> None:
    once = estimates.compute(built.con)
    for name, frame in once.items():
        stored = warehouse.frame(built.con, f"select * from {name}")
        assert frame.height == stored.height, name
        for column, kind in frame.schema.items():
            if kind == pl.Float64:
                assert (frame[column].eq_missing(stored[column])).all(), (name, column)


def test_every_scenario_is_reported_with_its_losses(built: Built) -> None:
    rows = dict(
        warehouse.rows(
            built.con,
            "select distinct scenario_id, n_lost from marts.scenario where year = 2022",
        )
    )
    n_items = len(built.grid.indicator_ids) + built.grid.dimension.height
    assert len(rows) == 5 + n_items
    assert rows["coverage=0.6"] > 0
    assert rows["clip=0"] == 0
