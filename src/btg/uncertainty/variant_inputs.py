"""The dense inputs of the variants of the method, read from a build or from a published file.

Both give the same arrays: what a build computes its method intervals from can be taken from the
published file alone, which is how ``btg explain --variant`` recomputes a variant.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from btg import warehouse
from btg.errors import SnapshotError
from btg.index.arrays import BoolArray, FloatArray, Labels
from btg.index.change import Structure
from btg.index.frames import to_dense
from btg.index.ruler import ruler_from_frame
from btg.index.transforms import transform
from btg.index.variants import SensitivityInputs, build_rulers, common_set

Origin = Literal["build", "published"]

IS_MATCHED: dict[Origin, str] = {
    "build": "select region_code, year, indicator_id, is_matched from intermediate.matched",
    "published": "select region_code, year, item_id as indicator_id, "
    "matched_change is not null as is_matched from marts.change_since_2019 "
    "where level = 'indicator'",
}
CELL = """
with matched as ({matched})

select
    cast(score.region_code as varchar) as region_code,
    score.year,
    cast(score.indicator_id as varchar) as indicator_id,
    -- a value beyond a definition break has no score and no part in the index
    case when score.score is not null then score.value end as value,
    score.score,
    score.obs_first_year,
    score.obs_last_year,
    score.cell_status = 'observed' as is_observed,
    score.cell_status = 'carried' as is_carried,
    matched.is_matched
from marts.indicator_score as score
inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
inner join matched
    on score.region_code = matched.region_code
    and score.year = matched.year
    and score.indicator_id = matched.indicator_id
where indicator.in_index
"""
INDICATOR = """
select
    cast(indicator.indicator_id as varchar) as indicator_id,
    cast(indicator.dimension_id as varchar) as dimension_id,
    cast(indicator.polarity as double) as polarity,
    indicator.weight, indicator.error_model, indicator.unit, indicator.is_relative,
    baseline.transform, baseline.m, baseline.s, baseline.clip_lo, baseline.clip_hi, baseline.n_units
from meta.indicator as indicator
inner join meta.dimension as dimension on indicator.dimension_id = dimension.dimension_id
inner join meta.baseline as baseline on indicator.indicator_id = baseline.indicator_id
where indicator.in_index
order by dimension.position, indicator.indicator_id
"""
REGION = """
select
    cast(region.region_code as varchar) as region_code,
    region.region_level, region.is_twente,
    cast(region.population_base as double) as population_base
