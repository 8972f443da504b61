"""Dynamic evaluation: the weights it scores with, its update rules, and that it leaves the network unchanged."""

import numpy as np
import pytest

from rnnlm.inference.dynamic import DECAY, EPSILON, Learning, dynamic_nats
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.gradients import dense
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS

V = 9
RATES = {"sgd": 1.0, "rms": 0.03}


class Ids:
    def __init__(self, ids: list[int]) -> None:
        self.ids = np.array(ids, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self.ids[positions]


@pytest.fixture(params=RATES)
def rule(request) -> str:
    return request.param


@pytest.fixture
def network() -> Network:
    config = NetworkConfig(V, "lstm", hidden_size=8, embedding_size=4, dropout=0.5)
    return Network.initialize(config, np.random.default_rng(0), output_bias=np.r_[-1e4, np.zeros(V - 1)])


REPETITIVE = Ids([3, 4, 5, 6, EOS] * 60)


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_dynamic_evaluation_improves_on_a_repetitive_text(network: Network, rule: str, context: str):
    static = token_nats(network, REPETITIVE, context)
    dynamic = dynamic_nats(network, REPETITIVE, context, Learning(rule, RATES[rule], 10))
    assert dynamic.mean() < 0.9 * static.mean()
    assert dynamic[-50:].mean() < 0.75 * static[-50:].mean()


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("window", [1, 7, 20, 1000])
def test_a_learning_rate_of_zero_gives_the_plain_evaluation(network: Network, rule: str, context: str, window: int):
    ids = Ids(np.random.default_rng(1).integers(1, V, 150).tolist())
    assert dynamic_nats(network, ids, context, Learning(rule, 0.0, window)) == pytest.approx(
        token_nats(network, ids, context), abs=1e-4
    )


@pytest.mark.parametrize("window", [1, 7, 20])
def test_no_token_is_scored_by_weights_that_were_trained_on_it(network: Network, rule: str, window: int):
    """A change of the text must not change any score before it."""
    ids = np.random.default_rng(2).integers(1, V, 100)
    before = dynamic_nats(network, Ids(ids.tolist()), "stream", Learning(rule, RATES[rule], window))
    place = 61
    changed = np.concatenate([ids[:place], 1 + ids[place:] % (V - 1)])
    after = dynamic_nats(network, Ids(changed.tolist()), "stream", Learning(rule, RATES[rule], window))
    assert (before[:place] == after[:place]).all()
    assert (before[place:] != after[place:]).any()


def test_the_first_window_is_scored_by_the_original_weights(network: Network, rule: str):
    static = token_nats(network, REPETITIVE, "stream")
    dynamic = dynamic_nats(network, REPETITIVE, "stream", Learning(rule, RATES[rule], 30))
    assert dynamic[:30] == pytest.approx(static[:30], abs=1e-5)
    assert (dynamic[30:60] != static[30:60]).all()


def test_the_network_is_not_changed(network: Network, rule: str):
    before = {name: array.copy() for name, array in network.params.items()}
    dynamic_nats(network, REPETITIVE, "sentence", Learning(rule, RATES[rule], 10))
    assert all((network.params[name] == array).all() for name, array in before.items())


@pytest.mark.parametrize("embedding_size", [4, 0])
def test_the_rule_rms_follows_its_formula(embedding_size: int):
    """Compare with dense gradients in float64; rows that a window does not read do not change."""
    config = NetworkConfig(V, "gru", hidden_size=5, embedding_size=embedding_size)
    network = Network.initialize(config, np.random.default_rng(0), "normal", dtype=np.float64)
    ids = np.random.default_rng(3).integers(1, V, 60)
    found = dynamic_nats(network, Ids(ids.tolist()), "stream", Learning("rms", 0.02, 12))
    weights = {name: array.copy() for name, array in network.params.items()}
    squares = {name: np.zeros_like(array) for name, array in weights.items()}
    state, expected = network.zero_state(1), []
    table = "embedding.weight" if embedding_size else "rnn.weight_ih_l0"
    for step, window in enumerate(np.split(ids, 5), 1):
        learner = Network(config, weights)
        inputs = np.concatenate([[BOS] if step == 1 else ids[12 * step - 13 : 12 * step - 12], window[:-1]])[:, None]
        nats, _ = learner.nats(inputs, window[:, None], state)
        expected.append(nats[:, 0])
        _, state, backprop = learner.loss(inputs, window[:, None], state, scale=1 / 12)
        grads = dense({name: each for name, each in backprop().items() if name != "initial_state"})
        for name, g in grads.items():
            squares[name] += g**2
            r = np.sqrt(squares[name] / step)
            read = np.ones(g.shape, dtype=bool)
            if name == table:
                read = np.isin(np.arange(V), inputs)[:, None] if embedding_size else np.isin(np.arange(V), inputs)[None]
                read = np.broadcast_to(read, g.shape)
            back = np.minimum(1, DECAY * r / r[read].mean()) * (network.params[name] - weights[name])
            weights[name] = np.where(read, weights[name] - 0.02 * g / (r + EPSILON) + back, weights[name])
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-6)


def test_no_text_gives_no_scores(network: Network, rule: str):
    assert dynamic_nats(network, Ids([]), "stream", Learning(rule, RATES[rule], 10)).shape == (0,)
