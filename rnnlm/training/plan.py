"""What a training is to do, as functions of how far it is: its rate, its evaluations and its end."""

import math
from dataclasses import dataclass

from rnnlm.training.schedules import factor

EVALUATIONS = 20  # in the course of a training, about
TRAINED_PER_EVALUATED = 3  # tokens, when training by epochs: then evaluations take at most about a tenth of the time
EVALUATION_SHARE = 0.1  # of a time budget
FIRST_STEP_SHARE = 1e-3  # of a time budget, as long as no step has been timed


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


@dataclass(frozen=True)
class Plan:
    """A training by its numbers.

    Attributes:
        per_epoch: Steps in an epoch.
        train_tokens: In an epoch.
        valid_tokens: That an evaluation reads; 0 if nothing is held out.
    """

    config: TrainingConfig
    per_epoch: int
    train_tokens: int
    valid_tokens: int

    @property
    def total_steps(self) -> int:
        """Number of steps in the epochs."""
        return max(1, round(self.config.epochs * self.per_epoch))

    def position(self, progress: Progress) -> int:
        """Return the steps to here by the plan: as many as were made, unless the text has changed in between."""
        return progress.epoch * self.per_epoch + progress.batch

    def done(self, progress: Progress) -> bool:
        """Whether the epochs or the time are used up, or patience is at its end."""
        patience = self.config.patience
        if patience and progress.evaluations_without_improvement >= patience:
            return True
        return self.share_done(progress) >= 1

    def share_done(self, progress: Progress) -> float:
        """Return the share of the training that is done, 0 to 1; what the end will need of a time counts as used."""
        share = self._share_of_epochs(progress)
        if self.config.seconds:
            at_the_end = progress.evaluation_seconds + progress.saving_seconds
            share = max(share, (progress.seconds + at_the_end) / self.config.seconds)
        return min(1.0, share)

    def learning_rate(self, progress: Progress) -> float:
        """Return the rate of the next step: the schedule's value at its middle.

        With a time budget, the step is expected to take as long as the last one, but not beyond the end.
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
        """Whether the parameters are to be measured now."""
        if not progress.train_tokens:  # nothing new since the last one
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
        """Steps, not seconds, when training by epochs: the same run evaluates at the same places."""
        tokens_a_step = max(1, self.train_tokens // self.per_epoch)
        cheap = TRAINED_PER_EVALUATED * self.valid_tokens // tokens_a_step
        every = max(1, self.total_steps // EVALUATIONS, cheap)
        # Short epochs are not cut into pieces.
        return every if every < self.per_epoch else self.per_epoch * math.ceil(every / self.per_epoch)

    def _share_of_epochs(self, progress: Progress) -> float:
        return self.position(progress) / self.total_steps if self.config.epochs else 0.0

    def _expected_seconds(self, progress: Progress) -> float:
        """How long a training with a time budget will take: less than the budget, if its epochs are over sooner."""
        share = self._share_of_epochs(progress)
        return min(self.config.seconds, progress.seconds / share) if share else self.config.seconds
