"""Scores of many lines at once against scoring each line separately."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference import lines as lines_module
from rnnlm.inference.line_starts import AfterLine
from rnnlm.inference.lines import LineScorer, Totals, score_lines
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.rescoring import Evidence, Weights, ranking
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS, UNK

V = 9


def network(cell: str, embedding: int = 0) -> Network:
    made = Network.initialize(NetworkConfig(V, cell, "tanh", 6, 2, embedding), np.random.default_rng(3))
    for parameter, array in made.params.items():
        if "weight_hh" not in parameter:  # larger weights would amplify rounding errors from step to step
            array *= 3  # so that the tokens read matter
    return made


def ngram() -> NgramModel:
    rng = np.random.default_rng(4)
    parts = [[*rng.integers(UNK, V, rng.integers(1, 7)), EOS] for _ in range(200)]
    return NgramModel.train(np.concatenate(parts), V, 3)


MODELS = {f"{cell}-{embedding}": network(cell, embedding) for cell in CELLS for embedding in (0, 4)}
MODELS["ngram"] = ngram()
MODELS["mixture"] = Mixture([MODELS["lstm-4"], MODELS["ngram"]], [0.6, 0.4])


def alone(model, line):
    """Return log probabilities and ranks of a single line."""
    if not len(line):
        return np.zeros(0), np.zeros(0)
    inputs = np.concatenate([[BOS], line[:-1]])[:, None]
    rows = model.log_probabilities(inputs, model.zero_state(1))[0][:, 0]
    true = rows[np.arange(len(line)), line]
    return true, 1 + (rows > true[:, None]).sum(axis=1)


def some_lines(count, longest, seed=0):
    """Return lines of various lengths, half of them with an end, many with a common beginning or prefixes of others."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(UNK, V, rng.integers(0, longest if i % 3 else 4)) for i in range(count)]
    made += [np.concatenate([line, rng.integers(UNK, V, 5)]) for line in made[: count // 2]]
    return [np.append(line, EOS) if i % 2 else line for i, line in enumerate(made)]


@pytest.mark.parametrize("name", MODELS)
def test_scores_agree_with_those_of_each_line_alone(name):
    lines = some_lines(80, 70)
    for line, score in zip(lines, score_lines(MODELS[name], lines), strict=True):
        assert score.log_probabilities == pytest.approx(alone(MODELS[name], line)[0], abs=1e-5)
        assert score.ranks is None


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 90])
def test_reading_in_a_row_and_in_a_tree_gives_the_same_scores(context, threads, count, monkeypatch):
    lines = some_lines(count, 70, seed=2)
    ids = np.concatenate([np.append(line, EOS) for line in some_lines(60, 30, seed=3)])
    model, start = NgramModel.train(ids, V, 4, context), BOS if context == "sentence" else EOS
    monkeypatch.setattr(lines_module, "WINDOW_OF_A_ROW", 50)
    in_a_row = score_lines(model, lines, start=start, threads=threads)
    monkeypatch.setattr(NgramModel, "reads_at_once", False)
    in_a_tree = score_lines(model, lines, start=start)
    assert [each.log_probabilities.tolist() for each in in_a_row] == [
        each.log_probabilities.tolist() for each in in_a_tree
    ]


def test_every_line_can_be_read_after_the_same_line():
    model = NgramModel.train(np.concatenate([np.append(line, EOS) for line in some_lines(60, 30)]), V, 3, "stream")
    lines = [np.array([4, 5, EOS]), np.array([4, 5, EOS]), np.array([3, EOS])]
    after = score_lines(AfterLine(model, [EOS, 6]), lines, start=7)
    for line, score in zip(lines, after, strict=True):
        nats, _ = model.nats(np.r_[EOS, 6, 7, line[:-1]][:, None], np.r_[6, 7, line][:, None], model.zero_state(1))
        assert (-score.log_probabilities).tolist() == nats[2:, 0].tolist()