from meta.region as region
order by region.region_code
"""
DIMENSION = """
select cast(dimension_id as varchar) as dimension_id, weight from meta.dimension order by position
"""


@dataclass(frozen=True)
class DenseGrid:
    """The grid of the index as arrays: R regions, Y years, I indicators, in order of their codes.

    ``region`` (region_code, region_level, is_twente, population_base), ``indicator`` (with the
    ruler), ``dimension`` and ``method`` are the published tables. ``values`` [R, Y, I] in the unit
    of the indicator, NaN where there is no score; ``scores``, ``obs_first_year``,
    ``obs_last_year``, ``is_observed``, ``is_carried``, ``is_matched`` [R, Y, I];
    ``is_index_year`` [Y].
    """

    region: pl.DataFrame
    indicator: pl.DataFrame
    dimension: pl.DataFrame
    method: dict[str, Any]
    years: list[int]
    is_index_year: BoolArray
    values: FloatArray
    scores: FloatArray
    obs_first_year: FloatArray
    obs_last_year: FloatArray
    is_observed: BoolArray
    is_carried: BoolArray
    is_matched: BoolArray

    @property
    def region_codes(self) -> list[str]:
        """Codes of the regions, in order."""
        return list(self.region["region_code"])

    @property
    def indicator_ids(self) -> list[str]:
        """Indicators of the index, by dimension."""
        return list(self.indicator["indicator_id"])

    @property
    def transforms(self) -> list[str]:
        """Transform of each indicator."""
        return list(self.indicator["transform"])

    @property
    def is_municipality(self) -> BoolArray:
        """Regions that make the baseline and are ranked, [R]."""
        found: BoolArray = (self.region["region_level"] == "gemeente").to_numpy()
        return found

    @property
    def base(self) -> int:
        """Position of the base year."""
        return self.years.index(int(self.method["base_year"]))

    @cached_property
    def structure(self) -> Structure:
        """Membership and weights."""
        position = {name: d for d, name in enumerate(self.dimension["dimension_id"])}
        return Structure(
            np.array([position[name] for name in self.indicator["dimension_id"]]),
            self.indicator["weight"].to_numpy(),
            self.dimension["weight"].to_numpy(),
        )


def read_grid(con: warehouse.Connection, origin: Origin) -> DenseGrid:
    """Return the grid of a build (before its intervals are known) or of a published file.

    Raises ``SnapshotError`` if the database has no index year.
    """
    cells = warehouse.frame(con, CELL.format(matched=IS_MATCHED[origin]))
    indicator, region = warehouse.frame(con, INDICATOR), warehouse.frame(con, REGION)
    calendar = warehouse.frame(con, "select year, is_index_year from meta.index_year order by year")
    if not calendar["is_index_year"].any():
        raise SnapshotError("no year fulfils the rule of index years: there is nothing to vary")
    years = [int(year) for year in calendar["year"]]

    def dense(column: str) -> FloatArray:
        return to_dense(
            cells,
            regions=list(region["region_code"]),
            years=years,
            indicators=list(indicator["indicator_id"]),
            column=column,
        )

    return DenseGrid(
        region=region,
        indicator=indicator,
        dimension=warehouse.frame(con, DIMENSION),
        method=warehouse.frame(con, "select * from meta.method").to_dicts()[0],
        years=years,
        is_index_year=calendar["is_index_year"].to_numpy(),
        values=dense("value"),
        scores=dense("score"),
        obs_first_year=dense("obs_first_year"),
        obs_last_year=dense("obs_last_year"),
        is_observed=dense("is_observed") == 1.0,
        is_carried=dense("is_carried") == 1.0,
        is_matched=dense("is_matched") == 1.0,
    )


def nearest_base(grid: DenseGrid) -> FloatArray:
    """Base value by the nearest observation instead of interpolation: [R, I], in the unit.

    The observed value nearest to the base year, at most ``base_interpolation_years`` away, the
    earlier of two equally near ones; for an aggregate the nearest year in which it rests on
    observations. Where there is none, the base value by the standing rule (both then agree).
    """
    reach = int(grid.method["base_interpolation_years"])
    base_year = grid.years[grid.base]
    found: FloatArray = np.full(grid.values[:, 0].shape, np.nan)
    for year in sorted(grid.years, key=lambda y: (abs(y - base_year), y)):
        if abs(year - base_year) <= reach:
            place = grid.years.index(year)
            seen = np.where(grid.is_observed[:, place], grid.values[:, place], np.nan)
            found = np.where(np.isnan(found), seen, found)
    standing = grid.values[:, grid.base]
    found = np.where(np.isnan(found), standing, found)
    return np.where(np.isnan(standing), np.nan, found)


def sensitivity_inputs(grid: DenseGrid) -> SensitivityInputs:
    """Return the inputs of the variants; a cell that a form cannot take is left out, not an error.

    (The error of the method stands in the list of infeasible cells; see ``btg.uncertainty``.)
    """
    method, n_dimensions = grid.method, grid.dimension.height
    labels = Labels(grid.region_codes, grid.indicator_ids, grid.years)
    values = transform(grid.values, grid.transforms, labels=labels)
    base_values = {
        "method": values[:, grid.base],
        "nearest": transform(nearest_base(grid), grid.transforms, labels=labels),
    }
    population = np.where(grid.is_municipality, grid.region["population_base"].to_numpy(), np.nan)
    nation = str(grid.region.filter(pl.col("region_level") == "land")["region_code"][0])
    rulers = build_rulers(
        base_values,
        is_municipality=grid.is_municipality,
        population=population,
        nation=grid.region_codes.index(nation),
        stored=ruler_from_frame(grid.indicator, grid.indicator_ids),
        clip=(method["clip_lower_share"], method["clip_upper_share"]),
        labels=labels,
    )
    return SensitivityInputs(
        region_codes=grid.region_codes,
        years=grid.years,
        indicator_ids=grid.indicator_ids,
        dimension_ids=list(grid.dimension["dimension_id"]),
        values=values,
        base_values=base_values,
        is_carried=grid.is_carried,
        is_matched=grid.is_matched,
        polarity=grid.indicator["polarity"].to_numpy(),
        structure=grid.structure,
        common_set=common_set(
            values,
            is_municipality=grid.is_municipality,
            must_have=grid.region["is_twente"].to_numpy(),
            min_share=method["common_set_share"],
        ),
        is_municipality=grid.is_municipality,
        population=population,
        rulers=rulers,
        is_index_year=grid.is_index_year,
        national_region=nation,
        base_year=grid.years[grid.base],
        min_indicator_share=method["dimension_coverage_share"],
        min_dimension_share=method["index_min_dimensions"] / n_dimensions,
        min_matched_dimension_share=method["change_min_dimensions"] / n_dimensions,
        infeasible="leave_out",
    )


def in_years(inputs: SensitivityInputs, kept: BoolArray) -> SensitivityInputs:
    """Return the inputs of some years only; the base year is always among them."""
    chosen = np.array(kept, dtype=np.bool_)
    chosen[inputs.base] = True
    return replace(
        inputs,
        years=[year for year, is_kept in zip(inputs.years, chosen, strict=True) if is_kept],
        values=inputs.values[:, chosen],
        is_carried=inputs.is_carried[:, chosen],
        is_matched=inputs.is_matched[:, chosen],
        common_set=inputs.common_set[chosen],
        is_index_year=inputs.is_index_year[chosen],
    )
