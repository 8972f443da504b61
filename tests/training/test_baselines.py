"""After a training the model stands beside token frequencies and an n-gram model of the same text."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli.training_messages import comparison
from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.vocabulary import EOS, UNK
from rnnlm.training import baselines
from rnnlm.training.baselines import measured_baselines

SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1", "--epochs", "1"]
LINE = r"^Held-out perplexity: model (\S+), (\d)-gram (\S+), (\w+) frequencies (\S+)\.$"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Sentences by a grammar of a few words, in which all words come often."""
    rng = np.random.default_rng(1)
    words = [["the", "a"], ["old", "small", "red"], ["cat", "dog", "boat"], ["sees", "likes"], ["it", "us"]]
    path = tmp_path / "corpus.txt"
    path.write_text("".join(" ".join(str(rng.choice(each)) for each in words) + "\n" for _ in range(300)))
    return path


def trained(corpus: Path, rnnlm, *options: str) -> str:
    printed = rnnlm("train", corpus, "-o", corpus.with_name("m.npz"), *SMALL, *options)
    assert printed.out == ""
    return printed.err


@pytest.mark.parametrize(("level", "order", "unit"), [("word", 3, "word"), ("char", 5, "character")])
def test_the_figures_are_those_of_the_held_out_part(level, order, unit, corpus, rnnlm):
    *lines, _ = corpus.read_text().split("\n")
    held_out = corpus.with_name("held-out.txt")
    corpus.write_text("".join(f"{line}\n" for line in lines[:270]))
    held_out.write_text("".join(f"{line}\n" for line in lines[270:]))
    said = trained(corpus, rnnlm, "--level", level, "--valid", str(held_out))
    found = re.search(LINE, said, re.MULTILINE)
    assert found, said
    assert (int(found[2]), found[4]) == (order, unit)
    assert len(found[0]) <= 80

    model = LanguageModel.load(corpus.with_name("m.npz"))
    if level == "word":
        ids = np.concatenate([[*model.encode(line), EOS] for line in lines[:270]])
    else:
        ids = model.encode(corpus.read_text())
    assert model.training["corpus"]["train_tokens"] == len(ids)
    recorded = model.training["baselines"]
    for n, key, shown in ((1, "unigram_nats_per_token", found[5]), (order, "ngram_nats_per_token", found[3])):
        ngram = LanguageModel(
            model.tokenizer,
            model.vocabulary,
            NgramModel.train(ids, len(model.vocabulary), n, model.context),
            model.context,
        )
        if level == "word":
            nats = -sum(each.logprob_nats for each in ngram.score(lines[270:]))
            assert recorded[key] == pytest.approx(nats / (30 * 6), rel=1e-6)
        assert float(shown) == pytest.approx(math.exp(recorded[key]), rel=1e-3)
    assert float(found[1]) == pytest.approx(math.exp(model.training["best_nats_per_token"]), rel=1e-3)


def test_where_the_ngram_is_better_it_says_what_to_do(corpus, rnnlm):
    said = trained(corpus, rnnlm, "--lr", "1e-9")  # a network that has learnt nothing
    assert "The 3-gram of the same text is better." in said
    commands = [line.split() for line in said.splitlines() if line.startswith("  rnnlm ")]
    places = {"CORPUS": str(corpus), "TEXT": str(corpus), "HELD_OUT": str(corpus), "ngram.npz": f"{corpus}.npz"}
    for command in commands:  # they work as they are printed
        rnnlm(*(places.get(word, word) for word in command[1:]))
    assert len(commands) == 2


@pytest.mark.parametrize(("ngram", "better"), [(2.0, True), (3.0, False)])
def test_the_advice_depends_on_who_is_better(ngram, better):
    found = {"tokens": 9, "order": 3, "unigram_nats_per_token": 4.0, "ngram_nats_per_token": ngram}
    said = "\n".join(comparison(2.5, found, "word", 9, ""))
    assert ("is better" in said) is better
    assert "has counted 9 of the 10 tokens" in "\n".join(comparison(2.5, found, "word", 10, ""))


@pytest.mark.parametrize("options", [["--valid-fraction", "0"], ["--bidirectional"]])
def test_nothing_is_said_where_nothing_can_be_compared(options, corpus, rnnlm):
    assert "Held-out perplexity" not in trained(corpus, rnnlm, *options)
    assert "baselines" not in checkpoint.read_header(corpus.with_name("m.npz"))["training"]


def dataset_of(train, valid, V, rare=None):
    """What the baselines read of a dataset."""
    reading = SimpleNamespace(tokenizer=SimpleNamespace(name="word"), context="sentence")
    return SimpleNamespace(train=train, valid=valid, rare=rare, vocabulary=range(V), reading=reading)


def test_of_a_long_text_only_a_part_is_counted_and_less_for_a_short_time(monkeypatch):
    ids, seen = IdSequence(np.tile(np.array([3, 4, 3, 4, EOS], dtype=np.int32), 200)), []
    dataset = dataset_of(ids, ids, 5)
    train = NgramModel.train
    monkeypatch.setattr(NgramModel, "train", lambda ids, *more: seen.append(len(ids)) or train(ids, *more))
    monkeypatch.setattr(baselines, "MOST_COUNTED", 600)
    monkeypatch.setattr(baselines, "FEWEST_COUNTED", 10)
    monkeypatch.setattr(baselines, "COUNTED_PER_SECOND", 50)
    for seconds, expected in ((math.inf, 600), (7.0, 350), (1e-9, 10)):
        assert measured_baselines(dataset, seconds)["tokens"] == expected
    assert seen == [600, 600, 350, 350, 10, 10]


def test_unknown_words_cost_the_ngram_no_more_than_rare_ones():
    """As in the network's training, some words that were seen once are counted as <unk>."""
    rng, V = np.random.default_rng(2), 403
    words = np.concatenate([np.full(600, 3), np.arange(4, V)])
    ids = rng.permutation(words).astype(np.int32)
    ids[9::10] = EOS
    held_out = IdSequence(np.array([3, UNK, EOS] * 50, dtype=np.int32))
    plain, fair = (
        measured_baselines(dataset_of(IdSequence(ids), held_out, V, rare), math.inf)
        for rare in (None, np.bincount(ids, minlength=V) == 1)
    )
    assert fair["ngram_nats_per_token"] < plain["ngram_nats_per_token"] - 0.5
    assert fair["unigram_nats_per_token"] < plain["unigram_nats_per_token"] - 0.5
