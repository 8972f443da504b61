"""The training loop: batches through an engine until the epochs or the time are over, with validation and recovery."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError, TrainingError, shown
from rnnlm.nn.numerics import are_weights
from rnnlm.nn.optimizers import AVERAGE
from rnnlm.text.batches import BatchSource
from rnnlm.training.clock import RunningClock
from rnnlm.training.engine import Array, Engine, EvaluationInterruptedError, StepResult
from rnnlm.training.schedules import PLATEAU, factor

EVALUATIONS = 20  # in the course of a training, about
TRAINED_PER_EVALUATED = 3  # tokens, when training by epochs: then evaluations take at most about a tenth of the time
EVALUATION_SHARE = 0.1  # of a time budget
FIRST_STEP_SHARE = 1e-3  # of a time budget, as long as no step has been timed
MOST_RECOVERIES = 5
PROBE = 256  # tokens of the training text that tell whether parameters have exploded
LARGEST = 1e18  # what a checkpoint may say of a step, a sum, a factor
FORMER_FIELDS = ("norms",)  # of `Progress`, in checkpoints of earlier versions


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: until the epochs or the seconds are over. One of them may be 0, which is no limit."""

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
    lr_factor: float = 1.0  # lowered by recoveries and by the plateau schedule
    recoveries: int = 0
    evaluations_without_improvement: int = 0
    best_nats_per_token: float | None = None
    best_step: int = 0
    finished: bool = False
    train_nats: float = 0.0  # since the last evaluation
    train_tokens: int = 0
    learning_rate: float = 0.0  # of the last step
    gradient_norm: float = 0.0
    # With a time budget only; training by epochs leaves them 0, and its files repeat to the byte.
    seconds: float = 0.0  # used up
    seconds_since_evaluation: float = 0.0
    step_seconds: float = 0.0  # of the last step
    evaluation_seconds: float = 0.0  # of the last evaluation
    saving_seconds: float = 0.0  # that the caller took after it


class _Watched:
    """A held-out sequence that cannot be read any more once the training is interrupted, whichever thread reads."""

    def __init__(self, sequence: Any, interrupted: Callable[[], bool]) -> None:
        self._sequence, self._interrupted = sequence, interrupted

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, place: Any) -> Any:
        self._check()
        return self._sequence[place]

    def take(self, positions: Array) -> Array:
        """Ids at positions."""
        self._check()
        return self._sequence.take(positions)

    def _check(self) -> None:
        if self._interrupted():
            raise EvaluationInterruptedError


