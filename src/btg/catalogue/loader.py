"""Reads the catalogue, checks it against its schema and itself, and returns it as one object."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from btg.catalogue.schema import (
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
    Table,
)
from btg.errors import CatalogueError

T = TypeVar("T", bound=Record)

CATALOGUE_DIR = Path(__file__).parent
WEIGHT_TOLERANCE = 1e-9


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


class _Survey(Record):
    figures: list[PublishedSurveyFigure]


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
    survey: tuple[PublishedSurveyFigure, ...]
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
        survey=tuple(_read(directory / "survey.yml", _Survey).figures),
        declared=tuple(_read(directory / "declared.yml", _Declared).tables),
        dictionary=_read(directory / "dictionary.yml", Dictionary),
    )
    check_catalogue(catalogue)
    return catalogue


def check_catalogue(catalogue: Catalogue) -> None:
    """Raise ``CatalogueError`` on the first contradiction between entries of the catalogue."""
    _unique("dimensions.yml", "dimension", [d.id for d in catalogue.dimensions])
    _unique("indicators", "indicator", [i.id for i in catalogue.indicators])
    _unique("sources.yml", "source", [s.id for s in catalogue.sources])
    _unique("sources.yml", "table", [t.id for t in catalogue.tables])
    _unique("declared.yml", "table", [t.id for t in catalogue.declared])
    _unique("regions.yml", "municipality", [m.code for m in catalogue.regions.municipalities])
    _check_tables(catalogue)
    _check_declared(catalogue)
    _check_references(catalogue)
    _check_weights(catalogue)
    _check_nominal_money(catalogue)
    _check_twente(catalogue)


def _no_stray_files(directory: Path, dimensions: list[Dimension]) -> None:
    known = {d.id for d in dimensions}
    for path in sorted((directory / "indicators").glob("*")):
        if path.suffix == ".yml" and path.stem not in known:
            raise CatalogueError(f"indicators/{path.name}: there is no dimension {path.stem!r}")


def _unique(where: str, what: str, ids: list[str]) -> None:
    double = sorted(name for name, n in Counter(ids).items() if n > 1)
    if double:
        raise CatalogueError(f"{where}: {what} {', '.join(double)} occurs more than once")


def _check_tables(catalogue: Catalogue) -> None:
    sources = {s.id for s in catalogue.sources}
    for table in catalogue.tables:
        where = f"sources.yml: table {table.id}"
        if table.source_id not in sources:
            raise CatalogueError(f"{where}: source_id {table.source_id!r} is not a source")
        _unique(where, "measure", [m.id for m in table.measures])
        if (table.kind == "edition_file") != (table.file is not None):
            raise CatalogueError(f"{where}: kind and file contradict each other")
        if (table.time_dimension is None) == (table.only_year is None):
            raise CatalogueError(f"{where}: give either time_dimension or only_year")
        for measure in table.measures:
            _check_selection(where, table, measure)
        for phrase, ids in table.status_rule.groups.items():
            unknown = sorted(set(ids) - {m.id for m in table.measures})
            if unknown:
                raise CatalogueError(f"{where}: status group {phrase!r} names {unknown}")


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
    measures = {(t.id, m.id) for t in catalogue.tables for m in t.measures}
    support = {s.id for s in catalogue.support}
    refs: list[tuple[str, MeasureRef | str]] = []
    for indicator in catalogue.indicators:
        refs.append((f"indicator {indicator.id}: numerator", indicator.numerator))
        if indicator.denominator is not None:
            refs.append((f"indicator {indicator.id}: denominator", indicator.denominator))
    refs += [(f"support.yml: series {s.id}", ref) for s in catalogue.support for ref in s.measures]
    refs.append(("support.yml: population_weight", catalogue.population_weight))
    refs.append(("support.yml: population_base", catalogue.population_base))
    for where, ref in refs:
        if isinstance(ref, str):
            if ref not in support:
                raise CatalogueError(f"{where} {ref!r} is not a support series")
        elif (ref.table, ref.measure) not in measures:
            raise CatalogueError(f"{where}: table {ref.table} has no measure {ref.measure!r}")


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
    """Money enters in constant prices or as a ratio only (method, par. 4)."""
    for indicator in catalogue.indicators:
        measure = next(
            m
            for m in catalogue.table(indicator.numerator.table).measures
            if m.id == indicator.numerator.measure
        )
        is_nominal = measure.unit.strip().lower() in {"euro", "1 000 euro", "x 1 000 euro"}
        if (
            indicator.in_index
            and is_nominal
            and not indicator.relative
            and indicator.denominator is None
        ):
            raise CatalogueError(
                f"indicators/{indicator.dimension}.yml: {indicator.id} brings nominal euros into "
                "the index: use constant prices, a ratio of two amounts, or relative: true"
            )


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


def _read(path: Path, model: type[T]) -> T:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueError(f"{path.name}: cannot be read ({error.strerror})") from None
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
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
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} occurs twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
