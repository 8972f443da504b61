"""The command that a training prints trains the same model as the command that was given."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rnnlm.storage import checkpoint

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "it's a text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def equivalent(printed) -> list[str]:
    """Return the arguments of the command on the line "Equals"."""
    found = re.findall(r"^Equals +rnnlm (.*)$", printed.err, re.MULTILINE)
    assert len(found) == 1
    return shlex.split(found[0])


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--level", "char", "--cell", "gru", "--dropout", "0.25"],
        ["--bidirectional", "--min-count", "2", "--hmm"],
        ["--tied", "--seed", "7", "--preset", "tiny"],
        ["--lr", "0.30000001"],  # the weight decay, 0.01 / lr, has more digits than are usually shown
    ],
)
def test_the_printed_command_trains_the_same_model(corpus, tmp_path, options, rnnlm):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    arguments = equivalent(rnnlm("train", corpus, "-o", first, "--threads", "1", "--epochs", "1", *options))
    assert arguments[:2] == ["train", str(corpus)]
    for name in ("--level", "--hidden-size", "--embedding-size", "--dropout", "--lr", "--bptt", "--batch-size"):
        assert name in arguments
    arguments[arguments.index("--output") + 1] = str(second)
    again = equivalent(rnnlm(*arguments))
    again[again.index("--output") + 1] = str(second)
    assert sorted(again) == sorted(arguments)  # all options were written out
    header, arrays = checkpoint.load(first)
    header_of_second, arrays_of_second = checkpoint.load(second)
    assert header == header_of_second
    assert arrays.keys() == arrays_of_second.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, arrays_of_second[name])


@pytest.mark.parametrize("options", [["--preset", "tiny"], ["--preset", "tiny", "--level", "char"]])
def test_the_printed_command_has_no_redundant_options(corpus, tmp_path, options, rnnlm):
    """The name of a preset, options of the other context and switches that the rules leave off are left out."""
    arguments = equivalent(rnnlm("train", corpus, "-o", tmp_path / "m.npz", "--epochs", "0.1", *options))
    assert {"--preset", "--line-resets"} & set(arguments) == set()
    assert not any(argument.startswith("--no-") for argument in arguments)
    asked = equivalent(rnnlm("train", corpus, "-o", tmp_path / "n.npz", "--epochs", "0.1", "--no-coupled-gates"))
    assert "--no-coupled-gates" in asked
    stream = ["--context", "stream", "--level", "word"]
    arguments = equivalent(rnnlm("train", corpus, "-o", tmp_path / "s.npz", "--epochs", "0.1", *stream))
    assert arguments[arguments.index("--line-resets") + 1] == "0.2"
    given = equivalent(rnnlm("train", corpus, "-o", tmp_path / "g.npz", "--epochs", "0.1", "--line-resets", "0"))
    assert given[given.index("--line-resets") + 1] == "0"


NAMES = ["sub folder/%s", "-%s", "it's %s", "文/%s"]


@pytest.mark.parametrize("pattern", NAMES)
def test_file_names_are_printed_with_folders_and_quotes(pattern, tmp_path, monkeypatch, rnnlm):
    """The printed command trains the same model from the same files, whatever their names are."""
    monkeypatch.chdir(tmp_path)
    name = {each: pattern % each for each in ("corpus", "valid", "dict", "base", "out", "toml", "history", "events")}
    for path in name.values():
        Path(path).parent.mkdir(exist_ok=True)
    for text in ("corpus", "valid"):
        Path(name[text]).write_text(TEXT)
    Path(name["dict"]).write_text("clocks\n")
    words = ["--user-dict", name["dict"], "--valid", name["valid"]]
    size = ["--threads", "1", "--hidden-size", "4", "--epochs", "1"]
    rnnlm("train", "--output", name["base"], *words, *size, "--", name["corpus"])
    Path(name["toml"]).write_text("lr = 0.003\n")
    files = ["--init-from", name["base"], "--history", name["history"], "--tensorboard", name["events"]]
    more = ["--config", name["toml"], "--init-vocabulary", "keep"]
    arguments = equivalent(rnnlm("train", "-o", name["out"], *words, *files, *more, *size, "--", name["corpus"]))
    expected = [name["out"], name["dict"], name["valid"], name["base"], name["history"], name["events"], "0.003"]
    options = ["--output", "--user-dict", "--valid", "--init-from", "--history", "--tensorboard", "--lr"]
    assert [arguments[arguments.index(option) + 1] for option in options] == expected
    assert Path(arguments[1]).samefile(name["corpus"])
    before = Path(name["out"]).read_bytes()
    for written in ("out", "history"):
        Path(name[written]).unlink()
    rnnlm(*arguments)
    assert Path(name["out"]).read_bytes() == before


@pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch")
def test_the_options_of_pytorch_are_printed(corpus, tmp_path, rnnlm):
    engine = ["--engine", "torch", "--device", "cpu", "--precision", "float32"]
    files = [str(corpus), "-o", str(tmp_path / "m.npz")]
    found = equivalent(rnnlm("train", *files, "--threads", "1", "--epochs", "0.1", *engine))
    assert " ".join(engine) in " ".join(found)


def test_a_time_is_printed_with_the_sizes_chosen_for_it(corpus, tmp_path, rnnlm):
    path = tmp_path / "m.npz"
    arguments = equivalent(rnnlm("train", corpus, "-o", path, "--threads", "1", "--time", "0.5s"))
    assert arguments[arguments.index("--time") + 1] == "0.5"
    assert "--hidden-size" in arguments


def test_a_resumed_training_prints_no_command(corpus, tmp_path, rnnlm):
    path = tmp_path / "m.npz"
    rnnlm("train", corpus, "-o", path, "--threads", "1", "--epochs", "1")
    assert "Equals" not in rnnlm("train", corpus, "-o", path, "--threads", "1", "--resume", "--epochs", "2").err


def test_a_time_longer_than_the_text_needs_is_printed_with_epochs(tmp_path, rnnlm):
    (tmp_path / "text.txt").write_text(TEXT)
    command = ["train", str(tmp_path / "text.txt"), "-o", str(tmp_path / "m.npz"), "--time", "30s", "--threads", "1"]
    arguments = equivalent(rnnlm(*command))
    assert {"--epochs", "--time"} <= set(arguments)
    rnnlm(*arguments, "--force")
    options = checkpoint.read_header(tmp_path / "m.npz")["training"]["options"]
    assert options["epochs"] == float(arguments[arguments.index("--epochs") + 1])
    assert options["time"] == 30
