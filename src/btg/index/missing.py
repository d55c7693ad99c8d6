"""Missing values: which cells a series may fill, and which weights remain where one is missing.

Missing is null (long frames) or NaN (arrays), never zero, and always with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from btg.index.arrays import NUMBERED, TOLERANCE, BoolArray, FloatArray, Labels, ordered_sum
from btg.index.errors import IndexMethodError

SERIES = ["region_code", "indicator_id"]
BREAK_KINDS = ("level", "definition")
REASON_UNKNOWN = "null_in_source"


# --- weights over what is present ---


def present_weights(
    values: FloatArray,
    weights: FloatArray,
    *,
    min_share: float = 0.0,
    by_count: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Weights re-normalised over the items present, and the share of weight that is present.

    ``values`` [..., n] with NaN = missing, ``weights`` [n] or [..., n] with sum 1. Returns
    w_i [present] / sum(w [present]) as [..., n] and the share [...]. Where the share is below
    ``min_share`` (compared with 1e-9), or nothing is present, the weights are NaN, which every
    aggregation turns into NaN. ``by_count`` compares the share of the number of items instead and
    returns that. Source: OECD/EU/JRC Handbook step 3; WEF Global Gender Gap Report.
    """
    if not 0.0 <= min_share <= 1.0:
        raise IndexMethodError(f"a share from 0 to 1, not {min_share}", setting="min_share")
    present = ~np.isnan(values)
    kept = np.where(present, weights, 0.0)
    weight_share = ordered_sum(kept)
    n_items = present.shape[-1]
    share = ordered_sum(present.astype(np.float64)) / n_items if by_count else weight_share
    enough = (weight_share > 0) & (share >= min_share - TOLERANCE)
    divisor = np.where(enough, weight_share, np.nan)
    return kept / divisor[..., None], share


