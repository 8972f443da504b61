"""Several networks, trained one after the other with different random numbers; the model is their average."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rnnlm.errors import CheckpointError
from rnnlm.model_header import network_of
from rnnlm.nn.averaging import average
from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.network import NetworkConfig
from rnnlm.schema import ANYTHING, FLAG, Field, WrongValueError, integer, number, object_of
from rnnlm.training.engine import Array, Engine
from rnnlm.training.plan import Plan, Progress
from rnnlm.training.snapshot import LARGEST
from rnnlm.training.trainer import Report, Trainer

TRAINED, BEST = "trained.", "best."  # begin the names of arrays of `EnsembleTrainer.state`


@dataclass(frozen=True)
class Before:
    """What the networks before the present one took together, and the loss of their average on the held-out part."""

    steps: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    nats_per_token: float | None = None


_NATS = Field(number(0, LARGEST), None)
STATE = object_of(
    {
        "present": Field(ANYTHING),  # which its trainer checks
        "before": Field(
            object_of(
                {
                    "steps": Field(integer(0, int(LARGEST), exact=True)),
                    "epochs": Field(number(0, LARGEST)),
                    "seconds": Field(number(0, LARGEST)),
                    "nats_per_token": _NATS,
                }
            )
        ),
        "included": Field(FLAG),
        "nats_per_token": _NATS,
    }
)  # what `EnsembleTrainer.state` writes as "ensemble"


class EnsembleTrainer:
    """Train networks one after the other; used like a `Trainer`.

    `best()` is the average of the networks that are trained to the end; until there is one, the present network.
    """

    def __init__(
        self,
        count: int,
        config: NetworkConfig,
        member: Callable[[int], Trainer],
        measure: Callable[[AnyNetwork], float | None],
    ) -> None:
        """Prepare the first network; nothing is computed yet.

        Args:
            count: Number of networks.
            config: Description of each of them.
            member: Returns the trainer of a new network, given its number from 0.
            measure: Returns nats per token of the held-out part, None if nothing is held out.
        """
        self._count, self._config, self._member, self._measure = count, config, member, measure
        self._trained: list[dict[str, Array]] = []  # parameters of the networks before the present one
        self._before = Before()
        self._included = False  # whether the present network is trained, and part of the average
        self._nats: float | None = None  # of the average with it
        self._trainer = member(0)

    # --- what a trainer has -------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """Engine of the present network."""
        return self._trainer.engine

    @property
    def plan(self) -> Plan:
        """Plan of the present network."""
        return self._trainer.plan

    @property
    def progress(self) -> Progress:
        """Steps, epochs and seconds of all networks, and the loss of `best()`."""
        now, before = self._trainer.progress, self._before
        found = replace(
            now,
            step=before.steps + now.step,
            epoch=int(before.epochs) + now.epoch,
            seconds=before.seconds + now.seconds,
            finished=now.finished and self.done(),
        )
        if self._included:
            return replace(found, best_nats_per_token=self._nats, best_step=found.step)
        if self._trained:
            return replace(found, best_nats_per_token=before.nats_per_token, best_step=before.steps)
        return found

    @property
    def averaged(self) -> int:
        """Number of networks that `best()` is the average of."""
        return max(1, len(self._trained) + self._included)

    def done(self) -> bool:
        """Return whether all networks are trained."""
        return len(self._trained) == self._count - 1 and self._trainer.done()

    def interrupt(self) -> None:
        """End `run` soon; see `Trainer.interrupt`."""
        self._trainer.interrupt()

    @property
    def at_rest(self) -> bool:
        """Whether `state()` is whole inside `run` too; see `Trainer.at_rest`."""
        return self._trainer.at_rest

    def run(self) -> Generator[Report, None, None]:
        """Train from where `progress` is to the end, or until an evaluation is interrupted.

        Raises:
            TrainingError: the loss of a network explodes again and again.
        """
        while True:
            report = None
            for own in self._trainer.run():
                report = self._of_all(own)
                yield report
            if not self._trainer.done():
                return
            if not self._included:
                self._include()
                if self._trained and report is not None:
                    yield replace(report, kind="evaluation", valid_nats_per_token=self._nats, improved=True)
            if self.done():
                return
            self._begin_next()

    def _of_all(self, report: Report) -> Report:
        """Return the report of the present network as one of the whole training."""
        before = self._before
        return replace(
            report,
            step=before.steps + report.step,
            epoch=before.epochs + report.epoch,
            seconds=before.seconds + report.seconds,
            progress=(len(self._trained) + report.progress) / self._count,
            network=len(self._trained) + 1,
        )

    def _include(self) -> None:
        """Make the present network, which is trained, a part of the average, and measure that."""
        self._included = True
        self._nats = self._measure(self._average()) if self._trained else self._trainer.progress.best_nats_per_token

    def _begin_next(self) -> None:
        before, now = self._before, self._trainer.progress
        epochs = now.epoch + now.batch / self._trainer.batches.per_epoch
        self._before = Before(before.steps + now.step, before.epochs + epochs, before.seconds + now.seconds, self._nats)
        self._trained.append(self._trainer.best())
        self._included, self._nats = False, None
        self._trainer = self._member(len(self._trained))

    def best(self) -> dict[str, Array]:
        """Return the parameters of the average of `averaged` networks; see `nn.averaging`."""
        return self._average().params

    def _average(self) -> AnyNetwork:
        of_present = [self._trainer.best()] if self._included or not self._trained else []
        return average([network_of(self._config, each) for each in [*self._trained, *of_present]])

    # --- state --------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a resumed training needs beside `best()`; see `Trainer.state`."""
        own, arrays = self._trainer.state()
        ensemble = {
            "present": own,
            "before": asdict(self._before),
            "included": self._included,
            "nats_per_token": self._nats,
        }
        if self._trained:
            arrays |= {BEST + name: array for name, array in self._trainer.best().items()}
        for place, params in enumerate(self._trained):
            arrays |= {f"{TRAINED}{place}.{name}": array for name, array in params.items()}
        per_epoch = own["batches_per_epoch"]
        return {"progress": asdict(self.progress), "batches_per_epoch": per_epoch, "ensemble": ensemble}, arrays

    def load_state(
        self,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array],
        best: Mapping[str, Array],
        text_changed: bool = False,
    ) -> None:
        """Go on where `state()` was taken; see `Trainer.load_state`. Networks that are trained stay as they are.

        Raises:
            CheckpointError: the state is incomplete or does not fit.
        """
        try:
            found = STATE.read(header.get("ensemble"), "ensemble")
        except WrongValueError as error:
            raise CheckpointError(
                f"The checkpoint's state of several networks is damaged: {error} Train again."
            ) from None
        self._before, self._nats = Before(**found["before"]), found["nats_per_token"]
        while params := _named(arrays, f"{TRAINED}{len(self._trained)}."):
            self._trained.append(network_of(self._config, params).params)
        if len(self._trained) >= self._count:
            raise CheckpointError(
                f"The checkpoint holds {len(self._trained)} trained networks and one in training; expected "
                f"{self._count} in all. It is damaged or was edited: train again."
            )
        self._trainer = self._member(len(self._trained))
        self._trainer.load_state(found["present"], arrays, _named(arrays, BEST) or best, text_changed)
        self._included = found["included"] and self._trainer.done()  # a longer time trains the last network further


AnyTrainer = Trainer | EnsembleTrainer


def _named(arrays: Mapping[str, Array], beginning: str) -> dict[str, Array]:
    """Return the arrays whose names begin so, without the beginning."""
    return {name.removeprefix(beginning): array for name, array in arrays.items() if name.startswith(beginning)}
