"""Properties of the models as a whole (method, par. 8), on a catalogue of eleven indicators.

The indicators are of every kind: yearly and in waves, counts, ratios, relative, logarithmic, a
single wave, one that few municipalities have, and one with a break of definition.
"""

from dataclasses import dataclass, replace
from math import fsum

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from btg import build, pipeline, rebase, sqlrun, warehouse
from btg.baseline import empty_baseline
from btg.build import Inputs
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import MeasureRef
from btg.settings import Settings

KINDS = (
    "inkomen_mediaan",
    "vermogen_mediaan",
    "goed_ervaren_gezondheid",
    "roken",
    "afstand_huisarts",
    "tevreden_leven",
    "stress",
    "opkomst_tweede_kamer",
    "huisprijs_inkomen",
    "woninginbraak",
    "broeikasgas",
)
TARGETS = (
    "intermediate.indicator_score",
    "intermediate.dimension_score",
    "intermediate.index_candidate",
    "intermediate.change_weight",
)
CELL = ["region_code", "year", "indicator_id"]
FIXED = ("observed", "interpolated", "substituted")
few = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Small:
    """A catalogue of few indicators with the cells that it needs, and a way to build from cells."""

    catalogue: Catalogue
    inputs: Inputs
    settings: Settings

    def build(self, inputs: Inputs, ruler: pl.DataFrame | None = None) -> "Built":
        """Return the relations from these inputs; on a given ruler, or on their own."""
        con = warehouse.open_build()
        try:
            frozen = empty_baseline() if ruler is None else ruler
            build.load_inputs(con, self.catalogue, inputs, frozen)
            models = sqlrun.in_order(sqlrun.load_models(con, self.settings.sql_dir), TARGETS)
            names = [model.relation for model in models]
            half = names.index("intermediate.indicator_value") + 1
            sqlrun.materialise(con, models[:half])
            own = rebase.compute_baseline(con, self.catalogue)
            warehouse.load(con, "catalogue.baseline", own if ruler is None else ruler)
            sqlrun.materialise(con, models[half:])
            return Built(own, *(_plain(con, name) for name in TARGETS))
        finally:
            con.close()


@dataclass(frozen=True)
class Built:
    """What a build gives, every frame in the order of its keys."""

    ruler: pl.DataFrame
    indicator: pl.DataFrame
    dimension: pl.DataFrame
    index: pl.DataFrame
    change: pl.DataFrame

    def frames(self) -> dict[str, pl.DataFrame]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _plain(con: warehouse.Connection, name: str) -> pl.DataFrame:
    """Return a relation with codes as text, sorted by its keys."""
    frame = warehouse.frame(con, f"from {name}")
    frame = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    keys = ("region_code", "year", "dimension_id", "indicator_id")
    return frame.sort([column for column in keys if column in frame.columns])


@pytest.fixture(scope="module")
def small(published: Settings, catalogue: Catalogue) -> Small:
    chosen = [i for i in catalogue.indicators if i.id in KINDS]
    number: dict[str, int] = {}
    for indicator in chosen:
        number[indicator.dimension] = number.get(indicator.dimension, 0) + indicator.in_index
    indicators = tuple(
        i.model_copy(update={"weight": 1 / number[i.dimension] if i.in_index else 0.0})
        for i in chosen
    )
    dimensions = tuple(
        d.model_copy(update={"weight": 1 / len(number)})
        for d in catalogue.dimensions
        if d.id in number
    )
    method = {"index_min_dimensions": 4, "change_min_dimensions": 3}
    reduced = replace(
        catalogue,
        indicators=indicators,
        dimensions=dimensions,
        exclusions=tuple(e for e in catalogue.exclusions if e.dimension in number),
        method=catalogue.method.model_copy(update=method),
    )
    refs = [i.numerator for i in indicators]
    refs += [i.denominator for i in indicators if isinstance(i.denominator, MeasureRef)]
    refs += [ref for series in catalogue.support for ref in series.measures]
    needed = pl.DataFrame(
        {"table_id": [r.table for r in refs], "measure_id": [r.measure for r in refs]}
    ).unique()
    workspace = pipeline.Workspace(published, catalogue)
    inputs = build.read_inputs(catalogue, pipeline.in_use(workspace, None))
    cell = inputs.cell.join(needed, on=["table_id", "measure_id"], how="semi")
    return Small(reduced, replace(inputs, cell=cell), published)


