"""After a training, the model is compared with a unigram and an n-gram model of the same text."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli.training_messages import comparison
from rnnlm.inference.scoring import token_nats
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.storage import checkpoint
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.vocabulary import EOS, UNK
from rnnlm.training import baselines
from rnnlm.training.baselines import measured_baselines, with_ngram

SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1", "--epochs", "1"]
LINE = r"^Held-out perplexity: network (\S+), (\d)-gram (\S+), (\w+) frequencies (\S+)\.\nBoth together: (\S+)\. .*$"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Write sentences of a small grammar in which every word is frequent."""
    rng = np.random.default_rng(1)
    words = [["the", "a"], ["old", "small", "red"], ["cat", "dog", "boat"], ["sees", "likes"], ["it", "us"]]
    path = tmp_path / "corpus.txt"
    path.write_text("".join(" ".join(str(rng.choice(each)) for each in words) + "\n" for _ in range(300)))
    return path


def trained(corpus: Path, rnnlm, *options: str) -> str:
    printed = rnnlm("train", corpus, "-o", corpus.with_name("m.npz"), *SMALL, *options)
    assert printed.out == ""
    return printed.err


@pytest.mark.parametrize(("level", "order", "unit"), [("word", 5, "word"), ("char", 6, "character")])
def test_the_figures_are_measured_on_the_held_out_part(level, order, unit, corpus, rnnlm):
    *lines, _ = corpus.read_text().split("\n")
    held_out = corpus.with_name("held-out.txt")
    corpus.write_text("".join(f"{line}\n" for line in lines[:270]))
    held_out.write_text("".join(f"{line}\n" for line in lines[270:]))
    said = trained(corpus, rnnlm, "--level", level, "--valid", str(held_out))
    found = re.search(LINE, said, re.MULTILINE)
    assert found, said
    assert (int(found[2]), found[4]) == (order, unit)
    assert all(len(line) <= 80 for line in found[0].splitlines())

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
    assert float(found[6]) == pytest.approx(math.exp(model.training["mixture"]["nats_per_token"]), rel=1e-3)
    assert model.evaluate(held_out).nats_per_token == pytest.approx(
        model.training["mixture"]["nats_per_token"], rel=1e-6 if level == "word" else 0.05
    )  # evaluate() reads a stream from its beginning, the training read it after the training text


@pytest.mark.parametrize(("ngram", "better"), [(2.0, True), (3.0, False)])
def test_a_better_ngram_model_that_was_left_out_is_reported(ngram, better):
    found = {"tokens": 9, "order": 3, "unigram_nats_per_token": 4.0, "ngram_nats_per_token": ngram}
    said = "\n".join(comparison(2.5, None, found, "word", 9))
    assert ("is better" in said) is better
    assert "Both" not in said
    assert "has counted 9 of the 10 tokens" in "\n".join(comparison(2.5, None, found, "word", 10))
    assert "is better" not in "\n".join(comparison(2.5, 1.9, found, "word", 9))


@pytest.mark.parametrize("options", [["--valid-fraction", "0"], ["--bidirectional"]])
def test_no_comparison_without_held_out_text_or_for_bidirectional_networks(options, corpus, rnnlm):
    assert "Held-out perplexity" not in trained(corpus, rnnlm, *options)
    assert "baselines" not in checkpoint.read_header(corpus.with_name("m.npz"))["training"]


def dataset_of(train, valid, V, rare=None):
    """Return the parts of a dataset that the baselines need."""
    reading = SimpleNamespace(tokenizer=SimpleNamespace(name="word"), context="sentence")
    return SimpleNamespace(train=train, valid=valid, rare=rare, vocabulary=range(V), reading=reading)


def test_long_texts_are_counted_in_part_and_less_in_a_short_time(monkeypatch):
    ids, seen = IdSequence(np.tile(np.array([3, 4, 3, 4, EOS], dtype=np.int32), 200)), []
    dataset = dataset_of(ids, ids, 5)
    train = NgramModel.train
    monkeypatch.setattr(NgramModel, "train", lambda ids, *more: seen.append(len(ids)) or train(ids, *more))
    monkeypatch.setattr(baselines, "MOST_COUNTED", 600)
    monkeypatch.setattr(baselines, "FEWEST_COUNTED", 10)
    monkeypatch.setattr(baselines, "COUNTED_PER_SECOND", 50)
    for seconds, expected in ((math.inf, 600), (7.0, 350), (1e-9, 10)):
        assert measured_baselines(dataset, seconds).figures["tokens"] == expected
    assert seen == [600, 600, 350, 350, 10, 10]


def test_some_rare_words_are_counted_as_unknown():
    """As in the training of networks, some words that occur once are counted as <unk>."""
    rng, V = np.random.default_rng(2), 403
    words = np.concatenate([np.full(600, 3), np.arange(4, V)])
    ids = rng.permutation(words).astype(np.int32)
    ids[9::10] = EOS
    held_out = IdSequence(np.array([3, UNK, EOS] * 50, dtype=np.int32))
    plain, fair = (
        measured_baselines(dataset_of(IdSequence(ids), held_out, V, rare), math.inf).figures
        for rare in (None, np.bincount(ids, minlength=V) == 1)
    )
    assert fair["ngram_nats_per_token"] < plain["ngram_nats_per_token"] - 0.5
    assert fair["unigram_nats_per_token"] < plain["unigram_nats_per_token"] - 0.5


# --- mixing with the n-gram model -------------------------------------------------------------------------------------


def trained_parts(tokens=6000):
    """Return an untrained network, an n-gram model of a text, and the rest of that text."""
    rng, V = np.random.default_rng(3), 9
    lines = [[int(each), int(each), EOS] for each in rng.integers(3, V, 3000)]
    ids = np.array([each for line in lines for each in line], dtype=np.int32)
    bias = np.r_[-1e4, np.zeros(V - 1)]
    network = Network.initialize(NetworkConfig(V, hidden_size=4), rng, output_bias=bias)
    return network, NgramModel.train(ids[:-tokens], V, 3), IdSequence(ids[-tokens:])


def test_the_weights_found_are_optimal():
    network, ngram, held_out = trained_parts()
    mixed, nats = with_ngram(network, ngram, held_out, "sentence", 1)
    alone = token_nats(network, held_out, "sentence")
    assert nats == pytest.approx(token_nats(mixed, held_out, "sentence").mean(), abs=1e-6)
    assert nats < alone.mean() - 0.1
    for length in range(ngram.order):
        for step in (-0.1, 0.1):
            weights = [min(1.0, max(0.0, w + step * (i == length))) for i, w in enumerate(mixed.weights)]
            other = NetworkWithNgram(network, ngram, weights).along(alone, held_out, "sentence")[0].mean()
            assert other >= nats - 2e-3  # each weight is regularised towards the common weight


def test_an_ngram_model_that_does_not_help_is_left_out_unless_requested():
    _, ngram, held_out = trained_parts()
    knowing = NgramModel.train(held_out[:], 9, 3)  # stands for a network that knows the text by heart
    assert with_ngram(knowing, ngram, held_out, "sentence", 1) is None
    mixed, _ = with_ngram(knowing, ngram, held_out, "sentence", 1, always=True)
    assert mixed.weights != [0.0] * 3
