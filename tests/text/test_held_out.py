import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.text import held_out
from rnnlm.text.corpus import sequence, tokenize_corpus
from rnnlm.text.held_out import BLOCKS, FAR, LINES_IN_BLOCK, measured, split, split_version
from rnnlm.text.id_sequence import Stretch
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import EOS, FIRST, Vocabulary


@pytest.fixture
def tokenized(tmp_path):
    def tokenized(text, tokenizer=None, lines=True):
        path = tmp_path / "text.txt"
        path.write_text(text, encoding="utf-8")
        return tokenize_corpus([path], tokenizer or WordTokenizer(), lines=lines)

    return tokenized


def starts_of_lines(corpus):
    return {0, *(np.flatnonzero(corpus.ids == EOS) + 1).tolist()}


def words(corpus, stretches):
    """Return the tokens of stretches as a model reads them."""
    vocabulary = Vocabulary.build(corpus.tokens, corpus.counts()[FIRST:])
    ids = sequence(corpus, vocabulary, stretches)[:]
    return " ".join("/" if i == EOS else vocabulary.token(i) for i in ids.tolist())


def share(corpus, found):
    return sum(stop - start for start, stop, _ in found.held_out) / len(corpus.ids)


# Streams


@pytest.mark.parametrize(("tokenizer", "lines"), [(CharTokenizer(), False), (WordTokenizer(), True)])
def test_a_stream_without_lines_is_split_at_the_share(tokenized, tokenizer, lines):
    corpus = tokenized("one two three four five six seven eight nine ten " * 50, tokenizer, lines)
    N = len(corpus.ids)
    for fraction in (0.1, 0.25, 0.5, 0.9):
        found = split(corpus, fraction, "stream")
        assert found.train == [Stretch(0, N - round(N * fraction))]
        assert found.held_out == [Stretch(N - round(N * fraction), N)]


def test_a_stream_of_lines_is_split_like_sentences(tokenized):
    corpus = tokenized("one two three four\n" * 500)
    found = split(corpus, 0.1, "stream")
    assert found == split(corpus, 0.1, "sentence")
    assert len(found.held_out) == 5
    N = len(corpus.ids)
    assert split(corpus, 0.1, "stream", 2).held_out == [Stretch(N - round(N * 0.1), N)], "as earlier versions did"


def test_a_stream_of_a_few_tokens_is_not_split(tokenized):
    for text, fraction in [("abcd", 0.0), ("abcd", 0.5), ("a word or two", 0.1), ("a" * 99, 0.09), ("a" * 99, 0.99)]:
        corpus = tokenized(text, CharTokenizer(), lines=False)
        assert split(corpus, fraction, "stream")[:2] == ([Stretch(0, len(text))], [])


# Sentences


@given(st.lists(st.integers(1, 12), min_size=1, max_size=400), st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.8]))
def test_sentences_are_split_at_line_ends_near_the_share(lengths, fraction):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        path.write_text("".join("w " * length + "\n" for length in lengths))
        corpus = tokenize_corpus([path], WordTokenizer(), lines=True, cache_dir=folder)
        N, found = len(corpus.ids), split(corpus, fraction, "sentence")
        assert found == split(corpus, fraction, "sentence")
        # Together they are the whole text, without overlap.
        parts = sorted([*found.train, *found.held_out])
        assert (parts[0].start, parts[-1].stop) == (0, N)
        assert all(first.stop == second.start for first, second in pairwise(parts))
        assert all(start < stop and not cut for start, stop, cut in parts)
        assert {start for start, _, _ in parts} <= starts_of_lines(corpus)
        if found.held_out:
            assert fraction / FAR <= share(corpus, found) <= min(FAR * fraction, (1 + fraction) / 2)
        else:  # no line starts near the share
            far = [start for start in starts_of_lines(corpus) if 0 < start < N]
            wanted = [N * fraction / FAR, N * min(FAR * fraction, (1 + fraction) / 2)]
            assert not [start for start in far if wanted[0] <= N - start <= wanted[1] - 1]


def test_held_out_blocks_are_spread_over_the_text_and_have_many_lines(tokenized):
    corpus = tokenized("".join(f"line {number} of them\n" for number in range(3000)))
    found = split(corpus, 0.1, "sentence")
    assert len(found.held_out) == BLOCKS
    assert f"{BLOCKS} blocks" in found.how
    assert share(corpus, found) == pytest.approx(0.1, abs=0.005)
    lines = [np.count_nonzero(corpus.ids[start:stop] == EOS) for start, stop, _ in found.held_out]
    assert min(lines) >= LINES_IN_BLOCK
    centres = np.array([(start + stop) / 2 / len(corpus.ids) for start, stop, _ in found.held_out])
    assert np.diff(centres) == pytest.approx(1 / BLOCKS, abs=0.01)
    assert len(split(tokenized("a b\n" * 250), 0.1, "sentence").held_out) == 2
    assert len(split(tokenized("a b\n" * 150), 0.1, "sentence").held_out) == 1


