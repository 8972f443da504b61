"""What inference needs of a model: the network has it, and so has anything else that gives probabilities."""

from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Result = TypeVar("Result")
WINDOW = 1024  # ids of a prefix that are read at a time


class MeasuringModel(Protocol):
    """What tells how probable the ids of a text are.

    ids are (T, B). A state is one array whose second-last axis is the batch's column, so that columns can be selected,
    repeated and joined without knowing what is in it. keep: (T, B, 1), 0 where a column starts anew.
    """

    def zero_state(self, batch_size: int) -> Array:
        """State before anything was read."""

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""


class SequenceModel(MeasuringModel, Protocol):
    """A distribution over the next id, given a state that sums up what came before."""

    @property
    def vocabulary_size(self) -> int:
        """V."""

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """State after inputs (T, B) were read, and nothing else."""

    def rows(self, state: Array) -> Array:
        """Log probability of every id (B, V), given a state into which something was read."""

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids (n,) after columns (n,) of such a state: some entries of its rows."""


def finished(work: Generator[None, None, Result]) -> Result:
    """The result of work that stops on its way, so that others may have their turn."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return cast(Result, done.value)


def read_prefix(model: SequenceModel, prefix: Sequence[int] | Array) -> tuple[Array, Array]:
    """Log probabilities of what follows a row of ids that is not empty, (1, V), and the state after it.

    It is read in windows, so that memory does not grow with its length times the width of a network.
    """
    ids, state = np.asarray(prefix)[:, None], model.zero_state(1)
    for start in range(0, len(ids), WINDOW):
        log_probabilities, state = model.next_log_probabilities(ids[start : start + WINDOW], state)
    return log_probabilities, state