@pytest.fixture(scope="module")
def reference(small: Small) -> Built:
    return small.build(small.inputs)


def close(one: pl.DataFrame, other: pl.DataFrame, columns: list[str]) -> bool:
    """Return whether columns of two frames with the same rows agree to 1e-9, nulls included."""
    return all(
        one[column].is_null().equals(other[column].is_null())
        and float((one[column] - other[column]).abs().max() or 0) < 1e-9
        for column in columns
    )


# ---- the order of what comes in


@settings(few, max_examples=1)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_nothing(small: Small, reference: Built, seed: int) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1.0, shuffle=True, seed=seed)

    inputs = small.inputs
    turned = replace(
        inputs,
        cell=shuffled(inputs.cell),
        period=shuffled(inputs.period),
        area=shuffled(inputs.area),
        accepted=shuffled(inputs.accepted),
    )
    again = small.build(turned)
    columns = {
        "ruler": ["m", "s", "clip_lo", "clip_hi"],
        "indicator": ["value", "score"],
        "dimension": ["score", "coverage_share"],
        "index": ["score", "common_set_score"],
        "change": ["weight_in_index", "change", "national_change"],
    }
    for name, frame in again.frames().items():
        assert close(frame, reference.frames()[name], columns[name]), name
    for column in ("cell_status", "missing_reason", "obs_first_year", "obs_last_year", "route"):
        assert again.indicator[column].equals(reference.indicator[column]), column


# ---- units


@few
@given(
    name=st.sampled_from([k for k in KINDS if k != "afstand_huisarts"]),
    factor=st.sampled_from([0.001, 0.01, 100.0, 1000.0]),
)
def test_a_change_of_unit_leaves_every_score_as_it_was(
    small: Small, reference: Built, name: str, factor: float
) -> None:
    ref = next(i.numerator for i in small.catalogue.indicators if i.id == name)
    is_series = (pl.col("table_id") == ref.table) & (pl.col("measure_id") == ref.measure)
    value = pl.when(is_series).then(pl.col("value") * factor).otherwise(pl.col("value"))
    other = small.build(replace(small.inputs, cell=small.inputs.cell.with_columns(value)))
    assert close(other.indicator, reference.indicator, ["score"])
    assert close(other.dimension, reference.dimension, ["score"])
    assert close(other.index, reference.index, ["score", "common_set_score"])
    assert close(other.change, reference.change, ["change", "weight_in_index"])
    values = other.indicator.filter(pl.col("indicator_id") == name)["value"]
    before = reference.indicator.filter(pl.col("indicator_id") == name)["value"]
    is_relative = next(i.relative for i in small.catalogue.indicators if i.id == name)
    assert (values.drop_nulls()[0] != before.drop_nulls()[0]) is not is_relative


# ---- a year is added


def with_a_year(small: Small, inputs: Inputs, names: set[str], year: int, growth: float) -> Inputs:
    """Return inputs in which the newest figures of some indicators are repeated for a new year."""
    cell, period = inputs.cell, inputs.period
    for indicator in (i for i in small.catalogue.indicators if i.id in names):
        table = indicator.numerator.table
        refs = [indicator.numerator, indicator.denominator]
        measures = [r.measure for r in refs if isinstance(r, MeasureRef) and r.table == table]
        own = cell.filter((pl.col("table_id") == table) & pl.col("measure_id").is_in(measures))
        newest = own.filter(pl.col("value").is_not_null() & (pl.col("year") == own["year"].max()))
        old_key = str(newest["period_key"][0])
        new_key = old_key.replace(str(newest["year"][0]), str(year))
        more = newest.with_columns(
            pl.lit(new_key).alias("period_key"),
            pl.lit(year, dtype=cell.schema["year"]).alias("year"),
            pl.when(pl.col("measure_id") == indicator.numerator.measure)
            .then(pl.col("value") * growth)
            .otherwise(pl.col("value"))
            .alias("value"),
        )
        status = period.filter(
            (pl.col("table_id") == table)
            & pl.col("measure_id").is_in(measures)
            & (pl.col("period_key") == old_key)
        ).with_columns(pl.lit(new_key).alias("period_key"))
        cell, period = pl.concat([cell, more]), pl.concat([period, status])
    return replace(inputs, cell=cell, period=period)