def test_lines_of_very_different_lengths_are_split_near_the_share(tokenized):
    corpus = tokenized("a b\n" * 1000 + "w " * 30_000 + "\n" + "a b\n" * 1000)
    found = split(corpus, 0.1, "sentence")
    assert 0.1 / FAR <= share(corpus, found) <= 0.1 * FAR


@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_a_long_line_is_cut_after_a_sentence(tokenized, monkeypatch, chunk):
    monkeypatch.setattr(held_out, "_CHUNK", chunk)
    for sentence, tokenizer in [
        ("I came , “ late ” . ", WordTokenizer()),
        ("He asked “ why ? ” ", WordTokenizer()),
        ("她问：“你迟到了吗？”", WordTokenizer()),
        ("It is 3.5 m. He left. ", CharTokenizer()),
    ]:
        corpus = tokenized(sentence * 40 + "\n", tokenizer)
        found = split(corpus, 0.1, "sentence")
        assert share(corpus, found) == pytest.approx(0.1, abs=0.03)
        (train,), (held,) = found.train, found.held_out
        assert train.cut
        assert not held.cut
        learnt, kept = words(corpus, [train]), words(corpus, [held])
        assert learnt[-1] == kept[-1] == "/"  # the sentence before the cut gets an end
        begin = words(corpus, [Stretch(0, 8)])
        assert kept.startswith(begin[:8]) or kept.startswith("H e")


def test_a_text_that_cannot_be_cut_is_not_split(tokenized):
    for text in (
        "word",
        "one\ntwo\n",
        "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。\n",
        "w " * 17_000,
        "a b c\n\n\n",
        "3.5 " * 9,
    ):
        corpus = tokenized(text)
        assert split(corpus, 0.1, "sentence") == ([Stretch(0, len(corpus.ids))], [], "")
    assert len(split(tokenized("one\ntwo\n"), 0.5, "sentence").held_out) == 1


def test_only_a_part_of_a_large_held_out_text_is_measured(tokenized):
    corpus = tokenized("".join(f"line {number} of them\n" for number in range(3000)))
    blocks = split(corpus, 0.5, "sentence").held_out
    assert measured(corpus, blocks, 10**6) == blocks
    fewer = measured(corpus, blocks, 2000)
    assert [each.start for each in fewer] == [each.start for each in blocks]
    assert {each.stop for each in fewer} <= starts_of_lines(corpus)
    assert 1500 < sum(each.stop - each.start for each in fewer) <= 2000
    assert measured(corpus, [Stretch(5, 5000)], 7) == [Stretch(5, 12)]


# Rules of the first versions, which are needed to resume their checkpoints


@given(st.lists(st.integers(1, 6), min_size=2, max_size=8), st.floats(0.001, 0.999), st.integers(1, 9))
def test_the_first_rule_splits_at_the_next_line(lengths, fraction, chunk):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out, "_CHUNK", chunk)
        path = Path(folder, "text.txt")
        path.write_text("".join("w " * length + "\n" for length in lengths))
        corpus = tokenize_corpus([path], WordTokenizer(), lines=True, cache_dir=folder)
        N = len(corpus.ids)
        starts = (np.flatnonzero(corpus.ids[:-1] == EOS) + 1).tolist()
        place = N - round(N * fraction)
        if place in (0, N):
            with pytest.raises(CorpusError, match=f"{len(lengths)} lines"):
                split(corpus, fraction, "sentence", 1)
        else:
            edge = next((start for start in starts if start >= place), starts[-1])
            assert split(corpus, fraction, "sentence", 1)[:2] == ([Stretch(0, edge)], [Stretch(edge, N)])


def test_the_version_of_the_rules_is_read_from_a_checkpoint():
    assert split_version({}) == split_version({"corpus": {"digest": "0"}}) == split_version({"corpus": None}) == 1
    assert split_version({"corpus": {"split": 1}}) == 1
    assert split_version({"corpus": {"split": 2}}) == 2
    assert split_version({"corpus": {"split": 3}}) == split_version({"corpus": {"split": "?"}}) == held_out.VERSION
