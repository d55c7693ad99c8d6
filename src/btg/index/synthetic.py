"""Seeded made-up inputs of realistic size, for benchmarks and tests; never published."""

from collections.abc import Sequence

import numpy as np

from btg.index.arrays import BoolArray, FloatArray, IntArray, Labels
from btg.index.change import Structure, matched_set
from btg.index.variants import SensitivityInputs, build_rulers, common_set
from btg.index.weights import weights_within

BASE_YEAR = 2019


def synthetic_inputs(
    *,
    n_municipalities: int = 342,
    n_indicators: int = 35,
    n_dimensions: int = 11,
    years: Sequence[int] = tuple(range(2015, 2025)),
    missing_share: float = 0.05,
    seed: int = 1,
) -> SensitivityInputs:
    """Inputs with one national row last, some missing series and correlated dimensions.

    Scores are a common factor plus a dimension, an indicator and a year part, so that principal
    components exist; every indicator misses ``missing_share`` of the municipalities in all years.
    """
    rng = np.random.default_rng(seed)
    n_years, n_regions = len(years), n_municipalities + 1
    dimension_of: IntArray = np.sort(np.arange(n_indicators) % n_dimensions).astype(np.int64)
    population = np.append(rng.lognormal(10.3, 0.8, n_municipalities), np.nan)
    values = _values(rng, n_municipalities, n_years, dimension_of, n_dimensions)
    lost = rng.random((n_municipalities, n_indicators)) < missing_share
    lost[:14] = False
    lost[:, :: max(2, n_indicators // 12)] = False  # the common set
    values[:-1][np.broadcast_to(lost[:, None, :], values[:-1].shape)] = np.nan
    weights = population[:-1, None, None] * ~np.isnan(values[:-1])
    values[-1] = np.nansum(weights * values[:-1], axis=0) / weights.sum(axis=0)
    is_municipality: BoolArray = np.arange(n_regions) < n_municipalities
    names = tuple(f"indicator_{i:02d}" for i in range(n_indicators))
    codes = (*(f"GM{i:04d}" for i in range(n_municipalities)), "NL01")
    base = list(years).index(BASE_YEAR)
    nearest = values[:, base] + rng.normal(0.0, 0.05, values[:, base].shape)
    base_values = {"method": values[:, base].copy(), "nearest": nearest}
    rulers = build_rulers(
        base_values,
        is_municipality=is_municipality,
        population=population,
        nation=n_municipalities,
        labels=Labels(codes, names),
    )
    observed_year = np.broadcast_to(
        np.asarray(years, dtype=np.float64)[None, :, None], values.shape
    )
    of = dimension_of.astype(np.str_).tolist()
    return SensitivityInputs(
        region_codes=codes,
        years=tuple(years),
        indicator_ids=names,
        dimension_ids=tuple(f"dimension_{d:02d}" for d in range(n_dimensions)),
        values=values,
        base_values=base_values,
        is_carried=_last_year_carried(values, rng),
        is_matched=matched_set(
            values, observed_year, observed_year, years=years, base_year=BASE_YEAR
        ),
        polarity=np.where(rng.random(n_indicators) < 0.4, -1.0, 1.0),
        structure=Structure(
            dimension_of,
            weights_within(np.ones(n_indicators), of),
            np.full(n_dimensions, 1.0 / n_dimensions),
        ),
        common_set=common_set(
            values, is_municipality=is_municipality, must_have=np.arange(n_regions) < 14
        ),
        is_municipality=is_municipality,
        population=population,
        rulers=rulers,
        is_index_year=np.ones(n_years, dtype=np.bool_),
    )


def _values(
    rng: np.random.Generator,
    n_municipalities: int,
    n_years: int,
    dimension_of: IntArray,
    n_dimensions: int,
) -> FloatArray:
    """g(x) [n_municipalities + 1, n_years, n_indicators]; the last row is filled by the caller."""
    common = rng.normal(size=(n_municipalities, 1, 1))
    dimension = rng.normal(size=(n_municipalities, 1, n_dimensions))[..., dimension_of]
    own = rng.normal(size=(n_municipalities, 1, dimension_of.size))
    course = rng.normal(0.0, 0.1, (n_municipalities, n_years, dimension_of.size)).cumsum(axis=1)
    values = np.full((n_municipalities + 1, n_years, dimension_of.size), np.nan)
    values[:-1] = 50.0 + 2.0 * common + 2.0 * dimension + 3.0 * own + course
    return values


def _last_year_carried(values: FloatArray, rng: np.random.Generator) -> BoolArray:
    carried = np.zeros(values.shape, dtype=np.bool_)
    carried[:, -1, :] = rng.random(values.shape[-1]) < 0.3
    return carried
