import gzip
import io
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError, TokenizerError
from rnnlm.text import cache as cache_module
from rnnlm.text import corpus as corpus_module
from rnnlm.text import sources
from rnnlm.text.corpus import sequence, tokenize_corpus
from rnnlm.text.id_sequence import IdSequence, Stretch
from rnnlm.text.segmentation import installed_jieba
from rnnlm.text.tokenizers import TOKENIZERS, CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import EOS, FIRST, UNK, Vocabulary

LINES = st.lists(
    st.sampled_from(["a", "b  c ", "我 昨天", "don't", "", " ", "\u3000", "x" * 20, "   z", "y z " * 9, "\u2028", "é"])
)
EVERY_WAY = [(CharTokenizer(), False), (CharTokenizer(), True), (WordTokenizer(), True)]


def tokens_of(corpus):
    """Return the tokens of a corpus, with None for </s>."""
    return [None if i == EOS else corpus.tokens[i - FIRST] for i in corpus.ids.tolist()]


def ended(text):
    """Return the text with a newline at its end."""
    return text + "\n" if text and not text.endswith("\n") else text


def expected_tokens(texts, tokenizer, lines):
    """Return the expected tokens, computed without blocks, tables and files."""
    if not lines:
        return [*"".join(map(ended, texts[:-1])), *texts[-1]]
    kept = [line for text in texts for line in text.split("\n") if line.strip()]
    return [token for line in kept for token in [*tokenizer.tokenize(line), None]]


def expected_characters(texts, tokenizer, lines):
    """Return the expected number of counted characters."""
    if not lines:
        return len(expected_tokens(texts, tokenizer, lines))
    kept = [line for text in texts for line in text.split("\n") if line.strip()]
    return sum(1 + len(line if isinstance(tokenizer, CharTokenizer) else " ".join(line.split())) for line in kept)


@pytest.fixture
def write(tmp_path):
    def write(content, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# Results


@given(
    st.lists(LINES.map("\n".join), min_size=1, max_size=3),
    st.sampled_from(EVERY_WAY),
    st.integers(1, 40),
    st.booleans(),
)
def test_results_do_not_depend_on_blocks_tables_and_files(texts, way, size, final_newline):
    tokenizer, lines = way
    texts = [text + "\n" if final_newline else text for text in texts]
    expected = expected_tokens(texts, tokenizer, lines)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", size)
        patch.setattr(corpus_module, "LONGEST_LINE", 25)
        paths = [Path(folder, f"{number}.txt") for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8", newline="\r\n")
        if not expected:
            with pytest.raises(CorpusError, match="There is no text"):
                tokenize_corpus(paths, tokenizer, lines=lines, cache_dir=folder)
            return
        for _ in range(2):  # made, then found in the cache
            corpus = tokenize_corpus(paths, tokenizer, lines=lines, cache_dir=folder)
            assert tokens_of(corpus) == expected
            assert corpus.tokens == [token for token in dict.fromkeys(expected) if token is not None]
            assert corpus.bytes == sum(path.stat().st_size for path in paths)
            assert corpus.characters == expected_characters(texts, tokenizer, lines)


@pytest.mark.real_text
@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "kjv/test.txt", "hongloumeng.txt"])
@pytest.mark.parametrize(("tokenizer", "lines"), EVERY_WAY)
def test_real_texts_have_the_expected_tokens(data_dir, tokenizer, lines, name):
    text = (data_dir / name).read_text("utf-8")
    if name == "hongloumeng.txt":
        tokenizer = CharTokenizer()  # segmenting it takes seconds and is tested elsewhere
    corpus = tokenize_corpus([data_dir / name], tokenizer, lines=lines)
    assert tokens_of(corpus) == expected_tokens([text], tokenizer, lines)
    assert corpus.characters == expected_characters([text], tokenizer, lines)
    assert corpus.lines == lines
    assert corpus.notes == []


def test_ids_get_as_many_bits_as_the_number_of_types_needs(write, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 100_000)
    words = [f"w{number % 70_000}" for number in range(140_000)]
    path = write("\n".join(words))
    corpus = tokenize_corpus([path], WordTokenizer(), lines=True)
    assert corpus.ids.dtype == np.uint32
    assert tokens_of(corpus)[::2] == words
    fewer = write("\n".join(words[:65_533]), "fewer.txt")
    assert tokenize_corpus([fewer], WordTokenizer(), lines=True).ids.dtype == np.uint16
    fewest = write("\n".join(words[:253]), "fewest.txt")
    assert tokenize_corpus([fewest], WordTokenizer(), lines=True).ids.dtype == np.uint8


