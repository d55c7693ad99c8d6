"""Reads the catalogue, checks it against its schema and itself, and returns it as one object."""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from btg.catalogue.borders import codes_of_year
from btg.catalogue.schema import (
    BorderChange,
    Correction,
    DeclaredTable,
    Dictionary,
    Dimension,
    Exclusion,
    Indicator,
    Measure,
    MeasureRef,
    Method,
    PublishedSurveyFigure,
    Record,
    Regions,
    SourceEntry,
    SupportSeries,
    SurveyStatement,
    Table,
)
from btg.errors import CatalogueError

T = TypeVar("T", bound=Record)

CATALOGUE_DIR = Path(__file__).parent
WEIGHT_TOLERANCE = 1e-9
SHARE_TOLERANCE = 1e-4
"""Shares of a split are published figures, rounded at the fifth digit."""
MONEY = re.compile(r"\beuro\b|€")
CONSTANT_PRICES = re.compile(r"\(.*\b\d{4}\b.*\)")


class _Sources(Record):
    sources: list[SourceEntry]
    tables: list[Table]


class _Indicators(Record):
    indicators: list[Indicator]


class _Dimensions(Record):
    dimensions: list[Dimension]


class _Support(Record):
    series: list[SupportSeries]
    population_weight: str
    population_base: str


class _Declared(Record):
    tables: list[DeclaredTable]


class _Exclusions(Record):
    exclusions: list[Exclusion]


class _Corrections(Record):
    corrections: list[Correction]


class _Survey(Record):
    figures: list[PublishedSurveyFigure]
    statements: list[SurveyStatement]


@dataclass(frozen=True)
class Catalogue:
    """Everything that the catalogue says; already checked, so lookups do not fail by surprise."""

    directory: Path
    method: Method
    dimensions: tuple[Dimension, ...]
    indicators: tuple[Indicator, ...]
    sources: tuple[SourceEntry, ...]
    tables: tuple[Table, ...]
    support: tuple[SupportSeries, ...]
    population_weight: str
    population_base: str
    regions: Regions
    exclusions: tuple[Exclusion, ...]
    corrections: tuple[Correction, ...]
    survey: tuple[PublishedSurveyFigure, ...]
    survey_statements: tuple[SurveyStatement, ...]
    declared: tuple[DeclaredTable, ...]
    dictionary: Dictionary

    def table(self, table_id: str) -> Table:
        """Return a table by its id."""
        return next(t for t in self.tables if t.id == table_id)

    def source(self, source_id: str) -> SourceEntry:
        """Return a source by its id."""
        return next(s for s in self.sources if s.id == source_id)

    def used_tables(self) -> tuple[Table, ...]:
        """Return the tables that the build needs, in the order of the catalogue."""
        return tuple(t for t in self.tables if t.status == "used")

    def twente(self) -> frozenset[str]:
        """Return the codes of the 14 municipalities."""
        return frozenset(self.regions.twente.municipalities)


def load_catalogue(directory: Path = CATALOGUE_DIR) -> Catalogue:
    """Return the checked catalogue of a folder; raises ``CatalogueError`` naming file and key."""
    dimensions = _read(directory / "dimensions.yml", _Dimensions).dimensions
    indicators: list[Indicator] = []
    for dimension in dimensions:
        path = directory / "indicators" / f"{dimension.id}.yml"
        entries = _read(path, _Indicators).indicators
        for entry in entries:
            if entry.dimension != dimension.id:
                raise CatalogueError(
                    f"{path.name}: indicator {entry.id} says dimension {entry.dimension!r}, "
                    f"but stands in the file of {dimension.id!r}"
                )
        indicators.extend(entries)
    _no_stray_files(directory, dimensions)
    sources = _read(directory / "sources.yml", _Sources)
    support = _read(directory / "support.yml", _Support)
    catalogue = Catalogue(
        directory=directory,
        method=_read(directory / "method.yml", Method),
        dimensions=tuple(sorted(dimensions, key=lambda d: d.position)),
        indicators=tuple(indicators),
        sources=tuple(sources.sources),
        tables=tuple(sources.tables),
        support=tuple(support.series),
        population_weight=support.population_weight,
        population_base=support.population_base,
        regions=_read(directory / "regions.yml", Regions),
        exclusions=tuple(_read(directory / "exclusions.yml", _Exclusions).exclusions),
        corrections=tuple(_read(directory / "corrections.yml", _Corrections).corrections),
        survey=tuple(_read(directory / "survey.yml", _Survey).figures),
        survey_statements=tuple(_read(directory / "survey.yml", _Survey).statements),
        declared=tuple(_read(directory / "declared.yml", _Declared).tables),
        dictionary=_read(directory / "dictionary.yml", Dictionary),
    )
    check_catalogue(catalogue)
    return catalogue


