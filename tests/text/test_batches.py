"""Batches contain the whole text once, in order or shuffled, and depend only on seed, epoch and number."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.text import batches as batches_module
from rnnlm.text.batches import NOT_PREDICTED, Batches, SentenceBatches
from rnnlm.text.vocabulary import BOS, EOS, UNK

CONTEXTS = ["stream", "sentence"]


def text(length, seed=1):
    """Return different ids without </s>, so that every place can be identified."""
    return 3 + np.random.default_rng(seed).permutation(length).astype(np.int32)


def sentences(count, seed=1):
    """Return sentences of different lengths in which no id occurs twice."""
    lengths = np.random.default_rng(seed).integers(0, 9, count)
    ids = iter(text(lengths.sum() + 1, seed))
    return [[*(int(next(ids)) for _ in range(length)), EOS] for length in lengths]


def joined(parts):
    return np.array([each for part in parts for each in part], dtype=np.int32)


def epoch_of(batches, epoch):
    return [batches.batch(epoch, number) for number in range(batches.per_epoch)]


def columns(batches, epoch, part="targets"):
    """Return what each column reads in an epoch, (column length, B)."""
    return np.concatenate([getattr(batch, part) for batch in epoch_of(batches, epoch)])


LAYOUTS = (st.integers(1, 6), st.integers(1, 12), st.integers(0, 40))


@given(*LAYOUTS, st.integers(0, 3))
def test_stream_columns_are_the_text_in_order(batch_size, bptt, extra, epoch):
    ids = text(2 * batch_size + extra)
    batches = Batches(ids, batch_size, bptt, "stream", seed=1)
    length = len(ids) // batch_size
    np.testing.assert_array_equal(columns(batches, epoch), ids[: length * batch_size].reshape(batch_size, length).T)


@given(*LAYOUTS, st.integers(0, 3))
def test_shifted_columns_are_the_text_read_as_a_ring_from_another_place(batch_size, bptt, extra, epoch):
    ids = text(2 * batch_size + extra)
    plain, shifted = (Batches(ids, batch_size, bptt, "stream", seed=1, shift=shift) for shift in (False, True))
    assert shifted.per_epoch == plain.per_epoch
    found = columns(shifted, epoch)
    begin = ids.tolist().index(found[0, 0])
    length = len(ids) // batch_size
    np.testing.assert_array_equal(found, np.roll(ids, -begin)[: length * batch_size].reshape(batch_size, length).T)
    inputs = columns(shifted, epoch, "inputs")
    assert (inputs[0] == BOS).all()
    np.testing.assert_array_equal(inputs[1:], found[:-1])
    for number, batch in enumerate(epoch_of(shifted, epoch)):
        assert batch.keep is None
        assert batch.starts_epoch == (number == 0)


def test_every_epoch_has_its_own_shift_which_depends_on_the_seed():
    ids = text(1000)
    begins = {
        seed: [columns(Batches(ids, 4, 7, "stream", seed, shift=True), epoch)[0, 0] for epoch in range(20)]
        for seed in (1, 2)
    }
    places = [ids.tolist().index(begin) for begin in begins[1]]
    assert len(set(places)) > 15
    assert len({place % 7 for place in places}) == 7  # windows end at all places
    assert begins[1] != begins[2]
    again = Batches(ids, 4, 7, "stream", 1, shift=True)
    assert [columns(again, epoch)[0, 0] for epoch in reversed(range(20))] == begins[1][::-1]


@given(*LAYOUTS)
def test_stream_inputs_are_the_targets_one_step_later(batch_size, bptt, extra):
    ids = text(2 * batch_size + extra)
    batches = Batches(ids, batch_size, bptt, "stream", seed=1)
    inputs, targets = columns(batches, 0, "inputs"), columns(batches, 0)
    assert (inputs[0] == BOS).all()
    np.testing.assert_array_equal(inputs[1:], targets[:-1])
    for number, batch in enumerate(epoch_of(batches, 0)):
        assert batch.keep is None
        assert batch.starts_epoch == (number == 0)
        assert batch.inputs.shape == batch.targets.shape == (len(batch.inputs), batch_size)
        assert len(batch.inputs) <= bptt


@given(*LAYOUTS, st.integers(0, 3))
def test_every_batch_but_the_last_has_bptt_steps(batch_size, bptt, extra, epoch):
    ids = text(2 * batch_size + extra)
    for context in CONTEXTS:
        lengths = [len(batch.targets) for batch in epoch_of(Batches(ids, batch_size, bptt, context, seed=1), epoch)]
        assert sum(lengths) == len(ids) // batch_size
        assert set(lengths[:-1]) <= {bptt}
        assert 1 <= lengths[-1] <= bptt


@pytest.mark.parametrize("epoch", [0, 1, 7])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_an_epoch_has_every_sentence_exactly_once(batch_size, epoch):
    parts = sentences(80)
    parts.append([*range(9000, 9000 + (-sum(map(len, parts)) - 1) % batch_size), EOS])  # so that no tail is dropped
    batches = Batches(joined(parts), batch_size, 5, "sentence", seed=1)
    read, sentence = [], []
    for token in columns(batches, epoch).T.ravel():
        sentence.append(int(token))
        if token == EOS:
            read.append(sentence)
            sentence = []
    assert sentence == []
    assert sorted(read) == sorted(parts)
    assert read != parts


@given(st.lists(st.lists(st.integers(3, 9), max_size=5), min_size=4, max_size=20), *LAYOUTS[:2], st.integers(0, 3))
def test_a_sentence_epoch_has_the_token_counts_of_the_text(lists, batch_size, bptt, epoch):
    ids = joined([[*each, EOS] for each in lists] * 3)
    batches = Batches(ids, batch_size, bptt, "sentence", seed=2)
    lost = Counter(ids.tolist())
    lost.subtract(columns(batches, epoch).ravel().tolist())
    assert min(lost.values()) >= 0
    assert lost.total() == len(ids) % batch_size


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_sentences_start_at_the_start_symbol_with_a_reset(batch_size, epoch):
    batches = Batches(joined(sentences(80)), batch_size, 5, "sentence", seed=1)
    inputs, targets = columns(batches, epoch, "inputs"), columns(batches, epoch)
    np.testing.assert_array_equal(inputs[1:], np.where(targets[:-1] == EOS, BOS, targets[:-1]))
    assert inputs[0, 0] == BOS
    assert BOS not in targets
    assert EOS not in inputs
    kept = columns(batches, epoch, "keep")
    assert kept.shape == (*inputs.shape, 1)
    np.testing.assert_array_equal(kept[:, :, 0] == 0, inputs == BOS)
    assert set(np.unique(kept)) == {0, 1}


def test_a_column_that_starts_within_a_sentence_reads_the_word_before():
    batches = Batches(joined(sentences(80)), 4, 5, "sentence", seed=1)
    inputs, targets = columns(batches, 0, "inputs"), columns(batches, 0)
    before = targets[-1, :-1]  # the last targets of the columns to the left
    assert (before != EOS).any()
    np.testing.assert_array_equal(inputs[0, 1:], np.where(before == EOS, BOS, before))


def test_in_a_stream_the_end_of_a_line_is_an_ordinary_token():
    ids = joined(sentences(30))
    batches = Batches(ids, 1, 5, "stream", seed=1)
    np.testing.assert_array_equal(columns(batches, 0, "inputs")[1:, 0], ids[:-1])


@pytest.mark.parametrize("count", [1, 4, 30, 300])
@pytest.mark.parametrize("longest", [2, 9, 40])
def test_in_a_large_text_runs_of_sentences_are_shuffled(monkeypatch, count, longest):
    lengths = np.random.default_rng(count).integers(1, longest, count)
    ids = iter(text(lengths.sum() + 4))
    parts = [[*(int(next(ids)) for _ in range(length)), EOS] for length in lengths]
    parts.append([int(each) for each in ids])  # the text ends within a sentence
    monkeypatch.setattr(batches_module, "LARGE", 1)
    monkeypatch.setattr(batches_module, "RUNS", 8)
    monkeypatch.setattr(batches_module, "_LOOK", 3)
    whole = joined(parts)
    batches = Batches(whole, 1, 7, "sentence", seed=1)
    starts = batches._sentence_starts
    assert set(starts) <= {0, len(whole), *np.flatnonzero(whole == EOS) + 1}
    # Every place of the text is in a run, which is at most two equal runs and two sentences long.
    assert (starts[0], starts[-1]) == (0, len(whole))
    assert np.diff(starts).max() <= 2 * len(whole) / 8 + 2 * (longest + 4)
    runs = [tuple(whole[start:stop]) for start, stop in itertools.pairwise(starts)]
    seen = columns(batches, 0)[:, 0].tolist()
    by_first = {run[0]: run for run in runs}
    found = []
    while seen:
        found.append(by_first[seen[0]])
        assert tuple(seen[: len(found[-1])]) == found[-1]
        del seen[: len(found[-1])]
    assert sorted(found) == sorted(runs)
    assert len(runs) < 4 or found != runs


def test_the_order_of_sentences_depends_on_epoch_and_seed():
    ids = joined(sentences(80))

    def order(seed, epoch):
        return columns(Batches(ids, 2, 5, "sentence", seed), epoch).tolist()

    assert order(1, 0) == order(1, 0)
    assert len({str(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_batch_depends_only_on_seed_epoch_and_number(context):
    """A batch does not depend on earlier calls, since a resumed run starts in the middle."""
    ids = joined(sentences(60))
    rare = np.arange(ids.max() + 1) % 2 == 1
    rare[EOS] = False

    def new():
        return Batches(ids, 3, 7, context, seed=5, rare=rare, rare_rate=0.5)

    wanted = [(epoch, number) for epoch in range(3) for number in range(new().per_epoch)]
    in_order = {place: used.batch(*place) for used in (new(),) for place in wanted}
    shuffled = new()
    for index in np.random.default_rng(1).permutation(len(wanted)):
        for batch in (shuffled.batch(*wanted[index]), new().batch(*wanted[index])):
            expected = in_order[wanted[index]]
            np.testing.assert_array_equal(batch.inputs, expected.inputs)
            np.testing.assert_array_equal(batch.targets, expected.targets)
            np.testing.assert_array_equal(batch.keep, expected.keep)
            assert batch.starts_epoch == expected.starts_epoch


def test_the_text_is_not_changed():
    ids = joined(sentences(60))
    original = ids.copy()
    ids.flags.writeable = False
    for context in CONTEXTS:
        epoch_of(Batches(ids, 3, 7, context, seed=1, rare=np.ones(1000, bool), rare_rate=1.0), 0)
    np.testing.assert_array_equal(ids, original)


# Rare words


@pytest.mark.parametrize("context", CONTEXTS)
def test_rare_words_become_unknown_at_their_rate(context):
    ids = np.random.default_rng(1).integers(3, 7, 40_000).astype(np.int32)
    ids[9::10] = EOS
    rare = np.array([False, False, False, True, False, True, False])
    original = columns(Batches(ids, 4, 50, context, seed=1), 0)
    replaced = columns(Batches(ids, 4, 50, context, seed=1, rare=rare, rare_rate=0.1), 0)
    changed = replaced != original
    assert (replaced[changed] == UNK).all()
    assert rare[original[changed]].all()
    for token in (3, 5):
        here = original == token
        assert changed[here].mean() == pytest.approx(0.1, abs=4 * (0.09 / here.sum()) ** 0.5)


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0), (1.0, 1)])
def test_a_rate_of_zero_or_one_replaces_no_or_all_rare_words(rate, share):
    ids = text(300)
    read = columns(Batches(ids, 3, 7, "stream", seed=1, rare=np.ones(400, bool), rare_rate=rate), 0)
    assert (read == UNK).mean() == share


def test_different_places_become_unknown_in_every_epoch():
    batches = Batches(text(300), 3, 7, "stream", seed=1, rare=np.ones(400, bool), rare_rate=0.3)
    places = [columns(batches, epoch) == UNK for epoch in range(3)]
    assert (places[0] != places[1]).any()
    assert (places[1] != places[2]).any()


def test_a_replaced_word_is_unknown_as_target_and_as_the_next_input():
    """This holds within a batch; at the border of two batches, each draws for itself."""
    batches = Batches(text(300), 3, 7, "stream", seed=1, rare=np.ones(400, bool), rare_rate=0.3)
    for batch in epoch_of(batches, 0):
        np.testing.assert_array_equal(batch.inputs[1:], batch.targets[:-1])


# Short texts


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_text_of_fewer_than_two_tokens_per_column_is_refused(batch_size, context):
    with pytest.raises(CorpusError, match=f"{2 * batch_size - 1} tokens.*{2 * batch_size}"):
        Batches(text(2 * batch_size - 1), batch_size, 5, context, seed=1)
    batches = Batches(text(2 * batch_size), batch_size, 5, context, seed=1)
    assert batches.per_epoch == 1
    assert batches.batch(0, 0).targets.shape == (2, batch_size)


# Whole sentences, for bidirectional networks

PACKINGS = (st.integers(1, 6), st.integers(1, 20), st.integers(1, 40), st.integers(0, 3))


def sentences_of(batches, epoch):
    """Return the sentences of an epoch, without <s>, with </s> and without padding."""
    read = []
    for batch in epoch_of(batches, epoch):
        for column in batch.inputs.T:
            starts = np.flatnonzero(column == BOS)
            for start, stop in zip(starts, [*starts[1:], len(column)], strict=True):
                sentence = column[start + 1 : stop].tolist()
                length = sentence.index(EOS) + 1
                assert set(sentence[length:]) <= {EOS}  # padding, which occurs only at a column's end
                assert length == len(sentence) or stop == len(column)
                read.append(sentence[:length])
    return read


@given(*PACKINGS)
def test_an_epoch_of_whole_sentences_has_each_exactly_once(batch_size, length, count, epoch):
    parts = sentences(count)
    batches = SentenceBatches(joined(parts), batch_size, length, seed=1)
    assert sorted(sentences_of(batches, epoch)) == sorted(parts)
    assert sentences_of(SentenceBatches(joined(parts), batch_size, length, seed=1, shuffle=False), epoch) == parts


@given(*PACKINGS)
def test_all_words_of_whole_sentences_are_targets(batch_size, length, count, epoch):
    for batch in epoch_of(SentenceBatches(joined(sentences(count)), batch_size, length, seed=1), epoch):
        ends = (batch.inputs == BOS) | (batch.inputs == EOS)
        np.testing.assert_array_equal(batch.targets, np.where(ends, NOT_PREDICTED, batch.inputs))
        assert batch.tokens == (~ends).sum()
        assert batch.starts_epoch
        assert (batch.inputs[0] == BOS).all()
        assert (batch.inputs[-1] == EOS).all()
        np.testing.assert_array_equal(batch.keep[:, :, 0] == 0, batch.inputs == BOS)  # reset when read from the left
        np.testing.assert_array_equal(batch.keep[:, :, 1] == 0, batch.inputs == EOS)  # reset when read from the right


@given(*PACKINGS)
def test_a_column_exceeds_the_length_only_for_a_single_long_sentence(batch_size, length, count, epoch):
    for batch in epoch_of(SentenceBatches(joined(sentences(count)), batch_size, length, seed=1), epoch):
        for column in batch.inputs.T:
            if (column == BOS).sum() > 1:
                used = len(column) - np.argmax(column[::-1] != EOS) + 1  # without padding, but with its own </s>
                assert used <= length + 1


def test_whole_sentences_depend_only_on_seed_epoch_and_number():
    ids = joined(sentences(60))
    batches = SentenceBatches(ids, 3, 12, seed=1)
    wanted = [(epoch, number) for epoch in range(3) for number in range(batches.per_epoch)]
    in_order = [batches.batch(*place).inputs.tolist() for place in wanted]
    backwards = [batches.batch(*place).inputs.tolist() for place in reversed(wanted)]
    assert in_order == backwards[::-1]
    assert sentences_of(batches, 0) != sentences_of(batches, 1)
    assert sentences_of(batches, 0) != sentences_of(SentenceBatches(ids, 3, 12, seed=2), 0)


def test_rare_words_of_whole_sentences_are_replaced_in_inputs_and_targets():
    ids = joined(sentences(80))
    rare = np.zeros(int(ids.take(np.arange(len(ids))).max()) + 1, dtype=bool)
    rare[3:] = True
    plain = SentenceBatches(ids, 4, 20, seed=1).batch(0, 0)
    replaced = SentenceBatches(ids, 4, 20, seed=1, rare=rare, rare_rate=0.5).batch(0, 0)
    again = SentenceBatches(ids, 4, 20, seed=1, rare=rare, rare_rate=0.5).batch(0, 0)
    np.testing.assert_array_equal(replaced.inputs, again.inputs)
    changed = replaced.inputs != plain.inputs
    assert set(replaced.inputs[changed].tolist()) == {UNK}
    assert 0.3 < changed[plain.inputs > UNK].mean() < 0.7
    np.testing.assert_array_equal(replaced.targets == UNK, replaced.inputs == UNK)
    np.testing.assert_array_equal(replaced.keep, plain.keep)


def test_a_long_sentence_is_split_into_parts(monkeypatch):
    monkeypatch.setattr(batches_module, "LONGEST_SENTENCE", 8)
    ids = np.array([*range(10, 40), EOS, 50, EOS, *range(60, 67), EOS], dtype=np.int32)
    batches, found = SentenceBatches(ids, 2, 1, seed=1), []
    for batch in epoch_of(batches, 0):
        for column in batch.inputs.T.tolist():
            for place in [i for i, token in enumerate(column) if token == BOS]:
                found.append(column[place + 1 : column.index(EOS, place)])
    assert sorted(found) == [
        *([*range(10, 17)], [*range(17, 25)], [*range(25, 32)], [*range(32, 40)]),
        *([50], [*range(60, 67)]),
    ]


# Lines of a stream that start anew


def lines_of_five(count):
    ids = text(5 * count)
    ids[4::5] = EOS
    return ids


def test_without_line_resets_a_stream_is_unchanged():
    ids = lines_of_five(200)
    for plain, reset in zip(
        epoch_of(Batches(ids, 4, 7, "stream", 1), 0),
        epoch_of(Batches(ids, 4, 7, "stream", 1, line_resets=1e-9), 0),
        strict=True,
    ):
        np.testing.assert_array_equal(plain.inputs, reset.inputs)
        np.testing.assert_array_equal(plain.targets, reset.targets)


def test_line_resets_start_a_share_of_the_lines_with_the_start_symbol_and_a_zero_state():
    ids = lines_of_five(8_000)
    plain, batches = (Batches(ids, 4, 7, "stream", 1, line_resets=share) for share in (0.0, 0.25))
    for epoch in (0, 1):
        before, inputs = columns(plain, epoch, "inputs"), columns(batches, epoch, "inputs")
        np.testing.assert_array_equal(columns(plain, epoch), columns(batches, epoch))
        keep = columns(batches, epoch, "keep")[..., 0]
        np.testing.assert_array_equal(keep, inputs != BOS)
        changed = inputs != before
        assert (before[changed] == EOS).all()
        assert changed.sum() / (before == EOS).sum() == pytest.approx(0.25, abs=0.03)
    first, second = (columns(batches, epoch, "inputs") for epoch in (0, 1))
    assert (first != second).any(), "other lines in every epoch"
    np.testing.assert_array_equal(first, columns(Batches(ids, 4, 7, "stream", 1, line_resets=0.25), 0, "inputs"))


def test_a_share_of_one_resets_all_lines_in_the_order_of_the_text():
    ids = lines_of_five(40)
    inputs = columns(Batches(ids, 2, 7, "stream", 1, line_resets=1.0), 0, "inputs")
    assert not (inputs == EOS).any()
    assert (inputs == BOS).sum() == 40


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_reset_the_same_lines_as_a_single_worker(workers):
    ids = lines_of_five(300)
    whole = columns(Batches(ids, 6, 7, "stream", 1, line_resets=0.5), 1, "inputs")
    shares = [Batches(ids, 6, 7, "stream", 1, line_resets=0.5, worker=(n, workers)) for n in range(workers)]
    np.testing.assert_array_equal(whole, np.concatenate([columns(each, 1, "inputs") for each in shares], axis=1))
