"""How sure every result is: method intervals and standard errors, computed from a build.

Reads relations of the build that do not depend on it (``build.COMPUTED_FROM``), returns frames that
are loaded as ``uncertainty.*`` and joined by the marts. Method, par. 7; the method itself is in
:mod:`btg.index.variants` (what a variant is) and :mod:`btg.index.precision` (standard errors).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from btg import warehouse
from btg.errors import MethodError
from btg.index.arrays import BoolArray, FloatArray
from btg.index.frames import to_dense
from btg.index.precision import (
    change_error,
    empirical_error,
    poisson_error,
    propagated_error,
    score_error,
)
from btg.index.scenarios import (
    leave_one_out,
    scenario_frame,
    scenarios,
    weight_draw_frame,
    weight_draws,
)
from btg.index.sensitivity import (
    dimension_signs,
    factorial,
    indicator_signs,
    interval_frame,
    sensitivity_frame,
)
from btg.index.variants import (
    DEFAULT_VARIANT,
    FACTORS,
    SensitivityInputs,
    design,
    dimension_ends,
    feasible,
    scaled_values,
)
from btg.uncertainty import course
from btg.uncertainty.variant_inputs import DenseGrid, in_years, read_grid, sensitivity_inputs

FACTOR_COLUMNS = {
    "form": "form",
    "weights": "weight_rule",
    "set": "indicator_set",
    "ruler": "ruler_weighting",
    "base": "base_rule",
}
"""Column of meta.variant per factor of the design."""

CHANGE_WEIGHT = """
select cast(region_code as varchar) as region_code, year,
    cast(indicator_id as varchar) as indicator_id, weight_in_dimension, weight_in_index
from intermediate.change_weight
"""
POPULATION = """
select cast(support.region_code as varchar) as region_code, support.year,
    'population' as indicator_id, support.value
from intermediate.support as support
inner join meta.index_year as index_year on support.year = index_year.year
where support.series_id = (select population_weight from catalogue.method)
    and support.region_code like 'GM%'
"""
MEMBERSHIP = """
select cast(region_code as varchar) as region_code,
    cast(municipality_code as varchar) as municipality_code
