"""How a text is read: where a sentence ends, <s> stands in the place of </s>, and the state is set to zero before it.

This is the one place that knows it; training, scoring, prediction and pictures read through it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnlm.text.vocabulary import BOS, EOS

Array = NDArray[Any]


class Ids(Protocol):
    """A long row of ids, such as an array or an `IdSequence`."""

    def __len__(self) -> int:
        """Number of ids."""

    def take(self, positions: NDArray[np.int64]) -> Array:
        """Ids at the given positions."""


class Window(NamedTuple):
    """A stretch of a text in one column, from position `start` on: (T, 1) inputs and targets, and keep (T, 1, 1)."""

    start: int
    inputs: Array
    targets: Array
    keep: Array | None


def restart(inputs: Array, context: str, those: Array | None = None) -> Array | None:
    """Let every sentence begin anew: </s> becomes <s> in `inputs` (T, B), in place.

    those: (T, B) bool, places outside of which </s> stays what it is; None: everywhere.

    Returns:
        keep (T, B, 1), 0 where the state is to be set to zero before a step, else 1; None for a stream.
    """
    if context == "stream":
        return None
    ends = inputs == EOS
    inputs[ends if those is None else ends & those] = BOS
    return (inputs != BOS).astype(np.float32)[..., None]


def inputs_before(ids: Ids, positions: NDArray[np.int64], context: str, start: int = BOS) -> tuple[Array, Array | None]:
    """Return what is read right before the tokens at some positions (T, B), and keep; see `restart`.

    start: what is read before the first token of all.
    """
    inputs = ids.take(np.clip(positions - 1, 0, len(ids) - 1))
    inputs[positions == 0] = start
    return inputs, restart(inputs, context)


def windows(ids: Ids, context: str, size: int, start: int = BOS) -> Iterator[Window]:
    """Walk along a text, `size` tokens at a time."""
    for first in range(0, len(ids), size):
        positions = np.arange(first, min(first + size, len(ids)), dtype=np.int64)[:, None]
        inputs, keep = inputs_before(ids, positions, context, start)
        yield Window(first, inputs, ids.take(positions), keep)
