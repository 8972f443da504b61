"""What a training tells its user to do, where that is plain to see from its reports.

Rules on numbers: each gets the facts of a training and its course so far, and returns a sentence or None. Nothing is
printed here. The thresholds come from some 170 short trainings, good ones and deliberately bad ones, which
`benchmarks/training_advice.py` makes again. Losses are nats per token; shares of a loss are compared, so that one
threshold serves characters (about 1.5 nats) and words (about 4.5).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rnnlm.training.trainer import Report

# Held-out tokens below which a drift of the valid loss may be chance. With 85 tokens it went from 4.5 to 6.1 and back.
ENOUGH_VALID = 200
# Share by which the valid loss stands above its best, in so many evaluations in a row. Good trainings drift by up to
# 1.0 % (by 3 % for two evaluations, where 500 tokens are held out); without dropout it is 3 to 12 %.
DRIFT = 0.02
DRIFTING = 3
# Share by which the training loss has fallen meanwhile. It falls by 5 % and more where a text is learnt by heart.
FALL_WHILE_DRIFTING = 0.01
# Share by which the training loss stands above the valid loss at the end. In all good trainings it is below, by up to
# 35 %. Dropout of 0.9, 8 hidden units and a single epoch gave 1 to 14 %.
BEHIND = 0.01
# Share by which the valid loss fell in the second half. It is 0.5 % and more in those, although the rate falls to 0.
STILL_FALLING = 0.004
# From here on the dropout is what holds the network back: on 180,000 characters a training loss 11 % above the valid
# loss with --dropout 0.4 became 8 % with 0.2, and the valid loss 1.61 became 1.49.
HELD_BACK = 0.05
# Share of the unigram entropy that is to be gained at the end. Trainings that are too short, or have a rate of 1e-5,
# gain 0 to 5 %; good ones 10 to 58 %.
LITTLE_GAINED = 0.05
# Share of unknown tokens. At one in ten every second or third sentence has one; 20 KB of words have 16 to 25 %,
# 200 KB of English words 3 to 7 %.
UNKNOWN = 0.1
# Tokens below which an n-gram model was better than a recurrent one: of 1,742 and 5,980 characters, and of 508 words,
# but not of 4,000 words.
SMALL_TEXT = {"char": 10_000, "word": 2_000}
# Recurrent weights for each token of the training text. Good trainings had up to 33; a network of 1,024 units on 20 KB
# has 260 to 1,000.
PARAMETERS_PER_TOKEN = 100
# Share by which the held-out text costs more than the training text by the training text's frequencies alone. Parts of
# one text differ by up to 8 %, another book of the same language by 16 %.
UNLIKE = 0.12
# Multiple of an optimizer's usual rate, where it scales every step to the rate. 7.5 times was sometimes better, 25
# times cost up to a third of the loss.
SCALED_OPTIMIZERS = ("adam", "adamw", "rmsprop")
SLOW_OPTIMIZERS = ("sgd", "momentum", "nesterov")  # 5 epochs of 20 KB gained them 0 to 8 %
RATE_TOO_HIGH = 10
RATE_TOO_LOW = 0.1
# One explosion may be bad luck, and the trainer halves the rate.
RECOVERIES = 2
# Share by which the training loss stands above the unigram entropy, with which a training begins, from the second
# evaluation on. Sound rates stay within 1 % of it.
ABOVE_UNIGRAM = 0.05
# Share by which the training loss stands above its lowest, in two evaluations in a row. Sound rates rise by up to 1 %.
RISE = 0.05
# Share of the steps between two evaluations that are clipped by such a factor, while the training loss does not fall
# by NO_FALL. With the usual rates 0 to 5 % of the steps are clipped at all, hardly one by 2.
CLIPPED_STEPS = 0.9
CLIPPED_BY = 10
NO_FALL = 0.01

DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # worth trying; beyond, little is learnt
NARROWEST, WIDEST = 32, 2048  # hidden sizes worth proposing
GOOD_PARAMETERS_PER_TOKEN = 33


@dataclass(frozen=True)
class Facts:
    """What is known of a training before it begins; shares are from 0 to 1."""

    level: str
    optimizer: str
    lr: float
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
    recurrent_parameters: int  # those that the vocabulary has no rows in
    vocab_size: int | None = None  # as limited by the user
    min_count: int = 1
    tied: bool = False
    bidirectional: bool = False
    resumed: bool = False
    started_from: bool = False  # another model's weights
    vocabulary_is_fixed: bool = False
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
    cut_from: float = math.inf  # gradient norm from which on steps are counted as cut
    steps: int = 0  # since the last evaluation
    cut_steps: int = 0
    share_cut: float = 0.0  # of the steps between the last two evaluations
    recoveries: int = 0
    lowest_train: float = math.inf  # before the last two evaluations

    def add(self, report: Report) -> None:
        """Take a report in."""
        if report.kind == "recovery":
            self.recoveries += 1
            self.steps = self.cut_steps = 0
            return
        self.steps += 1
        self.cut_steps += report.gradient_norm >= self.cut_from
        if report.kind != "evaluation":
            return
        self.share_cut = self.cut_steps / self.steps
        self.steps = self.cut_steps = 0
        if len(self.evaluations) >= 2:
            self.lowest_train = min(self.lowest_train, self.evaluations[-2].train_nats_per_token)
        self.evaluations.append(report)
        valid = report.valid_nats_per_token
        if valid is not None and (self.best is None or valid < self.best.valid):
            self.best = Best(valid, report.step, report.train_nats_per_token, report.progress)


Rule = Callable[[Facts, Course], str | None]


class Advisor:
    """Gives each kind of advice at most once in a run."""

    def __init__(self, facts: Facts) -> None:
        """Nothing has been said yet."""
        self._facts, self._course = facts, Course(cut_from=CLIPPED_BY * facts.clip if facts.clip else math.inf)
        if facts.best is not None:
            self._course.best = Best(*facts.best)
        self._said: set[str] = set()

    def opening(self) -> list[str]:
        """What is plain before the first step. A resumed training was told when it began."""
        if self._facts.resumed:
            return []
        found = [(kind, rule(self._facts, self._course)) for kind, rule in RULES_BEFORE.items()]
        self._said |= {kind for kind, line in found if line}
        return [line for _, line in found if line]

    def after(self, report: Report) -> str | None:
        """What has become plain with a report."""
        self._course.add(report)
        if report.kind == "steps":
            return None
        for kind, rule in RULES_WHILE.items():
            if kind in self._said or self._said & EXCLUDED_BY.get(kind, set()):
                continue
            if line := rule(self._facts, self._course):
                self._said.add(kind)
                return line
        return None


# --- before the first step --------------------------------------------------------------------------------------


def low_coverage(facts: Facts, course: Course) -> str | None:
    """Many tokens are unknown."""
    unknown = max(facts.train_unknown, facts.valid_unknown)
    if unknown < UNKNOWN:
        return None
    where = "held-out" if facts.valid_unknown >= facts.train_unknown else "training"
    limited = facts.train_unknown >= UNKNOWN / 2 and not facts.vocabulary_is_fixed
    remedies = [
        "--level char" if facts.level == "word" and not facts.started_from else "",
        f"a --vocab-size larger than {facts.vocab_size}" if limited and facts.vocab_size else "",
        f"a --min-count smaller than {facts.min_count}" if limited and facts.min_count > 1 else "",
        "--init-vocabulary map" if facts.started_from and facts.vocabulary_is_fixed else "",
        "more text",
    ]
    return f"{100 * unknown:.0f} % of the {where} tokens are not in the vocabulary. {_try(remedies)}"


def small_text(facts: Facts, course: Course) -> str | None:
    """The text is too small, in itself or for the network."""
    if facts.started_from:
        return None
    tokens, per_token = facts.train_tokens, facts.recurrent_parameters / facts.train_tokens
    smallest = SMALL_TEXT[facts.level]
    if tokens < smallest:
        kind = {"char": "characters", "word": "words"}[facts.level]
        level = " --level char --order 5" if facts.level == "char" else " --level word"
        ngram = "" if facts.bidirectional else f", or an n-gram model: rnnlm ngram train CORPUS{level}"
        return (
            f"The training text has {tokens:,} tokens; with less than {smallest:,} {kind} a recurrent network learns "
            f"little. Try more text{ngram}."
        )
    if per_token < PARAMETERS_PER_TOKEN:
        return None
    return (
        f"The network has {per_token:,.0f} recurrent weights for each token of the training text; it is slow and may "
        f"learn the text by heart. {_try([narrower(facts), 'more text'])}"
    )


def unlike_text(facts: Facts, course: Course) -> str | None:
    """The held-out text is of another kind than the training text."""
    if facts.valid_tokens < ENOUGH_VALID or facts.valid_unigram < (1 + UNLIKE) * facts.train_unigram:
        return None
    return (
        f"The held-out text is unlike the training text: the token frequencies of the latter give it "
        f"{facts.valid_unigram:.3f} nats per token instead of {facts.train_unigram:.3f}. The valid loss tells little "
        "about texts like the training text. Try a --valid text of the same kind."
    )


def far_rate(facts: Facts, course: Course) -> str | None:
    """The learning rate is far above what is usual for an optimizer that scales every step to it."""
    if facts.optimizer not in SCALED_OPTIMIZERS or facts.lr < RATE_TOO_HIGH * facts.usual_lr:
        return None
    return (
        f"--lr {facts.lr:g} is {facts.lr / facts.usual_lr:,.0f} times what {facts.optimizer} usually needs. "
        f"{_try([f'--lr {facts.usual_lr:g}'])}"
    )


# --- while it goes on -------------------------------------------------------------------------------------------


def high_rate(facts: Facts, course: Course) -> str | None:
    """The learning rate is too high by what it does."""
    why = next((found for rule in HIGH_RATE if (found := rule(facts, course))), None)
    return None if why is None else f"The learning rate is too high: {why}. {_try(lower_rate(facts, course))}"


def _explodes(facts: Facts, course: Course) -> str | None:
    return f"the loss exploded {course.recoveries} times" if course.recoveries >= RECOVERIES else None


def _is_above_unigram(facts: Facts, course: Course) -> str | None:
    if len(course.evaluations) < 2:
        return None
    train = course.evaluations[-1].train_nats_per_token
    if train < (1 + ABOVE_UNIGRAM) * facts.train_unigram:
        return None
    return f"the training loss, {train:.3f}, is above what the token frequencies alone give, {facts.train_unigram:.3f}"


def _rises(facts: Facts, course: Course) -> str | None:
    lowest = course.lowest_train
    last = [report.train_nats_per_token for report in course.evaluations[-2:]]
    if not math.isfinite(lowest) or min(last) < (1 + RISE) * lowest:
        return None
    return f"the training loss rose from {lowest:.3f} to {last[-1]:.3f}"


def _is_clipped(facts: Facts, course: Course) -> str | None:
    """Nearly every step is cut down a lot, and nothing is gained."""
    if len(course.evaluations) < 2 or course.share_cut < CLIPPED_STEPS:
        return None
    before, last = (report.train_nats_per_token for report in course.evaluations[-2:])
    if last < (1 - NO_FALL) * before:
        return None
    return (
        f"{100 * course.share_cut:.0f} % of the gradients are cut to less than a tenth by --clip {facts.clip:g}, and "
        f"the training loss does not fall ({last:.3f})"
    )


HIGH_RATE: tuple[Rule, ...] = (_explodes, _is_above_unigram, _rises, _is_clipped)


def overfitting(facts: Facts, course: Course) -> str | None:
    """The valid loss drifts up from its best while the training loss falls."""
    best, last = course.best, course.evaluations[-DRIFTING:]
    if best is None or len(last) < DRIFTING or facts.valid_tokens < ENOUGH_VALID or _hardly_gained(best.valid, facts):
        return None
    valid = [math.inf if report.valid_nats_per_token is None else report.valid_nats_per_token for report in last]
    # A resumed training does not know the training loss at its best; its first one is the nearest.
    then = course.evaluations[0].train_nats_per_token if best.train is None else best.train
    now = last[-1].train_nats_per_token
    if min(valid) < (1 + DRIFT) * best.valid or now > (1 - FALL_WHILE_DRIFTING) * then:
        return None
    remedies = [
        f"--lr {facts.usual_lr:g} (it is {facts.lr:g})" if facts.lr > 2 * facts.usual_lr else "",
        higher_dropout(facts),
        narrower(facts),
        shorter(facts, best.progress),
        "more text",
    ]
    return (
        f"Overfitting: since step {best.step:,} the valid loss rose from {best.valid:.3f} to {valid[-1]:.3f} while "
        f"the training loss fell from {then:.3f} to {now:.3f}. The model of step {best.step:,} is kept. "
        f"{_try(remedies)}"
    )


def _hardly_gained(valid: float, facts: Facts) -> bool:
    return valid >= (1 - LITTLE_GAINED) * facts.valid_unigram


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
        f"--lr {facts.usual_lr:g}" if facts.lr <= RATE_TOO_LOW * facts.usual_lr else "",
        faster_optimizer(facts),
        longer(facts),
        lower_dropout(facts) if facts.dropout > DROPOUTS[-1] else "",
        wider(facts) if facts.hidden_size < NARROWEST else "",
    ]
    return (
        f"Underfitting: the {name} loss, {loss:.3f}, is hardly below the {unigram:.3f} that the token frequencies "
        f"alone give. {_try(remedies)}"
    )


def _falls_still(facts: Facts, course: Course) -> str | None:
    evaluations, best = course.evaluations, course.best
    if best is None or len(evaluations) < 3 or facts.valid_tokens < ENOUGH_VALID:
        return None
    valid = [report.valid_nats_per_token or math.nan for report in evaluations]
    train = evaluations[-1].train_nats_per_token
    half = next(i for i, report in enumerate(evaluations) if report.progress >= 0.5)
    # The training loss is of the steps since the last evaluation but one, so it is compared with that one too.
    behind = train / max(valid[-2:]) - 1
    if not (behind >= BEHIND and valid[-1] <= (1 - STILL_FALLING) * valid[half]):
        return None
    held_back = behind >= HELD_BACK or facts.dropout > DROPOUTS[-1]
    narrow = wider(facts)
    remedies = [
        faster_optimizer(facts),
        lower_dropout(facts) if held_back else "",
        narrow if facts.hidden_size < NARROWEST else "",
        longer(facts),
        lower_dropout(facts) if not held_back else "",
        narrow if facts.hidden_size >= NARROWEST else "",
    ]
    return (
        f"Underfitting: the training loss, {train:.3f}, is not below the valid loss, {valid[-1]:.3f}, which was still "
        f"falling. {_try(remedies)}"
    )


RULES_BEFORE: dict[str, Rule] = {
    "coverage": low_coverage,
    "small text": small_text,
    "unlike text": unlike_text,
    "learning rate": far_rate,
}
RULES_WHILE: dict[str, Rule] = {
    "learning rate": high_rate,
    "overfitting": overfitting,
    "underfitting": underfitting,
}
# A learning rate that is too high looks like underfitting; and who learns by heart has learnt enough.
EXCLUDED_BY = {"underfitting": {"learning rate", "overfitting"}}


# --- remedies: "" where there is none ---------------------------------------------------------------------------


def higher_dropout(facts: Facts) -> str:
    """More dropout than there is."""
    higher = next((value for value in DROPOUTS[2:] if value >= facts.dropout + 0.1 - 1e-9), None)
    return "" if higher is None else f"--dropout {higher:g} (it is {facts.dropout:g})"


def lower_dropout(facts: Facts) -> str:
    """Half as much dropout, or none."""
    lower = max(value for value in DROPOUTS if value <= facts.dropout / 2)
    return f"--dropout {lower:g} (it is {facts.dropout:g})" if facts.dropout > 0 else ""


def narrower(facts: Facts) -> str:
    """Half as many hidden units; those of a network that exists are what they are."""
    return _width(facts, facts.hidden_size // 2) if facts.hidden_size >= 2 * NARROWEST else ""


def wider(facts: Facts) -> str:
    """Twice as many hidden units, where the text is large enough for them."""
    width = max(2 * NARROWEST, 2 * facts.hidden_size)
    weights = facts.recurrent_parameters * (width / facts.hidden_size) ** 2
    fits = weights <= GOOD_PARAMETERS_PER_TOKEN * facts.train_tokens and width <= WIDEST
    return _width(facts, width) if fits else ""


def _width(facts: Facts, width: int) -> str:
    if facts.resumed or facts.started_from:
        return ""
    return f"--hidden-size {width}{f' --embedding-size {width}' if facts.tied else ''} (it is {facts.hidden_size})"


def longer(facts: Facts) -> str:
    """Twice as much training."""
    if facts.seconds:
        return f"--time {_duration(2 * facts.seconds)}"
    return f"--epochs {2 * facts.epochs:g}" if facts.epochs else ""


def shorter(facts: Facts, progress: float | None) -> str:
    """As much training as led to the best; a resumed one has had it already."""
    if facts.resumed or not progress:
        return ""
    if facts.seconds:
        return f"--time {_duration(facts.seconds * progress)}"
    epochs = math.ceil((facts.epochs or 0.0) * progress)
    return f"--epochs {epochs}" if 0 < epochs < (facts.epochs or 0.0) else ""


def lower_rate(facts: Facts, course: Course) -> list[str]:
    """A smaller learning rate, and clipping where there is none."""
    lower = facts.usual_lr if facts.lr > 2 * facts.usual_lr else facts.lr / 4
    return [f"--lr {lower:.2g} (it is {facts.lr:g})", "" if facts.clip else "--clip 1"]


def faster_optimizer(facts: Facts) -> str:
    """Adam instead of those that need many more steps; what a resumed training has learnt with is fixed."""
    return "--optimizer adam" if facts.optimizer in SLOW_OPTIMIZERS and not facts.resumed else ""


def _duration(seconds: float) -> str:
    """Seconds as the option takes them."""
    whole = max(1, round(seconds))
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"


def _try(remedies: list[str]) -> str:
    named = [remedy for remedy in remedies if remedy]
    return f"Try {', '.join(named[:-1])}{' or ' if len(named) > 1 else ''}{named[-1]}." if named else ""
