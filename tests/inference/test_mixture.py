"""Mixtures are distributions, keep the states of their parts, translate vocabularies and find the best weights."""

import itertools

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.mixture import Mixture, Translated, best_weights, mixed_nats
from rnnlm.inference.model import SequenceModel
from rnnlm.inference.scoring import sequence_totals, token_nats
from rnnlm.network_with_ngram import NetworkWithNgram, along_text
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import BOS, EOS, UNK

V = 6
IDS = np.random.default_rng(0).choice([1, 2, 3, 4, 5], 300)


def network(cell: str = "lstm", layers: int = 1, size: int = V) -> Network:
    config = NetworkConfig(size, cell, hidden_size=5, num_layers=layers)
    made = Network.initialize(config, np.random.default_rng(layers), output_bias=np.r_[-1e4, np.zeros(size - 1)])
    made.params["output.weight"] *= 5
    return made


def ngram(order: int = 3, size: int = V) -> NgramModel:
    return NgramModel.train(np.minimum(IDS, size - 1), size, order)


MIXTURES = {
    **{f"{cell} and a 3-gram": lambda cell=cell: Mixture([network(cell, 2), ngram()], [0.6, 0.4]) for cell in CELLS},
    "three": lambda: Mixture([ngram(1), network("gru"), ngram(5)], [0.2, 0.5, 0.3]),
    "one": lambda: Mixture([network("gru", 2)], [1.0]),
    "with a weight of zero": lambda: Mixture([network(), ngram()], [0.0, 1.0]),
    "a network with its 4-gram": lambda: NetworkWithNgram(network("lstm", 2), ngram(4), [0.9, 0.6, 0.3, 0.0]),
    "with its cut 5-gram": lambda: NetworkWithNgram(network("gru"), NgramModel.train(IDS, V, 5, most=90), [0.4] * 5),
    "of mixtures": lambda: Mixture([Mixture([network(), ngram(2)], [0.5, 0.5]), network("rnn")], [0.7, 0.3]),
}


@pytest.fixture(params=MIXTURES)
def model(request: pytest.FixtureRequest) -> SequenceModel:
    return MIXTURES[request.param]()


def test_probabilities_of_all_strings_of_a_length_sum_to_one(model: SequenceModel):
    strings = np.array(list(itertools.product(range(1, V), repeat=4))).T
    inputs = np.concatenate([np.full((1, strings.shape[1]), BOS), strings[:-1]])
    nats, _ = model.nats(inputs, strings, model.zero_state(strings.shape[1]))
    assert np.exp(-nats.sum(axis=0)).sum() == pytest.approx(1, abs=1e-5)


def test_a_probability_is_the_weighted_mean_of_the_models_probabilities():
    models, weights = [network("gru"), ngram(2), ngram(4)], [0.5, 0.3, 0.2]
    inputs = np.random.default_rng(1).integers(0, V, (7, 3))
    rows, _ = Mixture(models, weights).log_probabilities(inputs, Mixture(models, weights).zero_state(3))
    single = [np.exp(each.log_probabilities(inputs, each.zero_state(3))[0]) for each in models]
    expected = sum(weight * each for weight, each in zip(weights, single, strict=True))
    assert np.exp(rows) == pytest.approx(expected, abs=1e-6)


def test_rows_nats_and_next_rows_agree(model: SequenceModel):
    rng = np.random.default_rng(2)
    inputs, targets = rng.integers(0, V, (8, 4)), rng.integers(1, V, (8, 4))
    rows, state = model.log_probabilities(inputs, model.zero_state(4))
    nats, same = model.nats(inputs, targets, model.zero_state(4))
    last, again = model.next_log_probabilities(inputs, model.zero_state(4))
    assert np.take_along_axis(rows, targets[:, :, None], axis=2)[:, :, 0] == pytest.approx(-nats, abs=1e-5)
    assert last == pytest.approx(rows[-1], abs=1e-5)
    assert (state == same).all()
    assert (state == again).all()


def test_text_read_in_pieces_has_the_same_probabilities_as_in_one_piece(model: SequenceModel):
    rng = np.random.default_rng(3)
    inputs, targets = rng.integers(0, V, (12, 3)), rng.integers(1, V, (12, 3))
    whole, final = model.nats(inputs, targets, model.zero_state(3))
    for cut in (1, 5, 11):
        first, state = model.nats(inputs[:cut], targets[:cut], model.zero_state(3))
        second, state = model.nats(inputs[cut:], targets[cut:], state)
        assert np.concatenate([first, second]) == pytest.approx(whole, abs=1e-5)
        assert state == pytest.approx(final, abs=1e-5)


