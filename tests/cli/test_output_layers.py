"""Every command works with an adaptive softmax and a tied matrix, and impossible combinations are refused."""

from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.cli import run
from rnnlm.storage import checkpoint
from rnnlm.training import configuration
from tests.sentences import SENTENCES

SMALL = [
    *("--hidden-size", "12", "--embedding-size", "12", "--bptt", "8", "--batch-size", "4", "--threads", "1"),
    *("--epochs", "2"),
]
LAYERS = {"adaptive": ["--softmax", "adaptive"], "tied": ["--tied"]}


def train(corpus, path, *options, code=0):
    assert run(["train", str(corpus), "-o", str(path), *SMALL, *options]) == code
    return str(path)


@pytest.fixture(params=LAYERS)
def model(request, corpus, tmp_path):
    return train(corpus, tmp_path / "model.npz", *LAYERS[request.param], "--epochs", "20")


def test_info_names_the_output_layer(corpus, tmp_path, rnnlm):
    for name, options in LAYERS.items():
        path = tmp_path / name
        said = rnnlm("train", corpus, "-o", path, *SMALL, *options).err
        assert {"adaptive": "adaptive softmax cut at", "tied": "tied output"}[name] in said
        facts = rnnlm("info", path, "--json").json
        assert (facts["softmax"], facts["tied"]) == ("adaptive" if name == "adaptive" else "full", name == "tied")
        assert bool(facts["cutoffs"]) == (name == "adaptive")
        assert facts["training"]["options"]["softmax"] == facts["softmax"]
        assert "softmax" in rnnlm("info", path).out
    names = set(LanguageModel.load(tmp_path / "tied").network.params)
    assert "embedding.weight" in names
    assert "output.bias" in names
    assert "output.weight" not in names


def test_a_large_vocabulary_gets_an_adaptive_softmax_by_default(corpus, tmp_path, monkeypatch, rnnlm):
    monkeypatch.setattr(configuration, "ADAPTIVE_FROM", 20)
    chosen = {
        "adaptive": [],
        "full": ["--softmax", "full"],
        "full for mse": ["--loss", "mse"],
        "full for smoothed labels": ["--label-smoothing", "0.1"],
        "full for tied": ["--tied"],
        "full for few": ["--vocab-size", "19"],
    }
    for name, options in chosen.items():
        path = train(corpus, tmp_path / name.replace(" ", "-"), *options)
        assert rnnlm("info", path, "--json").json["softmax"] == name.split()[0]


def test_every_command_works_with_every_output_layer(model, corpus, tmp_path, rnnlm):
    lines = corpus.read_text(encoding="utf-8").splitlines()
    bigram = str(tmp_path / "bigram.npz")
    rnnlm("ngram", "train", corpus, "--order", "2", "-o", bigram)
    text = tmp_path / "text.txt"
    text.write_text("\n".join([*lines[:4], "老师 昨天 飞 了"]) + "\n", encoding="utf-8")
    evaluation = rnnlm("eval", text, "-m", model, "--json").json
    scores = rnnlm("score", text, "-m", model, "--json").objects
    assert sum(score["logprob_nats"] for score in scores) == pytest.approx(evaluation["logprob_nats"], rel=1e-5)
    assert rnnlm("eval", text, "-m", model, "--dynamic", "--json").json["tokens"] == evaluation["tokens"]
    mixed = rnnlm("eval", text, "-m", model, "--mix", f"{bigram}:0.3", "--json").json
    assert np.isfinite(mixed["perplexity"])
    assert "rank" in rnnlm("score", "-m", model, "--tokens", "--text", lines[0]).out
    found = rnnlm("predict", "我 昨天", "-m", model, "-k", "100", "--json").json["candidates"]
    assert 0.9 < sum(candidate["probability"] for candidate in found) <= 1.0001  # all tokens except <unk>
    assert len(rnnlm("predict", "--each", "我 昨天", "-m", model).out.splitlines()) == 3
    sampling = ("sample", "-m", model, "--length", "9")
    assert rnnlm(*sampling, "--seed", "1", "--count", "3").out == rnnlm(*sampling, "--seed", "1", "--count", "3").out
    assert rnnlm(*sampling, "--beam", "4").out.strip()
    assert len(rnnlm("fill", "我 ____ 上学", "-m", model, "--json").json["candidates"]) > 1
    nbest = tmp_path / "nbest.txt"
    nbest.write_text("\n".join([lines[0], lines[1], " ".join(reversed(lines[0].split()))]) + "\n", encoding="utf-8")
    assert len(rnnlm("rescore", nbest, "-m", model, "--json").json["candidates"]) == 3


