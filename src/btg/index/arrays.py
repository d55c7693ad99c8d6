"""Dense arrays of the engine: their types, the names of their axes, sums in a fixed order.

Axes, everywhere: the first is the region, the last the indicator (or dimension); with three axes
the middle one is the year. NaN is the only mark of a missing value; infinity is always an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from btg.index.errors import IndexMethodError

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

#: Shares and sums of weights are compared with this margin.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Labels:
    """Names of the axes of a dense array, used only to say where an error is.

    An axis without names is numbered, so that a message always points at one cell. ``years`` names
    the middle axis of three; ``row_years`` the year of each row where rows are region-years.
    """

    regions: Sequence[str] | None = None
    indicators: Sequence[str] | None = None
    years: Sequence[int] | None = None
    row_years: Sequence[int] | None = None

    def indicator(self, position: int) -> str:
        """Name of the indicator in column ``position``."""
        return str(position) if self.indicators is None else self.indicators[position]

    def region(self, position: int) -> str:
        """Name of the region in row ``position``."""
        return str(position) if self.regions is None else self.regions[position]

    def year(self, position: int) -> int:
        """The year at ``position`` of the middle axis."""
        return position if self.years is None else self.years[position]

    def only(self, position: int) -> "Labels":
        """The labels of the one column at ``position``."""
        return Labels(self.regions, [self.indicator(position)], self.years, self.row_years)

    def error(self, message: str, bad: BoolArray) -> IndexMethodError:
        """An error about the first true cell of ``bad`` ([..., n_indicators], 1 to 3 axes)."""
        cell = [int(axis) for axis in np.argwhere(bad)[0]]
        year = self.year(cell[1]) if len(cell) == 3 else None
        if len(cell) == 2 and self.row_years is not None:
            year = self.row_years[cell[0]]
        return IndexMethodError(
            message,
            indicator=self.indicator(cell[-1]),
            region=self.region(cell[0]) if len(cell) > 1 else None,
            year=year,
        )


NUMBERED = Labels()


def require(condition: BoolArray, message: str, labels: Labels) -> None:
    """Guarantee that ``condition`` is true in every cell; else the first other cell is named."""
    if not condition.all():
        raise labels.error(message, ~condition)


def require_not_infinite(values: FloatArray, labels: Labels = NUMBERED) -> None:
    """Guarantee that no cell is infinite (a division by zero upstream); NaN is allowed."""
    require(~np.isinf(values), "the value is infinite; a missing value must be null", labels)


def ordered_sum(terms: FloatArray) -> FloatArray:
    """Sum over the last axis, term after term: [..., n] -> [...].

    A fixed order makes every cell independent of the shape of the array, so that appending a
    year or a region leaves the other cells bit-identical (BLAS and pairwise sums do not).
    """
    total: FloatArray = np.zeros(terms.shape[:-1])
    for position in range(terms.shape[-1]):
        total += terms[..., position]
    return total


def per_indicator(setting: float | FloatArray | None, n: int, default: float) -> FloatArray:
    """A number, or one number per indicator, as an array of length ``n``."""
    chosen = default if setting is None else setting
    spread: FloatArray = np.broadcast_to(np.asarray(chosen, dtype=np.float64), (n,)).copy()
    return spread


def checked_polarity(
    polarity: float | FloatArray | None, n: int, labels: Labels = NUMBERED
) -> FloatArray:
    """Polarity per indicator, [n]: +1 if a higher value is better, -1 if a lower one is."""
    signs = per_indicator(polarity, n, 1.0)
    require(np.abs(signs) == 1.0, "polarity must be +1 or -1", labels)
    return signs
