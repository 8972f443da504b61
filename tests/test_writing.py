"""A checkpoint is written whole or not at all, whatever happens at whatever operation, and by one run at a time."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kill import HOWS, Fault
from rnnlm import checkpoint
from rnnlm.checkpoint import Reservation, replacing
from rnnlm.errors import CheckpointError, SavingError

OLD, NEW = ({"n": 1}, {"a": np.arange(3000)}), ({"n": 2}, {"a": np.arange(5000)})


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "model.npz", *OLD)
    return tmp_path / "model.npz"


def operations(path):
    """What a save does, in order."""
    with Fault(0, "kill before").installed() as fault:
        checkpoint.save(path.with_name("other.npz"), *NEW)
    path.with_name("other.npz").unlink()
    return fault.operations


def beside(path):
    return [each.name for each in path.parent.iterdir() if each != path]


def number_in(path):
    return checkpoint.load(path)[0]["n"]


# Each operation of a save, in a process of its own that is killed there. Forked, since a start takes much longer.
KILLED = """
import os, sys
import numpy as np
from benchmarks.kill import Fault
from rnnlm import checkpoint
path, operations = sys.argv[1], int(sys.argv[2])
for how in sys.argv[3:]:
    for first in range(1, operations + 1):
        checkpoint.save(path, {"n": 1}, {"a": np.arange(3000)})
        if (child := os.fork()) == 0:
            with Fault(first, how).installed():
                checkpoint.save(path, {"n": 2}, {"a": np.arange(5000)})
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        left = [name for name in os.listdir(os.path.dirname(path)) if name != os.path.basename(path)]
        number = checkpoint.load(path)[0]["n"]
        with checkpoint.Reservation(path):
            after = [name for name in os.listdir(os.path.dirname(path)) if name.startswith(".rnnlm")]
        print(how.replace(" ", "-"), first, os.WTERMSIG(status), number, len(left), len(after))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_killed_at_every_operation_it_leaves_the_old_file_or_the_new_one(path):
    expected = operations(path)
    assert {"open", "write", "fsync", "rename"} == set(expected)
    assert expected.count("write") > 5
    command = [sys.executable, "-c", KILLED, str(path), str(len(expected)), *HOWS]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == len(HOWS) * len(expected)
    rename = expected.index("rename") + 1
    for how, first, signal_number, number, left, after in rows:
        assert signal_number == "9"
        renamed = int(first) + (how == "kill-after") > rename
        begun = int(first) + (how == "kill-after") > 1
        assert number == ("2" if renamed else "1")
        assert left == ("1" if begun and not renamed else "0")
        assert after == "1"  # the lock of the reservation, which has removed the rest


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_an_error_at_any_operation_is_one_sentence_and_leaves_the_old_file_alone(path, code):
    before = path.read_bytes()
    for first in range(1, operations(path).index("rename") + 2):
        with Fault(first, code).installed(), pytest.raises(SavingError) as caught:
            checkpoint.save(path, *NEW)
        assert os.strerror(code) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert beside(path) == []
    checkpoint.save(path, *NEW)
    assert number_in(path) == 2


@pytest.mark.parametrize("more", [1, 1000])
def test_errors_that_go_on_while_it_cleans_up_change_nothing(path, more):
    before = path.read_bytes()
    for first in range(1, operations(path).index("rename") + 2, 3):
        with Fault(first, errno.ENOSPC, more).installed(), pytest.raises(SavingError):
            checkpoint.save(path, *NEW)
        assert path.read_bytes() == before
        assert beside(path) == []


def test_a_folder_that_can_not_be_brought_to_the_disk_is_no_failure(path):
    """The new file is in its place by then; some network file systems promise no more."""
    after_rename = operations(path).index("rename") + 2
    with Fault(after_rename, errno.EINVAL, 9).installed():
        checkpoint.save(path, *NEW)
    assert number_in(path) == 2


def test_no_memory_leaves_the_old_file_alone(path, monkeypatch):
    def used_up(*_):
        raise MemoryError

    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "_npy_header", used_up)
    with pytest.raises(MemoryError):
        checkpoint.save(path, *NEW)
    assert path.read_bytes() == before
    assert beside(path) == []


