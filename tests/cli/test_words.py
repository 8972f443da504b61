"""Words on the command line: prompts of several words, typing errors, missing arguments, durations."""

import json

import click
import pytest

from rnnlm.cli import run
from rnnlm.cli.declared import Duration

TEXT = "我 昨天 上学 迟到 了\n老师 批评 了 我\n" * 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    arguments = ["--hidden-size", "8", "--epochs", "2", "--threads", "1", "-o", str(folder / "m.npz")]
    assert run(["train", str(folder / "text.txt"), *arguments]) == 0
    return str(folder / "m.npz")


def answer(rnnlm, *arguments: str) -> str:
    printed = rnnlm(*arguments)
    assert not printed.err
    return printed.out


# --- several words ------------------------------------------------------------------------------------------------


def test_a_text_to_predict_may_be_several_words(model, rnnlm):
    expected = answer(rnnlm, "predict", "我 昨天 上学", "-m", model, "-k", "3", "--json")
    assert json.loads(expected)["context"] == "我 昨天 上学"
    assert answer(rnnlm, "predict", "我", "昨天", "上学", "-m", model, "-k", "3", "--json") == expected
    assert answer(rnnlm, "predict", "我", "-k", "3", "昨天", "-m", model, "上学", "--json") == expected


def test_a_prompt_can_be_given_as_several_arguments(model, rnnlm):
    more = ["-m", model, "--seed", "1", "--length", "5"]
    expected = answer(rnnlm, "sample", "--prompt", "我 昨天", *more)
    assert expected.startswith("我 昨天")
    assert answer(rnnlm, "sample", "我 昨天", *more) == expected
    assert answer(rnnlm, "sample", "我", *more, "昨天") == expected
    assert answer(rnnlm, "sample", *more) != expected


def test_an_argument_outranks_a_prompt_in_the_environment(model, rnnlm, monkeypatch):
    monkeypatch.setenv("RNNLM_SAMPLE_PROMPT", "老师")
    more = ["-m", model, "--seed", "1", "--length", "2"]
    assert answer(rnnlm, "sample", *more).startswith("老师")
    assert answer(rnnlm, "sample", "我", *more).startswith("我")


def test_a_prompt_as_option_and_argument_is_refused(model, rnnlm):
    assert "give one of them" in rnnlm("sample", "我", "--prompt", "我", "-m", model, code=2).err


# --- typing errors and missing arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian", "train"),
        ("Train", "train"),
        ("evaluate", "eval"),
        ("smaple", "sample"),
        ("ngram trian", "train"),
        ("lab gradfow", "gradflow"),
        ("lab bppt", "bptt"),
        ("train --epoch 3 x.txt", "--epochs"),
        ("sample --promt x", "--prompt"),
        ("lab unroll x --hidden-sizes 3", "--hidden-size"),
    ],
)
def test_a_misspelt_command_or_option_gets_a_suggestion(typed, meant, rnnlm):
    *_, last = rnnlm(*typed.split(), code=2).err.splitlines()
    assert "Did you mean" in last
    assert meant in last.partition("Did you mean")[2]


@pytest.mark.parametrize("group", [[], ["ngram"], ["lab"]])
def test_an_unrecognisable_command_gets_no_suggestion(group, rnnlm):
    *_, last = rnnlm(*group, "qqqqqq", code=2).err.splitlines()
    assert last == "Error: No such command 'qqqqqq'."


@pytest.mark.parametrize("command", ["train", "predict", "fill", "ngram train", "import", "lab pairs", "lab gradflow"])
def test_a_missing_argument_is_reported_with_an_example(command, rnnlm):
    *_, last = rnnlm(*command.split(), code=2).err.splitlines()
    assert last.startswith("Error: Missing argument ")
    assert f"For example: rnnlm {command} " in last
    assert "   " not in last


def test_rnnlm_without_arguments_shows_its_commands(rnnlm):
    shown = rnnlm(code=2).err
    assert "rnnlm train corpus.txt" in shown
    assert "Commands:" in shown


# --- durations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        *[("90", 90), ("0.5", 0.5), ("90s", 90), ("90 sec", 90), ("1 second", 1), ("10m", 600), ("5min", 300)],
        *[("5 Minutes", 300), ("1.5h", 5400), (".5h", 1800), ("2 hours", 7200), ("1hr", 3600), ("1h30m", 5400)],
        *[("1h 30min", 5400), ("1h30s", 3630), ("2m 30s", 150), ("1H30M15S", 5415)],
    ],
)
def test_durations_are_read_in_common_spellings(typed, seconds):
    assert Duration().convert(typed, None, None) == seconds


@pytest.mark.parametrize(
    "typed", ["", "0s", "0h0m", "-5m", "1:30", "1h30", "30m1h", "5m5m", "m", "soon", "5 mins ago", "1d", "nan", "infh"]
)
def test_other_texts_are_refused_with_the_valid_spellings(typed):
    with pytest.raises(click.UsageError, match="is not a duration; write 90s, 10m, 5min,") as caught:
        Duration().convert(typed, None, None)
    assert repr(typed) in caught.value.format_message()


def test_arguments_are_joined_without_spaces_if_a_character_model_has_no_space(tmp_path, rnnlm):
    text = tmp_path / "text.txt"
    text.write_text("我昨天上学迟到了\n" * 30, encoding="utf-8")
    model = str(tmp_path / "m.npz")
    rnnlm("ngram", "train", text, "--level", "char", "-o", model)
    for words in (["我", "昨天", "上学"], ["我昨天上学"]):
        printed = rnnlm("predict", "-m", model, "-k", "1", "--json", *words)
        assert printed.err == ""
        assert '"token": "迟"' in printed.out
    assert rnnlm("sample", "-m", model, "--temperature", "0", "我", "昨天", "--length", "3").out.startswith(
        "我昨天上学迟"
    )


def test_predict_suggests_fill_for_a_blank_within_the_text(tmp_path, rnnlm):
    text = tmp_path / "text.txt"
    text.write_text("we saw the ferry today\n" * 30, encoding="utf-8")
    rnnlm("ngram", "train", text, "-o", tmp_path / "m.npz")
    assert "rnnlm fill" in rnnlm("predict", "-m", tmp_path / "m.npz", "we saw the ____ today").err
