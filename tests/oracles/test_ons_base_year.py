"""ONS Health Index 2015: the base-year ruler and the 100/10 scale."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, compose
from btg.index.arrays import FloatArray, Labels
from btg.index.normalise import base_year_score
from btg.index.ruler import fit_ruler
from btg.index.transforms import transform

Published = Callable[[str], pl.DataFrame]
TRANSFORMS = {"none": "identity", "cbrt": "cube_root"}


@pytest.fixture(scope="module")
def indicators(published: Published) -> pl.DataFrame:
    return published("ons_2015_indicators").select(
        "indicator",
        transform=pl.col("transform").replace(TRANSFORMS),
        polarity=pl.when(pl.col("polarity") == "reverse").then(-1).otherwise(1),
    )


@pytest.fixture(scope="module")
def areas(published: Published) -> pl.DataFrame:
    return published("ons_2015_values").sort("Area code")


@pytest.fixture(scope="module")
def expected(published: Published, indicators: pl.DataFrame) -> FloatArray:
    scores = published("ons_2015_scores").sort("Area code")
    return scores.select(indicators["indicator"].to_list()).to_numpy()


def test_published_base_year_scores_of_49_indicators_in_149_areas(
    areas: pl.DataFrame, indicators: pl.DataFrame, expected: FloatArray
) -> None:
    names = indicators["indicator"].to_list()
    labels = Labels(areas["Area code"].to_list(), names)
    values = areas.select(pl.col(names).cast(pl.Float64)).to_numpy()
    scaled = transform(values, indicators["transform"].to_list(), labels=labels)
    population = areas["population_2015"].cast(pl.Float64).to_numpy()
    ruler = fit_ruler(scaled, weights=population, clip=None, labels=labels)
    polarity = indicators["polarity"].cast(pl.Float64).to_numpy()
    scores = base_year_score(scaled, ruler, polarity=polarity)
    assert scores.shape == (149, 49)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)


def test_the_same_scores_from_long_frames(
    areas: pl.DataFrame, indicators: pl.DataFrame, expected: FloatArray
) -> None:
    names = indicators["indicator"].to_list()
    values = (
        areas.rename({"Area code": "region_code"})
        .select("region_code", pl.col(names).cast(pl.Float64))
        .unpivot(index="region_code", variable_name="indicator_id", value_name="value")
    )
    hierarchy = Hierarchy(
        indicators.select(
            indicator_id="indicator",
            parent_id=pl.lit("health"),
            transform="transform",
            polarity="polarity",
        ),
        pl.DataFrame({"dimension_id": ["health"], "parent_id": [None]}),
    )
    method = Method(
        normalisation={
            "rule": "base_year_score",
            "base_year": 2015,
            "clip_lower": 0.0,
            "clip_upper": 1.0,
        },
        weights="equal",
    )
    population = areas.select(region_code="Area code", population="population_2015")
    scores = compose(
        values.with_columns(year=pl.lit(2015)), hierarchy, method, population=population
    )
    wide = (
        scores.filter(pl.col("level") == "indicator")
        .pivot(on="item_id", index="region_code", values="score")
        .sort("region_code")
    )
    np.testing.assert_allclose(wide.select(names).to_numpy(), expected, rtol=0, atol=1e-9)
    index = scores.filter(pl.col("level") == "index").sort("region_code")["score"].to_numpy()
    np.testing.assert_allclose(index, expected.mean(axis=1), rtol=0, atol=1e-9)
