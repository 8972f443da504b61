"""Lock output files, so that only one run at a time writes a file."""

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rnnlm.errors import SavingError
from rnnlm.storage.atomic import ATTEMPTS, POSIX, is_at, not_written, prefix_for, remove_abandoned, try_to_lock


class Reservation:
    """An exclusive right of this process to write a file.

    It is an advisory lock of the operating system on a small file next to the target. The system
    releases it when the process ends in any way. A lock file left by a killed process does no harm:
    the next run locks it and removes it at its end. On a file system without locks, a reservation
    has no effect.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reserve `path`, and remove temporary files that killed runs left for it.

        Raises:
            SavingError: Another run has reserved it, or no file can be created in its folder.
        """
        self._path = path
        self._target = Path(os.path.realpath(path))
        self._lock_path = self._target.with_name(f"{prefix_for(self._target)}lock")
        self._file: BinaryIO | None = None
        self.renew()
        remove_abandoned(self._target.parent, prefix_for(self._target))

    def renew(self) -> None:
        """Reserve again if the lock file is gone, for instance because its folder was removed and recreated.

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
                self._close()  # its owner removed it just before it was locked
            raise OSError("its lock file changes all the time")
        except OSError as error:
            self._close()
            raise not_written(self._path, error) from error
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Release the reservation and remove the lock file."""
        if self._file is not None and is_at(self._file, self._lock_path):
            if not POSIX:  # Windows cannot remove an open file
                self._close()
            with contextlib.suppress(OSError):
                self._lock_path.unlink()
        self._close()

    def __enter__(self) -> "Reservation":
        """Return self; the reservation is released at the end of the block."""
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
        """Write the owner to the lock file; ignore errors, such as a full disk or a read-only file."""
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()


def _opened_lock(path: Path) -> BinaryIO:
    try:
        return open(path, "a+b", buffering=0)
    except PermissionError as denied:
        try:
            return open(path, "rb", buffering=0)  # left by another user; read access is enough to lock it
        except FileNotFoundError:
            raise denied from None  # the cause is the read-only folder, not the missing file
