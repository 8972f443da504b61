"""A file is written by one run at a time, and files that killed runs left are removed."""

import errno
import os
import subprocess
import sys
import time

import pytest

from rnnlm.errors import SavingError
from rnnlm.storage import atomic, lock
from rnnlm.storage.atomic import replacing
from rnnlm.storage.lock import Reservation


def write(path):
    with replacing(path) as file:
        file.write(b"new")


def beside(path):
    return [each.name for each in path.parent.iterdir() if each != path]


def test_a_second_reservation_is_refused_with_the_process_of_the_first(tmp_path):
    path = tmp_path / "model.npz"
    with Reservation(path):
        for name in (path, tmp_path / "." / "model.npz", tmp_path / ".." / tmp_path.name / "model.npz"):
            with pytest.raises(SavingError, match=rf"another run \(process {os.getpid()} on .*-o"):
                Reservation(name)
        Reservation(tmp_path / "other.npz").release()
    assert list(tmp_path.iterdir()) == []
    Reservation(path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_link_reserves_the_file_that_it_points_to(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "model.npz")
    with Reservation(tmp_path / "model.npz"), pytest.raises(SavingError, match="another run"):
        Reservation(tmp_path / "link.npz")


HOLDING = """
import sys, time
from rnnlm.storage.atomic import replacing
from rnnlm.storage.lock import Reservation
reservation = Reservation(sys.argv[1])
with replacing(sys.argv[1]) as file:
    file.write(b"x" * 100000)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_read_only_folder_is_reported_as_such(tmp_path, monkeypatch):
    def as_where_nothing_can_be_made(path, mode, **options):  # root, who runs some tests, is not restricted
        if "a" in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("rnnlm.storage.lock.open", as_where_nothing_can_be_made, raising=False)
    with pytest.raises(SavingError, match="Permission denied"):
        Reservation(tmp_path / "model.npz")


def test_files_left_by_a_killed_run_are_removed(tmp_path):
    path = tmp_path / "model.npz"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(SavingError, match=f"process {process.pid} "):
                Reservation(path)
            assert len(beside(path)) == 2  # the lock and the file being written, which must not be removed
        finally:
            process.kill()
    assert len(beside(path)) == 2
    with Reservation(path):
        assert len(beside(path)) == 1
    assert beside(path) == []


def test_temporary_files_of_other_files_are_kept(tmp_path):
    foreign = tmp_path / ".rnnlm-0123456789ab-0123456789abcdef"
    foreign.write_bytes(b"")
    with Reservation(tmp_path / "model.npz"):
        pass
    assert foreign.exists()


def test_a_reservation_is_renewed_in_a_folder_that_was_made_anew(tmp_path):
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


def test_a_file_reserved_by_another_run_in_the_meantime_stays_theirs(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model.npz"
    with Reservation(path) as first:
        next(folder.iterdir()).unlink()
        with Reservation(path), pytest.raises(SavingError, match="another run"):
            first.renew()
        first.renew()
    assert list(folder.iterdir()) == []


def test_without_lock_support_nothing_is_refused_and_old_leftovers_are_removed(tmp_path, monkeypatch):
    for module in (atomic, lock):
        monkeypatch.setattr(module, "try_to_lock", lambda file: None)
    path = tmp_path / "model.npz"
    prefix = atomic.prefix_for(path)
    old, new = (tmp_path / f"{prefix}{name}" for name in ("0" * 16, "1" * 16))
    old.write_bytes(b"")
    new.write_bytes(b"")
    long_ago = time.time() - atomic.ABANDONED_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    with Reservation(path), Reservation(path):
        assert not old.exists()
        assert new.exists()  # may be in use
        write(path)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("length", [1, 200, 255 - 4])
def test_names_of_any_length_can_be_reserved_and_written(tmp_path, length):
    path = tmp_path / ("m" * length + ".npz")
    with Reservation(path):
        write(path)
    assert beside(path) == []
    assert path.read_bytes() == b"new"
