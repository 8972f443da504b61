"""What a trainer needs of whatever does the arithmetic."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from rnnlm.inference.scoring import Stop, never
from rnnlm.text.batches import Batch

Array = NDArray[Any]

# Streams of randomness, beside those of text.batches: what columns drop, and what all drop alike.
DROPOUT, SHARED = 3, 4


class StepResult(NamedTuple):
    """Sums over one batch, and the gradient's norm before clipping."""

    nats: float
    objective: float
    tokens: int
    gradient_norm: float


class Engine(Protocol):
    """Holds parameters and optimizer; runs training steps and evaluations.

    computing: True while a training step has not changed anything yet, so that it can be given up (see
    `Trainer.at_rest`). An engine that cannot tell leaves it False.
    """

    computing: bool

    def train_step(self, batch: Batch, state: Any, lr: float, key: tuple[int, ...]) -> tuple[StepResult, Any]:
        """One step on a batch from a state (None: zero); returns its sums and the state at its end.

        A state is an array, or what becomes one with `copy()`: an engine may leave it where it computes.
        key: what the step's randomness (dropout) is a function of.
        """

    def evaluate(self, sequence: Any, averaged: bool = True, stop: Stop = never) -> tuple[float, int] | None:
        """Summed negative log likelihood in nats of a held-out sequence, and its number of tokens.

        It is that of the averaged parameters if the engine keeps them, unless not `averaged`. stop: asked again and
        again; once it says True, in one of several processes, the answer is None, in all of them.
        """

    def params(self) -> dict[str, Array]:
        """Copies of the parameters."""

    def optimizer_state(self) -> tuple[int, dict[str, Array]]:
        """Number of steps done and copies of the optimizer's arrays; averaged parameters are among them: AVERAGE."""

    def restore(self, params: Mapping[str, Array], steps: int, slots: Mapping[str, Array]) -> None:
        """Take over parameters and optimizer state."""