def both(reference: Built, later: Built) -> pl.DataFrame:
    """Return the cells of the old grid with what became of them, columns with ``_later``."""
    columns = [*CELL, "value", "score", "cell_status", "obs_first_year", "obs_last_year"]
    return reference.indicator.select(columns).join(
        later.indicator.select(columns), on=CELL, how="left", suffix="_later", validate="1:1"
    )


def is_same(column: str) -> pl.Expr:
    return pl.col(column).eq_missing(pl.col(f"{column}_later"))


@few
@given(
    names=st.sets(
        st.sampled_from(
            ["inkomen_mediaan", "vermogen_mediaan", "roken", "stress", "tevreden_leven",
             "broeikasgas"]
        ),
        min_size=3,
    ),
    year=st.sampled_from([2023, 2024]),
    growth=st.floats(0.8, 1.2),
)  # fmt: skip
def test_a_year_that_is_added_moves_no_ruler_and_only_cells_that_were_carried(
    small: Small, reference: Built, names: set[str], year: int, growth: float
) -> None:
    inputs = with_a_year(small, small.inputs, names, year, growth)
    later = small.build(inputs, reference.ruler)
    assert later.ruler.equals(reference.ruler)
    frame = both(reference, later)
    assert frame["cell_status_later"].null_count() == 0
    municipal = frame.filter(pl.col("region_code").str.starts_with("GM"))

    fixed = municipal.filter(pl.col("cell_status").is_in(FIXED))
    unchanged = [is_same(c) for c in ("value", "score", "cell_status", "obs_last_year")]
    assert fixed.filter(~pl.all_horizontal(unchanged)).height == 0

    moved = municipal.filter(~is_same("value") & pl.col("value").is_not_null())
    assert set(moved["cell_status"].to_list()) <= {"carried"}
    before_the_year = moved.filter(pl.col("year") < year)
    assert set(before_the_year["cell_status_later"].to_list()) <= {"interpolated"}

    # a larger region moves only where one of its municipalities does
    restless = municipal.filter(~pl.all_horizontal(unchanged)).select("indicator_id", "year")
    larger = frame.filter(~pl.col("region_code").str.starts_with("GM"))
    calm = larger.join(restless.unique(), on=["indicator_id", "year"], how="anti")
    assert calm.filter(~pl.all_horizontal(unchanged)).height == 0
    assert calm.filter(pl.col("year") == 2019)["score"].drop_nulls().len() > 0


def test_a_year_that_is_added_after_a_gap_does_not_move_the_netherlands_of_2019(
    small: Small,
) -> None:
    gap = (
        (pl.col("measure_id") == "tevreden_leven")
        & (pl.col("region_key") == "GM0363")
        & (pl.col("year") > 2019)
    )
    before = replace(small.inputs, cell=small.inputs.cell.filter(~gap))
    after = with_a_year(small, before, {"tevreden_leven"}, 2023, 1.0)
    amsterdam = small.inputs.cell.filter(gap & (pl.col("year") == 2022)).with_columns(
        pl.lit("2023").alias("period_key"),
        pl.lit(2023, dtype=small.inputs.cell.schema["year"]).alias("year"),
    )
    after = replace(after, cell=pl.concat([after.cell, amsterdam]))
    frozen = small.build(before)
    built = small.build(after, frozen.ruler)
    netherlands = (pl.col("region_code") == "NL01") & (pl.col("indicator_id") == "tevreden_leven")
    base = netherlands & (pl.col("year") == 2019)
    assert built.indicator.filter(base).equals(frozen.indicator.filter(base))
    # on a ruler of its own Amsterdam would have joined: the frozen set is what keeps it out
    free = small.build(after)
    assert not free.indicator.filter(base)["value"].equals(frozen.indicator.filter(base)["value"])
    assert not free.ruler.equals(frozen.ruler)