def test_more_characters_than_16_bits_can_number(write):
    characters = [chr(code) for code in range(0x100, 0x11000) if not (chr(code).isspace() or 0xD800 <= code < 0xE000)]
    text = "".join(characters)
    for lines, content in ((False, text + "\n" + text), (True, text + "\n" + text + "\n")):
        corpus = tokenize_corpus([write(content)], CharTokenizer(), lines=lines)
        assert corpus.ids.dtype == np.uint32
        assert tokens_of(corpus) == expected_tokens([content], CharTokenizer(), lines)


def test_files_may_have_different_encodings(write):
    text = "我昨天上学迟到了，老师批评了我。\n"
    paths = [
        write("﻿" + text, "marked.txt"),
        write(text.encode("gb18030"), "gb.txt"),
        write(text.encode("utf-16"), "wide.txt"),
        write(gzip.compress(text.encode()), "packed.txt.gz"),
    ]
    for _ in range(2):  # made, then found in the cache
        corpus = tokenize_corpus(paths, CharTokenizer(), lines=False)
        assert "".join(tokens_of(corpus)) == text * 4
        assert [note.split(".txt")[0].rpartition("/")[2] for note in corpus.notes] == ["gb", "wide"]
        assert "GB18030" in corpus.notes[0]
        assert "UTF-16" in corpus.notes[1]
    named = tokenize_corpus(paths[1:2], CharTokenizer(), lines=False, encoding="gbk")
    assert (named.notes, "".join(tokens_of(named))) == ([], text)
    with pytest.raises(CorpusError, match=r"gb\.txt is not UTF-8: byte 0x.. at offset 0 .*--encoding"):
        tokenize_corpus(paths[1:2], CharTokenizer(), lines=False, encoding="utf-8")


def test_stdin_is_read(monkeypatch):
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("我 昨天\n上学".encode())))
        assert tokens_of(tokenize_corpus(["-"], WordTokenizer(), lines=True)) == ["我", "昨天", None, "上学", None]


def test_only_character_streams_are_read_without_lines(write):
    with pytest.raises(ValueError, match="lines=False"):
        tokenize_corpus([write("a b")], WordTokenizer(), lines=False)


@pytest.mark.parametrize("lines", [False, True])
def test_memory_does_not_grow_with_the_text_or_a_line(tmp_path, lines):
    def peak(megabytes):
        path = tmp_path / f"{megabytes}.txt"
        path.write_bytes(b"some words in one line, " * (43_691 * megabytes))
        tracemalloc.start()
        corpus = tokenize_corpus([path], CharTokenizer(), lines=lines)
        assert corpus.counts().sum() == len(corpus.ids) == path.stat().st_size + lines
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(24) < 1.05 * peak(8)


def test_a_very_long_line_is_read_in_parts_without_splitting_words(write, monkeypatch):
    class Recorder(WordTokenizer):
        longest = 0

        def tokenize(self, text):
            self.longest = max(self.longest, len(text))
            return super().tokenize(text)

    monkeypatch.setattr(sources, "BLOCK", 1000)
    monkeypatch.setattr(corpus_module, "LONGEST_LINE", 2000)
    line = "some well-known words, don't you? " * 3000
    tokenizer = Recorder()
    corpus = tokenize_corpus([write(f"one\n{line}\ntwo")], tokenizer, lines=True)
    assert tokens_of(corpus) == ["one", None, *WordTokenizer().tokenize(line), None, "two", None]
    assert tokenizer.longest <= 3000


def test_blank_lines_and_runs_of_spaces_are_not_counted(write):
    lines = ["The ferry came .", "She had gone , he said ."]
    plain, blank = "".join(f"{line}\n" for line in lines), "\n\n \n".join(["", *lines, ""])
    wide = "".join(f"  {line}\t\n" for line in lines).replace(" ", "     ")
    for tokenizer, texts in [(WordTokenizer(), [plain, blank, wide, plain[:-1]]), (CharTokenizer(), [plain, blank])]:
        found = [tokenize_corpus([write(text)], tokenizer, lines=True).characters for text in texts]
        assert found == [len(plain)] * len(texts)


