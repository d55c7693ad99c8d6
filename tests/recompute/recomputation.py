"""The whole default method in numpy, from the cells of the snapshots to frames like the marts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tests.recompute import changed, composed, larger
from tests.recompute.filled import NONE, OBSERVED, STATUSES, fill
from tests.recompute.observed import FINALITY, Array, Axes, Figures, observe

from btg.build import Inputs
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator

KEYS = ["region_code", "year"]


@dataclass(frozen=True)
class Recomputation:
    """What the method gives: one frame per mart, and the ruler."""

    baseline: pl.DataFrame
    indicator_score: pl.DataFrame
    dimension_score: pl.DataFrame
    btg_index: pl.DataFrame
    change: pl.DataFrame
    contribution: pl.DataFrame
    index_years: list[int]


def recompute(catalogue: Catalogue, inputs: Inputs) -> Recomputation:
    """Return the results of the method for every region, published year and item."""
    figures = Figures(catalogue, inputs)
    axes, method = figures.axes, catalogue.method
    n = axes.n_municipalities
    base = axes.years.index(method.base_year)
    population = figures.support(catalogue.population_base).value[:n, base]
    members = larger.members(catalogue, inputs, axes, population)
    wholes = {
        i.id: larger.complete(
            fill(observe(figures, i), axes.years, i, method), members, axes, method
        )
        for i in catalogue.indicators
    }
    chosen = [i for i in catalogue.indicators if i.in_index]
    rulers = {i.id: composed.fit(wholes[i.id], i, axes, population, method) for i in chosen}
    scores = np.stack(
        [composed.score(wholes[i.id], i, rulers[i.id], axes.years, method) for i in chosen]
    )
    weights = np.array([i.weight for i in chosen])
    dimension_weights = np.array([d.weight for d in catalogue.dimensions])
    is_in = [np.array([i.dimension == d.id for i in chosen]) for d in catalogue.dimensions]
    chosen_wholes = [wholes[i.id] for i in chosen]

    def dimensions(scores: Array) -> list[composed.Composite]:
        return [
            composed.dimension(
                scores[rows],
                [whole for whole, is_one in zip(chosen_wholes, rows, strict=True) if is_one],
                weights[rows],
                method,
            )
            for rows in is_in
        ]

    whole_dimensions = dimensions(scores)
    candidate = composed.index(whole_dimensions, dimension_weights, method)
    is_index_year = composed.index_years(candidate, whole_dimensions, axes, method)
    twente = np.array([code in catalogue.twente() for code in axes.regions])
    common = composed.is_common(scores, twente, n, method)
    common_scores = np.where(common[:, None, :], scores, np.nan)
    common_index = composed.index(dimensions(common_scores), dimension_weights, method)
    score = np.where(is_index_year, candidate.score, np.nan)
    ranks = composed.rank(score, n)
    common_ranks = composed.rank(np.where(is_index_year, common_index.score, np.nan), n)

    ends = changed.pairs(scores, chosen_wholes, chosen, axes, method)
    by_dimension = [changed.of_dimension(ends, rows, weights, method) for rows in is_in]
    whole_change = changed.of_index(by_dimension, dimension_weights, method)
    has_both = ~np.isnan(score) & ~np.isnan(score[:, base : base + 1])

    is_observed = np.stack([whole.filled.status == OBSERVED for whole in wholes.values()])
    last_year = max(y for t, y in enumerate(axes.years) if is_observed[:, :, t].any())

    def published(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(frames).filter(
            pl.col("year").is_between(method.grid_first_year, last_year)
        )

    return Recomputation(
        baseline=pl.DataFrame(
            [{"indicator_id": name, **ruler.__dict__} for name, ruler in rulers.items()]
        ),
        indicator_score=published(
            _indicator(axes, i.id, wholes[i.id], rows)
            for i, rows in _with_scores(catalogue, chosen, scores)
        ),
        dimension_score=published(
            _frame(
                axes,
                {"dimension_id": d.id},
                score=part.score,
                coverage_share=part.coverage,
                provisional_share=part.provisional,
                status_unknown_share=part.unknown,
                imputed_share=part.imputed,
            )
            for d, part in zip(catalogue.dimensions, whole_dimensions, strict=True)
        ),
        btg_index=published(
            [
                _frame(
                    axes,
                    {},
                    score=score,
                    rank_nl=ranks,
                    rank_common_set=common_ranks,
                    n_ranked=_only(ranks, (~np.isnan(ranks)).sum(axis=0)),
                    percentile=_percentile(score, n),
                    coverage_share=candidate.coverage,
                    provisional_share=_only(score, candidate.provisional),
                    status_unknown_share=_only(score, candidate.unknown),
                    imputed_share=_only(score, candidate.imputed),
                    n_dimensions=sum((~np.isnan(d.score)).astype(float) for d in whole_dimensions),
                )
            ]
        ),
        change=published(
            [
                _change(axes, "index", "index", score, base, whole_change, has_both),
                *(
                    _change(axes, "dimension", d.id, part.score, base, change, None)
                    for d, part, change in zip(
                        catalogue.dimensions, whole_dimensions, by_dimension, strict=True
                    )
                ),
                *(
                    _indicator_change(axes, i.id, k, scores, base, ends)
                    for k, i in enumerate(chosen)
                ),
                *(_no_change(axes, i.id) for i in catalogue.indicators if not i.in_index),
            ]
        ),
        contribution=published(
            _frame(
                axes,
                {"indicator_id": i.id},
                contribution=np.where(has_both, whole_change.contributions[k], np.nan),
            )
            for k, i in enumerate(chosen)
        ).filter(pl.col("contribution").is_not_null()),
        index_years=[y for y, is_one in zip(axes.years, is_index_year, strict=True) if is_one],
    )


def _with_scores(
    catalogue: Catalogue, chosen: list[Indicator], scores: Array
) -> list[tuple[Indicator, Array]]:
    nothing = np.full(scores.shape[1:], np.nan)
    by_id = {i.id: scores[k] for k, i in enumerate(chosen)}
    return [(i, by_id.get(i.id, nothing)) for i in catalogue.indicators]


def _only(where: Array, values: Array) -> Array:
    return np.where(np.isnan(where), np.nan, values)


def _percentile(score: Array, n: int) -> Array:
    """Return the percentage of the ranked municipalities with the same score or a lower one."""
    result = np.full(score.shape, np.nan)
    for t in range(score.shape[1]):
        column = score[:n, t]
        ranked = ~np.isnan(column)
        lower = (column[None, :] <= column[:, None]).sum(axis=1)
        result[:n, t] = np.where(ranked, 100 * lower / max(ranked.sum(), 1), np.nan)
    return result


def _frame(axes: Axes, constants: dict[str, str], **columns: NDArray[np.float64]) -> pl.DataFrame:
    """Return one row per region and year of the axes; NaN becomes null."""
    region, year = np.meshgrid(np.arange(len(axes.regions)), axes.years, indexing="ij")
    return pl.DataFrame(
        {
            "region_code": np.array(axes.regions)[region.ravel()],
            "year": year.ravel().astype(np.int32),
            **{name: np.full(region.size, text) for name, text in constants.items()},
            **{
                name: np.broadcast_to(values, region.shape).ravel().astype(np.float64)
                for name, values in columns.items()
            },
        }
    ).with_columns(pl.col(name).fill_nan(None) for name in columns)


def _indicator(axes: Axes, name: str, whole: larger.Whole, score: Array) -> pl.DataFrame:
    filled, first_year = whole.filled, axes.years[0]
    return _frame(
        axes,
        {"indicator_id": name},
        value=filled.value,
        score=score,
        status=filled.status,
        obs_first_year=filled.years(filled.first, first_year),
        obs_last_year=filled.years(filled.last, first_year),
        finality=np.where(filled.finality == NONE, np.nan, filled.finality),
        weight_covered_share=whole.covered,
        is_published=np.broadcast_to(whole.is_published[:, None], filled.value.shape),
    ).with_columns(
        _named("status", STATUSES).alias("cell_status"),
        _named("finality", FINALITY).alias("publication_status"),
        pl.when(pl.col("is_published") == 1)
        .then(pl.lit("published"))
        .otherwise(pl.lit("aggregated"))
        .alias("route"),
    )


def _named(column: str, names: tuple[str, ...]) -> pl.Expr:
    places = pl.col(column).cast(pl.Int64)
    return places.replace_strict(list(range(len(names))), list(names), default=None)


def _change(
    axes: Axes,
    level: str,
    item: str,
    score: Array,
    base: int,
    change: changed.Change,
    has_both: NDArray[np.bool_] | None,
) -> pl.DataFrame:
    start = np.broadcast_to(score[:, base : base + 1], score.shape)
    both = ~np.isnan(score - start) if has_both is None else has_both
    matched = np.where(both, change.matched, np.nan)
    return _frame(
        axes,
        {"level": level, "item_id": item},
        base_score=start,
        score=score,
        change=score - start,
        matched_change=matched,
        composition_effect=score - start - matched,
        n_dimensions_matched=change.n_matched,
        matched_weight_share=change.matched_weight,
        change_vs_nl=np.where(both, change.versus_nl, np.nan),
    )


def _indicator_change(
    axes: Axes, item: str, k: int, scores: Array, base: int, ends: changed.Pairs
) -> pl.DataFrame:
    matched = np.where(ends.is_matched[k], ends.change[k], np.nan)
    is_base_year = np.arange(scores.shape[2]) == base
    change = np.where(ends.is_matched[k] | is_base_year, ends.change[k], np.nan)
    return _frame(
        axes,
        {"level": "indicator", "item_id": item},
        base_score=np.broadcast_to(scores[k, :, base : base + 1], scores[k].shape),
        score=scores[k],
        change=change,
        matched_change=matched,
        composition_effect=change - matched,
        n_dimensions_matched=np.full(scores[k].shape, np.nan),
        matched_weight_share=ends.is_matched[k].astype(float),
        change_vs_nl=np.where(ends.is_comparable[k], ends.versus_nl[k], np.nan),
    )


def _no_change(axes: Axes, item: str) -> pl.DataFrame:
    """A context indicator has no ruler, so it has no score and no change."""
    nothing = axes.empty()
    names = ("base_score", "score", "change", "matched_change", "composition_effect")
    return _frame(
        axes,
        {"level": "indicator", "item_id": item},
        **dict.fromkeys(names, nothing),
        n_dimensions_matched=nothing,
        matched_weight_share=np.zeros(nothing.shape),
        change_vs_nl=nothing,
    )