def check_catalogue(catalogue: Catalogue) -> None:
    """Raise ``CatalogueError`` on the first contradiction between entries of the catalogue."""
    _unique("dimensions.yml", "dimension", [d.id for d in catalogue.dimensions])
    _unique("dimensions.yml", "position", [str(d.position) for d in catalogue.dimensions])
    _unique("indicators", "indicator", [i.id for i in catalogue.indicators])
    _unique("sources.yml", "source", [s.id for s in catalogue.sources])
    _unique("sources.yml", "table", [t.id for t in catalogue.tables])
    _unique("declared.yml", "table", [t.id for t in catalogue.declared])
    _check_method(catalogue)
    _check_regions(catalogue)
    _check_tables(catalogue)
    _check_declared(catalogue)
    _check_references(catalogue)
    _check_corrections(catalogue)
    _check_weights(catalogue)
    _check_nominal_money(catalogue)
    _check_twente(catalogue)
    _check_context(catalogue)
    _check_dictionary(catalogue)


def _no_stray_files(directory: Path, dimensions: list[Dimension]) -> None:
    known = {d.id for d in dimensions}
    for path in sorted((directory / "indicators").glob("*")):
        if path.suffix == ".yml" and path.stem not in known:
            raise CatalogueError(f"indicators/{path.name}: there is no dimension {path.stem!r}")


def _unique(where: str, what: str, ids: list[str]) -> None:
    double = sorted(name for name, n in Counter(ids).items() if n > 1)
    if double:
        raise CatalogueError(f"{where}: {what} {', '.join(double)} occurs more than once")


def _check_method(catalogue: Catalogue) -> None:
    names = ("observation_first_year", "grid_first_year", "base_year", "aggregate_last_year")
    years = [getattr(catalogue.method, name) for name in names]
    if years != sorted(years):
        found = ", ".join(f"{n} {y}" for n, y in zip(names, years, strict=True))
        raise CatalogueError(f"method.yml: these years must not decrease: {found}")


def _check_regions(catalogue: Catalogue) -> None:
    regions = catalogue.regions
    codes = _region_codes(catalogue)
    _unique("regions.yml", "region", codes)
    for code in (regions.twente.corop_code, regions.twente.province_code):
        if code not in codes:
            raise CatalogueError(f"regions.yml: Twente lies in {code}, which is no region")
    ends = [f"{code} in {change.year}" for change in regions.changes for code in change.from_]
    _unique("regions.yml", "end of", ends)
    for change in regions.changes:
        _check_change(catalogue, change)
    first_year = catalogue.method.observation_first_year
    for municipality in regions.municipalities:
        last = municipality.last_year
        if (
            last is not None
            and last >= first_year
            and f"{municipality.code} in {last + 1}" not in ends
        ):
            raise CatalogueError(
                f"regions.yml: {municipality.code} exists to {last}, but no change of {last + 1} "
                "says what became of it"
            )