def test_columns_can_be_selected_repeated_and_joined(model: SequenceModel):
    """Beam search and prefix trees do this; the columns of a state are on its second-last axis."""
    rng = np.random.default_rng(4)
    inputs, after = rng.integers(1, V, (5, 3)), rng.integers(1, V, (2, 4))
    _, state = model.log_probabilities(inputs, model.zero_state(3))
    chosen = [2, 0, 0, 1]
    rows, _ = model.log_probabilities(after, np.take(state, chosen, axis=-2))
    for column, parent in enumerate(chosen):
        whole = np.concatenate([inputs[:, parent], after[:, column]])[:, None]
        expected, _ = model.log_probabilities(whole, model.zero_state(1))
        assert rows[:, column] == pytest.approx(expected[-2:, 0], abs=1e-5)


def test_keep_zero_resets_every_part(model: SequenceModel):
    rng = np.random.default_rng(5)
    inputs, targets = rng.integers(1, V, (9, 2)), rng.integers(1, V, (9, 2))
    keep = np.ones((9, 2, 1), dtype=np.float32)
    keep[4, 1] = 0
    nats, _ = model.nats(inputs, targets, model.zero_state(2), keep)
    anew, _ = model.nats(inputs[4:, 1:], targets[4:, 1:], model.zero_state(1))
    assert nats[4:, 1] == pytest.approx(anew[:, 0], abs=1e-5)


def test_long_texts_read_in_columns_have_the_same_scores(model: SequenceModel):
    sequence = Ids(np.random.default_rng(6).choice([1, 2, 3, 4, 5], 700))
    nats = token_nats(model, sequence, "sentence", threads=2)
    inputs = np.concatenate([[EOS], sequence.ids[:-1]])
    inputs[inputs == EOS] = BOS
    keep = (inputs != BOS)[:, None, None].astype(np.float32)
    expected, _ = model.nats(inputs[:, None], sequence.ids[:, None], model.zero_state(1), keep)
    assert nats == pytest.approx(expected[:, 0], abs=1e-4)
    (total, tokens), (unknown, _) = sequence_totals(model, sequence, "sentence", (UNK,))
    assert (total, tokens) == (pytest.approx(nats.sum(), rel=1e-5), 700)
    assert unknown == pytest.approx(nats[sequence.ids == UNK].sum(), rel=1e-5)


