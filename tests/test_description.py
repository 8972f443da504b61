"""The sentences that describe a model agree with its file and its measurements."""

import re
from pathlib import Path

import pytest

import rnnlm as api
from rnnlm.description import description, sample

CORPUS = Path(__file__).parents[1] / "corpora" / "english.txt"
SMALL = {"hidden_size": 16, "embedding_size": 8, "threads": 1, "progress": False}


def figures(sentence):
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*\.?\d*", sentence)]


def test_the_description_of_a_network_names_its_text_and_its_quality(tmp_path):
    model = api.train("@english", epochs=0.5, ngram=3, **SMALL)
    what, learnt, quality, written = description(model)
    assert f"over {len(model.vocabulary):,} words" in what
    assert what.startswith("An LSTM 1 x 16 with a 3-gram")
    assert "tokens of @english, in 0.5 passes" in learnt
    assert figures(learnt)[0] == model.training["corpus"]["train_tokens"]
    both, alone, order, counting, frequencies = figures(quality)
    assert order == 3
    assert both <= min(alone, counting) < max(alone, counting) < frequencies
    assert written == f"A sample: {sample(model)}"
    assert description(model) == description(model)
    model.save(tmp_path / "m.npz")
    assert description(api.load(tmp_path / "m.npz"))[:3] == [what, learnt, quality]
    model.save(tmp_path / "slim.npz", slim=True)
    assert description(api.load(tmp_path / "slim.npz"))[2:] == [quality, written]


def test_another_text_is_named_by_its_digest(tmp_path):
    (tmp_path / "mine.txt").write_bytes(CORPUS.read_bytes() + b"one line more\n")
    model = api.train(str(tmp_path / "mine.txt"), epochs=0.1, ngram=0, **SMALL)
    learnt = description(model)[1]
    assert "@english" not in learnt
    assert f"(SHA-256 {model.training['corpus']['digest'][:8]}...)" in learnt
    assert "mine.txt" not in learnt


def test_ngram_and_bidirectional_models_are_described():
    lines = ["a b c .", "b c a .", "c a b ."] * 30
    counted = description(api.train_ngram(text=lines, order=2))
    assert counted[0].startswith("A 2-gram over 7 words")
    assert counted[1].startswith("It has counted 450 tokens")
    two_sided = description(api.train(text=lines, bidirectional=True, epochs=1, **SMALL))
    assert "pseudo-perplexity" in two_sided[-1]
    assert not any("sample" in sentence for sentence in two_sided)


@pytest.mark.parametrize("stopped", [True, False])
def test_an_unfinished_training_is_mentioned(stopped):
    model = api.train(text=["a b c ."] * 90, epochs=2, **SMALL | {"progress": lambda report: not stopped})
    assert ("--resume goes on" in description(model)[1]) == stopped


def test_info_prints_the_description_and_then_the_table(tmp_path, rnnlm):
    (tmp_path / "t.txt").write_text("a b \x1b[31mc .\n" * 90, encoding="utf-8")
    rnnlm("train", tmp_path / "t.txt", "--level", "token", "-o", tmp_path / "m.npz", "--epochs", "3")
    printed = rnnlm("info", tmp_path / "m.npz").out
    sentences, table = printed.split("\n\n")
    assert re.match(r"format +rnnlm 1\n", table)
    assert re.search(r"^The file was written on \d{4}-\d\d-\d\d at \d\d:\d\d\.$", sentences, re.MULTILINE)
    assert "\x1b" not in printed
