import numpy as np
import polars as pl
import pytest

from btg.index import Hierarchy, Method, MethodError, compose, effective_weights
from btg.index.hierarchy import nodes
from btg.index.method import NORMALISATIONS
from btg.index.ruler import fit_ruler

INDICATORS = pl.DataFrame(
    {
        "indicator_id": ["a", "b", "c"],
        "parent_id": ["x", "x", "index"],
        "weight": [0.25, 0.75, 0.5],
    }
)
DIMENSIONS = pl.DataFrame(
    {"dimension_id": ["index", "x"], "parent_id": [None, "index"], "weight": [None, 0.5]}
)
HIERARCHY = Hierarchy(INDICATORS, DIMENSIONS)
VALUES = pl.DataFrame(
    {
        "region_code": ["p"] * 3 + ["q"] * 3,
        "indicator_id": ["a", "b", "c"] * 2,
        "value": [4.0, 8.0, 1.0, 2.0, None, 3.0],
    }
)


def scored(frame: pl.DataFrame, region: str, item: str) -> float | None:
    row = frame.filter((pl.col("region_code") == region) & (pl.col("item_id") == item))
    return row["score"].item()


# --- composition ---


def test_uneven_depth_by_hand() -> None:
    found = compose(VALUES, HIERARCHY, Method("none"))
    assert scored(found, "p", "x") == 0.25 * 4 + 0.75 * 8
    assert scored(found, "p", "index") == 0.5 * 7 + 0.5 * 1
    assert scored(found, "q", "index") is None
    assert found.columns == [
        "region_code", "item_id", "parent_id", "level", "score", "coverage_share",
        "indicator_coverage_share", "null_reason",
    ]  # fmt: skip
    assert found["level"].to_list()[:5] == ["indicator"] * 3 + ["index", "dimension"]


def test_missing_values_are_renormalised_or_null_with_a_reason() -> None:
    lenient = Method("none", missing={"rule": "renormalise", "min_coverage_share": 0.25})
    found = compose(VALUES, HIERARCHY, lenient)
    assert scored(found, "q", "x") == 2.0
    assert scored(found, "q", "index") == 2.5
    strict = Method("none", missing={"rule": "renormalise", "min_coverage_share": 0.5})
    found = compose(VALUES, HIERARCHY, strict)
    rows = {row["item_id"]: row for row in found.filter(region_code="q").to_dicts()}
    assert rows["b"]["null_reason"] == "null_in_source"
    assert rows["x"]["null_reason"] == "below_coverage"
    assert rows["x"]["coverage_share"] == 0.25
    assert rows["index"]["score"] == 3.0
    assert rows["index"]["null_reason"] is None
    assert rows["index"]["coverage_share"] == 0.5
    assert rows["index"]["indicator_coverage_share"] == 0.5  # what x lacks is not used
    lenient_rows = {
        row["item_id"]: row
        for row in compose(VALUES, HIERARCHY, lenient).filter(region_code="q").to_dicts()
    }
    assert lenient_rows["index"]["coverage_share"] == 1.0
    assert lenient_rows["index"]["indicator_coverage_share"] == 0.5 * 0.25 + 0.5


def test_a_dimension_may_have_its_own_threshold_and_aggregation() -> None:
    dimensions = DIMENSIONS.with_columns(
        min_coverage_share=pl.Series([None, 0.2]), aggregation=pl.Series(["geometric", None])
    )
    method = Method("none", missing={"rule": "renormalise", "min_coverage_share": 0.5})
    found = compose(VALUES, Hierarchy(INDICATORS, dimensions), method)
    assert scored(found, "q", "x") == 2.0
    assert scored(found, "q", "index") == pytest.approx(np.sqrt(2.0 * 3.0))


def test_absent_and_null_rows_are_the_same() -> None:
    absent = VALUES.filter(pl.col("value").is_not_null())
    method = Method("none", missing={"rule": "renormalise", "min_coverage_share": 0.1})
    assert compose(absent, HIERARCHY, method).equals(compose(VALUES, HIERARCHY, method))


