"""What was observed: every indicator on present borders, before anything is filled."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tests.recompute.borders import Spread, municipalities, spread

from btg.build import Inputs
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator, Measure, MeasureRef, Table

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
FINALITY = ("definitief", "nader_voorlopig", "voorlopig", "onbekend")
"""From final to unknown: of several parts the last in this order counts."""


@dataclass(frozen=True)
class Axes:
    """The axes of every array: regions (the present municipalities first), and years."""

    regions: tuple[str, ...]
    n_municipalities: int
    years: tuple[int, ...]

    def empty(self) -> Array:
        """Return an array [region, year] in which everything is missing."""
        return np.full((len(self.regions), len(self.years)), np.nan)


@dataclass(frozen=True)
class Series:
    """One series on present borders: value [region, year], status [year] as place in FINALITY."""

    value: Array
    status: Codes


@dataclass(frozen=True)
class Observed:
    """The observed value of one indicator and its weight in a larger region, [region, year]."""

    value: Array
    weight: Array
    status: Codes


def axes(catalogue: Catalogue, inputs: Inputs) -> Axes:
    """Return the axes of the re-computation; years as far as there are figures."""
    regions = catalogue.regions
    present = municipalities(regions, 2100)
    larger = (
        *sorted(r.code for r in regions.corop_areas),
        *sorted(r.code for r in regions.provinces),
        regions.country.code,
    )
    last = int(inputs.cell["year"].max())  # type: ignore[arg-type]
    years = tuple(range(catalogue.method.observation_first_year, last + 1))
    return Axes((*present, *larger), len(present), years)


class Figures:
    """The cells of the snapshots, looked up by series; spreads over new borders are kept."""

    def __init__(self, catalogue: Catalogue, inputs: Inputs) -> None:
        self.catalogue = catalogue
        self.axes = axes(catalogue, inputs)
        code = pl.col("region_key").str.strip_chars()
        frame = inputs.cell.filter(pl.col("value").is_not_null()).with_columns(
            pl.when(code == "NL00").then(pl.lit("NL01")).otherwise(code).alias("code"),
            pl.col("period_key").str.strip_chars().alias("period"),
        )
        corrections = {(c.table, c.measure, c.region, c.period): c for c in catalogue.corrections}
        status = inputs.period.with_columns(
            pl.col("publication_status")
            .replace_strict(list(FINALITY), list(range(4)), return_dtype=pl.Int64)
            .alias("status")
        )
        frame = frame.join(
            status.select("table_id", "measure_id", "period_key", "status"),
            on=["table_id", "measure_id", "period_key"],
            how="inner",
            validate="m:1",
        )
        self._cells: dict[tuple[str, str, int], dict[str, float]] = {}
        self._status: dict[tuple[str, str, int], int] = {}
        for row in frame.select(
            "table_id", "measure_id", "year", "code", "period", "value", "status"
        ).iter_rows():
            table_id, measure_id, year, region, period, value, code_of_status = row
            if region in catalogue.table(table_id).foreign_codes:
                continue
            correction = corrections.get((table_id, measure_id, region, period))
            if correction is not None and correction.expect == value:
                if correction.action == "drop":
                    continue
                if correction.action == "set":
                    value = correction.value
            self._cells.setdefault((table_id, measure_id, year), {})[region] = value
            self._status[table_id, measure_id, year] = code_of_status
        self._spreads: dict[int, Spread] = {}
        self._supports: dict[str, Series] = {}

    def spread_of(self, year: int) -> Spread:
        """Return the spread of a year's municipalities over the present ones."""
        if year not in self._spreads:
            self._spreads[year] = spread(self.catalogue.regions, year)
        return self._spreads[year]

    def raw(self, table_id: str, measure_id: str, year: int) -> Mapping[str, float]:
        """Return the cells of one series and year by region code."""
        return self._cells.get((table_id, measure_id, year), {})

    def inhabitants(self, codes: tuple[str, ...], year: int) -> Array:
        """Return the mean population of municipalities in a year, by the preferred table."""
        series = self._support(self.catalogue.population_weight)
        found = np.full(len(codes), np.nan)
        for ref in reversed(series):
            cells = self.raw(ref.table, ref.measure, year)
            values = np.array([cells.get(code, np.nan) for code in codes])
            found = np.where(np.isnan(values), found, values)
        return found

    def series(self, ref: MeasureRef) -> Series:
        """Return a series on present borders; larger regions as published."""
        table = self.catalogue.table(ref.table)
        measure = next(m for m in table.measures if m.id == ref.measure)
        value = self.axes.empty()
        status = np.full(len(self.axes.years), -1)
        for t, year in enumerate(self.axes.years):
            cells = self.raw(ref.table, ref.measure, year)
            if any(code.startswith("GM") for code in cells):
                value[: self.axes.n_municipalities, t] = self._moved(table, measure, year, cells)
            for r in range(self.axes.n_municipalities, len(self.axes.regions)):
                value[r, t] = cells.get(self.axes.regions[r], np.nan)
            status[t] = self._status.get((ref.table, ref.measure, year), -1)
        return Series(value, status)

    def support(self, name: str) -> Series:
        """Return a support series: per region and year the first table that has a value."""
        if name in self._supports:
            return self._supports[name]
        found = [self.series(ref) for ref in self._support(name)]
        value, status = found[-1].value, np.broadcast_to(found[-1].status, found[-1].value.shape)
        for series in reversed(found[:-1]):
            has = ~np.isnan(series.value)
            value = np.where(has, series.value, value)
            status = np.where(has, series.status, status)
        self._supports[name] = Series(value, status)
        return self._supports[name]

    def _support(self, name: str) -> list[MeasureRef]:
        return next(s.measures for s in self.catalogue.support if s.id == name)

    def _moved(
        self, table: Table, measure: Measure, year: int, cells: Mapping[str, float]
    ) -> Array:
        """Counts summed, means weighted with inhabitants, medians of merged areas missing."""
        borders = year if table.borders == "period" else table.borders
        then = self.spread_of(borders)
        value = np.array([cells.get(code, np.nan) for code in then.codes])
        # one unknown part makes the whole unknown: 0 * nan must not reach other municipalities
        lacks = then.is_part & (np.isnan(value)[:, None] | ~then.is_known)
        filled = np.nan_to_num(value)
        is_missing = lacks.any(axis=0)
        is_unchanged = (then.is_part.sum(axis=0) == 1) & (then.shares.sum(axis=0) == 1)
        if measure.merge == "sum":
            moved = then.shares.T @ filled
        elif measure.merge == "mean":
            people = self.inhabitants(then.codes, borders)
            weight = then.shares * np.nan_to_num(people)[:, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                moved = (weight.T @ filled) / weight.sum(axis=0)
            unweighted = (then.is_part & np.isnan(people)[:, None]).any(axis=0)
            is_missing = is_missing | (unweighted & ~is_unchanged)
        else:
            moved = np.full(then.shares.shape[1], np.nan)
        unchanged = np.array([filled[then.is_part[:, p]][0] for p in range(moved.size)])
        return np.where(is_missing, np.nan, np.where(is_unchanged, unchanged, moved))


def observe(figures: Figures, indicator: Indicator) -> Observed:
    """Return the observed values of an indicator and what weight they carry."""
    top = figures.series(indicator.numerator)
    people = figures.support(figures.catalogue.population_weight).value
    statuses = [np.broadcast_to(top.status, top.value.shape)]
    den = indicator.denominator
    if den is None:
        value, weight = indicator.factor * top.value, people
    elif isinstance(den, str):
        bottom = figures.support(den)
        value, weight = indicator.factor * top.value / _nonzero(bottom.value), bottom.value
        statuses.append(bottom.status)
    else:
        bottom = figures.series(den)
        value = indicator.factor * top.value / _nonzero(bottom.value)
        measures = figures.catalogue.table(den.table).measures
        is_count = next(m.merge for m in measures if m.id == den.measure) == "sum"
        weight = bottom.value if is_count else bottom.value * people
        statuses.append(np.broadcast_to(bottom.status, top.value.shape))
    status = np.maximum.reduce(statuses)
    if indicator.relative:
        n = figures.axes.n_municipalities
        has = ~np.isnan(value[:n]) & ~np.isnan(weight[:n])
        total = np.where(has, weight[:n], 0.0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            nation = np.where(has, weight[:n] * value[:n], 0.0).sum(axis=0) / total
        value = value / nation
        value[n:] = np.nan
    return Observed(value, weight, status)


def _nonzero(value: Array) -> Array:
    return np.where(value == 0, np.nan, value)
