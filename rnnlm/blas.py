"""Threads: those of BLAS and our own. The module is light, for every command begins with it."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SETTERS = (
    *("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads"),
    *("openblas_set_num_threads64_", "openblas_set_num_threads"),
)
_FOUND: list[int] = []  # numbers of threads that those found who are inside `one_blas_thread`, the first one's first
_LOCK = threading.Lock()


def limit_blas(threads: int, replace: bool = False) -> None:
    """Let BLAS compute with so many threads; called before NumPy is imported, which then keeps to it.

    The command line begins with one. Our own threads, where a command has them, each work on their own columns of a
    batch, and the products of one prefix are too small to be shared out. BLAS waits for its threads by spinning: with
    two, the same scores cost more than twice the work, and several times the time where something else is running.

    replace: whether variables that the user has set are changed.
    """
    if "numpy" not in sys.modules:
        for variable in BLAS_VARIABLES:
            if replace or variable not in os.environ:
                os.environ[variable] = str(threads)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS compute with one thread inside, and then with as many as before.

    For who has imported NumPy before, in a notebook for instance. Where one of BLAS_VARIABLES is set, somebody has
    chosen: nothing is changed. Only OpenBLAS as NumPy's wheels bring it can be told so; another one stays as it is.
    """
    functions = None if any(map(os.environ.get, BLAS_VARIABLES)) else _functions()
    if functions is None:
        yield
        return
    get, put = functions
    with _LOCK:
        _FOUND.append(get())
        put(1)
    try:
        yield
    finally:
        with _LOCK:  # the last thread to leave gives back what the first one found
            found = _FOUND.pop()
            if not _FOUND:
                put(found)


@cache
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """What gets and sets the number of threads of NumPy's OpenBLAS."""
    import numpy

    package = Path(numpy.__file__).parent
    for path in [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(path))
            for name in SETTERS:
                if hasattr(library, name):
                    return getattr(library, name.replace("_set_", "_get_")), getattr(library, name)
    return None


def use_threads(threads: int | None) -> int:
    """Number of our own threads to use, all cores by default."""
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads
