"""Snapshots of the state of a training, to restore, save and resume from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError, shown
from rnnlm.nn.numerics import are_weights
from rnnlm.nn.optimizers import AVERAGE
from rnnlm.training.engine import Array
from rnnlm.training.plan import Progress

LARGEST = 1e18  # bound of the numbers in a checkpoint
FORMER_FIELDS = ("norms",)  # of `Progress`, in checkpoints of earlier versions


@dataclass
class Snapshot:
    """Progress, parameters, steps and arrays of the optimizer, and network state after the last batch."""

    progress: dict[str, Any]
    params: dict[str, Array]
    optimizer_steps: int
    slots: dict[str, Array]
    state: Array | None

    @property
    def averages(self) -> dict[str, Array]:
        """Averaged parameters; empty if there are none."""
        return {n.removeprefix(AVERAGE): a for n, a in self.slots.items() if n.startswith(AVERAGE)}

    @property
    def measured(self) -> dict[str, Array]:
        """Parameters that evaluations use: the averages if there are any."""
        return self.averages or self.params

    def is_finite(self) -> bool:
        """Return whether all arrays are finite, so that a training can continue from them."""
        arrays = [*self.params.values(), *self.slots.values()]
        with np.errstate(invalid="ignore"):  # min and max need no memory, unlike np.isfinite
            finite = all(np.isfinite(a.min()) and np.isfinite(a.max()) for a in arrays if a.size)
        return finite and all(are_weights(array) for array in self.params.values())

    def to_file(self, best_step: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the snapshot as JSON and arrays, without `measured` if that is the best, which is saved separately."""
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
        """Return the snapshot that `to_file` wrote.

        Args:
            header: JSON as returned by `to_file`.
            arrays: Arrays as returned by `to_file`.
            best: The best parameters, saved separately.
            averaged: Whether this training averages its parameters.
            per_epoch: Number of batches in an epoch; None if the text has changed.

        Raises:
            CheckpointError: the snapshot is incomplete or has impossible values.
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
        """Move to the same share of the epoch in a text of another length, with a zero state."""
        batch = self.progress["batch"]
        known = type(batches_then) is int and batch < batches_then < LARGEST
        self.progress["batch"] = batch * batches_now // batches_then if known else 0
        self.state = None


def _plausible(name: str, value: Any) -> bool:
    """Return whether a value from a checkpoint has the type of this field of `Progress`, and is in range."""
    default = getattr(Progress(), name, 0)
    if default is None and value is None:
        return True
    if default is None or isinstance(default, float):
        return type(value) in (int, float) and abs(value) < LARGEST
    return type(value) is type(default) and (type(value) is not int or 0 <= value < LARGEST)
