"""Make a process imitate Windows, as far as rnnlm notices: `from tests.windows import pretend; pretend()`.

There are no fcntl, resource, SIGHUP and signal masks; a file that is open or mapped into memory cannot be renamed,
removed or replaced; `msvcrt` locks bytes. Everything else is that of the system on which the tests run, which has to be
Linux, since open files are looked up in /proc.
"""

import errno
import importlib
import os
import signal
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

STANDARD = ("asyncio", "concurrent.futures.process", "multiprocessing.connection", "subprocess", "tempfile")
MISSING = ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty")
SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM", "pthread_sigmask", "sigwait", "setitimer")
POSIX_ONLY = ("sched_getaffinity", "geteuid", "getuid", "mkfifo", "fork", "fchmod", "fchown", "chown")


class Locks:
    """`msvcrt.locking` of one byte at the file position, without waiting; closing the file releases the lock."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        """Start without locks."""
        self._held: dict[tuple[int, int, int], int] = {}

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        """Lock a byte, or raise OSError if another descriptor holds it."""
        assert (mode, size) == (self.LK_NBLCK, 1)
        status = os.fstat(descriptor)
        place = (status.st_dev, status.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        assert place[2] >= status.st_size, "nobody could read what is locked"
        holder = self._held.get(place)
        if holder not in (None, descriptor) and is_descriptor_of(holder, status):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        self._held[place] = descriptor


def is_descriptor_of(descriptor: int, status: os.stat_result) -> bool:
    """Return whether a descriptor still refers to a file."""
    try:
        return os.path.samestat(os.fstat(descriptor), status)
    except OSError:
        return False


def is_in_use(path: Any) -> bool:
    """Return whether this process has a file open or mapped."""
    real = os.path.realpath(path)
    for link in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(link) == real:
                return True
        except OSError:  # the descriptor of the listing itself
            continue
    return any(line.endswith(f" {real}") for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())


def refusing(function: Any) -> Any:
    """Wrap a function on paths so that it refuses files in use, as Windows does."""

    def call(*paths: Any, **options: Any) -> Any:
        for path in paths:
            if is_in_use(path):
                raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used", path)
        return function(*paths, **options)

    return call


def pretend() -> None:
    """Imitate Windows in this process from now on, and import rnnlm."""
    for name in STANDARD:  # they check the system on import
        importlib.import_module(name)
    for name in MISSING:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((signal, SIGNALS), (os, POSIX_ONLY)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    signal.SIGBREAK = signal.SIGQUIT  # type: ignore[attr-defined]
    locks = Locks()
    sys.modules["msvcrt"] = SimpleNamespace(locking=locks.locking, LK_NBLCK=Locks.LK_NBLCK)  # type: ignore[assignment]
    for name in ("rename", "replace", "unlink", "remove"):
        setattr(os, name, refusing(getattr(os, name)))
    import rnnlm.storage.atomic
    import rnnlm.storage.lock
    import rnnlm.text.cache
    import rnnlm.training.allocator

    modules = [rnnlm.storage.atomic, rnnlm.storage.lock, rnnlm.text.cache, rnnlm.training.allocator]
    if "serve" in sys.argv:
        import rnnlm.playground.connections
        import rnnlm.playground.server

        modules += [rnnlm.playground.connections, rnnlm.playground.server]
    for module in modules:
        show_windows(module)


def show_windows(module: ModuleType) -> None:
    """Make a module see Windows in the names that it has imported."""
    windows = ModuleType("sys")
    windows.__dict__.update({name: getattr(sys, name) for name in dir(sys)}, platform="win32")
    for name, value in {
        "sys": windows,
        "POSIX": False,
        "_LOCKED": (errno.EACCES, errno.EDEADLK),
    }.items():
        if hasattr(module, name):
            setattr(module, name, value)
