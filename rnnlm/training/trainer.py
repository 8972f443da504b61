"""The training loop: batches through an engine until the epochs or the time are over, with validation and recovery."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.text.batches import BatchSource
from rnnlm.training.engine import Array, Engine, StepResult
from rnnlm.training.schedules import PLATEAU, factor

EVALUATIONS = 20  # in the course of a training, about
TRAINED_PER_EVALUATED = 3  # tokens, when training by epochs: then evaluations take at most about a tenth of the time
EVALUATION_SHARE = 0.1  # of a time budget
MOST_RECOVERIES = 5
LARGEST = 1e18  # what a checkpoint may say of a step, a sum, a factor


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Either `epochs` or `seconds` is given; the other is 0."""

    epochs: float = 0.0
    seconds: float = 0.0
    lr: float = 4e-3
    schedule: str = "cosine"
    warm_up: float = 0.02
    patience: int = 0  # evaluations without improvement until training stops; 0: never
    seed: int = 1


@dataclass
class Report:
    """What happened since the last report; `kind` is "steps", "evaluation" or "recovery"."""

    kind: str
    step: int
    epoch: float
    seconds: float
    progress: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    train_nats_per_token: float
    tokens_per_second: float
    valid_nats_per_token: float | None = None
    improved: bool = False
    message: str = ""

    def history(self) -> dict[str, Any]:
        """One line of the history file."""
        keys = (
            *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
            *("learning_rate", "gradient_norm", "tokens_per_second"),
        )
        return {key: getattr(self, key) for key in keys}