# ---- what is missing


@few
@given(
    name=st.sampled_from(["inkomen_mediaan", "vermogen_mediaan", "roken"]),
    code=st.sampled_from(["GM0153", "GM0168", "GM0363", "GM1742"]),
)
def test_a_missing_indicator_leaves_the_mean_of_the_others_and_never_acts_as_zero(
    small: Small, reference: Built, name: str, code: str
) -> None:
    indicator = next(i for i in small.catalogue.indicators if i.id == name)
    gone = (
        (pl.col("table_id") == indicator.numerator.table)
        & (pl.col("measure_id") == indicator.numerator.measure)
        & (pl.col("region_key").str.strip_chars() == code)
    )
    cell = small.inputs.cell.filter(~gone)
    assert cell.height < small.inputs.cell.height
    without = small.build(replace(small.inputs, cell=cell), reference.ruler)

    own = pl.col("region_code") == code
    lost = without.indicator.filter(own & (pl.col("indicator_id") == name))
    assert lost["score"].null_count() == lost.height
    others = [
        i.id
        for i in small.catalogue.indicators
        if i.dimension == indicator.dimension and i.in_index and i.id != name
    ]
    assert len(others) == 1
    alone = without.indicator.filter(own & (pl.col("indicator_id") == others[0]))
    dimension = without.dimension.filter(own & (pl.col("dimension_id") == indicator.dimension))
    # the other one holds half of the weight: alone it carries the dimension
    assert close(dimension, alone, ["score"])
    assert set(dimension.filter(pl.col("score").is_not_null())["coverage_share"]) == {0.5}
    if not indicator.relative:
        elsewhere = pl.col("region_code").str.starts_with("GM") & ~own
        assert without.indicator.filter(elsewhere).equals(reference.indicator.filter(elsewhere))


# ---- contributions


def test_contributions_sum_to_the_matched_change_of_the_dimensions(
    small: Small, reference: Built
) -> None:
    weights = {d.id: d.weight for d in small.catalogue.dimensions}
    matched = reference.change.filter(pl.col("weight_in_index").is_not_null())
    assert matched["region_code"].n_unique() > 300
    for (_, _), group in matched.group_by("region_code", "year"):
        parts: dict[str, list[tuple[float, float, float]]] = {}
        for row in group.iter_rows(named=True):
            cells = (row["weight_in_index"], row["weight_in_dimension"], row["change"])
            parts.setdefault(row["dimension_id"], []).append(cells)
        changes = {d: fsum(w * change for _, w, change in cells) for d, cells in parts.items()}
        total = fsum(weights[d] for d in changes)
        expected = fsum(weights[d] / total * change for d, change in changes.items())
        found = fsum(w * change for cells in parts.values() for w, _, change in cells)
        assert abs(found - expected) < 1e-9
        assert abs(fsum(w for cells in parts.values() for w, _, _ in cells) - 1) < 1e-12


def test_an_indicator_without_weight_contributes_nothing(reference: Built) -> None:
    context = reference.indicator.filter(~pl.col("in_index"))
    assert context["indicator_id"].n_unique() == 1
    assert context["score"].null_count() == context.height
    assert set(context["indicator_id"]) & set(reference.change["indicator_id"]) == set()


def test_a_better_value_never_lowers_a_score(small: Small, reference: Built) -> None:
    polarity = {i.id: i.polarity for i in small.catalogue.indicators}
    scored = reference.indicator.filter(pl.col("score").is_not_null())
    for (name,), group in scored.group_by("indicator_id"):
        better = group.sort("value", descending=polarity[str(name)] < 0)
        steps = better["score"].diff().drop_nulls()
        assert steps.len() > 0
        assert float(steps.min()) >= -1e-9  # type: ignore[arg-type]
