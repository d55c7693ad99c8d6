"""A general engine for composite indices: pure functions on dense arrays, long frames outside.

Describe a composite with :class:`Hierarchy` (two small tables) and :class:`Method` (one record) and
call :func:`compose`; :mod:`btg.index.compose` computes the Human Development Index as the worked
example. One idea per module: ``transforms``, ``treatment``, ``ruler``, ``normalise``, ``weights``,
``aggregate``, ``missing``, ``change``, ``precision``, ``variants``, ``sensitivity``, ``scenarios``,
``variance``, ``coverage``, ``diagnostics``.
"""

from btg.index.compose import compose
from btg.index.errors import IndexMethodError, MethodError
from btg.index.hierarchy import Hierarchy, effective_weights
from btg.index.method import Method
from btg.index.ruler import Ruler

__all__ = [
    "Hierarchy",
    "IndexMethodError",
    "Method",
    "MethodError",
    "Ruler",
    "compose",
    "effective_weights",
]
