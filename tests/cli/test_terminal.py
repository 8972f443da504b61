"""Output to a terminal is escaped; a pipe or a file gets the exact bytes."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlm.cli import run
from rnnlm.cli.printing import json_line
from rnnlm.cli.tables import token_cell, visible
from rnnlm.cli.terminal import EXACT, Terminal, guarded, harmless
from tests.cli.screen import written_to

HOSTILE = "a \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eevil\u202c \u2066x\u2069 \x9b31m \x7f\x85y"
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]|"
    "(?<![\U0001f3f4\U000e0061-\U000e007a])[\U000e0000-\U000e007f]"
)
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
BAR = re.compile("\r( *[0-9]+%[^\x00-\x1f]*)?\x1b\\[J\r?")  # drawing and erasing of the progress bar
COLOR = re.compile("\x1b\\[(1;31|33|32|0)m")  # of errors, warnings and surprise
ANYTHING = st.text(st.characters())  # including lone surrogates


@given(ANYTHING)
@example("".join(map(chr, range(0x3000))))
@example("\r\n\r\udc9b\udcff\ud800")
def test_harmless_escapes_control_characters_and_nothing_else(text):
    shown = harmless(text)
    assert not HARMFUL.search(shown.replace("\r\n", "\n"))
    shown.encode()  # lone surrogates could not be encoded
    assert harmless(shown) == shown
    kept = [c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    left = iter(shown)
    assert all(c in left for c in kept)  # in the same order
    if not HARMFUL.search(text) and not any("\ud800" <= c <= "\udfff" for c in text):
        assert shown == text


def test_tag_characters_are_escaped_except_in_flags():
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "rm -rf")
    for show in (harmless, visible, json_line):
        assert SCOTLAND in show(f"a{SCOTLAND}" if show is not visible else SCOTLAND)
        shown = show(f"a{hidden}\ufff9")
        assert not re.search("[\U000e0000-\U000e007f\ufff9]", shown)
    assert json.loads(json_line(f"a{hidden}{SCOTLAND}")) == f"a{hidden}{SCOTLAND}"


@given(st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_json_is_escaped_and_has_the_same_value(value):
    line = json_line(value)
    assert json.loads(line) == value
    assert not HARMFUL.search(line)


@given(ANYTHING)
@example("\u200d")
@example("\u202e")
def test_a_token_is_visible_and_stays_on_its_line(token):
    for shown in (visible(token), token_cell(token)):
        assert not HARMFUL.search(shown)
        assert shown.splitlines() in ([shown], [])
        assert bool(shown.strip()) == bool(token)
    assert len(token_cell(token * 1000)) < 90


@given(ANYTHING)
def test_a_pipe_gets_the_exact_bytes(text):
    known = "".join(c for c in text if not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", errors=EXACT, newline="")
    stream.write(known)
    stream.flush()
    assert raw.getvalue() == known.encode("utf-8", "surrogateescape")


@given(st.binary(), st.integers(1, 4))
def test_bytes_for_a_terminal_are_escaped_in_whole_characters(data, size):
    seen = io.StringIO(newline="")
    terminal = Terminal(seen)
    for start in range(0, len(data), size):
        terminal.buffer.write(data[start : start + size])
    terminal.buffer.flush()
    assert seen.getvalue() == harmless(data.decode("utf-8", "surrogateescape"))


def test_only_terminals_are_wrapped(tmp_path):
    with (tmp_path / "file").open("w") as file:
        assert guarded(file) is file
    assert guarded(None) is None
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        once = guarded(terminal)
        assert isinstance(once, Terminal)
        assert guarded(once) is once
    os.close(ours)


# --- every command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text full of control characters, models of it and n-best lists, under names with control characters."""
    folder = tmp_path_factory.mktemp("te\x1b[31mxt")
    lines = [HOSTILE, "</s> the end <unk> of <s> it", "我 昨天 上学 迟到 了"]
    (folder / "te\x1b\u202ext.txt").write_text("\n".join(lines * 10) + "\n", encoding="utf-8")
    (folder / "list.txt").write_text(f"{HOSTILE}\n我 昨天\n", encoding="utf-8")
    (folder / "bad.txt").write_bytes(b"0 a\x1b[2J \xff\n\x1b[2J\n")
    text, small = str(folder / "te\x1b\u202ext.txt"), ["--hidden-size", "6", "--epochs", "1", "--threads", "1"]
    assert run(["train", text, "-o", str(folder / "w.npz"), *small]) == 0
    assert run(["train", text, "-o", str(folder / "b.npz"), "--bidirectional", *small]) == 0
    return folder