def _check_change(catalogue: Catalogue, change: BorderChange) -> None:
    where = f"regions.yml: change of {change.year} of {', '.join(change.from_)}"
    last_year = {m.code: m.last_year for m in catalogue.regions.municipalities}
    for code in change.from_:
        if last_year.get(code) != change.year - 1:
            raise CatalogueError(f"{where}: last_year of {code} is not {change.year - 1}")
    existing = codes_of_year(catalogue.regions, change.year)
    for recipient in change.to:
        if recipient.code not in existing:
            raise CatalogueError(f"{where}: {recipient.code} does not exist in {change.year}")
    shares = [recipient.share for recipient in change.to]
    known = [share for share in shares if share is not None]
    if len(known) == len(shares) and abs(sum(known) - 1) > SHARE_TOLERANCE:
        raise CatalogueError(f"{where}: shares sum to {sum(known):g}, not to 1")


def _region_codes(catalogue: Catalogue) -> list[str]:
    regions = catalogue.regions
    larger = (regions.country, *regions.provinces, *regions.corop_areas)
    return [*(m.code for m in regions.municipalities), *(r.code for r in larger)]


def _check_tables(catalogue: Catalogue) -> None:
    sources = {s.id for s in catalogue.sources}
    services = {s.id: s.service for s in catalogue.sources}
    for table in catalogue.tables:
        where = f"sources.yml: table {table.id}"
        if table.source_id not in sources:
            raise CatalogueError(f"{where}: source_id {table.source_id!r} is not a source")
        _unique(where, "measure", [m.id for m in table.measures])
        if (table.kind == "edition_file") != (table.file is not None):
            raise CatalogueError(f"{where}: kind and file contradict each other")
        if (table.kind == "edition_file") != (services[table.source_id] == "file"):
            raise CatalogueError(
                f"{where}: kind {table.kind} cannot come from service {services[table.source_id]}"
            )
        if table.borders != "period" and table.borders < catalogue.method.observation_first_year:
            raise CatalogueError(f"{where}: no borders of {table.borders} are known")
        _check_pattern(where, "title_pattern", table.title_pattern, groups=1)
        if table.file is not None:
            _check_pattern(where, "period_pattern", table.file.period_pattern, groups=1)
            _check_pattern(where, "ignored_periods", table.file.ignored_periods, groups=None)
        if (table.time_dimension is None) == (table.only_year is None):
            raise CatalogueError(f"{where}: give either time_dimension or only_year")
        for measure in table.measures:
            _check_selection(where, table, measure)
        for phrase, ids in table.status_rule.groups.items():
            unknown = sorted(set(ids) - {m.id for m in table.measures})
            if unknown:
                raise CatalogueError(f"{where}: status group {phrase!r} names {unknown}")


def _check_pattern(where: str, name: str, pattern: str | None, groups: int | None) -> None:
    if pattern is None:
        return
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise CatalogueError(f"{where}: {name} is not a regular expression: {error}") from None
    if groups is not None and found != groups:
        raise CatalogueError(f"{where}: {name} must have one group, the year; it has {found}")


def _check_selection(where: str, table: Table, measure: Measure) -> None:
    if table.kind == "edition_file":
        assert table.file is not None
        unknown = set(measure.select) | set(measure.path)
        unknown -= set(table.file.columns)
        if unknown:
            raise CatalogueError(f"{where}: measure {measure.id} names no column {sorted(unknown)}")
        return
    for dimension, items in table.selection.items():
        item = measure.select.get(dimension, items[0] if len(items) == 1 else None)
        if item not in items:
            raise CatalogueError(
                f"{where}: measure {measure.id} must select one of {items} of {dimension}"
            )
    unknown = set(measure.select) - set(table.selection)
    if unknown:
        raise CatalogueError(f"{where}: measure {measure.id} selects in unknown {sorted(unknown)}")


