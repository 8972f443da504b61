import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError, TokenizerError
from rnnlm.text import workers as workers_module
from rnnlm.text.corpus import tokenize_corpus
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.workers import TokenIds, useful_processes

HERE = Path(__file__).parents[2]
LINES = [
    "Don't pay 1,000 for it...",
    "我昨天上学迟到了，老师批评了我。",
    "我 昨天 上学",
    "",
    "GPT-4模型的 3.14%",
    "a\u2028b",
]


@pytest.fixture
def pay(monkeypatch):
    """Start processes for the smallest texts, with small pieces."""
    monkeypatch.setattr(workers_module, "WORTH", 0)
    monkeypatch.setattr(workers_module, "WORTH_WITH_JIEBA", 0)
    monkeypatch.setattr(workers_module, "PIECE", 200)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    lines = [f"{line} w{number % 97}" for number in range(300) for line in LINES]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("remembered", [0, 40, 1000])
def test_results_do_not_depend_on_processes(text, pay, tmp_path, remembered, monkeypatch):
    monkeypatch.setattr(workers_module, "MOST_KNOWN", remembered)
    alone, together = WordTokenizer(), WordTokenizer()
    expected = tokenize_corpus([text], alone, lines=True, cache_dir=tmp_path / "a")
    calls = []
    found = tokenize_corpus(
        [text], together, lines=True, cache_dir=tmp_path / "b", processes=3, progress=lambda *call: calls.append(call)
    )
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert found.tokens == expected.tokens
    assert (found.characters, found.counts().tolist()) == (expected.characters, expected.counts().tolist())
    assert together.options() == alone.options()
    assert together.options()["jieba"] is not None
    assert calls[-1] == (text.stat().st_size,) * 2
    assert multiprocessing.active_children() == []


@given(st.lists(st.lists(st.sampled_from(["", "a", "b c", "x" * 9])).map("\n".join)), st.integers(1, 12))
def test_pieces_are_the_text_split_at_line_ends(texts, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers_module, "PIECE", size)
        pieces = list(workers_module._pieces(iter(texts)))
    assert "".join(pieces) == "".join(texts)
    assert "" not in pieces
    ends = {len("".join(texts[:number])) for number in range(len(texts) + 1)}
    place = 0
    for piece in pieces:
        place += len(piece)
        assert piece.endswith("\n") or place in ends
        assert "\n" not in piece[size:-1]


@pytest.mark.parametrize("most", [1, 2, 100])
def test_processes_are_used_for_large_texts_only(most):
    MB = 1 << 20
    english, chinese, separated = "some words\n", "我昨天上学迟到了\n", "我 昨天 上学 迟到 了\n"
    many = min(most, workers_module.MOST_PROCESSES)
    with_jieba = WordTokenizer(user_dictionary=[("云计算", 5)])  # rjieba does not support user words
    for tokenizer, sample, size, expected in (
        (with_jieba, chinese, 3 * MB, 1),
        (with_jieba, chinese, 5 * MB, many),
        (with_jieba, separated, 5 * MB, 1),
        (with_jieba, english, 15 * MB, 1),
        (with_jieba, english, 17 * MB, many),
        (WordTokenizer("spaces"), chinese, 15 * MB, 1),
        (WordTokenizer("spaces"), chinese, 17 * MB, many),
        (CharTokenizer(), english, 1000 * MB, 1),
    ):
        assert useful_processes(tokenizer, sample, size, most) == expected


def test_a_process_that_dies_is_reported(text, pay):
    def kill(done, size):
        for child in multiprocessing.active_children()[:1]:
            os.kill(child.pid, signal.SIGTERM)

    with pytest.raises(CorpusError, match=r"ended before its time.*--threads 1"):
        # Progress is reported when the file has been read, which is before all of it is tokenized.
        list(_with_a_victim(TokenIds(WordTokenizer()), kill))
    assert multiprocessing.active_children() == []


def _with_a_victim(ids, kill):
    def texts():
        for number in range(200):
            if number == 20:
                kill(0, 0)
            yield "some words\n" * 20

    return ids.of_all(texts(), 2)


def test_an_error_in_a_process_is_raised(text, pay):
    options = WordTokenizer().options() | {"jieba": {"version": "0.39", "dictionary_sha256": "0" * 64}}
    with pytest.raises(TokenizerError, match="segmented with jieba"):
        tokenize_corpus([text], WordTokenizer.from_options(options), lines=True, processes=2)
    assert multiprocessing.active_children() == []


def test_processes_end_when_a_run_is_interrupted(text, pay):
    def texts():
        yield from ["some words\n"] * 30
        assert len(multiprocessing.active_children()) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(TokenIds(WordTokenizer()).of_all(texts(), 2))
    assert multiprocessing.active_children() == []


def test_a_process_that_cannot_be_started_is_an_error_with_a_remedy(text, pay, monkeypatch):
    def refused(self):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", refused)
    with pytest.raises(CorpusError, match=r"cannot be started: Resource.*--threads 1"):
        tokenize_corpus([text], WordTokenizer(), lines=True, processes=2)


# Signals from outside


def descendants(pid):
    """Return the ids of all descendants of a process, from Linux's /proc."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # children of each of its threads
    children = [int(child) for each in lists for child in each.read_text().split()]
    return children + [each for child in children for each in descendants(child)]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs the process lists of Linux")
@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGKILL, False, -9)],
)
def test_a_signal_ends_all_processes(tmp_path, number, to_all, code):
    text = tmp_path / "text.txt"
    with text.open("w", encoding="utf-8") as file:
        for block in range(400):
            file.write("".join(f"some words {block * 5000 + line} of a line\n" for line in range(5000)))
    # A shell makes its background jobs ignore Ctrl-C.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import rnnlm.cli as c; c.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "train", str(text), "-o", str(tmp_path / "m.npz"), "--threads", "2"],
        cwd=HERE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while len(found := descendants(process.pid)) < 3:  # two that tokenize, and one of multiprocessing
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        if number == signal.SIGKILL:
            time.sleep(1)  # SIGKILL cannot be delayed until the processes have started
        (os.killpg if to_all else os.kill)(process.pid, number)
        errors = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == code
    # After SIGKILL, Python's resource tracker reports that it cleaned up.
    told = [line for line in errors.splitlines() if number != signal.SIGKILL or "resource_tracker" not in line]
    assert told == ([] if number == signal.SIGKILL else ["Interrupted; nothing was written."])
    for _ in range(1000):
        if not any(map(is_alive, found)):
            break
        time.sleep(0.01)
    assert not any(map(is_alive, found))
