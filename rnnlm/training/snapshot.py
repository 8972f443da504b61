"""The state of a training at one moment: to go back to, to save, and to go on from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError, shown
from rnnlm.nn.numerics import are_weights
from rnnlm.nn.optimizers import AVERAGE
from rnnlm.training.engine import Array
from rnnlm.training.plan import Progress

LARGEST = 1e18  # what a checkpoint may say of a step, a sum, a factor
FORMER_FIELDS = ("norms",)  # of `Progress`, in checkpoints of earlier versions


@dataclass
class Snapshot:
    """Progress, parameters, the optimizer's steps and arrays, and the network's state at the end of the last batch."""

    progress: dict[str, Any]
    params: dict[str, Array]
    optimizer_steps: int
    slots: dict[str, Array]
    state: Array | None

    @property
    def averages(self) -> dict[str, Array]:
        """The averaged parameters, if there are any."""
        return {n.removeprefix(AVERAGE): a for n, a in self.slots.items() if n.startswith(AVERAGE)}

    @property
    def measured(self) -> dict[str, Array]:
        """The parameters that evaluations measure."""
        return self.averages or self.params

    def is_finite(self) -> bool:
        """Whether a training can go on from it."""
        arrays = [*self.params.values(), *self.slots.values()]
        with np.errstate(invalid="ignore"):  # the smallest and the largest need no memory, unlike np.isfinite
            finite = all(np.isfinite(a.min()) and np.isfinite(a.max()) for a in arrays if a.size)
        return finite and all(are_weights(array) for array in self.params.values())

    def to_file(self, best_step: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return it as JSON and arrays; what evaluations measure is left out if it is the best, saved beside it."""
        arrays = {f"optimizer.{name}": array for name, array in self.slots.items()}
        in_best = self.progress["step"] == best_step
        if in_best:
            arrays = {name: array for name, array in arrays.items() if not name.startswith(f"optimizer.{AVERAGE}")}
        if not in_best or self.averages:
            arrays |= {f"current.{name}": array for name, array in self.params.items()}
        if self.state is not None:
            arrays["carried_state"] = self.state
        return {"progress": self.progress, "optimizer_steps": self.optimizer_steps}, arrays

    @classmethod
    def from_file(
        cls,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array],
        best: Mapping[str, Array],
        averaged: bool,
        per_epoch: int | None,
    ) -> "Snapshot":
        """Return what `to_file` wrote.

        Args:
            header: As `to_file` returned it.
            arrays: Likewise.
            best: The parameters that did best, saved beside it.
            averaged: Whether this training keeps averages of its parameters.
            per_epoch: Batches in an epoch; None where the text has changed, so that there may be fewer.

        Raises:
            CheckpointError: it is incomplete or impossible.
        """
        try:
            found = {name: value for name, value in header["progress"].items() if name not in FORMER_FIELDS}
            progress, steps = asdict(Progress(**found)), header["optimizer_steps"]
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"The checkpoint's training state is damaged ({shown(str(error))}); train again."
            ) from None
        for name, value in {**progress, "optimizer_steps": steps}.items():
            beyond = name == "batch" and per_epoch is not None and value >= per_epoch
            if not _plausible(name, value) or beyond:
                raise CheckpointError(f"The checkpoint's training state has {shown(value)} as {name}; train again.")
        current = {n.removeprefix("current."): a for n, a in arrays.items() if n.startswith("current.")}
        slots = {n.removeprefix("optimizer."): a for n, a in arrays.items() if n.startswith("optimizer.")}
        if averaged and not any(name.startswith(AVERAGE) for name in slots):
            slots |= {AVERAGE + name: array for name, array in best.items()}
        return cls(progress, current or dict(best), steps, slots, arrays.get("carried_state"))

    def move(self, batches_then: Any, batches_now: int) -> None:
        """Go to the same share of the epoch in a text of another length, where no state comes from before."""
        batch = self.progress["batch"]
        known = type(batches_then) is int and batch < batches_then < LARGEST
        self.progress["batch"] = batch * batches_now // batches_then if known else 0
        self.state = None


def _plausible(name: str, value: Any) -> bool:
    """Whether a value from a checkpoint is of the kind that `Progress` has under this name."""
    default = getattr(Progress(), name, 0)
    if default is None and value is None:
        return True
    if default is None or isinstance(default, float):
        return type(value) in (int, float) and abs(value) < LARGEST
    return type(value) is type(default) and (type(value) is not int or 0 <= value < LARGEST)
