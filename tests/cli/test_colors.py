"""Colours are used in terminals only, unless requested, and never come from the text."""

import json
import os
import re
import subprocess
import sys

import pytest

from rnnlm.cli.colors import color_of
from tests.cli.screen import ENVIRONMENT, screen_of

SGR = re.compile(r"\x1b\[[\d;]*m")
HOSTILE = "a \x1b[32mgreen\x1b[0m b"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that knows a few sentences well."""
    folder = tmp_path_factory.mktemp("colors")
    (folder / "text.txt").write_text("我 昨天 上学 迟到 了\na b c d\n" * 60, encoding="utf-8")
    small = ["--hidden-size", "16", "--epochs", "8", "--threads", "1"]
    done = printed_by(folder, ["train", "text.txt", *small])
    assert done.returncode == 0, done.stderr
    return folder


def printed_by(folder, arguments, **variables):
    environment = os.environ | ENVIRONMENT | variables
    command = [sys.executable, "-m", "rnnlm", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


def colors_of(screen, word):
    """Return the colours of the letters of a word on the last row that shows it."""
    rows = [row for row in range(screen.cursor.y + 1) if word in "".join(c.data for c in screen.buffer[row].values())]
    cells = list(screen.buffer[rows[-1]].values())
    start = "".join(c.data for c in cells).index(word)
    return {cell.fg for cell in cells[start : start + len(word)]}


SCORE = ["score", "--tokens", "--text", "a b zebra"]


def test_surprise_is_coloured_in_a_terminal_but_not_in_a_pipe(folder):
    screen = screen_of(SCORE, 80, folder)
    assert colors_of(screen, "zebra (unknown)") == {"brown"}  # pyte's name for yellow
    assert colors_of(screen, "b  ") == {"green"}
    assert colors_of(screen, "probability") == {"default"}
    piped = printed_by(folder, SCORE).stdout
    assert "\x1b" not in piped
    rows = [row for row in screen.rows() if "(unknown)" in row or re.search(r"\d\.\d{6}", row)]
    assert [row.split() for row in rows] == [row.split() for row in piped.splitlines()[2:]]


@pytest.mark.parametrize(
    ("arguments", "variables", "has"),
    [
        ([], {}, False),
        ([], {"RNNLM_SCORE_COLOR": "always"}, True),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "auto"], {"RNNLM_SCORE_COLOR": "always"}, False),
    ],
)
def test_options_and_variables_decide_colours_in_a_pipe(arguments, variables, has, folder):
    with_colors = printed_by(folder, [*SCORE, *arguments], **variables).stdout
    assert bool(SGR.search(with_colors)) == has
    assert SGR.sub("", with_colors) == printed_by(folder, SCORE).stdout


@pytest.mark.parametrize(
    ("arguments", "variable", "has"),
    [
        ([], ("NO_COLOR", ""), True),
        ([], ("NO_COLOR", "1"), False),
        ([], ("RNNLM_COLOR", "never"), False),
        (["--color", "never"], ("NO_COLOR", ""), False),
        (["--color", "always"], ("NO_COLOR", "1"), True),
    ],
)
def test_options_and_variables_decide_colours_in_a_terminal(arguments, variable, has, folder, monkeypatch):
    monkeypatch.setenv(*variable)
    screen = screen_of([*arguments, *SCORE], 80, folder)
    assert ("brown" in colors_of(screen, "zebra")) == has
    failed = screen_of([*arguments, "score", "missing.txt"], 80, folder, code=1)
    assert (colors_of(failed, "Error:") == {"red"}) == has
    assert colors_of(failed, "missing.txt") == {"default"}
    wrong = screen_of([*arguments, "score", "--bas", "e"], 80, folder, code=2)
    assert (colors_of(wrong, "Error:") == {"red"}) == has


def test_json_and_other_formats_have_no_colours(folder):
    for options in (["--json", "--tokens"], ["--format", "srilm"], ["--format", "kenlm"]):
        printed = printed_by(folder, ["score", "--text", "a b zebra", "--color", "always", *options])
        assert "\x1b" not in printed.stdout
    assert json.loads(printed_by(folder, [*SCORE, "--json", "--color", "always"]).stdout)["oov"] == 1


def test_escape_sequences_of_a_text_are_shown_as_text(folder):
    screen = screen_of(["score", "--tokens", "--text", HOSTILE], 80, folder)
    assert any("\\x1b[32mgreen" in row for row in screen.rows())
    assert colors_of(screen, "32mgreen\\x1b") == {"default"}
    error = screen_of(["score", "missing\x1b[32m.txt"], 80, folder, code=1)
    assert colors_of(error, "missing\\x1b[32m.txt") == {"default"}


def test_a_line_from_a_pipe_is_answered_at_once(folder):
    environment = os.environ | ENVIRONMENT
    command = [sys.executable, "-m", "rnnlm", "score", "-", "--tokens", "--color", "always"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for line in (b"a b\n", b"c d\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(line)
            while b"</s>" not in process.stdout.readline():
                pass
        process.stdin.close()
        process.stdout.read()


def test_predict_has_bars_in_a_terminal_and_none_in_a_pipe(folder):
    asked = ["predict", "-k", "4", "我 昨天"]
    rows = screen_of(asked, 80, folder).rows()[:4]
    piped = printed_by(folder, asked).stdout.splitlines()
    assert not any("█" in row for row in piped)
    assert [row.rstrip("▏▎▍▌▋▊▉█ ") for row in rows] == piped
    lengths = [row.count("█") for row in rows]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 24
    assert not any("█" in row for row in screen_of(asked, 20, folder).rows())


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, "32"), (1.99, "32"), (2, ""), (7, "33"), (12, "1;31"), (1e9, "1;31")]
)
def test_colours_by_bits_of_surprise(bits, expected):
    assert color_of(bits) == expected
    assert color_of(float("inf")) == "1;31"
