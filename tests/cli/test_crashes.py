"""Trainings that are killed, stopped or run out of resources; `tests/stress/kill.py` runs many more rounds."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rnnlm.storage import checkpoint
from rnnlm.storage.lock import Reservation
from tests.stress import kill

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the attacks need Linux")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return kill.Scene(tmp_path_factory.mktemp("crashes"), seed=2, epochs=1.5)


@pytest.fixture(autouse=True)
def _clean(request, scene):
    scene.begin_anew()
    yield
    scene.stop_all()


ROUNDS = {"kill": 2, "signals": 1, "twice": 1, "second": 1}


@pytest.mark.parametrize("name", ROUNDS)
def test_an_attack_loses_no_model(name, scene):
    for _ in range(ROUNDS[name]):
        kill.ATTACKS[name](scene)


def test_a_training_killed_while_saving_resumes_and_ends_in_the_same_bytes(scene):
    finished = scene.finished
    scene.ended(scene.start("1000", "kill halfway", "0"), -signal.SIGKILL)
    assert scene.model.exists()
    scene.check(leftovers=1)
    scene.ended(scene.start(), 0)
    scene.check(leftovers=0)
    assert scene.finished == finished + 1


def test_a_disk_that_is_full_for_a_while_costs_only_a_warning(scene):
    finished = scene.finished
    said = scene.ended(scene.start("1000", str(errno.ENOSPC), "20"), 0)
    assert said.count("Warning: ") == 1
    assert "No space left" in said
    assert "Saved again" in said
    scene.check(leftovers=0)
    assert scene.finished == finished + 1


def test_a_disk_that_stays_full_is_exit_code_1_and_keeps_the_previous_file(scene):
    said = scene.ended(scene.start("1000", str(errno.ENOSPC), "1000000"), 1)
    assert "No space left" in said
    assert "The training is not saved; " in said
    scene.check(leftovers=0)
    assert f"holds step {scene.step}" in said.splitlines()[-1]


def test_a_stopped_process_uses_up_little_of_its_time(scene, tmp_path):
    """Stopped for longer than its budget, it loses one second, or two if it was saving, and trains for the rest."""
    history, path = tmp_path / "history.jsonl", tmp_path / "m.npz"
    command = [sys.executable, "-m", "rnnlm", "train", str(scene.corpus), "-o", str(path), *kill.NETWORK]
    command += ["--time", "3.5s", "--history", str(history)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=scene.environment) as process:
        try:
            kill.until(process, lambda: history.exists() and history.stat().st_size > 0)
            process.send_signal(signal.SIGSTOP)
            before = len(history.read_text().splitlines())
            time.sleep(3.6)
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    seconds = [json.loads(line)["seconds"] for line in history.read_text().splitlines()]
    assert len(seconds) > before + 2
    assert seconds[-1] < 4.5
    assert checkpoint.read_header(path)["training"]["state"]["progress"]["finished"]


# Files that must not be overwritten


@pytest.mark.parametrize("command", [["train"], ["ngram", "train"]])
def test_every_command_that_trains_reserves_its_output_file(command, scene, tmp_path, rnnlm):
    path = tmp_path / "m.npz"
    with Reservation(path):
        said = rnnlm(*command, scene.corpus, "-o", path, code=1).err
    assert f"process {os.getpid()} " in said
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["train", "TEXT", "-o", "TEXT"],
        ["train", "TEXT", "-o", "m.npz", "--history", "TEXT"],
        ["train", "TEXT", "-o", "m.npz", "--history", "m.npz"],
        ["train", "TEXT", "-o", "m.npz", "--valid", "VALID", "--history", "VALID"],
        ["ngram", "train", "TEXT", "-o", "TEXT"],
        ["ngram", "train", "TEXT", "-o", "m.npz", "--arpa", "TEXT"],
        ["ngram", "train", "TEXT", "-o", "m.npz", "--arpa", "m.npz"],
    ],
    ids=" ".join,
)
def test_outputs_of_one_command_may_not_overwrite_each_other_or_the_text(options, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    texts = {name: f"{name} 我 昨天 上学\n" * 20 for name in ("TEXT", "VALID")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert "would replace" in rnnlm(*options, code=1).err
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == texts
