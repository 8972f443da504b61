"""What keeps a network from learning the text by heart, as options of `rnnlm train`."""

import pytest

from rnnlm import checkpoint
from rnnlm.cli import run

SMALL = ["--hidden-size", "8", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
SENTENCES = ["我 昨天 上学 迟到 了", "老师 批评 了 我", "他 的 手机 坏 了", "我 打算 买 一部 新 手机"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def said(corpus, tmp_path, capsys):
    """What a training says that ends with a code; its model is m.npz."""

    def train(*options, code=0, epochs="1"):
        capsys.readouterr()
        arguments = ["train", corpus, "-o", str(tmp_path / "m.npz"), "--epochs", epochs, *options]
        assert run([*arguments, *([] if "--resume" in options else SMALL)]) == code
        return capsys.readouterr().err

    return train


def options_of(path):
    return checkpoint.read_header(path)["training"]["options"]


def test_what_is_on_is_said_and_recorded(said, tmp_path):
    asked = ["--dropout", "0.1", "--locked-dropout", "--weight-dropout", "0.2", "--embedding-dropout", "0.3"]
    text = said(*asked, "--weight-decay", "0.4")
    assert "dropout 0.1 locked, of weights 0.2, of tokens 0.3;" in text
    assert "weight decay 0.4;" in text
    header = checkpoint.read_header(tmp_path / "m.npz")
    expected = {"dropout": 0.1, "locked_dropout": True, "weight_dropout": 0.2, "embedding_dropout": 0.3}
    assert header["network"].items() >= expected.items()
    assert header["training"]["options"].items() >= (expected | {"weight_decay": 0.4}).items()


def test_they_may_change_when_a_training_goes_on(said, tmp_path):
    said("--weight-dropout", "0.2", "--locked-dropout")
    said("--resume", "--embedding-dropout", "0.3", "--weight-decay", "0.1", "--no-locked-dropout", epochs="2")
    network = checkpoint.read_header(tmp_path / "m.npz")["network"]
    assert (network["weight_dropout"], network["embedding_dropout"], network["locked_dropout"]) == (0.2, 0.3, False)
    assert options_of(tmp_path / "m.npz")["weight_decay"] == 0.1


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_checkpoint_from_before_them_goes_on_without(optimizer, said, tmp_path):
    path = tmp_path / "m.npz"
    said("--optimizer", optimizer)
    header, arrays = checkpoint.load(path)
    for name in ("locked_dropout", "weight_dropout", "embedding_dropout"):
        del header["network"][name]
        del header["training"]["options"][name]
    del header["training"]["options"]["weight_decay"]
    checkpoint.save(path, header, arrays)
    said("--resume", epochs="2")
    found = options_of(path)
    assert (found["locked_dropout"], found["weight_dropout"], found["embedding_dropout"]) == (False, 0, 0)
    assert found["weight_decay"] == {"adam": 0, "adamw": 0.01}[optimizer]


def test_averages_stay_what_they_are(said, tmp_path):
    assert "averaged by 0.9" in said("--average-weights", "0.9")
    assert "was trained with 0.9" in said("--resume", "--average-weights", "0.99", code=1)
    before = checkpoint.load(tmp_path / "m.npz")[1]
    said("--resume", epochs="2")
    after = checkpoint.load(tmp_path / "m.npz")[1]
    assert {name for name in before if name.startswith("current.")}  # the weights themselves, beside the best average
    assert any((before[name] != array).any() for name, array in after.items() if name.startswith("current."))


def test_another_text_measures_the_best_average_again(said, corpus, tmp_path):
    said("--average-weights", "0.9", "--valid-fraction", "0.2")
    with open(corpus, "a", encoding="utf-8") as file:
        file.write("我 的 新 手机 坏 了\n" * 3)
    assert "measured again" in said("--resume", "--changed-text", epochs="1")
    assert checkpoint.read_header(tmp_path / "m.npz")["training"]["best_nats_per_token"] > 0
    said("--resume", epochs="2")


def test_a_shift_is_for_streams(said, tmp_path):
    assert "--context stream" in said("--shift", code=1)
    assert "8 shifted," in said("--shift", "--context", "stream")
    assert options_of(tmp_path / "m.npz")["shift"] is True
    assert "was trained with True" in said("--resume", "--no-shift", code=1)


def test_a_decay_that_leaves_nothing_is_refused(said):
    assert "--weight-decay below 2" in said("--weight-decay", "3", "--lr", "0.5", code=1)


@pytest.mark.parametrize("options", [["--softmax", "adaptive"], ["--loss", "mse"]])
def test_labels_are_smoothed_where_all_tokens_are_looked_at(said, tmp_path, options):
    assert "labels smoothed by 0.1;" in said("--label-smoothing", "0.1")
    assert "was trained with 0.1" in said("--resume", "--label-smoothing", "0.2", code=1)
    said("--resume", epochs="2")
    assert "--label-smoothing" in said("--label-smoothing", "0.1", *options, code=1)


def test_reported_losses_are_those_of_the_labels_themselves(said):
    """Before anything is learnt, smoothing changes what is minimised, not what is measured."""
    best = [said("--label-smoothing", rate, "--lr", "1e-12").split("Best valid loss ")[1][:6] for rate in ("0", "0.5")]
    assert best[0] == best[1]
