"""Reading a text in columns, windows and threads gives the likelihood of reading it in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.inference import scoring
from rnnlm.inference.scoring import sequence_nats, sequence_totals, token_nats
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS, UNK

V = 9
CONTEXTS = ["stream", "sentence"]


class Historian:
    """A model whose nats are a checksum of everything it has read since the last reset.

    Tokens that are read twice, left out, in another order or from another column change the sum.
    """

    MODULUS = 10_007

    def zero_state(self, batch_size):
        return np.zeros((batch_size, 1), dtype=np.int64)

    def nats(self, inputs, targets, state, keep=None):
        nats = np.empty(targets.shape)
        for t, (read, wanted) in enumerate(zip(inputs, targets, strict=True)):
            if keep is not None:
                state = state * keep[t].astype(np.int64)
            state = (state * 31 + 1 + read[:, None]) % self.MODULUS
            nats[t] = state[:, 0] + wanted / 16
        return nats, state

    def one_by_one(self, ids, context):
        """Return the nats of every token, read one after the other."""
        nats, state, previous = [], 0, BOS
        for each in ids.tolist():
            if context == "sentence" and previous == EOS:
                state, previous = 0, BOS
            state = (state * 31 + 1 + previous) % self.MODULUS
            nats.append(state + each / 16)
            previous = each
        return np.array(nats)

    def expected(self, ids, context, wanted=None):
        """Return sum and number of tokens: of all, or of one id."""
        nats = self.one_by_one(ids, context)[slice(None) if wanted is None else ids == wanted]
        return nats.sum(), len(nats)


def network(cell="lstm", scale=0.4):
    """Return a contractive network, which hardly depends on tokens far back."""
    rng = np.random.default_rng(31)
    config = NetworkConfig(V, cell, hidden_size=6, embedding_size=4)
    return Network(config, {name: rng.normal(0, scale, shape) for name, shape in config.shapes().items()})


def text(length, ends=0.15, seed=32):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(length) < ends, EOS, rng.integers(2, V, length)).astype(np.int32)


def in_one_pass(model, ids):
    inputs = np.concatenate([[BOS], ids[:-1]])
    return model.nats(inputs[:, None], ids[:, None], model.zero_state(1))[0].sum()


# Lengths around the sizes of windows and columns.
LENGTHS = [1, 2, 63, 64, 65, 127, 128, 129, 700, 4096, 5000, 9000]


@pytest.mark.parametrize("ends", [0, 0.002, 0.15, 1])
@pytest.mark.parametrize("length", LENGTHS)
def test_sentences_read_in_columns_have_exact_nats(length, ends):
    ids = text(length, ends)
    expected = Historian().expected(ids, "sentence")
    for threads in (1, 2, 3, 100):
        assert sequence_nats(Historian(), ids, "sentence", threads) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=400))
def test_any_sentences_have_exact_nats(ids):
    ids = np.array(ids, dtype=np.int32)
    expected = Historian().expected(ids, "sentence")
    assert sequence_nats(Historian(), ids, "sentence") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("length", [each for each in LENGTHS if each <= 4096])
def test_a_short_stream_is_read_in_one_pass(length):
    ids = text(length)
    expected = Historian().expected(ids, "stream")
    for threads in (1, 3):
        assert sequence_nats(Historian(), ids, "stream", threads) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_nats_of_sentences_are_the_sum_over_single_sentences(cell):
    model, ids = network(cell), text(700)
    ids[-1] = EOS
    alone = sum(in_one_pass(model, sentence) for sentence in np.split(ids, np.flatnonzero(ids == EOS)[:-1] + 1))
    nats, tokens = sequence_nats(model, ids, "sentence")
    assert nats == pytest.approx(alone, rel=1e-12)
    assert tokens == 700


@pytest.mark.parametrize("cell", CELLS)
def test_nats_of_a_short_stream_are_those_of_one_pass(cell):
    model, ids = network(cell), text(700)
    assert sequence_nats(model, ids, "stream") == (pytest.approx(in_one_pass(model, ids), rel=1e-12), 700)


@pytest.mark.parametrize("cell", CELLS)
def test_a_long_stream_in_columns_comes_close_to_one_pass_with_a_warm_up(cell, monkeypatch):
    """As a control, without a warm-up it does not."""
    model, ids = network(cell), text(3000)
    expected = in_one_pass(model, ids)
    monkeypatch.setattr(scoring, "SMALLEST_COLUMN", 100)
    errors = []
    for warm_up in (0, 64):
        monkeypatch.setattr(scoring, "WARM_UP", warm_up)
        nats, tokens = sequence_nats(model, ids, "stream")
        assert tokens == 3000
        errors.append(abs(nats - expected) / expected)
    assert errors[0] > 1e-6
    assert errors[1] < 1e-9


def test_a_long_stream_is_read_in_columns_as_documented():
    """Each column first reads 512 tokens before its own part, which are not counted."""
    ids, columns = text(9000), 2
    edge = 9000 // columns
    expected = Historian().expected(ids[:edge], "stream")[0]
    # The second column reads the warm-up from the zero state, then its own part.
    second = Historian()
    inputs = ids[edge - scoring.WARM_UP - 1 : -1]
    nats, _ = second.nats(inputs[:, None], ids[edge - scoring.WARM_UP :, None], second.zero_state(1))
    expected += nats[scoring.WARM_UP :].sum()
    for threads in (1, 2, 3):
        assert sequence_nats(Historian(), ids, "stream", threads) == (pytest.approx(expected, rel=1e-12), 9000)


@pytest.mark.parametrize("context", CONTEXTS)
def test_results_do_not_depend_on_threads(context, monkeypatch):
    model, ids = network(), text(1500)
    monkeypatch.setattr(scoring, "SMALLEST_COLUMN", 200)
    alone = sequence_nats(model, ids, context, threads=1)
    for threads in (2, 3, 64):
        together = sequence_nats(model, ids, context, threads)
        assert together == pytest.approx(alone, rel=1e-12)
        assert together == sequence_nats(model, ids, context, threads)


@pytest.mark.parametrize("context", CONTEXTS)
def test_totals_of_single_ids_add_up_to_the_whole(context):
    ids = text(700)
    totals = sequence_totals(Historian(), ids, context, ids=tuple(range(V + 1)), threads=2)
    assert totals[0] == pytest.approx(Historian().expected(ids, context), rel=1e-12)
    for each, found in enumerate(totals[1:]):
        assert found == pytest.approx(Historian().expected(ids, context, each), rel=1e-12)
    assert totals[1 + UNK][1] == (ids == UNK).sum() > 0
    assert totals[-1] == (0, 0)  # an id that does not occur
    assert sum(nats for nats, _ in totals[1:]) == pytest.approx(totals[0][0], rel=1e-12)
    assert sum(tokens for _, tokens in totals[1:]) == totals[0][1] == 700


@pytest.mark.parametrize("length", [1, 64, 65, 700, 5000])
@pytest.mark.parametrize("context", CONTEXTS)
def test_token_nats_have_the_order_of_the_text(context, length):
    ids = text(length)
    expected = Historian().one_by_one(ids, context)
    for threads in (1, 3):
        np.testing.assert_allclose(token_nats(Historian(), ids, context, threads), expected, rtol=1e-12)


def test_token_nats_of_a_long_stream_add_up_to_the_whole():
    ids = text(9000)
    nats = token_nats(Historian(), ids, "stream", threads=2)
    assert nats.shape == (9000,)
    assert nats.sum() == pytest.approx(sequence_nats(Historian(), ids, "stream")[0], rel=1e-12)
    np.testing.assert_allclose(nats[:4500], token_nats(Historian(), ids[:4500], "stream"), rtol=1e-12)


@pytest.mark.parametrize("context", CONTEXTS)
def test_an_empty_text_has_zero_nats(context):
    assert token_nats(network(), text(0), context).shape == (0,)
    assert sequence_nats(network(), text(0), context) == (0, 0)
    assert sequence_totals(network(), text(0), context, ids=(UNK, EOS)) == [(0, 0)] * 3


def test_the_text_is_not_changed():
    ids = text(700)
    original = ids.copy()
    for context in CONTEXTS:
        sequence_nats(network(), ids, context)
    np.testing.assert_array_equal(ids, original)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_diverged_network_gives_nan_without_a_warning(context):
    """The trainer checks for nan."""
    model = network("rnn")
    model.params["rnn.weight_hh_l0"][:] = np.inf
    assert np.isnan(sequence_nats(model, text(100), context, threads=2)[0])
