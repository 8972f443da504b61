"""The neural cache is a distribution, follows its formula, does not depend on blocks, and helps where words recur."""

import itertools

import numpy as np
import pytest

from rnnlm.inference.cache import NeuralCache
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS, UNK

V, N = 7, 5


@pytest.fixture(params=["lstm", "gru"])
def network(request):
    config = NetworkConfig(vocabulary_size=V, cell=request.param, hidden_size=6, embedding_size=4)
    return Network.initialize(config, np.random.default_rng(1), "normal", dtype=np.float64)


def by_the_formula(network, text, theta, reach=N, context="stream"):
    """Return the probability (T, V) of every id at each place of a text that is read after <s>."""
    inputs = np.array([BOS, *text[:-1]])
    keep = None
    if context == "sentence":
        inputs[inputs == EOS] = BOS
        keep = (inputs != BOS).astype(float)[:, None, None]
    h = network.hidden(inputs[:, None], network.zero_state(1), keep)[0][:, 0]
    rows = []
    for t in range(len(text)):
        row = np.zeros(V)
        before = [i for i in range(max(0, t - reach), t) if text[i] != UNK]
        for i in before:
            row[text[i]] += np.exp(theta * (h[t] @ h[i]) / np.linalg.norm(h[t]) / np.linalg.norm(h[i]))
        rows.append(row / row.sum() if before else np.array([0, *[1 / (V - 1)] * (V - 1)]))
    return np.array(rows)


TEXT = [3, 4, EOS, 5, 3, 3, EOS, 6, 4, 2, 3, EOS, 4]


@pytest.mark.parametrize("theta", [0.0, 3.0, 15.0, 500.0])
@pytest.mark.parametrize("context", ["stream", "sentence"])
def test_probabilities_follow_the_formula(network, theta, context):
    cache, inputs, keep = NeuralCache(network, N, theta), np.array([BOS, *TEXT[:-1]])[:, None], None
    if context == "sentence":
        inputs[inputs == EOS] = BOS
        keep = (inputs != BOS).astype(np.float32)[..., None]
    expected = by_the_formula(network, TEXT, theta, context=context)
    rows, _ = cache.log_probabilities(inputs, cache.zero_state(1), keep)
    np.testing.assert_allclose(np.exp(rows[:, 0]), expected, atol=1e-12)
    np.testing.assert_allclose(np.exp(rows[:, 0]).sum(axis=1), 1)
    nats, _ = cache.nats(inputs, np.array(TEXT)[:, None], cache.zero_state(1), keep)
    np.testing.assert_allclose(np.exp(-nats[:, 0]), expected[np.arange(len(TEXT)), TEXT], atol=1e-12)


@pytest.mark.parametrize("cuts", [[1], [4, 9], [*range(1, 13)]])
def test_a_text_read_in_pieces_has_the_same_probabilities(network, cuts):
    cache, inputs = NeuralCache(network, N), np.array([BOS, *TEXT[:-1]])[:, None]
    whole, final = cache.log_probabilities(inputs, cache.zero_state(1))
    state, parts = cache.zero_state(1), []
    for piece in np.split(inputs, cuts):
        rows, state = cache.log_probabilities(piece, state)
        parts.append(rows)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9)
    np.testing.assert_allclose(state, final, atol=1e-9)
    last, final = cache.next_log_probabilities(inputs, cache.zero_state(1))
    np.testing.assert_allclose(last, whole[-1], atol=1e-9)
    np.testing.assert_allclose(state, final, atol=1e-9)


def test_columns_do_not_influence_each_other(network):
    cache, texts = NeuralCache(network, N), np.array([TEXT, TEXT[::-1]]).T
    both, state = cache.log_probabilities(texts, cache.zero_state(2))
    for column in (0, 1):
        alone, own = cache.log_probabilities(texts[:, column : column + 1], cache.zero_state(1))
        np.testing.assert_allclose(both[:, column], alone[:, 0], atol=1e-9)
        np.testing.assert_allclose(state[column], own[0], atol=1e-9)


def test_probabilities_of_all_strings_sum_to_one(network):
    """Sum over all strings of three ids after a text, for a network mixed with its cache."""
    cache = NeuralCache(network, N)
    mixed, total = Mixture([network, cache], [0.7, 0.3]), 0.0
    _, state = mixed.log_probabilities(np.array([BOS, *TEXT])[:, None], mixed.zero_state(1))
    for string in itertools.product(range(1, V), repeat=3):
        inputs, targets = np.array([TEXT[-1], *string[:-1]])[:, None], np.array(string)[:, None]
        total += np.exp(-mixed.nats(inputs, targets, state)[0].sum())
    rest = 1.0
    assert 0.5 < total <= rest + 1e-9, "the network gives <s> a part"


@pytest.mark.parametrize("context", ["stream", "sentence"])
def test_the_cache_helps_only_where_words_recur(network, context):
    """As a control, on random words the cache is of no use."""
    rng = np.random.default_rng(1)
    loops = np.tile(rng.integers(2, V, 9), 40)
    loops[8::9] = EOS
    cache = NeuralCache(network, 20)
    seen = token_nats(Mixture([network, cache], [0.8, 0.2]), loops, context)
    assert seen.mean() < 0.9 * token_nats(network, loops, context).mean()
    random = rng.integers(2, V, 360)
    unseen = token_nats(Mixture([network, cache], [0.8, 0.2]), random, context)
    assert unseen.mean() > 0.98 * token_nats(network, random, context).mean()


@pytest.mark.parametrize("context", ["stream", "sentence"])
def test_a_long_text_read_in_columns_has_the_same_scores(network, context):
    text = np.random.default_rng(1).integers(2, V, 20_000)
    text[9::10] = EOS
    mixed = Mixture([network, NeuralCache(network, 40)], [0.8, 0.2])
    columns = token_nats(mixed, text, context)
    inputs, keep = np.array([BOS, *text[:-1]])[:, None], None
    if context == "sentence":
        inputs[inputs == EOS] = BOS
        keep = (inputs != BOS).astype(np.float32)[..., None]
    one, _ = mixed.nats(inputs[:6000], text[:6000, None], mixed.zero_state(1), None if keep is None else keep[:6000])
    np.testing.assert_allclose(columns[:6000], one[:, 0], atol=1e-5)
