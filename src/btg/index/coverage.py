"""What the index of a region and year rests on: the weight that each cell really has in it.

Arrays are [n_regions, n_years, n_indicators], NaN = missing. The shares travel with the index:
observed, imputed, provisional.
"""

import numpy as np

from btg.index.arrays import TOLERANCE, BoolArray, FloatArray, ordered_sum
from btg.index.change import Structure


def cell_weights(
    values: FloatArray,
    structure: Structure,
    *,
    min_indicator_share: float = 0.5,
    min_dimension_share: float = 9 / 11,
) -> FloatArray:
    """Effective weight of every cell in the index of its region and year; sum 1 over indicators.

    (W_d / sum of W over the dimensions present) * (w_i / sum of w over the indicators present in
    d), 0 for a missing cell and for the cells of a dimension with less than
    ``min_indicator_share`` of its weight. NaN for the whole row where fewer than
    ``min_dimension_share`` of the number of dimensions are present.
    """
    weights, of = structure.indicator_weights, structure.dimension_of
    n_dimensions = structure.dimension_weights.size
    kept = np.where(np.isnan(values), 0.0, weights)
    inner = np.zeros((*values.shape[:-1], n_dimensions))
    for d in range(n_dimensions):
        inner[..., d] = ordered_sum(kept[..., structure.members(d)])
    exists = (inner >= min_indicator_share - TOLERANCE) & (inner > 0)
    outer = np.where(exists, structure.dimension_weights, 0.0)
    enough = exists.mean(axis=-1) >= min_dimension_share - TOLERANCE
    total = np.where(enough, ordered_sum(outer), np.nan)
    share = np.divide(kept, inner[..., of], out=np.zeros(kept.shape), where=exists[..., of])
    effective: FloatArray = share * (outer / total[..., None])[..., of]
    return effective


def weight_share(effective: FloatArray, flagged: BoolArray) -> FloatArray:
    """Share of the effective weight on flagged cells (carried, provisional): [..., n] -> [...].

    NaN where there is no index.
    """
    return ordered_sum(np.where(flagged | np.isnan(effective), effective, 0.0))


def index_years(
    index: FloatArray,
    dimensions: FloatArray,
    national_observed_share: FloatArray,
    *,
    is_municipality: BoolArray,
    min_national_share: float = 0.5,
    min_municipality_share: float = 0.9,
) -> BoolArray:
    """Years in which an index is published: [n_years].

    At least ``min_national_share`` of the national weight is observed or interpolated
    (``national_observed_share`` [n_years]), and at least ``min_municipality_share`` of the
    municipalities have an index (``index`` [n_regions, n_years]) and each of the dimensions
    (``dimensions`` [n_regions, n_years, n_dimensions]).
    """
    have_index: FloatArray = (~np.isnan(index[is_municipality])).mean(axis=0)
    have_each: FloatArray = (~np.isnan(dimensions[is_municipality])).mean(axis=0).min(axis=-1)
    years: BoolArray = (
        (national_observed_share >= min_national_share - TOLERANCE)
        & (have_index >= min_municipality_share - TOLERANCE)
        & (have_each >= min_municipality_share - TOLERANCE)
    )
    return years
