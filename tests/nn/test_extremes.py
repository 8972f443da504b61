"""Probabilities are finite and sum to one for all weights that can be loaded, up to the largest."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS, LARGEST_STATE, LARGEST_WEIGHT, are_weights
from rnnlm.nn.outputs import OUTPUTS

V, H = 12, 8
LAYERS = {
    "softmax": {},
    "tied": {"tied": True, "embedding_size": H},
    "adaptive": {"output": "adaptive", "cutoffs": (6, 9), "div_value": 2.0},
}
KINDS = [*((cell, "tanh") for cell in CELLS), *(("rnn", activation) for activation in ACTIVATIONS)]
SCALES = st.lists(st.sampled_from([0, 1e-45, 1e-30, 1e-3, 1, 30, 1e3, 1e6, 1e10, -1e10]), min_size=1, max_size=8)


def network_of(kind, layer, scales, seed, bidirectional=False):
    cell, activation = kind
    options = {"embedding_size": H * (seed % 2)} | LAYERS[layer]
    config = NetworkConfig(V, cell, activation, hidden_size=H, num_layers=2, bidirectional=bidirectional, **options)
    network = (BidirectionalNetwork if bidirectional else Network).initialize(config, np.random.default_rng(seed))
    for array, scale in zip(network.params.values(), itertools.cycle(scales)):
        np.clip(array * np.float32(scale), -LARGEST_WEIGHT, LARGEST_WEIGHT, out=array)
    return network


def assert_distributions(log_probabilities):
    assert np.isfinite(log_probabilities).all()
    assert (log_probabilities <= 0).all()
    totals = np.exp(log_probabilities.astype(np.float64)).sum(axis=-1)
    np.testing.assert_allclose(totals, 1, atol=1e-5)


def test_the_layers_include_every_output_layer():
    assert {LAYERS[name].get("output", "softmax") for name in LAYERS} == OUTPUTS.keys()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(scales=SCALES, seed=st.integers(0, 99))
def test_probabilities_are_numbers_and_sum_to_one(kind, layer, scales, seed):
    network = network_of(kind, layer, scales, seed)
    ids = np.random.default_rng(seed).integers(0, V, (60, 3))
    log_probabilities, state = network.log_probabilities(ids, network.zero_state(3))
    assert np.isfinite(state).all()
    assert_distributions(log_probabilities)
    nats, _ = network.nats(ids, ids, network.zero_state(3))
    of_targets = np.take_along_axis(log_probabilities, ids[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(nats, -of_targets, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layer", ["softmax", "adaptive"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(scales=SCALES, seed=st.integers(0, 99))
def test_probabilities_of_a_bidirectional_network_are_numbers_and_sum_to_one(kind, layer, scales, seed):
    network = network_of(kind, layer, scales, seed, bidirectional=True)
    ids = np.random.default_rng(seed).integers(3, V, (40, 3))
    assert_distributions(network.log_probabilities_at(ids, np.array([1, 20, 38])))


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_states_of_unbounded_activations_are_clipped(activation):
    network = network_of(("rnn", activation), "softmax", [1], 1)
    for name in ("rnn.weight_hh_l0", "rnn.weight_hh_l1"):
        network.params[name][...] = 2 * np.eye(H)
    for name in ("rnn.bias_ih_l0", "rnn.bias_ih_l1"):
        network.params[name][...] = 1
    ids = np.full((300, 1), 5)  # 2^300 overflows in float32
    log_probabilities, state = network.log_probabilities(ids, network.zero_state(1))
    assert state.max() == np.float32(LARGEST_STATE)
    assert_distributions(log_probabilities)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.1e10, -1.1e10])
def test_nan_and_values_beyond_the_limit_are_not_weights(value):
    assert are_weights(np.array([1, LARGEST_WEIGHT, -LARGEST_WEIGHT]))
    assert are_weights(np.zeros(0))
    assert not are_weights(np.array([1, value, 2]))
