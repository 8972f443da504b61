"""Schedule of a training as functions of its progress: learning rate, evaluations, and end."""

import math
from dataclasses import dataclass

from rnnlm.training.schedules import factor

EVALUATIONS = 20  # approximate number in a training
TRAINED_PER_EVALUATED = 3  # tokens per evaluated token by epochs; evaluations take at most about a tenth of the time
EVALUATION_SHARE = 0.1  # of a time budget
FIRST_STEP_SHARE = 1e-3  # of a time budget, until a step was timed


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training, which ends after the epochs or the seconds; 0 for one of them is no limit."""

    epochs: float = 0.0
    seconds: float = 0.0
    lr: float = 4e-3
    schedule: str = "cosine"
    warm_up: float = 0.02
    patience: int = 0  # evaluations without improvement before training stops; 0: never stop
    seed: int = 1


@dataclass
class Progress:
    """Progress of a training: all values, as JSON, that a resumed run needs in addition to arrays."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # index of the next batch in the epoch
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
    # Only with a time budget; by epochs they stay 0, so that repeated trainings write identical files.
    seconds: float = 0.0  # used up
    seconds_since_evaluation: float = 0.0
    step_seconds: float = 0.0  # of the last step
    evaluation_seconds: float = 0.0  # of the last evaluation
    saving_seconds: float = 0.0  # time of the caller after the last evaluation


@dataclass(frozen=True)
class Plan:
    """The schedule of a training.

    Attributes:
        per_epoch: Number of steps in an epoch.
        train_tokens: Number of tokens in an epoch.
        valid_tokens: Number of tokens in an evaluation; 0 if nothing is held out.
    """

    config: TrainingConfig
    per_epoch: int
    train_tokens: int
    valid_tokens: int

    @property
    def total_steps(self) -> int:
        """Number of steps in all epochs."""
        return max(1, round(self.config.epochs * self.per_epoch))

    def position(self, progress: Progress) -> int:
        """Return the planned number of steps so far, which differs from `progress.step` if the text has changed."""
        return progress.epoch * self.per_epoch + progress.batch

    def done(self, progress: Progress) -> bool:
        """Return whether the epochs, the time or the patience are exhausted."""
        patience = self.config.patience
        if patience and progress.evaluations_without_improvement >= patience:
            return True
        return self.share_done(progress) >= 1

    def share_done(self, progress: Progress) -> float:
        """Return the share of the training that is done, 0 to 1; the expected time of the end counts as used."""
        share = self._share_of_epochs(progress)
        if self.config.seconds:
            at_the_end = progress.evaluation_seconds + progress.saving_seconds
            share = max(share, (progress.seconds + at_the_end) / self.config.seconds)
        return min(1.0, share)

    def learning_rate(self, progress: Progress) -> float:
        """Return the learning rate of the next step: the value of the schedule at the middle of the step.

        With a time budget, the step is assumed to take as long as the last one, but to end within the budget.
        """
        config = self.config
        if config.seconds:
            share = self.share_done(progress)
            step = progress.step_seconds / self._expected_seconds(progress) or FIRST_STEP_SHARE
            share += min(step, 1 - share) / 2
        else:
            share = (self.position(progress) + 0.5) / self.total_steps
        return config.lr * progress.lr_factor * factor(config.schedule, share, config.warm_up)

    def evaluation_is_due(self, progress: Progress) -> bool:
        """Return whether an evaluation is due."""
        if not progress.train_tokens:  # no step since the last evaluation
            return False
        if self.done(progress):
            return True
        if self.config.seconds:
            cost = progress.evaluation_seconds + progress.saving_seconds
            every = max(self._expected_seconds(progress) / EVALUATIONS, cost / EVALUATION_SHARE)
            return progress.seconds_since_evaluation >= every
        return self.position(progress) % self.steps_between_evaluations == 0

    @property
    def steps_between_evaluations(self) -> int:
        """Number of steps between evaluations by epochs, so that repeated runs evaluate at the same steps."""
        tokens_a_step = max(1, self.train_tokens // self.per_epoch)
        cheap = TRAINED_PER_EVALUATED * self.valid_tokens // tokens_a_step
        every = max(1, self.total_steps // EVALUATIONS, cheap)
        # If epochs are short, evaluate only at their ends.
        return every if every < self.per_epoch else self.per_epoch * math.ceil(every / self.per_epoch)

    def _share_of_epochs(self, progress: Progress) -> float:
        return self.position(progress) / self.total_steps if self.config.epochs else 0.0

    def _expected_seconds(self, progress: Progress) -> float:
        """Return the expected seconds of a training with a time budget, which may end earlier by its epochs."""
        share = self._share_of_epochs(progress)
        return min(self.config.seconds, progress.seconds / share) if share else self.config.seconds
