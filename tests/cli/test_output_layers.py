"""Every command works on a model with an adaptive softmax or a tied matrix, and what cannot be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.cli import run
from rnnlm.storage import checkpoint
from rnnlm.training import configuration

SENTENCES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "他 今天 上学 迟到 了 ， 妈妈 批评 了 他 。",
    "我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。",
    "弟弟 的 书包 坏 了 ， 他 打算 换 一个 新 书包 。",
]
SMALL = [
    *("--hidden-size", "12", "--embedding-size", "12", "--bptt", "8", "--batch-size", "4", "--threads", "1"),
    *("--epochs", "2"),
]
LAYERS = {"adaptive": ["--softmax", "adaptive"], "tied": ["--tied"]}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return path


def train(corpus, path, *options, code=0):
    assert run(["train", str(corpus), "-o", str(path), *SMALL, *options]) == code
    return str(path)


@pytest.fixture(params=LAYERS)
def model(request, corpus, tmp_path):
    return train(corpus, tmp_path / "model.npz", *LAYERS[request.param], "--epochs", "20")


@pytest.fixture
def answer(capsys):
    """What a command answers; it succeeds."""

    def ask(*arguments):
        capsys.readouterr()
        assert run(list(arguments)) == 0
        return capsys.readouterr().out

    return ask


@pytest.fixture
def refusal(capsys):
    """What a command that fails says, in one line."""

    def ask(*arguments, code=1):
        capsys.readouterr()
        assert run(list(arguments)) == code
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "Traceback" not in said
        return said

    return ask


def test_a_model_says_which_layer_it_has(corpus, tmp_path, answer, capsys):
    for name, options in LAYERS.items():
        path = train(corpus, tmp_path / name, *options)
        assert {"adaptive": "adaptive softmax cut at", "tied": "tied output"}[name] in capsys.readouterr().err
        facts = json.loads(answer("info", path, "--json"))
        assert (facts["softmax"], facts["tied"]) == ("adaptive" if name == "adaptive" else "full", name == "tied")
        assert bool(facts["cutoffs"]) == (name == "adaptive")
        assert facts["training"]["options"]["softmax"] == facts["softmax"]
        assert "softmax" in answer("info", path)
    names = set(LanguageModel.load(tmp_path / "tied").network.params)
    assert "embedding.weight" in names
    assert "output.bias" in names
    assert "output.weight" not in names


def test_a_large_vocabulary_gets_an_adaptive_softmax_unless_it_is_refused(corpus, tmp_path, monkeypatch, answer):
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
        assert json.loads(answer("info", path, "--json"))["softmax"] == name.split()[0]


def test_every_command_works(model, corpus, tmp_path, answer):
    lines = corpus.read_text(encoding="utf-8").splitlines()
    bigram = str(tmp_path / "bigram.npz")
    assert run(["ngram", "train", str(corpus), "--order", "2", "-o", bigram]) == 0
    text = tmp_path / "text.txt"
    text.write_text("\n".join([*lines[:4], "老师 昨天 飞 了"]) + "\n", encoding="utf-8")
    evaluation = json.loads(answer("eval", str(text), "-m", model, "--json"))
    scores = [json.loads(line) for line in answer("score", str(text), "-m", model, "--json").splitlines()]
    assert sum(score["logprob_nats"] for score in scores) == pytest.approx(evaluation["logprob_nats"], rel=1e-5)
    assert json.loads(answer("eval", str(text), "-m", model, "--dynamic", "--json"))["tokens"] == evaluation["tokens"]
    mixed = json.loads(answer("eval", str(text), "-m", model, "--mix", f"{bigram}:0.3", "--json"))
    assert np.isfinite(mixed["perplexity"])
    assert "rank" in answer("score", "-m", model, "--tokens", "--text", lines[0])
    found = json.loads(answer("predict", "我 昨天", "-m", model, "-k", "100", "--json"))["candidates"]
    assert 0.9 < sum(candidate["probability"] for candidate in found) <= 1.0001  # all but <unk>
    assert len(answer("predict", "--each", "我 昨天", "-m", model).splitlines()) == 3
    sampling = ("sample", "-m", model, "--length", "9")
    assert answer(*sampling, "--seed", "1", "--count", "3") == answer(*sampling, "--seed", "1", "--count", "3")
    assert answer(*sampling, "--beam", "4").strip()
    assert len(json.loads(answer("fill", "我 ____ 上学", "-m", model, "--json"))["candidates"]) > 1
    nbest = tmp_path / "nbest.txt"
    nbest.write_text("\n".join([lines[0], lines[1], " ".join(reversed(lines[0].split()))]) + "\n", encoding="utf-8")
    assert len(json.loads(answer("rescore", str(nbest), "-m", model, "--json"))["candidates"]) == 3


def test_probabilities_sum_to_one_and_the_start_is_never_predicted(model):
    loaded = LanguageModel.load(model)
    state = loaded.network.zero_state(2)
    log_probabilities, _ = loaded.network.next_log_probabilities(np.array([[0, 0], [3, 5]]), state)
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)
    assert (log_probabilities[:, 0] < -1000).all()
    assert np.isfinite(log_probabilities).all()


def test_a_training_goes_on_where_it_was_stopped(corpus, tmp_path):
    steady = ["--schedule", "constant", "--warm-up", "0"]  # does not depend on how long the training will be
    for name, options in LAYERS.items():
        whole = train(corpus, tmp_path / f"{name}-whole", *options, *steady)
        part = train(corpus, tmp_path / f"{name}-part", *options, *steady, "--epochs", "1")
        assert run(["train", str(corpus), "-o", part, "--resume", "--epochs", "2", "--threads", "1"]) == 0
        resumed, expected = LanguageModel.load(part).network, LanguageModel.load(whole).network
        assert resumed.config == expected.config
        for key, array in expected.params.items():
            np.testing.assert_array_equal(resumed.params[key], array)


def test_a_bidirectional_network_can_have_an_adaptive_softmax(corpus, tmp_path, answer):
    path = train(corpus, tmp_path / "both.npz", "--softmax", "adaptive", "--bidirectional")
    candidates = json.loads(answer("fill", "我 ____ 上学", "-m", path, "-k", "100", "--json"))["candidates"]
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
def test_what_can_not_be_is_refused_in_a_sentence(options, words, corpus, tmp_path, refusal):
    said = refusal("train", str(corpus), "-o", str(tmp_path / "m.npz"), *SMALL, *options)
    assert all(word in said for word in words), said
    assert not (tmp_path / "m.npz").exists()


def test_another_layer_than_the_checkpoints_is_refused(corpus, tmp_path, refusal):
    path = train(corpus, tmp_path / "m.npz", "--softmax", "adaptive")
    for more in (["--resume"], ["--init-from", path, "--force"]):
        assert "--softmax full contradicts" in refusal("train", str(corpus), "-o", path, *more, "--softmax", "full")
    said = refusal("train", str(corpus), "-o", path, "--init-from", path, "--loss", "mse", "--force")
    assert "--loss mse" in said


@pytest.mark.parametrize("layer", LAYERS)
def test_another_text_takes_over_what_its_words_have_learnt(layer, corpus, tmp_path, answer, capsys):
    path = train(corpus, tmp_path / "m.npz", *LAYERS[layer], "--epochs", "30")
    other = tmp_path / "other.txt"
    other.write_text("\n".join([*SENTENCES, "姐姐 的 手表 坏 了 。"] * 20) + "\n", encoding="utf-8")
    mapped, fresh = str(tmp_path / "mapped.npz"), str(tmp_path / "fresh.npz")
    short = ["--epochs", "0.1", "--lr", "1e-9", "--threads", "1"]
    begin = ["train", str(other), "-o", mapped, "--init-from", path, "--init-vocabulary", "map", *short]
    assert run(begin) == 0
    assert ("in another cluster" in capsys.readouterr().err) == (layer == "adaptive")
    train(other, fresh, *LAYERS[layer], *short)
    nats = [json.loads(answer("eval", str(corpus), "-m", m, "--json"))["nats_per_token"] for m in (path, mapped, fresh)]
    assert nats[0] < nats[1] < 0.8 * nats[2]


def test_a_checkpoint_from_before_there_was_a_choice_is_resumed(corpus, tmp_path):
    path = Path(train(corpus, tmp_path / "m.npz", "--epochs", "1"))
    header, arrays = checkpoint.load(path)
    for added in ("cutoffs", "div_value", "tied"):
        del header["network"][added]
    for added in ("softmax", "tied"):
        del header["training"]["options"][added]
    checkpoint.save(path, header, arrays)
    assert run(["train", str(corpus), "-o", str(path), "--resume", "--epochs", "2", "--softmax", "full"]) == 0
    assert LanguageModel.load(path).training["options"]["softmax"] == "full"
