"""Checkpoints of every released format can be read and resumed, and give the recorded answers.

tests/data/<format>/recorded.json has the questions, and the answers of the version that wrote the files beside it, see
tests/data/record.py.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint

FOLDERS = sorted(path.parent for path in (Path(__file__).parent / "data").glob("*/recorded.json"))
FILES = [
    pytest.param(folder, name, entry, id=f"{folder.name}-{name}")
    for folder in FOLDERS
    for name, entry in json.loads((folder / "recorded.json").read_text(encoding="utf-8"))["files"].items()
]
RESUMED = [each for each in FILES if "--resume" in each.values[2]["what"]]


def words_of(command):
    """Return the words of a recorded command line without its first, rnnlm."""
    program, *arguments = shlex.split(command)
    assert program == "rnnlm"
    return arguments


def assert_alike(found, recorded):
    """Assert that two JSON values agree, floats to 1e-4, since machines add up in different orders."""
    if isinstance(recorded, float):
        assert found == pytest.approx(recorded, rel=1e-4)
    elif isinstance(recorded, dict):
        assert recorded.keys() <= found.keys()
        for key, value in recorded.items():
            assert_alike(found[key], value)
    elif isinstance(recorded, list):
        assert len(found) == len(recorded)
        for pair in zip(found, recorded, strict=True):
            assert_alike(*pair)
    else:
        assert (type(found), found) == (type(recorded), recorded)


def test_there_is_a_folder_for_every_format():
    formats = {json.loads((folder / "recorded.json").read_text(encoding="utf-8"))["format"] for folder in FOLDERS}
    assert formats == set(range(1, checkpoint.FORMAT_VERSION + 1))
    assert RESUMED
    for folder in FOLDERS:
        assert {path.name for path in folder.glob("*.npz")} == {
            each.values[1] for each in FILES if each.values[0] == folder
        }


@pytest.mark.parametrize(("folder", "name", "entry"), FILES)
def test_a_model_gives_the_recorded_answers(folder, name, entry, monkeypatch, rnnlm):
    monkeypatch.chdir(folder)
    assert entry["asked"]
    for what, question in entry["asked"].items():
        assert_alike(rnnlm(*words_of(question), "-m", name, "--json").json, entry["answers"][what])
    assert rnnlm("info", name, "--json").json["bytes"] == (folder / name).stat().st_size


@pytest.mark.parametrize(("folder", "name", "entry"), FILES)
def test_a_model_saved_again_has_the_same_arrays(folder, name, entry, tmp_path):
    LanguageModel.load(folder / name).save(tmp_path / name)
    again, before = LanguageModel.load(tmp_path / name), LanguageModel.load(folder / name)
    assert again.vocabulary == before.vocabulary
    _, arrays = checkpoint.load(tmp_path / name)
    _, arrays_before = checkpoint.load(folder / name)
    assert arrays
    for array_name, array in arrays.items():
        assert array.tobytes() == arrays_before[array_name].tobytes()


@pytest.mark.parametrize(("folder", "name", "entry"), RESUMED)
def test_a_recorded_training_can_be_resumed(folder, name, entry, tmp_path, monkeypatch, rnnlm):
    for path in folder.glob("*.txt"):
        shutil.copy(path, tmp_path)
    shutil.copy(folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = checkpoint.read_header(name)["training"]["state"]["progress"]
    said = rnnlm(*words_of(re.sub(r"--epochs \S+", "--epochs 5", entry["command"])), "--resume").err
    assert f"Resumed     at step {before['step']:,}, epoch {before['epoch'] + 1}" in said
    after = checkpoint.read_header(name)["training"]["state"]["progress"]
    assert after["epoch"] - before["epoch"] == 2  # of several networks, the last one is trained further
    assert after["step"] * before["epoch"] == before["step"] * after["epoch"]
    assert after["recoveries"] == 0
    assert after["best_nats_per_token"] < before["best_nats_per_token"]
