"""What inference needs of a model: the network has it, and so has anything else that gives probabilities."""

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class SequenceModel(Protocol):
    """A distribution over the next id, given a state that sums up what came before.

    ids are (T, B). A state is one array whose second-last axis is the batch's column, so that columns can be selected,
    repeated and joined without knowing what is in it. keep: (T, B, 1), 0 where a column starts anew.
    """

    @property
    def vocabulary_size(self) -> int:
        """V."""

    def zero_state(self, batch_size: int) -> Array:
        """State before anything was read."""

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