@pytest.mark.parametrize("name", MODELS)
def test_entropies_agree_with_the_distributions(name):
    lines = some_lines(30, 20)
    model, with_ranks = MODELS[name], score_lines(MODELS[name], lines, ranks=True)
    for line, score, ranked in zip(lines, score_lines(model, lines, entropies=True), with_ranks, strict=True):
        rows = model.log_probabilities(np.concatenate([[BOS], line])[:, None], model.zero_state(1))[0][: len(line), 0]
        expected = [-sum(math.exp(each) * each for each in row if each > -math.inf) for row in rows.astype(float)]
        assert score.entropies.tolist() == pytest.approx(expected, abs=1e-5)
        assert score.ranks.tolist() == ranked.ranks.tolist()
        assert ranked.entropies is None


@pytest.mark.parametrize("name", MODELS)
def test_ranks_agree_with_those_of_each_line_alone(name):
    lines = some_lines(30, 20)
    for line, score in zip(lines, score_lines(MODELS[name], lines, ranks=True), strict=True):
        expected, ranks = alone(MODELS[name], line)
        assert score.log_probabilities == pytest.approx(expected, abs=1e-5)
        assert score.ranks.tolist() == ranks.tolist()


@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (3, 2, 7, 5 * V), (1024, 50, 4096, 1)])
def test_limits_of_memory_do_not_change_scores(monkeypatch, limits):
    for name, limit in zip(("COLUMNS", "WINDOW", "POSITIONS", "LOGITS"), limits, strict=True):
        monkeypatch.setattr(lines_module, name, limit)
    for ranks in (False, True):
        lines = some_lines(25, 20)
        for line, score in zip(lines, score_lines(MODELS["gru-4"], lines, ranks), strict=True):
            assert score.log_probabilities == pytest.approx(alone(MODELS["gru-4"], line)[0], abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(UNK, 4), max_size=6), max_size=12))
def test_any_lines_are_scored_correctly(lines):
    arrays = [np.array(line, dtype=np.int32) for line in lines]
    for line, score in zip(arrays, score_lines(MODELS["lstm-0"], arrays), strict=True):
        assert score.log_probabilities == pytest.approx(alone(MODELS["lstm-0"], line)[0], abs=1e-5)


class Counting:
    """A model that counts steps and records the largest call."""

    def __init__(self, model):
        self.model, self.steps, self.largest = model, 0, 0
        self.vocabulary_size, self.zero_state = model.vocabulary_size, model.zero_state

    def nats(self, inputs, targets, state, keep=None):
        self.steps += inputs.size
        self.largest = max(self.largest, inputs.size)
        return self.model.nats(inputs, targets, state, keep)


def test_a_common_beginning_is_computed_once():
    lines = [np.array([*beginning, 3, 4, EOS]) for beginning in itertools.product((5, 6), repeat=6)]
    model = Counting(MODELS["rnn-0"])
    score_lines(model, [*lines, *lines])
    different = {tuple(line[:end]) for line in lines for end in range(1, len(line) + 1)}
    assert model.steps == len(different)


def test_a_long_line_is_read_in_pieces():
    model = Counting(MODELS["rnn-0"])
    line = np.full(1000, 4)
    score_lines(model, [line, line[:-1], np.append(line, EOS)])
    assert model.largest <= 3 * lines_module.WINDOW


@pytest.mark.parametrize("name", ["lstm-4", "ngram", "mixture"])
def test_equal_lines_have_equal_scores_whatever_other_lines_are_scored(name):
    scorer = LineScorer(MODELS[name])
    line = np.array([3, 4, 5, 6, EOS])
    found = [scorer([line])[0]]
    for seed in range(4):
        scores = scorer([*some_lines(10, 20, seed), line, *some_lines(5, 9, seed + 10), line])
        found += [scores[-1], scores[15]]
    assert len({score.log_probabilities.tobytes() for score in found}) == 1


