"""What a training tells its user to do, where that is plain to see from its reports.

Rules on numbers: each gets the facts of a training and its course so far, and returns a sentence or None. Nothing is
printed here. Losses are nats per token; shares of a loss are compared, so that one threshold serves characters (about
1.5 nats) and words (about 4.5). `benchmarks/training_advice.py` shows which advice good and bad trainings get.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rnnlm.training import configuration
from rnnlm.training.trainer import Report

# Share of unknown tokens: at one in ten, every second or third sentence has one.
UNKNOWN = 0.1
# Times that the last part of a stream is harder to predict than parts spread over it, by `text.held_out.unlikeness`: of
# characters, of words. Within one book it is 0.97 to 1.02 and 0.97 to 1.22; for another author's it was 1.11 to 1.8.
UNLIKE_CHARACTERS, UNLIKE_WORDS = 1.08, 1.25
# Tokens below which an n-gram model is better than a recurrent one.
SMALL_TEXT = {"char": 10_000, "word": 2_000, "token": 2_000}
# Recurrent weights for each token of the training text; the defaults choose fewer wherever a text is not small itself.
WEIGHTS_PER_TOKEN = 100
# Optimizers that scale every step to the rate, so that the rate alone tells whether it is far off, and multiples of
# their usual rate that are.
SCALED_OPTIMIZERS = ("adam", "adamw", "rmsprop")
RATE_TOO_HIGH = 10
RATE_TOO_LOW = 0.1
SLOW_OPTIMIZERS = ("sgd", "momentum", "nesterov")
# One explosion may be bad luck, and the trainer halves the rate.
RECOVERIES = 2
# Share by which the training loss stands above the unigram entropy, with which a training begins, or above its
# lowest, in two evaluations in a row; of a text that is known by heart, whose loss is nearly 0, so much of a nat.
RISE = 0.05
# Share by which the valid loss stands above its best, in so many evaluations in a row, while the training loss falls
# by such a share. Where few tokens are held out, that may be chance.
DRIFT = 0.02
DRIFTING = 3
FALL_WHILE_DRIFTING = 0.01
ENOUGH_VALID = 200
# Share of the unigram entropy that is to be gained at the end.
LITTLE_GAINED = 0.05
# Share by which the training loss stands above the valid loss at the end, and by which the valid loss fell in the
# second half. Where the first is as large as the third, the dropout is what holds the network back.
BEHIND = 0.01
STILL_FALLING = 0.004
HELD_BACK = 0.05

MOST_DROPOUT = 0.6
NARROWEST, WIDEST = 32, 1024  # hidden sizes worth proposing


@dataclass(frozen=True)
class Facts:
    """What is known of a training before it begins; shares are from 0 to 1."""

    level: str
    optimizer: str
    lr: float
    lr_is_given: bool  # by the user, and not chosen to fit
    usual_lr: float  # of the optimizer
    clip: float
    dropout: float
    hidden_size: int
    epochs: float | None
    seconds: float | None
    train_tokens: int
    valid_tokens: int
    train_unknown: float
    valid_unknown: float
    train_unigram: float  # entropy of the training text's token frequencies
    valid_unigram: float  # cross-entropy of the held-out text by the training text's frequencies
    recurrent_weights: int  # those that the vocabulary has no rows in
    vocabulary_is_limited: bool = False  # by --vocab-size or --min-count
    unlikeness: float = 1.0  # of the held-out part of a stream, see `text.held_out.unlikeness`
    has_network: bool = False  # of a checkpoint that it resumes or starts from
    resumed: bool = False
    best: tuple[float, int] | None = None  # valid loss and step, of a resumed training


@dataclass
class Best:
    """The best evaluation so far; a resumed training does not know all of it."""

    valid: float
    step: int
    train: float | None = None
    progress: float | None = None


@dataclass
class Course:
    """What has happened in this run."""

    evaluations: list[Report] = field(default_factory=list)
    best: Best | None = None
    recoveries: int = 0
    lowest_train: float = math.inf  # before the last two evaluations

    def add(self, report: Report) -> None:
        """Take in an evaluation or a recovery."""
        if report.kind == "recovery":
            self.recoveries += 1
            return
        if len(self.evaluations) >= 2:
            self.lowest_train = min(self.lowest_train, self.evaluations[-2].train_nats_per_token)
        self.evaluations.append(report)
        valid = report.valid_nats_per_token
        if valid is not None and (self.best is None or valid < self.best.valid):
            self.best = Best(valid, report.step, report.train_nats_per_token, report.progress)


class Advisor:
    """Gives each kind of advice at most once in a run."""

    def __init__(self, facts: Facts) -> None:
        """Nothing has been said yet."""
        self._facts, self._course = facts, Course()
        if facts.best is not None:
            self._course.best = Best(*facts.best)
        self._said: set[str] = set()

    def opening(self) -> list[str]:
        """What is plain before the first step. A resumed training was told when it began."""
        if self._facts.resumed:
            self._said |= {"unlike"} if unlike(self._facts) else set()
            return []
        found = {kind: rule(self._facts) for kind, rule in RULES_BEFORE.items()}
        self._said |= {kind for kind, line in found.items() if line}
        return [line for line in found.values() if line]

    def after(self, report: Report) -> str | None:
        """What has become plain with a report."""
        if report.kind == "steps":
            return None
        self._course.add(report)
        for kind, rule in RULES_WHILE.items():
            if kind in self._said or self._said & EXCLUDED_BY.get(kind, set()):
                continue
            if line := rule(self._facts, self._course):
                self._said.add(kind)
                return line
        return None


# --- before the first step --------------------------------------------------------------------------------------


def low_coverage(facts: Facts) -> str | None:
    """Many tokens are unknown."""
    unknown = max(facts.train_unknown, facts.valid_unknown)
    if unknown < UNKNOWN:
        return None
    where = "held-out" if facts.valid_unknown >= facts.train_unknown else "training"
    remedies = [
        "--level char" if facts.level != "char" and not facts.has_network else "",
        "a larger vocabulary (--vocab-size, --min-count)" if facts.vocabulary_is_limited else "",
        "more text",
    ]
    return f"{100 * unknown:.0f} % of the {where} tokens are not in the vocabulary. {_try(remedies)}"


def small_text(facts: Facts) -> str | None:
    """The text is too small, in itself or for the network."""
    if facts.has_network:  # which knows of other texts
        return None
    tokens, smallest = facts.train_tokens, SMALL_TEXT[facts.level]
    if tokens < smallest:
        kind = {"char": "characters", "word": "words", "token": "tokens"}[facts.level]
        return (
            f"The training text has {tokens:,} tokens; with less than {smallest:,} {kind} a recurrent network learns "
            f"little. {_try(['more text', 'an n-gram model (rnnlm ngram train)'])}"
        )
    if facts.recurrent_weights < WEIGHTS_PER_TOKEN * tokens:
        return None
    return (
        f"The network has {facts.recurrent_weights / tokens:,.0f} recurrent weights for each token of the training "
        f"text; it is slow and may learn the text by heart. {_try([narrower(facts), 'more text'])}"
    )


def far_rate(facts: Facts) -> str | None:
    """The learning rate that was given is far above what is usual for an optimizer that scales every step to it."""
    times = facts.lr / facts.usual_lr
    if facts.optimizer not in SCALED_OPTIMIZERS or not facts.lr_is_given or times < RATE_TOO_HIGH:
        return None
    return f"--lr {facts.lr:g} is {times:,.0f} times what {facts.optimizer} usually needs. {_try([FITTING_RATE])}"


def unlike(facts: Facts) -> str | None:
    """The last part of a stream is not like the rest, so that its loss rises without anything being learnt by heart."""
    if facts.unlikeness < (UNLIKE_CHARACTERS if facts.level == "char" else UNLIKE_WORDS):
        return None
    remedies = ["--context sentence, which holds out blocks from all over the text", "--valid FILE", "another order"]
    return (
        "The held-out last part is unlike the rest of the text: by pairs of neighbouring tokens it is "
        f"{100 * (facts.unlikeness - 1):.0f} % harder to predict than other parts. Its loss tells little of them. "
        f"{_try(remedies)}"
    )


# --- while it goes on -------------------------------------------------------------------------------------------


def high_rate(facts: Facts, course: Course) -> str | None:
    """The loss explodes, or the training loss rises for long."""
    remedies = [lower_rate(facts), "" if facts.clip else "--clip 1"]
    if course.recoveries >= RECOVERIES:
        return f"The learning rate is too high: the loss exploded {course.recoveries} times. {_try(remedies)}"
    last = [report.train_nats_per_token for report in course.evaluations[-2:]]
    # With another text's weights a training may well begin above what the frequencies give.
    below = course.lowest_train if facts.has_network else min(course.lowest_train, facts.train_unigram)
    if len(last) < 2 or min(last) < below + RISE * max(below, 1.0):
        return None
    found = (
        f"rose from {below:.3f} to {last[-1]:.3f}"
        if below == course.lowest_train
        else f"is {last[-1]:.3f}, above the {below:.3f} that the token frequencies alone give"
    )
    return f"The learning rate is too high: the training loss {found}. {_try(remedies)}"


def overfitting(facts: Facts, course: Course) -> str | None:
    """The valid loss drifts up from its best while the training loss falls."""
    best, last = course.best, course.evaluations[-DRIFTING:]
    if best is None or len(last) < DRIFTING or facts.valid_tokens < ENOUGH_VALID:
        return None
    if best.valid >= (1 - LITTLE_GAINED) * facts.valid_unigram:  # too little has been learnt to be lost
        return None
    # A resumed training does not know the training loss at its best; its first one is the nearest.
    then = course.evaluations[0].train_nats_per_token if best.train is None else best.train
    now, valid = last[-1].train_nats_per_token, [_valid(report) for report in last]
    if min(valid) < (1 + DRIFT) * best.valid or now > (1 - FALL_WHILE_DRIFTING) * then:
        return None
    remedies = [higher_dropout(facts), narrower(facts), shorter(facts, best.progress), "more text"]
    return (
        f"Overfitting: since step {best.step:,} the valid loss rose from {best.valid:.3f} to {valid[-1]:.3f} while "
        f"the training loss fell from {then:.3f} to {now:.3f}. The model of step {best.step:,} is kept. "
        f"{_try(remedies)}"
    )


def underfitting(facts: Facts, course: Course) -> str | None:
    """At the end there is more to learn."""
    if not course.evaluations or course.evaluations[-1].progress < 1:
        return None
    return _little_gained(facts, course) or _falls_still(facts, course)


def _little_gained(facts: Facts, course: Course) -> str | None:
    loss, name, unigram = course.evaluations[-1].train_nats_per_token, "training", facts.train_unigram
    if course.best is not None:
        loss, name, unigram = course.best.valid, "valid", facts.valid_unigram
    if loss < (1 - LITTLE_GAINED) * unigram:
        return None
    remedies = [
        FITTING_RATE if facts.lr_is_given and facts.lr <= RATE_TOO_LOW * facts.usual_lr else "",
        faster_optimizer(facts),
        lower_dropout(facts) if facts.dropout > MOST_DROPOUT else "",
        longer(facts),
    ]
    how = "hardly below" if loss < unigram else "not below"
    return (
        f"Underfitting: the {name} loss, {loss:.3f}, is {how} the {unigram:.3f} that the token frequencies "
        f"alone give. {_try(remedies)}"
    )


def _falls_still(facts: Facts, course: Course) -> str | None:
    evaluations = course.evaluations
    if len(evaluations) < 3 or facts.valid_tokens < ENOUGH_VALID:
        return None
    # The training loss is of the steps since the last evaluation but one, so it is compared with that one too.
    train, valid = evaluations[-1].train_nats_per_token, [_valid(report) for report in evaluations]
    behind = train / max(valid[-2:]) - 1
    half = next(i for i, report in enumerate(evaluations) if report.progress >= 0.5)
    if not (behind >= BEHIND and valid[-1] <= (1 - STILL_FALLING) * valid[half]):
        return None
    held_back = behind >= HELD_BACK or facts.dropout > MOST_DROPOUT
    remedies = [faster_optimizer(facts), lower_dropout(facts) if held_back else "", longer(facts), wider(facts)]
    return (
        f"Underfitting: the training loss, {train:.3f}, is not below the valid loss, {valid[-1]:.3f}, which was still "
        f"falling. {_try(remedies)}"
    )


def _valid(report: Report) -> float:
    return math.inf if report.valid_nats_per_token is None else report.valid_nats_per_token


RULES_BEFORE: dict[str, Callable[[Facts], str | None]] = {
    "coverage": low_coverage,
    "small text": small_text,
    "learning rate": far_rate,
    "unlike": unlike,
}
RULES_WHILE: dict[str, Callable[[Facts, Course], str | None]] = {
    "learning rate": high_rate,
    "overfitting": overfitting,
    "underfitting": underfitting,
}
# A learning rate that is too high looks like underfitting; and who learns by heart has learnt enough.
EXCLUDED_BY = {"underfitting": {"learning rate", "overfitting"}, "overfitting": {"unlike"}}


# --- remedies: "" where there is none ---------------------------------------------------------------------------

FITTING_RATE = "leaving --lr out"


def higher_dropout(facts: Facts) -> str:
    """More dropout than there is."""
    higher = max(0.2, round(facts.dropout + 0.1, 1))
    return f"--dropout {higher:g} (it is {facts.dropout:g})" if higher <= MOST_DROPOUT else ""


def lower_dropout(facts: Facts) -> str:
    """Half as much dropout."""
    return f"--dropout {round(facts.dropout / 2, 2):g} (it is {facts.dropout:g})" if facts.dropout else ""


def narrower(facts: Facts) -> str:
    """Half as many hidden units."""
    return _width(facts, facts.hidden_size // 2)


def wider(facts: Facts) -> str:
    """Twice as many hidden units, where the text is large enough for four times the weights."""
    fits = 4 * facts.recurrent_weights <= configuration.WEIGHTS_PER_TOKEN * facts.train_tokens
    return _width(facts, max(NARROWEST, 2 * facts.hidden_size)) if fits else ""


def _width(facts: Facts, width: int) -> str:
    """Those of a network that exists are what they are."""
    fixed = facts.has_network or not NARROWEST <= width <= WIDEST
    return "" if fixed else f"--hidden-size {width} (it is {facts.hidden_size})"


def longer(facts: Facts) -> str:
    """Twice as much training."""
    return f"--time {2 * facts.seconds:g}s" if facts.seconds else f"--epochs {2 * (facts.epochs or 0.0):g}"


def shorter(facts: Facts, progress: float | None) -> str:
    """As much training as led to the best; a resumed one has had it already."""
    if facts.resumed or not progress:
        return ""
    if facts.seconds:
        return f"--time {facts.seconds * progress:.2g}s"
    epochs = math.ceil((facts.epochs or 0.0) * progress)
    return f"--epochs {epochs}" if epochs < (facts.epochs or 0.0) else ""


def lower_rate(facts: Facts) -> str:
    """A smaller learning rate."""
    far = facts.lr_is_given and facts.lr >= RATE_TOO_HIGH * facts.usual_lr
    return FITTING_RATE if far else f"--lr {facts.lr / 4:.2g} (it is {facts.lr:g})"


def faster_optimizer(facts: Facts) -> str:
    """Adam instead of those that need many more steps; what a resumed training has learnt with is fixed."""
    return "--optimizer adam" if facts.optimizer in SLOW_OPTIMIZERS and not facts.resumed else ""


def _try(remedies: list[str]) -> str:
    named = [remedy for remedy in remedies if remedy]
    return f"Try {', '.join(named[:-1])}{' or ' if len(named) > 1 else ''}{named[-1]}." if named else ""