def test_reference_all_year_or_base_year() -> None:
    values = pl.DataFrame(
        {
            "region_code": ["p", "q"] * 2,
            "year": [2019, 2019, 2020, 2020],
            "indicator_id": ["a"] * 4,
            "value": [0.0, 10.0, 5.0, 20.0],
        }
    )
    one = Hierarchy(
        pl.DataFrame({"indicator_id": ["a"], "parent_id": ["index"]}),
        pl.DataFrame({"dimension_id": ["index"], "parent_id": [None]}),
    )
    expected = {
        "all": [0.0, 50.0, 25.0, 100.0],
        "year": [0.0, 100.0, 0.0, 100.0],
        "base_year": [0.0, 100.0, 50.0, 200.0],
    }
    for reference, scores in expected.items():
        rule = {"rule": "min_max", "reference": reference}
        if reference == "base_year":
            rule["base_year"] = 2019  # type: ignore[assignment]
        found = compose(values, one, Method(rule, weights="equal"))
        table = found.filter(pl.col("item_id") == "index").sort("year", "region_code")
        assert table["score"].to_list() == scores, reference


@pytest.mark.parametrize("aggregation", ["copeland", "borda"])
def test_rankings_are_within_each_year(aggregation: str) -> None:
    rng = np.random.default_rng(2)
    values = pl.DataFrame(
        {
            "region_code": [r for r in "pqrs" for _ in range(6)],
            "year": [2019, 2019, 2019, 2020, 2020, 2020] * 4,
            "indicator_id": ["a", "b", "c"] * 8,
            "value": rng.normal(size=24),
        }
    )
    flat = Hierarchy(
        pl.DataFrame({"indicator_id": ["a", "b", "c"], "parent_id": ["index"] * 3}),
        pl.DataFrame({"dimension_id": ["index"], "parent_id": [None]}),
    )
    method = Method("none", weights="equal", aggregation=aggregation)
    both = compose(values, flat, method)
    alone = compose(values.filter(pl.col("year") == 2020), flat, method)
    assert both.filter(pl.col("year") == 2020).equals(alone)


@pytest.mark.parametrize("rule", sorted(set(NORMALISATIONS) - {"ruler_score"}))
def test_every_normalisation_can_be_named(rule: str) -> None:
    columns = {
        "lower": [0.0] * 3, "upper": [10.0] * 3, "target": [10.0] * 3, "origin": [0.5] * 3,
    }  # fmt: skip
    needed = [*NORMALISATIONS[rule].needed, *NORMALISATIONS[rule].optional]
    table = INDICATORS.with_columns(
        **{name: pl.Series(columns[name]) for name in needed if name in columns}
    )
    full = VALUES.with_columns(pl.col("value").fill_null(5.0), year=pl.lit(2019))
    record = {"rule": rule}
    if rule == "base_year_score":
        record |= {"base_year": 2019, "clip_lower": 0.0, "clip_upper": 1.0}
    found = compose(full, Hierarchy(table, DIMENSIONS), Method(record))
    assert found["score"].null_count() == 0


# --- errors ---


def test_the_values_are_checked() -> None:
    with pytest.raises(MethodError, match=r"'a', region 'p'.*twice"):
        compose(pl.concat([VALUES, VALUES]), HIERARCHY, Method("none"))
    with pytest.raises(MethodError, match=r"indicator 'd'.*unknown indicator_id"):
        compose(VALUES.with_columns(indicator_id=pl.lit("d")).vstack(VALUES), HIERARCHY,
                Method("none"))  # fmt: skip
    with pytest.raises(MethodError, match=r"'c'.*no value"):
        compose(VALUES.filter(pl.col("indicator_id") != "c"), HIERARCHY, Method("none"))
    nan = VALUES.with_columns(value=pl.lit(float("nan")))
    with pytest.raises(MethodError, match=r"'a', region 'p'.*must be null"):
        compose(nan, HIERARCHY, Method("none"))
    with pytest.raises(MethodError, match="'unit'"):
        compose(VALUES.with_columns(unit=pl.lit("%")), HIERARCHY, Method("none"))
    with pytest.raises(MethodError, match="region_code"):
        compose(VALUES.with_columns(region_code=pl.lit(None)), HIERARCHY, Method("none"))


