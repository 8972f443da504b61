"""Replace files atomically, and remove temporary files of processes that were killed.

A new file is written next to the file that it replaces, under a name with `TEMPORARY_PREFIX`, and is locked until it
replaces it. The operating system releases the lock when the process ends in any way. So a temporary file without a lock
was abandoned and can be removed.
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

TEMPORARY_PREFIX = ".rnnlm-"  # prefix of files of processes that are writing, or were killed while writing
ABANDONED_AFTER = 24 * 3600  # seconds after which a file counts as abandoned on a file system without locks
ATTEMPTS = 100  # to create a file that other processes keep removing

POSIX = os.name == "posix"
# Error numbers of the system for a file that another process has locked.
_LOCKED = (errno.EWOULDBLOCK, errno.EAGAIN) if POSIX else (errno.EACCES, errno.EDEADLK)
_LOCKED_BYTE = 1 << 30


class Temporary(NamedTuple):
    """A new file that is locked while it is written."""

    file: BinaryIO
    path: Path

    def replace(self, target: Path) -> None:
        """Flush the file to disk, then replace `target`, which must be in the same folder.

        Raises:
            OSError: The file cannot be written or renamed; `target` is unchanged.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        if not POSIX:  # Windows cannot rename an open file
            self.file.close()
        os.replace(self.path, target)
        # Flush the rename too. Some network file systems do not support this, which is no failure, as the new file is
        # in place.
        if POSIX:
            with contextlib.suppress(OSError):
                _fsync_directory(target.parent)


@contextlib.contextmanager
def temporary(folder: Path, prefix: str = TEMPORARY_PREFIX) -> Iterator[Temporary]:
    """Create a new file in a folder; it is removed at the end of the block unless it has replaced another one.

    Raises:
        OSError: No file can be created in the folder.
    """
    for _ in range(ATTEMPTS):
        # Mode "x" creates the file with default permissions and follows no link. As the name is chosen before the file
        # exists, it is removed after an interrupt at any moment.
        path = folder / f"{prefix}{secrets.token_hex(8)}"
        try:
            with open(path, "xb") as file:
                # Another run may have removed it as abandoned, just before it was locked.
                if POSIX and (try_to_lock(file) is False or not is_at(file, path)):
                    continue
                yield Temporary(file, path)
                return
        finally:
            with contextlib.suppress(OSError):  # so as not to hide an earlier error
                path.unlink()
    raise OSError("other processes keep removing the new file")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a new file that replaces `path` at the end of the block, unless the block raises an exception.

    If `path` is a symbolic link, its target is replaced.

    Raises:
        OSError: The new file cannot be written, or `path` cannot be replaced.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # such as /dev/null
        raise OSError("it exists and is not a file")
    with temporary(target.parent, prefix_for(target)) as new:
        yield new.file
        new.replace(target)


def not_written(path: str | os.PathLike[str], error: OSError) -> SavingError:
    """Return the error for a file that could not be written."""
    remedy = {
        errno.ENOSPC: "Make room on the disk",
        errno.EDQUOT: "Make room within your quota",
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    }.get(error.errno or 0, "Check that the folder exists, that you may write in it and that the disk has room")
    reason = error.strerror or str(error)
    return SavingError(f"{path} cannot be written: {reason}. {remedy}, or choose another file with -o.")


def prefix_for(target: Path) -> str:
    """Return the prefix of temporary files for `target`; it is short, however long the name of `target` is."""
    return f"{TEMPORARY_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def remove_abandoned(folder: Path, prefix: str = TEMPORARY_PREFIX) -> None:
    """Remove temporary files of killed processes from a folder, but not those that are being written."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and not entry.name.endswith("lock"):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    if not POSIX:
        path.unlink()  # fails on Windows while the file is open
        return
    with open(path, "rb") as file:
        locked = try_to_lock(file)
        if locked or (locked is None and time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED_AFTER):
            path.unlink()


def try_to_lock(file: BinaryIO) -> bool | None:
    """Lock a file until it is closed; return False if another process has locked it, None if locks are unsupported."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)  # far beyond the content, as locked bytes cannot be read on Windows
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
    """Return whether a path still refers to an open file."""
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
