"""Compiled twins of a few functions, where they were built: the same arithmetic in one loop instead of a dozen.

`_kernels.c` is compiled when the package is installed, if there is a compiler; nothing needs it. A twin has the name
and the arguments of the function in NumPy, which stays the reference, and takes arrays of float32. Results agree to
rounding, so runs repeat to the byte with or without the twins, not from one to the other.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled() -> ModuleType | None:
    """The module of the compiled twins; None where it was not built, or $RNNLM_KERNELS is "numpy"."""
    if os.environ.get("RNNLM_KERNELS") == "numpy":
        return None
    try:
        from rnnlm.nn import _kernels
    except ImportError:
        return None
    return _kernels


def fastest(function: Function, dtype: Any) -> Function:
    """The compiled twin of a function for a kind of numbers; the function itself where it has none."""
    module = compiled() if dtype == np.float32 else None
    twin: Function = getattr(module, function.__name__, function)
    return twin
