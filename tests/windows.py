"""Lets a process see what Windows would show it, as far as rnnlm asks: `from tests.windows import pretend; pretend()`.

There is no fcntl, no resource, no SIGHUP and no mask of signals; a file that is open, or mapped into memory, can
neither be renamed nor removed nor replaced; `msvcrt` locks bytes. Everything else is that of the system on which the
tests run. That has to be Linux, which tells under /proc what is open.
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
    """`msvcrt.locking`: one byte where the file is, not waiting; a lock is gone when its file is closed."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        """Nothing is locked."""
        self._held: dict[tuple[int, int, int], int] = {}

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        """Lock bytes, or say that somebody else has."""
        assert (mode, size) == (self.LK_NBLCK, 1)
        status = os.fstat(descriptor)
        place = (status.st_dev, status.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        assert place[2] >= status.st_size, "nobody could read what is locked"
        holder = self._held.get(place)
        if holder not in (None, descriptor) and is_descriptor_of(holder, status):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        self._held[place] = descriptor


def is_descriptor_of(descriptor: int, status: os.stat_result) -> bool:
    """Whether a descriptor is still that of a file."""
    try:
        return os.path.samestat(os.fstat(descriptor), status)
    except OSError:
        return False


def is_in_use(path: Any) -> bool:
    """Whether this process has a file open or mapped."""
    real = os.path.realpath(path)
    for link in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(link) == real:
                return True
        except OSError:  # the descriptor of the listing itself
            continue
    return any(line.endswith(f" {real}") for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())


def refusing(function: Any) -> Any:
    """A function on paths that refuses files in use, as Windows does."""

    def call(*paths: Any, **options: Any) -> Any:
        for path in paths:
            if is_in_use(path):
                raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used", path)
        return function(*paths, **options)

    return call


def pretend() -> None:
    """Show this process Windows from now on. rnnlm is imported by it."""
    for name in STANDARD:  # which ask for themselves on what system they run
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
    """Let a module find what it would find on Windows under the names that it has imported."""
    windows = ModuleType("sys")
    windows.__dict__.update({name: getattr(sys, name) for name in dir(sys)}, platform="win32")
    for name, value in {
        "sys": windows,
        "POSIX": False,
        "_LOCKED": (errno.EACCES, errno.EDEADLK),
    }.items():
        if hasattr(module, name):
            setattr(module, name, value)
