"""Messages in Chinese and English: same figures, same JSON, and no missing or unused translation."""

import ast
import inspect
import json
import re
import string
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from rnnlm import train, train_ngram
from rnnlm.cli import COMMANDS as NAMED
from rnnlm.cli import cli
from rnnlm.cli import run as run_command
from rnnlm.cli.chat import figures
from rnnlm.cli.chinese import CHINESE, COMMANDS, COUNTED, MESSAGES
from rnnlm.cli.chinese_answers import ANSWERS
from rnnlm.cli.chinese_lab import LABORATORY as LABORATORY_TABLE
from rnnlm.cli.chinese_lab import TITLES
from rnnlm.cli.chinese_notes import NOTES
from rnnlm.cli.lab import lab
from rnnlm.cli.languages import SETTINGS, language, tr, translated
from rnnlm.lab.memory import KINDS
from rnnlm.sentences import Sentence
from rnnlm.training.advice import Advisor, Facts
from rnnlm.training.trainer import Report
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
        every = [cli, *(cli.get_command(context, name) for name in NAMED)]
    return {first(command) for command in [*every, *lab.commands.values()]}


def sources():
    """Yield the syntax tree of every module of the package, except the tables of translations."""
    for path in (ROOT / "rnnlm").rglob("*.py"):
        if not path.name.startswith("chinese"):
            yield ast.parse(path.read_text(encoding="utf-8"))


def translatable(tree):
    """Yield the calls whose first text is translated, and that text: an expression."""
    for node in ast.walk(tree):
        name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if name in ("tr", "counted", "Sentence") and len(node.args) > (name == "counted"):
            yield name, node.args[name == "counted"]


def written():
    """Return every string in the source, f-strings only where they are translated."""
    found = documented()
    for tree in sources():
        found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        for _, argument in translatable(tree):
            found |= {_text(node) for node in ast.walk(argument) if isinstance(node, ast.JoinedStr)}
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
    for tree in sources():
        for name, argument in translatable(tree):
            choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
            texts = [each.value for each in choices if isinstance(each, ast.Constant) and each.value]
            missing |= {f"{{n}} {text}" if name == "counted" else text for text in texts} - set(CHINESE)
    assert missing == set()


def test_the_tables_share_no_text():
    tables = [COMMANDS, COUNTED, MESSAGES, TITLES, LABORATORY_TABLE, ANSWERS, NOTES]
    assert sum(map(len, tables)) == len(CHINESE)


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


# --- what the other commands print beside the answers ---------------------------------------------------------------

