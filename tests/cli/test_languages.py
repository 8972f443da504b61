"""Messages in Chinese and English: same figures, same JSON, and no missing or unused translation."""

import ast
import inspect
import json
import re
import string
from pathlib import Path

import click
import pytest

from rnnlm.cli import COMMANDS, cli
from rnnlm.cli import run as run_command
from rnnlm.cli.chinese import CHINESE
from rnnlm.cli.lab import lab
from rnnlm.cli.languages import SETTINGS, language, tr
from rnnlm.lab.memory import KINDS
from tests.cli.lab_commands import run

ROOT = Path(__file__).parents[2]
ARTICLE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"
LABORATORY = [
    ["pairs", ARTICLE],
    ["onehot", ARTICLE],
    ["softmax", "1", "2", "3", "4"],
    ["softmax", "1000", "1"],
    ["loss"],
    ["gradcheck", ARTICLE],
    ["unroll", ARTICLE],
    ["unroll", ARTICLE, "--bidirectional", "--num-layers", "2"],
    ["bptt", ARTICLE],
    ["bptt", ARTICLE, "--num-layers", "2", "--loss", "mse"],
    ["bptt", ARTICLE, "--hidden-size", "20"],
    ["gradflow", ARTICLE],
    ["gradflow", ARTICLE, "--cell", "lstm"],
    ["gradflow", ARTICLE, "--cell", "mingru", "--num-layers", "2"],
    ["gradflow", ARTICLE, "--compare", "cells", "--clip", "0"],
    ["explode"],
    ["explode", "--activation", "tanh"],
]
# Words that are the same in both languages: names of functions, cells, parameters and options.
SAME = {
    *("softmax", "tanh", "relu", "sigmoid", "identity", "rnn", "lstm", "gru", "cifg", "mingru", "diag", "net", "delta"),
    *(
        "weight",
        "bias",
        "output",
        "initial",
        "state",
        "embedding",
        "unk",
        "max",
        "min",
        "NaN",
        "nat",
        "inf",
        "hot",
        "one",
    ),
    *("clip", "seed", "trained", "sentence", "stream", "uniform"),
}


def words(text):
    return set(re.findall(r"[A-Za-z]{3,}", text))


@pytest.mark.parametrize("arguments", LABORATORY, ids=" ".join)
def test_the_laboratory_gives_the_same_answers_in_chinese(arguments):
    english, chinese = run(*arguments), run(*arguments, "--lang", "zh")
    both = [each.stdout + each.stderr for each in (english, chinese)]
    assert words(both[1]) <= SAME, words(both[1]) - SAME
    assert words(both[0]) - SAME, "control: English is seen"
    numbers = [sorted(re.findall(r"\d+\.\d+(?:e[+-]?\d+)?", text)) for text in both]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("arguments", LABORATORY, ids=" ".join)
def test_json_is_the_same_in_every_language(arguments):
    assert run(*arguments, "--json").stdout == run(*arguments, "--json", "--lang", "zh").stdout


def documented():
    """Return the first paragraph of the help of every command."""

    def first(command):
        return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())

    with click.Context(cli) as context:
        every = [cli, *(cli.get_command(context, name) for name in COMMANDS)]
    return {first(command) for command in [*every, *lab.commands.values()]}


def written():
    """Return every string in the source of the command line, except the table of translations."""
    found = documented()
    for path in [*(ROOT / "rnnlm" / "cli").rglob("*.py")]:
        if path.name != "chinese.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            found |= {_text(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    return found


def _text(node):
    """Return an f-string as text, with NUL characters in the place of expressions."""
    return "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)


def test_every_translation_is_used():
    texts = written()
    said = (
        texts
        | {f"{{n}} {text}" for text in texts}
        | {
            "tokens",
            "words",
            "chars",
            "all",
            "{n} blocks spread over the text",
            "the last lines of the text",
            *(f"{kind}, " for kind in KINDS.values()),
        }
    )
    patterns = [re.compile(re.escape(text).replace("\0", "[a-z-]+")) for text in said if "\0" in str(text)]
    left = {key for key in CHINESE if key not in said and not any(p.fullmatch(key) for p in patterns)}
    assert left == set()


def test_a_translation_has_the_fields_of_its_original():
    for english, chinese in CHINESE.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        unsaid = {"unit"} if "frequencies" in english else set()  # the Chinese text needs no unit
        assert fields[0] - unsaid == fields[1], english


def test_every_translated_literal_is_in_the_table():
    missing = set()
    for path in (ROOT / "rnnlm" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("tr", "counted") and node.args:
                counted = node.func.id == "counted"
                argument = node.args[counted]
                if isinstance(argument, ast.Constant):
                    missing |= {f"{{n}} {argument.value}" if counted else argument.value} - set(CHINESE)
    assert missing == set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_environment_sets_the_language(settings, expected, monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert language() == expected
    assert tr("sum") == {"en": "sum", "zh": "合计"}[expected]


def test_lang_outranks_rnnlm_lang_which_outranks_the_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "合计" in run("softmax", "1", "2").stdout
    assert "合计" not in run("softmax", "1", "2", "--lang", "en").stdout
    monkeypatch.setenv("RNNLM_LANG", "en")
    assert "合计" not in run("softmax", "1", "2").stdout
    assert "合计" in run("softmax", "1", "2", "--lang", "zh").stdout
    assert "--lang" in run("softmax", "1", "--lang", "fr", code=2).stderr


@pytest.mark.parametrize(
    "path", [(), *((name,) for name in ("train", "predict", "eval", "lab")), ("lab", "bptt")], ids=" ".join
)
def test_help_starts_in_chinese(path, capsys):
    assert run_command(["--lang", "zh", *path, "--help"]) == 0
    first = capsys.readouterr().out.split("\n\n")[1]
    assert re.search("[\u4e00-\u9fff]", first)
    assert run_command([*path, "--help"]) == 0
    assert not re.search("[\u4e00-\u9fff]", capsys.readouterr().out.split("\n\n")[1])


def test_a_training_reports_in_chinese_and_answers_are_the_same(corpus, tmp_path, capsys):
    small = ["--epochs", "1", "--hidden-size", "4", "--threads", "1"]
    assert run_command(["--lang", "zh", "train", str(corpus), "-o", str(tmp_path / "zh.npz"), *small]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    for label in ("文本 ", "词表 ", "网络 ", "训练 ", "等价命令 ", "已保存 ", "困惑度"):
        assert label in told.err
    assert run_command(["train", str(corpus), "-o", str(tmp_path / "en.npz"), *small]) == 0
    assert "Vocabulary " in capsys.readouterr().err
    assert (tmp_path / "zh.npz").read_bytes() == (tmp_path / "en.npz").read_bytes()
    answers = []
    for lang in ("zh", "en"):
        assert run_command(["predict", "unheard", "-m", str(tmp_path / "en.npz"), "--lang", lang]) == 0
        answers.append(capsys.readouterr())
    assert answers[0].out == answers[1].out
    assert "警告：词表里没有" in answers[0].err
    assert "Warning: not in the vocabulary" in answers[1].err
    assert run_command(["eval", str(corpus), "-m", str(tmp_path / "en.npz"), "--lang", "zh", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] > 0
