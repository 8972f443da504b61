"""Model inputs for a text: after the end of a sentence, the input is <s> instead of </s>, and the state is reset.

Only this module implements that rule. Training, scoring, prediction and plots use it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnlm.text.vocabulary import BOS, EOS

Array = NDArray[Any]


class Ids(Protocol):
    """A sequence of ids, such as an array or an `IdSequence`."""

    def __len__(self) -> int:
        """Return the number of ids."""

    def take(self, positions: NDArray[np.int64]) -> Array:
        """Return the ids at the given positions."""


class Window(NamedTuple):
    """A window of a text from position `start` on, in one column: inputs and targets (T, 1), and keep (T, 1, 1)."""

    start: int
    inputs: Array
    targets: Array
    keep: Array | None


def restart(inputs: Array, context: str, those: Array | None = None) -> Array | None:
    """Replace </s> by <s> in `inputs` (T, B), in place, so that every sentence starts with a zero state.

    those: (T, B) bool, the positions where </s> is replaced; None for all.

    Returns:
        keep (T, B, 1), 0 where the state is reset to zero before the step, else 1; None for a stream.
    """
    if context == "stream":
        return None
    ends = inputs == EOS
    inputs[ends if those is None else ends & those] = BOS
    return (inputs != BOS).astype(np.float32)[..., None]


def inputs_before(ids: Ids, positions: NDArray[np.int64], context: str, start: int = BOS) -> tuple[Array, Array | None]:
    """Return the inputs for targets at some positions (T, B), which are the ids before them, and keep; see `restart`.

    start: The input before the first token of the text.
    """
    inputs = ids.take(np.clip(positions - 1, 0, len(ids) - 1))
    inputs[positions == 0] = start
    return inputs, restart(inputs, context)


def windows(ids: Ids, context: str, size: int, start: int = BOS) -> Iterator[Window]:
    """Yield the windows of a text, `size` tokens each; `start`: the input before its first token."""
    for first in range(0, len(ids), size):
        positions = np.arange(first, min(first + size, len(ids)), dtype=np.int64)[:, None]
        inputs, keep = inputs_before(ids, positions, context, start)
        yield Window(first, inputs, ids.take(positions), keep)