def test_arguments_and_columns_that_the_method_does_not_use_are_errors() -> None:
    people = pl.DataFrame({"region_code": ["p", "q"], "population": [1, 2]})
    with pytest.raises(MethodError, match="population"):
        compose(VALUES, HIERARCHY, Method("min_max"), population=people)
    ruler = fit_ruler(np.random.default_rng(1).normal(size=(5, 3)))
    with pytest.raises(MethodError, match="ruler"):
        compose(VALUES, HIERARCHY, Method("min_max"), ruler=ruler)
    with pytest.raises(MethodError, match="ruler"):
        compose(VALUES, HIERARCHY, Method("ruler_score"))
    with pytest.raises(MethodError, match="other indicators"):
        compose(VALUES, HIERARCHY, Method("ruler_score"), ruler=ruler)
    table = INDICATORS.with_columns(lower=pl.lit(0.0))
    with pytest.raises(MethodError, match=r"'lower'.*not used"):
        compose(VALUES, Hierarchy(table, DIMENSIONS), Method("min_max"))
    with pytest.raises(MethodError, match=r"'upper'.*needed"):
        compose(VALUES, Hierarchy(table, DIMENSIONS), Method("goalposts"))
    flipped = INDICATORS.with_columns(polarity=pl.lit(-1))
    with pytest.raises(MethodError, match=r"'a'.*polarity"):
        compose(VALUES, Hierarchy(flipped, DIMENSIONS), Method("none"))
    own = DIMENSIONS.with_columns(min_coverage_share=pl.Series([None, 0.2]))
    with pytest.raises(MethodError, match=r"'x'.*not used"):
        compose(VALUES, Hierarchy(INDICATORS, own), Method("none"))


def test_the_population_belongs_to_regions_of_the_base_year() -> None:
    dated = VALUES.with_columns(year=pl.lit(2019))
    method = Method({"rule": "base_year_score", "base_year": 2019})
    people = pl.DataFrame({"region_code": ["p", "z"], "population": [1, 2]})
    with pytest.raises(MethodError, match="region 'z'"):
        compose(dated, HIERARCHY, method, population=people)
    with pytest.raises(MethodError, match="twice"):
        compose(dated, HIERARCHY, method, population=pl.concat([people, people]))
    with pytest.raises(MethodError, match="base_year"):
        compose(dated.with_columns(year=pl.lit(2018)), HIERARCHY, method)
    centred = Method({"rule": "base_year_score", "base_year": 2019, "centre_region": "NL01"})
    with pytest.raises(MethodError, match="region 'NL01'"):
        compose(dated, HIERARCHY, centred)


# --- hierarchy and method record ---


@pytest.mark.parametrize(
    ("indicators", "dimensions", "message"),
    [
        ({"parent_id": ["x", "y", "index"]}, {}, "'b'.*unknown parent 'y'"),
        ({"indicator_id": ["a", "a", "c"]}, {}, "'a'.*twice"),
        ({"parent_id": ["index"] * 3}, {}, "'x'.*no children"),
        ({"parent_id": [None, "x", "index"]}, {}, "'a'.*no parent"),
        ({}, {"parent_id": [None, None]}, "one dimension without parent"),
        ({}, {"parent_id": ["x", "index"]}, "one dimension without parent"),
    ],
)
def test_a_wrong_hierarchy_is_an_error(
    indicators: dict[str, list[str]], dimensions: dict[str, list[str]], message: str
) -> None:
    changed = [
        table.with_columns(**{key: pl.Series(column) for key, column in change.items()})
        for table, change in ((INDICATORS, indicators), (DIMENSIONS, dimensions))
    ]
    with pytest.raises(MethodError, match=message):
        Hierarchy(*changed)


