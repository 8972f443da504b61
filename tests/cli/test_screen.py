"""Output in a terminal: a single bar, messages on separate lines, no broken words, nothing left behind."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnnlm.cli import run
from rnnlm.cli.progress import Part, training_bar
from rnnlm.cli.terminal import Terminal
from rnnlm.cli.wrapping import COUNTED, display_width, wrapped
from tests.cli.screen import ENVIRONMENT, screen_of
from tests.pages import EVERY

CORPORA = Path(__file__).parents[2] / "corpora"
SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--threads", "1"]
HOSTILE = "a \x1b[31mred\x1b[2J\r gone \x1b]0;title\x07 \u202eevil the end\n"
BAR = re.compile(r"^\s*\d+%\||^Reading: ")


def bars(screen):
    return [row for row in screen.rows() if BAR.match(row)]


class OneBar:
    """Checks that there is never more than one bar, and records all bars."""

    def __init__(self, then=lambda screen, resize, seen: None):
        self.seen, self.then = [], then

    def __call__(self, screen, resize):
        found = bars(screen)
        assert len(found) <= 1, "\n".join(screen.rows())
        if found and found != self.seen[-1:]:
            self.seen += found
        self.then(screen, resize, self.seen)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(HOSTILE + (CORPORA / "english.txt").read_text(encoding="utf-8")[:30_000], encoding="utf-8")
    return path


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_training_has_one_bar_and_messages_on_separate_lines(columns, text, tmp_path):
    options = ["--level", "char", "--optimizer", "sgd", "--lr", "500", "--epochs", "3", "-o", "m.npz", *SMALL]
    watch = OneBar()
    screen = screen_of(["train", text.name, *options, "--history", "/dev/full"], columns, tmp_path, watch)
    rows = screen.rows()
    (last,) = bars(screen)
    assert len(watch.seen) >= 2
    assert last.startswith("100%|")
    assert rows.index(last) > rows.index(next(row for row in rows if row.startswith("Advice ")))
    assert rows[rows.index(last) + 1].startswith("Best valid loss")
    assert any(row.startswith("Warning: --history /dev/full cannot") for row in rows)
    assert "the loss exploded" in " ".join(" ".join(rows).split())
    assert "" not in rows[:-1]
    assert not any("\\r" in row or "[K" in row or "[J" in row for row in rows if "red" not in row)
    assert screen.too_long == []
    for part in ("left", "valid ") if columns == 40 else ("left", "epoch", "loss", "valid", "tokens/s"):
        assert part in watch.seen[-1]
    assert ("perplexity" in last) == (columns == 120)


@pytest.mark.parametrize("to", [50, 130])
def test_resizing_the_window_keeps_a_single_bar(to, text, tmp_path):
    sizes = iter([to, 80, to])
    watch = OneBar(lambda screen, resize, seen: resize(next(sizes, to)) if bars(screen) else None)
    screen = screen_of(["train", text.name, "--time", "2s", *SMALL], 80, tmp_path, watch)
    assert next(sizes, None) is None, "it was resized three times"
    assert [row[:5] for row in bars(screen)] == ["100%|"]
    assert len(bars(screen)[0]) < to


def test_samples_of_a_model_cannot_control_the_terminal(tmp_path):
    (tmp_path / "text.txt").write_text(HOSTILE * 300, encoding="utf-8")
    screen = screen_of(["train", "text.txt", "--level", "char", "--epochs", "3", *SMALL], 80, tmp_path, OneBar())
    rows = screen.rows()
    assert rows[0].startswith("Text "), "nothing was cleared"
    assert any("\\x1b" in row for row in rows), "the sample has it"
    assert screen.title == ""
    assert {character.fg for line in screen.buffer.values() for character in line.values()} == {"default"}


AT_ONCE = "import rnnlm.cli.texts as texts; texts.BAR_AFTER_SECONDS = 0; from rnnlm.cli import main; main()"


@pytest.mark.parametrize("command", [["train", "--epochs", "0.001", *SMALL], ["ngram", "train", "--order", "1"]])
@pytest.mark.parametrize("damaged", [False, True])
def test_the_reading_bar_is_erased(command, damaged, tmp_path):
    data = (CORPORA / "english.txt").read_bytes() * 60
    (tmp_path / "text.txt").write_bytes(data + b"\xff\xff\n" * damaged)
    watch = OneBar()
    arguments = [*command, "text.txt", "--level", "char", "--encoding", "utf-8"]
    screen = screen_of(arguments, 80, tmp_path, watch, ("-c", AT_ONCE), code=int(damaged))
    assert any(row.startswith("Reading: ") for row in watch.seen)
    assert all(len(row) <= 80 for row in watch.seen)
    assert screen.too_long == []
    assert not any("Reading" in row for row in screen.rows())
    assert screen.rows()[0].startswith("Error: text.txt" if damaged else "Text ")


# --- every command ----------------------------------------------------------------------------------------------------

SENTENCE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"
ENGLISH = "The old man put the lamp on the table and said that the river had been high for a week , and that the boats"
MANY = "import json, sys; from rnnlm.cli import run; from rnnlm.cli.terminal import set_up_streams; set_up_streams()"
MANY += "; sys.exit(max(run(each) for each in json.loads(sys.argv[1])))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts in two languages, models of them and their histories."""
    folder = tmp_path_factory.mktemp("screen")
    for name, sentence in (("zh", f"{SENTENCE[:-1]}{SENTENCE}"), ("en", ENGLISH)):
        (folder / f"{name}.txt").write_text((sentence + "\n" + sentence.upper() + " x y\n") * 40, encoding="utf-8")
        options = ["-o", f"{name}.npz", "--epochs", "2", "--history", f"{name}-a-history.jsonl", *SMALL]
        program(folder, [["train", f"{name}.txt", *options]])
    program(folder, [["train", "zh.txt", "-o", "both.npz", "--bidirectional", "--epochs", "1", *SMALL]])
    program(folder, [["ngram", "train", "zh.txt", "-o", "ngram.npz"]])
    (folder / "jieba.txt").write_text((SENTENCE.replace(" ", "") + "\n") * 99, encoding="utf-8")
    program(folder, [["train", "jieba.txt", "-o", "jieba.npz", "--epochs", "1", *SMALL]])
    (folder / "new.txt").write_text(f"{ENGLISH} unseen words\n{SENTENCE} 没有 见过\n\n", encoding="utf-8")
    return folder