def _check_declared(catalogue: Catalogue) -> None:
    sources = {s.id for s in catalogue.sources}
    dimensions = {d.id for d in catalogue.dimensions}
    indicators = {i.id for i in catalogue.indicators}
    for table in catalogue.declared:
        _check_pattern(
            f"declared.yml: table {table.id}", "title_pattern", table.title_pattern, groups=1
        )
        if table.source_id not in sources:
            raise CatalogueError(
                f"declared.yml: table {table.id}: source_id {table.source_id!r} is not a source"
            )
        for topic in table.topics:
            if topic.dimension not in dimensions:
                raise CatalogueError(
                    f"declared.yml: {topic.indicator_id}: there is no dimension {topic.dimension!r}"
                )
            if topic.indicator_id in indicators:
                raise CatalogueError(f"declared.yml: {topic.indicator_id} is an indicator already")


def _check_references(catalogue: Catalogue) -> None:
    measures = {(t.id, m.id) for t in catalogue.used_tables() for m in t.measures}
    support = {s.id for s in catalogue.support}
    refs: list[tuple[str, MeasureRef | str]] = []
    for indicator in catalogue.indicators:
        where = f"indicators/{indicator.dimension}.yml: {indicator.id}"
        refs.append((f"{where}: numerator", indicator.numerator))
        if indicator.denominator is not None:
            refs.append((f"{where}: denominator", indicator.denominator))
    refs += [(f"support.yml: series {s.id}", ref) for s in catalogue.support for ref in s.measures]
    refs.append(("support.yml: population_weight", catalogue.population_weight))
    refs.append(("support.yml: population_base", catalogue.population_base))
    for where, ref in refs:
        if isinstance(ref, str):
            if ref not in support:
                raise CatalogueError(f"{where} {ref!r} is not a support series")
        elif (ref.table, ref.measure) not in measures:
            raise CatalogueError(
                f"{where}: no table in use {ref.table!r} with a measure {ref.measure!r}"
            )


def _check_corrections(catalogue: Catalogue) -> None:
    measures = {(t.id, m.id) for t in catalogue.used_tables() for m in t.measures}
    regions = catalogue.regions
    known = {m.code for m in regions.municipalities}
    known |= {r.code for r in (*regions.provinces, *regions.corop_areas, regions.country)}
    cells = []
    for entry in catalogue.corrections:
        cell = f"{entry.table} {entry.measure} {entry.region} {entry.period}"
        if (entry.table, entry.measure) not in measures:
            raise CatalogueError(f"corrections.yml: {cell}: there is no such table and measure")
        if entry.region not in known:
            raise CatalogueError(f"corrections.yml: {cell}: there is no region {entry.region}")
        cells.append(cell)
    _unique("corrections.yml", "cell", cells)


def _check_weights(catalogue: Catalogue) -> None:
    total = sum(d.weight for d in catalogue.dimensions)
    if abs(total - 1) > WEIGHT_TOLERANCE:
        raise CatalogueError(f"dimensions.yml: weights sum to {total!r}, not to 1")
    for dimension in catalogue.dimensions:
        members = [i for i in catalogue.indicators if i.dimension == dimension.id and i.in_index]
        total = sum(i.weight for i in members)
        if abs(total - 1) > WEIGHT_TOLERANCE:
            raise CatalogueError(
                f"indicators/{dimension.id}.yml: weights sum to {total!r}, not to 1 "
                f"({', '.join(f'{i.id} {i.weight:g}' for i in members) or 'no indicator'})"
            )
        if len(members) < 3 and not dimension.thin_reason:
            raise CatalogueError(
                f"dimensions.yml: {dimension.id} rests on {len(members)} indicators: say why"
            )


