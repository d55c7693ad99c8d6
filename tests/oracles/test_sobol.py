"""Sobol estimators on a saved Saltelli design of the Ishigami function."""

from collections.abc import Callable

import numpy as np
import polars as pl

from btg.index.variance import sobol_indices, split_saltelli

N_SAMPLES = 512


def test_estimators_equal_those_of_the_package(published: Callable[[str], pl.DataFrame]) -> None:
    outputs = published("coinr_sobol_design")["y"].to_numpy()
    expected = published("coinr_sobol_expected")
    found = sobol_indices(*split_saltelli(outputs, N_SAMPLES))
    np.testing.assert_allclose(found.first_order, expected["Si"].to_numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.total, expected["STi"].to_numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.variance, expected["Var"].to_numpy(), rtol=0, atol=1e-11)
