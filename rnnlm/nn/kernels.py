"""Choose between NumPy functions and their compiled twins.

`_kernels.c` is compiled when the package is installed, if there is a compiler; it is optional. The NumPy functions are
the reference. Twins take float32 arrays. Their results agree with NumPy's up to rounding, so runs are reproducible to
the byte with the same kernels only.

The environment variable RNNLM_KERNELS is "numpy" for no twins, or "avx512", "avx2" or "portable" for one of the
instruction sets that the twins are compiled for. The default is the best that the processor supports.
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
# On Apple silicon, NumPy's matrix products use the matrix units: layers wider than this use NumPy. (An estimate.)
APPLE_WIDTH = 256
ON_APPLE_SILICON = sys.platform == "darwin" and platform.machine() == "arm64"

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled() -> ModuleType | None:
    """Return the module of the compiled twins, or None if it was not built or $RNNLM_KERNELS is "numpy".

    Raises:
        RnnlmError: $RNNLM_KERNELS is unknown, or not supported by this processor.
    """
    return _chosen(os.environ.get(VARIABLE, ""))


@lru_cache(maxsize=1)  # not more: `_kernels.choose` is global, so only the last choice holds
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
    """Clear the cached choice of kernels; needed after a direct call of `_kernels.choose`."""
    _chosen.cache_clear()


def fastest(function: Function, dtype: Any = np.float32) -> Function:
    """Return the compiled twin of a function, or the function itself if it has none.

    dtype: of the function's arrays, if it takes more than one. Only float32 has twins, except for functions on
    integers.
    """
    module = compiled() if dtype == np.float32 else None
    twin: Function = getattr(module, function.__name__, function)
    return twin


def compiled_steps(step: Callable[..., None], weight: Any) -> Callable[..., None] | None:
    """Return the compiled loop over all time steps for a cell's step function, or None if there is none.

    weight (GH, H): the recurrent matrix, whose type and width decide. The twin of lstm_step is called lstm_steps, that
    of lstm_step_backward lstm_steps_backward.
    """
    if weight.dtype != np.float32 or (ON_APPLE_SILICON and weight.shape[1] > APPLE_WIDTH):
        return None
    return getattr(compiled(), step.__name__.replace("_step", "_steps"), None)