def _check_nominal_money(catalogue: Catalogue) -> None:
    """Money enters in constant prices or as a ratio of two amounts only (method, par. 4)."""
    units = {(t.id, m.id): m.unit for t in catalogue.used_tables() for m in t.measures}
    support = {s.id: s.unit for s in catalogue.support}
    for indicator in catalogue.indicators:
        den = indicator.denominator
        below = (
            ""
            if den is None
            else support[den]
            if isinstance(den, str)
            else units[den.table, den.measure]
        )
        above = units[indicator.numerator.table, indicator.numerator.measure]
        if (
            indicator.in_index
            and not indicator.relative
            and _is_nominal(above) != _is_nominal(below)
        ):
            raise CatalogueError(
                f"indicators/{indicator.dimension}.yml: {indicator.id} brings nominal euros into "
                "the index: use constant prices, a ratio of two amounts, or relative: true"
            )


def _is_nominal(unit: str) -> bool:
    lowered = unit.lower()
    return bool(MONEY.search(lowered)) and not CONSTANT_PRICES.search(lowered)


def _check_twente(catalogue: Catalogue) -> None:
    codes = {m.code: m for m in catalogue.regions.municipalities}
    for code in catalogue.regions.twente.municipalities:
        if code not in codes or codes[code].last_year is not None:
            raise CatalogueError(f"regions.yml: Twente names {code}, which does not exist now")
    if len(catalogue.twente()) != catalogue.method.n_twente:
        raise CatalogueError(
            f"regions.yml: Twente has {len(catalogue.twente())} municipalities, "
            f"method.yml says {catalogue.method.n_twente}"
        )


def _check_context(catalogue: Catalogue) -> None:
    """What stands beside the index names dimensions and regions that exist."""
    dimensions = {d.id for d in catalogue.dimensions}
    for exclusion in catalogue.exclusions:
        if exclusion.dimension not in dimensions:
            raise CatalogueError(
                f"exclusions.yml: {exclusion.series}: there is no dimension {exclusion.dimension!r}"
            )
    regions = set(_region_codes(catalogue))
    _unique("survey.yml", "statement", [s.id for s in catalogue.survey_statements])
    for statement in catalogue.survey_statements:
        for code in [*statement.regions, *([statement.reference] if statement.reference else [])]:
            if code not in regions:
                raise CatalogueError(f"survey.yml: {statement.id}: {code} is no region")
    for figure in catalogue.survey:
        if figure.region_code not in regions:
            raise CatalogueError(
                f"survey.yml: edition {figure.edition_year}: {figure.region_code} is no region"
            )


def _check_dictionary(catalogue: Catalogue) -> None:
    dictionary = catalogue.dictionary
    for name, entry in dictionary.tables.items():
        where = f"dictionary.yml: table {name}"
        _unique(where, "column", entry.columns)
        for column in entry.columns:
            if column not in dictionary.columns:
                raise CatalogueError(f"{where}: column {column!r} has no entry under columns")
        for column in (*entry.grain, *entry.not_null):
            if column not in entry.columns:
                raise CatalogueError(f"{where}: {column!r} is not one of its columns")


def _read(path: Path, model: type[T]) -> T:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueError(f"{path.name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path.name}: is not UTF-8 text ({error.reason})") from None
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise CatalogueError(f"{path.name}: not valid YAML: {error}") from None
    try:
        entries: T = _adapter(model).validate_python(data)
    except ValidationError as error:
        raise CatalogueError(_explain(path, data, error)) from None
    return entries


@cache
def _adapter(model: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _explain(path: Path, data: Any, error: ValidationError) -> str:
    lines = []
    for item in error.errors()[:5]:
        where = ".".join(str(part) for part in item["loc"])
        name = _name_of(data, item["loc"])
        kind = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
        lines.append(f"{path.name}: {where}{f' ({name})' if name else ''}: {kind}")
    return "\n".join(lines)


def _name_of(data: Any, loc: tuple[int | str, ...]) -> str | None:
    """Return the id of the innermost entry on the way to ``loc``, to name it in an error."""
    name = None
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(data, dict):
            name = data.get("id") or data.get("code") or name
    return name


class _UniqueKeyLoader(yaml.CSafeLoader):
    """A YAML loader for which the same key twice in one mapping is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} cannot be a key", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} occurs twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
