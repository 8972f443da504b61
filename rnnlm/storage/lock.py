"""One writer at a time: a run reserves the file that it will write."""

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rnnlm.errors import SavingError
from rnnlm.storage.atomic import ATTEMPTS, POSIX, is_at, not_written, prefix_for, remove_abandoned, try_to_lock


class Reservation:
    """The right to be the only run that writes a file, for as long as this process lives.

    It is an advisory lock of the operating system on an empty file beside the target, which the
    system takes away with the process, however that ends. A file that a killed process left is no
    obstacle: the next run locks it and removes it at its end. Where the file system has no locks,
    nothing is reserved and nothing refused.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reserve `path`, and remove what killed runs left on the way to it.

        Raises:
            SavingError: Another run has reserved it, or no file can be made in its folder.
        """
        self._path = path
        self._target = Path(os.path.realpath(path))
        self._lock_path = self._target.with_name(f"{prefix_for(self._target)}lock")
        self._file: BinaryIO | None = None
        self.renew()
        remove_abandoned(self._target.parent, prefix_for(self._target))

    def renew(self) -> None:
        """Reserve once more if the lock is not in its place any longer: the folder was removed and made anew.

        Raises:
            SavingError: As for a new reservation.
        """
        if self._file is not None and is_at(self._file, self._lock_path):
            return
        self._close()
        try:
            for _ in range(ATTEMPTS):
                self._file = _opened_lock(self._lock_path)
                if try_to_lock(self._file) is False:
                    raise SavingError(self._refusal(self._file))
                if is_at(self._file, self._lock_path):
                    self._sign(self._file)
                    return
                self._close()  # its owner removed it in the moment before we locked it
            raise OSError("its lock file changes all the time")
        except OSError as error:
            self._close()
            raise not_written(self._path, error) from error
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Give the file free, and remove the lock file."""
        if self._file is not None and is_at(self._file, self._lock_path):
            if not POSIX:  # Windows removes no open file
                self._close()
            with contextlib.suppress(OSError):
                self._lock_path.unlink()
        self._close()

    def __enter__(self) -> "Reservation":
        """Use as a context manager, which releases at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release."""
        self.release()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _refusal(self, file: BinaryIO) -> str:
        owner = ""
        with contextlib.suppress(OSError):
            file.seek(0)
            owner = file.read(200).decode("utf-8", "replace").strip()
        return (
            f"{self._path} is being written by another run{f' ({owner})' if owner else ''}. Wait until it has ended, "
            "stop it, or choose another file with -o."
        )

    @staticmethod
    def _sign(file: BinaryIO) -> None:
        """Say in the lock file who has it. A full disk, or a file that is only readable, is no obstacle."""
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()


def _opened_lock(path: Path) -> BinaryIO:
    try:
        return open(path, "a+b", buffering=0)
    except PermissionError as denied:
        try:
            return open(path, "rb", buffering=0)  # left by another user; to lock it, reading is enough
        except FileNotFoundError:
            raise denied from None  # the folder is read-only; that there is no file is not what is wrong