def program(folder, commands):
    """Return what several commands print without a terminal."""
    environment = os.environ | ENVIRONMENT
    arguments = [sys.executable, "-c", MANY, json.dumps(commands)]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, check=True, text=True)
    return done.stdout + done.stderr


QUICK = ["--places", "2", "--windows", "2", "--hidden-size", "16"]
COMMANDS = {
    "measuring": [
        ["eval", "-m", "en.npz", "en.txt", "new.txt"],
        ["eval", "-m", "zh.npz", "zh.txt", "--baseline", "3", "--baseline-corpus", "zh.txt", "--dynamic"],
        ["eval", "-m", "zh.npz", "zh.txt", "--mix", "ngram.npz", "--tune", "zh.txt", "--baseline", "ngram.npz"],
        *(["score", "-m", f"{name}.npz", "new.txt", "--tokens"] for name in ("zh", "en", "ngram")),
        ["score", "-m", "zh.npz", "zh.txt"],
        ["info", "jieba.npz"],
        ["info", "ngram.npz"],
        ["ngram", "train", "zh.txt", "en.txt", "-o", "mixed-ngram-of-both.npz", "--order", "5"],
    ],
    "asking": [
        ["predict", "-m", "zh.npz", f"{SENTENCE} 没有 见过 的 词 和 words that are not there"],
        ["predict", "-m", "en.npz", ENGLISH, "--each", "-k", "9"],
        ["predict", "-m", "zh.npz", SENTENCE, "--why"],
        ["predict", "-m", "zh.npz", f"{SENTENCE[:-2]} {'没有见过的词' * 9}", "--why"],
        ["predict", "-m", "en.npz", f"{ENGLISH} {'unseen' * 30}", "--why"],
        ["fill", "-m", "both.npz", SENTENCE.replace("老师", "____"), "--blank-tokens", "2"],
        ["plot", "zh-a-history.jsonl", "en-a-history.jsonl"],
        ["plot", "--surprise", ENGLISH, "-m", "en.npz"],
        ["plot", "--embedding", "-m", "zh.npz"],
        ["train", "zh.txt", "-o", "again.npz", "--preset", "tiny", "--epochs", "0.1", "--threads", "1"],
    ],
    "the laboratory": [
        *(
            ["lab", command, text, *options]
            for text in (SENTENCE, ENGLISH)
            for command, *options in (
                ["pairs"],
                ["onehot"],
                ["gradcheck"],
                ["bptt"],
                ["bptt", "--num-layers", "2", "--cell", "lstm", "--hidden-size", "2"],
                ["unroll"],
                ["unroll", "--bidirectional", "--num-layers", "2", "--hidden-size", "5"],
                ["unroll", "--cell", "cifg", "--num-layers", "2"],
            )
        ),
        ["lab", "onehot", SENTENCE, "-m", "zh.npz"],
        ["lab", "unroll", SENTENCE, "-m", "both.npz"],
        ["lab", "softmax", *map(str, range(-9, 16)), "--temperature", "0.25"],
        ["lab", "softmax", "1000", "-1000"],
        ["lab", "loss"],
        ["lab", "loss", "-12.5", "0", "1000", "--label", "3"],
        ["lab", "explode"],
        ["lab", "explode", "--activation", "tanh", "--radius", "30", "--lr", "3"],
        ["lab", "gradflow", SENTENCE, "--hidden-size", "5"],
        ["lab", "gradflow", ENGLISH, "--compare", "cells", "--hidden-size", "5"],
        *(["lab", "gradflow", "en.txt", "--compare", what, *QUICK] for what in ("cells", "inits", "radii", "all")),
        ["lab", "gradflow", "zh.txt", "-m", "zh.npz", "--compare", "cells", *QUICK[:-2]],
        ["lab", "gradflow", "zh.txt", *QUICK, "--num-layers", "2"],
        ["lab", "gradflow", "zh.txt", *QUICK, "--cell", "lstm"],
    ],
}


