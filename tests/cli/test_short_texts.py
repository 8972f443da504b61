"""`rnnlm train` on texts of one line, of a few lines and of very long lines."""

import random

import numpy as np
import pytest

from rnnlm.storage import checkpoint
from rnnlm.text.batches import NOT_PREDICTED, SentenceBatches
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.vocabulary import EOS

SENTENCE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"


@pytest.fixture
def train(tmp_path, rnnlm):
    def train(text, *options):
        """Write text.txt, train model.npz on it and return the messages."""
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        arguments = ["train", str(tmp_path / "text.txt"), "-o", str(tmp_path / "model.npz"), "--threads", "1"]
        arguments += [] if "--resume" in options else ["--force"]
        return rnnlm(*arguments, *options).err

    return train


@pytest.fixture
def ask(tmp_path, rnnlm):
    def ask(*arguments):
        return rnnlm(*arguments, "-m", tmp_path / "model.npz", "--json").json

    return ask


@pytest.mark.parametrize("options", [[], ["--time", "20s"], ["--cell", "gru"], ["--valid-fraction", "0"]])
def test_a_model_learns_the_sentence_of_the_article(train, ask, tmp_path, options):
    printed = train(SENTENCE + "\n", *options)
    assert ("Nothing is held out" in printed) == ("--valid-fraction" not in options)
    assert ask("predict", "我 昨天 上学")["candidates"][0]["token"] == "迟到"
    assert ask("eval", str(tmp_path / "text.txt"))["perplexity"] < 1.1


def test_fill_works_after_training_on_one_line(train, ask):
    train(SENTENCE, "--bidirectional")
    assert ask("fill", SENTENCE.replace("迟到", "____"))["candidates"][0]["tokens"] == ["迟到"]


@pytest.mark.parametrize("text", ["word", "one\ntwo\n", "a b c\n\n\n", "我"])
@pytest.mark.parametrize("options", [[], ["--valid-fraction", "0.5"], ["--bidirectional"], ["--context", "stream"]])
def test_a_text_of_one_or_two_words_can_be_trained_on(train, text, options):
    assert "trained" not in train(text, "--epochs", "3", *options)


def test_a_tenth_of_a_stream_of_long_lines_is_held_out(train):
    words = random.Random(1).choices(["one", "two", "three", "four"], k=3000)
    assert "2,701 tokens for training, 300 for validation" in train(
        " ".join(words), "--context", "stream", "--epochs", "0.1", "--hidden-size", "8"
    )
    long = "\n".join(" ".join(words[start : start + 1000]) for start in (0, 1000, 2000))
    assert "2,703 tokens for training, 300 for validation" in train(
        long, "--context", "stream", "--epochs", "0.1", "--hidden-size", "8"
    )


def test_a_long_line_of_sentences_is_split_after_a_sentence(train):
    printed = train("the dog ran home . " * 500, "--epochs", "0.1", "--hidden-size", "8")
    assert "2,251 tokens for training, 251 for validation" in printed  # each line with its </s>
    assert "in a line cut there" in printed


def test_a_long_line_without_sentences_gets_a_hint_to_streams(train):
    small = ["--epochs", "0.1", "--hidden-size", "8"]
    assert "--context stream" in train("word " * 1000, *small)
    assert "--context stream" not in train("word " * 100, *small)


def test_the_held_out_part_is_reported_and_recorded(train, tmp_path):
    printed = train("a b c d\n" * 1000, "--epochs", "0.1", "--hidden-size", "8")
    assert "Held out    10 blocks spread over the text" in printed
    assert checkpoint.read_header(tmp_path / "model.npz")["training"]["corpus"]["split"] == 3


def test_a_checkpoint_without_split_rules_holds_out_the_last_tenth(train, tmp_path):
    """Earlier versions wrote such checkpoints."""
    text, small = "a b c d\n" * 1000, ["--hidden-size", "8"]
    train(text, "--epochs", "0.1", *small)
    header, arrays = checkpoint.load(tmp_path / "model.npz")
    del header["training"]["corpus"]["split"]
    checkpoint.save(tmp_path / "model.npz", header, arrays)
    for epochs in ("0.2", "0.3"):  # the checkpoint still has no rules after resuming
        printed = train(text, "--epochs", epochs, "--resume")
        assert "Held out    the last part of the text" in printed
        assert "4,500 tokens for training, 500 for validation" in printed


def test_the_seed_does_not_change_the_held_out_lines(train, tmp_path):
    """They depend on the text and the share alone."""
    found = set()
    for seed in ("1", "2"):
        train(
            "".join(f"x{number} a b\n" for number in range(400)),
            "--epochs",
            "0.1",
            "--hidden-size",
            "8",
            "--seed",
            seed,
        )
        found.add(tuple(checkpoint.read_header(tmp_path / "model.npz")["vocabulary"]["tokens"]))
    assert len(found) == 1


def test_baselines_of_eval_are_trained_on_the_models_training_part(train, ask, tmp_path):
    """Words that occur only in the held-out blocks are unknown to both."""
    text = "".join(f"x{number} a b\n" for number in range(400))
    train(text, "--epochs", "0.1", "--hidden-size", "8")
    path = str(tmp_path / "text.txt")
    found = ask("eval", path, "--baseline", "1", "--baseline-corpus", path)
    learnt = checkpoint.read_header(tmp_path / "model.npz")["training"]["corpus"]["train_tokens"]
    assert found["oov"] == (1600 - learnt) / 4
    unknown = found["perplexity"] - found["perplexity_excluding_oov"]
    assert unknown != 0
    ngram = found["baselines"][0]
    assert ngram["vocabulary"] == 3 + 2 + 400 - found["oov"]


def test_learning_a_text_by_heart_gives_no_advice_about_the_learning_rate(train):
    for text in (SENTENCE, "hello"):
        assert "learning rate is too high" not in train(text)


# Batches of whole sentences


@pytest.mark.parametrize("lengths", [[17_000], [17_000, *[9] * 1000], [*[9] * 1000, *[2_000] * 5]])
def test_a_very_long_sentence_does_not_fill_a_batch_with_padding(lengths):
    ids = np.concatenate([[*[5] * (length - 1), EOS] for length in lengths])
    batches = SentenceBatches(IdSequence(ids), 16, 32, seed=1)
    read = [batches.batch(0, number) for number in range(batches.per_epoch)]
    assert sum((batch.targets != NOT_PREDICTED).sum() for batch in read) == (ids != EOS).sum()
    assert max(len(batch.inputs) for batch in read) <= 300
    assert sum(batch.inputs.size for batch in read) < 4 * len(ids)
    # An evaluation reads it as a whole.
    measured = SentenceBatches(IdSequence(ids), 16, 32, seed=1, shuffle=False)
    read = [measured.batch(0, number) for number in range(measured.per_epoch)]
    assert sum((batch.targets != NOT_PREDICTED).sum() for batch in read) == (ids != EOS).sum()
    assert max(len(batch.inputs) for batch in read) == max(lengths) + 1
    assert sum(batch.inputs.size for batch in read) < 4 * len(ids)
