"""Computes the ruler of a method version; ``btg rebase`` is the only one that calls it.

A nightly run reads the frozen ruler (``baseline.py``) and never moves it.
"""

import hashlib
from typing import Any

import numpy as np
import polars as pl

from btg import warehouse
from btg.baseline import BASELINE_SCHEMA
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator
from btg.errors import MethodError
from btg.index.arrays import FloatArray, Labels
from btg.index.ruler import fit_ruler
from btg.index.transforms import transform
from btg.index.treatment import choose_transform, moments

TRANSFORMS = ("identity", "log", "sqrt")


def compute_baseline(con: warehouse.Connection, catalogue: Catalogue) -> pl.DataFrame:
    """Return the ruler of every index indicator from the base-year values of the build.

    m = g(value of the Netherlands), s = population-weighted standard deviation of g(x) over all
    municipalities after clipping the baseline distribution (method, par. 4). Raises
    ``MethodError`` naming the indicator where a base value is missing, a value does not fit the
    transform, the baseline is constant, or the JRC rule chooses another transform. The set of
    municipalities behind larger regions is frozen with it, as the few that are left out of it.
    """
    rows = [_ruler_of(con, catalogue, i) for i in catalogue.indicators if i.in_index]
    return pl.DataFrame(rows, schema=BASELINE_SCHEMA)


def _ruler_of(
    con: warehouse.Connection, catalogue: Catalogue, indicator: Indicator
) -> dict[str, Any]:
    base_year = catalogue.method.base_year
    frame = warehouse.frame(
        con,
        """
        select value.region_code, value.value, value.obs_first_year, value.obs_last_year,
            population_base.population
        from intermediate.indicator_value as value
        inner join intermediate.population_base as population_base
            on value.region_code = population_base.region_code
        where value.indicator_id = $indicator and value.year = $year and value.value is not null
        order by value.region_code
        """,
        {"indicator": indicator.id, "year": base_year},
    )
    national = warehouse.rows(
        con,
        """
        select value.value from intermediate.indicator_value as value
        inner join catalogue.region as region on value.region_code = region.region_code
        where value.indicator_id = $indicator and value.year = $year
            and region.region_level = 'land'
        """,
        {"indicator": indicator.id, "year": base_year},
    )
    if frame.height < 2 or not national or national[0][0] is None:
        raise MethodError(
            f"{indicator.id}: no base value for {base_year} "
            f"({frame.height} municipalities): it can only be context"
        )
    left_out = warehouse.rows(
        con,
        """
        select region_code from intermediate.population_base
        where region_code not in (
            select municipality_code from intermediate.aggregate_member
            where indicator_id = $indicator
        )
        order by cast(region_code as varchar)
        """,
        {"indicator": indicator.id},
    )
    return {
        **_fit(catalogue, indicator, frame, float(national[0][0])),
        "left_out_of_aggregates": " ".join(code for (code,) in left_out),
    }


def _fit(
    catalogue: Catalogue, indicator: Indicator, frame: pl.DataFrame, national: float
) -> dict[str, Any]:
    method = catalogue.method
    labels = Labels(regions=frame["region_code"].to_list(), indicators=[indicator.id])
    values = frame.select("value").to_numpy()
    chosen = choose_transform(values, TRANSFORMS, labels=labels)[0]
    if chosen != indicator.transform:
        raise MethodError(
            f"indicators/{indicator.dimension}.yml: {indicator.id} declares the transform "
            f"{indicator.transform!r}, the rule on the base-year distribution chooses {chosen!r}"
        )
    transformed = transform(values, chosen, labels=labels)
    ruler = fit_ruler(
        transformed,
        weights=frame["population"].to_numpy(),
        centre=_transform_one(national, chosen, labels),
        clip=(method.clip_lower_share, method.clip_upper_share),
        labels=labels,
    )
    skewness, kurtosis = moments(transformed, labels=labels)
    first = frame.get_column("obs_first_year").to_list()
    years = f"{min(first)}-{max(frame.get_column('obs_last_year').to_list())}"
    digest = hashlib.sha256(
        frame.select("region_code", "value", "population").write_csv().encode()
    ).hexdigest()
    return {
        "method_version": method.method_version,
        "indicator_id": indicator.id,
        "transform": chosen,
        "m": float(ruler.m[0]),
        "s": float(ruler.s[0]),
        "clip_lo": float(ruler.clip_lo[0]),
        "clip_hi": float(ruler.clip_hi[0]),
        "n_units": int(ruler.n_units[0]),
        "base_years": years,
        "skewness": float(skewness[0]),
        "kurtosis": float(kurtosis[0]),
        "input_hash": digest,
    }


def _transform_one(value: float, name: str, labels: Labels) -> FloatArray:
    single = Labels(regions=["NL01"], indicators=labels.indicators)
    transformed: FloatArray = transform(np.array([[value]]), name, labels=single)[0]
    return transformed
