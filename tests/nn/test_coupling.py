"""LSTMs with the input gate 1 - f, and the networks of the cell `cifg` that they are trained as."""

import numpy as np
import pytest

from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.coupling import as_cifg, as_lstm
from rnnlm.nn.network import Network, NetworkConfig

V, H, D, T, B = 7, 5, 4, 6, 2


def cifg(kind=Network, embedding_size=D, **more):
    rng = np.random.default_rng(1)
    config = NetworkConfig(V, "cifg", "tanh", H, 2, embedding_size, **more)
    return kind(config, {name: rng.normal(0, 0.8, shape) for name, shape in config.shapes().items()})


@pytest.mark.parametrize("embedding_size", [0, D])
def test_coupled_network_equals_its_lstm(embedding_size):
    network = cifg(embedding_size=embedding_size)
    lstm = as_lstm(network)
    assert (lstm.config.cell, lstm.params["rnn.weight_hh_l1"].shape) == ("lstm", (4 * H, H))
    ids, rng = np.random.default_rng(2).integers(0, V, (T, B)), np.random.default_rng(3)
    state = rng.normal(0, 1, network.zero_state(B).shape)
    for one, other in zip(network.log_probabilities(ids, state), lstm.log_probabilities(ids, state), strict=True):
        assert one == pytest.approx(other, abs=1e-12)


def test_coupled_network_of_both_directions_equals_its_lstm():
    network = cifg(BidirectionalNetwork, bidirectional=True)
    ids, keep = np.random.default_rng(2).integers(0, V, (T, B)), np.ones((T, B, 2))
    assert network.between(ids, keep)[0] == pytest.approx(as_lstm(network).between(ids, keep)[0], abs=1e-12)


@pytest.mark.parametrize("embedding_size", [0, D])
def test_lstm_of_a_coupled_network_gives_it_back(embedding_size):
    network = cifg(embedding_size=embedding_size)
    back = as_cifg(as_lstm(network))
    assert back.config == network.config
    for name, array in network.params.items():
        assert np.array_equal(back.params[name], array)