IN_CHINESE = [["--lang", "zh", *command] for command in COMMANDS["the laboratory"]]
IN_CHINESE.append(["--lang", "zh", "train", "en.txt", "-o", "chinese.npz", "--epochs", "0.2", "--threads", "1"])


def words_of(text):
    return set(text.replace("\\\n", "\n").split())


def assert_no_word_is_broken(shown, whole):
    """Assert that every word on a screen occurs unbroken in the same text without line breaks."""
    assert words_of("\n".join(shown.rows())) <= whole


@pytest.mark.parametrize("name", COMMANDS)
def test_every_line_of_every_command_fits_80_columns(name, folder):
    shown = screen_of([json.dumps(COMMANDS[name])], 80, folder, program=("-c", MANY))
    assert shown.too_long == []
    if name == "asking":
        return  # charts adapt to the width
    assert_no_word_is_broken(shown, words_of(program(folder, COMMANDS[name])))


def test_every_line_fits_80_columns_in_chinese(folder):
    shown = screen_of([json.dumps(IN_CHINESE)], 80, folder, program=("-c", MANY))
    assert shown.too_long == []
    assert sum("误差" in row for row in shown.rows()) >= 3, "it is Chinese"


def test_every_help_fits_80_columns(tmp_path, monkeypatch, capsys):
    commands = [[*path, "--help"] for path in [(), *EVERY]]
    in_chinese = screen_of(
        [json.dumps([["--lang", "zh", *each] for each in commands])], 80, tmp_path, program=("-c", MANY)
    )
    assert in_chinese.too_long == []
    shown = screen_of([json.dumps(commands)], 80, tmp_path, program=("-c", MANY))
    assert shown.too_long == []
    monkeypatch.setattr("click.formatting.FORCED_WIDTH", 10_000)
    for command in commands:
        assert run(command) == 0
    assert_no_word_is_broken(shown, words_of(capsys.readouterr().out))


# --- the bar alone ----------------------------------------------------------------------------------------------------

PARTS = [
    Part(1, "123:45 left"),
    Part(4, "epoch 12.34"),
    Part(3, "loss 4.183", " (perplexity 65.59)"),
    Part(2, "valid 4.184", " (perplexity 65.6)"),
    Part(5, "123,456 tokens/s"),
]