@pytest.mark.parametrize(
    "line", ["x" * 300, "a word " * 30, "x" * 99 + "  " + "y" * 99 + " ", " z" * 70, "z" + " " * 99]
)
def test_characters_of_a_line_read_in_parts_are_counted_correctly(write, tmp_path, monkeypatch, line):
    text = f"one\n{line}\n\ntwo"
    for tokenizer in (WordTokenizer(), CharTokenizer()):
        whole = tokenize_corpus([write(text)], tokenizer, lines=True, cache_dir=tmp_path / tokenizer.name).characters
        assert whole == expected_characters([text], tokenizer, True)
        for size in (7, 25, 40):
            with monkeypatch.context() as patch:
                patch.setattr(sources, "BLOCK", size)
                patch.setattr(corpus_module, "LONGEST_LINE", 25)
                folder = tmp_path / f"{tokenizer.name}{size}"
                assert tokenize_corpus([write(text)], tokenizer, lines=True, cache_dir=folder).characters == whole


# The cache


class Forbidden(WordTokenizer):
    def tokenize(self, text):
        raise AssertionError("the text is tokenized again")


def cached(folder):
    return sorted(Path(folder).iterdir())


def test_a_text_is_tokenized_once_under_any_name(write, tmp_path):
    first = tokenize_corpus([write("a b c\n")], WordTokenizer(), lines=True)
    again = tokenize_corpus([write("a b c\n", "other.txt")], Forbidden(), lines=True)
    assert tokens_of(again) == tokens_of(first)
    assert (again.digest, again.bytes, again.characters) == (first.digest, first.bytes, first.characters)
    for changed in (
        {"paths": [write("a b d\n", "changed.txt")]},
        {"paths": [write("a b c\n"), write("a b c\n", "other.txt")]},
        {"tokenizer": Forbidden("spaces")},
        {"tokenizer": Forbidden(user_dictionary=[("a", 1)])},
        {"cache_dir": tmp_path / "elsewhere"},
        {"encoding": "gbk"},
    ):
        with pytest.raises(AssertionError, match="tokenized again"):
            tokenize_corpus(**({"paths": [write("a b c\n")], "tokenizer": Forbidden(), "lines": True} | changed))
    assert len(tokenize_corpus([write("a b c\n")], CharTokenizer(), lines=True).ids) == 6
    assert len(tokenize_corpus([write("a b c\n")], CharTokenizer(), lines=False).ids) == 6


@pytest.fixture
def remembers(monkeypatch):
    """Remember the digests of all texts by their stamps; hashing a text is an error unless `hashing.allowed`."""
    hashing = SimpleNamespace(allowed=True, count=0)

    def counted(files):
        assert hashing.allowed, "hashed again"
        hashing.count += 1
        return sources.fingerprint(files)

    monkeypatch.setattr(corpus_module, "fingerprint", counted)
    monkeypatch.setattr(cache_module, "REMEMBERED_FROM", 1)
    monkeypatch.setattr(cache_module, "YOUNG", 0)
    return hashing


def test_an_unchanged_text_is_not_hashed_again(write, remembers):
    paths = [write("a b c\n"), write("d\n", "other.txt")]
    first = tokenize_corpus(paths, WordTokenizer(), lines=True)
    remembers.allowed = False
    again = tokenize_corpus(paths, Forbidden(), lines=True)
    assert tokens_of(again) == tokens_of(first)
    assert (again.digest, again.bytes) == (first.digest, first.bytes)
    for other in ([paths[0]], paths[::-1]):
        with pytest.raises(AssertionError, match="hashed again"):
            tokenize_corpus(other, Forbidden(), lines=True)


