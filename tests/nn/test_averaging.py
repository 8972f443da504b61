"""The average of networks against the mean of their logits."""

import itertools

import numpy as np
import pytest

from rnnlm.nn.averaging import average, widened
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig

V, H, D, T, B = 13, 9, 4, 6, 2
ADAPTIVE = {"output": "adaptive", "cutoffs": (5, 8), "div_value": 2.0}  # tails of 4 and 2; of the average 13 and 6


def networks(count=3, kind=Network, cell="lstm", layers=1, embedding_size=D, **more):
    config = NetworkConfig(V, cell, "tanh", H, layers, embedding_size, **more)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield kind(config, {name: rng.normal(0, 0.6, shape) for name, shape in config.shapes().items()})


def some_ids():
    return np.random.default_rng(9).integers(0, V, (T, B))


@pytest.mark.parametrize(("cell", "layers", "embedding_size"), list(itertools.product(CELLS, (1, 2), (0, D))))
def test_logits_of_the_average_are_the_mean_of_the_logits(cell, layers, embedding_size):
    several = list(networks(cell=cell, layers=layers, embedding_size=embedding_size))
    ids = some_ids()
    mean = np.mean([each.log_probabilities(ids, each.zero_state(B))[0] for each in several], axis=0)
    expected = mean - np.log(np.exp(mean).sum(axis=-1, keepdims=True))
    found = average(several)
    assert found.log_probabilities(ids, found.zero_state(B))[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("embedding_size", [0, D])
def test_adaptive_softmax_is_averaged_in_each_cluster(embedding_size):
    several = list(networks(embedding_size=embedding_size, **ADAPTIVE))
    ids = some_ids()
    found = average(several)
    log_probs = found.log_probabilities(ids, found.zero_state(B))[0]
    assert np.exp(log_probs).sum(axis=-1) == pytest.approx(1)
    for cluster in (slice(0, 5), slice(5, 8), slice(8, V)):
        own = [each.log_probabilities(ids, each.zero_state(B))[0][..., cluster] for each in several]
        mean = np.mean(own, axis=0)
        differences = log_probs[..., cluster] - mean  # the same for all tokens of a cluster: its probability
        assert differences - differences[..., :1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("more", [{}, ADAPTIVE])
def test_copies_of_a_network_average_to_what_it_says(more):
    (one,) = networks(1, **more)
    found, ids = average([one, one, one]), some_ids()
    expected = one.log_probabilities(ids, one.zero_state(B))[0]
    assert found.log_probabilities(ids, found.zero_state(B))[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_networks_of_both_directions_are_averaged(layers):
    several = list(networks(kind=BidirectionalNetwork, layers=layers, bidirectional=True))
    sequences, keep = some_ids(), np.ones((T, B, 2))

    def log_probs(network):
        return network.output.log_probabilities(network.params, network.between(sequences, keep)[0])

    mean = np.mean([log_probs(each) for each in several], axis=0)
    expected = mean - np.log(np.exp(mean).sum(axis=-1, keepdims=True))
    found = average(several)
    assert found.config == widened(several[0].config, 3)
    assert log_probs(found) == pytest.approx(expected, abs=1e-12)


def test_different_or_tied_networks_are_refused():
    (one,), (other,) = networks(1), networks(1, layers=2)
    with pytest.raises(ValueError, match="one description"):
        average([one, other])
    (tied,) = networks(1, embedding_size=H, tied=True)
    with pytest.raises(ValueError, match="not tied"):
        average([tied, tied])
