"""`rnnlm predict --why` shows which tokens decide, in a table and as JSON."""

import itertools
import random

import pytest

from rnnlm.cli import run

SUBJECTS = ["我", "你", "他", "她", "小明", "小红"]
DAYS = ["昨天", "今天", "前天", "上周"]
DEEDS = ["迟到", "旷课", "睡觉", "说话"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network and a bigram model of lines whose last word is their first."""
    folder = tmp_path_factory.mktemp("why")
    lines = [f"{who} {day} {did} ， 批评 了 {who}\n" for who, day, did in itertools.product(SUBJECTS, DAYS, DEEDS)]
    random.Random(0).shuffle(lines)
    (folder / "text.txt").write_text("".join(lines) * 12, encoding="utf-8")
    text, level = str(folder / "text.txt"), ["--level", "token"]
    options = ["--epochs", "40", "--dropout", "0", "--hidden-size", "32", "--threads", "1", "--seed", "1"]
    assert run(["train", text, "-o", str(folder / "lstm.npz"), *level, *options]) == 0
    assert run(["ngram", "train", text, "-o", str(folder / "bigram.npz"), *level, "--order", "2"]) == 0
    return folder


@pytest.mark.parametrize("who", SUBJECTS)
def test_the_subject_that_decides_has_the_most_bits(who, folder, rnnlm):
    found = rnnlm("predict", "--why", "--json", f"{who} 昨天 迟到 ， 批评 了", "-m", folder / "lstm.npz").json["why"]
    assert found["token"] == who
    words = found["words"]
    assert max(words, key=lambda word: word["bits"])["token"] == who
    assert words[0]["bits"] > 3
    assert words[0]["answer"] != who


def test_a_bigram_depends_on_the_last_word_alone(folder, rnnlm):
    words = rnnlm("predict", "--why", "--json", "我 昨天 迟到 ， 批评 了", "-m", folder / "bigram.npz").json["why"][
        "words"
    ]
    assert [word["bits"] for word in words[:-1]] == [0] * 5
    assert words[-1]["bits"] != 0


def test_the_table_shows_the_values_of_the_json(folder, rnnlm):
    arguments = ["我 昨天 迟到 ， 批评 了", "-m", folder / "lstm.npz", "-k", "3"]
    candidates, table = rnnlm("predict", "--why", *arguments).out.split("\n\n")
    assert f"{candidates}\n" == rnnlm("predict", *arguments).out
    first, header, *rows = table.splitlines()
    assert first.startswith("Bits for 我")
    assert header.split()[:2] == ["token", "bits"]
    words = rnnlm("predict", "--why", "--json", *arguments).json["why"]["words"]
    assert len(rows) == len(words)
    for row, word in zip(rows, words, strict=True):
        token, bits, *_ = row.split()
        assert (token, float(bits)) == (word["token"], pytest.approx(word["bits"], abs=0.006))
        assert bits[0] in "+-"
        assert bits != "-0.00"
        assert row.endswith(f"with {word['substitute']}: {word['answer']} {word['probability']:.2f}")
    marks = [row.count("█") for row in rows]
    assert marks.index(max(marks)) == 0


def test_the_json_has_the_key_why_only_on_request(folder, rnnlm):
    plain = rnnlm("predict", "我", "--json", "-m", folder / "lstm.npz").json
    assert "why" not in plain
    asked = rnnlm("predict", "--why", "我", "--json", "-m", folder / "lstm.npz").json
    assert asked.pop("why")["words"][0].keys() == {"token", "bits", "substitute", "answer", "probability"}
    assert asked == plain


def test_tokens_that_were_not_examined_are_reported(folder, rnnlm):
    told = rnnlm("predict", "--why", "我 " * 70, "-m", folder / "bigram.npz")
    assert told.err == "--why examined the last 64 of 70 tokens.\n"
    assert len(told.out.split("\n\n")[1].splitlines()) == 2 + 64
    told = rnnlm("predict", "--why", "", "-m", folder / "bigram.npz")
    assert "nothing to examine" in told.err
    assert "Bits" not in told.out
    assert "--each" in rnnlm("predict", "--why", "--each", "我", "-m", folder / "bigram.npz", code=2).err
