"""Estimate of the free memory, and an error before a computation exceeds it.

Linux overcommits memory, and then kills the process that uses it without a message. So the memory of large
computations is estimated first. The estimates are low, so that nothing is refused that would have worked.
"""

import contextlib
import os
from pathlib import Path

from rnnlm.errors import RnnlmError

_GROUP = Path("/sys/fs/cgroup")


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise an error if a computation needs more bytes than are free; `what` and `remedy` are for the message.

    Raises:
        RnnlmError: there is too little memory.
    """
    free = free_bytes()
    if free is not None and needed > free:
        raise RnnlmError(f"{what} needs about {_shown(needed)} of memory; {_shown(free)} is free. {remedy}")


def free_bytes() -> int | None:
    """Return the free bytes of memory within the machine, container and process limits; None if unknown."""
    known = [each for each in (_machine(), _container(), _process()) if each is not None]
    return min(known, default=None)


def _machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not Linux: physical memory; Windows: unknown
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _container() -> int | None:
    """Return the free bytes within the limit of a Linux control group (version 2); None without a limit."""
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(statistics.get("inactive_file", 0)))  # page cache that can be reclaimed
    return None


def _process() -> int | None:
    """Return the free bytes within the limit of the address space, `ulimit -v`; None without a limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return max(0, limit - pages * resource.getpagesize())
    return None


def _shown(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