LINES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。",
    "他 今天 没 迟到 ， 老师 表扬 了 他 。",
]
UNHEARD = "我 昨天 骑车 上学 。"
CANDIDATES = [*LINES[:2], f"{LINES[0]} 。", "", LINES[2], "他 今天 迟到 。", ""]
ANSWERING = [
    ["score", "some.txt"],
    ["score", "some.txt", "--tokens", "--base", "2"],
    ["score", "--text", LINES[0]],
    ["score", "some.txt", "--max-perplexity", "30"],
    ["score", "some.txt", "--format", "mikolov"],
    ["rescore", "lists.txt"],
    ["rescore", "lists.txt", "--ref", "ref.txt"],
    ["rescore", "lists.txt", "--ref", "ref.txt", "--output", "errors"],
    ["rescore", "single.txt", "--ref", "ref.txt"],
    ["eval", "some.txt"],
    ["eval", "text.txt", "--baseline", "2", "--baseline-corpus", "text.txt"],
    ["eval", "some.txt", "--cache", "20", "--dynamic"],
    ["eval", "some.txt", "--mix", "ngram.npz", "--tune", "text.txt"],
    ["eval", "some.txt", "--mix", "ngram.npz:0.3"],
    ["eval", "some.txt", "--baseline", "ngram.npz"],
    ["info"],
    ["info", "ngram.npz"],
    ["info", "both.npz"],
    ["info", "model.arpa"],
    ["predict", UNHEARD],
    ["predict", "--why", LINES[0]],
    ["predict", LINES[0], "--prefix", "零"],
    ["sample", "--beam", "40", "--count", "40", "--length", "1"],
    ["sample", "--seed", "1", "--length", "3", "--stop", "零"],
    ["fill", "我 昨天 ____ 了 。"],
    ["fill", "我 昨天 ____ 了 。", "-m", "both.npz"],
    ["decode", "--text", "我|他 昨天|今天 迟到"],
    ["plot", "history.jsonl"],
    ["plot", "history.jsonl", "history.jsonl", "--perplexity", "--x", "epoch"],
    ["plot", "--surprise", LINES[0]],
    ["plot", "--surprise", "text.txt"],
    ["plot", "--surprise", "none.txt"],
    ["plot", "--embedding", "--tokens", "9"],
    ["export", "--to", "onnx", "--force"],
    ["export", "--to", "npz", "--slim", "--force"],
    ["export", "--to", "html", "--force", "-m", "plain.npz"],
    ["import", "model.arpa", "-o", "again.npz", "--force"],
    ["ngram", "train", "text.txt", "-o", "trained.npz", "--force"],
]
# Names of files, options, marks and programs, values of options, and names of figures that other programs have, too.
NAMES = re.compile(r"\S*\.(?:npz|txt|jsonl|arpa|onnx|json|html)\b|--[a-z-]+|</?[a-z]+>|logprob_[a-z]+|ppl1?")
NAMES_OF_VALUES = {
    *("rnnlm", "fill", "eval", "predict", "TEXT", "SRILM", "ARPA", "SHA", "EM", "exp", "theta", "OOV", "UTF", "gram"),
    *("LSTM", "lstm", "rnn", "ngram", "token", "sentence", "full", "softmax", "tanh", "rms", "float32", "hypotheses"),
    *("nat", "nats", "bits", "dropout", "lowercase", "embedding", "weight", "None", "train", "char", "FILE", "log"),
}


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    """Return a folder with a network, n-gram models and texts, whose tokens are all Chinese."""
    folder = tmp_path_factory.mktemp("answering")
    small = {"hidden_size": 8, "embedding_size": 4, "epochs": 2, "threads": 1, "level": "token", "progress": False}
    model = train(text=LINES * 30, ngram=2, **small)
    model.save(folder / "rnnlm.npz")
    train(text=LINES * 30, ngram=0, **small).save(folder / "plain.npz")
    train(text=LINES * 30, bidirectional=True, **small).save(folder / "both.npz")
    train_ngram(text=LINES * 30, order=2, level="token").save(folder / "ngram.npz")
    history = "".join(json.dumps(report | {"seconds": 0.0}) + "\n" for report in model.history)
    texts = {
        "text.txt": LINES * 30,
        "some.txt": [*LINES, "", UNHEARD],
        "lists.txt": CANDIDATES,
        "single.txt": [LINES[0], "", UNHEARD, ""],
        "ref.txt": [LINES[0], LINES[2]],
    }
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "history.jsonl").write_text(history, encoding="utf-8")
    assert run_command(["ngram", "train", str(folder / "text.txt"), "-o", str(folder / "n.npz"), "--level", "token",
                        "--arpa", str(folder / "model.arpa")]) == 0  # fmt: skip
    return folder


def english_words(text):
    """Return the English words of an output, without names, charts, and the indented rows of training options."""
    rows = [line for line in text.splitlines() if not re.match(r"  [a-z_]+  |[ 0-9.,]*│", line)]
    return words(NAMES.sub(" ", "\n".join(rows))) - NAMES_OF_VALUES


def test_the_names_hide_no_sentence():
    told = "Saved rnnlm.npz: 5 parameters; use --slim. <unk> is read as it is.\n  hidden_size   8\n"
    assert english_words(told) == {"Saved", "parameters", "use", "read"}


@pytest.mark.parametrize("arguments", ANSWERING, ids=" ".join)
def test_commands_speak_chinese_around_the_same_answers(arguments, answering, rnnlm, monkeypatch):
    monkeypatch.chdir(answering)
    usual, english, chinese = (rnnlm(*lang, *arguments) for lang in ([], ["--lang", "en"], ["--lang", "zh"]))
    both = [printed.out + printed.err for printed in (usual, chinese)]
    assert english_words(both[1]) == set(), both[1]
    timed = r"\d+\.\d s\b|\d+\.\d 秒"
    numbers = [sorted(re.findall(r"\d+\.\d+(?:e[+-]?\d+)?", re.sub(timed, "", text))) for text in both]
    assert numbers[0] == numbers[1]
    assert re.sub(timed, "", english.out + english.err) == re.sub(timed, "", both[0])


def test_tuned_weights_are_told_in_chinese(answering, rnnlm, monkeypatch):
    monkeypatch.chdir(answering)
    tuned = ["rescore", "lists.txt", "--ref", "ref.txt", "--tune"]
    english, chinese = rnnlm(*tuned), rnnlm("--lang", "zh", *tuned)
    assert chinese.out == english.out
    assert english_words(chinese.err) == set(), chinese.err
    assert "调权重之后" in chinese.err


JSON = [["score", "some.txt", "--tokens"], ["rescore", "lists.txt", "--ref", "ref.txt"], ["eval", "some.txt"], ["info"],
        ["predict", "--why", LINES[0]], ["plot", "--surprise", LINES[0]], ["plot", "--embedding"]]  # fmt: skip


