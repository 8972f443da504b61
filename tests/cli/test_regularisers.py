"""Options of `rnnlm train` against overfitting: dropout variants, weight averaging, decay, shift, label smoothing."""

import json

import pytest

import rnnlm as api
from rnnlm.storage import checkpoint

SMALL = ["--hidden-size", "8", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
SENTENCES = ["我 昨天 上学 迟到 了", "老师 批评 了 我", "他 的 手机 坏 了", "我 打算 买 一部 新 手机"]

ADDED = (
    *("locked_dropout", "weight_dropout", "embedding_dropout", "weight_decay"),
    *("average_weights", "shift", "label_smoothing"),
)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def said(corpus, tmp_path, rnnlm):
    """A function that trains with options into m.npz and returns the messages."""

    def train(*options, code=0, epochs="1"):
        arguments = ["train", corpus, "-o", str(tmp_path / "m.npz"), "--epochs", epochs]
        return rnnlm(*arguments, *([] if "--resume" in options else [*SMALL, "--force"]), *options, code=code).err

    return train


def options_of(path):
    return checkpoint.read_header(path)["training"]["options"]


def test_regularisers_are_reported_and_recorded(said, tmp_path):
    asked = [
        *("--dropout", "0.1", "--input-dropout", "0.05", "--locked-dropout", "--weight-dropout"),
        *("0.2", "--embedding-dropout", "0.3"),
    ]
    text = said(*asked, "--weight-decay", "0.4")
    assert "dropout 0.1 locked, of the input 0.05, of weights 0.2, of tokens 0.3;" in text
    assert "weight decay 0.4;" in text
    header = checkpoint.read_header(tmp_path / "m.npz")
    expected = {"dropout": 0.1, "input_dropout": 0.05, "locked_dropout": True, "weight_dropout": 0.2}
    expected["embedding_dropout"] = 0.3
    assert header["network"].items() >= expected.items()
    assert header["training"]["options"].items() >= (expected | {"weight_decay": 0.4}).items()


@pytest.mark.parametrize("networks", [1, 2])
def test_shared_input_dropout_belongs_to_the_training_and_is_resumed(networks, tmp_path):
    """Version 1.0.0 refuses fields of networks that it does not know."""
    small = {"hidden_size": 8, "embedding_size": 6, "batch_size": 4, "epochs": 2, "ngram": 0, "networks": networks}
    shared = {**small, "input_dropout": 0.3, "shared_input_dropout": True}
    quiet = {"text": SENTENCES * 40, "threads": 1, "progress": False}
    whole = api.train(**quiet | shared)
    assert (
        whole.training["best_nats_per_token"]
        != api.train(**quiet | small | {"input_dropout": 0.3}).training["best_nats_per_token"]
    )
    half = whole.training["state"]["progress"]["step"] / 2
    api.train(**quiet | shared | {"progress": lambda report: report.step < half}).save(tmp_path / "m.npz")
    header = checkpoint.read_header(tmp_path / "m.npz")
    assert header["training"]["options"]["shared_input_dropout"] is True
    assert "shared_input_dropout" not in header["network"]
    resumed = api.train(resume=tmp_path / "m.npz", **quiet)
    for name, model in {"whole": whole, "resumed": resumed}.items():
        model.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "resumed.npz").read_bytes()