from staging.membership
"""


def compute(con: warehouse.Connection) -> dict[str, pl.DataFrame]:
    """Return the relations of the schema ``uncertainty``, by name, from a build.

    ``interval`` (region, year), ``change`` (region, year, level, item), ``sensitivity`` (year,
    output, factor), ``scenario`` and ``scenario_loss``, ``weight_draw`` (region, year), ``variant``
    and ``infeasible`` (what a form cannot take), ``trend`` (region, year, indicator) and
    ``alternative_base`` (base, region, year, level, item). Deterministic.
    """
    grid = read_grid(con, "build")
    inputs = sensitivity_inputs(grid)
    indexed = in_years(inputs, inputs.is_index_year)
    result = factorial(indexed)
    alternatives = [*scenarios(indexed), *leave_one_out(indexed)]
    scores, losses = scenario_frame(indexed, iter(alternatives))
    draws = weight_draws(
        indexed,
        n_draws=grid.method["weight_draws"],
        seed=grid.method["random_seed"],
        concentration=grid.method["weight_draw_concentration"],
    )
    interval = interval_frame(result)
    frames = {
        "interval": interval,
        "change": pl.concat(
            [
                _index_changes(interval, errors := change_errors(con, grid), grid),
                _dimension_changes(inputs, result.dimension_improved,
                                   result.dimension_worsened, errors, grid),
                _indicator_changes(inputs, errors, grid),
            ]
        ),
        "sensitivity": sensitivity_frame(result),
        "scenario": scores,
        "scenario_loss": losses,
        "weight_draw": weight_draw_frame(indexed, draws),
        "variant": variant_frame(),
        "infeasible": infeasible_frame(indexed),
        "trend": course.trend_frame(grid),
        "alternative_base": course.alternative_base_frame(con, grid),
    }  # fmt: skip
    return {f"uncertainty.{name}": frame for name, frame in frames.items()}


def variant_frame() -> pl.DataFrame:
    """The 120 variants: variant_id, one column per factor, is_default."""
    return pl.DataFrame(
        [
            {
                "variant_id": chosen.variant_id,
                **{column: getattr(chosen, name) for name, column in FACTOR_COLUMNS.items()},
                "is_default": chosen.variant_id == DEFAULT_VARIANT,
            }
            for chosen in design()
        ]
    )


def infeasible_frame(inputs: SensitivityInputs) -> pl.DataFrame:
    """What goalposts put at 0 or below in an index year: region_code, year, level, item_id,
    base_rule, goalpost_score.

    A geometric mean and the AMPI penalty do not exist over it (method, par. 7: an error). Single
    indicators, and dimensions whose AMPI penalty exceeds their mean. The variants with these forms
    are then missing for that region and year: no interval, no share.
    """
    rows = []
    for base in FACTORS["base"]:
        scaled = scaled_values(inputs, "ampi_goalposts", "population", base)
        names: Sequence[str] = inputs.indicator_ids
        rows += _below_zero(inputs, scaled, "indicator", names, base)
        ends = [dimension_ends(inputs, scaled, "ampi_goalposts", s) for s in FACTORS["set"]]
        arrays = [feasible(array) for e in ends for array in (e.level, e.at_base, e.at_end)]
        lowest = np.fmin.reduce([np.broadcast_to(a, ends[0].level.shape) for a in arrays])
        rows += _below_zero(inputs, lowest, "dimension", inputs.dimension_ids, base)
    schema = {
        "region_code": pl.String,
        "year": pl.Int64,
        "level": pl.String,
        "item_id": pl.String,
        "base_rule": pl.String,
        "goalpost_score": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _below_zero(
    inputs: SensitivityInputs, scores: FloatArray, level: str, names: Sequence[str], base: str
) -> list[tuple[str, int, str, str, str, float]]:
    shown = (scores <= 0) & inputs.is_index_year[None, :, None]
    return [
        (
            inputs.region_codes[r],
            int(inputs.years[y]),
            level,
            names[i],
            base,
            float(scores[r, y, i]),
        )
        for r, y, i in np.argwhere(shown).tolist()
    ]


# --- data uncertainty ---


@dataclass(frozen=True)
class ChangeErrors:
    """Standard errors of the matched change, NaN where unknown, and the share of weight known.

    ``indicator`` [R, Y, I]; ``dimension`` and ``dimension_known`` [R, Y, D]; ``index`` and
    ``index_known`` [R, Y]. Unit: points of the score.
    """

    indicator: FloatArray
    dimension: FloatArray
    dimension_known: FloatArray
    index: FloatArray
    index_known: FloatArray


def value_errors(con: warehouse.Connection, grid: DenseGrid) -> FloatArray:
    """Standard error of every value by the error model of its indicator: [R, Y, I], in its unit.

    ``none``: 0. ``poisson``: sqrt(max(count, 1)) * persons / inhabitants, count = value *
    inhabitants / persons. ``empirical``: sqrt(mean(d^2) / 6) over second differences d of the
    observed municipal series; for a larger region times sqrt(sum(w^2)), w its members' share of the
    inhabitants. ``unknown`` and ``published_margin`` (the figures hold no margins): NaN.
    A filled value has the error of an observed one. Raises ``MethodError`` on a unit that is no
    rate per ``error_rate_persons`` under ``poisson``.
    """
    population, concentration = _inhabitants(con, grid)
    errors = np.full(grid.values.shape, np.nan)
    persons = float(grid.method["error_rate_persons"])
    municipal = np.where(grid.is_observed, grid.values, np.nan)[grid.is_municipality]
    empirical = empirical_error(municipal)
    for i, row in enumerate(grid.indicator.iter_rows(named=True)):
        if row["error_model"] == "none":
            errors[..., i] = 0.0
        elif row["error_model"] == "empirical":
            errors[..., i] = (empirical[i] * concentration)[:, None]
        elif row["error_model"] == "poisson":
            if not row["unit"].startswith(f"per {persons:,.0f} ".replace(",", " ")):
                raise MethodError(
                    f"{row['indicator_id']}: error model poisson with unit {row['unit']!r}: the "
                    f"count behind it is only known for a rate per {persons:g} inhabitants"
                )
            counts = grid.values[..., i] * population / persons
            errors[..., i] = poisson_error(counts, persons / population)
    return np.where(np.isnan(grid.values), np.nan, errors)


def change_errors(con: warehouse.Connection, grid: DenseGrid) -> ChangeErrors:
    """Standard errors of the changes since the base year of indicators, dimensions and index.

    Score: spread * |g'(x)| * se(x) / s; change: sqrt(se_t^2 + se_base^2); dimension and index:
    sqrt(sum(w^2 se^2)) over the known errors with the weights of the matched change.
    """
    scores = score_error(
        grid.values,
        value_errors(con, grid),
        grid.transforms,
        grid.indicator["s"].to_numpy(),
        spread=grid.method["score_spread"],
    )
    of_change = change_error(scores, base=grid.base)
    single = np.where(grid.is_matched, of_change, np.nan)
    weights = warehouse.frame(con, CHANGE_WEIGHT)
    inner, outer = (
        np.nan_to_num(
            to_dense(
                weights,
                regions=grid.region_codes,
                years=grid.years,
                indicators=grid.indicator_ids,
                column=column,
            )
        )
        for column in ("weight_in_dimension", "weight_in_index")
    )
    members = [grid.structure.members(d) for d in range(grid.dimension.height)]
    by_dimension = [propagated_error(single[..., m], inner[..., m]) for m in members]
    index, index_known = propagated_error(single, outer)
    return ChangeErrors(
        indicator=single,
        dimension=np.stack([error for error, _ in by_dimension], axis=-1),
        dimension_known=np.stack([known for _, known in by_dimension], axis=-1),
        index=index,
        index_known=index_known,
    )


def _inhabitants(con: warehouse.Connection, grid: DenseGrid) -> tuple[FloatArray, FloatArray]:
    """Inhabitants [R, Y], and sqrt(sum(w^2)) [R] over the members of each region (1: itself)."""
    codes = grid.region_codes
    municipal = to_dense(
        warehouse.frame(con, POPULATION),
        regions=codes,
        years=grid.years,
        indicators=["population"],
    )[..., 0]
    member = np.zeros((len(codes), len(codes)))
    position = {code: place for place, code in enumerate(codes)}
    for larger, code in warehouse.frame(con, MEMBERSHIP).iter_rows():
        member[position[larger], position[code]] = 1.0
    own = np.flatnonzero(grid.is_municipality)
    member[own, own] = 1.0
    # a member without a figure makes the sum unknown
    lacking = member @ np.isnan(municipal)
    total = np.where(lacking > 0, np.nan, member @ np.nan_to_num(municipal))
    shares = member * np.where(grid.is_municipality, grid.region["population_base"].to_numpy(), 0.0)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return total, np.sqrt((shares * shares).sum(axis=1))


# --- frames of changes ---


def _index_changes(interval: pl.DataFrame, errors: ChangeErrors, grid: DenseGrid) -> pl.DataFrame:
    arrays = {
        "standard_error": errors.index[..., None],
        "error_known_share": errors.index_known[..., None],
    }
    return (
        _changes(grid, "index", ["index"], arrays)
        .join(
            interval.select("region_code", "year", "share_improved", "share_worsened"),
            on=["region_code", "year"],
            how="left",
            validate="1:1",
        )
        .select(_CHANGE_COLUMNS)
    )


def _dimension_changes(
    inputs: SensitivityInputs,
    improved: FloatArray,
    worsened: FloatArray,
    errors: ChangeErrors,
    grid: DenseGrid,
) -> pl.DataFrame:
    """Index years come with the design; the other years need the dimensions only."""
    outside = in_years(inputs, ~inputs.is_index_year)
    further = dimension_signs(outside)
    shares = []
    for known, other in ((improved, further[0]), (worsened, further[1])):
        whole = np.full((len(grid.region_codes), len(grid.years), known.shape[-1]), np.nan)
        whole[:, _places(outside, grid)] = other
        whole[:, _places(in_years(inputs, inputs.is_index_year), grid)] = known
        shares.append(whole)
    arrays = {
        "standard_error": errors.dimension,
        "error_known_share": errors.dimension_known,
        "share_improved": shares[0],
        "share_worsened": shares[1],
    }
    return _changes(grid, "dimension", list(inputs.dimension_ids), arrays)


def _indicator_changes(
    inputs: SensitivityInputs, errors: ChangeErrors, grid: DenseGrid
) -> pl.DataFrame:
    improved, worsened = indicator_signs(inputs)
    known: BoolArray = ~np.isnan(errors.indicator)
    arrays = {
        "standard_error": errors.indicator,
        "error_known_share": np.where(inputs.is_matched, known, np.nan),
        "share_improved": improved,
        "share_worsened": worsened,
    }
    return _changes(grid, "indicator", list(inputs.indicator_ids), arrays)


_CHANGE_COLUMNS = [
    "region_code",
    "year",
    "level",
    "item_id",
    "standard_error",
    "error_known_share",
    "share_improved",
    "share_worsened",
]


def _places(inputs: SensitivityInputs, grid: DenseGrid) -> list[int]:
    return [grid.years.index(year) for year in inputs.years]


def _changes(
    grid: DenseGrid, level: str, items: list[str], arrays: Mapping[str, FloatArray]
) -> pl.DataFrame:
    """Arrays [R, Y, n] as one row per region, year and item; NaN becomes null."""
    n_regions, n_years, n_items = len(grid.region_codes), len(grid.years), len(items)
    place = np.arange(n_regions * n_years * n_items)
    frame = pl.DataFrame(
        {
            "region_code": pl.Series(grid.region_codes)[place // (n_years * n_items)],
            "year": np.asarray(grid.years, dtype=np.int64)[place // n_items % n_years],
            "level": level,
            "item_id": pl.Series(items)[place % n_items],
            **{name: array.ravel() for name, array in arrays.items()},
        }
    )
    known = [name for name in _CHANGE_COLUMNS if name in frame.columns]
    return frame.select(known).with_columns(pl.col(list(arrays)).fill_nan(None))
