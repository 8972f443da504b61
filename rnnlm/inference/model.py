"""Interfaces of models for inference, implemented by networks, n-gram models and mixtures."""

from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Result = TypeVar("Result")
WINDOW = 1024  # number of ids of a prefix to read at a time


class MeasuringModel(Protocol):
    """A model that gives the probabilities of the ids of a text.

    ids are (T, B). A state is an array of any shape whose second-last axis is the column of the batch, so that callers
    can select, repeat and join columns. keep: (T, B, 1), 0 where a column is reset before a step, else 1.
    """

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before any input."""

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""


class SequenceModel(MeasuringModel, Protocol):
    """A model that gives the distribution of the next id, given a state that summarises the ids before it."""

    @property
    def vocabulary_size(self) -> int:
        """Vocabulary size."""

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B), without computing probabilities."""

    def rows(self, state: Array) -> Array:
        """Log probability of every next id, (B, V), from a state after at least one input."""

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state: some entries of `rows`."""


def finished(work: Generator[None, None, Result]) -> Result:
    """Run a generator to its end and return its result; such work yields so that other tasks can take turns."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return cast(Result, done.value)


def read_prefix(model: SequenceModel, prefix: Sequence[int] | Array) -> tuple[Array, Array]:
    """Read one or more ids (n,); return the log probabilities (1, V) of the next id, and the state.

    They are read in windows, to bound the memory for the hidden states of a network.
    """
    ids, state = np.asarray(prefix)[:, None], model.zero_state(1)
    for start in range(0, len(ids), WINDOW):
        log_probabilities, state = model.next_log_probabilities(ids[start : start + WINDOW], state)
    return log_probabilities, state
