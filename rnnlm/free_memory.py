"""How much memory is free, and a refusal before what is asked for uses it up.

Linux gives out more memory than there is and then kills the program that uses it, without a word. So what may become
large is estimated first; the estimates are low, so that nothing is refused that would have worked.
"""

import contextlib
import os
from pathlib import Path

from rnnlm.errors import RnnlmError

_GROUP = Path("/sys/fs/cgroup")


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Refuse what needs more bytes than are free.

    Raises:
        RnnlmError: saying what needs how much, and the remedy.
    """
    free = free_bytes()
    if free is not None and needed > free:
        raise RnnlmError(f"{what} needs about {_shown(needed)} of memory; {_shown(free)} is free. {remedy}")


def free_bytes() -> int | None:
    """Memory that can still be taken, by the machine, the container and the limit of the process; None if unknown."""
    known = [each for each in (_machine(), _container(), _process()) if each is not None]
    return min(known, default=None)


def _machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not Linux: what is built in; Windows: unknown
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _container() -> int | None:
    """What is left of the limit of a Linux control group (version 2), if it has one."""
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(statistics.get("inactive_file", 0)))  # pages of files can be given back
    return None


def _process() -> int | None:
    """What is left of the limit of addresses, `ulimit -v`, if there is one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return max(0, limit - pages * resource.getpagesize())
    return None


def _shown(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
