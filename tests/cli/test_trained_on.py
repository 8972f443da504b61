"""`rnnlm eval` warns if a model was trained on the text that it is measured on."""

import gzip
from pathlib import Path

import pytest

from rnnlm.storage import checkpoint

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20
SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1", "--epochs", "0.5"]
SENTENCE = "The model was trained on this text"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rnnlm) -> Path:
    """Texts a, b, c; m.npz was trained on a and b, n.npz (n-grams) on c, v.npz on c with validation on a."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNNLM_MODEL", "m.npz")
    for name, word in (("a", "April"), ("b", "May"), ("c", "June")):
        Path(f"{name}.txt").write_text(TEXT.replace("April", word))
    rnnlm("train", "a.txt", "b.txt", "-o", "m.npz", *SMALL)
    rnnlm("train", "c.txt", "--valid", "a.txt", "-o", "v.npz", *SMALL)
    rnnlm("ngram", "train", "c.txt", "-o", "n.npz")
    return tmp_path


def answers(rnnlm, *arguments: str) -> tuple[str, dict]:
    """Return the first line of the printed answer, and the answer as JSON."""
    return rnnlm("eval", *arguments).out.splitlines()[0], rnnlm("eval", *arguments, "--json").json


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (["a.txt", "b.txt"], True),
        (["a.txt"], True),
        (["b.txt"], True),
        (["c.txt", "b.txt"], True),
        (["c.txt"], False),
        (["a.txt", "-m", "v.npz"], False),  # a was only its validation text
        (["c.txt", "-m", "v.npz"], True),
        (["c.txt", "-m", "n.npz"], True),
        (["a.txt", "-m", "n.npz"], False),
    ],
)
def test_training_texts_are_recognised_in_the_table_and_the_json(arguments, known, rnnlm):
    first, answer = answers(rnnlm, *arguments)
    assert first.startswith(SENTENCE) is known
    assert answer["trained_on_this_text"] is known
    assert len(first) <= 80


def test_a_copy_of_a_training_text_is_recognised(rnnlm):
    Path("again.txt").write_bytes(Path("a.txt").read_bytes())
    assert answers(rnnlm, "again.txt")[1]["trained_on_this_text"] is True


def test_the_json_has_null_if_the_checkpoint_does_not_record_its_texts(rnnlm):
    header, arrays = checkpoint.load("m.npz")
    del header["training"]["corpus"]["files"]  # as earlier versions wrote it
    checkpoint.save("m.npz", header, arrays)
    assert answers(rnnlm, "a.txt", "b.txt")[1]["trained_on_this_text"] is True
    first, answer = answers(rnnlm, "a.txt")
    assert answer["trained_on_this_text"] is None
    assert first.startswith("tokens")


def test_baselines_and_models_of_a_mixture_are_named(rnnlm):
    first, answer = answers(rnnlm, "c.txt", "--baseline", "n.npz")
    assert first.startswith("n.npz was trained on this text")
    assert answer["trained_on_this_text"] is False
    assert [row["trained_on_this_text"] for row in answer["baselines"]] == [True]
    first, answer = answers(rnnlm, "c.txt", "--mix", "n.npz:0.5")
    assert first.startswith("n.npz was trained on this text")
    assert answer["trained_on_this_text"] is True
    assert [row["trained_on_this_text"] for row in answer["mixture"]] == [False, True]
    first, answer = answers(rnnlm, "a.txt", "--baseline", "2", "--baseline-corpus", "a.txt")
    assert first.startswith(SENTENCE)
    assert [row["trained_on_this_text"] for row in answer["baselines"]] == [True, True]


def test_tuning_on_a_training_text_gives_a_warning(rnnlm):
    for text, warned in (("c.txt", True), ("d.txt", False)):
        Path("d.txt").write_text(TEXT.replace("April", "July"))
        assert (
            "give --tune a text that none of them has seen"
            in rnnlm("eval", "d.txt", "--mix", "n.npz", "--tune", text).err
        ) is warned


def test_the_json_has_null_for_an_arpa_file(rnnlm):
    rnnlm("ngram", "train", "c.txt", "-o", "x.npz", "--arpa", "x.arpa")
    _, answer = answers(rnnlm, "c.txt", "--baseline", "x.arpa")
    assert [row["trained_on_this_text"] for row in answer["baselines"]] == [None]


@pytest.mark.parametrize("change", ["gzip", "crlf", "bom", "utf-16", "no last newline"])
def test_the_same_text_in_another_encoding_or_compression_is_recognised(change, tmp_path, rnnlm):
    text = "".join(f"we saw ferry {number} today\n" for number in range(60))
    changed = {
        "gzip": gzip.compress(text.encode()),
        "crlf": text.replace("\n", "\r\n").encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "no last newline": text.rstrip("\n").encode(),
    }
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(changed[change])
    for learnt, asked in (("a", "b"), ("b", "a")):
        model = str(tmp_path / f"{learnt}.npz")
        rnnlm("ngram", "train", tmp_path / f"{learnt}.txt", "-o", model)
        assert rnnlm("eval", "-m", model, tmp_path / f"{asked}.txt", "--json").json["trained_on_this_text"] is True
    (tmp_path / "c.txt").write_text(text.replace("today", "now"), encoding="utf-8")
    assert rnnlm("eval", "-m", model, tmp_path / "c.txt", "--json").json["trained_on_this_text"] is False
