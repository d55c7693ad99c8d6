"""The course of the indicators: eight-year trends, and changes against another base."""

import numpy as np
import polars as pl

from btg import warehouse
from btg.index.arrays import BoolArray, FloatArray
from btg.index.change import matched_change, matched_set, position, trend
from btg.index.frames import to_long
from btg.uncertainty.variant_inputs import DenseGrid

TREND_WORDS = {"stable": "flat"}
"""What the engine calls it -> what is published."""


def trend_frame(grid: DenseGrid) -> pl.DataFrame:
    """Trend and position of every region, year and index indicator.

    region_code, year, indicator_id, slope (unit of the indicator per year), p_value, n_points,
    trend (up = better, down, flat, too_few_points) over the ``trend_years`` up to the year, on
    observed values only; quarter_nl (best, middle, worst share of the municipalities by the score
    of the year), null where there is no score. Method, par. 6; the manner of the CBS regional
    monitor.
    """
    observed = np.where(grid.is_observed, grid.values, np.nan)
    found = [
        trend(
            observed,
            grid.years,
            last_year=year,
            window=grid.method["trend_years"],
            min_points=grid.method["trend_min_points"],
            significance=grid.method["trend_significance"],
            polarity=grid.indicator["polarity"].to_numpy(),
        )
        for year in grid.years
    ]
    quarter = position(grid.scores, grid.is_municipality, share=grid.method["position_share"])
    frame = to_long(
        np.stack([item.slope for item in found], axis=1),
        regions=grid.region_codes,
        years=grid.years,
        items=grid.indicator_ids,
        column="slope",
    )
    return frame.with_columns(
        pl.Series("p_value", np.stack([i.p_value for i in found], axis=1).ravel()).fill_nan(None),
        pl.Series("n_points", np.stack([i.n_points for i in found], axis=1).ravel()),
        pl.Series("trend", np.stack([i.direction for i in found], axis=1).ravel().tolist()).replace(
            TREND_WORDS
        ),
        pl.Series("quarter_nl", quarter.ravel().tolist()),
    ).with_columns(
        pl.when(pl.col("quarter_nl").is_in(["best", "middle", "worst"]))
        .then(pl.col("quarter_nl"))
        .alias("quarter_nl")
    )


def alternative_base_frame(con: warehouse.Connection, grid: DenseGrid) -> pl.DataFrame:
    """Matched change of index and dimensions against other bases, for analysis.

    base_years, region_code, year, level, item_id, matched_change: the base score of an indicator is
    the mean over the years of the alternative (all must have a score); otherwise as method, par. 6,
    with observations newer than those of the last of these years (older for a year before). The
    index only in index years. Null where too little is matched.
    """
    alternatives = warehouse.rows(con, "select alternative_bases from catalogue.method")[0][0]
    return pl.concat([_against(grid, list(years)) for years in alternatives])


def _against(grid: DenseGrid, base_years: list[int]) -> pl.DataFrame:
    places = [grid.years.index(year) for year in base_years]
    base = places[-1]
    scores = grid.scores.copy()
    scores[:, base] = grid.scores[:, places].mean(axis=1)
    relative: BoolArray = grid.indicator["is_relative"].to_numpy()
    matched = matched_set(
        scores,
        grid.obs_first_year,
        grid.obs_last_year,
        years=grid.years,
        base_year=base_years[-1],
        excluded=relative,
    )
    found = matched_change(
        scores,
        matched,
        grid.structure,
        base=base,
        min_indicator_share=grid.method["change_dimension_coverage_share"],
        min_dimensions=grid.method["change_min_dimensions"],
    )
    index = np.where(grid.is_index_year, found.index, np.nan)
    name = "-".join(str(year) for year in base_years)
    parts = [
        _long(grid, name, "index", ["index"], index[..., None]),
        _long(grid, name, "dimension", list(grid.dimension["dimension_id"]), found.dimensions),
    ]
    return pl.concat(parts)


def _long(
    grid: DenseGrid, name: str, level: str, items: list[str], values: FloatArray
) -> pl.DataFrame:
    return to_long(
        values,
        regions=grid.region_codes,
        years=grid.years,
        items=items,
        item_column="item_id",
        column="matched_change",
    ).select(
        pl.lit(name).alias("base_years"),
        "region_code",
        "year",
        pl.lit(level).alias("level"),
        "item_id",
        "matched_change",
    )
