"""The one error of the index engine: it always names the indicator, region or setting."""

from btg.errors import MethodError

__all__ = ["IndexMethodError", "MethodError"]


class IndexMethodError(MethodError):
    """A :class:`btg.errors.MethodError` that carries the cell or setting it is about.

    Raised instead of returning NaN, dropping a row or ignoring a setting. ``indicator``,
    ``region``, ``year`` and ``setting`` hold the names where they are known, else ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        indicator: str | None = None,
        region: str | None = None,
        year: int | None = None,
        setting: str | None = None,
    ) -> None:
        named = {"indicator": indicator, "region": region, "year": year, "setting": setting}
        where = ", ".join(f"{key} {value!r}" for key, value in named.items() if value is not None)
        super().__init__(f"{where}: {message}" if where else message)
        self.indicator = indicator
        self.region = region
        self.year = year
        self.setting = setting
