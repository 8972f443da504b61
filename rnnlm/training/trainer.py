"""The training loop: steps until the epochs or the time are over, with validation, and recovery from explosions."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rnnlm.errors import TrainingError
from rnnlm.nn.optimizers import AVERAGE
from rnnlm.sentences import Sentence
from rnnlm.text.batches import BatchSource
from rnnlm.training.clock import RunningClock
from rnnlm.training.engine import Array, Engine, StepResult
from rnnlm.training.plan import Plan, Progress, TrainingConfig
from rnnlm.training.schedules import PLATEAU
from rnnlm.training.snapshot import Snapshot

MOST_RECOVERIES = 5
PROBE = 256  # tokens of the training text to check the parameters on


@dataclass
class Report:
    """Report of a step, an evaluation or a recovery; kind: "steps", "evaluation" or "recovery"."""

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
        """Return the report as a line of the history file."""
        keys = (
            *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
            *("learning_rate", "gradient_norm", "tokens_per_second"),
        )
        return {key: getattr(self, key) for key in keys}


class Trainer:
    """Runs a training. The generator `run()` can be closed after any report; save `state()` then.

    valid: a held-out sequence of ids, or None, for which the last parameters are the best.
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
        """Prepare a training; clock: returns seconds, by default those in which the process is running."""
        self.engine, self.batches, self.valid, self.config = engine, batches, valid, config
        self.progress = Progress()
        tokens, held_out = len(batches.sequence), 0 if valid is None else len(valid)
        self.plan = Plan(config, batches.per_epoch, tokens, held_out)
        self.best_params: dict[str, Array] | None = None
        self.carried: Any = None  # state of the network after the last batch; see `Engine.train_step`
        self._clock = RunningClock() if clock is None else clock
        self._last_look = 0.0  # reading of the clock
        self._last_step = (0, 0.0)  # number of tokens, seconds
        self._interrupted = self._evaluating = False
        # In nats per token: far worse than the uniform distribution, so a larger loss is an explosion.
        self._explosion = 2 * math.log(vocabulary_size) + 5
        self._good = self._snapshot()

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Generator[Report, None, None]:
        """Train from `progress` to the end, or until an evaluation is interrupted; yield reports.

        Each step is a function of `progress`, so that a resumed training continues in the same way.

        Raises:
            TrainingError: the loss exploded too often.
        """
        with self._ticking():
            self._lap()
            while True:
                report: Report | None
                if self.plan.evaluation_is_due(self.progress):  # was interrupted in an earlier run
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
        """Abort the current or next evaluation, which may take minutes; `run` ends, and a resumed run repeats it.

        Can be called from a signal handler or another thread.
        """
        self._interrupted = True

    @property
    def at_rest(self) -> bool:
        """Whether `state()` is consistent inside `run`: the current computation has not changed anything yet.

        An exception at this moment, such as from a signal handler, costs one step or one evaluation. It is False while
        `run` is suspended at a report, where nothing is being computed.
        """
        return self._evaluating or self.engine.computing

    def done(self) -> bool:
        """Return whether the epochs, the time or the patience are exhausted."""
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
        """Return the seconds since the last call; 0 if the clock was set back."""
        before, self._last_look = self._last_look, self._clock()
        return max(0.0, self._last_look - before)

    def _spend(self, seconds: float) -> None:
        """Count seconds of a time budget, if there is one."""
        if self.config.seconds:
            self.progress.seconds += seconds
            self.progress.seconds_since_evaluation += seconds

    def _count_reporting(self, report: Report) -> None:
        """Count the time of the caller since a report, because saving a large model can take longer than evaluating."""
        elapsed = self._lap()
        self._spend(elapsed)
        if report.kind == "evaluation" and self.config.seconds:
            self.progress.saving_seconds = elapsed

    # --- validation ---------------------------------------------------------------------------------------------

    def _evaluate(self) -> Report | None:
        """Evaluate the parameters; keep them as the last good state if they are sound, and as the best if they are.

        Return None, without a change, if the evaluation was interrupted.
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
        """Return whether the parameters after the last step, which its loss does not show, have not exploded.

        A very high held-out loss may also be due to overfitting, and that of averaged parameters does not show the
        current ones. Then the loss of a part of the training text decides.
        """
        if valid is not None and not math.isfinite(valid):
            return False
        if valid is not None and valid < self._explosion and not self._good.averages:
            return True
        text = self.batches.sequence
        probe = text.take(np.arange(min(PROBE, len(text))))
        return self._measure(probe, averaged=not self._good.averages) < self._explosion

    def _measure(self, sequence: Any, averaged: bool = True) -> float:
        """Return the nats per token of a sequence; cannot be interrupted."""
        found = self.engine.evaluate(sequence, averaged)
        assert found is not None
        return found[0] / found[1]

    def _compare(self, valid: float, params: dict[str, Array]) -> bool:
        """Keep the parameters if they are the best, else count and halve a plateau rate; return whether they are."""
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

    # --- recovery -----------------------------------------------------------------------------------------------

    def _healthy(self, result: StepResult) -> bool:
        per_token = result.nats / result.tokens
        return math.isfinite(result.gradient_norm) and math.isfinite(per_token) and per_token < self._explosion

    def _recover(self, lr: float, at: int) -> Report:
        """Restore the last good state, with half the learning rate, after an explosion at step `at`."""
        self._restore(self._fallback(lr, at))
        self._last_step = (0, 0.0)
        report = self._report("recovery")
        report.learning_rate, report.gradient_norm = lr, math.nan
        report.message = Sentence(
            "The loss exploded at step {at}. Back to step {step} with half the learning rate.",
            at=f"{at:,}",
            step=f"{self.progress.step:,}",
        )
        return report

    def _fallback(self, lr: float, at: int) -> Snapshot:
        """Return the last good state with half the learning rate; the time of the failed attempt stays used.

        Raises:
            TrainingError: there were MOST_RECOVERIES recoveries already.
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
        """Return the best parameters on the held-out text; the current ones if nothing was held out or evaluated."""
        return self._to_save().measured if self.best_params is None else self.best_params

    def _to_save(self) -> Snapshot:
        """Return the current state, or the last good one if the current one is not finite."""
        now = self._snapshot()
        return now if now.is_finite() else self._fallback(self.progress.learning_rate, self.progress.step)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the JSON and arrays that a resumed run needs in addition to `best()`.

        Raises:
            TrainingError: the current parameters are not finite, after too many recoveries.
        """
        now = self._to_save()
        best_step = now.progress["step"] if self.best_params is None else self.progress.best_step
        header, arrays = now.to_file(best_step)
        header["batches_per_epoch"] = self.batches.per_epoch
        if self._good.progress["step"] != now.progress["step"]:  # otherwise both are the same
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
        """Restore what `state()` returned; best: the parameters saved with it.

        text_changed: whether the texts have changed. The training then continues at the same share of its epoch with a
        zero state, and the best parameters are evaluated again, on the current held-out text.

        Raises:
            CheckpointError: the state is incomplete or does not match the training.
        """
        best = {name: np.copy(array) for name, array in best.items()}  # they may be the arrays of the network itself
        averaged, per_epoch = bool(self._good.averages), None if text_changed else self.batches.per_epoch
        now = good = Snapshot.from_file(header, arrays, best, averaged, per_epoch)
        if text_changed:
            now.move(header.get("batches_per_epoch"), self.batches.per_epoch)
        elif "good" in header:
            of_good = {n.removeprefix("good."): a for n, a in arrays.items() if n.startswith("good.")}
            good = Snapshot.from_file(header["good"], of_good, best, averaged, per_epoch)
        self._restore(good)  # to check it now, not only when it is needed
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