TEXT, MODEL = "te\x1b\u202ext.txt", ("-m", "w.npz")
COMMANDS = [
    (0, ["train", TEXT, "-o", "\x1b.npz", "--hidden-size", "6", "--epochs", "1", "--history", "\x1b.jsonl"]),
    (0, ["predict", *MODEL, "-k", "99", HOSTILE + " \x1bnew"]),
    (0, ["predict", *MODEL, "--each", HOSTILE]),
    (0, ["predict", *MODEL, "--why", HOSTILE]),
    (0, ["predict", *MODEL, "--json", HOSTILE]),
    (0, ["sample", *MODEL, "--count", "9", "--temperature", "9", "--seed", "1", "--prompt", HOSTILE]),
    (0, ["score", *MODEL, "--tokens", TEXT]),
    (0, ["score", *MODEL, "--json", "--tokens", TEXT]),
    (0, ["score", *MODEL, "--format", "srilm", "--debug", "2", TEXT]),
    (0, ["score", *MODEL, "--format", "kenlm", TEXT]),
    (0, ["rescore", *MODEL, "list.txt"]),
    (0, ["rescore", *MODEL, "--json", "list.txt"]),
    (0, ["rescore", *MODEL, "--format", "srilm", "--lenient", "bad.txt"]),
    (0, ["fill", "-m", "b.npz", "-k", "99", HOSTILE + " ____"]),
    (0, ["eval", *MODEL, TEXT]),
    (0, ["info", *MODEL]),
    (0, ["ngram", "train", TEXT, "-o", "\x1b.n.npz", "--arpa", "-"]),
    (0, ["lab", "pairs", HOSTILE]),
    (0, ["lab", "onehot", *MODEL, HOSTILE]),
    (0, ["lab", "gradcheck", HOSTILE]),
    (0, ["plot", "--surprise", HOSTILE, *MODEL]),
    (0, ["plot", "--surprise", TEXT, *MODEL]),
    (0, ["plot", "--embedding", *MODEL]),
    (0, ["plot", "\x1b.jsonl"]),
    (1, ["predict", "-m", "no\x1b\u202e.npz", "x"]),
    (1, ["rescore", *MODEL, "--format", "kaldi", "bad.txt"]),
    (1, ["train", "no\x1b\u202e"]),
    (2, ["lab", "softmax", "\x1b[31m"]),
    (2, ["train", TEXT, "--cell", "\x1b[31m"]),
    (2, ["\x1b[31m"]),
]


def in_terminal(arguments):
    """Run a command in a pseudo-terminal; return its exit code and its output, with LF as line end."""
    pid, ours = pty.fork()
    if not pid:  # the child process
        try:
            from rnnlm.cli.terminal import set_up_streams

            sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
            set_up_streams()
            code = run(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            code = 99
        os._exit(code)
    output = b"".join(written_to(ours))
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("code", "arguments"), COMMANDS, ids=lambda value: ascii(value)[:60])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork is safe, as the threads are idle
def test_no_command_sends_control_characters_to_a_terminal(code, arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    found, printed = in_terminal(arguments)
    assert found == code, printed
    ours = COLOR.sub("", printed)
    assert not HARMFUL.search(BAR.sub("", ours) if arguments[0] == "train" else ours)
    assert printed.strip()
    if code == 0 and HOSTILE in arguments and not {"--json", "gradcheck"} & set(arguments):
        assert "\\x1b" in printed  # the text did contain control characters


def test_a_file_gets_the_exact_bytes(folder):
    arguments = ["sample", *MODEL, "--seed", "1", "--length", "1", "--prompt", HOSTILE]
    done = subprocess.run([sys.executable, "-m", "rnnlm", *arguments], cwd=folder, capture_output=True, check=True)
    assert done.stdout.startswith(HOSTILE.encode())
    arguments = ["rescore", *MODEL, "--format", "srilm", "--lenient", "bad.txt"]
    done = subprocess.run([sys.executable, "-m", "rnnlm", *arguments], cwd=folder, capture_output=True, check=True)
    assert done.stdout == (folder / "bad.txt").read_bytes()
