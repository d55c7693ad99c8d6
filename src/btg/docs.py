"""Documentation that is generated from the catalogue; CI fails when it drifts."""

from collections.abc import Callable
from pathlib import Path

from btg import durable
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Indicator

NOTE = "<!-- generated from the catalogue by `btg check --update-golden`; do not edit -->"


def dictionary(catalogue: Catalogue) -> str:
    """Return docs/dictionary.md: every published table and column."""
    meaning = catalogue.dictionary.columns
    lines = [
        NOTE,
        "# Data dictionary",
        "",
        "Every table and column of `data/marts/btg.duckdb`.",
        "",
    ]
    for name, table in catalogue.dictionary.tables.items():
        lines += [f"## {name}", "", table.description, "", f"Grain: {', '.join(table.grain)}.", ""]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            entry = meaning[column]
            allowed = f" Values: {', '.join(entry.allowed)}." if entry.allowed else ""
            text = _cell(entry.description) + allowed
            lines.append(f"| {column} | {entry.type} | {entry.unit or ''} | {text} |")
        lines.append("")
    return "\n".join(lines)


def indicators(catalogue: Catalogue) -> str:
    """Return docs/indicators.md: every indicator with its reasons, and what was left out."""
    lines = [NOTE, "# Indicators", ""]
    for dimension in catalogue.dimensions:
        lines += [f"## {dimension.position}. {dimension.label_nl} ({dimension.label_en})", "",
                  f"*{dimension.question_nl}*", ""]  # fmt: skip
        if dimension.thin_reason:
            lines += [f"Thin: {dimension.thin_reason}", ""]
        members = [i for i in catalogue.indicators if i.dimension == dimension.id]
        for i in sorted(members, key=lambda i: (not i.in_index, i.id)):
            table = catalogue.table(i.numerator.table)
            lines += [
                f"### {i.label_nl} (`{i.id}`)", "",
                f"{i.description_nl} / {i.description_en}", "",
                f"- role: {_role(i)}. {i.in_index_reason}",
                f"- direction: {'higher' if i.polarity > 0 else 'lower'} is better. "
                f"{i.polarity_reason}",
                f"- source: {table.source_id} {table.id}, {i.numerator.measure}; "
                f"unit {i.unit}; transform {i.transform}",
                f"- error model: {i.error_model}. {i.error_reason}",
                *(f"- break {b.year} ({b.kind}): {b.reason}" for b in i.breaks),
                *(f"- note: {w}" for w in i.warnings),
                "",
            ]  # fmt: skip
    lines += [
        "## Considered and left out",
        "",
        "| series | source | dimension | reason |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {e.series} | {e.source} | {e.dimension} | {_cell(e.reason)} |"
        for e in catalogue.exclusions
    ]
    return "\n".join([*lines, ""])


def quality(catalogue: Catalogue) -> str:
    """Return docs/quality.md: every rule of both gates and the test that breaks it."""
    from btg.quality import document

    return f"{NOTE}\n{document.quality(catalogue)}"


GENERATED: dict[str, Callable[[Catalogue], str]] = {
    "dictionary.md": dictionary,
    "indicators.md": indicators,
    "quality.md": quality,
}


def drift(catalogue: Catalogue, repository: Path) -> list[str]:
    """Return the names of generated documents that are not what the catalogue says."""
    return [
        name
        for name, make in GENERATED.items()
        if not (path := repository / "docs" / name).exists()
        or path.read_text(encoding="utf-8") != make(catalogue)
    ]


def write(catalogue: Catalogue, repository: Path) -> None:
    """Write the generated documents."""
    for name, make in GENERATED.items():
        durable.write_bytes(repository / "docs" / name, make(catalogue).encode())


def _role(indicator: Indicator) -> str:
    return f"in the index, weight {indicator.weight:g}" if indicator.in_index else "context"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
