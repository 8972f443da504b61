import json

import pytest

from rnnlm.errors import ExchangeError
from rnnlm.exchange.vocabulary_file import FORMAT, encode, read

TOKENS = ["<s>", "</s>", "<unk>", "a", "b"]


@pytest.fixture
def reading(tmp_path):
    """What is read from a file with some content: JSON, or bytes."""

    def of(content):
        path = tmp_path / "v.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read(path)

    return of


def test_what_is_written_is_read(make_network, model_of, reading):
    model = model_of(make_network(cell="gru", num_layers=2))
    found = reading(encode(model))
    assert found.vocabulary == model.vocabulary
    assert "</s>" in found.vocabulary.tokens  # a word of the text, beside the reserved one
    assert found.tokenizer.options() == model.tokenizer.options()
    assert found.context == "sentence"
    assert found.network == model.network.config


def test_the_keys_are_those_that_are_documented(make_network, model_of):
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
def test_tokens_are_enough(document, reading):
    found = reading(document)
    assert found.vocabulary.tokens == ["a", "b"]
    assert found.vocabulary.counts == [0, 0]
    assert (found.tokenizer, found.context, found.network) == (None, None, None)


def test_a_level_alone_is_a_tokenizer(reading):
    for level in ("word", "char"):
        assert reading({"tokens": TOKENS, "level": level}).tokenizer.name == level


def test_a_byte_order_mark_does_no_harm(reading):
    assert reading(b"\xef\xbb\xbf" + json.dumps(TOKENS).encode()).vocabulary.tokens == ["a", "b"]


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
        (["a", "b"], "the reserved ones, <s>, </s>, <unk>"),
        ([], "the reserved ones"),
        ([*TOKENS, "b"], "'b' is there twice, the second time as id 5"),
        ([*TOKENS, "\ud800"], "id 5 holds half of a surrogate pair"),
        (TOKENS[:3], "at least one token"),
        ({"tokens": TOKENS, "counts": [1, 2]}, "counts are not 5 whole numbers"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, -1]}, "counts are not"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, 1.5]}, "counts are not"),
        ({"tokens": TOKENS, "counts": [0, 0, 0, 1, True]}, "counts are not"),
        ({"tokens": TOKENS, "counts": 5}, "counts are not"),
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
def test_what_is_no_vocabulary_is_refused_in_a_sentence(content, words, reading):
    with pytest.raises(ExchangeError, match=words) as caught:
        reading(content)
    assert "v.json" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ExchangeError, match="--vocabulary"):
            read(path)
