"""Training and evaluation on real texts: English and Chinese, characters and words, held-out files."""

import numpy as np
import pytest

pytestmark = pytest.mark.real_text
SMALL = ["--hidden-size", "64", "--embedding-size", "32", "--threads", "2"]


def train_and_evaluate(rnnlm, corpus, held_out, model, *options: str) -> dict:
    rnnlm("train", corpus, "-o", model, *SMALL, *options)
    return rnnlm("eval", held_out, "-m", model, "--json").json


def tail(path, folder, share: float):
    """Write the last part of a text to a file."""
    text = path.read_text(encoding="utf-8")
    held_out = folder / "held-out.txt"
    held_out.write_text(text[int(len(text) * (1 - share)) :], encoding="utf-8")
    return held_out


def entropy_of_characters(path) -> float:
    """Return the entropy of single characters in nats, given their frequencies."""
    _, counts = np.unique(np.array(list(path.read_text(encoding="utf-8"))), return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def test_a_character_model_of_english_is_much_better_than_frequencies(data_dir, tmp_path, rnnlm):
    corpus = data_dir / "tinyshakespeare.txt"
    held_out = tail(corpus, tmp_path, 0.1)
    result = train_and_evaluate(
        rnnlm, corpus, held_out, tmp_path / "m.npz", "--level", "char", "--epochs", "0.4", "--lr", "0.01"
    )
    assert result["tokens"] == result["characters"] == len(held_out.read_text(encoding="utf-8"))
    assert result["oov"] == 0
    assert result["nats_per_token"] < 0.75 * entropy_of_characters(held_out)
    assert result["bits_per_char"] == pytest.approx(result["nats_per_token"] / np.log(2))


@pytest.mark.parametrize(("level", "part"), [("char", 8), ("word", 24)])
def test_a_chinese_novel_is_learnt_by_characters_and_by_words_of_jieba(level, part, data_dir, tmp_path, rnnlm):
    corpus = tmp_path / "part.txt"
    text = (data_dir / "hongloumeng.txt").read_text(encoding="utf-8")
    lines = text[: len(text) // part].splitlines()
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = train_and_evaluate(
        rnnlm, corpus, corpus, tmp_path / "m.npz", "--level", level, "--epochs", "1.5", "--lr", "0.01"
    )
    kept = lines if level == "char" else [" ".join(line.split()) for line in lines if line.strip()]
    assert result["characters"] == sum(len(line) + 1 for line in kept)
    assert 0 < result["bits_per_char"] < 0.95 * entropy_of_characters(corpus) / np.log(2)
    sampled = rnnlm("sample", "-m", tmp_path / "m.npz", "--length", "30", "--seed", "1").out
    assert not any(a.isspace() and b.isspace() for a, b in zip(sampled.strip(), sampled.strip()[1:], strict=False))


def test_the_bible_is_learnt_by_words_with_a_validation_file(data_dir, tmp_path, rnnlm):
    folder = data_dir / "kjv"
    part = tmp_path / "train.txt"
    lines = (folder / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    part.write_text("".join(lines[::12]), encoding="utf-8")
    held_out = {}
    for name in ("valid", "test"):
        held_out[name] = tmp_path / f"{name}.txt"
        text = "".join((folder / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True)[:200])
        held_out[name].write_text(text, encoding="utf-8")
    result = train_and_evaluate(
        rnnlm, part, held_out["test"], tmp_path / "m.npz", "--valid", str(held_out["valid"]), "--epochs", "1"
    )
    assert result["tokens"] == len(text.split()) + len([line for line in text.splitlines() if line.strip()])
    assert result["oov"] > 0
    assert result["perplexity_excluding_oov"] < 600  # a unigram model has at best 327, an untrained network 5,000
    assert rnnlm("info", tmp_path / "m.npz", "--json").json["vocabulary"] == 3 + len(
        {w for line in lines[::12] for w in line.split()}
    )
