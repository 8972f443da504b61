"""`rnnlm decode`: candidates, pinyin and corrections; errors are reported and earlier results kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlm as library
from rnnlm.cli import run
from rnnlm.cli.decode import decode
from rnnlm.decoding import BEAM, REPLACEMENT_PENALTY

CORPORA = Path(__file__).parents[2] / "corpora"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Trigram models of the Chinese sentences, by words and by characters."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_CACHE", str(folder / "cache"))
        for level in ("word", "char"):
            words = ["ngram", "train", CORPORA / "chinese.txt", "--level", level, "-o", folder / f"{level}.npz"]
            assert run([*map(str, words), "--order", "3"]) == 0
    return {level: str(folder / f"{level}.npz") for level in ("word", "char")}


@pytest.mark.parametrize("level", ["word", "char"])
def test_the_best_candidates_of_a_plain_line_are_chosen(level, models, rnnlm):
    printed = rnnlm("decode", "--text", "我|握 昨天|作田 上学| 吃到|迟到 了", "-m", models[level])
    assert printed.out == "我昨天上学迟到了\n"
    assert printed.err == ""


def test_the_n_best_texts_have_their_totals(models, rnnlm):
    model = library.load(models["word"])
    out = rnnlm("decode", "--text", "我|你 昨天", "--text", "他", "-k", "3", "-m", models["word"]).out
    first, second = (block.splitlines() for block in out.split("\n\n"))
    for line in [*first, *second]:
        total, text = line.split()
        assert float(total) == pytest.approx(model.score(text).logprob_nats, abs=1e-4)
    assert [line.split()[1] for line in first] == ["我昨天", "你昨天"]
    assert [line.split()[1] for line in second] == ["他"]


def test_scores_are_added_to_those_of_the_model(models, rnnlm):
    for score, wanted in (("0", "我"), ("-30", "握")):
        line = f"我:{score}|握:0 昨天:0"
        answer = rnnlm("decode", "--scores", "--text", line, "-m", models["char"], "--json").json
        assert answer["text"] == f"{wanted}昨天"
        for each in answer["candidates"]:
            assert each["total_nats"] == pytest.approx(each["logprob_nats"] + each["score"])
    assert rnnlm("decode", "--scores", "--text", "我:-30|握:0", "-m", models["char"], "--lm-weight", "30").out == "我\n"


def test_json_can_be_read_and_written(models, rnnlm, tmp_path):
    path = tmp_path / "lattices.jsonl"
    positions = {"id": "a", "positions": [["我", {"text": "握", "score": 1}], ["昨天"]]}
    arcs = {"arcs": [{"start": 0, "end": 2, "text": "昨天"}, {"start": 0, "end": 1, "text": "作", "score": -1},
                     {"start": 1, "end": 2, "text": "天"}]}  # fmt: skip
    path.write_text(f"{json.dumps(positions)}\n{json.dumps(arcs)}\n", encoding="utf-8")
    first, second = rnnlm("decode", path, "--format", "json", "-m", models["word"], "-k", "5", "--json").objects
    assert (first["id"], first["text"], len(first["candidates"])) == ("a", "我昨天", 2)
    assert [each["tokens"] for each in second["candidates"]] == [["昨天"], ["作", "天"]]
    assert "id" not in second
    assert set(first["candidates"][0]) == {"text", "tokens", "logprob_nats", "score", "total_nats"}


def test_the_python_api_finds_the_same_as_the_command(models, rnnlm):
    options = ["--before", "我", "--unfinished", "--word-penalty", "0.5", "--oov-penalty", "-3", "--beam", "4"]
    answer = rnnlm("decode", "--text", "昨天|龘 上学|", *options, "-k", "4", "-m", models["word"], "--json").json
    settings = {"before": "我", "ended": False, "word_penalty": 0.5, "oov_penalty": -3, "beam": 4}
    found = library.load(models["word"]).decode([["昨天", "龘"], ["上学", ""]], k=4, **settings)
    assert answer["candidates"] == [each._asdict() for each in found]


def test_command_and_python_api_have_the_same_defaults():
    defaults = {parameter.name: parameter.default for parameter in decode.params}
    assert (defaults["beam"], defaults["replacement_penalty"]) == (BEAM, REPLACEMENT_PENALTY)


@pytest.mark.parametrize("level", ["word", "char"])
def test_pinyin_and_corrections(level, models, rnnlm, tmp_path):
    pytest.importorskip("pypinyin")
    asked = rnnlm("decode", "--pinyin", "--text", "wo zuotian shangxue chidaole", "-m", models[level], "--json").json
    assert (asked["pinyin"], asked["text"]) == ("wo zuotian shangxue chidaole", "我昨天上学迟到了")
    answer = rnnlm("decode", "--homophones", "--text", "我昨天上学吃到了。", "-m", models[level], "--json").json
    assert (answer["written"], answer["text"]) == ("我昨天上学吃到了。", "我昨天上学迟到了。")
    table = tmp_path / "table.txt"
    table.write_text("吃迟\n", encoding="utf-8")
    for penalty, text in (("1", "我昨天上学迟到了。"), ("99", "我昨天上学吃到了。")):
        words = ["--confusions", table, "--replacement-penalty", penalty, "--text", "我昨天上学吃到了。"]
        assert rnnlm("decode", *words, "-m", models[level]).out == f"{text}\n"


def test_a_line_is_answered_at_once(models):
    """A line that is not a lattice ends the program after the previous lines were answered."""
    command = [sys.executable, "-m", "rnnlm", "decode", "-", "-m", models["char"]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, encoding="utf-8") as program:
        for line in ("我|握 昨天", "", "天"):
            program.stdin.write(f"{line}\n")
            program.stdin.flush()
            assert program.stdout.readline() == f"{line.replace('|握 ', '')}\n"
        out, err = program.communicate("我\na\\\n")
    assert out == "我\n"
    assert err.startswith("Error: Line 5 of standard input: It ends with a backslash")
    assert program.returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give a FILE"),
        (["a.txt", "--text", "b"], "Give a FILE"),
        (["--text", "a", "--pinyin", "--homophones"], "leave one out"),
        (["--text", "a", "--pinyin", "--replacement-penalty", "3"], "leave one out"),
        (["--text", "a", "--replacement-penalty", "3"], "needs --homophones or --confusions"),
        (["--text", "a", "--pinyin", "--format", "json"], "--format json is for candidates"),
        (["--text", "a", "--homophones", "--format", "json"], "--format json is for candidates"),
        (["--text", "a", "--scores", "--format", "json"], "--scores is for plain candidates"),
        (["--text", "a", "--scores", "--pinyin"], "--scores is for plain candidates"),
        (["--text", "a", "-k", "0"], "-k"),
    ],
)
def test_incompatible_options_are_refused(words, said, models, rnnlm):
    assert said in rnnlm("decode", *words, "-m", models["char"], code=2).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--text", "a:1|b", "--scores"], "Line 1 of --text: The candidate 'b' has no score"),
        (["missing.txt"], "missing.txt does not exist"),
        (["--text", "a", "--confusions", "missing.txt"], "missing.txt does not exist"),
        (["--text", "{}", "--format", "json"], "Line 1 of --text: It is {}; expected an object with a list"),
    ],
)
def test_unreadable_input_is_refused(words, said, models, rnnlm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in rnnlm("decode", *words, "-m", models["char"], code=1).last
