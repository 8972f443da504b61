"""Replace a file whole or not at all, and clean up after processes that were killed while they did.

A new file is written beside the one it replaces, under a name with `TEMPORARY_PREFIX`, and locked until it is in its
place. The operating system takes the lock away with the process, however that ends. So a temporary file that nobody
has locked was abandoned and can be removed.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rnnlm.errors import SavingError

TEMPORARY_PREFIX = ".rnnlm-"  # a file with this prefix belongs to a process that writes, or was killed while it did
ABANDONED_AFTER = 24 * 3600  # seconds, where no lock tells whether a file is still being written
ATTEMPTS = 100  # at a file that other processes remove all the time

POSIX = os.name == "posix"
# What the system says of a file that another process has locked.
_LOCKED = (errno.EWOULDBLOCK, errno.EAGAIN) if POSIX else (errno.EACCES, errno.EDEADLK)
_LOCKED_BYTE = 1 << 30


class Temporary(NamedTuple):
    """A new file that is locked while it is written."""

    file: BinaryIO
    path: Path

    def replace(self, target: Path) -> None:
        """Bring what was written to the disk, then put the file in the place of `target` in the same folder.

        Raises:
            OSError: It cannot be written or put there; `target` is unharmed.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if not POSIX:  # Windows renames no open file
            self.file.close()
        os.replace(self.path, target)
        # The rename itself must reach the disk. Some network file systems cannot promise it; the
        # new file is in place all the same, so that is no failure.
        if POSIX:
            with contextlib.suppress(OSError):
                _fsync_directory(target.parent)


@contextlib.contextmanager
def temporary(folder: Path, prefix: str = TEMPORARY_PREFIX) -> Iterator[Temporary]:
    """A new file in a folder, removed at the end of the block unless it has replaced another one.

    Raises:
        OSError: No file can be made there.
    """
    for _ in range(ATTEMPTS):
        # Mode "x" creates the file with the permissions of any new file and follows no link. The
        # name is known before it exists: an interrupt at any moment leaves nothing behind.
        path = folder / f"{prefix}{secrets.token_hex(8)}"
        try:
            with open(path, "xb") as file:
                # Another run may have taken it for an abandoned one in the moment before it was locked.
                if POSIX and (try_to_lock(file) is False or not is_at(file, path)):
                    continue
                yield Temporary(file, path)
                return
        finally:
            with contextlib.suppress(OSError):  # an error that is on its way is the one to tell
                path.unlink()
    raise OSError("other runs remove what is written")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` if the block ends well; if it does not, nothing has happened.

    Where `path` is a symbolic link, the file behind it is replaced.

    Raises:
        OSError: The new file cannot be written or put in its place.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # never put a file in the place of /dev/null
        raise OSError("it is there and is not a file")
    with temporary(target.parent, prefix_for(target)) as new:
        yield new.file
        new.replace(target)


def not_written(path: str | os.PathLike[str], error: OSError) -> SavingError:
    """The error for a file that cannot be written now."""
    remedy = {
        errno.ENOSPC: "Make room on the disk",
        errno.EDQUOT: "Make room within your quota",
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    }.get(error.errno or 0, "Check that the folder exists, that you may write in it and that the disk has room")
    reason = error.strerror or str(error)
    return SavingError(f"{path} cannot be written: {reason}. {remedy}, or choose another file with -o.")


def prefix_for(target: Path) -> str:
    """How the names begin of all files that are written on the way to `target`; short, however long its own name is."""
    return f"{TEMPORARY_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def remove_abandoned(folder: Path, prefix: str = TEMPORARY_PREFIX) -> None:
    """Remove temporary files that killed processes left in a folder, never one that is being written."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and not entry.name.endswith("lock"):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    if not POSIX:
        path.unlink()  # fails while somebody has it open
        return
    with open(path, "rb") as file:
        locked = try_to_lock(file)
        if locked or (locked is None and time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED_AFTER):
            path.unlink()


def try_to_lock(file: BinaryIO) -> bool | None:
    """Lock an open file until it is closed. False: another process has it. None: there are no locks here."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)  # Windows lets nobody read what is locked, so this is far behind the content
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                file.seek(0)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return None
    except OSError as error:
        return False if error.errno in _LOCKED else None
    return True


def is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def _fsync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
