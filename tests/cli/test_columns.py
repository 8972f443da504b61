"""--column, and messages about files that are not plain text."""

import json

import pytest

ROWS = [("1", "a b c", "pos"), ("2", "b c a", "neg"), ("3", "c a b", "pos")] * 30
SMALL = ["--epochs", "0.2", "--hidden-size", "8", "--threads", "1"]


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The same rows in three formats, and their text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("id,text,label\n" + "".join(",".join(row) + "\n" for row in ROWS))
    (tmp_path / "t.tsv").write_text("".join("\t".join(row) + "\n" for row in ROWS))
    keys = ("id", "text", "label")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS))
    (tmp_path / "plain.txt").write_text("".join(row[1] + "\n" for row in ROWS))


@pytest.mark.parametrize(("name", "column"), [("t.csv", "text"), ("t.tsv", "2"), ("t.jsonl", "text")])
def test_train_ngram_and_eval_read_a_column(tables, name, column, rnnlm):
    printed = rnnlm("train", name, "--column", column, *SMALL).err
    assert "Vocabulary  6 words" in printed  # with the special tokens
    assert f"column {column} is read" in printed
    assert "Vocabulary  6 words" in rnnlm("ngram", "train", name, "--column", column).err
    figures = []
    for arguments in ([name, "--column", column], ["plain.txt"]):
        figures.append(rnnlm("eval", *arguments, "--json", "-m", "ngram.npz").json)
    keys = ("tokens", "oov", "characters", "logprob_nats")
    assert [figures[0][key] for key in keys] == [figures[1][key] for key in keys]
    rnnlm("train", name, "--column", column, "--resume", "--epochs", "0.4")
    assert "--column" in rnnlm("train", name, "--resume", "--epochs", "0.6", code=1).err


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_without_column_a_hint_names_the_option(tables, name, rnnlm):
    (line,) = [line for line in rnnlm("train", name, *SMALL).err.splitlines() if "--column" in line]
    assert name in line
    assert ("text" if name != "t.tsv" else "a b c") in line
    assert "--column" in rnnlm("eval", name).err


def test_an_unknown_column_is_refused_in_one_sentence(tables, rnnlm):
    assert "expected one of id, text, label" in rnnlm("train", "t.csv", "--column", "texts", *SMALL, code=1).err


def test_a_model_given_as_a_text_is_called_a_model_even_if_it_is_the_output_too(tables, rnnlm):
    rnnlm("train", "plain.txt", *SMALL)
    for command in (["train"], ["ngram", "train"]):
        for output in ([], ["-o", "rnnlm.npz"], ["-o", "other.npz"]):
            assert "is a model of rnnlm" in rnnlm(*command, "rnnlm.npz", *output, code=1).err
