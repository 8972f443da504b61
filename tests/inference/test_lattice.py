"""Searches through lattices against enumeration of all paths."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.baselines.ngram import NgramModel
from rnnlm.candidate_reader import CandidateReader
from rnnlm.inference.lattice import Start, Symbols, TokenArc, best_paths, complete
from rnnlm.inference.line_starts import AfterLine
from rnnlm.inference.mixture import Mixture
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS, FIRST, UNK

V = 9
IDS = np.array([3, 4, 5, 6, 7, 8, UNK, UNK])  # two different symbols are unknown tokens
SYMBOLS = Symbols(IDS, np.where(IDS == UNK, -1.5, 0.25))
ALL = 10_000


def network(cell="lstm", **more):
    made = Network.initialize(NetworkConfig(V, cell, hidden_size=7, **more), np.random.default_rng(2), dtype=np.float64)
    rng = np.random.default_rng(3)
    for array in made.params.values():
        array += rng.normal(0, 0.6, array.shape)
    return made


def ngram(order=3):
    rng = np.random.default_rng(2)
    return NgramModel.train(np.where(rng.random(400) < 0.2, EOS, rng.integers(FIRST, V, 400)), V, order)


def mixed(cell):
    return NetworkWithNgram(network(cell), ngram(), [0.2, 0.4, 0.7])


MODELS = {cell: lambda cell=cell: network(cell) for cell in CELLS} | {
    "deep": lambda: network(num_layers=2, embedding_size=5),
    "adaptive": lambda: network(output="adaptive", cutoffs=(4, 6), div_value=2.0),
    "unigram": lambda: ngram(1),
    "ngram": ngram,
    "network with ngram": lambda: mixed("lstm"),
    "mixture": lambda: Mixture([ngram(2), network(), mixed("gru")], [0.5, 0.3, 0.2]),
}


class Found(NamedTuple):
    log_probability: float
    score: float
    total: float


def all_paths(model, arcs, length, end, lm_weight, start=(BOS,)):
    """Return the best path for each sequence of symbols, by scoring every path separately."""
    found = {}

    def follow(node, symbols, score):
        if node < length:
            for arc in arcs:
                if arc.start == node:
                    follow(arc.end, (*symbols, *arc.symbols), score + arc.score)
            return
        ids = IDS[list(symbols)] if symbols else np.zeros(0, np.int64)
        targets = [*ids, *([] if end is None else [end])]
        inputs = [*start, *targets[:-1]] if targets else []
        nats = 0.0
        if targets:
            wanted = np.array([*start[1:], *targets])[:, None]
            read, _ = model.nats(np.array(inputs)[:, None], wanted, model.zero_state(1))
            nats = float(read[len(start) - 1 :].sum())
        total = lm_weight * -nats + score + float(SYMBOLS.added[list(symbols)].sum() if symbols else 0)
        if symbols not in found or found[symbols].total < total:
            found[symbols] = Found(-nats, score, total)

    follow(0, (), 0.0)
    return sorted(found.items(), key=lambda item: -item[1].total)


def search(model, arcs, length, end=EOS, k=ALL, beam=ALL, lm_weight=1.0, state=None, token=BOS):
    start = Start(model.zero_state(1) if state is None else state, token)
    reader = CandidateReader(model)
    return best_paths(reader, start, arcs, length, SYMBOLS, end, k=k, beam=beam, lm_weight=lm_weight)


def assert_equal(found, expected):
    assert [path.total for path in found] == pytest.approx([each.total for _, each in expected], rel=1e-5)
    by_symbols = dict(expected)
    assert len({tuple(path.symbols) for path in found}) == len(found)
    for path in found:
        each = by_symbols[tuple(path.symbols)]
        assert (path.log_probability, path.score) == pytest.approx((each.log_probability, each.score), rel=1e-5)


def some_arcs(rng, length, number):
    """Return random arcs of zero to three tokens, with at least one arc from each node to the next."""
    ends = [(node, node + 1) for node in range(length) for _ in range(2)]
    ends += [tuple(sorted(rng.choice(length + 1, 2, replace=False).tolist())) for _ in range(number)]
    return [
        TokenArc(start, end, tuple(rng.integers(0, len(IDS), rng.integers(0, 4)).tolist()), float(rng.normal()))
        for start, end in ends
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("end", [EOS, None])
def test_a_wide_beam_agrees_with_all_paths(name, end):
    model = MODELS[name]()
    for seed, lm_weight in [(0, 1.0), (1, 1.0), (2, 0.4)]:
        arcs = some_arcs(np.random.default_rng(seed), 4, 9)
        expected = all_paths(model, arcs, 4, end, lm_weight)
        assert len(expected) > 50
        assert_equal(search(model, arcs, 4, end, lm_weight=lm_weight), expected)


@pytest.mark.parametrize("name", ["lstm", "ngram", "network with ngram"])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_k_best_are_exact_if_states_are_merged(name, k):
    """Among equal states of an n-gram model only k hypotheses are kept; the beam is too wide to drop any."""
    model = MODELS[name]()
    arcs = some_arcs(np.random.default_rng(5), 5, 8)
    assert_equal(search(model, arcs, 5, k=k), all_paths(model, arcs, 5, EOS, 1.0)[:k])


def test_equal_states_are_merged():
    """A trigram state depends on two words, so one hypothesis is left for each pair."""
    model, read = ngram(3), []
    reader = CandidateReader(model)
    original = reader.read
    reader.read = lambda tokens, *rest: read.append(len(tokens)) or original(tokens, *rest)
    arcs = [TokenArc(node, node + 1, (symbol,), 0.0) for node in range(8) for symbol in range(6)]
    start = Start(model.zero_state(1), BOS)
    best_paths(reader, start, arcs, 8, SYMBOLS, EOS, k=1, beam=10**9)
    assert max(read) <= 6**3
    assert read[-1] <= 6**3 < 6**8


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 40))
def test_any_beam_finds_existing_paths_in_order(seed, length, beam):
    model = ngram(2)
    arcs = some_arcs(np.random.default_rng(seed), length, 6)
    expected = all_paths(model, arcs, length, EOS, 1.0)
    found = search(model, arcs, length, k=3, beam=beam)
    by_symbols = dict(expected)
    assert 1 <= len(found) <= 3
    for path in found:
        # A narrow beam may keep the worse of two paths with the same symbols, so its total is at most the best.
        assert path.total <= by_symbols[tuple(path.symbols)].total + 1e-6
    totals = [path.total for path in found]
    assert totals == sorted(totals, reverse=True)


def test_a_narrow_beam_may_miss_the_best_path_of_a_wide_one():
    """This is the control of the tests above: the beam does matter."""
    missed = 0
    for seed in range(30):
        arcs = some_arcs(np.random.default_rng(seed), 6, 14)
        wide = search(network(), arcs, 6, k=1)[0].total
        narrow = search(network(), arcs, 6, k=1, beam=1)[0].total
        assert narrow <= wide + 1e-9
        missed += narrow < wide - 1e-6
    assert missed


def test_all_hypotheses_at_a_node_are_read_in_one_batch():
    model, read = network(), []
    reader = CandidateReader(model)
    original = reader.read
    reader.read = lambda tokens, *rest: read.append(len(tokens)) or original(tokens, *rest)
    arcs = [TokenArc(node, node + 1, (symbol,), 0.0) for node in range(5) for symbol in (0, 1, 0)]
    best_paths(reader, Start(model.zero_state(1), BOS), arcs, 5, SYMBOLS, EOS, k=1, beam=100)
    assert read == [1, 2, 4, 8, 16, 32]  # a second arc with the same token is merged with the first


def test_common_beginnings_of_arcs_are_read_once():
    model, read = network(), []
    reader = CandidateReader(model)
    original = reader.read
    reader.read = lambda tokens, *rest: read.append(len(tokens)) or original(tokens, *rest)
    arcs = [TokenArc(0, 1, (0, 1, 2, last), 0.0) for last in range(4)]
    best_paths(reader, Start(model.zero_state(1), BOS), arcs, 1, SYMBOLS, EOS, k=1, beam=100)
    assert read == [1, 1, 1, 1, 4]


def test_the_search_can_start_after_a_line_and_given_tokens():
    model = network()
    by_line = AfterLine(model, [EOS, 4, 5])
    arcs = some_arcs(np.random.default_rng(0), 3, 5)
    expected = all_paths(model, arcs, 3, EOS, 1.0, start=(EOS, 4, 5, BOS))
    assert_equal(search(model, arcs, 3, state=by_line.zero_state(1)), expected)


def test_lattices_without_arcs_or_paths():
    model = network()
    (path,) = search(model, [], 0)
    assert path.symbols == []
    assert path.total == pytest.approx(all_paths(model, [], 0, EOS, 1.0)[0][1].total)
    assert search(model, [], 0, end=None)[0].total == 0
    assert search(model, [], 2) == []
    assert search(model, [TokenArc(0, 1, (0,), 0.0)], 2) == []


def test_arcs_that_are_on_no_path_are_left_out():
    arcs = [(0, 2), (0, 1), (2, 3), (1, 2), (4, 5), (0, 4), (3, 5)]
    assert complete(arcs, 3) == [True, True, True, True, False, False, False]
    assert complete([(1, 2), (0, 1)], 2) == [True, True]
    assert complete([(0, 1), (2, 3)], 3) == [False, False]


def test_paths_of_probability_zero_are_left_out():
    model = network(output="softmax")
    model.params["output.bias"][5] = -np.inf
    arcs = [TokenArc(0, 1, (symbol,), 0.0) for symbol in (1, 2, 3)]  # symbol 2 has the id 5
    assert sorted(path.symbols[0] for path in search(model, arcs, 1)) == [1, 3]


def test_large_batches_are_read_in_parts(monkeypatch):
    model, arcs = network(), some_arcs(np.random.default_rng(0), 4, 9)
    whole = search(model, arcs, 4)
    monkeypatch.setattr("rnnlm.inference.lattice.NUMBERS", 3 * V)
    parts = search(model, arcs, 4)
    assert [path.symbols for path in parts] == [path.symbols for path in whole]
    assert [path.total for path in parts] == pytest.approx([path.total for path in whole])


@pytest.mark.parametrize("name", MODELS)
def test_a_reader_returns_entries_of_the_whole_distribution(name):
    model = MODELS[name]()
    state = model.zero_state(3)
    plain = state
    for tokens, wanted in [
        ([BOS] * 3, [EOS, UNK, 4, 8]),
        ([3, BOS, 5], [3, UNK]),
        ([8, 8, 3], [7, 6]),
        ([4, 5, 3], []),
    ]:
        tokens, wanted = np.array(tokens), np.array(wanted, dtype=np.int64)
        rows, state = CandidateReader(model).read(tokens, state, wanted)
        whole, plain = model.next_log_probabilities(tokens[None], plain)
        assert rows == pytest.approx(whole[:, wanted], rel=1e-5)
