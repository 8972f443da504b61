"""Dynamic evaluation: what it scores by, what it learns, what it leaves alone."""

import numpy as np
import pytest

from rnnlm.inference.dynamic import dynamic_nats
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import EOS

V = 9


class Ids:
    def __init__(self, ids: list[int]) -> None:
        self.ids = np.array(ids, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self.ids[positions]


@pytest.fixture
def network() -> Network:
    config = NetworkConfig(V, "lstm", hidden_size=8, embedding_size=4, dropout=0.5)
    return Network.initialize(config, np.random.default_rng(0), output_bias=np.r_[-1e4, np.zeros(V - 1)])


REPETITIVE = Ids([3, 4, 5, 6, EOS] * 60)


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_on_a_text_that_repeats_it_beats_a_model_that_only_reads(network: Network, context: str):
    static = token_nats(network, REPETITIVE, context)
    dynamic = dynamic_nats(network, REPETITIVE, context, lr=1.0, window=10)
    assert dynamic.mean() < 0.9 * static.mean()
    assert dynamic[-50:].mean() < 0.75 * static[-50:].mean()


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("window", [1, 7, 20, 1000])
def test_without_learning_it_is_the_plain_evaluation(network: Network, context: str, window: int):
    ids = Ids(np.random.default_rng(1).integers(1, V, 150).tolist())
    assert dynamic_nats(network, ids, context, lr=0.0, window=window) == pytest.approx(
        token_nats(network, ids, context), abs=1e-4
    )


@pytest.mark.parametrize("window", [1, 7, 20])
def test_no_token_is_scored_by_weights_that_have_seen_it(network: Network, window: int):
    """Change the text from some place on: nothing that was scored before that place may change."""
    ids = np.random.default_rng(2).integers(1, V, 100)
    before = dynamic_nats(network, Ids(ids.tolist()), "stream", lr=1.0, window=window)
    place = 61
    changed = np.concatenate([ids[:place], 1 + ids[place:] % (V - 1)])
    after = dynamic_nats(network, Ids(changed.tolist()), "stream", lr=1.0, window=window)
    assert (before[:place] == after[:place]).all()
    assert (before[place:] != after[place:]).any()


def test_the_first_window_is_scored_by_the_model_as_it_is(network: Network):
    static = token_nats(network, REPETITIVE, "stream")
    dynamic = dynamic_nats(network, REPETITIVE, "stream", lr=1.0, window=30)
    assert dynamic[:30] == pytest.approx(static[:30], abs=1e-5)
    assert (dynamic[30:60] != static[30:60]).all()


def test_the_network_is_left_as_it_is(network: Network):
    before = {name: array.copy() for name, array in network.params.items()}
    dynamic_nats(network, REPETITIVE, "sentence", lr=1.0, window=10)
    assert all((network.params[name] == array).all() for name, array in before.items())


def test_no_text_gives_no_scores(network: Network):
    assert dynamic_nats(network, Ids([]), "stream", lr=1.0, window=10).shape == (0,)
