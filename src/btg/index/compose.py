"""Any composite index from long values, two small tables and one method record.

The Human Development Index, as a worked example (UNDP technical note 1: fixed goalposts, capped at
1, education the arithmetic mean of two indicators, the index the geometric mean of three)::

    indicators = pl.DataFrame({
        "indicator_id": ["life_expectancy", "expected_schooling", "mean_schooling", "income"],
        "parent_id": ["health", "education", "education", "living_standard"],
        "weight": [1.0, 0.5, 0.5, 1.0],
        "transform": ["identity", "identity", "identity", "log"],
        "lower": [20.0, 0.0, 0.0, 100.0],          # goalposts in the unit of the values:
        "upper": [85.0, 18.0, 15.0, 75_000.0],     # they are transformed like the values
    })
    dimensions = pl.DataFrame({
        "dimension_id": ["hdi", "health", "education", "living_standard"],
        "parent_id": [None, "hdi", "hdi", "hdi"],
        "weight": [None, 1 / 3, 1 / 3, 1 / 3],
        "aggregation": ["geometric", None, None, None],   # overrides the method for the root
    })
    method = Method(
        normalisation={"rule": "goalposts", "cap": "upper"},
        aggregation="arithmetic",
        missing="complete",
    )
    scores = compose(values, Hierarchy(indicators, dimensions), method)
    scores.filter(pl.col("item_id") == "hdi")      # Netherlands 2022: 0.946

Steps, in this order: transform, treatment of outliers, normalisation (polarity included),
aggregation from the deepest dimension to the root with the missing rule at every dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from btg.index import normalise
from btg.index.aggregate import AGGREGATIONS, CROSS_SECTION
from btg.index.arrays import BoolArray, FloatArray, IntArray, Labels, ordered_sum, require
from btg.index.errors import IndexMethodError
from btg.index.frames import to_dense
from btg.index.hierarchy import PARAMETERS, Hierarchy, Node, nodes
from btg.index.method import Method, Step
from btg.index.missing import present_weights
from btg.index.ruler import Ruler, fit_ruler
from btg.index.transforms import transform
from btg.index.treatment import treat_jrc, winsorise

VALUE_COLUMNS = ("region_code", "year", "indicator_id", "value")


@dataclass(frozen=True)
class Cells:
    """Region-years as rows, indicators as columns: ``values`` [n_rows, n], NaN = missing."""

    values: FloatArray
    region_codes: list[str]
    years: IntArray
    indicator_ids: list[str]

    @property
    def labels(self) -> Labels:
        """Names for error messages."""
        return Labels(self.region_codes, self.indicator_ids, row_years=self.years.tolist())


@dataclass(frozen=True)
class RolledUp:
    """Scores and both coverages of all items, [n_rows, n_items], in the order of the tables."""

    scores: FloatArray
    coverage: FloatArray
    indicator_coverage: FloatArray


def compose(
    values: pl.DataFrame,
    hierarchy: Hierarchy,
    method: Method,
    *,
    population: pl.DataFrame | None = None,
    ruler: Ruler | None = None,
) -> pl.DataFrame:
    """Scores of every indicator, dimension and the index, for every region and year given.

    ``values``: region_code, indicator_id, value (null or absent = missing) and optionally year.
    ``population`` (region_code, population) only with "base_year_score": the regions that make the
    ruler and their weight. ``ruler`` only with "ruler_score": the stored ruler, on the scale of the
    transformed values, for all indicators in the order of the hierarchy.

    Returns region_code, year (if given), item_id, parent_id, level ("indicator", "dimension",
    "index"), score, coverage_share (weight of the children present; their number by_count),
    indicator_coverage_share (weight of the indicators below that are present and used), null_reason
    ("null_in_source", "below_coverage"), sorted by region, year and the order of the tables.
    Errors (:class:`~btg.index.errors.IndexMethodError`) name indicator, region and setting; no cell
    is dropped or set to zero.
    """
    cells = _cells(values, hierarchy)
    _check_arguments(method, population, ruler)
    scaled, parameters = _transformed(cells, hierarchy, method)
    treated = _treated(scaled, method.step("treatment"))
    polarity = _numbers(hierarchy, "polarity", 1.0)
    step = method.step("normalisation")
    scores = _normalised(treated, step, parameters, polarity, population, ruler)
    rolled = _rolled_up(scores, treated, hierarchy, method)
    return _long(rolled, cells, hierarchy, with_year="year" in values.columns)


# --- the border ---


def _cells(values: pl.DataFrame, hierarchy: Hierarchy) -> Cells:
    for column in values.columns:
        if column not in VALUE_COLUMNS:
            raise IndexMethodError(f"unknown column; known: {VALUE_COLUMNS}", setting=column)
    for column in ("region_code", "indicator_id", "value"):
        if column not in values.columns:
            raise IndexMethodError("missing in the values", setting=column)
    dated = values if "year" in values.columns else values.with_columns(year=pl.lit(0))
    for column in ("region_code", "year", "indicator_id"):
        if dated[column].null_count():
            raise IndexMethodError("a key is null", setting=column)
    known = dated.filter(pl.col("value").is_not_null())
    regions = sorted(dated["region_code"].unique().to_list())
    years = sorted(dated["year"].unique().to_list())
    ids = hierarchy.indicator_ids
    for name in ids:
        if name not in set(known["indicator_id"].to_list()):
            raise IndexMethodError("no value for any region", indicator=name)
    dense = to_dense(dated, regions=regions, years=years, indicators=ids)
    pairs = dated.select("region_code", "year").unique().sort("region_code", "year")
    row = {code: position for position, code in enumerate(regions)}
    column_of = {year: position for position, year in enumerate(years)}
    kept_regions, kept_years = pairs["region_code"].to_list(), pairs["year"].to_list()
    rows = np.array([row[code] for code in kept_regions], dtype=np.int64)
    columns = np.array([column_of[year] for year in kept_years], dtype=np.int64)
    return Cells(dense[rows, columns], kept_regions, np.array(kept_years, dtype=np.int64), ids)


def _check_arguments(method: Method, population: pl.DataFrame | None, ruler: Ruler | None) -> None:
    rule = method.step("normalisation").rule
    if population is not None and rule != "base_year_score":
        raise IndexMethodError(f"not used by {rule!r}", setting="population")
    if (ruler is not None) != (rule == "ruler_score"):
        raise IndexMethodError("goes with 'ruler_score', and only with it", setting="ruler")


def _numbers(hierarchy: Hierarchy, column: str, default: float) -> FloatArray:
    """A column of the table of indicators as [n]; the default where the column is absent."""
    if column not in hierarchy.indicators.columns:
        return np.full(len(hierarchy.indicator_ids), default)
    numbers = hierarchy.indicators[column].cast(pl.Float64).to_numpy()
    labels = Labels(indicators=hierarchy.indicator_ids)
    require(np.isfinite(numbers), f"{column} is missing in the table of indicators", labels)
    return numbers


def _long(rolled: RolledUp, cells: Cells, hierarchy: Hierarchy, with_year: bool) -> pl.DataFrame:
    table = rolled.scores
    items = [*hierarchy.indicator_ids, *hierarchy.dimension_ids]
    n_rows, n_items, n_indicators = table.shape[0], len(items), len(hierarchy.indicator_ids)
    levels = ["indicator"] * n_indicators
    levels += ["index" if name == hierarchy.root else "dimension" for name in items[n_indicators:]]
    reasons = ["null_in_source"] * n_indicators + ["below_coverage"] * (n_items - n_indicators)
    frame = pl.DataFrame(
        {
            "region_code": np.repeat(np.asarray(cells.region_codes, dtype=object), n_items),
            "year": np.repeat(cells.years, n_items),
            "item_id": items * n_rows,
            "parent_id": [hierarchy.parents[name] for name in items] * n_rows,
            "level": levels * n_rows,
            "score": table.ravel(),
            "coverage_share": rolled.coverage.ravel(),
            "indicator_coverage_share": rolled.indicator_coverage.ravel(),
            "null_reason": reasons * n_rows,
        },
        schema_overrides={"region_code": pl.String, "parent_id": pl.String},
    ).with_columns(
        pl.col("score").fill_nan(None),
        null_reason=pl.when(pl.col("score").is_nan()).then(pl.col("null_reason")),
    )
    return frame if with_year else frame.drop("year")


# --- transform and treatment ---


def _transformed(
    cells: Cells, hierarchy: Hierarchy, method: Method
) -> tuple[Cells, dict[str, FloatArray]]:
    """Values and the stated parameters (goalposts, targets) on the scale of g(x)."""
    table, step = hierarchy.indicators, method.step("normalisation")
    for column in PARAMETERS:
        if column in table.columns and column not in step.needed + step.optional:
            raise IndexMethodError(f"column not used by {step.rule!r}", setting=column)
    for column in step.needed:
        if column not in table.columns:
            raise IndexMethodError(f"column needed by {step.rule!r}", setting=column)
    names = ["identity"] * table.height
    if "transform" in table.columns:
        names = ["identity" if name is None else str(name) for name in table["transform"]]
    labels = Labels(indicators=hierarchy.indicator_ids)
    stated = [name for name in step.needed + step.optional if name in table.columns]
    parameters = {
        name: transform(_numbers(hierarchy, name, 0.0), names, labels=labels) for name in stated
    }
    scaled = transform(cells.values, names, labels=cells.labels)
    return replace(cells, values=scaled), parameters


def _groups(
    cells: Cells, reference: str, base_year: int | None
) -> list[tuple[BoolArray, BoolArray]]:
    """Pairs (rows to compute, rows that are their reference)."""
    everything = np.ones(cells.years.size, dtype=np.bool_)
    if reference == "all":
        return [(everything, everything)]
    if reference == "year":
        return [(cells.years == year, cells.years == year) for year in np.unique(cells.years)]
    base = cells.years == base_year
    if not base.any():
        raise IndexMethodError(f"no value in {base_year}", setting="base_year")
    return [(everything, base)]


def _by_group(
    cells: Cells,
    reference: str,
    base_year: int | None,
    rule: Callable[[FloatArray, FloatArray, Labels], FloatArray],
) -> FloatArray:
    """``rule(values, reference values, labels)`` applied group by group."""
    result = np.empty(cells.values.shape)
    for rows, basis in _groups(cells, reference, base_year):
        chosen = np.flatnonzero(rows)
        labels = Labels(
            [cells.region_codes[i] for i in chosen],
            cells.indicator_ids,
            row_years=cells.years[rows].tolist(),
        )
        result[rows] = rule(cells.values[rows], cells.values[basis], labels)
    return result


def _treated(cells: Cells, step: Step) -> Cells:
    if step.rule == "none":
        return cells
    settings = {key: value for key, value in step.settings.items() if key != "reference"}

    def apply(values: FloatArray, basis: FloatArray, labels: Labels) -> FloatArray:
        if step.rule == "jrc":
            return treat_jrc(values, labels=labels, **settings).values
        return winsorise(values, labels=labels, **settings)[0]

    return replace(cells, values=_by_group(cells, step.settings["reference"], None, apply))


# --- normalisation ---


def _normalised(
    cells: Cells,
    step: Step,
    parameters: dict[str, FloatArray],
    polarity: FloatArray,
    population: pl.DataFrame | None,
    ruler: Ruler | None,
) -> FloatArray:
    """Scores [n_rows, n] by the rule of the method."""
    settings, rule = dict(step.settings), step.rule
    reference = settings.pop("reference", "year")
    base_year = settings.pop("base_year", None)
    common = {"polarity": polarity, **settings, **parameters}
    if rule == "none":
        labels = Labels(indicators=cells.indicator_ids)
        require(polarity > 0, "polarity -1 is not used without normalisation", labels)
        return cells.values
    if rule in ("base_year_score", "ruler_score"):
        if ruler is None:
            ruler = _fitted(cells, settings, base_year, population)
        scale = {key: settings[key] for key in ("centre", "spread")}
        _check_ruler(ruler, cells)
        return normalise.base_year_score(cells.values, ruler, polarity=polarity, **scale)
    if rule in ("percentile_rank", "rank"):
        plain = normalise.rank if rule == "rank" else normalise.percentile_rank
        return _by_group(
            cells, "year", None, lambda values, _, labels: plain(values, labels=labels, **common)
        )
    if rule in ("sample_z", "min_max", "percentile_on_reference"):
        function = getattr(normalise, rule)
        return _by_group(
            cells,
            reference,
            base_year,
            lambda values, basis, labels: function(
                values, reference=basis, labels=Labels(indicators=labels.indicators), **common
            ),
        )
    fixed: Callable[..., FloatArray] = getattr(normalise, rule)
    return fixed(cells.values, labels=cells.labels, **common)


def _check_ruler(ruler: Ruler, cells: Cells) -> None:
    if list(ruler.indicator_ids) != cells.indicator_ids:
        raise IndexMethodError("the ruler has other indicators than the hierarchy", setting="ruler")


def _fitted(
    cells: Cells, settings: dict[str, object], base_year: int, population: pl.DataFrame | None
) -> Ruler:
    """The ruler from the base-year rows of the regions with a population (or of all others)."""
    ((_, base),) = _groups(cells, "base_year", base_year)
    rows = {cells.region_codes[i]: int(i) for i in np.flatnonzero(base)}
    centre_region = settings["centre_region"]
    centre = None
    if centre_region is not None:
        if centre_region not in rows:
            raise IndexMethodError(f"no value in {base_year}", region=str(centre_region))
        centre = cells.values[rows[str(centre_region)]]
    if population is None:
        chosen = [code for code in rows if code != centre_region]
        weights = None
    else:
        if population["region_code"].is_duplicated().any():
            raise IndexMethodError("a region occurs twice", setting="population")
        chosen = [str(code) for code in population["region_code"]]
        weights = population["population"].cast(pl.Float64).to_numpy()
    absent = [code for code in chosen if code not in rows]
    if absent:
        raise IndexMethodError(f"no value in {base_year}", region=absent[0])
    clip = (float(str(settings["clip_lower"])), float(str(settings["clip_upper"])))
    return fit_ruler(
        cells.values[[rows[code] for code in chosen]],
        weights=weights,
        centre=centre,
        clip=None if clip == (0.0, 1.0) else clip,
        labels=Labels(chosen, cells.indicator_ids),
    )


# --- aggregation ---


def _rolled_up(scores: FloatArray, cells: Cells, hierarchy: Hierarchy, method: Method) -> RolledUp:
    """Every dimension computed from its children, the deepest first."""
    ids = cells.indicator_ids
    found = {name: scores[:, i] for i, name in enumerate(ids)}
    share = {name: (~np.isnan(scores[:, i])).astype(np.float64) for i, name in enumerate(ids)}
    below = dict(share)
    for node in nodes(hierarchy, method.step("weights").rule):
        children = np.column_stack([found[child] for child in node.children])
        labels = Labels(cells.region_codes, node.children, row_years=cells.years.tolist())
        found[node.item_id], share[node.item_id] = _node_score(
            children, node, method, cells.years, labels
        )
        under = np.column_stack([below[child] for child in node.children])
        below[node.item_id] = ordered_sum(np.where(np.isnan(children), 0.0, node.weights * under))
    order = [*ids, *hierarchy.dimension_ids]
    scored, covered, indicators = (
        np.column_stack([part[name] for name in order]) for part in (found, share, below)
    )
    return RolledUp(scored, covered, indicators)


def _node_score(
    children: FloatArray, node: Node, method: Method, years: IntArray, labels: Labels
) -> tuple[FloatArray, FloatArray]:
    """One dimension from its children: the missing rule, then the aggregation."""
    missing, step = method.step("missing"), method.step("aggregation")
    min_share, by_count = 1.0, False
    if missing.rule == "renormalise":
        min_share, by_count = missing.settings["min_coverage_share"], missing.settings["by_count"]
    elif node.min_coverage_share is not None:
        raise IndexMethodError(
            "min_coverage_share is not used by the rule 'complete'", indicator=node.item_id
        )
    if node.min_coverage_share is not None:
        min_share = node.min_coverage_share
    weights, share = present_weights(children, node.weights, min_share=min_share, by_count=by_count)
    name = step.rule if node.aggregation is None else node.aggregation
    settings = step.settings if name == step.rule else {}
    function = AGGREGATIONS[name]
    if name not in CROSS_SECTION:
        return function(children, weights, labels=labels, **settings), share
    result = np.full(children.shape[0], np.nan)
    for year in np.unique(years):
        rows = years == year
        chosen = node.weights if name == "copeland" else weights[rows]
        part = function(children[rows], chosen, labels=labels, **settings)
        result[rows] = np.where(np.isnan(weights[rows, 0]), np.nan, part)
    return result, share
