"""`score -` and `rescore -` answer each line of a pipe before the next one is written, as decoders need."""

import gzip
import json
import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

WORDS = ["我", "昨天", "上学", "迟到", "了", "the", "cat", "sat"]
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
HUNG = 60  # seconds to wait for an answer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    network = Network.initialize(NetworkConfig(len(vocabulary), "gru", "tanh", 8, 1, 5), np.random.default_rng(1))
    LanguageModel(WordTokenizer(), vocabulary, network, "sentence").save(path)
    return str(path)


class Talk:
    """A running command that is fed through a pipe and whose lines of output are read as they arrive."""

    def __init__(self, *arguments: str, stdin=subprocess.PIPE) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-m", "rnnlm", *arguments]
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)

    def say(self, content: str | bytes) -> None:
        self.process.stdin.write(content.encode() if isinstance(content, str) else content)
        self.process.stdin.flush()

    def hear(self, lines: int = 1) -> str:
        """Return the next lines; raise `queue.Empty` if they do not arrive."""
        return b"".join(self.lines.get(timeout=HUNG) for _ in range(lines)).decode()

    def end(self) -> str:
        """Close stdin, wait for the end and return what was written to stderr."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        assert self.process.wait(HUNG) == 0
        return self.process.stderr.read().decode()


@pytest.fixture
def talk():
    """A function that starts a command, which is killed at the end of the test."""
    talks = []

    def start(*arguments, **options):
        talks.append(Talk(*arguments, **options))
        return talks[-1]

    yield start
    for each in talks:
        each.process.kill()
        each.process.wait()
        each.reader.join()
        for stream in (each.process.stdin, each.process.stdout, each.process.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.parametrize("layout", ["plain", "mikolov", "kenlm", "json"])
def test_a_line_is_answered_before_the_next_one_comes(layout, model, talk, tmp_path, rnnlm):
    options = ["--json"] if layout == "json" else ["--format", layout]
    lines = ["the cat sat", "", "我 昨天", "the cat sat"]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = rnnlm("score", tmp_path / "lines", "-m", model, *options).out.splitlines()
    talking = talk("score", "-", "-m", model, *options)
    for line, answer in zip(lines, expected, strict=False):
        talking.say(f"{line}\n")
        heard = talking.hear().rstrip("\n")
        assert NUMBER.sub("", heard) == NUMBER.sub("", answer)
        numbers = [float(number) for number in NUMBER.findall(heard)]
        assert numbers == pytest.approx([float(number) for number in NUMBER.findall(answer)], abs=1e-4)
    assert ("3 lines" in talking.end()) == (layout != "kenlm")


def test_an_incomplete_line_is_answered_when_it_is_completed(model, talk):
    talking = talk("score", "-", "-m", model, "--json")
    for part in ["the cat sat\nthe", " cat", " sat\nsat", " sat"]:
        talking.say(part)
    assert [json.loads(talking.hear())["text"] for _ in range(2)] == ["the cat sat"] * 2
    talking.say("\n")
    assert json.loads(talking.hear())["text"] == "sat sat"
    talking.say("without end")
    talking.end()
    assert json.loads(talking.hear())["text"] == "without end"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_the_encoding_is_detected_from_the_input_so_far(encoding, model, talk):
    first, second = "老师说 我 昨天 上学 迟到 了 的 是\n", "the cat 了\n"
    talking = talk("score", "-", "-m", model, "--json")
    content = first.encode(encoding)
    talking.say(content[:3])
    talking.say(content[3:])
    assert json.loads(talking.hear())["text"] == first.strip()
    talking.say(second.encode("utf-16")[2:] if encoding == "utf-16" else second.encode(encoding.removesuffix("-sig")))
    assert json.loads(talking.hear())["text"] == second.strip()
    talking.end()


def test_ascii_lines_do_not_fix_the_encoding(model, talk):
    talking = talk("score", "-", "-m", model, "--json")
    talking.say("the cat\n")
    assert json.loads(talking.hear())["text"] == "the cat"
    talking.say("老师说 我 昨天 上学 迟到 了 的 是\n".encode("gb18030"))
    assert json.loads(talking.hear())["text"].startswith("老师说")
    assert "GB18030" in talking.end()


def test_a_named_pipe_works_like_stdin(model, talk, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    talking = talk("score", str(tmp_path / "fifo"), "-m", model, "--json", stdin=subprocess.DEVNULL)
    with open(tmp_path / "fifo", "wb") as pipe:
        pipe.write(b"the cat\n")
        pipe.flush()
        assert json.loads(talking.hear())["text"] == "the cat"
    talking.end()


LISTS = {
    "plain": ["the cat sat\nsat cat\n\n", "我 了\n了 我\n昨天\n\n"],
    "srilm": ["-1 -2 3 the cat sat\n-2 -1 2 sat cat\n\n", "-3 -2 2 我 了\n-3 -1 0\n\n"],
    # A list is complete when the next id arrives.
    "kaldi": ["u1-1 the cat sat\nu1-2 sat cat\nu2-1 sat\n", "u2-2 了 我\nu3-1 sat\n"],
    "mikolov": ["1 the cat sat\n1 sat cat\n2 sat\n", "2 了 我\n3 sat\n"],
    "moses": ["0 ||| the cat ||| a: 1 ||| -1\n0 ||| sat ||| a: 1 ||| -2\n1 ||| sat ||| a: 1 ||| -1\n"],
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_list_is_answered_as_soon_as_it_is_complete(name, as_json, model, talk):
    talking = talk("rescore", "-", "-m", model, "--format", name, *(["--json"] if as_json else []))
    waiting = 0
    for content in LISTS[name]:
        talking.say(content)
        waiting += content.count("\n")
        unfinished = int(name not in ("plain", "srilm"))  # lines of the last list
        if as_json:
            assert len(json.loads(talking.hear())["candidates"]) >= 2
        else:
            assert talking.hear(waiting - unfinished)
            waiting = unfinished
    talking.end()


@pytest.mark.parametrize("command", ["score", "rescore"])
def test_compressed_input_is_decompressed(command, model, talk):
    talking = talk(command, "-", "-m", model)
    content = gzip.compress(b"the cat\n") + gzip.compress(b"sat\n")
    talking.say(content[:1])
    talking.say(content[1:])
    talking.end()
    assert {line.split()[-1] for line in talking.hear(2).splitlines()} == {"cat", "sat"}


@pytest.mark.parametrize("arguments", [["score"], ["rescore", "--format", "kaldi", "--output", "scores"]])
def test_a_long_text_gets_the_same_answers_through_a_pipe(arguments, model, talk, tmp_path, capfd):
    rng = np.random.default_rng(3)
    lines = [f"u{i // 5}-{i % 5} " + " ".join(rng.choice(WORDS, i % 7 + 1)) for i in range(9000)]
    content = "\n".join(lines) + "\n"
    (tmp_path / "lines").write_text(content, encoding="utf-8")
    assert run([arguments[0], str(tmp_path / "lines"), "-m", model, *arguments[1:]]) == 0
    expected = capfd.readouterr().out.splitlines()
    talking = talk(arguments[0], "-", "-m", model, *arguments[1:])
    talking.say(content)
    talking.end()
    heard = talking.hear(len(lines)).splitlines()
    number = 0 if arguments[0] == "score" else 1
    for got, wanted in zip(heard, expected, strict=True):
        assert float(got.split()[number]) == pytest.approx(float(wanted.split()[number]), abs=2e-4)


def test_a_bad_line_ends_the_command_with_its_line_number(model, talk):
    talking = talk("score", "-", "-m", model)
    talking.say("the cat\n")
    talking.hear()
    talking.say(b"a\xff\xff\xff\n")
    assert talking.process.wait(HUNG) == 1
    assert "Line 2 of standard input: byte 0xff" in talking.process.stderr.read().decode()
