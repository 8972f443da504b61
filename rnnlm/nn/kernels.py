"""Compiled twins of a few functions, where they were built: the same arithmetic, with less of everything around it.

`_kernels.c` is compiled when the package is installed, if there is a compiler; nothing needs it. What is in NumPy stays
the reference. A twin takes arrays of float32. Results agree to rounding, so runs repeat to the byte with the same
kernels, not from one kind to another.

$RNNLM_KERNELS chooses: "numpy" for no twin, or the "avx512", "avx2" or "portable" form of them instead of the best that
the processor has.
"""

import os
import platform
import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from rnnlm.errors import RnnlmError

VARIABLE = "RNNLM_KERNELS"
TARGETS = ("avx512", "avx2", "portable")  # best first
# Where NumPy's products run on Apple's matrix units, they are left to them in layers wider than this. (An estimate.)
APPLE_WIDTH = 256
ON_APPLE_SILICON = sys.platform == "darwin" and platform.machine() == "arm64"

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled() -> ModuleType | None:
    """The module of the compiled twins; None where it was not built, or $RNNLM_KERNELS is "numpy".

    Raises:
        RnnlmError: $RNNLM_KERNELS is unknown, or not supported by this processor.
    """
    return _chosen(os.environ.get(VARIABLE, ""))


@lru_cache(maxsize=1)  # what was chosen last is still chosen
def _chosen(wanted: str) -> ModuleType | None:
    if wanted == "numpy":
        return None
    try:
        from rnnlm.nn import _kernels
    except ImportError:
        return None
    if not any(map(_kernels.choose, [wanted] if wanted else TARGETS)):
        raise RnnlmError(
            f"${VARIABLE} is {wanted!r}, which is unknown or not supported by this processor. Expected "
            f"{', '.join(TARGETS)} or numpy, or nothing for the best of them."
        )
    return _kernels


def forget() -> None:
    """Choose anew when twins are asked for next, after something else has called `_kernels.choose`."""
    _chosen.cache_clear()


def fastest(function: Function, dtype: Any = np.float32) -> Function:
    """The compiled twin of a function; the function itself where it has none.

    dtype: kind of its numbers, if it takes more than one. All twins but those on whole numbers are for float32.
    """
    module = compiled() if dtype == np.float32 else None
    twin: Function = getattr(module, function.__name__, function)
    return twin


def compiled_steps(step: Callable[..., None], weight: Any) -> Callable[..., None] | None:
    """The compiled twin of the loop over all steps of a window, in a layer with such a recurrent matrix; None without.

    Its name is that of the function of a step, in the plural: lstm_steps, lstm_steps_backward.
    """
    if weight.dtype != np.float32 or (ON_APPLE_SILICON and weight.shape[1] > APPLE_WIDTH):
        return None
    return getattr(compiled(), step.__name__.replace("_step", "_steps"), None)
