"""Closed pipes, closed streams and full disks cause no traceback, and do not stop a training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlm.cli import COMMANDS, run

SMALL = ["--hidden-size", "6", "--embedding-size", "5", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
SENTENCES = ["我 昨天 上学 迟到 了 ， 老师 批评 了 我 。", "他 的 手机 坏 了 ， 打算 买 一部 新 手机 。"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, a model of it and an n-best list."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "corpus.txt").write_text("\n".join(SENTENCES * 40) + "\n", encoding="utf-8")
    (folder / "lists.txt").write_text("\n".join(SENTENCES) + "\n\n" + "\n".join(SENTENCES) + "\n", encoding="utf-8")
    old = os.environ.get("RNNLM_CACHE")
    os.environ["RNNLM_CACHE"] = str(folder / "cache")
    try:
        arguments = ["train", str(folder / "corpus.txt"), "-o", str(folder / "rnnlm.npz"), "--epochs", "1", *SMALL]
        assert run(arguments) == 0
    finally:
        os.environ.pop("RNNLM_CACHE")
        if old is not None:
            os.environ["RNNLM_CACHE"] = old
    return folder


PRINTING = {
    "help": ["--help"],
    "version": ["--version"],
    "train": ["train", "--help"],
    "predict": ["predict", "--each", "-k", "20", "我 昨天"],
    "sample": ["sample", "--count", "5", "--length", "30"],
    "score": ["score", "corpus.txt"],
    "rescore": ["rescore", "lists.txt"],
    "fill": ["fill", "我 ____ 了"],
    "eval": ["eval", "corpus.txt"],
    "ngram": ["ngram", "train", "corpus.txt", "-o", "ngram.npz", "--arpa", "-"],
    "info": ["info"],
    "export": ["export", "--help"],
    "import": ["import", "--help"],
    "serve": ["serve", "--help"],
    "lab": ["lab", "pairs", "我 昨天 上学"],
    "plot": ["plot", "--surprise", "corpus.txt"],
    "chat": ["chat", "--help"],
    "completion": ["completion", "bash"],
    "decode": ["decode", "--help"],
    "score in colours": ["score", "--tokens", "--color", "always", "corpus.txt"],
}


def test_every_command_is_tried():
    assert PRINTING.keys() >= COMMANDS.keys()


def start(folder, arguments, **streams):
    environment = {**os.environ, "RNNLM_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "rnnlm", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, **streams)


@pytest.mark.parametrize("name", PRINTING)
def test_a_closed_pipe_is_not_an_error(name, folder):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(folder, PRINTING[name], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "Broken pipe" not in said
    assert "Exception ignored" not in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("name", ["help", "sample"])
def test_output_to_a_full_disk_is_an_error_in_one_sentence(name, folder):
    with open("/dev/full", "wb") as full:
        process = start(folder, PRINTING[name], stdout=full, stderr=subprocess.PIPE)
    said = process.communicate()[1].decode()
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("Error: The output cannot be")
    assert "No space left" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("stderr", ["closed", "a pipe that nobody reads"])
def test_a_training_survives_a_closed_stderr(stderr, folder, tmp_path, rnnlm):
    arguments = ["train", "corpus.txt", "-o", str(tmp_path / "m.npz"), "--epochs", "2", *SMALL]
    if stderr == "closed":
        command = ["sh", "-c", 'exec "$0" -m rnnlm "$@" 2>&-', sys.executable, *arguments]
        environment = {**os.environ, "RNNLM_CACHE": str(folder / "cache")}
        code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    else:
        reading, writing = os.pipe()
        os.close(reading)
        process = start(folder, arguments, stderr=writing)
        os.close(writing)
        code = process.wait()
    assert code == 0
    rnnlm("info", tmp_path / "m.npz")


def test_a_closed_stdout_is_an_error_in_one_sentence(folder):
    command = ["sh", "-c", 'exec "$0" -m rnnlm info >&-', sys.executable]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
