"""The interface between a trainer and an engine, which computes the steps."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from rnnlm.inference.scoring import Stop, never
from rnnlm.text.batches import Batch

Array = NDArray[Any]

# Random streams, in addition to those of text.batches: dropout per column, and dropout shared by all columns.
DROPOUT, SHARED = 3, 4


class StepResult(NamedTuple):
    """Sums over one batch, and the norm of the gradient before clipping."""

    nats: float
    objective: float
    tokens: int
    gradient_norm: float


class Engine(Protocol):
    """Holds parameters and optimizer; runs training steps and evaluations.

    computing: True while a training step has not changed anything yet, so that it can be aborted (see
    `Trainer.at_rest`). It may always be False.
    """

    computing: bool

    def train_step(self, batch: Batch, state: Any, lr: float, key: tuple[int, ...]) -> tuple[StepResult, Any]:
        """Make one training step on a batch from a state (None: zero); return its sums and the final state.

        A state is an array, or an object whose `copy()` returns one, so that it can stay on a device.
        key: seed of the random numbers of the step (dropout).
        """

    def evaluate(self, sequence: Any, averaged: bool = True, stop: Stop = never) -> tuple[float, int] | None:
        """Return the summed negative log likelihood in nats of a held-out sequence, and its number of tokens.

        averaged: use the averaged parameters, if the engine has them. stop: called repeatedly; as soon as it returns
        True in one of several processes, the result is None in all of them.
        """

    def params(self) -> dict[str, Array]:
        """Return copies of the parameters."""

    def optimizer_state(self) -> tuple[int, dict[str, Array]]:
        """Return the number of steps and copies of the optimizer's arrays, with averages under the prefix AVERAGE."""

    def restore(self, params: Mapping[str, Array], steps: int, slots: Mapping[str, Array]) -> None:
        """Set parameters and optimizer state."""
