"""Advice of `rnnlm train` on real texts, for good trainings and deliberately bad ones."""

import json
from pathlib import Path

import pytest

CORPORA = Path(__file__).parents[2] / "corpora"
SMALL = ["--hidden-size", "16", "--embedding-size", "8"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """The first 20,000 characters of English stories with long paragraphs."""
    path = tmp_path / "text.txt"
    lines = (CORPORA / "english.txt").read_text(encoding="utf-8").splitlines()
    path.write_text("\n\n".join(line for line in lines if len(line) > 200)[:20_000], encoding="utf-8")
    return path


@pytest.fixture
def advice(tmp_path, rnnlm):
    """A function that trains and returns the lines of advice."""

    def train(text, *options, output="model.npz"):
        arguments = ["train", str(text), "-o", str(tmp_path / output), "--threads", "1", *options]
        printed = rnnlm(*arguments)
        assert printed.out == ""
        return [line.split(maxsplit=1)[1] for line in printed.err.splitlines() if line.startswith("Advice ")]

    return train


@pytest.mark.parametrize(("corpus", "lines"), [("english.txt", 800), ("chinese.txt", 1200)])
def test_the_defaults_need_no_advice(advice, text, corpus, lines):
    text.write_text("\n".join((CORPORA / corpus).read_text(encoding="utf-8").splitlines()[:lines]), encoding="utf-8")
    assert advice(text) == []


def test_overfitting_gets_advice(advice, text):
    options = ["--dropout", "0", "--hidden-size", "64", "--embedding-size", "64", "--schedule", "constant"]
    lines = advice(text, *options, "--lr", "0.01", "--epochs", "15")
    assert len(lines) == 2
    assert "of the held-out tokens are not in the vocabulary" in lines[0]
    assert lines[1].startswith("Overfitting: since step")
    assert lines[1].endswith("Try a higher --dropout, a smaller --hidden-size or more text.")


@pytest.mark.parametrize(("clip", "remedy"), [("1", ""), ("0", " or --clip 1")])
def test_a_learning_rate_that_explodes_gets_advice(advice, text, clip, remedy):
    options = ["--level", "char", "--optimizer", "sgd", "--lr", "500", "--clip", clip, "--epochs", "1", *SMALL]
    found = "The learning rate is too high: the loss exploded 2 times."
    assert advice(text, *options) == [f"{found} Try --lr 1 (it is 500){remedy}."]


def test_a_vocabulary_that_is_too_small_gets_advice(advice, text):
    first = advice(text, "--vocab-size", "100", "--epochs", "1", *SMALL)[0]
    assert "% of the held-out tokens are not in the vocabulary. Try --level char or a larger vocabulary" in first


def test_a_text_that_is_too_small_gets_advice(advice, text):
    text.write_text(text.read_text(encoding="utf-8")[:4_000], encoding="utf-8")
    first = advice(text, "--level", "char", "--epochs", "1", *SMALL)[0]
    assert first.startswith("The training text has 3,600 tokens; with less than 10,000 characters")


def test_underfitting_gets_advice(advice, text):
    (line,) = advice(text, "--level", "char", "--lr", "1e-5", "--epochs", "2", *SMALL)
    assert line.startswith("Underfitting: the valid loss,")
    assert line.endswith("Try --lr 0.025 (it is 1e-05) or a longer training.")


def test_a_training_without_held_out_text_gets_advice(advice, text):
    (line,) = advice(text, "--level", "char", "--valid-fraction", "0", "--lr", "1e-5", "--epochs", "1", *SMALL)
    assert line.startswith("Underfitting: the training loss,")


def test_overfitting_advice_mentions_a_last_part_that_differs_from_the_rest(advice, text):
    chinese = (CORPORA / "chinese.txt").read_text(encoding="utf-8")
    text.write_text(text.read_text(encoding="utf-8") + chinese[:2_000], encoding="utf-8")
    options = ["--vocab-size", "60", "--valid-fraction", "0.08", "--dropout", "0", "--epochs", "8"]
    lines = advice(text, "--level", "char", *options, *SMALL)
    assert any("if the held-out end of the text is unlike the rest" in line for line in lines), lines


def test_a_resumed_training_does_not_repeat_advice(advice, text):
    text.write_text(text.read_text(encoding="utf-8")[:4_000], encoding="utf-8")
    assert any("The training text has" in line for line in advice(text, "--level", "char", "--epochs", "2", *SMALL))
    assert not any("The training text has" in line for line in advice(text, "--resume", "--epochs", "3"))


def test_starting_from_another_model_makes_up_for_a_small_text(advice, text):
    advice(text, "--level", "char", "--epochs", "1", *SMALL, output="large.npz")
    text.write_text(text.read_text(encoding="utf-8")[:4_000], encoding="utf-8")
    options = ["--init-from", str(text.with_name("large.npz")), "--init-vocabulary", "keep", "--epochs", "1"]
    assert not any("The training text has" in line for line in advice(text, *options))


def test_advice_is_not_in_the_history(advice, text, tmp_path):
    history = tmp_path / "history.jsonl"
    assert advice(text, "--level", "char", "--lr", "1e-5", "--epochs", "1", *SMALL, "--history", str(history))
    assert all("step" in json.loads(line) for line in history.read_text(encoding="utf-8").splitlines())
    assert "Try" not in history.read_text(encoding="utf-8")