def complete_weights(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights only where every item of positive weight is present, else NaN; and the share."""
    return present_weights(values, weights, min_share=1.0)


def carry_forward(values: FloatArray, max_carry: int) -> tuple[FloatArray, BoolArray]:
    """Last value carried forward at most ``max_carry`` steps along axis 1, and where it was.

    ``values`` [n_regions, n_years, n]; the years must be consecutive.
    """
    filled, carried = values.copy(), np.zeros(values.shape, dtype=np.bool_)
    for step in range(1, max_carry + 1):
        source = values[:, :-step, :]
        target = filled[:, step:, :]
        gap = np.isnan(target) & ~np.isnan(source)
        target[gap] = source[gap]
        carried[:, step:, :] |= gap
    return filled, carried


def screen(values: FloatArray, min_share: float) -> BoolArray:
    """Regions with ``min_share`` or more of the indicators: [n_regions, n] -> [n_regions]."""
    present: FloatArray = (~np.isnan(values)).mean(axis=1)
    return present >= min_share - TOLERANCE


def impute_group_mean(
    values: FloatArray, groups: Sequence[str], *, labels: Labels = NUMBERED
) -> FloatArray:
    """Missing values replaced by the unweighted mean of their group, per indicator.

    ``groups`` names the group of each region. Not used by the default method. A group without any
    value of an indicator is an error naming indicator and region. Source: COINr ``i_mean_grp``.
    """
    if len(groups) != values.shape[0]:
        raise IndexMethodError(f"{len(groups)} groups, {values.shape[0]} regions", setting="groups")
    member = np.asarray(groups)
    filled = values.copy()
    for group in sorted(set(groups)):
        rows = member == group
        part = values[rows]
        present = ~np.isnan(part)
        counts = present.sum(axis=0)
        totals = np.where(present, part, 0.0).sum(axis=0)
        means = np.divide(totals, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        filled[rows] = np.where(present, part, means)
    lost = np.isnan(filled)
    if lost.any():
        raise labels.error("the group of the region has no value to impute from", lost)
    return filled


# --- series in long frames ---


@dataclass(frozen=True)
class FillingRule:
    """How far a series may be filled, in years.

    Between observations at most ``max_gap`` apart: linear. After one: carried at most
    ``max_carry``. The base year alone: linear between the nearest observations on both sides if
    each lies within ``base_interpolation_reach``, else the nearest within
    ``base_substitution_reach`` (the earlier one at equal distance), else missing.
    """

    base_year: int = 2019
    max_gap: int = 4
    max_carry: int = 2
    base_interpolation_reach: int = 3
    base_substitution_reach: int = 1


DEFAULT_RULE = FillingRule()


def fill_series(
    observations: pl.DataFrame,
    *,
    years: Sequence[int],
    breaks: pl.DataFrame | None = None,
    rule: FillingRule = DEFAULT_RULE,
) -> pl.DataFrame:
    """One row for every series and year, filled by ``rule``, with status and reason.

    ``observations``: region_code, indicator_id, year, value (null allowed) and optionally
    missing_reason; one row per series and year. ``years``: the years wanted; observations outside
    them serve to fill. ``breaks``: indicator_id, year (first year of the new series), kind; nothing
    is filled across a *definition* break, a *level* break changes nothing here.

    Returns region_code, indicator_id, year, value, cell_status (observed, interpolated,
    substituted, carried, missing), missing_reason, obs_first_year, obs_last_year (the observations
    that the cell is made of), sorted by series and year. A later observation can only turn a
    carried or missing cell into an interpolated one: within a gap that is too wide the first years
    stay carried.
    """
    _check_observations(observations)
    grid = _grid(observations, years, rule)
    segmented = _with_segments(grid, breaks)
    filled = _with_status(_with_neighbours(segmented, [*SERIES, "segment"]), rule)
    unbroken = _with_status(_with_neighbours(segmented, SERIES), rule)
    crosses = (filled["cell_status"] == "missing") & (unbroken["cell_status"] != "missing")
    return (
        filled.with_columns(missing_reason=_reason(rule, crosses))
        .filter(pl.col("year").is_in(list(years)))
        .select(
            *SERIES,
            "year",
            "value",
            "cell_status",
            "missing_reason",
            "obs_first_year",
            "obs_last_year",
        )
    )


def _check_observations(observations: pl.DataFrame) -> None:
    repeated = observations.filter(observations.select(*SERIES, "year").is_duplicated())
    if repeated.height:
        row = repeated.row(0, named=True)
        raise IndexMethodError(
            "two observations of one series in one year",
            indicator=row["indicator_id"],
            region=row["region_code"],
            year=row["year"],
        )
    wrong = observations.filter(~pl.col("value").is_finite())
    if wrong.height:
        row = wrong.row(0, named=True)
        raise IndexMethodError(
            "NaN or infinite; a missing value must be null",
            indicator=row["indicator_id"],
            region=row["region_code"],
            year=row["year"],
        )


def _grid(observations: pl.DataFrame, years: Sequence[int], rule: FillingRule) -> pl.DataFrame:
    """Every series in every wanted or observed year, with the observed value and reason."""
    observed_years = observations.filter(pl.col("value").is_not_null())["year"].to_list()
    all_years = sorted({*years, *observed_years, rule.base_year})
    calendar = pl.DataFrame({"year": all_years}, schema={"year": pl.Int64})
    known = observations.with_columns(pl.col("year").cast(pl.Int64))
    if "missing_reason" not in known.columns:
        known = known.with_columns(missing_reason=pl.lit(None, dtype=pl.String))
    return (
        known.select(SERIES)
        .unique()
        .join(calendar, how="cross")
        .join(
            known.select(*SERIES, "year", "value", "missing_reason"),
            on=[*SERIES, "year"],
            how="left",
            validate="1:1",
        )
        .sort(*SERIES, "year")
    )


def _with_segments(grid: pl.DataFrame, breaks: pl.DataFrame | None) -> pl.DataFrame:
    """Number of definition breaks up to and including the year of the cell."""
    if breaks is None or breaks.height == 0:
        return grid.with_columns(segment=pl.lit(0, dtype=pl.Int64))
    unknown = breaks.filter(~pl.col("kind").is_in(BREAK_KINDS))
    if unknown.height:
        row = unknown.row(0, named=True)
        raise IndexMethodError(
            f"unknown break kind {row['kind']!r}; known: {BREAK_KINDS}",
            indicator=row["indicator_id"],
        )
    starts = breaks.filter(pl.col("kind") == "definition").select(
        "indicator_id", "year", begins=pl.lit(1, dtype=pl.Int64)
    )
    years = grid.select("indicator_id", "year").unique()
    events = pl.concat(
        [
            years.with_columns(begins=pl.lit(0, dtype=pl.Int64)),
            starts.with_columns(pl.col("year").cast(pl.Int64)),
        ]
    )
    segments = (
        events.group_by("indicator_id", "year")
        .agg(pl.col("begins").sum())
        .sort("indicator_id", "year")
        .with_columns(segment=pl.col("begins").cum_sum().over("indicator_id"))
        .select("indicator_id", "year", "segment")
    )
    return grid.join(segments, on=["indicator_id", "year"], how="left", validate="m:1").sort(
        *SERIES, "year"
    )


def _with_neighbours(grid: pl.DataFrame, within: list[str]) -> pl.DataFrame:
    """Year and value of the last observation up to the cell and of the first one from it on."""
    has_value = pl.col("value").is_not_null()
    observed_year = pl.when(has_value).then(pl.col("year"))
    return grid.with_columns(
        year_before=observed_year.forward_fill().over(within),
        year_after=observed_year.backward_fill().over(within),
        value_before=pl.col("value").forward_fill().over(within),
        value_after=pl.col("value").backward_fill().over(within),
        first_year=observed_year.min().over(SERIES),
    )


def _with_status(cells: pl.DataFrame, rule: FillingRule) -> pl.DataFrame:
    """Fill value, status and the observations used from the neighbours of each cell."""
    since = pl.col("year") - pl.col("year_before")
    until = pl.col("year_after") - pl.col("year")
    is_base = pl.col("year") == rule.base_year
    near, reach = rule.base_interpolation_reach, rule.base_substitution_reach
    at_base = pl.when(is_base).then((since <= near) & (until <= near))
    linear = at_base.otherwise(since + until <= rule.max_gap)
    use_before = since <= reach
    use_after = until <= reach
    closer_after = use_after.fill_null(False) & (since.is_null() | (until < since))
    status = (
        pl.when(pl.col("value").is_not_null())
        .then(pl.lit("observed"))
        .when(linear)
        .then(pl.lit("interpolated"))
        .when(is_base & (use_before | closer_after).fill_null(False))
        .then(pl.lit("substituted"))
        .when(~is_base & (since <= rule.max_carry))
        .then(pl.lit("carried"))
        .otherwise(pl.lit("missing"))
    )
    staged = cells.with_columns(cell_status=status, takes_after=closer_after)
    return staged.with_columns(_filled_value(), *_observation_years())


def _filled_value() -> pl.Expr:
    state = pl.col("cell_status")
    way = (pl.col("year") - pl.col("year_before")) / (pl.col("year_after") - pl.col("year_before"))
    between = pl.col("value_before") + (pl.col("value_after") - pl.col("value_before")) * way
    return (
        pl.when(state == "observed")
        .then(pl.col("value"))
        .when(state == "interpolated")
        .then(between)
        .when((state == "substituted") & pl.col("takes_after"))
        .then(pl.col("value_after"))
        .when(state.is_in(["substituted", "carried"]))
        .then(pl.col("value_before"))
        .alias("value")
    )


def _observation_years() -> list[pl.Expr]:
    state = pl.col("cell_status")
    after = (state == "substituted") & pl.col("takes_after")
    first = pl.when(after).then(pl.col("year_after")).otherwise(pl.col("year_before"))
    last = pl.when(after | (state == "interpolated")).then(pl.col("year_after"))
    known = state != "missing"
    return [
        pl.when(known).then(first).alias("obs_first_year"),
        pl.when(known).then(last.otherwise(pl.col("year_before"))).alias("obs_last_year"),
    ]


def _reason(rule: FillingRule, crosses: pl.Series) -> pl.Expr:
    """Why a cell is missing; a reason that the source gives is kept for cells it was given for."""
    return (
        pl.when(pl.col("cell_status") != "missing")
        .then(None)
        .when(crosses)
        .then(pl.lit("break"))
        .when(pl.col("missing_reason").is_not_null())
        .then(pl.col("missing_reason"))
        .when(pl.col("first_year").is_null())
        .then(pl.lit(REASON_UNKNOWN))
        .when(pl.col("year") == rule.base_year)
        .then(pl.lit("no_base"))
        .when(pl.col("year") < pl.col("first_year"))
        .then(pl.lit("before_series"))
        .otherwise(pl.lit("beyond_carry"))
    )


def nearest_observation(observations: pl.DataFrame, *, base_year: int, reach: int) -> pl.DataFrame:
    """The nearest observation to the base year per series, at most ``reach`` years away.

    At equal distance the earlier one. Returns region_code, indicator_id, value, observed_year; a
    series without an observation in reach has no row. The alternative base value of the method
    interval (instead of interpolation).
    """
    _check_observations(observations)
    distance = (pl.col("year") - base_year).abs()
    return (
        observations.filter(pl.col("value").is_not_null() & (distance <= reach))
        .with_columns(distance=distance)
        .sort(*SERIES, "distance", "year")
        .group_by(SERIES, maintain_order=True)
        .first()
        .select(*SERIES, "value", observed_year=pl.col("year"))
    )
