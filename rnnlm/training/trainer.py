"""The training loop: batches through an engine until the epochs or the time are over, with validation and recovery."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rnnlm.errors import TrainingError
from rnnlm.nn.optimizers import AVERAGE
from rnnlm.text.batches import BatchSource
from rnnlm.training.clock import RunningClock
from rnnlm.training.engine import Array, Engine, StepResult
from rnnlm.training.plan import Plan, Progress, TrainingConfig
from rnnlm.training.schedules import PLATEAU
from rnnlm.training.snapshot import Snapshot

MOST_RECOVERIES = 5
PROBE = 256  # tokens of the training text that tell whether parameters have exploded


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
    network: int = 1  # number of the network in training, of several

    def history(self) -> dict[str, Any]:
        """One line of the history file."""
        keys = (
            *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
            *("learning_rate", "gradient_norm", "tokens_per_second"),
        )
        return {key: getattr(self, key) for key in keys}


class Trainer:
    """Trains until done, yielding reports. Stop asking for reports at any time; `state()` is what to save then.

    valid: a held-out sequence of ids, or None: then the last parameters count as the best.
    """

    averaged = 1  # number of networks in the best parameters; see `EnsembleTrainer`

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
        tokens, held_out = len(batches.sequence), 0 if valid is None else len(valid)
        self.plan = Plan(config, batches.per_epoch, tokens, held_out)
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
                if self.plan.evaluation_is_due(self.progress):  # not made up yet, of a run that was interrupted
                    report = self._evaluate()
                elif self.done():
                    break
                else:
                    report = self._step()
                    if self.plan.evaluation_is_due(self.progress):
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
        return self.plan.done(self.progress)

    def _step(self) -> Report:
        progress = self.progress
        batch = self.batches.batch(progress.epoch, progress.batch)
        lr = self.plan.learning_rate(progress)
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

    def _evaluate(self) -> Report | None:
        """Measure the parameters. Sound ones are kept as the state to go back to, and the best ones as the best.

        Nothing has changed until they are measured. None if that was interrupted.
        """
        valid = None
        if self.valid is not None:
            self._evaluating = True
            found = self.engine.evaluate(self.valid, stop=lambda: self._interrupted)
            if found is None:
                return None
            valid, self._evaluating = found[0] / found[1], False
        snapshot = self._snapshot()
        sound = self._is_sound(valid) and snapshot.is_finite()
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
        probe = text.take(np.arange(min(PROBE, len(text))))
        return self._measure(probe, averaged=not self._good.averages) < self._explosion

    def _measure(self, sequence: Any, averaged: bool = True) -> float:
        """Nats per token of a sequence, whoever interrupts."""
        found = self.engine.evaluate(sequence, averaged)
        assert found is not None
        return found[0] / found[1]

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
        self._restore(self._fallback(lr, at))
        self._last_step = (0, 0.0)
        report = self._report("recovery")
        report.learning_rate, report.gradient_norm = lr, math.nan
        report.message = (
            f"The loss exploded at step {at:,}. Back to step {self.progress.step:,} with half the learning rate."
        )
        return report

    def _fallback(self, lr: float, at: int) -> Snapshot:
        """The last good state with half the learning rate; the time that the failed attempt took is gone.

        Raises:
            TrainingError: it was gone back to again and again.
        """
        now = self.progress
        if now.recoveries == MOST_RECOVERIES:
            raise TrainingError(
                f"The loss exploded {now.recoveries + 1} times, the last time at step {at:,} with a learning rate of "
                f"{lr:.2g}. Use a smaller --lr, or --clip 1 if clipping is off."
            )
        changed = {"recoveries": now.recoveries + 1, "lr_factor": now.lr_factor * 0.5, "seconds": now.seconds}
        return replace(self._good, progress=self._good.progress | changed)

    # --- reports and state --------------------------------------------------------------------------------------

    def _report(self, kind: str) -> Report:
        progress = self.progress
        tokens, elapsed = self._last_step
        return Report(
            kind=kind,
            step=progress.step,
            epoch=progress.epoch + progress.batch / self.batches.per_epoch,
            seconds=progress.seconds,
            progress=self.plan.share_done(progress),
            learning_rate=progress.learning_rate,
            gradient_norm=progress.gradient_norm,
            tokens=tokens,
            train_nats_per_token=progress.train_nats / max(1, progress.train_tokens),
            tokens_per_second=tokens / elapsed if elapsed > 0 else 0.0,
        )

    def _snapshot(self) -> Snapshot:
        steps, slots = self.engine.optimizer_state()
        state = None if self.carried is None else self.carried.copy()
        return Snapshot(asdict(self.progress), self.engine.params(), steps, slots, state)

    def _restore(self, snapshot: Snapshot) -> None:
        self.engine.restore(snapshot.params, snapshot.optimizer_steps, snapshot.slots)
        self.progress = Progress(**snapshot.progress)
        self.carried = None if snapshot.state is None else snapshot.state.copy()

    def best(self) -> dict[str, Array]:
        """The parameters that did best on the held-out text; the present ones if nothing was held out or evaluated."""
        return self._to_save().measured if self.best_params is None else self.best_params

    def _to_save(self) -> Snapshot:
        """The present state, or the one to which the next step will go back because this one is no number."""
        now = self._snapshot()
        return now if now.is_finite() else self._fallback(self.progress.learning_rate, self.progress.step)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a resumed run needs beside `best()`: JSON and arrays.

        Raises:
            TrainingError: the last step left no parameters to save, and not for the first time.
        """
        now = self._to_save()
        best_step = now.progress["step"] if self.best_params is None else self.progress.best_step
        header, arrays = now.to_file(best_step)
        header["batches_per_epoch"] = self.batches.per_epoch
        if self._good.progress["step"] != now.progress["step"]:  # else a recovery leads back to just here
            header["good"], good_arrays = self._good.to_file(best_step)
            arrays |= {f"good.{name}": array for name, array in good_arrays.items()}
        return header, arrays

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
        averaged, per_epoch = bool(self._good.averages), None if text_changed else self.batches.per_epoch
        now = good = Snapshot.from_file(header, arrays, best, averaged, per_epoch)
        if text_changed:
            now.move(header.get("batches_per_epoch"), self.batches.per_epoch)
        elif "good" in header:
            of_good = {n.removeprefix("good."): a for n, a in arrays.items() if n.startswith("good.")}
            good = Snapshot.from_file(header["good"], of_good, best, averaged, per_epoch)
        self._restore(good)  # so that it is checked now, not when it is needed
        self._good = self._snapshot()
        self._restore(now)
        self.progress.finished = False
        if self.valid is not None and self.progress.best_nats_per_token is not None:
            self.best_params = best
            if text_changed:
                self._measure_best_again()

    def _measure_best_again(self) -> None:
        assert self.best_params is not None
        now = self._snapshot()
        averages = {AVERAGE + name: self.best_params[name] for name in now.averages}
        self.engine.restore(self.best_params, now.optimizer_steps, now.slots | averages)
        nats = self._measure(self.valid)
        self._restore(now)
        self.progress.evaluations_without_improvement = 0
        self.progress.best_nats_per_token = nats if math.isfinite(nats) else None
        self._good.progress = asdict(self.progress)
