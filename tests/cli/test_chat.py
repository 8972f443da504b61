"""`rnnlm chat` in a terminal of 80 x 24."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlm as api
from rnnlm.cli.wrapping import display_width
from rnnlm.draft import Draft
from tests.cli.screen import ENVIRONMENT, Dialogue

pytest.importorskip("prompt_toolkit", reason="prompt_toolkit is not installed")

CORPORA = Path(__file__).parents[2] / "corpora"
SMALL = {"hidden_size": 24, "embedding_size": 16, "threads": 1, "epochs": 3, "progress": False}
KEYS = "Tab take   ↑ ↓ mark another   Enter the model goes on   Ctrl-D end"
UP, DOWN, LEFT, BACKSPACE = "\x1b[A", "\x1b[B", "\x1b[D", "\x7f"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    chinese = (CORPORA / "chinese.txt").read_text(encoding="utf-8").splitlines()[:800]
    english = (CORPORA / "english.txt").read_text(encoding="utf-8").splitlines()[:800]
    api.train(text=chinese, **SMALL).save(folder / "zh.npz")
    api.train(text=english, context="stream", **SMALL).save(folder / "en.npz")
    hostile = ["a \x1b[31mred\x1b[0m \x1b]0;title\x07 b"] * 90
    api.train(text=hostile, level="token", **SMALL).save(folder / "hostile.npz")
    api.train(text=chinese[:50], bidirectional=True, **SMALL).save(folder / "both.npz")
    return folder


def chat(folder, model, *options, **size):
    return Dialogue(["chat", "-m", model, "--seed", "1", *options], cwd=folder, **size)


def started(rows):
    return rows and rows[-1] == KEYS


def typed(line):
    """Return a condition: the screen shows the line and the candidates after it."""
    return lambda rows: f"> {line}".rstrip() in rows and started(rows)


def candidates(rows):
    """Return (is marked, probability, token) of each candidate."""
    found = [re.match(r"(▸| ) (\d\.\d{4})  (\S+)", row) for row in rows]
    return [(each[1] == "▸", float(each[2]), each[3]) for each in found if each]


def color_at(screen, row, word):
    """Return the colour of the first occurrence of a word on a row of the screen."""
    start = display_width(screen.display[row].partition(word)[0])
    return screen.buffer[row][start].fg


@pytest.mark.parametrize("line", ["我昨天上学", "我 昨天 ", "老师批", ""])
def test_after_every_key_the_candidates_are_those_of_the_draft(line, folder):
    draft = Draft(api.load(folder / "zh.npz"))
    with chat(folder, "zh.npz") as dialogue:
        dialogue.wait(started)
        for n in range(1, len(line) + 1):
            dialogue.type(line[n - 1])
            rows = dialogue.wait(typed(line[:n].rstrip()))
        rows = dialogue.rows()
        expected = draft.read(line, 8).continuations
        tokens = [each.tokens[0] for each in expected]
        shown = candidates(dialogue.wait(lambda rows: [each[2] for each in candidates(rows)] == tokens))
        assert [each[0] for each in shown] == [True] + [False] * (len(shown) - 1)
        for (_, probability, _), each in zip(shown, expected, strict=True):
            assert probability == pytest.approx(each.probability, abs=1e-3)
        assert all(display_width(row) <= 80 for row in rows)
        bars = [row.count("█") for row in dialogue.rows() if re.match(r"[▸ ] \d\.", row)]
        assert bars == sorted(bars, reverse=True)
        dialogue.type("\x04" if not line.strip() else "\x1b[F\x04")
        assert dialogue.end() == 0


def test_tab_takes_the_marked_candidate(folder):
    draft = Draft(api.load(folder / "en.npz"))
    first = draft.read("The fer", 8).continuations[0]
    with chat(folder, "en.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type("The fer")
        dialogue.wait(typed("The fer"))
        dialogue.type("\t")
        line = "The fer" + first.text
        dialogue.wait(typed(line))
        third = draft.read(line, 8).continuations[2]
        dialogue.type(f"{DOWN}{DOWN}{DOWN}{UP}")
        dialogue.wait(lambda rows: [each[0] for each in candidates(rows)][2:3] == [True])
        dialogue.type("\t")
        dialogue.wait(typed(line + third.text))
        dialogue.type(UP)  # from the first to the last
        dialogue.wait(lambda rows: [each[0] for each in candidates(rows)][-1:] == [True])
        dialogue.type(BACKSPACE * 40)
        dialogue.wait(typed(""))
        dialogue.type("\x04")
        assert dialogue.end() == 0
        assert KEYS not in dialogue.rows(), "nothing of it is left behind"


def test_typed_text_is_coloured_by_surprise(folder):
    with chat(folder, "zh.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type("我 昨天 zebra 上学 ")
        rows = dialogue.wait(typed("我 昨天 zebra 上学"))
        row = rows.index("> 我 昨天 zebra 上学")
        reading = Draft(api.load(folder / "zh.npz")).read("我 昨天 zebra 上学 ")
        pieces = {each.text.strip(): each.bits for each in reading.pieces}
        for word, bits in pieces.items():
            expected = "red" if bits >= 12 else "brown" if bits >= 7 else "default" if bits >= 2 else "green"
            assert color_at(dialogue.screen, row, word) == expected, (word, bits)
        assert len({color_at(dialogue.screen, row, word) for word in pieces}) > 1
        dialogue.type("\x04")
        assert dialogue.end() == 0


@pytest.mark.parametrize(("option", "variable"), [(["--color", "never"], None), ([], "NO_COLOR")])
def test_colours_can_be_switched_off(option, variable, folder, monkeypatch):
    if variable:
        monkeypatch.setenv(variable, "1")
    with chat(folder, "zh.npz", *option) as dialogue:
        dialogue.wait(started)
        dialogue.type("我昨天上学\r")
        dialogue.wait(lambda rows: any("bits" in row for row in rows) and started(rows))
        assert {cell.fg for row in dialogue.screen.buffer.values() for cell in row.values()} == {"default"}


def test_enter_continues_the_line_and_keeps_it_on_the_screen(folder):
    model = api.load(folder / "en.npz")
    draft = Draft(model)
    written = draft.goes_on("The ferry was", seed=1)
    reading = draft.read("The ferry was")
    with chat(folder, "en.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type("The ferry was\r")
        rows = dialogue.wait(lambda rows: any("a token" in row for row in rows) and started(rows))
        figures = next(place for place, row in enumerate(rows) if "a token" in row)
        assert " ".join(rows[1:figures]) == f"> The ferry was{written}"
        assert rows[figures] == f"  3 tokens, {reading.bits:.1f} bits, {reading.bits / 3:.2f} a token"
        dialogue.type("\r")  # an empty line: the model starts one of its own
        dialogue.wait(lambda rows: sum(row.startswith("> ") for row in rows) >= 2 and started(rows))
        draft.end_line("The ferry was" + written)  # a stream remembers the lines before
        dialogue.type("x")
        assert dialogue.wait(typed("x"))
        dialogue.type("\x04")
        assert dialogue.end() == 0
        assert dialogue.rows()[1 : figures + 1] == rows[1 : figures + 1]


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_the_screen_fits_the_window_and_follows_its_size(columns, folder):
    with chat(folder, "zh.npz", columns=columns) as dialogue:
        dialogue.wait(lambda rows: any(row.startswith("▸") for row in rows))
        dialogue.type("我 昨天 上学 迟到 了 ， 老师 批评 了 我 ， 我 很 不 高兴 ")
        dialogue.wait(lambda rows: "兴" in "".join(rows))
        rows = dialogue.wait(lambda rows: len(candidates(rows)) == 8)
        assert all(display_width(row) <= columns for row in rows)
        dialogue.resize(60, 24)
        rows = dialogue.wait(lambda rows: len(candidates(rows)) == 8)
        dialogue.type("\x03")
        assert dialogue.end() == 130


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 0), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("line", ["", "我昨"])
def test_ctrl_c_ctrl_d_and_signals_end_the_chat(key, code, line, folder):
    with chat(folder, "zh.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type(line)
        dialogue.wait(typed(line))
        dialogue.type(key) if isinstance(key, str) else dialogue.signal(key)
        assert dialogue.end() == code
        assert dialogue.rows()[1:] in ([], ["", "Interrupted."], ["Interrupted."])
        assert not dialogue.screen.cursor.hidden


def test_ctrl_d_within_a_line_deletes(folder):
    with chat(folder, "zh.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type(f"我昨天{LEFT}\x04")
        dialogue.wait(typed("我昨"))


def test_control_characters_of_a_model_or_a_paste_are_shown_as_text(folder):
    with chat(folder, "hostile.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type("\x1b[200~a\n\x1b[31mb\x07\tc\x1b[201~")
        dialogue.wait(lambda rows: any(row.startswith("> a") for row in rows) and started(rows))
        dialogue.type("\r")
        dialogue.wait(lambda rows: any("a token" in row for row in rows) and started(rows))
        shown = "\n".join(dialogue.rows())
        assert "\\x1b" in shown
        assert dialogue.screen.title == ""
        for row in dialogue.screen.buffer.values():
            assert all(cell.bg == "default" for cell in row.values())


def test_a_pasted_text_becomes_one_line_of_bounded_length(folder):
    with chat(folder, "zh.npz") as dialogue:
        dialogue.wait(started)
        dialogue.type("\x1b[200~" + "我 昨天\n" * 2000 + "\x1b[201~")
        dialogue.wait(lambda rows: "我 昨天 我" in "".join(rows) and started(rows))
        dialogue.type("\x03")
        assert dialogue.end() == 130


def refused(folder, *arguments, **variables):
    done = subprocess.run(
        [sys.executable, "-m", "rnnlm", "chat", *arguments],
        cwd=folder, env=os.environ | ENVIRONMENT | variables, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_without_a_terminal_chat_is_refused(folder):
    code, said = refused(folder, "-m", "zh.npz")
    assert code == 1
    assert said.startswith("Error: rnnlm chat needs an interactive terminal")
    assert said.count("\n") == 1


def test_a_dumb_terminal_is_refused(folder, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "TERM", "dumb")
    with chat(folder, "zh.npz") as dialogue:
        assert dialogue.end() == 1
        assert dialogue.rows()[0].startswith("Error: rnnlm chat needs an interactive terminal")


def test_a_missing_package_is_named_with_the_remedy(folder, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['prompt_toolkit'] = None\n", encoding="utf-8")
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}")
    with chat(folder, "zh.npz") as dialogue:
        assert dialogue.end() == 1
        assert "pip install 'rnnlm-cli[chat]'" in " ".join(" ".join(dialogue.rows()).split())


def test_a_bidirectional_model_is_refused(folder):
    with chat(folder, "both.npz") as dialogue:
        assert dialogue.end() == 1
        assert dialogue.rows()[0].startswith("Error: This model is bidirectional")
