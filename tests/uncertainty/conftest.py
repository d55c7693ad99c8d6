from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from btg import build, pipeline, warehouse
from btg.catalogue.loader import Catalogue
from btg.index.sensitivity import FactorialResult, factorial
from btg.index.variants import SensitivityInputs
from btg.settings import Settings
from btg.uncertainty import estimates
from btg.uncertainty.variant_inputs import DenseGrid, in_years, read_grid, sensitivity_inputs


@dataclass
class Built:
    """A build in memory, before anything is written, with what the engine makes of it."""

    con: warehouse.Connection
    grid: DenseGrid
    inputs: SensitivityInputs
    result: FactorialResult
    errors: estimates.ChangeErrors


@pytest.fixture(scope="session")
def built(published: Settings, catalogue: Catalogue) -> Iterator[Built]:
    workspace = pipeline.Workspace(published, catalogue)
    tables = pipeline.in_use(workspace, None)
    con = warehouse.open_build()
    pipeline.build_relations(workspace, con, build.read_inputs(catalogue, tables), tables)
    grid = read_grid(con, "build")
    inputs = sensitivity_inputs(grid)
    result = factorial(in_years(inputs, inputs.is_index_year))
    yield Built(con, grid, inputs, result, estimates.change_errors(con, grid))
    con.close()
