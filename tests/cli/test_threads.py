"""--threads: in every command BLAS gets one thread, and the option sets how many compute."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlm.blas import BLAS_VARIABLES
from rnnlm.cli import cli, run

COMPUTING = (
    *("ngram train", "plot", "lab gradflow", "lab bptt", "lab memory", "lab onehot"),
    *("train", "predict", "sample", "score", "rescore", "fill", "eval", "serve"),
)
SENTENCES = ["我 昨天 上学 迟到 了", "他 今天 上学 迟到 了", "我 的 手机 坏 了", "弟弟 的 书包 坏 了"]
# Runs a command line and prints BLAS's variables as they were before NumPy's import, and the number of threads.
PROGRAM = """
import json, os, sys
from rnnlm.cli import run
from rnnlm.blas import BLAS_VARIABLES
assert "numpy" not in sys.modules
code = run(sys.argv[1:])
assert "numpy" in sys.modules
import numpy as np
np.ones((512, 512)) @ np.ones((512, 512))
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None
print(json.dumps([code, {name: os.environ.get(name) for name in BLAS_VARIABLES}, threads]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text and a small model of it."""
    folder = tmp_path_factory.mktemp("threads")
    (folder / "text.txt").write_text("\n".join(SENTENCES * 9) + "\n", encoding="utf-8")
    small = ["--hidden-size", "8", "--embedding-size", "4", "--epochs", "1", "--threads", "1"]
    assert run(["train", str(folder / "text.txt"), "-o", str(folder / "rnnlm.npz"), *small]) == 0
    return folder


def told(folder: Path, *arguments: str, **environment: str) -> tuple[dict[str, str], int | None]:
    """Return BLAS's variables and the number of threads at the end."""
    clean = {name: value for name, value in os.environ.items() if name not in BLAS_VARIABLES}
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=folder, env={**clean, **path, **environment}, check=True,
        stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    code, variables, threads = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    return variables, threads


@pytest.mark.parametrize("name", COMPUTING)
def test_every_command_that_computes_has_threads(name):
    command = cli.get_command(None, name.split()[0])
    for part in name.split()[1:]:
        command = command.get_command(None, part)
    assert ["--threads"] in [parameter.opts for parameter in command.params]


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "我"],
        ["sample", "--length", "3"],
        ["score", "text.txt"],
        ["rescore", "text.txt", "--threads", "2"],
        ["fill", "我 ____ 上学"],
        ["eval", "text.txt"],
        ["ngram", "train", "text.txt", "--force"],
        ["info"],
        ["lab", "onehot", "我 昨天"],
    ],
)
def test_blas_gets_one_thread(arguments, folder):
    variables, threads = told(folder, *arguments)
    assert variables == dict.fromkeys(BLAS_VARIABLES, "1")
    assert threads in (1, None)


def test_variables_of_the_user_are_kept_unless_threads_is_given(folder):
    variables, _ = told(folder, "predict", "我", OPENBLAS_NUM_THREADS="3")
    assert variables == {**dict.fromkeys(BLAS_VARIABLES, "1"), "OPENBLAS_NUM_THREADS": "3"}
    variables, _ = told(folder, "predict", "我", "--threads", "2", OPENBLAS_NUM_THREADS="3")
    assert variables == dict.fromkeys(BLAS_VARIABLES, "2")


@pytest.mark.parametrize("command", [["score", "lines.txt", "--json"], ["rescore", "lines.txt", "--output", "scores"]])
def test_results_do_not_depend_on_the_number_of_threads(command, folder, monkeypatch, rnnlm):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("rnnlm.inference.lines.COLUMNS", 7)  # so that there is work to split
    lines = [" ".join(words.split()[place:]) for words in SENTENCES for place in range(5)] * 2
    (folder / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = []
    for threads in ("1", "2", "5"):
        said.append(rnnlm(*command, "--threads", threads).out)
    assert said[0]
    assert said[0] == said[1] == said[2]