def test_a_folder_that_is_gone_is_one_sentence(path):
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(CheckpointError, match="cannot be written: No such file"):
        checkpoint.save(path, *NEW)
    assert not path.parent.exists()


def test_a_block_that_fails_has_written_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"new", None])
    assert path.read_bytes() == b"old"
    assert beside(path) == []


def test_until_the_block_ends_everybody_reads_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


# One writer at a time


def test_the_second_is_refused_while_the_first_is_alive_and_told_who_that_is(tmp_path):
    path = tmp_path / "model.npz"
    with Reservation(path):
        for name in (path, tmp_path / "." / "model.npz", tmp_path / ".." / tmp_path.name / "model.npz"):
            with pytest.raises(SavingError, match=rf"another run \(process {os.getpid()} on .*-o"):
                Reservation(name)
        Reservation(tmp_path / "other.npz").release()
    assert list(tmp_path.iterdir()) == []
    Reservation(path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_file_is_that_file(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "model.npz")
    with Reservation(tmp_path / "model.npz"), pytest.raises(SavingError, match="another run"):
        Reservation(tmp_path / "link.npz")


HOLDING = """
import sys, time
from rnnlm.checkpoint import Reservation, replacing
reservation = Reservation(sys.argv[1])
with replacing(sys.argv[1]) as file:
    file.write(b"x" * 100000)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_in_a_folder_that_is_read_only_the_reason_is_the_permission(tmp_path, monkeypatch):
    def as_where_nothing_can_be_made(path, mode, **options):  # root, who runs some tests, is not stopped
        if "a" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(checkpoint, "open", as_where_nothing_can_be_made, raising=False)
    with pytest.raises(SavingError, match="Permission denied"):
        Reservation(tmp_path / "model.npz")


def test_what_a_killed_run_left_is_no_obstacle_and_is_removed(tmp_path):
    path = tmp_path / "model.npz"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(SavingError, match=f"process {process.pid} "):
                Reservation(path)
            assert len(beside(path)) == 2  # the lock, and what is being written: nobody removes that
        finally:
            process.kill()
    assert len(beside(path)) == 2
    with Reservation(path):
        assert len(beside(path)) == 1
    assert beside(path) == []


def test_what_belongs_to_other_files_is_left_alone(tmp_path):
    foreign = tmp_path / ".rnnlm-0123456789ab-0123456789abcdef"
    foreign.write_bytes(b"")
    with Reservation(tmp_path / "model.npz"):
        pass
    assert foreign.exists()


def test_in_a_folder_that_was_made_anew_it_is_reserved_once_more(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model.npz"
    with Reservation(path) as reservation:
        lock = next(folder.iterdir())
        lock.unlink()
        folder.rmdir()
        with pytest.raises(SavingError, match="No such file"):
            reservation.renew()
        folder.mkdir()
        reservation.renew()
        with pytest.raises(SavingError, match="another run"):
            Reservation(path)
    assert list(folder.iterdir()) == []


def test_who_took_the_file_in_the_meantime_keeps_it(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model.npz"
    with Reservation(path) as first:
        next(folder.iterdir()).unlink()
        with Reservation(path), pytest.raises(SavingError, match="another run"):
            first.renew()
        first.renew()
    assert list(folder.iterdir()) == []


def test_where_there_are_no_locks_nothing_is_refused_and_old_leftovers_go(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_try_to_lock", lambda file: None)
    path = tmp_path / "model.npz"
    prefix = checkpoint._prefix(path)
    old, new = (tmp_path / f"{prefix}{name}" for name in ("0" * 16, "1" * 16))
    old.write_bytes(b"")
    new.write_bytes(b"")
    long_ago = time.time() - checkpoint._ABANDONED_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    with Reservation(path), Reservation(path):
        assert not old.exists()
        assert new.exists()  # perhaps somebody is writing it
        checkpoint.save(path, *NEW)
    assert number_in(path) == 2


@pytest.mark.parametrize("length", [1, 200, 255 - 4])
def test_names_of_any_length_can_be_reserved_and_written(tmp_path, length):
    path = tmp_path / ("m" * length + ".npz")
    with Reservation(path):
        checkpoint.save(path, *NEW)
    assert beside(path) == []
    assert number_in(path) == 2
