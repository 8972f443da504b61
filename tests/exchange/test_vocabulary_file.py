import json
import pickle

import pytest

from rnnlm.errors import ExchangeError
from rnnlm.exchange.vocabulary_file import FORMAT, encode, read

TOKENS = ["<s>", "</s>", "<unk>", "a", "b"]


@pytest.fixture
def reading(tmp_path):
    """A function that writes JSON or bytes to a file and reads it as a vocabulary."""

    def of(content):
        path = tmp_path / "v.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read(path)

    return of


def test_a_written_vocabulary_is_read_back(make_network, model_of, reading):
    model = model_of(make_network(cell="gru", num_layers=2))
    found = reading(encode(model))
    assert found.tokens == ["<s>", "</s>", "<unk>", *model.vocabulary.tokens]
    assert found.counts == [0, 0, 0, *model.vocabulary.counts]
    assert "</s>" in found.tokens[3:]  # a word of the text, besides the special token
    assert found.tokenizer.options() == model.tokenizer.options()
    assert found.context == "sentence"
    assert found.network == model.network.config


def test_the_keys_are_the_documented_ones(make_network, model_of):
    document = json.loads(encode(model_of(make_network())))
    assert document["format"] == FORMAT
    assert document["version"] == 1
    assert document["tokens"][:5] == ["<s>", "</s>", "<unk>", "我", "昨天"]
    assert document["counts"][:4] == [0, 0, 0, 20]
    assert len(document["counts"]) == len(document["tokens"]) == 23
    assert (document["level"], document["context"]) == ("word", "sentence")
    assert document["tokenizer"]["options"]["segmenter"] == "spaces"
    assert document["network"]["cell"] == "lstm"


@pytest.mark.parametrize("document", [TOKENS, {"tokens": TOKENS}, {"tokens": TOKENS, "made_by": "another program"}])
def test_a_list_of_tokens_is_enough(document, reading):
    found = reading(document)
    assert found.tokens == TOKENS
    assert found.counts == [0] * 5
    assert (found.tokenizer, found.context, found.network) == (None, None, None)


def test_a_level_gives_a_default_tokenizer(reading):
    for level in ("word", "char"):
        assert reading({"tokens": TOKENS, "level": level}).tokenizer.name == level


def test_a_byte_order_mark_is_ignored(reading):
    assert reading(b"\xef\xbb\xbf" + json.dumps(TOKENS).encode()).tokens == TOKENS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe[", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"tokens": NaN}', "NaN"),
        (b"[1" + b"0" * 5000 + b"]", "not JSON"),
        ("a text", "no .tokens."),
        ({}, "no .tokens."),
        ({"tokens": None}, "not a list of strings"),
        ({"tokens": {"a": 1}}, "not a list of strings"),
        ([*TOKENS, 7], "not a list of strings"),
        ([*TOKENS, ""], "at least one character"),
        ([], "at least one token"),
        (["a", "b", "a"], "'a' is there twice, the second time as id 2"),
        ({"a": 0, "b": 2}, "numbers from 0 to 1, each of them once; the largest is 2, of 'b'"),
        ({"a": 1, "b": 1}, "each of them once"),
        ({"a": 12, "b": 7, "c": 1}, "the largest is 12, of 'a'. If they are counts"),
        ({"idx2word": ["a", "b"], "itos": ["b", "a"]}, "several lists of tokens"),
        ({"frequency": {"a": 12, "b": 7}}, "the largest is 12"),
        ({"0": "a", "2": "b"}, "the largest is 2"),
        ([*TOKENS, "b"], "'b' is there twice, the second time as id 5"),
        ([*TOKENS, "\ud800"], "id 5 holds half of a surrogate pair"),
        (TOKENS[:3], "at least one token"),
        ({"tokens": TOKENS, "counts": [1, 2]}, "counts has 2 values; expected 5"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, -1]}, r"counts\[4\] is -1; expected a whole number"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, 1.5]}, r"counts\[4\] is 1.5; expected a whole number"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, True]}, r"counts\[4\] is true; expected a whole number"),
        ({"tokens": TOKENS, "counts": 5}, "counts is 5; expected a list of 5 values"),
        ({"tokens": TOKENS, "level": "syllable"}, "syllable"),
        ({"tokens": TOKENS, "level": ["word"]}, "word"),
        ({"tokens": TOKENS, "level": "char", "tokenizer": {"name": "word", "options": {}}}, "options"),
        ({"tokens": TOKENS, "level": "word", "tokenizer": {"name": "char", "options": {}}}, "its level is 'word'"),
        ({"tokens": TOKENS, "tokenizer": "word"}, "word"),
        ({"tokens": TOKENS, "tokenizer": {"name": "word", "options": {"segmenter": 1}}}, "options"),
        ({"tokens": TOKENS, "context": "page"}, "'page'; expected one of sentence, stream"),
        ({"tokens": TOKENS, "context": ["page"]}, "page"),
        ({"tokens": TOKENS, "network": {"cell": "lstm"}}, "network description"),
        ({"tokens": TOKENS, "network": 5}, "network description"),
        ({"tokens": TOKENS, "format": "tiktoken"}, "format is 'tiktoken'"),
        ({"tokens": TOKENS, "format": FORMAT, "version": 2}, "version is 2"),
        ({"tokens": TOKENS, "format": FORMAT, "version": True}, "version is True"),
    ],
)
def test_files_that_are_not_vocabularies_are_refused_in_a_sentence(content, words, reading):
    with pytest.raises(ExchangeError, match=words) as caught:
        reading(content)
    assert "v.json" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ExchangeError, match="--vocabulary"):
            read(path)