def test_a_narrow_bar_leaves_out_the_least_important_parts_first():
    shown = [training_bar(0.5, PARTS, columns).split("| ")[1] for columns in range(150, 10, -1)]
    assert shown[0] == "123:45 left  epoch 12.34  loss 4.183 (perplexity 65.59)  valid 4.184 (perplexity 65.6)  " + (
        "123,456 tokens/s"
    )
    assert list(dict.fromkeys(shown))[1:-1] == [
        "123:45 left  epoch 12.34  loss 4.183  valid 4.184 (perplexity 65.6)  123,456 tokens/s",
        "123:45 left  epoch 12.34  loss 4.183  valid 4.184  123,456 tokens/s",
        "123:45 left  epoch 12.34  loss 4.183  valid 4.184",
        "123:45 left  loss 4.183  valid 4.184",
        "123:45 left  valid 4.184",
        "123:45 left",
    ]


@given(st.floats(0, 1), st.integers(0, 200))
def test_a_bar_fits_the_columns(share, columns):
    assert display_width(training_bar(share, PARTS, columns)) <= columns
    if columns >= 79:
        for part in PARTS:
            assert part.text in training_bar(share, PARTS, columns)


def test_perplexity_appears_once_in_a_line(tmp_path):
    (tmp_path / "text.txt").write_text("a b c d\n" * 300, encoding="utf-8")
    said = program(tmp_path, [["train", "text.txt", "--epochs", "3", *SMALL]])
    courses = [line for line in said.splitlines() if re.match(r" *\d+%", line)]
    assert courses
    assert all(line.count("perplexity") == 1 for line in courses)


# --- line breaking ----------------------------------------------------------------------------------------------------

WORDS = st.text("ab.-,'(昨天，。e\u0301", min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=40), st.integers(40, 90), st.sampled_from(["", "Advice      ", "Error: "]))
@example(["昨天上学迟到了，"] * 3, 40, "Advice      ")
def test_lines_fit_and_no_word_is_broken(words, width, label):
    lines = wrapped(label + " ".join(words), width).split("\n")
    assert " ".join(lines).split() == (label + " ".join(words)).split()
    assert all(display_width(line) <= width for line in lines)
    if width // 2 >= len(label):
        assert all(line.startswith(" " * len(label)) for line in lines[1:])


@given(st.text("昨天上学迟到了，。「」LSTM", min_size=1), st.integers(24, 60))
def test_a_word_longer_than_a_line_is_broken_between_chinese_characters(word, width):
    lines = wrapped(word, width).split("\n")
    assert "".join(lines) == word
    assert not any(line[0] in "，。」" for line in lines[1:] if len(lines) > 1)
    if not re.search("[A-Z]{9}|[，。「」]{3}", word):
        assert all(display_width(line) <= width for line in lines)


@pytest.mark.parametrize("columns", range(79, 100))
def test_a_number_is_not_separated_from_its_unit(columns):
    line = "Training    25 epochs, batches of 4 x 64, adam 0.0078 cosine, weight decay 0.1; 2 threads, compiled kernels"
    lines = wrapped(line, columns, COUNTED).splitlines()
    assert any("2 threads" in each for each in lines)
    assert all(len(each) <= columns for each in lines)
    assert " ".join(lines).split() == line.split()


def test_a_long_path_is_not_broken():
    path = "/a/very/long/path/to/some/text.txt"
    assert wrapped(f"Saved {path}. Try: rnnlm", 20).split("\n") == ["Saved", f"{path}.", "Try: rnnlm"]
    assert wrapped(f"Reading     {path}", 40).split("\n") == ["Reading", f"      {path}"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("a '\"昨-", min_size=1, max_size=9), min_size=1, max_size=20), st.integers(40, 90))
def test_a_broken_command_can_be_pasted(words, width):
    lines = wrapped(f"Equals      rnnlm train {shlex.join(words)} --epochs 3", width).split("\n")
    pasted = "\n".join(lines).removeprefix("Equals      rnnlm ")
    read = subprocess.run(["sh", "-c", f"printf '%s\\0' {pasted}"], capture_output=True, check=True).stdout.decode()
    assert read.split("\0")[:-1] == ["train", *words, "--epochs", "3"]
    assert not any(line.endswith("--epochs \\") for line in lines)


def test_lines_are_broken_only_where_wrapping_is_on(tmp_path):
    for wraps in (False, True):
        with (tmp_path / "file").open("w+") as file:
            Terminal(file, wraps).write("word " * 100 + "\n")
            file.seek(0)
            assert len(file.readlines()) == (7 if wraps else 1)