@dataclass
class Progress:
    """Where a training is: everything that a resumed run must know beside the arrays. All of it is JSON."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # the next one of this epoch
    seconds: float = 0.0  # used up of a time budget; stays 0 when training by epochs, whose files repeat to the byte
    lr_factor: float = 1.0  # lowered by recoveries and by the plateau schedule
    recoveries: int = 0
    evaluations_without_improvement: int = 0
    best_nats_per_token: float | None = None
    best_step: int = 0
    finished: bool = False
    train_nats: float = 0.0  # since the last evaluation
    train_tokens: int = 0
    norms: float = 0.0


@dataclass
class _Snapshot:
    progress: dict[str, Any]
    params: dict[str, Array]
    optimizer_steps: int
    slots: dict[str, Array]
    state: Array | None


class Trainer:
    """Trains until done, yielding reports. Stop asking for reports at any time; `state()` is what to save then.

    valid: a held-out sequence of ids, or None: then the last parameters count as the best.
    """

    def __init__(
        self,
        engine: Engine,
        batches: BatchSource,
        valid: Any,
        config: TrainingConfig,
        vocabulary_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is computed yet."""
        self.engine, self.batches, self.valid, self.config = engine, batches, valid, config
        self.progress = Progress()
        self.best_params: dict[str, Array] | None = None
        self.carried: Array | None = None  # the network's state at the end of the last batch
        self._clock = clock
        self._evaluation_cost = 0.0  # seconds
        self._since_evaluation = 0.0
        # Twice as bad as guessing blindly, and then some: a loss beyond it is an explosion, not a bad start.
        self._explosion = 2 * math.log(vocabulary_size) + 5
        self._good = self._snapshot()

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Report]:
        """Train from where `progress` is to the end.

        Raises:
            TrainingError: the loss explodes again and again.
        """
        started = self._clock()
        while not self.done():
            progress = self.progress
            batch = self.batches.batch(progress.epoch, progress.batch)
            lr = self.learning_rate()
            before = None if batch.starts_epoch else self.carried
            result, state = self.engine.train_step(batch, before, lr, (self.config.seed, progress.step))
            now = self._clock()
            elapsed, started = now - started, now
            if not self._healthy(result):
                yield self._recover(lr, elapsed, self.progress.step + 1)
                continue
            self.carried = state
            self._advance(result, elapsed)
            if self._evaluation_is_due():
                yield self._evaluate(lr, result, elapsed)
                started = self._clock()
            else:
                yield self._report("steps", lr, result.gradient_norm, result.tokens, elapsed)
        self.progress.finished = True

    def done(self) -> bool:
        """Whether the epochs or the time are used up, or patience is at its end."""
        patience = self.config.patience
        if patience and self.progress.evaluations_without_improvement >= patience:
            return True
        return self.share_done() >= 1

    def share_done(self) -> float:
        """Share of the training that is done, from 0 to 1."""
        config, progress = self.config, self.progress
        if config.seconds:
            return min(1.0, (progress.seconds + self._evaluation_cost) / config.seconds)
        return min(1.0, progress.step / self.total_steps)

    @property
    def total_steps(self) -> int:
        """Number of steps of a training by epochs."""
        return max(1, round(self.config.epochs * self.batches.per_epoch))

    def learning_rate(self) -> float:
        """Rate of the next step; by epochs, the schedule's value at the middle of the step."""
        share = self.share_done()
        if not self.config.seconds:
            share = (self.progress.step + 0.5) / self.total_steps
        return self.config.lr * self.progress.lr_factor * factor(self.config.schedule, share, self.config.warm_up)

    def _advance(self, result: StepResult, elapsed: float) -> None:
        progress = self.progress
        progress.step += 1
        progress.batch += 1
        if progress.batch == self.batches.per_epoch:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.train_nats += result.nats
        progress.train_tokens += result.tokens
        progress.norms += result.gradient_norm
        self._since_evaluation += elapsed
        if self.config.seconds:
            progress.seconds += elapsed

    # --- validation ---------------------------------------------------------------------------------------------

    def _evaluation_is_due(self) -> bool:
        if self.done():
            return True
        if self.config.seconds:
            pause = max(self.config.seconds / EVALUATIONS, self._evaluation_cost / EVALUATION_SHARE)
            return self._since_evaluation >= pause
        return self.progress.step % self._steps_between_evaluations() == 0

    def _steps_between_evaluations(self) -> int:
        """Steps, not seconds, when training by epochs: the same run evaluates at the same places."""
        per_epoch = self.batches.per_epoch
        tokens_a_step = max(1, len(self.batches.sequence) // per_epoch)
        cheap = 0 if self.valid is None else TRAINED_PER_EVALUATED * len(self.valid) // tokens_a_step
        every = max(1, self.total_steps // EVALUATIONS, cheap)
        # Short epochs are not cut into pieces.
        return every if every < per_epoch else per_epoch * math.ceil(every / per_epoch)

    def _evaluate(self, lr: float, result: StepResult, elapsed: float) -> Report:
        progress, started = self.progress, self._clock()
        train = progress.train_nats / max(1, progress.train_tokens)
        report = self._report("evaluation", lr, result.gradient_norm, result.tokens, elapsed)
        report.train_nats_per_token = train
        if self.valid is None:
            report.improved = True
            progress.best_nats_per_token, progress.best_step = train, progress.step
        else:
            nats, tokens = self.engine.evaluate(self.valid)
            report.valid_nats_per_token = nats / tokens
            if not math.isfinite(report.valid_nats_per_token):
                return self._recover(lr, self._clock() - started, progress.step)
            self._compare(report)
        progress.train_nats, progress.train_tokens, progress.norms = 0.0, 0, 0.0
        self._since_evaluation = 0.0
        self._good = self._snapshot()
        cost = self._clock() - started
        if self.config.seconds:
            progress.seconds += cost
            self._evaluation_cost = cost
        report.seconds, report.progress = progress.seconds, self.share_done()
        return report

    def _compare(self, report: Report) -> None:
        """Keep the parameters if they are the best so far, else count and let the plateau schedule react."""
        progress, valid = self.progress, report.valid_nats_per_token
        assert valid is not None
        if progress.best_nats_per_token is None or valid < progress.best_nats_per_token:
            progress.best_nats_per_token, progress.best_step = valid, progress.step
            progress.evaluations_without_improvement = 0
            report.improved = True
            self.best_params = self.engine.params()
            return
        progress.evaluations_without_improvement += 1
        if self.config.schedule == PLATEAU:
            progress.lr_factor *= 0.5

    # --- trouble ------------------------------------------------------------------------------------------------

    def _healthy(self, result: StepResult) -> bool:
        per_token = result.nats / result.tokens
        return math.isfinite(result.gradient_norm) and math.isfinite(per_token) and per_token < self._explosion

    def _recover(self, lr: float, elapsed: float, at: int) -> Report:
        """Back to the last good state with half the learning rate, after step `at` went wrong."""
        recoveries, used = self.progress.recoveries + 1, self.progress.seconds + elapsed
        lr_factor = self.progress.lr_factor * 0.5
        if recoveries > MOST_RECOVERIES:
            raise TrainingError(
                f"The loss exploded {recoveries} times, the last time at step {at:,} with a learning rate of {lr:.2g}. "
                "Use a smaller --lr, or --clip 1 if clipping is off."
            )
        self._restore(self._good)
        self.progress.recoveries, self.progress.lr_factor = recoveries, lr_factor
        self._since_evaluation = 0.0
        if self.config.seconds:
            self.progress.seconds = used
        report = self._report("recovery", lr, math.nan, 0, elapsed)
        report.message = (
            f"The loss exploded at step {at:,}. Back to step {self.progress.step:,} with half the learning rate."
        )
        return report

    # --- reports and state --------------------------------------------------------------------------------------

    def _report(self, kind: str, lr: float, norm: float, tokens: int, elapsed: float) -> Report:
        progress = self.progress
        return Report(
            kind=kind,
            step=progress.step,
            epoch=progress.epoch + progress.batch / self.batches.per_epoch,
            seconds=progress.seconds,
            progress=self.share_done(),
            learning_rate=lr,
            gradient_norm=norm,
            tokens=tokens,
            train_nats_per_token=progress.train_nats / max(1, progress.train_tokens),
            tokens_per_second=tokens / elapsed if elapsed > 0 else 0.0,
        )

    def _snapshot(self) -> _Snapshot:
        steps, slots = self.engine.optimizer_state()
        state = None if self.carried is None else self.carried.copy()
        return _Snapshot(asdict(self.progress), self.engine.params(), steps, slots, state)

    def _restore(self, snapshot: _Snapshot) -> None:
        self.progress = Progress(**snapshot.progress)
        self.engine.restore(snapshot.params, snapshot.optimizer_steps, snapshot.slots)
        self.carried = None if snapshot.state is None else snapshot.state.copy()

    def best(self) -> dict[str, Array]:
        """The parameters that did best on the held-out text; the present ones if nothing was held out or evaluated."""
        return self.engine.params() if self.best_params is None else self.best_params

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a resumed run needs beside `best()`: JSON and arrays."""
        steps, slots = self.engine.optimizer_state()
        arrays = {f"optimizer.{name}": array for name, array in slots.items()}
        if self.best_params is not None and self.progress.best_step != self.progress.step:
            arrays |= {f"current.{name}": array for name, array in self.engine.params().items()}
        if self.carried is not None:
            arrays["carried_state"] = self.carried
        return {"progress": asdict(self.progress), "optimizer_steps": steps}, arrays

    def load_state(self, header: Mapping[str, Any], arrays: Mapping[str, Array], best: Mapping[str, Array]) -> None:
        """Go on where `state()` was taken; `best` are the parameters saved beside it.

        Raises:
            CheckpointError: the state is incomplete or does not fit.
        """
        try:
            progress, steps = Progress(**header["progress"]), header["optimizer_steps"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"The checkpoint's training state is damaged ({error}); train again.") from None
        for name, value in {**asdict(progress), "optimizer_steps": steps}.items():
            if not _plausible(name, value) or (name == "batch" and value >= self.batches.per_epoch):
                raise CheckpointError(f"The checkpoint's training state has {value!r} as {name}; train again.")
        current = {n.removeprefix("current."): a for n, a in arrays.items() if n.startswith("current.")}
        slots = {n.removeprefix("optimizer."): a for n, a in arrays.items() if n.startswith("optimizer.")}
        self.engine.restore(current or best, steps, slots)
        self.progress = progress
        self.progress.finished = False
        if self.valid is not None and progress.best_nats_per_token is not None:
            self.best_params = {name: np.copy(array) for name, array in best.items()}
        self.carried = arrays.get("carried_state")
        self._good = self._snapshot()


def _plausible(name: str, value: Any) -> bool:
    """Whether a value from a checkpoint is of the kind that `Progress` has under this name."""
    default = getattr(Progress(), name, 0)
    if default is None and value is None:
        return True
    if default is None or isinstance(default, float):
        return type(value) in (int, float) and abs(value) < LARGEST
    return type(value) is type(default) and (type(value) is not int or 0 <= value < LARGEST)