def test_probabilities_sum_to_one_and_the_start_symbol_is_never_predicted(model):
    loaded = LanguageModel.load(model)
    state = loaded.network.zero_state(2)
    log_probabilities, _ = loaded.network.next_log_probabilities(np.array([[0, 0], [3, 5]]), state)
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)
    assert (log_probabilities[:, 0] < -1000).all()
    assert np.isfinite(log_probabilities).all()


def test_a_resumed_training_ends_like_an_uninterrupted_one(corpus, tmp_path, rnnlm):
    steady = ["--schedule", "constant", "--warm-up", "0"]  # independent of the length of the training
    for name, options in LAYERS.items():
        whole = train(corpus, tmp_path / f"{name}-whole", *options, *steady)
        part = train(corpus, tmp_path / f"{name}-part", *options, *steady, "--epochs", "1")
        rnnlm("train", corpus, "-o", part, "--resume", "--epochs", "2", "--threads", "1")
        resumed, expected = LanguageModel.load(part).network, LanguageModel.load(whole).network
        assert resumed.config == expected.config
        for key, array in expected.params.items():
            np.testing.assert_array_equal(resumed.params[key], array)


def test_a_bidirectional_network_can_have_an_adaptive_softmax(corpus, tmp_path, rnnlm):
    path = train(corpus, tmp_path / "both.npz", "--softmax", "adaptive", "--bidirectional")
    candidates = rnnlm("fill", "我 ____ 上学", "-m", path, "-k", "100", "--json").json["candidates"]
    assert sum(candidate["probability"] for candidate in candidates) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--softmax", "adaptive", "--loss", "mse"], ["--loss mse", "--softmax full"]),
        (["--softmax", "adaptive", "--tied"], ["--tied", "--softmax full"]),
        (["--tied", "--bidirectional"], ["--tied", "bidirectional"]),
        (["--tied", "--embedding-size", "6"], ["--tied", "--embedding-size 12"]),
        (["--tied", "--embedding-size", "0"], ["--tied", "--embedding-size 12"]),
    ],
)
def test_impossible_combinations_are_refused_in_a_sentence(options, words, corpus, tmp_path, rnnlm):
    said = rnnlm("train", corpus, "-o", tmp_path / "m.npz", *SMALL, *options, code=1).last
    assert all(word in said for word in words), said
    assert not (tmp_path / "m.npz").exists()


def test_a_layer_that_contradicts_the_checkpoint_is_refused(corpus, tmp_path, rnnlm):
    path = train(corpus, tmp_path / "m.npz", "--softmax", "adaptive")
    for more in (["--resume"], ["--init-from", path, "--force"]):
        assert (
            "--softmax full contradicts" in rnnlm("train", corpus, "-o", path, *more, "--softmax", "full", code=1).last
        )
    said = rnnlm("train", corpus, "-o", path, "--init-from", path, "--loss", "mse", "--force", code=1).last
    assert "--loss mse" in said


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_of_shared_words_are_reused_for_another_text(layer, corpus, tmp_path, rnnlm):
    path = train(corpus, tmp_path / "m.npz", *LAYERS[layer], "--epochs", "30", "--ngram", "0")
    other = tmp_path / "other.txt"
    other.write_text("\n".join([*SENTENCES, "姐姐 的 手表 坏 了 。"] * 20) + "\n", encoding="utf-8")
    mapped, fresh = str(tmp_path / "mapped.npz"), str(tmp_path / "fresh.npz")
    short = ["--epochs", "0.1", "--lr", "1e-9", "--threads", "1", "--ngram", "0"]
    begin = ["train", str(other), "-o", mapped, "--init-from", path, "--init-vocabulary", "map", *short]
    assert ("in another cluster" in rnnlm(*begin).err) == (layer == "adaptive")
    train(other, fresh, *LAYERS[layer], *short)
    nats = [rnnlm("eval", corpus, "-m", m, "--json").json["nats_per_token"] for m in (path, mapped, fresh)]
    assert nats[0] < nats[1] < 0.8 * nats[2]


def test_a_checkpoint_without_an_output_layer_entry_can_be_resumed(corpus, tmp_path, rnnlm):
    path = Path(train(corpus, tmp_path / "m.npz", "--epochs", "1"))
    header, arrays = checkpoint.load(path)
    for added in ("cutoffs", "div_value", "tied"):
        del header["network"][added]
    for added in ("softmax", "tied"):
        del header["training"]["options"][added]
    checkpoint.save(path, header, arrays)
    rnnlm("train", corpus, "-o", path, "--resume", "--epochs", "2", "--softmax", "full")
    assert LanguageModel.load(path).training["options"]["softmax"] == "full"
