import numpy as np
import pytest

from btg.index.change import Structure
from btg.index.coverage import cell_weights, index_years, weight_share
from btg.index.scenarios import default_scaled
from btg.index.synthetic import synthetic_inputs
from btg.index.variants import default_index

NAN = np.nan
STRUCTURE = Structure(np.array([0, 0, 1]), np.array([0.4, 0.6, 1.0]), np.array([0.25, 0.75]))


def test_effective_weights_of_cells_by_hand() -> None:
    values = np.array([[[1.0, 1.0, 1.0], [NAN, 1.0, 1.0], [1.0, NAN, 1.0], [1.0, 1.0, NAN]]])
    found = cell_weights(values, STRUCTURE, min_dimension_share=0.5)
    np.testing.assert_allclose(
        found[0],
        [[0.1, 0.15, 0.75], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0], [0.4, 0.6, 0.0]],
    )
    strict = cell_weights(values, STRUCTURE, min_dimension_share=1.0)
    assert np.isnan(strict[0, 2:]).all()


def test_effective_weights_give_the_index() -> None:
    inputs = synthetic_inputs(n_municipalities=40, n_indicators=24, years=(2019, 2020))
    cells = default_scaled(inputs)
    weights = cell_weights(cells, inputs.structure)
    index = np.where(weights > 0, weights * cells, np.where(np.isnan(weights), NAN, 0.0))
    np.testing.assert_allclose(index.sum(axis=-1), default_index(inputs), atol=1e-9)


def test_share_of_weight_on_flagged_cells() -> None:
    weights = np.array([[0.1, 0.15, 0.75], [NAN, NAN, NAN]])
    flagged = np.array([[False, True, True], [True, False, False]])
    np.testing.assert_allclose(weight_share(weights, flagged), [0.9, NAN])


@pytest.mark.parametrize(
    ("observed", "n_index", "n_dimension", "expected"),
    [(0.5, 9, 9, True), (0.49, 9, 9, False), (0.5, 8, 9, False), (0.5, 9, 8, False)],
)
def test_index_years_need_all_three(
    observed: float, n_index: int, n_dimension: int, expected: bool
) -> None:
    index = np.where(np.arange(11) < n_index, 100.0, NAN)[:, None]
    dimensions = np.full((11, 1, 2), 100.0)
    dimensions[n_dimension:, 0, 1] = NAN
    found = index_years(index, dimensions, np.array([observed]), is_municipality=np.arange(11) < 10)
    assert found.tolist() == [expected]
