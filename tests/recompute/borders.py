"""Municipal borders as matrices: which part of a municipality of then is in which one of now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from btg.catalogue.schema import Regions

Matrix = NDArray[np.float64]
LAST_CHANGE_YEAR = 2100


@dataclass(frozen=True)
class Spread:
    """Rows: municipalities of a year; columns: present ones; cells: share of the inhabitants."""

    codes: tuple[str, ...]
    shares: Matrix
    is_part: NDArray[np.bool_]
    is_known: NDArray[np.bool_]


def municipalities(regions: Regions, year: int) -> tuple[str, ...]:
    """Return the codes that existed on 1 January of a year, sorted."""
    return tuple(
        sorted(
            m.code
            for m in regions.municipalities
            if (m.first_year or 0) <= year <= (m.last_year or LAST_CHANGE_YEAR)
        )
    )


def spread(regions: Regions, year: int) -> Spread:
    """Return how the municipalities of a year are spread over those of now.

    The product of one matrix per year of change; beside the shares the number of ways from old to
    new, with and without an unknown share on the way.
    """
    codes = municipalities(regions, year)
    shares = np.eye(len(codes))
    ways = np.eye(len(codes))
    known_ways = np.eye(len(codes))
    before = codes
    for change_year in sorted({c.year for c in regions.changes if c.year > year}):
        after = municipalities(regions, change_year)
        step, link, known = _step(regions, change_year, before, after)
        shares, ways, known_ways = shares @ step, ways @ link, known_ways @ known
        before = after
    if before != municipalities(regions, LAST_CHANGE_YEAR):
        raise AssertionError(f"the changes since {year} do not lead to the present municipalities")
    return Spread(codes, shares, ways > 0, known_ways == ways)


def _step(
    regions: Regions, year: int, before: Sequence[str], after: Sequence[str]
) -> tuple[Matrix, Matrix, Matrix]:
    column = {code: position for position, code in enumerate(after)}
    leaves = {
        origin: change.to
        for change in regions.changes
        if change.year == year
        for origin in change.from_
    }
    step, link, known = (np.zeros((len(before), len(after))) for _ in range(3))
    for row, code in enumerate(before):
        if code not in leaves:
            targets: list[tuple[str, float | None]] = [(code, 1.0)]
        else:
            targets = [(recipient.code, recipient.share) for recipient in leaves[code]]
        for target, share in targets:
            link[row, column[target]] = 1
            known[row, column[target]] = share is not None
            step[row, column[target]] = 0.0 if share is None else share
    return step, link, known