def test_a_circle_of_dimensions_is_an_error() -> None:
    dimensions = pl.DataFrame({"dimension_id": ["index", "x", "y"], "parent_id": [None, "y", "x"]})
    with pytest.raises(MethodError, match="ancestor"):
        Hierarchy(INDICATORS.drop("weight"), dimensions)


def test_unknown_columns_and_unused_weights_are_errors() -> None:
    with pytest.raises(MethodError, match="'wieght'"):
        Hierarchy(INDICATORS.rename({"weight": "wieght"}), DIMENSIONS)
    with pytest.raises(MethodError, match="equal"):
        nodes(HIERARCHY, "equal")
    with pytest.raises(MethodError, match="'weight'"):
        nodes(Hierarchy(INDICATORS.drop("weight"), DIMENSIONS.drop("weight")), "given")
    rooted = DIMENSIONS.with_columns(weight=pl.Series([1.0, 0.5]))
    with pytest.raises(MethodError, match=r"'index'.*root"):
        nodes(Hierarchy(INDICATORS, rooted))
    lacking = INDICATORS.with_columns(weight=pl.Series([None, 0.75, 0.5]))
    with pytest.raises(MethodError, match=r"'a'.*weight is missing"):
        nodes(Hierarchy(lacking, DIMENSIONS))
    wrong = DIMENSIONS.with_columns(aggregation=pl.Series([None, "median"]))
    with pytest.raises(MethodError, match=r"'x'.*unknown aggregation 'median'"):
        nodes(Hierarchy(INDICATORS, wrong))


def test_weights_of_one_parent_must_sum_to_1() -> None:
    wrong = INDICATORS.with_columns(weight=pl.Series([0.25, 0.70, 0.5]))
    with pytest.raises(MethodError, match=r"a, b.*0.95, not 1"):
        compose(VALUES, Hierarchy(wrong, DIMENSIONS), Method("none"))
    relative = Hierarchy(
        INDICATORS.with_columns(weight=pl.Series([1.0, 3.0, 8.0])),
        DIMENSIONS.with_columns(weight=pl.Series([None, 8.0])),
    )
    found = compose(VALUES, relative, Method("none", weights="relative"))
    assert scored(found, "p", "index") == 4.0


def test_effective_weights_multiply_along_the_way() -> None:
    found = dict(effective_weights(HIERARCHY).select("item_id", "effective_weight").iter_rows())
    assert found == {"a": 0.125, "b": 0.375, "c": 0.5, "index": 1.0, "x": 0.5}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"normalisation": "zscore"}, "unknown rule 'zscore'"),
        ({"normalisation": {"rule": "min_max", "lo": 1}}, "normalisation.lo"),
        ({"normalisation": {"rule": "goalposts", "reference": "all"}}, "normalisation.reference"),
        ({"normalisation": {"rule": "min_max", "base_year": 2019}}, "normalisation.base_year"),
        ({"normalisation": {"rule": "min_max", "reference": "base_year"}}, "base_year"),
        ({"normalisation": {"rule": "min_max", "reference": "first"}}, "normalisation.reference"),
        ({"normalisation": {"rule": "min_max", "low": "1"}}, "normalisation.low"),
        ({"normalisation": {"rule": "rank", "best_is_first": 1}}, "best_is_first"),
        ({"normalisation": "base_year_score"}, "normalisation.base_year"),
        ({"normalisation": "none", "missing": "renormalise"}, "min_coverage_share"),
        ({"normalisation": "none", "missing": {"rule": "complete", "min_coverage_share": 1.0}},
         "missing.min_coverage_share"),
        ({"normalisation": "none", "colour": "red"}, "colour"),
        ({"aggregation": "arithmetic"}, "normalisation"),
        ({"normalisation": "none", "aggregation": {"rule": "ampi", "sign": 1}}, "aggregation.sign"),
        ({"normalisation": {"low": 1.0}}, "unknown rule None"),
    ],
)  # fmt: skip
def test_the_method_record_is_checked(record: dict[str, object], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        Method.from_record(record)  # type: ignore[arg-type]
