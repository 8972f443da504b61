"""Fillings against enumeration of all ids in the blanks."""

import itertools

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.filling import BLANK, fill_between, fill_forward, pseudo_nats
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.vocabulary import BOS, EOS, UNK

V = 8
NEVER = [BOS, EOS, UNK]
WORDS = range(3, V)
SENTENCES = [[3, BLANK, 5], [BLANK], [4, BLANK, BLANK, 3], [BLANK, 6, 6, BLANK], [3, 4, BLANK]]


def forward_model(name: str) -> Network | NgramModel:
    rng = np.random.default_rng(2)
    if name == "ngram":
        return NgramModel.train(np.where(rng.random(400) < 0.2, EOS, rng.integers(3, V, 400)), V, 3)
    return sharpened(Network.initialize(NetworkConfig(V, name, hidden_size=7), rng, dtype=np.float64))


def sharpened(network: Network) -> Network:
    """Add random weights, so that the network has clear preferences."""
    rng = np.random.default_rng(3)
    for array in network.params.values():
        array += rng.normal(0, 0.6, array.shape)
    return network


def two_sided(cell: str, num_layers: int = 1) -> BidirectionalNetwork:
    config = NetworkConfig(V, cell, hidden_size=5, num_layers=num_layers, embedding_size=4, bidirectional=True)
    made = sharpened(BidirectionalNetwork.initialize(config, np.random.default_rng(1), dtype=np.float64))
    assert isinstance(made, BidirectionalNetwork)
    return made


def fillings_of(ids: list[int]) -> list[tuple[tuple[int, ...], list[int]]]:
    """Return every filling with the sentence that it gives."""
    found = []
    for tokens in itertools.product(WORDS, repeat=ids.count(BLANK)):
        pieces = iter(tokens)
        found.append((tokens, [next(pieces) if each == BLANK else each for each in ids]))
    return found


def assert_same(found, expected):
    expected = sorted(expected.items(), key=lambda item: -item[1])
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])


@pytest.mark.parametrize("name", [*CELLS, "ngram"])
@pytest.mark.parametrize("ids", SENTENCES)
def test_a_one_directional_model_ranks_by_the_probability_of_the_sentence(name, ids):
    model = forward_model(name)
    expected = {}
    for tokens, sentence in fillings_of(ids):
        inputs, targets = np.array([[BOS], *[[i] for i in sentence]]), np.array([*[[i] for i in sentence], [EOS]])
        expected[tokens] = -float(model.nats(inputs, targets, model.zero_state(1))[0].sum())
    assert_same(fill_forward(model, ids, len(WORDS) ** ids.count(BLANK), NEVER), expected)


def given_the_rest(network: BidirectionalNetwork, sentence: list[int], place: int) -> float:
    """Return log p of one word of a sentence, using two one-directional networks and a softmax with its parameters."""
    config, params = network.config, network.params
    states = []
    for direction, read in (("", [BOS, *sentence[:place]]), ("_reverse", [EOS, *sentence[:place:-1]])):
        names = {n: n for n in params if n.startswith("rnn.") and n.endswith("_reverse") == bool(direction)}
        own = {n.removesuffix("_reverse"): params[n] for n in names}
        own |= {"embedding.weight": params["embedding.weight"]}
        own |= {"output.weight": params["output.weight"][:, : config.hidden_size], "output.bias": params["output.bias"]}
        shape = NetworkConfig(V, config.cell, "tanh", config.hidden_size, config.num_layers, config.embedding_size)
        one = Network(shape, own)
        states.append(one.hidden(np.array(read)[:, None], one.zero_state(1))[0][-1, 0])
    logits = params["output.weight"] @ np.concatenate(states) + params["output.bias"]
    return float(logits[sentence[place]] - np.log(np.exp(logits).sum()))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("ids", SENTENCES)
def test_a_bidirectional_network_ranks_by_the_probability_of_each_blank_given_the_rest(cell, num_layers, ids):
    network = two_sided(cell, num_layers)
    blanks = [place for place, each in enumerate(ids) if each == BLANK]
    expected = {
        tokens: sum(given_the_rest(network, sentence, place) for place in blanks)
        for tokens, sentence in fillings_of(ids)
    }
    assert_same(fill_between(network, ids, V ** len(blanks), NEVER), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_the_distribution_at_a_place_does_not_depend_on_the_word_there(cell):
    network = two_sided(cell, 2)
    sentences = np.array([[BOS, 3, word, 5, EOS] for word in WORDS]).T
    rows = network.log_probabilities_at(sentences, np.full(len(WORDS), 2))
    assert np.exp(rows).sum(axis=1) == pytest.approx(np.ones(len(WORDS)))
    assert np.ptp(rows, axis=0) == pytest.approx(np.zeros(V), abs=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_pseudo_nats_are_the_sum_over_words_given_the_rest(cell):
    network, rng = two_sided(cell), np.random.default_rng(4)
    sentences = [rng.integers(3, V, length).tolist() for length in rng.integers(1, 90, 60)]
    ids = np.array([i for sentence in sentences for i in [*sentence, EOS]])
    nats, words = pseudo_nats(network, IdSequence(ids))
    expected = -sum(given_the_rest(network, s, place) for s in sentences for place in range(len(s)))
    assert words == sum(map(len, sentences))
    assert nats == pytest.approx(expected)
