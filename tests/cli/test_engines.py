"""--engine: valid combinations of options, and everything that works without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Makes every import of PyTorch fail, and find_spec as well, as if it were not installed.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")
sys.meta_path.insert(0, Absent())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "torch" else found(name, *more)
import json, rnnlm
from rnnlm.cli import run
codes = [run(arguments) for arguments in json.loads(sys.argv[1])]
assert "torch" not in sys.modules
print(json.dumps(codes))
"""


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.txt"
    path.write_text("我 昨天 上学 迟到 了 。\n他 今天 买 手机 。\n" * 40)
    return str(path)


def train(corpus, path, *more):
    return [
        "train",
        corpus,
        "-o",
        path,
        "--epochs",
        "1",
        "--hidden-size",
        "8",
        "--embedding-size",
        "8",
        "--ngram",
        "0",
        *more,
    ]


def test_without_pytorch_everything_but_the_torch_engine_works(corpus, tmp_path):
    path = str(tmp_path / "model.npz")
    both = str(tmp_path / "both.npz")
    commands = [
        train(corpus, path),
        train(corpus, path, "--resume"),
        train(corpus, both, "--bidirectional"),
        ["predict", "我 昨天", "-m", path],
        ["sample", "-m", path, "--length", "5"],
        ["eval", corpus, "-m", path],
        ["score", corpus, "-m", path],
        ["fill", "我 ____ 上学", "-m", both],
        ["info", "-m", path],
        ["lab", "gradcheck"],
    ]
    refused = [train(corpus, path, "--engine", "torch"), ["eval", corpus, "-m", path, "--engine", "torch"]]
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, json.dumps(commands + refused)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1]) == [0] * len(commands) + [1] * len(refused), found.stderr
    assert found.stderr.count("which is not installed: pip install 'rnnlm-cli[torch]'") == len(refused)


@pytest.mark.parametrize("option", [["--device", "cpu"], ["--precision", "bf16"], ["--compile"]])
def test_options_of_pytorch_are_refused_by_the_numpy_engine(corpus, tmp_path, option, rnnlm):
    assert f"{option[0]} is for --engine torch" in rnnlm(*train(corpus, str(tmp_path / "m"), *option), code=2).err


def test_several_processes_are_refused_by_the_numpy_engine(corpus, tmp_path, monkeypatch, rnnlm):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert (
        "torchrun has started 3 processes, but the NumPy engine works in one"
        in rnnlm(*train(corpus, str(tmp_path / "m"), "--engine", "numpy"), code=1).err
    )


def test_the_torch_engine_does_not_measure_mixtures(corpus, tmp_path, rnnlm):
    pytest.importorskip("torch", reason="the engine on PyTorch needs it")
    path = str(tmp_path / "model.npz")
    rnnlm(*train(corpus, path))
    assert (
        "leave out --mix, --cache and --dynamic"
        in rnnlm("eval", corpus, "-m", path, "--engine", "torch", "--dynamic", code=2).err
    )


def test_training_and_evaluation_on_pytorch_give_the_figures_of_numpy(corpus, tmp_path, rnnlm):
    pytest.importorskip("torch", reason="the engine on PyTorch needs it")
    figures = []
    for engine in ("numpy", "torch"):
        path = str(tmp_path / f"{engine}.npz")
        assert ("PyTorch on cpu" in rnnlm(*train(corpus, path, "--dropout", "0", "--engine", engine)).err) == (
            engine == "torch"
        )
        for measuring in ("numpy", "torch"):
            figures.append(rnnlm("eval", corpus, "-m", path, "--json", "--engine", measuring).json)
    for other in figures[1:]:
        assert other == pytest.approx(figures[0], rel=1e-4)
