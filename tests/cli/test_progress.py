"""Histories are bounded, have whole lines, are cut to the checkpoint's step, and survive a full disk."""

import errno
import json
import math
import os

import pytest

from rnnlm.cli.progress import EventLog, History
from rnnlm.errors import TrainingError
from rnnlm.training.trainer import Report
from tests.cli.event_reader import events, read_scalars


def report(step, **values):
    defaults = {
        **{"kind": "evaluation", "step": step, "epoch": step / 10, "seconds": 0.0, "progress": 0.5},
        **{"learning_rate": 0.01, "gradient_norm": 1.0, "tokens": 5, "train_nats_per_token": 2.0},
        **{"tokens_per_second": 9.0, "valid_nats_per_token": 3.0},
    }
    return Report(**{**defaults, **values})


def never(message):
    raise AssertionError(message)


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def written(path, resumed_at, *reports):
    with History(path, resumed_at) as history:
        for each in reports:
            history.write(each, never)


def test_a_new_training_replaces_the_history(tmp_path):
    path = tmp_path / "h.jsonl"
    written(path, None, report(1), report(2))
    written(path, None, report(3))
    assert steps(path) == [3]


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "h.jsonl"
    with History(path, None) as history:
        history.write(report(1), never)
        assert steps(path) == [1]


def test_nan_and_infinity_are_written_as_null(tmp_path):
    path = tmp_path / "h.jsonl"
    written(path, None, report(1, gradient_norm=math.nan, valid_nats_per_token=math.inf))
    row = json.loads(path.read_text())
    assert row["gradient_norm"] is None
    assert row["valid_nats_per_token"] is None


@pytest.mark.parametrize("resumed_at", [0, 20, 25, 30, 99])
def test_a_resumed_training_cuts_off_the_steps_that_it_repeats(tmp_path, resumed_at):
    path = tmp_path / "h.jsonl"
    written(path, None, *map(report, (10, 20, 30)))
    written(path, resumed_at, report(100))
    assert steps(path) == [*(step for step in (10, 20, 30) if step <= resumed_at), 100]


@pytest.mark.parametrize("length", range(1, 60, 7))
def test_an_incomplete_last_line_of_a_killed_run_is_cut_off(tmp_path, length):
    path = tmp_path / "h.jsonl"
    written(path, None, report(10), report(20))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:length])
    written(path, 30, report(40))
    assert steps(path) == [10, 40]


def test_lines_after_a_recovery_to_an_earlier_step_are_kept(tmp_path):
    path = tmp_path / "h.jsonl"
    written(path, None, report(10), report(20), report(10, kind="recovery"), report(20), report(30))
    written(path, 20, report(30))
    assert steps(path) == [10, 20, 10, 20, 30]


@pytest.mark.parametrize("content", [b"", b"notes of mine\n", b"\xff\xfe\n", b'{"loss": 3}\n', b"[1]\n"])
def test_a_file_that_is_not_a_history_is_not_cut(tmp_path, content):
    path = tmp_path / "h.jsonl"
    path.write_bytes(content)
    written(path, 0, report(1))
    assert path.read_bytes().startswith(content)
    assert json.loads(path.read_bytes().splitlines()[-1])["step"] == 1


def test_a_history_that_cannot_be_written_prevents_the_training(tmp_path):
    with pytest.raises(TrainingError, match=r"--history .*missing.*cannot be written"):
        History(tmp_path / "missing" / "h.jsonl", None)


class Full:
    """A file on a disk with `room` bytes left, until `room` is raised."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        number = self.file.write(data[: self.room])
        self.room -= number
        return number

    def close(self):
        self.file.close()


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_disk_that_is_full_for_a_while_costs_one_warning_and_no_line(tmp_path, room):
    path, warnings = tmp_path / "h.jsonl", []
    with History(path, None) as history:
        full = history._file._file = Full(history._file._file, room)
        for step in (1, 2, 3):
            history.write(report(step), warnings.append)
        assert len(warnings) == 1
        assert "No space left" in warnings[0]
        full.room = 10**6
        history.write(report(4), warnings.append)
        assert steps(path) == [1, 2, 3, 4]
        full.room = 0
        history.write(report(5), warnings.append)
        assert len(warnings) == 2
        full.room = 10**6
    assert steps(path) == [1, 2, 3, 4, 5]  # pending lines are written at the end


# --- events for TensorBoard -------------------------------------------------------------------------------------------


def test_pending_events_are_written_after_the_disk_was_full(tmp_path):
    warnings = []
    with EventLog(tmp_path / "run", None) as log:
        full = log._file._file = Full(log._file._file, 7)
        for step in (1, 2):
            log.write(report(step), warnings.append)
        assert len(warnings) == 1
        assert "--tensorboard" in warnings[0]
        assert "No space left" in warnings[0]
        full.room = 10**6
    (path,) = (tmp_path / "run").iterdir()
    assert [step for step, scalars in read_scalars(path) if scalars] == [1, 2]


def test_every_run_writes_its_own_file_that_sorts_after_earlier_ones(tmp_path):
    for resumed_at in (None, 3, 5):
        with EventLog(tmp_path, resumed_at):
            pass
    paths = sorted(tmp_path.iterdir())
    assert [events(path)[1].step for path in paths] == [0, 4, 6]  # TensorBoard drops events from these steps on


def test_events_leave_out_missing_numbers(tmp_path):
    with EventLog(tmp_path, None) as log:
        log.write(report(1, valid_nats_per_token=None, gradient_norm=math.nan, tokens_per_second=1e300), never)
        log.write(report(0, kind="recovery"), never)
    (path,) = tmp_path.iterdir()
    assert [step for step, _ in read_scalars(path)] == [0, 0, 1, 0, 0]
    assert read_scalars(path)[2][1].keys() == {"train/nats_per_token", "training/epoch", "training/learning_rate"}


def test_an_impossible_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"--tensorboard .*cannot be written"):
        EventLog(tmp_path / "file" / "run", None)


def test_without_a_folder_no_events_are_written():
    with EventLog(None, None) as log:
        log.write(report(1), never)