def test_the_memory_of_a_scorer_is_bounded(monkeypatch):
    monkeypatch.setattr(lines_module, "REMEMBERED", 50)
    scorer = LineScorer(MODELS["rnn-0"])
    for seed in range(30):
        for line, score in zip(lines := some_lines(4, 10, seed), scorer(lines), strict=True):
            assert score.log_probabilities == pytest.approx(alone(MODELS["rnn-0"], line)[0], abs=1e-5)
        assert sum(map(len, (key for key in (*scorer._recent, *scorer._older)))) < 8 * 4 * 200


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_lines_sum_to_one(name):
    """Lines of fewer than three words end; those of three words stand for all continuations."""
    words = [i for i in range(V) if i != EOS]
    lines = [np.array([*line, EOS]) for n in range(3) for line in itertools.product(words, repeat=n)]
    lines += [np.array(line) for line in itertools.product(words, repeat=3)]
    total = sum(math.exp(score.log_probabilities.sum()) for score in score_lines(MODELS[name], lines))
    assert total == pytest.approx(1, abs=1e-5)


# --- sums -----------------------------------------------------------------------------------------------------------


def totals(rows, ends=True):
    made = Totals()
    for ids, log10s in rows:
        made.add(np.array(ids), np.array(log10s) * math.log(10), ends, 10)
    return made


def test_perplexities_follow_srilms_formulas():
    # Three sentences, W = 6 words, O = 2 unknown words, S = 3; calculated by hand.
    found = totals([([3, 4, 1], [-1, -2, -0.5]), ([2, 2, 5, 1], [-4, -3, -1, -0.5]), ([3, 1], [-1, -1])])
    assert (found.words, found.oov, found.lines, found.tokens, found.characters) == (6, 2, 3, 9, 30)
    assert found.perplexity(with_oov=False) == pytest.approx(10 ** (7 / (6 - 2 + 3)))
    assert found.perplexity_per_word(with_oov=False) == pytest.approx(10 ** (7 / (6 - 2)))
    assert found.perplexity(with_oov=True) == pytest.approx(10 ** (14 / (6 + 3)))
    assert found.perplexity_per_word(with_oov=True) == pytest.approx(10 ** (14 / 6))
    assert found.bits_per_char == pytest.approx(14 * math.log2(10) / 30)


def test_perplexities_agree_with_srilms_printed_output():
    found = Totals(
        lines=61031, tokens=1000015 + 61031, ends=61031, oov=34153, logprob_nats=-3.20177e6 * math.log(10)
    )  # from its -ppl output; FAQ-D1 has the formula
    assert found.perplexity(with_oov=False) == pytest.approx(1311.96, rel=1e-4)
    assert found.perplexity_per_word(with_oov=False) == pytest.approx(2065.07, rel=1e-4)


def test_perplexity_is_nan_without_tokens_and_infinite_for_tiny_probabilities():
    assert math.isnan(totals([]).perplexity(with_oov=True))
    assert math.isnan(totals([([1], [-1])]).perplexity_per_word(with_oov=True))
    assert math.isnan(totals([([2], [-1])], ends=False).perplexity(with_oov=False))
    assert math.isnan(Totals().bits_per_char)
    assert totals([([3], [-400])]).perplexity(with_oov=True) == math.inf


# --- choosing -------------------------------------------------------------------------------------------------------


def test_the_total_follows_the_formula_of_the_help():
    evidence = Evidence(incoming=-100, old_language_model=-20, language_model=-30, words=5, oov=3)
    assert Weights().total(evidence) == -130
    assert Weights(8, 0.5, 2, -4).total(evidence) == -100 + 8 * -30 + 0.5 * -20 + 2 * 5 + -4 * 3
    assert Weights(lm_weight=0).total(evidence) == -100


def test_equal_totals_keep_their_order():
    assert ranking([1.0, 3.0, 1.0, 3.0, 2.0]) == [1, 3, 4, 0, 2]
    assert ranking([]) == []
