"""Initial weights have the bounds, orthogonality or identity of their sources."""

import numpy as np
import pytest

from rnnlm.nn.cells import CELLS
from rnnlm.nn.initializers import INITIALIZERS
from rnnlm.nn.network import Network, NetworkConfig

H = 6
FORGET_GATE = {"lstm": 1, "cifg": 0}  # place of the forget gate among the slabs
SHAPES = [(H, H), (4 * H, H), (3 * H, 4), (4 * H, 20), (20, H), (20, 4)]  # the last two are output layer and embedding


def make(scheme, rows, columns, seed=1):
    return INITIALIZERS[scheme](np.random.default_rng(seed), rows, columns, H)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", INITIALIZERS)
def test_every_scheme_gives_finite_weights_that_repeat_with_the_seed(scheme, shape):
    weights = make(scheme, *shape)
    assert weights.shape == shape
    assert np.isfinite(weights).all()
    assert (weights != 0).any(axis=1).all()  # no unit is without input
    np.testing.assert_array_equal(weights, make(scheme, *shape))


@pytest.mark.parametrize("scheme", INITIALIZERS)
def test_another_seed_gives_different_weights(scheme):
    assert (make(scheme, H, 20, seed=1) != make(scheme, H, 20, seed=2)).all()


BOUNDS = {
    "uniform": lambda rows, columns: H**-0.5,
    "xavier": lambda rows, columns: (6 / (H + columns)) ** 0.5,
    "article": lambda rows, columns: 1e-4,
}


@pytest.mark.parametrize("columns", [H, 200])
@pytest.mark.parametrize("scheme", BOUNDS)
def test_uniform_weights_fill_the_range_between_their_bounds(scheme, columns):
    bound = BOUNDS[scheme](4 * H, columns)
    weights = make(scheme, 4 * H, columns)
    assert 0.95 * bound < weights.max() <= bound
    assert -0.95 * bound > weights.min() >= -bound
    assert weights.std() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_slabs_are_orthogonal(shape):
    weights = make("orthogonal", *shape)
    for start in range(0, len(weights), H):
        slab = weights[start : start + H]
        product = slab @ slab.T if len(slab) <= slab.shape[1] else slab.T @ slab
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_only_square_slabs_start_as_the_identity():
    np.testing.assert_array_equal(make("identity", 3 * H, H), np.tile(np.eye(H), (3, 1)))
    assert make("normal", 3 * H, 200).std() == pytest.approx(0.001**0.5, rel=0.1)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("embedding_size", [0, 4])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("scheme", INITIALIZERS)
def test_a_new_network_uses_the_scheme_and_zero_biases(scheme, cell, embedding_size, bidirectional):
    config = NetworkConfig(
        9, cell=cell, hidden_size=H, num_layers=2, embedding_size=embedding_size, bidirectional=bidirectional
    )
    network = Network.initialize(config, np.random.default_rng(3), scheme)
    assert {name: array.shape for name, array in network.params.items()} == config.shapes()
    rng = np.random.default_rng(3)
    for name, array in network.params.items():
        assert array.dtype == np.float32
        if array.ndim == 2:
            # Only recurrent matrices start as the identity, although others may be square too.
            fitting = "normal" if scheme == "identity" and "weight_hh" not in name else scheme
            np.testing.assert_array_equal(array, INITIALIZERS[fitting](rng, *array.shape, H).astype(np.float32))
            continue
        expected = np.zeros(array.shape)
        if cell in FORGET_GATE and "bias_ih" in name:
            expected[FORGET_GATE[cell] * H :][:H] = 1  # the forget gate starts open
        np.testing.assert_array_equal(array, expected)


def test_an_untrained_network_predicts_the_distribution_of_its_output_bias():
    frequencies = np.array([0.1, 0.2, 0.3, 0.4])
    network = Network.initialize(
        NetworkConfig(4, hidden_size=H), np.random.default_rng(1), "article", np.log(frequencies)
    )
    log_probabilities, _ = network.log_probabilities(np.array([[3]]), network.zero_state(1))
    np.testing.assert_allclose(np.exp(log_probabilities[0, 0]), frequencies, atol=1e-4)


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.memory_gates])
def test_a_unit_with_long_memory_keeps_its_state_for_the_given_time(cell):
    config = NetworkConfig(vocabulary_size=5, cell=cell, hidden_size=12, num_layers=2, embedding_size=4)
    network = Network.initialize(config, np.random.default_rng(1), dtype=np.float64, long_memory=0.5)
    for name, array in network.params.items():
        if ".weight" in name:
            array[...] = 0  # no input, so that only the kept state is left
    state = network.zero_state(1)
    state[...] = 1
    _, final = network.log_probabilities(np.ones((10, 1), dtype=int), state)
    kept = final[-1, :, 0] ** (1 / 10)  # share of c, or of h in cells without c, kept in one step
    times = 2 + 62 * (np.arange(6) + 0.5) / 6
    np.testing.assert_allclose(kept[:, :6], np.tile(1 - 1 / times, (2, 1)))
    usual = {"gru": 1 / 2, "mingru": 1 / 2}.get(cell, 1 / (1 + np.exp(-1)))
    np.testing.assert_allclose(kept[:, 6:], usual)


def test_without_long_memory_or_gates_initial_weights_are_unchanged():
    for cell in CELLS:
        config = NetworkConfig(vocabulary_size=5, cell=cell, hidden_size=12)
        shares = (0.0, 0.04) if CELLS[cell].memory_gates else (0.0, 1.0)
        first, second = (Network.initialize(config, np.random.default_rng(1), long_memory=share) for share in shares)
        for name, array in first.params.items():
            np.testing.assert_array_equal(array, second.params[name])
