"""A checkpoint is written completely or not at all, whatever operation fails."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlm.errors import CheckpointError, SavingError
from rnnlm.storage import checkpoint
from rnnlm.storage.atomic import replacing
from tests.stress.kill import HOWS, Fault

OLD, NEW = ({"n": 1}, {"a": np.arange(3000)}), ({"n": 2}, {"a": np.arange(5000)})


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "model.npz", *OLD)
    return tmp_path / "model.npz"


def operations(path):
    """Return the operations of a save in order."""
    with Fault(0, "kill before").installed() as fault:
        checkpoint.save(path.with_name("other.npz"), *NEW)
    path.with_name("other.npz").unlink()
    return fault.operations


def beside(path):
    return [each.name for each in path.parent.iterdir() if each != path]


def number_in(path):
    return checkpoint.load(path)[0]["n"]


# Each operation of a save in a child process that is killed there; forking is faster than starting Python.
KILLED = """
import os, sys
import numpy as np
from tests.stress.kill import Fault
from rnnlm.storage import checkpoint
from rnnlm.storage.lock import Reservation
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
        with Reservation(path):
            after = [name for name in os.listdir(os.path.dirname(path)) if name.startswith(".rnnlm")]
        print(how.replace(" ", "-"), first, os.WTERMSIG(status), number, len(left), len(after))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_save_killed_at_any_operation_leaves_the_old_or_the_new_file(path):
    expected = operations(path)
    assert {"open", "write", "fsync", "rename"} == set(expected)
    assert expected.count("write") > 5
    command = [sys.executable, "-c", KILLED, str(path), str(len(expected)), *HOWS]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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
        assert after == "1"  # the reservation's lock; it removed the other files


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_an_error_at_any_operation_is_one_sentence_and_keeps_the_old_file(path, code):
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
def test_further_errors_during_clean_up_change_nothing(path, more):
    before = path.read_bytes()
    for first in range(1, operations(path).index("rename") + 2, 3):
        with Fault(first, errno.ENOSPC, more).installed(), pytest.raises(SavingError):
            checkpoint.save(path, *NEW)
        assert path.read_bytes() == before
        assert beside(path) == []


def test_a_folder_that_cannot_be_synced_is_not_an_error(path):
    """The new file is in place by then, and some network file systems support no more."""
    after_rename = operations(path).index("rename") + 2
    with Fault(after_rename, errno.EINVAL, 9).installed():
        checkpoint.save(path, *NEW)
    assert number_in(path) == 2


def test_a_memory_error_keeps_the_old_file(path, monkeypatch):
    def used_up(*_):
        raise MemoryError

    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "_npy_header", used_up)
    with pytest.raises(MemoryError):
        checkpoint.save(path, *NEW)
    assert path.read_bytes() == before
    assert beside(path) == []


def test_a_removed_folder_is_one_sentence(path):
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(CheckpointError, match="cannot be written: No such file"):
        checkpoint.save(path, *NEW)
    assert not path.parent.exists()


def test_an_exception_in_the_block_writes_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"new", None])
    assert path.read_bytes() == b"old"
    assert beside(path) == []


def test_readers_get_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