def rewrite(path):
    path.write_bytes(b"a b d\n")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def rewrite_and_set_the_time_back(path):
    """Change a file and restore its time, as unpacking an archive or `cp -p` does."""
    before = path.stat()
    path.write_bytes(b"a b d\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path):
    before, new = path.stat(), path.with_name("new")
    new.write_bytes(b"a b d\n")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize("change", [rewrite, rewrite_and_set_the_time_back, replace])
def test_a_changed_text_is_read_again(write, remembers, change):
    path = write("a b c\n")
    first = tokenize_corpus([path], WordTokenizer(), lines=True)
    time.sleep(0.05)  # a file system may record times in steps of 10 ms
    change(path)
    again = tokenize_corpus([path], WordTokenizer(), lines=True)
    assert again.tokens == ["a", "b", "d"]
    assert again.digest != first.digest == tokenize_corpus([write("a b c\n", "b")], Forbidden(), lines=True).digest
    remembers.allowed = False
    assert tokenize_corpus([path], Forbidden(), lines=True).digest == again.digest


def test_a_recently_written_text_is_hashed_again(write, remembers, monkeypatch):
    monkeypatch.setattr(cache_module, "YOUNG", 10**15)
    for _ in range(3):
        tokenize_corpus([write("a b c\n")], WordTokenizer(), lines=True)
    assert remembers.count == 3


def test_small_texts_are_always_hashed(write, remembers, monkeypatch):
    monkeypatch.setattr(cache_module, "REMEMBERED_FROM", 7)
    path = write("a b c\n")
    for _ in range(2):
        tokenize_corpus([path], WordTokenizer(), lines=True)
    assert remembers.count == 2


def test_a_variable_forces_hashing(write, remembers, monkeypatch):
    path = write("a b c\n")
    for value, hashes in (("", 1), ("0", 1), ("1", 2), ("1", 3), ("", 3)):
        monkeypatch.setenv("RNNLM_CACHE_VERIFY", value)
        tokenize_corpus([path], WordTokenizer(), lines=True)
        assert remembers.count == hashes


def test_a_new_entry_is_never_stored_under_a_remembered_digest(write, remembers, tmp_path):
    """A text that is read anyway is hashed again."""
    path = write("a b c\n")
    digest = tokenize_corpus([path], WordTokenizer(), lines=True).digest
    seen = next((tmp_path / "cache").glob("*.seen"))
    seen.write_text(seen.read_text("utf-8").replace(digest, "0" * 64), encoding="utf-8")
    assert tokenize_corpus([path], CharTokenizer(), lines=True).digest == digest
    remembers.allowed = False
    assert tokenize_corpus([path], Forbidden(), lines=True).digest == digest


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"stamps": 1, "digest": "0"}', b"[" * 100_000, b"\xff"])
def test_a_damaged_digest_file_is_ignored(write, remembers, tmp_path, content):
    path = write("a b c\n")
    expected = tokenize_corpus([path], WordTokenizer(), lines=True).digest
    next((tmp_path / "cache").glob("*.seen")).write_bytes(content)
    assert tokenize_corpus([path], Forbidden(), lines=True).digest == expected
    assert remembers.count == 2


def test_stdin_is_always_read(monkeypatch, remembers):
    for content in (b"a b\n", b"c d\n"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        assert tokens_of(tokenize_corpus(["-"], WordTokenizer(), lines=True)) == [*content.decode().split(), None]


def test_a_damaged_cache_is_rebuilt(write, tmp_path):
    path, folder = write("a b c\n"), tmp_path / "cache"
    expected = tokens_of(tokenize_corpus([path], WordTokenizer(), lines=True))
    for damaged in cached(folder):
        for content in (b"", b"{}", damaged.read_bytes()[:-1]):
            damaged.write_bytes(content)
            assert tokens_of(tokenize_corpus([path], WordTokenizer(), lines=True)) == expected
            assert tokens_of(tokenize_corpus([path], Forbidden(), lines=True)) == expected


def test_a_failed_run_leaves_no_files(write, tmp_path):
    path = write("good\nbad\n")

    class Failing(WordTokenizer):
        def tokenize(self, text):
            if text == "bad":
                raise TokenizerError("bad")
            return super().tokenize(text)

    with pytest.raises(TokenizerError):
        tokenize_corpus([path], Failing(), lines=True)
    assert cached(tmp_path / "cache") == []


def test_a_text_that_grows_while_it_is_read_is_refused(write, tmp_path):
    path = write("one\n")

    class Growing(WordTokenizer):
        def tokenize(self, text):
            path.write_text("one\ntwo\n")
            return super().tokenize(text)

    with pytest.raises(CorpusError, match="changed while it was read"):
        tokenize_corpus([path], Growing(), lines=True)
    assert cached(tmp_path / "cache") == []


def test_a_cached_text_tells_the_tokenizer_which_jieba_segmented_it(write, tmp_path):
    path = write("我昨天上学迟到了\n")
    here = installed_jieba()._asdict()
    first, later = WordTokenizer(), Forbidden()
    assert tokenize_corpus([path], first, lines=True).tokens[1] == "昨天"
    assert first.options()["jieba"] == here
    tokenize_corpus([path], later, lines=True)
    assert later.options()["jieba"] == here
    tokenize_corpus([path], Forbidden.from_options(first.options()), lines=True)
    # Results of another jieba are not used.
    description = next((tmp_path / "cache").glob("*.json"))
    content = json.loads(description.read_text("utf-8"))
    content["tokenizer"]["jieba"]["version"] = "0.39"
    description.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AssertionError, match="tokenized again"):
        tokenize_corpus([path], Forbidden(), lines=True)
    anew = WordTokenizer()
    tokenize_corpus([path], anew, lines=True)
    assert anew.options()["jieba"] == here


