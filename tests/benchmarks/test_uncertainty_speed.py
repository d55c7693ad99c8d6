"""How long the uncertainty of a build takes: run with ``pytest --benchmark-only``.

Targets on two free cores: all municipalities and all index years under 4 s and 1 GB; the 14 with
Twente, Overijssel and the Netherlands under 1 s.
"""

from dataclasses import replace

import numpy as np
import polars as pl
from pytest_benchmark.fixture import BenchmarkFixture

from btg import build, pipeline, warehouse
from btg.catalogue.loader import Catalogue
from btg.index.scenarios import leave_one_out, scenario_frame, scenarios, weight_draws
from btg.index.sensitivity import factorial, interval_frame, sensitivity_frame
from btg.index.variants import SensitivityInputs
from btg.settings import Settings
from btg.uncertainty import estimates
from btg.uncertainty.variant_inputs import in_years, read_grid, sensitivity_inputs


def _connection(published: Settings, catalogue: Catalogue) -> warehouse.Connection:
    workspace = pipeline.Workspace(published, catalogue)
    tables = pipeline.in_use(workspace, None)
    con = warehouse.open_build()
    pipeline.build_relations(workspace, con, build.read_inputs(catalogue, tables), tables)
    return con


def test_everything_for_all_municipalities(
    benchmark: BenchmarkFixture, published: Settings, catalogue: Catalogue
) -> None:
    con = _connection(published, catalogue)
    frames = benchmark.pedantic(estimates.compute, args=(con,), rounds=3, warmup_rounds=1)
    con.close()
    assert {
        "uncertainty.interval",
        "uncertainty.change",
        "uncertainty.sensitivity",
    } <= frames.keys()


def test_everything_for_twente(benchmark: BenchmarkFixture, published: Settings) -> None:
    con = warehouse.open_published(published.database)
    grid = read_grid(con, "published")
    con.close()
    inputs = sensitivity_inputs(grid)
    kept = grid.region["is_twente"].to_numpy() | (
        grid.region["region_code"].is_in(["CR12", "PV23", "NL01"]).to_numpy()
    )
    small = _in_regions(in_years(inputs, inputs.is_index_year), kept)
    result = benchmark.pedantic(_everything, args=(small,), rounds=3, warmup_rounds=1)
    assert result.height > 0


def _everything(inputs: SensitivityInputs) -> pl.DataFrame:
    result = factorial(inputs)
    scenario_frame(inputs, iter([*scenarios(inputs), *leave_one_out(inputs)]))
    weight_draws(inputs)
    sensitivity_frame(result)
    return interval_frame(result)


def _in_regions(inputs: SensitivityInputs, kept: np.ndarray) -> SensitivityInputs:
    codes = [code for code, is_kept in zip(inputs.region_codes, kept, strict=True) if is_kept]
    return replace(
        inputs,
        region_codes=codes,
        values=inputs.values[kept],
        base_values={name: array[kept] for name, array in inputs.base_values.items()},
        is_carried=inputs.is_carried[kept],
        is_matched=inputs.is_matched[kept],
        is_municipality=inputs.is_municipality[kept],
        population=inputs.population[kept],
    )
