"""Number of threads of BLAS and of rnnlm. Every command imports this module first, so it imports little."""

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
_FOUND: list[int] = []  # BLAS threads before each active `one_blas_thread`, in order of entry
_LOCK = threading.Lock()


def limit_blas(threads: int, replace: bool = False) -> None:
    """Set the number of BLAS threads in the environment; has an effect only before NumPy is imported.

    The command line starts with one thread. Threads of rnnlm each compute their own columns of a batch, and the
    matrix products of a single prefix are too small to split. BLAS threads wait by spinning: with two, the same scores
    take more than twice the CPU time, and several times the wall time if the machine is busy.

    replace: overwrite variables that the user has set.
    """
    if "numpy" not in sys.modules:
        for variable in BLAS_VARIABLES:
            if replace or variable not in os.environ:
                os.environ[variable] = str(threads)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside the context, and restore the number of threads at the end.

    Works after NumPy was imported, as in a notebook. Does nothing if one of BLAS_VARIABLES is set, which is the user's
    choice, or if BLAS is not the OpenBLAS of NumPy's wheels, whose number of threads cannot be set at run time.
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
        with _LOCK:  # the last one to leave restores the value before the first one
            found = _FOUND.pop()
            if not _FOUND:
                put(found)


@cache
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return the functions that get and set the number of threads of NumPy's OpenBLAS; None if it is not found."""
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
    """Return `threads`, or the number of available cores if it is None."""
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads
