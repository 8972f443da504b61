"""Threads: those of BLAS and our own. The module is light, for every command begins with it."""

import os
import sys

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


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


def use_threads(threads: int | None) -> int:
    """Number of our own threads to use, all cores by default."""
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads
