"""How the C library keeps the memory that a computation frees in every step, to take it again in the next."""

import ctypes
import sys

# Parameters of mallopt(3) in glibc.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Let malloc keep what this process frees; returns whether its C library can be told so.

    Left to itself, glibc gives large arrays back to the system as soon as they are freed. A training step frees some
    dozens of them, and the next one gets them back page by page, each of which the system fills with zeros first: a
    sixth to a third of the step, and a tenth to a quarter of scoring. This is a setting of the whole process, so the
    command line makes it, and the library leaves it to whoever uses it.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries of Linux have none, or an empty one
    if mallopt is None:
        return False
    settings = {MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: (1 << 31) - 1, TOP_PAD: 64 << 20}
    accepted = [mallopt(name, size) for name, size in settings.items()]
    return all(accepted)
