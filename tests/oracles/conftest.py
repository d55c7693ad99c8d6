"""Access to the published figures in tests/oracles/data."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parent / "data"


def read_published(name: str) -> pl.DataFrame:
    """One table of tests/oracles/data by its name without ending."""
    plain = DATA / f"{name}.csv"
    path = plain if plain.exists() else DATA / f"{name}.csv.gz"
    return pl.read_csv(path, null_values=["NA", ""], infer_schema_length=None)


@pytest.fixture(scope="session")
def published() -> Callable[[str], pl.DataFrame]:
    """Reader of the published tables."""
    return read_published
