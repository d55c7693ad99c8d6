"""The marts equal a second computation of the whole method, from the same cells, in numpy.

Written from the method and not from the SQL; where the method leaves room, it follows the heads of
the SQL files. Absolute tolerance 1e-9 (relative for values above 1).
"""

import polars as pl
import pytest
from tests.recompute.recomputation import Recomputation, recompute

from btg import baseline, build, pipeline, warehouse
from btg.catalogue.loader import Catalogue
from btg.settings import Settings

TOLERANCE = 1e-9
MARTS = {
    "marts.indicator_score": ("indicator_score", ["region_code", "year", "indicator_id"]),
    "marts.dimension_score": ("dimension_score", ["region_code", "year", "dimension_id"]),
    "marts.btg_index": ("btg_index", ["region_code", "year"]),
    "marts.change_since_2019": ("change", ["region_code", "year", "level", "item_id"]),
    "marts.change_contribution": ("contribution", ["region_code", "year", "indicator_id"]),
}
COLUMNS = [
    *(
        ("marts.indicator_score", column)
        for column in (
            "value",
            "score",
            "cell_status",
            "obs_first_year",
            "obs_last_year",
            "route",
            "weight_covered_share",
            "publication_status",
        )
    ),
    *(
        ("marts.dimension_score", column)
        for column in (
            "score",
            "coverage_share",
            "provisional_share",
            "status_unknown_share",
            "imputed_share",
        )
    ),
    *(
        ("marts.btg_index", column)
        for column in (
            "score",
            "rank_nl",
            "rank_common_set",
            "n_ranked",
            "percentile",
            "coverage_share",
            "provisional_share",
            "status_unknown_share",
            "imputed_share",
            "n_dimensions",
        )
    ),
    *(
        ("marts.change_since_2019", column)
        for column in (
            "base_score",
            "score",
            "change",
            "matched_change",
            "composition_effect",
            "n_dimensions_matched",
            "matched_weight_share",
            "change_vs_nl",
        )
    ),
    ("marts.change_contribution", "contribution"),
]


@pytest.fixture(scope="session")
def recomputed(published: Settings, catalogue: Catalogue) -> Recomputation:
    workspace = pipeline.Workspace(published, catalogue)
    return recompute(catalogue, build.read_inputs(catalogue, pipeline.in_use(workspace, None)))


@pytest.fixture(scope="session")
def marts(published: Settings) -> dict[str, pl.DataFrame]:
    con = warehouse.open_published(published.database)
    try:
        return {name: warehouse.frame(con, f"from {name}") for name in MARTS}
    finally:
        con.close()


@pytest.mark.parametrize("table", MARTS)
def test_the_recomputation_has_the_rows_of_the_mart_and_no_others(
    table: str, marts: dict[str, pl.DataFrame], recomputed: Recomputation
) -> None:
    name, keys = MARTS[table]
    mart, second = marts[table].select(keys), getattr(recomputed, name).select(keys)
    assert mart.height == second.height > 0
    assert mart.join(second, on=keys, how="anti").height == 0


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_figure_of_the_marts_equals_the_recomputation(
    table: str, column: str, marts: dict[str, pl.DataFrame], recomputed: Recomputation
) -> None:
    name, keys = MARTS[table]
    assert different(marts[table], getattr(recomputed, name), keys, column).to_dicts() == []


def test_every_index_indicator_has_a_figure_that_was_compared(
    marts: dict[str, pl.DataFrame], catalogue: Catalogue
) -> None:
    frame = marts["marts.indicator_score"].filter(pl.col("score").is_not_null())
    compared = set(frame["indicator_id"].to_list())
    assert compared == {i.id for i in catalogue.indicators if i.in_index}


@pytest.mark.parametrize(
    "column", ["m", "s", "clip_lo", "clip_hi", "n_units", "skewness", "kurtosis"]
)
def test_the_frozen_ruler_is_what_the_base_year_gives(
    column: str, recomputed: Recomputation, catalogue: Catalogue
) -> None:
    stored = baseline.read_baseline(catalogue)
    assert stored.height == recomputed.baseline.height
    assert different(stored, recomputed.baseline, ["indicator_id"], column).to_dicts() == []


def test_the_transform_is_the_first_that_meets_the_rule_on_the_base_distribution(
    recomputed: Recomputation, catalogue: Catalogue
) -> None:
    method = catalogue.method
    for row in recomputed.baseline.to_dicts():
        fits = (
            abs(row["skewness"]) < method.skewness_limit or row["kurtosis"] < method.kurtosis_limit
        )
        assert fits, row["indicator_id"]


def test_the_index_years_follow_the_rule(recomputed: Recomputation, published: Settings) -> None:
    con = warehouse.open_published(published.database)
    try:
        [(first, last)] = warehouse.rows(
            con, "select first_index_year, last_index_year from meta.method"
        )
        years = warehouse.rows(
            con, "select year from meta.index_year where is_index_year order by all"
        )
    finally:
        con.close()
    assert [year for (year,) in years] == recomputed.index_years
    assert (first, last) == (min(recomputed.index_years), max(recomputed.index_years))


def different(one: pl.DataFrame, other: pl.DataFrame, keys: list[str], column: str) -> pl.DataFrame:
    """Return the first rows in which a column differs: a null on one side, or beyond tolerance."""
    both = one.select(*keys, column).join(
        other.select(*keys, column), on=keys, how="inner", suffix="_again", validate="1:1"
    )
    here, there = pl.col(column), pl.col(f"{column}_again")
    if one.schema[column].is_numeric():
        here, there = here.cast(pl.Float64), there.cast(pl.Float64)
        allowed = TOLERANCE * pl.max_horizontal(pl.lit(1.0), here.abs())
        # a NaN is larger than any tolerance
        wrong = (here.is_null() != there.is_null()) | ((here - there).abs() > allowed)
    else:
        wrong = here.ne_missing(there)
    return both.filter(wrong).sort(keys).head(5)