WORDS = ["the", "<eos>", "3", "▁mat", "M:4/4", "#"]


@pytest.mark.parametrize(
    "document",
    [
        {word: i for i, word in enumerate(WORDS)},
        dict(reversed([(word, i) for i, word in enumerate(WORDS)])),
        {str(i): word for i, word in enumerate(WORDS)},
        {"idx2word": WORDS, "word2idx": {word: i for i, word in enumerate(WORDS)}, "special": ["<eos>"]},
        {"stoi": {word: i for i, word in enumerate(WORDS)}, "freqs": {"the": 12, "3": 7}, "epochs": 4},
        {"tokens": WORDS, "format": FORMAT},
    ],
)
def test_vocabularies_in_json_of_other_programs_are_read(document, reading):
    assert reading(document).tokens == WORDS


@pytest.fixture
def reading_lines(tmp_path):
    def of(*lines, end="\n"):
        path = tmp_path / "words.txt"
        path.write_bytes(end.join([*lines, ""]).encode())
        return read(path).tokens

    return of


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_words_and_ids_are_read_in_any_order(reading_lines, end):
    for separator in (" ", "\t", "   "):
        lines = [f"{word}{separator}{i}" for i, word in enumerate(WORDS)]
        assert reading_lines(*lines, end=end) == WORDS
        assert reading_lines(*lines[::-1], end=end) == WORDS
        assert reading_lines(*(f"{i}{separator}{word}" for i, word in enumerate(WORDS)), end=end) == WORDS
    assert reading_lines(*WORDS, end=end) == WORDS
    assert reading_lines(*WORDS, "", "", end=end) == WORDS


def test_white_space_and_numbers_can_be_tokens(reading_lines):
    assert reading_lines("a", " ", "\u3000", "b") == ["a", " ", "\u3000", "b"]
    assert reading_lines("a 0", "  1", "\u3000 2") == ["a", " ", "\u3000"]
    assert reading_lines("7 0", "3 1") == ["7", "3"]
    assert reading_lines("0 7", "1 3") == ["7", "3"]
    assert reading_lines("7", "[PAD]", "5") == ["7", "[PAD]", "5"]


def test_scores_are_not_mistaken_for_ids(reading_lines):
    assert reading_lines("<unk>\t0", "<s>\t0", "▁the\t-3.25", "s\t-1e-05") == ["<unk>", "<s>", "▁the", "s"]
    assert reading_lines("<unk>\t0", "▁t\t-0", "he\t-1") == ["<unk>", "▁t", "he"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["the cat sat", "on the mat"], "no list of words: line 1 is 'the cat sat'; expected on every line one token"),
        (["a", "", "b"], "line 2 is ''"),
        (["the 500", "cat 20"], "the largest is 500, of 'the'. If they are counts, leave them out"),
        (["a 1", "b 2"], "numbers from 0 to 1"),
        (["a 0 17", "b 1 3"], "line 1 is 'a 0 17'"),
    ],
)
def test_texts_and_other_lists_are_refused(lines, words, reading_lines):
    with pytest.raises(ExchangeError, match=words) as caught:
        reading_lines(*lines)
    assert "words.txt" in str(caught.value)


def test_a_pickled_vocabulary_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "vocabulary.pkl").write_bytes(pickle.dumps({"the": 0, "cat": 1}, protocol=4))
    with pytest.raises(ExchangeError, match=r"json.dump\(tokens, file\)"):
        read(tmp_path / "vocabulary.pkl")
