"""ONS Health Index 2015-2019: an equal-weight hierarchy of three levels over five years."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, compose

ROUNDING = 0.1  # the published subdomains have one decimal


@pytest.fixture(scope="module")
def table(published: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    return published("ons_regions_published")


@pytest.fixture(scope="module")
def computed(table: pl.DataFrame) -> pl.DataFrame:
    subdomains = table.filter(pl.col("level") == "subdomain")
    hierarchy = Hierarchy(
        subdomains.select(indicator_id="code", parent_id="parent").unique().sort("indicator_id"),
        table.filter(pl.col("level") != "subdomain")
        .select(dimension_id="code", parent_id="parent")
        .unique()
        .sort("dimension_id"),
    )
    values = subdomains.select("year", "value", region_code="area", indicator_id="code")
    return compose(values, hierarchy, Method(normalisation="none", weights="equal"))


def test_domains_and_overall_within_the_rounding_of_the_inputs(
    table: pl.DataFrame, computed: pl.DataFrame
) -> None:
    both = table.filter(pl.col("level") != "subdomain").join(
        computed,
        left_on=["area", "year", "code"],
        right_on=["region_code", "year", "item_id"],
        how="inner",
        validate="1:1",
    )
    assert both.height == 10 * 5 * 4
    np.testing.assert_allclose(
        both["score"].to_numpy(), both["value"].to_numpy(), rtol=0, atol=ROUNDING
    )


def test_change_since_the_base_year_of_england(computed: pl.DataFrame) -> None:
    overall = computed.filter(
        (pl.col("item_id") == "Overall") & (pl.col("region_code") == "E92000001")
    )
    by_year = dict(overall.select("year", "score").iter_rows())
    assert by_year[2015] == pytest.approx(100.0, abs=1e-9)
    assert by_year[2019] - by_year[2015] == pytest.approx(0.1, abs=ROUNDING)