@pytest.mark.parametrize("arguments", JSON, ids=" ".join)
def test_json_of_answers_is_the_same_in_every_language(arguments, answering, rnnlm, monkeypatch):
    monkeypatch.chdir(answering)
    assert rnnlm(*arguments, "--json").out == rnnlm("--lang", "zh", *arguments, "--json").out


@pytest.mark.parametrize("layout", ["srilm", "kenlm", "mikolov", "tsv", "csv"])
def test_formats_of_other_programs_are_the_same_in_every_language(layout, answering, rnnlm, monkeypatch):
    monkeypatch.chdir(answering)
    score = ["score", "some.txt", "--format", layout]
    assert rnnlm(*score).out == rnnlm("--lang", "zh", *score).out


def test_english_is_as_it_was(answering, rnnlm, monkeypatch):
    monkeypatch.chdir(answering)
    evaluated = rnnlm("eval", "some.txt").out.splitlines()
    assert evaluated[0] == "tokens                    43 (with </s> at each line's end), 1 of them unknown"
    assert evaluated[3].startswith("perplexity                ")
    assert evaluated[3].endswith("   (exp(nats per token); OOV counted as <unk>)")
    summary = rnnlm("score", "some.txt").err.splitlines()
    assert "4 lines, 43 tokens (4 of them ends of lines), 1 unknown (OOV), " in summary[0]
    assert summary[1] == "blank lines, in none of these figures: 1"
    rates = rnnlm("rescore", "lists.txt", "--ref", "ref.txt", "--output", "errors")
    assert rates.out.splitlines()[0].split() == ["word", "errors", "rate", "character", "errors", "rate"]
    assert rates.err == "2 lists, 5 candidates; 21 words and 30 characters in the references.\n"
    described = rnnlm("info", "ngram.npz").out.splitlines()
    assert described[0] == "A 2-gram over 23 tokens, which reads every line for itself."
    assert described[1].startswith("It has counted 1,110 tokens of a text of yours (SHA-256 ")


def test_a_sentence_keeps_what_it_was_made_of(monkeypatch):
    said = Sentence("{one}; {two}", one=Sentence("{n} tokens", n="1,200"), two="a {brace}")
    assert said == "1,200 tokens; a {brace}"
    assert translated(said) is said
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert translated(said) == "1,200 个词元；a {brace}"
    assert translated("one; two") == "one; two"
    assert json.loads(json.dumps(said)) == said


def test_figures_of_a_conversation_are_told_in_chinese(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert figures(SimpleNamespace(pieces=[None] * 8, bits=20.3)) == "8 个词元，20.3 比特，每词元 2.54"


TRAINING = {
    "kind": "evaluation", "epoch": 1.0, "seconds": 0.0, "learning_rate": 0.004, "gradient_norm": 0.5, "tokens": 500,
    "tokens_per_second": 1e3,
}  # fmt: skip
FACTS = {
    "level": "char", "lr": 1e-5, "fitting_lr": 0.004, "clip": 0.0, "train_tokens": 5_000, "valid_tokens": 1_000,
    "unknown": 0.3, "train_unigram": 3.0, "valid_unigram": 3.0, "vocabulary_is_limited": True, "end_is_held_out": True,
}  # fmt: skip
COURSES = {
    "overfitting": [(2.5, 2.4), (2.0, 2.0), (1.7, 1.9), (1.5, 1.95), (1.3, 2.0), (1.1, 2.1), (1.0, 2.2)],
    "high rate": [(2.5, 2.4), (2.2, 2.1), (2.0, 2.0), (2.3, 2.3), (2.4, 2.4)],
    "underfitting": [(3.0, 2.99), (2.99, 2.98), (2.98, 2.97)],
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
@pytest.mark.parametrize("level", ["char", "word"])
def test_advice_is_given_in_chinese(course, level, monkeypatch):
    advisor, reports = Advisor(Facts(**FACTS | {"level": level, "train_tokens": 1_000})), []
    for place, (loss, valid) in enumerate(course, 1):
        losses = {"train_nats_per_token": loss, "valid_nats_per_token": valid}
        reports.append(Report(**TRAINING, **losses, step=10 * place, progress=place / len(course)))
    said = [*advisor.opening(), *filter(None, map(advisor.after, reports))]
    assert len(said) == 3
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert [english_words(translated(line)) for line in said] == [set()] * 3
    assert [re.findall(r"\d+\.\d+", translated(line)) for line in said] == [
        re.findall(r"\d+\.\d+", line) for line in said
    ]
