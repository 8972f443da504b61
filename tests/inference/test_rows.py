"""The methods advance, rows and entries of every predictor against its next_log_probabilities."""

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.cache import NeuralCache, WithCache
from rnnlm.inference.line_starts import AfterLine
from rnnlm.inference.mixture import LineByLine, Mixture, Translated
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS

V = 40
TEXT = np.random.default_rng(0).integers(EOS, V, 500)


def network(cell="lstm", layers=1, **settings):
    config = NetworkConfig(V, cell, hidden_size=12, num_layers=layers, **settings)
    return Network.initialize(config, np.random.default_rng(1), "normal", np.linspace(3, -3, V))


def ngram(order=3):
    return NgramModel.train(TEXT, V, order)


def with_ngram():
    return NetworkWithNgram(network("gru", 2), ngram(4), [0.9, 0.6, 0.3, 0.1])


PREDICTORS = {
    **{cell: lambda cell=cell: network(cell, 2) for cell in CELLS},
    "embedding": lambda: network(embedding_size=5),
    "tied": lambda: network(embedding_size=12, tied=True),
    "adaptive": lambda: network(output="adaptive", cutoffs=(8, 20), div_value=2.0),
    "1-gram": lambda: ngram(1),
    "5-gram": lambda: ngram(5),
    "cut 5-gram": lambda: NgramModel.train(TEXT, V, 5, most=200),
    "mixture": lambda: Mixture([network("gru"), ngram(), network("rnn", 2)], [0.5, 0.3, 0.2]),
    "network with its n-gram": with_ngram,
    "cache": lambda: NeuralCache(network(), 4),
    "with a cache": lambda: WithCache(with_ngram(), NeuralCache(network("gru", 2), 5), 0.3),
    "translated": lambda: Translated(network(), np.r_[0:3, np.arange(V - 1, 4, -1), 2, 2]),
    "line by line": lambda: LineByLine(network()),
    "after a line": lambda: AfterLine(network(), [EOS, 5, 6]),
}


@pytest.fixture(params=PREDICTORS)
def predictor(request):
    return PREDICTORS[request.param]()


@pytest.mark.parametrize("length", [1, 9])  # more than the cache remembers
def test_rows_after_advance_agree_with_next_log_probabilities(predictor, length):
    inputs = np.random.default_rng(length).integers(EOS, V, (length, 6))
    inputs[0] = BOS
    expected, state = predictor.next_log_probabilities(inputs, predictor.zero_state(6))
    advanced = predictor.advance(inputs, predictor.zero_state(6))
    assert advanced == pytest.approx(state, abs=1e-6)
    rows = predictor.rows(advanced)
    assert np.exp(rows) == pytest.approx(np.exp(expected), abs=1e-6)
    assert rows[:, 1:] == pytest.approx(expected[:, 1:], abs=1e-4)


def test_entries_are_entries_of_the_rows(predictor):
    rng = np.random.default_rng(3)
    state = predictor.advance(rng.integers(EOS, V, (7, 6)), predictor.zero_state(6))
    columns, ids = rng.integers(0, 6, 100), rng.integers(1, V, 100)
    rows, entries = predictor.rows(state), predictor.entries(state, columns, ids)
    assert entries == pytest.approx(rows[columns, ids], abs=1e-5)
    assert len(set(entries.round(5))) > 5  # they differ, so a mix-up would be noticed
    assert predictor.entries(state, columns[:1], ids[:1]) == pytest.approx(rows[columns[:1], ids[:1]], abs=1e-5)


def test_reading_in_pieces_gives_the_same_rows(predictor):
    inputs = np.random.default_rng(4).integers(EOS, V, (11, 3))
    whole = predictor.advance(inputs, predictor.zero_state(3))
    state = predictor.zero_state(3)
    for start in range(0, 11, 4):
        state = predictor.advance(inputs[start : start + 4], state)
    assert predictor.rows(state) == pytest.approx(predictor.rows(whole), abs=1e-5)


def test_rows_of_a_column_do_not_depend_on_other_columns(predictor):
    inputs = np.random.default_rng(5).integers(EOS, V, (5, 8))
    state = predictor.advance(inputs, predictor.zero_state(8))
    chosen = [6, 0, 6]
    assert predictor.rows(np.take(state, chosen, axis=-2)) == pytest.approx(predictor.rows(state)[chosen], abs=1e-5)