def test_progress_ends_at_the_size_of_the_files(write, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 10)
    paths = [write("some words\n" * 9), write(gzip.compress(os.urandom(50).hex().encode()), "b.gz")]
    calls = []
    tokenize_corpus(paths, CharTokenizer(), lines=False, progress=lambda *call: calls.append(call))
    size = sum(path.stat().st_size for path in paths)
    assert calls[-1] == (size, size)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len(calls) > 9


# Tokenized texts


@pytest.fixture
def corpus(write):
    return tokenize_corpus([write("a b\nc\na a d e f\ng\n")], WordTokenizer(), lines=True)


def test_counts_of_any_range_are_right(corpus, monkeypatch):
    monkeypatch.setattr(corpus_module, "_CHUNK", 4)
    for start in range(len(corpus.ids)):
        for stop in [*range(start, len(corpus.ids) + 1), None]:
            expected = Counter(corpus.ids[start:stop].tolist())
            found = corpus.counts(start, stop)
            assert found.dtype == np.int64
            assert found.tolist() == [expected[i] for i in range(FIRST + len(corpus.tokens))]


def test_ids_are_read_only(corpus):
    with pytest.raises(ValueError, match="read-only"):
        corpus.ids[0] = 1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_ids_are_mapped_to_a_vocabulary(write, name):
    tokenizer = TOKENIZERS[name]()
    corpus = tokenize_corpus([write("a b\nb c\nb a\n")], tokenizer, lines=True)
    counts = corpus.counts()[FIRST:]
    vocabulary = Vocabulary.build(corpus.tokens, counts, max_size=FIRST + 2)
    ids = sequence(corpus, vocabulary, [Stretch(1, len(corpus.ids) - 1)])
    expected = [EOS if t is None else vocabulary.encode([t])[0] for t in tokens_of(corpus)][1:-1]
    assert UNK in expected
    assert len(ids) == len(expected)
    assert ids[:].tolist() == expected
    assert [ids[place] for place in range(len(ids))] == expected
    assert ids[-1] == expected[-1]
    assert ids[2:4].tolist() == expected[2:4]
    positions = np.array([[0, 3], [2, 2]])
    assert ids.take(positions).tolist() == np.array(expected)[positions].tolist()
    for found in (ids[:], ids.take(positions)):
        assert found.dtype == np.int32
    ids.release()  # frees memory only; ids can still be read
    assert ids[:].tolist() == expected


def test_an_id_sequence_can_be_in_memory():
    ids = IdSequence(np.array([3, 1, 4], dtype=np.uint16))
    assert len(ids) == 3
    assert ids[:].dtype == np.int32
    assert ids.take(np.array([2, 0])).tolist() == [4, 3]
    ids.release()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.booleans()), min_size=1, max_size=5))
def test_stretches_are_concatenated(gaps_and_lengths):
    stretches, place = [], 0
    for gap, length, cut in gaps_and_lengths:
        stretches.append(Stretch(place + gap, place + gap + length, cut))
        place += gap + length
    text = np.arange(FIRST, FIRST + place, dtype=np.uint16)
    mapping = np.concatenate([np.arange(FIRST), np.arange(place) + 1000])
    expected = [i for start, stop, cut in stretches for i in [*mapping[text[start:stop]].tolist(), *[EOS] * cut]]
    ids = IdSequence(text, mapping, stretches)
    assert len(ids) == len(expected)
    assert ids[:].tolist() == expected
    assert ids[1:-1].tolist() == expected[1:-1]
    assert [ids[i] for i in range(-len(ids), len(ids))] == expected * 2
    positions = np.arange(len(expected))[::-1, None].repeat(2, axis=1)
    assert ids.take(positions).tolist() == np.array(expected)[positions].tolist()