@dataclass
class _Snapshot:
    """A state to go back to or to go on from."""

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
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Prepare; nothing is computed yet. clock: gives seconds; by default those in which this process runs."""
        self.engine, self.batches, self.valid, self.config = engine, batches, valid, config
        self.progress = Progress()
        self.best_params: dict[str, Array] | None = None
        self.carried: Any = None  # the network's state at the end of the last batch; see `Engine.train_step`
        self._clock = RunningClock() if clock is None else clock
        self._last_look = 0.0  # at the clock
        self._last_step = (0, 0.0)  # its tokens and seconds
        self._interrupted = self._evaluating = False
        # Twice as bad as guessing blindly, and then some: a loss beyond it is an explosion, not a bad start.
        self._explosion = 2 * math.log(vocabulary_size) + 5
        self._good = self._snapshot()

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Generator[Report, None, None]:
        """Train from where `progress` is to the end, or until an evaluation is interrupted.

        What comes next is a function of `progress`, so that a resumed training does what this one would have done.

        Raises:
            TrainingError: the loss explodes again and again.
        """
        with self._ticking():
            self._lap()
            while True:
                report: Report | None
                if self._evaluation_is_due():  # not made up yet, of a run that was interrupted
                    report = self._evaluate()
                elif self.done():
                    break
                else:
                    report = self._step()
                    if self._evaluation_is_due():
                        report = self._evaluate()
                if report is None:
                    return
                yield report
                self._count_reporting(report)
        self.progress.finished = True

    def interrupt(self) -> None:
        """Give up an evaluation that is going on, or the next one: `run` ends, and a resumed run makes it up.

        Safe to be called from a signal handler and from another thread. A held-out text may take minutes.
        """
        self._interrupted = True

    @property
    def at_rest(self) -> bool:
        """Whether `state()` is whole inside `run` too: what is being computed has not changed anything yet.

        An exception that comes now, from a signal handler for instance, costs one step or one evaluation. Between two
        reports it is False; there nothing has to be given up.
        """
        return self._evaluating or self.engine.computing

    def done(self) -> bool:
        """Whether the epochs or the time are used up, or patience is at its end."""
        patience = self.config.patience
        if patience and self.progress.evaluations_without_improvement >= patience:
            return True
        return self.share_done() >= 1

    def share_done(self) -> float:
        """Share of the training that is done, from 0 to 1; of a time budget, what the end will need counts as used."""
        config, progress = self.config, self.progress
        share = self._position / self.total_steps if config.epochs else 0.0
        if config.seconds:
            at_the_end = progress.evaluation_seconds + progress.saving_seconds
            share = max(share, (progress.seconds + at_the_end) / config.seconds)
        return min(1.0, share)

    def _expected_seconds(self) -> float:
        """How long a training with a time budget will take: less than the budget, if its epochs are over sooner."""
        share = self._position / self.total_steps if self.config.epochs else 0.0
        return min(self.config.seconds, self.progress.seconds / share) if share else self.config.seconds

    @property
    def total_steps(self) -> int:
        """Number of steps in the epochs."""
        return max(1, round(self.config.epochs * self.batches.per_epoch))

    @property
    def _position(self) -> int:
        """Steps to here by the plan: as many as were made, unless the text has changed in between."""
        return self.progress.epoch * self.batches.per_epoch + self.progress.batch

    def learning_rate(self) -> float:
        """Rate of the next step: the schedule's value at its middle.

        With a time budget, the step is expected to take as long as the last one, but not beyond the end.
        """
        if self.config.seconds:
            share = self.share_done()
            step = self.progress.step_seconds / self._expected_seconds() or FIRST_STEP_SHARE
            share += min(step, 1 - share) / 2
        else:
            share = (self._position + 0.5) / self.total_steps
        return self.config.lr * self.progress.lr_factor * factor(self.config.schedule, share, self.config.warm_up)

    def _step(self) -> Report:
        progress = self.progress
        batch = self.batches.batch(progress.epoch, progress.batch)
        lr = self.learning_rate()
        before = None if batch.starts_epoch else self.carried
        result, state = self.engine.train_step(batch, before, lr, (self.config.seed, progress.step))
        elapsed = self._lap()
        if not self._healthy(result):
            self._spend(elapsed)
            return self._recover(lr, progress.step + 1)
        self.carried = state
        self._advance(result, lr, elapsed)
        return self._report("steps")

    def _advance(self, result: StepResult, lr: float, elapsed: float) -> None:
        progress = self.progress
        progress.step += 1
        progress.batch += 1
        if progress.batch == self.batches.per_epoch:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.train_nats += result.nats
        progress.train_tokens += result.tokens
        progress.learning_rate, progress.gradient_norm = lr, result.gradient_norm
        self._last_step = (result.tokens, elapsed)
        self._spend(elapsed)
        if self.config.seconds:
            progress.step_seconds = elapsed

    # --- time ---------------------------------------------------------------------------------------------------

    def _ticking(self) -> AbstractContextManager[None]:
        ticking: Callable[[], AbstractContextManager[None]] = getattr(self._clock, "ticking", nullcontext)
        return ticking()

    def _lap(self) -> float:
        """Seconds since the last call, or none, should the clock have been set back."""
        before, self._last_look = self._last_look, self._clock()
        return max(0.0, self._last_look - before)

    def _spend(self, seconds: float) -> None:
        """Take seconds off a time budget."""
        if self.config.seconds:
            self.progress.seconds += seconds
            self.progress.seconds_since_evaluation += seconds

    def _count_reporting(self, report: Report) -> None:
        """What the caller did with a report is on the budget: saving a large model takes longer than evaluating it."""
        elapsed = self._lap()
        self._spend(elapsed)
        if report.kind == "evaluation" and self.config.seconds:
            self.progress.saving_seconds = elapsed

    # --- validation ---------------------------------------------------------------------------------------------

    def _evaluation_is_due(self) -> bool:
        progress = self.progress
        if not progress.train_tokens:  # nothing new since the last one
            return False
        if self.done():
            return True
        if self.config.seconds:
            cost = progress.evaluation_seconds + progress.saving_seconds
            every = max(self._expected_seconds() / EVALUATIONS, cost / EVALUATION_SHARE)
            return progress.seconds_since_evaluation >= every
        return self._position % self._steps_between_evaluations() == 0

    def _steps_between_evaluations(self) -> int:
        """Steps, not seconds, when training by epochs: the same run evaluates at the same places."""
        per_epoch = self.batches.per_epoch
        tokens_a_step = max(1, len(self.batches.sequence) // per_epoch)
        cheap = 0 if self.valid is None else TRAINED_PER_EVALUATED * len(self.valid) // tokens_a_step
        every = max(1, self.total_steps // EVALUATIONS, cheap)
        # Short epochs are not cut into pieces.
        return every if every < per_epoch else per_epoch * math.ceil(every / per_epoch)

    def _evaluate(self) -> Report | None:
        """Measure the parameters. Sound ones are kept as the state to go back to, and the best ones as the best.

        Nothing has changed until they are measured. None if that was interrupted.
        """
        try:
            valid = None if self.valid is None else self._nats_per_token(self._watched())
            self._evaluating = False
        except EvaluationInterruptedError:
            return None
        snapshot = self._snapshot()
        sound = self._is_sound(valid) and _is_finite(snapshot)
        elapsed, progress = self._lap(), self.progress
        self._spend(elapsed)
        if not sound:
            return self._recover(progress.learning_rate, progress.step)
        train = progress.train_nats / progress.train_tokens
        improved = True
        if valid is None:
            progress.best_nats_per_token, progress.best_step = train, progress.step
        else:
            improved = self._compare(valid, snapshot.measured)
        progress.train_nats, progress.train_tokens = 0.0, 0
        if self.config.seconds:
            progress.evaluation_seconds, progress.seconds_since_evaluation = elapsed, 0.0
        snapshot.progress = asdict(progress)
        self._good = snapshot
        report = self._report("evaluation")
        report.train_nats_per_token, report.valid_nats_per_token, report.improved = train, valid, improved
        return report

    def _watched(self) -> _Watched:
        self._evaluating = True
        return _Watched(self.valid, lambda: self._interrupted)

    def _nats_per_token(self, sequence: Any, **options: bool) -> float:
        nats, tokens = self.engine.evaluate(sequence, **options)
        return nats / tokens

    def _is_sound(self, valid: float | None) -> bool:
        """Whether the last step, whose loss was measured before it, left parameters to go on from.

        A held-out loss beyond all bounds may mean no more than a text learnt by heart; a bit of that text tells, and
        so it does where that loss is one of averaged parameters.
        """
        if valid is not None and not math.isfinite(valid):
            return False
        if valid is not None and valid < self._explosion and not self._good.averages:
            return True
        text = self.batches.sequence
        options = {"averaged": False} if self._good.averages else {}
        return self._nats_per_token(text.take(np.arange(min(PROBE, len(text)))), **options) < self._explosion

    def _compare(self, valid: float, params: dict[str, Array]) -> bool:
        """Keep the parameters if they are the best so far, else count and let the plateau schedule react."""
        progress = self.progress
        if progress.best_nats_per_token is None or valid < progress.best_nats_per_token:
            progress.best_nats_per_token, progress.best_step = valid, progress.step
            progress.evaluations_without_improvement = 0
            self.best_params = params
            return True
        progress.evaluations_without_improvement += 1
        if self.config.schedule == PLATEAU:
            progress.lr_factor *= 0.5
        return False

    # --- trouble ------------------------------------------------------------------------------------------------

    def _healthy(self, result: StepResult) -> bool:
        per_token = result.nats / result.tokens
        return math.isfinite(result.gradient_norm) and math.isfinite(per_token) and per_token < self._explosion

    def _recover(self, lr: float, at: int) -> Report:
        """Back to the last good state with half the learning rate, after step `at` went wrong."""
        recoveries, lr_factor = self.progress.recoveries + 1, self.progress.lr_factor * 0.5
        used = self.progress.seconds
        if recoveries > MOST_RECOVERIES:
            raise TrainingError(
                f"The loss exploded {recoveries} times, the last time at step {at:,} with a learning rate of {lr:.2g}. "
                "Use a smaller --lr, or --clip 1 if clipping is off."
            )
        self._restore(self._good)
        # The time that the failed attempt took is gone.
        self.progress.recoveries, self.progress.lr_factor, self.progress.seconds = recoveries, lr_factor, used
        self._last_step = (0, 0.0)
        report = self._report("recovery")
        report.learning_rate, report.gradient_norm = lr, math.nan
        report.message = (
            f"The loss exploded at step {at:,}. Back to step {self.progress.step:,} with half the learning rate."
        )
        return report

    # --- reports and state --------------------------------------------------------------------------------------

    def _report(self, kind: str) -> Report:
        progress = self.progress
        tokens, elapsed = self._last_step
        return Report(
            kind=kind,
            step=progress.step,
            epoch=progress.epoch + progress.batch / self.batches.per_epoch,
            seconds=progress.seconds,
            progress=self.share_done(),
            learning_rate=progress.learning_rate,
            gradient_norm=progress.gradient_norm,
            tokens=tokens,
            train_nats_per_token=progress.train_nats / max(1, progress.train_tokens),
            tokens_per_second=tokens / elapsed if elapsed > 0 else 0.0,
        )

    def _snapshot(self) -> _Snapshot:
        steps, slots = self.engine.optimizer_state()
        state = None if self.carried is None else self.carried.copy()
        return _Snapshot(asdict(self.progress), self.engine.params(), steps, slots, state)

    def _restore(self, snapshot: _Snapshot) -> None:
        self.engine.restore(snapshot.params, snapshot.optimizer_steps, snapshot.slots)
        self.progress = Progress(**snapshot.progress)
        self.carried = None if snapshot.state is None else snapshot.state.copy()

    def best(self) -> dict[str, Array]:
        """The parameters that did best on the held-out text; the present ones if nothing was held out or evaluated."""
        return self._snapshot().measured if self.best_params is None else self.best_params

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a resumed run needs beside `best()`: JSON and arrays.

        Raises:
            TrainingError: the last step left no parameters to save, and not for the first time.
        """
        now = self._snapshot()
        if not _is_finite(now):  # the next step would find it out
            self._recover(self.progress.learning_rate, self.progress.step)
            now = self._snapshot()
        header, arrays = self._to_file(now)
        header["batches_per_epoch"] = self.batches.per_epoch
        if self._good.progress["step"] != self.progress.step:  # else a recovery leads back to just here
            header["good"], good_arrays = self._to_file(self._good)
            arrays |= {f"good.{name}": array for name, array in good_arrays.items()}
        return header, arrays

    def _to_file(self, snapshot: _Snapshot) -> tuple[dict[str, Any], dict[str, Array]]:
        """A state as JSON and arrays; what evaluations measure is left out where it is in `best()`."""
        arrays = {f"optimizer.{name}": array for name, array in snapshot.slots.items()}
        best_step = self.progress.step if self.best_params is None else self.progress.best_step
        in_best = snapshot.progress["step"] == best_step
        if in_best:
            arrays = {name: array for name, array in arrays.items() if not name.startswith(f"optimizer.{AVERAGE}")}
        if not in_best or snapshot.averages:
            arrays |= {f"current.{name}": array for name, array in snapshot.params.items()}
        if snapshot.state is not None:
            arrays["carried_state"] = snapshot.state
        return {"progress": snapshot.progress, "optimizer_steps": snapshot.optimizer_steps}, arrays

    def load_state(
        self,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array],
        best: Mapping[str, Array],
        text_changed: bool = False,
    ) -> None:
        """Go on where `state()` was taken; `best` are the parameters saved beside it.

        text_changed: the texts are others than then. The training goes on at the same share of its epoch with a zero
        state, and the best parameters are measured again, on the present held-out text.

        Raises:
            CheckpointError: the state is incomplete or does not fit.
        """
        best = {name: np.copy(array) for name, array in best.items()}  # the given ones may be those of the network
        now = good = self._from_file(header, arrays, best, text_changed)
        if text_changed:
            _move(now, header.get("batches_per_epoch"), self.batches.per_epoch)
        elif "good" in header:
            of_good = {n.removeprefix("good."): a for n, a in arrays.items() if n.startswith("good.")}
            good = self._from_file(header["good"], of_good, best, text_changed)
        self._restore(good)  # so that it is checked now, not when it is needed
        self._good = self._snapshot()
        self._restore(now)
        self.progress.finished = False
        if self.valid is not None and self.progress.best_nats_per_token is not None:
            self.best_params = best
            if text_changed:
                self._measure_best_again()

    def _from_file(
        self, header: Mapping[str, Any], arrays: Mapping[str, Array], best: Mapping[str, Array], text_changed: bool
    ) -> _Snapshot:
        try:
            found = {name: value for name, value in header["progress"].items() if name not in FORMER_FIELDS}
            progress, steps = asdict(Progress(**found)), header["optimizer_steps"]
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"The checkpoint's training state is damaged ({shown(str(error))}); train again."
            ) from None
        for name, value in {**progress, "optimizer_steps": steps}.items():
            here = name == "batch" and not text_changed
            if not _plausible(name, value) or (here and value >= self.batches.per_epoch):
                raise CheckpointError(f"The checkpoint's training state has {shown(value)} as {name}; train again.")
        current = {n.removeprefix("current."): a for n, a in arrays.items() if n.startswith("current.")}
        slots = {n.removeprefix("optimizer."): a for n, a in arrays.items() if n.startswith("optimizer.")}
        averaged = any(name.startswith(AVERAGE) for name in slots)
        if self._good.averages and not averaged:
            slots |= {AVERAGE + name: array for name, array in best.items()}
        return _Snapshot(progress, current or dict(best), steps, slots, arrays.get("carried_state"))

    def _measure_best_again(self) -> None:
        assert self.best_params is not None
        now = self._snapshot()
        averages = {AVERAGE + name: self.best_params[name] for name in now.averages}
        self.engine.restore(self.best_params, now.optimizer_steps, now.slots | averages)
        nats = self._nats_per_token(self.valid)
        self._restore(now)
        self.progress.evaluations_without_improvement = 0
        self.progress.best_nats_per_token = nats if math.isfinite(nats) else None
        self._good.progress = asdict(self.progress)


def _is_finite(snapshot: _Snapshot) -> bool:
    arrays = [*snapshot.params.values(), *snapshot.slots.values()]
    with np.errstate(invalid="ignore"):  # the smallest and the largest need no memory, unlike np.isfinite
        finite = all(np.isfinite(a.min()) and np.isfinite(a.max()) for a in arrays if a.size)
    return finite and all(are_weights(array) for array in snapshot.params.values())


def _move(snapshot: _Snapshot, batches_then: Any, batches_now: int) -> None:
    """To the same share of the epoch in a text of another length, where no state comes from the batch before."""
    batch = snapshot.progress["batch"]
    known = type(batches_then) is int and batch < batches_then < LARGEST
    snapshot.progress["batch"] = batch * batches_now // batches_then if known else 0
    snapshot.state = None


def _plausible(name: str, value: Any) -> bool:
    """Whether a value from a checkpoint is of the kind that `Progress` has under this name."""
    default = getattr(Progress(), name, 0)
    if default is None and value is None:
        return True
    if default is None or isinstance(default, float):
        return type(value) in (int, float) and abs(value) < LARGEST
    return type(value) is type(default) and (type(value) is not int or 0 <= value < LARGEST)
