"""Kneser-Ney models against a slow implementation of the formulas, and properties of their probabilities."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.text.vocabulary import BOS, EOS, UNK

V = 7  # <s> </s> <unk> and four words
ORDERS = [1, 2, 3, 4, 5, 6]
TEXTS = {
    "empty lines": [[], [], []],
    "one word": [[3]],
    "one line": [[3, 4, 3, 5]],
    "the same line": [[3, 4, 5]] * 4,
    "a word that repeats": [[3, 3, 3, 3, 3, 3], [3, 3]],
    "random": [list(np.random.default_rng(line).integers(3, V, 1 + line % 9)) for line in range(60)],
    "with unknown words": [[3, UNK, 4], [UNK, UNK], [3, UNK, 5, 6]] * 3,
}


def ids_of(lines: list[list[int]]) -> np.ndarray:
    return np.array([each for line in lines for each in [*line, EOS]], dtype=np.int32)


# --- a slow implementation of the formulas ------------------------------------------------------------------------


def kneser_ney(lines: list[list[int]], order: int) -> Callable[[tuple[int, ...], int], float]:
    """Return p(word | context) of interpolated modified Kneser-Ney, computed by recursion over dictionaries of tuples.

    Chen and Goodman 1999 with KenLM's conventions: adjusted counts except after <s>, uniform over all but <s> at the
    lowest level.
    """
    occurrences: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
    for line in lines:
        sentence = (BOS, *line, EOS)
        for n in range(1, order + 1):
            for start in range(len(sentence) - n + 1):
                occurrences[n][sentence[start : start + n]] += 1
    counts: list[dict[tuple[int, ...], int]] = [{}]
    for n in range(1, order + 1):
        before = Counter(longer[1:] for longer in (occurrences[n + 1] if n < order else ()))
        counts.append({
            ngram: occurrences[n][ngram] if n == order or ngram[0] == BOS else before[ngram]
            for ngram in occurrences[n]
            if ngram != (BOS,)
        })  # fmt: skip
    discounts = [discounts_of(list(each.values())) for each in counts]
    after: list[dict[tuple[int, ...], dict[int, int]]] = [defaultdict(dict) for _ in range(order + 1)]
    for n in range(1, order + 1):
        for ngram, count in counts[n].items():
            after[n][ngram[:-1]][ngram[-1]] = count

    def probability(context: tuple[int, ...], word: int) -> float:
        shorter = probability(context[1:], word) if context else 1 / (V - 1)
        followers = after[len(context) + 1].get(context)
        if not followers:
            return shorter
        D, total = discounts[len(context) + 1], sum(followers.values())
        freed = sum(D[min(count, 3)] for count in followers.values())
        count = followers.get(word, 0)
        return (count - D[min(count, 3)] + freed * shorter) / total

    return lambda context, word: probability(context[max(0, len(context) - order + 1) :], word)


def discounts_of(counts: list[int]) -> tuple[float, float, float, float]:
    n1, n2, n3, n4 = (counts.count(c) for c in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        found = (0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 <= d <= c for c, d in enumerate(found)):
            return found
    return (0.0, 0.5, 1.0, 1.5)


def log_probabilities(model: NgramModel, context: tuple[int, ...]) -> np.ndarray:
    return model.next_log_probabilities(np.array([context]).T, model.zero_state(1))[0][0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", TEXTS)
def test_probabilities_are_those_of_the_slow_implementation(name: str, order: int):
    model, expected = NgramModel.train(ids_of(TEXTS[name]), V, order), kneser_ney(TEXTS[name], order)
    contexts = [(BOS, *rest) for n in range(4) for rest in itertools.product(range(2, 5), repeat=n)]
    contexts += [(BOS, *line[:cut]) for line in TEXTS[name][:5] for cut in range(len(line) + 1)]
    for context in contexts:
        found = np.exp(log_probabilities(model, context)[1:])
        assert found == pytest.approx([expected(context, word) for word in range(1, V)], rel=1e-5, abs=1e-9)


def test_the_comparison_covers_estimated_and_fixed_discounts():
    """In the random text, discounts of 4-grams are estimated from counts, those of unigrams are fixed."""
    sentences = [(BOS, *line, EOS) for line in TEXTS["random"]]
    counts = [Counter(s[i : i + n] for s in sentences for i in range(len(s) - n + 1)) for n in (1, 4)]
    fixed, estimated = (discounts_of(list(each.values())) for each in counts)
    assert fixed == (0.0, 0.5, 1.0, 1.5)
    assert estimated not in (fixed, (0.0, 0.0, 0.0, 0.0))


# --- a distribution -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", TEXTS)
def test_probabilities_of_all_strings_of_a_length_sum_to_one(name: str, order: int, context: str):
    model = NgramModel.train(ids_of(TEXTS[name]), V, order, context)
    strings = np.array(list(itertools.product(range(1, V), repeat=4))).T
    inputs = np.concatenate([np.full((1, strings.shape[1]), BOS), strings[:-1]])
    nats, _ = model.nats(inputs, strings, model.zero_state(strings.shape[1]))
    assert np.exp(-nats.sum(axis=0)).sum() == pytest.approx(1, abs=1e-5)
    assert (nats > 0).all()


@pytest.mark.parametrize("order", ORDERS)
def test_whole_rows_agree_with_single_probabilities(order: int):
    rng = np.random.default_rng(3)
    model = NgramModel.train(ids_of(TEXTS["random"]), V, order)
    inputs, targets = rng.integers(0, V, (12, 5)), rng.integers(0, V, (12, 5))
    rows, state = model.log_probabilities(inputs, model.zero_state(5))
    nats, same_state = model.nats(inputs, targets, model.zero_state(5))
    assert np.take_along_axis(rows, targets[:, :, None], axis=2)[:, :, 0] == pytest.approx(-nats)
    probabilities = model.probabilities(model.contexts(inputs, model.zero_state(5))[1:])
    np.testing.assert_allclose(probabilities[..., 1:], np.exp(rows[..., 1:]), rtol=1e-5)
    contexts = model.contexts(inputs, model.zero_state(5))[1:].reshape(-1, order)
    few = np.concatenate([model.probabilities(contexts[i : i + 1]) for i in range(len(contexts))])
    assert model.probabilities(contexts) == pytest.approx(few, rel=1e-6)
    last, last_state = model.next_log_probabilities(inputs, model.zero_state(5))
    assert (last == rows[-1]).all()
    assert (state == same_state).all()
    assert (state == last_state).all()
    assert np.exp(rows).sum(axis=2) == pytest.approx(np.ones((12, 5)), abs=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_a_longer_context_lowers_the_perplexity_of_the_training_text(order: int):
    ids = ids_of(TEXTS["random"])
    perplexities = []
    for each in (order, order + 1) if order < 6 else (1, 6):
        model = NgramModel.train(ids, V, each)
        inputs = np.where(np.concatenate([[EOS], ids[:-1]]) == EOS, BOS, np.concatenate([[EOS], ids[:-1]]))
        perplexities.append(model.nats(inputs[:, None], ids[:, None], model.zero_state(1))[0].mean())
    assert perplexities[1] < perplexities[0]


# --- state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 11])
def test_text_read_in_pieces_has_the_same_probabilities_as_in_one_piece(order: int, cut: int):
    rng = np.random.default_rng(cut)
    model = NgramModel.train(ids_of(TEXTS["random"]), V, order)
    inputs, targets = rng.integers(0, V, (12, 3)), rng.integers(0, V, (12, 3))
    whole, final = model.nats(inputs, targets, model.zero_state(3))
    first, state = model.nats(inputs[:cut], targets[:cut], model.zero_state(3))
    second, state = model.nats(inputs[cut:], targets[cut:], state)
    assert (np.concatenate([first, second]) == whole).all()
    assert (state == final).all()


@pytest.mark.parametrize("order", ORDERS)
def test_a_sentence_start_resets_the_context(order: int):
    model = NgramModel.train(ids_of(TEXTS["random"]), V, order)
    for line in ([4, 5, 3], [3]):
        fresh = log_probabilities(model, (BOS, *line))
        for before in ([], [3], [BOS, 5, 4], [6, 6, 6, 6, 6]):
            assert (log_probabilities(model, (*before, BOS, *line)) == fresh).all()


@pytest.mark.parametrize("order", ORDERS)
def test_keep_zero_starts_from_the_zero_state(order: int):
    rng = np.random.default_rng(8)
    model = NgramModel.train(ids_of(TEXTS["random"]), V, order)
    inputs, targets = rng.integers(2, V, (9, 2)), rng.integers(1, V, (9, 2))
    keep = np.ones((9, 2, 1))
    keep[4, 0] = 0  # the first column starts anew at its fifth step
    nats, _ = model.nats(inputs, targets, model.zero_state(2), keep)
    plain, _ = model.nats(inputs, targets, model.zero_state(2))
    anew, _ = model.nats(inputs[4:], targets[4:], model.zero_state(2))
    assert (nats[:, 1] == plain[:, 1]).all()
    assert (nats[:4, 0] == plain[:4, 0]).all()
    assert (nats[4:, 0] == anew[:, 0]).all()


def test_columns_do_not_influence_each_other():
    rng = np.random.default_rng(9)
    model = NgramModel.train(ids_of(TEXTS["random"]), V, 4)
    inputs, targets = rng.integers(0, V, (10, 6)), rng.integers(0, V, (10, 6))
    together, state = model.nats(inputs, targets, model.zero_state(6))
    for column in range(6):
        one = slice(column, column + 1)
        alone, own = model.nats(inputs[:, one], targets[:, one], model.zero_state(1))
        assert (alone == together[:, one]).all()
        assert (own == state[one]).all()


def test_only_a_stream_remembers_the_line_before():
    """The first token of a line depends on the previous line in a stream, but not in sentences."""
    ids = np.array([3, EOS, 4, EOS] * 20)
    stream, sentences = (NgramModel.train(ids, V, 3, context) for context in ("stream", "sentence"))
    assert np.exp(log_probabilities(stream, (BOS, 3, EOS))[4]) > 0.9
    assert np.exp(log_probabilities(sentences, (BOS,))[[3, 4]]) == pytest.approx([0.45, 0.45], abs=0.06)


def test_in_a_stream_a_line_read_alone_starts_like_any_line():
    """<s> means </s> in a stream: lines start with 3 or 4, although the first line of the text starts with 5."""
    starts = np.random.default_rng(1).integers(3, 5, 200)
    ids = np.array([5, EOS, *np.stack([starts, np.full(200, EOS)], axis=1).ravel()])
    stream = NgramModel.train(ids, V, 2, "stream")
    np.testing.assert_array_equal(log_probabilities(stream, (BOS,)), log_probabilities(stream, (EOS,)))
    assert np.exp(log_probabilities(stream, (BOS,))[[3, 4]]) == pytest.approx([0.5, 0.5], abs=0.08)
    inputs, targets = np.array([[BOS, 3, BOS]]).T, np.array([[3, EOS, 4]]).T
    anew = np.array([0, 1, 0])[:, None, None]
    nats, _ = stream.nats(inputs, targets, stream.zero_state(1), anew)
    assert nats[2, 0] == pytest.approx(-log_probabilities(stream, (BOS,))[4]), "nothing of the line before is known"


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [0, 7, -1])
def test_orders_outside_1_to_6_are_refused(order: int):
    with pytest.raises(TrainingError, match="1 to 6"):
        NgramModel.train(np.array([3, EOS]), V, order)


def test_an_empty_text_is_refused():
    with pytest.raises(TrainingError, match="no tokens"):
        NgramModel.train(np.zeros(0, dtype=np.int32), V, 2)


def test_a_model_can_be_restored_from_its_arrays():
    model = NgramModel.train(ids_of(TEXTS["random"]), V, 3)
    again = NgramModel.from_arrays(V, 3, model.arrays())
    assert (log_probabilities(again, (BOS, 3, 4)) == log_probabilities(model, (BOS, 3, 4))).all()
    assert again.ngram_counts() == model.ngram_counts()
    assert [again.words(3, np.arange(2)).shape, again.words(1, np.arange(V))[:, 0].tolist()] == [(2, 3), list(range(V))]


def test_counts_are_those_of_the_text():
    lines = [[3, 4, 3, 4, 5], [3, 4]]
    model = NgramModel.train(ids_of(lines), V, 3)
    sentences = [(BOS, *line, EOS) for line in lines]
    for n, (ngrams, contexts) in enumerate(zip(model.ngram_counts(), model.context_counts(), strict=True), 1):
        seen = {line[i : i + n] for line in sentences for i in range(len(line) - n + 1)}
        assert ngrams == (V if n == 1 else len(seen))
        assert contexts == len({ngram[:-1] for ngram in seen})
        listed = {tuple(words) for words in model.words(n, np.arange(ngrams)).tolist()}
        assert listed >= seen


CHANGES = {
    "a missing array": lambda a: a.pop("ngram.2.keys"),
    "another length": lambda a: a.update({"ngram.2.backoff": a["ngram.2.backoff"][1:]}),
    "another dtype": lambda a: a.update({"ngram.2.keys": a["ngram.2.keys"].astype(np.int32)}),
    "whole numbers for probabilities": lambda a: a.update(
        {"ngram.1.log_probability": a["ngram.1.log_probability"].astype(np.int64)}
    ),
    "two axes": lambda a: a.update({f"ngram.2.{n}": a[f"ngram.2.{n}"][None] for n in ("keys", "log_probability")}),
    "a negative key": lambda a: a["ngram.2.keys"].__setitem__(0, -1),
    "a key beyond the order below": lambda a: a["ngram.2.keys"].__setitem__(-1, V * V),
    "the largest key": lambda a: a["ngram.3.keys"].__setitem__(-1, np.iinfo(np.int64).max),
    "unsorted keys": lambda a: a["ngram.2.keys"].__setitem__(slice(None), a["ngram.2.keys"][::-1].copy()),
    "a key twice": lambda a: a["ngram.2.keys"].__setitem__(1, a["ngram.2.keys"][0]),
    "a probability above one": lambda a: a["ngram.2.log_probability"].__setitem__(0, 0.1),
    "no number": lambda a: a["ngram.2.log_probability"].__setitem__(0, np.nan),
    "an infinite back-off weight": lambda a: a["ngram.1.backoff"].__setitem__(3, np.inf),
    "fewer words than the vocabulary": lambda a: a.update({n: x[:-1] for n, x in a.items() if n.startswith("ngram.1")}),
    "a level without n-grams in the middle": lambda a: a.update(
        {n: x[:0] for n, x in a.items() if n.startswith("ngram.2")}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_inconsistent_arrays_are_refused(change: str):
    model = NgramModel.train(ids_of(TEXTS["random"]), V, 3)
    arrays = {name: array.copy() for name, array in model.arrays().items()}
    CHANGES[change](arrays)
    with pytest.raises(CheckpointError, match="damaged"):
        NgramModel.from_arrays(V, 3, arrays)


@pytest.mark.parametrize("order", [0, 7, "3", None, 2.0, True, [3]])
def test_a_damaged_order_is_refused(order: object):
    with pytest.raises(CheckpointError, match="damaged"):
        NgramModel.from_arrays(V, order, NgramModel.train(ids_of(TEXTS["random"]), V, 3).arrays())


# --- limited number of n-grams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("most", [0, 30, 60, 90, 150])
def test_a_pruned_model_backs_off_and_its_rows_sum_to_one(name, most):
    ids = ids_of(TEXTS[name])
    whole, model = NgramModel.train(ids, V, 5), NgramModel.train(ids, V, 5, most=most)
    assert model.ngram_counts()[:2] == whole.ngram_counts()[:2]
    assert sum(model.ngram_counts()) <= max(most, sum(whole.ngram_counts()[:2]))
    inputs = np.array(list(itertools.product(range(1, V), repeat=3))).T
    inputs = np.concatenate([np.zeros((1, inputs.shape[1]), dtype=int), inputs])
    rows, _ = model.log_probabilities(inputs, model.zero_state(inputs.shape[1]))
    assert np.exp(rows).sum(axis=-1) == pytest.approx(1, abs=1e-5)
    assert NgramModel.from_arrays(V, 5, model.arrays()).ngram_counts() == model.ngram_counts()  # the keys are valid


def test_a_limited_model_keeps_the_most_frequent_ngrams():
    ids = ids_of(TEXTS["random"] * 2 + [[3, 3, 3, 3]] * 5)
    whole = NgramModel.train(ids, V, 3)
    model = NgramModel.train(ids, V, 3, most=sum(whole.ngram_counts()) - 1)
    words = {tuple(each) for each in model.words(3, np.arange(model.ngram_counts()[2])).tolist()}
    others = {tuple(each) for each in whole.words(3, np.arange(whole.ngram_counts()[2])).tolist()} - words
    text = [(BOS, *line, EOS) for line in TEXTS["random"] * 2 + [[3, 3, 3, 3]] * 5]
    seen = Counter(line[i : i + 3] for line in text for i in range(len(line) - 2))
    assert others
    assert words
    assert min(seen[each] for each in words) > max(seen[each] for each in others)


def test_a_limit_above_the_number_of_ngrams_changes_nothing():
    ids = ids_of(TEXTS["random"])
    whole, model = NgramModel.train(ids, V, 4), NgramModel.train(ids, V, 4, most=10_000)
    assert all(
        (one == other).all() for one, other in zip(whole.arrays().values(), model.arrays().values(), strict=True)
    )
