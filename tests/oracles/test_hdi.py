"""Human Development Index 1990-2022: fixed goalposts with caps, nested arithmetic and geometric."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, compose

HIERARCHY = Hierarchy(
    pl.DataFrame(
        {
            "indicator_id": ["le", "eys", "mys", "gnipc"],
            "parent_id": ["health", "education", "education", "living_standard"],
            "weight": [1.0, 0.5, 0.5, 1.0],
            "transform": ["identity", "identity", "identity", "log"],
            "lower": [20.0, 0.0, 0.0, 100.0],
            "upper": [85.0, 18.0, 15.0, 75_000.0],
        }
    ),
    pl.DataFrame(
        {
            "dimension_id": ["hdi", "health", "education", "living_standard"],
            "parent_id": [None, "hdi", "hdi", "hdi"],
            "weight": [None, 1 / 3, 1 / 3, 1 / 3],
            "aggregation": ["geometric", None, None, None],
        }
    ),
)
METHOD = Method(normalisation={"rule": "goalposts", "cap": "upper"}, aggregation="arithmetic")


def long(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.unpivot(
        on=HIERARCHY.indicator_ids,
        index=["region_code", "year"],
        variable_name="indicator_id",
        value_name="value",
    )


@pytest.fixture(scope="module")
def rows(published: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    return published("hdi").rename({"iso3": "region_code"})


@pytest.fixture(scope="module")
def computed(rows: pl.DataFrame) -> pl.DataFrame:
    return compose(long(rows), HIERARCHY, METHOD)


def test_all_published_values_at_three_decimals(rows: pl.DataFrame, computed: pl.DataFrame) -> None:
    both = rows.join(
        computed.filter(pl.col("item_id") == "hdi"),
        on=["region_code", "year"],
        how="left",
        validate="1:1",
    )
    assert both.height == 6171
    difference = np.abs(both["score"].to_numpy() - both["hdi"].to_numpy())
    assert difference.max() <= 0.0005 + 1e-12


@pytest.mark.parametrize(
    ("year", "hdi"), [(1990, 0.847), (2000, 0.892), (2010, 0.917), (2019, 0.941), (2022, 0.946)]
)
def test_netherlands(computed: pl.DataFrame, year: int, hdi: float) -> None:
    row = computed.filter(
        (pl.col("region_code") == "NLD") & (pl.col("year") == year) & (pl.col("item_id") == "hdi")
    )
    assert round(row["score"].item(), 3) == hdi


def test_log_contributions_of_the_netherlands_2010_to_2022(computed: pl.DataFrame) -> None:
    nld = computed.filter((pl.col("region_code") == "NLD") & pl.col("year").is_in([2010, 2022]))
    logs = {
        item: np.diff(np.log(part.sort("year")["score"].to_numpy()))[0]
        for (item,), part in nld.filter(pl.col("level") != "indicator").group_by("item_id")
    }
    parts = [logs["health"] / 3, logs["education"] / 3, logs["living_standard"] / 3]
    assert np.round(parts, 6).tolist() == [0.008827, 0.017602, 0.005555]
    assert sum(parts) == pytest.approx(logs["hdi"], abs=1e-12)


def test_example_of_the_technical_notes() -> None:
    values = pl.DataFrame(
        {
            "region_code": ["X"] * 3,
            "indicator_id": ["a", "b", "c"],
            "value": [0.6971, 0.3447, 0.5506],
        }
    )
    hierarchy = Hierarchy(
        pl.DataFrame({"indicator_id": ["a", "b", "c"], "parent_id": ["hdi"] * 3}),
        pl.DataFrame({"dimension_id": ["hdi"], "parent_id": [None]}),
    )
    method = Method(normalisation="none", weights="equal", aggregation="geometric")
    scores = compose(values, hierarchy, method)
    assert round(scores.filter(pl.col("level") == "index")["score"].item(), 3) == 0.510
