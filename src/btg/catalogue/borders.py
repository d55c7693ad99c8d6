"""Which present municipality a municipality of an earlier year became part of."""

from btg.catalogue.schema import Regions


def codes_of_year(regions: Regions, year: int) -> frozenset[str]:
    """Return the codes of the municipalities that existed on 1 January of ``year``."""
    return frozenset(
        m.code
        for m in regions.municipalities
        if (m.first_year is None or m.first_year <= year)
        and (m.last_year is None or m.last_year >= year)
    )


def successors(regions: Regions, year: int) -> list[tuple[str, str, float | None]]:
    """Return (code of ``year``, present code, share of its inhabitants) for every municipality.

    A code that did not change maps to itself with share 1. The share is null where a municipality
    was split and no published figure says how. All changes of one year take effect together.
    """
    reach: dict[str, dict[str, float | None]] = {
        code: {code: 1.0} for code in codes_of_year(regions, year)
    }
    for change_year in sorted({c.year for c in regions.changes if c.year > year}):
        step = {
            origin: {r.code: r.share for r in change.to}
            for change in regions.changes
            if change.year == change_year
            for origin in change.from_
        }
        reach = {code: _advance(parts, step) for code, parts in reach.items()}
    return [
        (code, to, share) for code, parts in sorted(reach.items()) for to, share in parts.items()
    ]


def _advance(
    parts: dict[str, float | None], step: dict[str, dict[str, float | None]]
) -> dict[str, float | None]:
    moved: dict[str, float | None] = {}
    for code, share in parts.items():
        for to, fraction in step.get(code, {code: 1.0}).items():
            part = None if share is None or fraction is None else share * fraction
            before = moved.get(to, 0.0)
            moved[to] = None if part is None or before is None else before + part
    return moved