class Ids:
    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self.ids[positions]


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("N", [0, 1, 65, 700, 20_000])
def test_token_nats_have_the_order_of_the_text(context: str, N: int):
    """The nats of a unigram model identify the token."""
    sequence = Ids(np.random.default_rng(N).choice([1, 2, 3, 4, 5], N))
    model = NgramModel.train(np.repeat([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), V, 1)
    expected = -model.levels[0].log_probability[sequence.ids]
    assert len(set(expected)) == min(N, 5)
    for threads in (1, 2):
        assert (token_nats(model, sequence, context, threads) == expected).all()


@pytest.mark.parametrize(
    ("models", "weights"),
    [
        ([], []),
        ([network(), ngram(size=7)], [0.5, 0.5]),
        ([network(), ngram()], [0.5, 0.4]),
        ([network(), ngram()], [1.5, -0.5]),
        ([network(), ngram()], [1.0]),
    ],
)
def test_mixtures_of_different_vocabularies_and_bad_weights_are_refused(
    models: list[SequenceModel], weights: list[float]
):
    with pytest.raises(ValueError, match="models over vocabularies"):
        Mixture(models, weights)


# --- another vocabulary -------------------------------------------------------------------------------------------

OTHER = 7  # <s> </s> <unk> and four words
PERMUTED = np.array([0, 1, 2, 6, 3, 5, 4])
SMALLER = np.array([0, 1, 2, 5, 3])  # over five of seven ids, without 4 and 6
LARGER = np.array([0, 1, 2, 3, 4, 5, 6, 2, 2])  # with two words that the model does not know


@pytest.mark.parametrize("other", [network("gru", size=OTHER), ngram(size=OTHER)])
def test_a_translated_model_lacks_the_probability_of_the_left_out_words(other: SequenceModel):
    for ids in (PERMUTED, SMALLER, LARGER):
        translated = Translated(other, ids)
        inputs = np.array([[BOS, BOS], [3, 4]])
        rows, _ = translated.log_probabilities(inputs, translated.zero_state(2))
        own, _ = other.log_probabilities(ids[inputs], other.zero_state(2))
        missing = sorted(set(range(OTHER)) - set(ids))
        expected = 1 - np.exp(own[..., missing]).sum(axis=-1)
        assert np.exp(rows).sum(axis=-1) == pytest.approx(expected, abs=1e-5)
        for each, place in enumerate(ids):
            share = (ids == place).sum()
            assert rows[..., each] == pytest.approx(own[..., place] - np.log(share), abs=1e-5)


@pytest.mark.parametrize("ids", [PERMUTED, SMALLER, LARGER])
def test_rows_nats_and_next_rows_of_a_translated_model_agree(ids: np.ndarray):
    rng = np.random.default_rng(7)
    model = Translated(ngram(size=OTHER), ids)
    inputs, targets = rng.integers(0, len(ids), (8, 4)), rng.integers(1, len(ids), (8, 4))
    rows, state = model.log_probabilities(inputs, model.zero_state(4))
    nats, same = model.nats(inputs, targets, model.zero_state(4))
    last, again = model.next_log_probabilities(inputs, model.zero_state(4))
    assert np.take_along_axis(rows, targets[:, :, None], axis=2)[:, :, 0] == pytest.approx(-nats)
    assert (last == rows[-1]).all()
    assert (state == same).all()
    assert (state == again).all()
    assert model.vocabulary_size == len(ids)


# --- weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_weight_found_is_the_best_of_a_grid(seed: int):
    rng = np.random.default_rng(seed)
    nats = rng.gamma(2.0, 1.0 + 0.2 * seed, (2, 400))
    grid = np.linspace(0, 1, 4001)
    likelihood = [mixed_nats(nats, [1 - weight, weight]).mean() for weight in grid]
    found = best_weights(nats)
    assert found[1] == pytest.approx(grid[np.argmin(likelihood)], abs=2e-3)
    assert mixed_nats(nats, found).mean() <= min(likelihood) + 1e-8


def test_no_weights_of_a_grid_are_better_for_three_models():
    nats = np.random.default_rng(11).gamma(2.0, 1.0, (3, 300)) + np.array([[0.0], [0.2], [0.4]])
    found = best_weights(nats)
    assert sum(found) == pytest.approx(1)
    best = mixed_nats(nats, found).mean()
    for a, b in itertools.product(np.linspace(0, 1, 41), repeat=2):
        if a + b <= 1:
            assert best <= mixed_nats(nats, [a, b, 1 - a - b]).mean() + 1e-8


def test_a_model_that_is_better_everywhere_gets_all_the_weight():
    nats = np.array([np.full(50, 1.0), np.full(50, 8.0)])
    assert best_weights(nats) == pytest.approx([1, 0], abs=1e-6)
    assert best_weights(nats[::-1]) == pytest.approx([0, 1], abs=1e-6)
    assert best_weights(nats[[0, 0]]) == pytest.approx([0.5, 0.5])


def test_probabilities_that_underflow_are_mixed():
    nats = [np.array([2000.0, 5.0]), np.array([2001.0, 5.0])]
    assert mixed_nats(nats, [0.5, 0.5]) == pytest.approx([2000 - np.log(0.5 + 0.5 / np.e), 5.0])
    assert np.isfinite(best_weights(nats)).all()


# --- a network with its n-gram model ------------------------------------------------------------------------------


def test_the_weight_depends_on_the_longest_known_context():
    of_ngram = NgramModel.train(np.array([3, 4, 5, EOS, 3, 3, 4, EOS]), V, 3)
    model = NetworkWithNgram(network(), of_ngram, [0.1, 0.5, 0.9])
    # after <s> 3 4 both words are known, after <s> 4 only the last, since no line starts with 4
    for prefix, weight in (([BOS, 3, 4], 0.9), ([BOS, 4], 0.5)):
        inputs = np.array(prefix)[:, None]
        both, _ = model.next_log_probabilities(inputs, model.zero_state(1))
        one, other = (each.next_log_probabilities(inputs, each.zero_state(1))[0] for each in model.models)
        assert np.exp(both) == pytest.approx((1 - weight) * np.exp(one) + weight * np.exp(other), abs=1e-6)


def test_a_word_impossible_for_the_network_has_the_probability_of_the_ngram():
    impossible = network()
    impossible.params["output.bias"][4] = -200  # the probability 1e-87 underflows in float32
    model = NetworkWithNgram(impossible, NgramModel.train(np.array([3, 4, 5, EOS, 3, 3, 4, EOS]), V, 2), [0.1, 0.5])
    inputs = np.array([BOS, 3])[:, None]
    both, _ = model.next_log_probabilities(inputs, model.zero_state(1))
    beside, _ = model.ngram.next_log_probabilities(inputs, model.ngram.zero_state(1))
    assert both[0, 4] == pytest.approx(np.log(0.5) + beside[0, 4], abs=1e-5)
    nats, _ = model.nats(inputs, np.array([3, 4])[:, None], model.zero_state(1))
    assert -nats[1, 0] == pytest.approx(both[0, 4], abs=1e-5)


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_nats_along_a_text_agree_with_the_models(context):
    model = NetworkWithNgram(network(), ngram(4), [0.3, 0.1, 0.6, 0.2])
    text = np.random.default_rng(9).choice([1, 3, 4, 5], 700)
    alone = token_nats(model.network, text, context)
    both, beside = model.along(alone, text, context, threads=2)
    assert both == pytest.approx(token_nats(model, text, context), abs=1e-5)
    assert (beside == token_nats(model.ngram, text, context)).all()
    lengths = along_text(model.ngram, text, context)[1]
    assert set(np.unique(lengths)) <= {0, 1, 2, 3}
    assert len(np.unique(lengths)) > 1


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.5, 1.2], [0.5, -0.1, 0.5]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        NetworkWithNgram(network(), ngram(3), weights)