def test_regularisers_may_change_when_a_training_is_resumed(said, tmp_path):
    said("--weight-dropout", "0.2", "--locked-dropout")
    said("--resume", "--embedding-dropout", "0.3", "--weight-decay", "0.1", "--no-locked-dropout", epochs="2")
    network = checkpoint.read_header(tmp_path / "m.npz")["network"]
    assert (network["weight_dropout"], network["embedding_dropout"], network["locked_dropout"]) == (0.2, 0.3, False)
    assert options_of(tmp_path / "m.npz")["weight_decay"] == 0.1


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_checkpoint_without_these_options_is_resumed_without_them(optimizer, said, tmp_path):
    path = tmp_path / "m.npz"
    said("--optimizer", optimizer, "--dropout", "0.4")
    header, arrays = checkpoint.load(path)
    for name in ("locked_dropout", "weight_dropout", "embedding_dropout"):
        del header["network"][name]
    del header["network"]["input_dropout"], header["training"]["options"]["input_dropout"]  # equal to dropout then
    for name in ADDED:
        del header["training"]["options"][name]
    checkpoint.save(path, header, arrays)
    said("--resume", epochs="2")
    assert checkpoint.load(path)[1].keys() == arrays.keys()
    expected = dict.fromkeys(ADDED, 0) | {"weight_decay": {"adam": 0, "adamw": 0.01}[optimizer]}
    assert {name: options_of(path)[name] for name in ADDED} == expected
    assert options_of(path)["input_dropout"] == checkpoint.read_header(path)["network"]["input_dropout"] == 0.4


def test_embedding_dropout_needs_an_embedding(said):
    assert "one-hot input has none" in said("--embedding-size", "0", "--input-dropout", "0.1", code=1)


def test_average_weights_cannot_be_changed_by_resuming(said, tmp_path):
    assert "averaged by 0.9" in said("--average-weights", "0.9")
    assert "was trained with 0.9" in said("--resume", "--average-weights", "0.99", code=1)
    before = checkpoint.load(tmp_path / "m.npz")[1]
    said("--resume", epochs="2")
    after = checkpoint.load(tmp_path / "m.npz")[1]
    assert {name for name in before if name.startswith("current.")}  # the weights themselves, besides the best average
    assert any((before[name] != array).any() for name, array in after.items() if name.startswith("current."))


def test_resuming_on_another_text_measures_the_best_average_again(said, corpus, tmp_path):
    said("--average-weights", "0.9", "--valid-fraction", "0.2")
    with open(corpus, "a", encoding="utf-8") as file:
        file.write("我 的 新 手机 坏 了\n" * 3)
    assert "measured again" in said("--resume", "--changed-text", epochs="1")
    assert checkpoint.read_header(tmp_path / "m.npz")["training"]["best_nats_per_token"] > 0
    said("--resume", epochs="2")


def test_shift_is_refused_for_sentences(said, tmp_path):
    assert "--context stream" in said("--shift", code=1)
    assert "8 shifted," in said("--shift", "--context", "stream")
    assert options_of(tmp_path / "m.npz")["shift"] is True
    assert "--no-shift contradicts" in (refused := said("--resume", "--no-shift", code=1))
    assert "was trained with --shift. Leave --no-shift out" in refused


def test_a_weight_decay_that_leaves_no_weights_is_refused(said):
    assert "--weight-decay below 2" in said("--weight-decay", "3", "--lr", "0.5", code=1)


def test_label_smoothing_is_reported_recorded_and_kept(said, tmp_path):
    assert "labels smoothed by 0.1;" in said("--label-smoothing", "0.1")
    assert options_of(tmp_path / "m.npz")["label_smoothing"] == 0.1
    assert "was trained with 0.1" in said("--resume", "--label-smoothing", "0.2", code=1)


@pytest.mark.parametrize(
    ("others", "remedy"),
    [
        (["--softmax", "adaptive"], "Use --softmax full, or leave --label-smoothing out."),
        (["--loss", "mse"], "Leave one of them out."),
    ],
)
def test_label_smoothing_needs_cross_entropy_and_the_full_softmax(others, remedy, said):
    assert remedy in said("--label-smoothing", "0.1", *others, code=1)


def test_the_reported_loss_is_the_plain_loss_without_smoothing(said, tmp_path):
    """An epoch is a single batch here, so its loss is measured before the parameters first change."""

    def reported(*options):
        history = tmp_path / "history.jsonl"
        said("--batch-size", "1", "--bptt", "5000", "--lr", "1e-9", "--history", str(history), *options)
        first, *_ = map(json.loads, history.read_text(encoding="utf-8").splitlines())
        history.unlink()
        return first["train_nats_per_token"], first["valid_nats_per_token"]

    assert reported("--label-smoothing", "0.5") == pytest.approx(reported(), rel=1e-5)
