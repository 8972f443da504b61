"""`rnnlm sample --stop`: escapes in the stop text, and warnings about one that can never occur."""

import itertools

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli.stop_texts import can_write
from rnnlm.language_model import LanguageModel
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import EOS, Vocabulary


def model(level: str, context: str, tokens: list[str]) -> LanguageModel:
    """Return a unigram model of some tokens."""
    ids = np.array([*range(3, 3 + len(tokens)), EOS] * 3, dtype=np.int32)
    tokenizer = CharTokenizer() if level == "char" else WordTokenizer()
    vocabulary = Vocabulary(tokens, [3] * len(tokens))
    return LanguageModel(tokenizer, vocabulary, NgramModel.train(ids, len(vocabulary), 1, context), context)


def sampled(rnnlm, tmp_path, made: LanguageModel, *arguments: str) -> tuple[str, str]:
    made.save(tmp_path / "m.npz")
    return rnnlm("sample", "-m", tmp_path / "m.npz", "--seed", "1", *arguments)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(r"\n", "\n"), (r"\t", "\t"), (r"\\", "\\"), (r"a\nb", "a\nb"), (r"\\n", "\\n"), (r"\e", r"\e")],
)
def test_a_stop_text_may_contain_escapes(typed, meant, tmp_path, rnnlm):
    made = model("char", "stream", [*"abne\n\t\\"])
    arguments = ["--length", "3000", "--temperature", "1"]
    whole, _ = sampled(rnnlm, tmp_path, made, *arguments)
    stopped, said = sampled(rnnlm, tmp_path, made, *arguments, "--stop", typed)
    assert stopped == whole[: whole.index(meant)] + "\n"
    assert said == ""


WORDS = ["the", "cat", "sat", ".", "我", "昨天", "上学", "。", "don't"]


@pytest.mark.parametrize(
    ("level", "context", "stop"),
    [
        ("char", "stream", "ab"),
        ("char", "stream", "b\na"),
        ("char", "sentence", "\n"),  # every text ends there
        ("char", "sentence", "b\n"),
        ("word", "sentence", "\n"),
        ("word", "sentence", "cat.\n"),
        ("word", "stream", ".\n"),
        ("word", "sentence", "at sat"),
        ("word", "sentence", "cat s"),
        ("word", "sentence", "on"),
        ("word", "sentence", "t."),
        ("word", "sentence", "我昨天上学。我"),
        ("word", "sentence", "天上"),
        ("word", "sentence", "我 昨天"),
    ],
)
def test_a_stop_text_that_can_occur_gives_no_warning(level, context, stop, tmp_path, rnnlm):
    made = model(level, context, WORDS if level == "word" else [*"ab", *(["\n"] if context == "stream" else [])])
    assert sampled(rnnlm, tmp_path, made, "--length", "3", "--stop", stop)[1] == ""


@pytest.mark.parametrize(
    ("level", "context", "stop", "said"),
    [
        ("char", "stream", "x", "no token with x."),
        ("char", "stream", "A", "no token with A. Type --stop a;"),
        ("char", "stream", "ab ", "Type --stop ab;"),
        ("char", "stream", "Ａ", "no token with Ａ."),
        ("char", "sentence", "a\nb", r"no token with \n."),
        ("char", "sentence", "\n\n", r"no token with \n."),
        ("word", "sentence", "dog", "no token with g."),  # the model has c, d and o
        ("word", "sentence", "catsat", "the model's tokens cannot form it."),
        ("word", "sentence", "the  cat", "Type --stop 'the cat';"),
        ("word", "sentence", "THE CAT", "Type --stop 'the cat';"),
        ("word", "sentence", "昨上", "the model's tokens cannot form it."),
    ],
)
def test_a_stop_text_that_cannot_occur_gives_a_warning_with_a_suggestion(level, context, stop, said, tmp_path, rnnlm):
    made = model(level, context, WORDS if level == "word" else [*"ab", *(["\n"] if context == "stream" else [])])
    _, printed = sampled(rnnlm, tmp_path, made, "--length", "3", "--stop", stop)
    assert printed.count("Warning: no text will stop at") == 1
    assert said in printed


@pytest.mark.parametrize("tokens", [["ab", "b", "cab"], ["a", "bc", "。"], ["我", "昨天", "了我"]])
def test_can_write_agrees_with_enumeration(tokens):
    """For characters: a text can be written if some row of tokens contains it."""
    made = model("word", "sentence", tokens)
    made.tokenizer.name = "char"  # so that tokens are joined without spaces
    rows = {"".join(row) for row in itertools.product(tokens, repeat=5)}
    for text in map("".join, itertools.chain(*(itertools.product({*"".join(tokens)}, repeat=n) for n in (1, 2, 3, 4)))):
        assert can_write(made, text) == any(text in row for row in rows), text
