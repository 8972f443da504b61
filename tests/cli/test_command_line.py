"""The command that is printed does the same as the one that was given."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from rnnlm import checkpoint
from rnnlm.cli import run

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "it's a text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def printed(capsys) -> list[str]:
    found = re.findall(r"^Equals +rnnlm (.*)$", capsys.readouterr().err, re.MULTILINE)
    assert len(found) == 1
    return shlex.split(found[0])


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--level", "char", "--cell", "gru", "--dropout", "0.25"],
        ["--bidirectional", "--min-count", "2", "--hmm"],
        ["--tied", "--seed", "7", "--preset", "tiny"],
        ["--lr", "0.30000001"],  # whose decay, 0.01 / lr, has more digits than are usually shown
    ],
)
def test_it_trains_the_same_model(corpus, tmp_path, capsys, options):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    assert run(["train", str(corpus), "-o", str(first), "--threads", "1", "--epochs", "1", *options]) == 0
    arguments = printed(capsys)
    assert arguments[:2] == ["train", str(corpus)]
    for name in ("--level", "--hidden-size", "--embedding-size", "--dropout", "--lr", "--bptt", "--batch-size"):
        assert name in arguments
    arguments[arguments.index("--output") + 1] = str(second)
    assert run(arguments) == 0
    again = printed(capsys)
    again[again.index("--output") + 1] = str(second)
    assert sorted(again) == sorted(arguments)  # nothing was left open
    header, arrays = checkpoint.load(first)
    header_of_second, arrays_of_second = checkpoint.load(second)
    assert header == header_of_second
    assert arrays.keys() == arrays_of_second.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, arrays_of_second[name])


def test_a_time_is_written_out_with_what_fits_it(corpus, tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert run(["train", str(corpus), "-o", str(path), "--threads", "1", "--time", "0.5s"]) == 0
    arguments = printed(capsys)
    assert arguments[arguments.index("--time") + 1] == "0.5"
    assert "--hidden-size" in arguments


def test_a_resumed_training_has_nothing_to_choose(corpus, tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert run(["train", str(corpus), "-o", str(path), "--threads", "1", "--epochs", "1"]) == 0
    capsys.readouterr()
    assert run(["train", str(corpus), "-o", str(path), "--threads", "1", "--resume", "--epochs", "2"]) == 0
    assert "Equals" not in capsys.readouterr().err
