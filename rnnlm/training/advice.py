"""Heuristics that turn training reports into advice.

Each rule reads figures of a training and returns a sentence or None; nothing is printed here. Losses are in nats per
token. Thresholds are relative, so that they suit both characters (about 1.5 nats) and words (about 4.5).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce

import numpy as np

from rnnlm.sentences import Sentence
from rnnlm.text.held_out import LAST_PART
from rnnlm.text.vocabulary import UNK
from rnnlm.training.configuration import Circumstances, learning_rate, level_of
from rnnlm.training.dataset import MOST_VALIDATED
from rnnlm.training.session import Session
from rnnlm.training.trainer import Report

# Share of unknown tokens; at one in ten, every second or third sentence has one.
UNKNOWN = 0.1
# Tokens below which an n-gram model is better than a recurrent one.
SMALL_TEXT = {"char": 10_000, "word": 2_000, "token": 2_000}
# Number of recoveries; a single explosion may be chance, and the trainer halves the rate.
RECOVERIES = 2
# Relative increase of the training loss over its minimum, or over the entropy of the token frequencies, in two
# consecutive evaluations; absolute, in nats, for losses below 1.
RISE = 0.05
# Overfitting: the valid loss is above its best by DRIFT (relative) in DRIFTING consecutive evaluations, while the
# training loss falls by FALL_WHILE_DRIFTING. With fewer held-out tokens than ENOUGH_VALID, that may be chance.
DRIFT, DRIFTING, FALL_WHILE_DRIFTING, ENOUGH_VALID = 0.02, 3, 0.01, 200
# Least relative gain over the loss of token frequencies, and share of the fitting learning rate that is too low.
GAIN, LOW_RATE = 0.05, 0.1


@dataclass(frozen=True)
class Facts:
    """Facts on a training that the rules read in addition to reports.

    Attributes:
        fitting_lr: Default learning rate of this network.
        unknown: Share of unknown tokens in the held-out text, or in the training text if nothing is held out.
        train_unigram: Loss of the token frequencies on the training text.
        valid_unigram: Loss of the token frequencies on the held-out text; infinite if it was not measured.
        vocabulary_is_limited: Whether --vocab-size or --min-count leaves tokens out.
        has_network: Whether the initial weights are those of a checkpoint.
        end_is_held_out: Whether the held-out text is the last part of a stream without lines.
        best: Best valid loss and its step, of a resumed training.
    """

    level: str
    lr: float
    fitting_lr: float
    clip: float
    train_tokens: int
    valid_tokens: int
    unknown: float
    train_unigram: float
    valid_unigram: float
    vocabulary_is_limited: bool = False
    has_network: bool = False
    end_is_held_out: bool = False
    best: tuple[float, int] | None = None


def facts_of(session: Session, has_network: bool) -> Facts:
    """Return the facts of a prepared session; has_network: whether its weights are those of a checkpoint."""
    dataset, recipe, progress = session.dataset, session.recipe, session.trainer.progress
    counts, valid, best = dataset.counts, dataset.valid, progress.best_nats_per_token
    shares = (counts + 1) / (counts.sum() + len(counts))
    unknown = 1 - dataset.coverage if valid is None else float(np.mean(np.asarray(valid[:MOST_VALIDATED]) == UNK))
    text = Circumstances(len(dataset.train), len(counts), lambda _: 0.0)
    baselines = session.model.training.get("baselines", {})
    return Facts(
        level=recipe.level,
        lr=recipe.lr,
        fitting_lr=learning_rate(asdict(recipe), level_of(recipe.level, text), has_network),
        clip=recipe.clip,
        train_tokens=len(dataset.train),
        valid_tokens=session.valid_tokens,
        unknown=unknown - dataset.vocabulary.unknown / counts.sum(),  # except those written as <unk> in the text
        train_unigram=float(-(counts @ np.log(shares)) / counts.sum()),
        valid_unigram=baselines.get("unigram_nats_per_token", math.inf),
        vocabulary_is_limited=recipe.vocab_size is not None or recipe.min_count > 1,
        has_network=has_network,
        end_is_held_out=recipe.context == "stream" and dataset.held_out == LAST_PART,
        best=None if valid is None or best is None or recipe.networks > 1 else (best, progress.best_step),
    )


class Advisor:
    """Give each kind of advice at most once in a run."""

    def __init__(self, facts: Facts) -> None:
        """Start before the first report."""
        self._facts, self._recoveries, self._progress, self._network = facts, 0, 0.0, 0
        self._forget_losses(facts.best or (math.inf, 0))
        self._rules: list[Callable[[], str | None]] = [self._high_rate, self._overfitting, self._underfitting]

    def _forget_losses(self, best: tuple[float, int]) -> None:
        self._train: list[float] = []  # losses, one for each evaluation
        self._valid: list[float] = []
        self._best, self._best_step = best
        self._train_at_best = math.inf  # unknown for a resumed training

    def opening(self) -> list[str]:
        """Return the advice that is known before the first step."""
        return [line for line in (low_coverage(self._facts), small_text(self._facts)) if line]

    def after(self, report: Report) -> str | None:
        """Return the advice that follows from a report, or None."""
        if report.kind == "steps":
            return None
        self._progress = report.progress
        if self._network and report.network > self._network:  # a new one begins like the first
            self._forget_losses((math.inf, 0))
        self._network = report.network
        if report.kind == "recovery":
            self._recoveries += 1
        else:
            self._add(report)
        for rule in self._rules:
            if line := rule():
                # A cause of a high loss was named: do not report underfitting at the end.
                self._rules = [other for other in self._rules if other not in (rule, self._underfitting)]
                return line
        return None

    def _add(self, report: Report) -> None:
        valid = math.inf if report.valid_nats_per_token is None else report.valid_nats_per_token
        self._train.append(report.train_nats_per_token)
        self._valid.append(valid)
        if valid < self._best:
            self._best, self._best_step, self._train_at_best = valid, report.step, report.train_nats_per_token

    def _high_rate(self) -> str | None:
        """Advise if the loss exploded repeatedly, or the training loss rises and the valid loss, if any, too."""
        facts, before, last = self._facts, self._train[:-2], self._train[-2:]
        remedy = Sentence(
            "Try --lr {lower} (it is {lr})." if facts.clip else "Try --lr {lower} (it is {lr}) or --clip 1.",
            lower=f"{min(facts.fitting_lr, facts.lr / 4):.2g}",
            lr=f"{facts.lr:g}",
        )
        if self._recoveries >= RECOVERIES:
            exploded = "The learning rate is too high: the loss exploded {n} times. {remedy}"
            return Sentence(exploded, n=self._recoveries, remedy=remedy)
        lowest, unigram = min(before, default=math.inf), facts.train_unigram
        if facts.has_network:  # weights of another text may start above this loss
            unigram = math.inf
        limit = min(lowest, unigram)
        if len(last) < 2 or min(last) < limit + RISE * max(limit, 1.0):
            return None
        what, fine = "what the token frequencies alone give", self._best
        if limit == lowest:  # it may swing, with dropout or where parts of a text are harder
            what, fine = "its lowest", (1 + DRIFT) * self._best
        if self._valid[-1] <= fine < math.inf:
            return None
        return Sentence(
            "The learning rate is too high: the training loss is {loss}, above {what}, {limit}. {remedy}",
            loss=f"{last[-1]:.3f}",
            what=Sentence(what),
            limit=f"{limit:.3f}",
            remedy=remedy,
        )

    def _overfitting(self) -> str | None:
        """Advise if the valid loss rises while the training loss falls."""
        facts, last = self._facts, self._valid[-DRIFTING:]
        if len(last) < DRIFTING or facts.valid_tokens < ENOUGH_VALID:
            return None
        then, now = min(self._train_at_best, self._train[0]), self._train[-1]
        if min(last) < (1 + DRIFT) * self._best or now > (1 - FALL_WHILE_DRIFTING) * then:
            return None
        # A checkpoint fixes the width and the context.
        remedy = "Try a higher --dropout, a smaller --hidden-size or more text."
        unlike = " Or, if the held-out end of the text is unlike the rest, try --context sentence or --valid FILE."
        if facts.has_network:
            remedy = "Try a higher --dropout or more text."
            unlike = " Or, if the held-out end of the text is unlike the rest, try --valid FILE."
        return Sentence(
            "Overfitting: since step {step} the valid loss rose from {best} to {last} while the training loss fell "
            "from {then} to {now}. The model of step {step} is kept. {remedy}{unlike}",
            step=f"{self._best_step:,}",
            best=f"{self._best:.3f}",
            last=f"{last[-1]:.3f}",
            then=f"{then:.3f}",
            now=f"{now:.3f}",
            remedy=Sentence(remedy),
            unlike=Sentence(unlike if facts.end_is_held_out else ""),
        )

    def _underfitting(self) -> str | None:
        """Advise at the end if the loss is hardly below that of the token frequencies."""
        if self._progress < 1 or not self._train:
            return None
        facts = self._facts
        held_out = ("valid", self._best, facts.valid_unigram)
        name, loss, unigram = held_out if facts.valid_tokens else ("training", self._train[-1], facts.train_unigram)
        if loss < (1 - GAIN) * unigram or unigram == math.inf:
            return None
        low = facts.lr <= LOW_RATE * facts.fitting_lr
        remedy = "Try --lr {higher} (it is {lr}) or a longer training." if low else "Try a longer training."
        return Sentence(
            "Underfitting: the {name} loss, {loss}, is {how} below the {unigram} that the token frequencies alone "
            "give. {remedy}",
            name=Sentence(name),
            loss=f"{loss:.3f}",
            how=Sentence("hardly" if loss < unigram else "not"),
            unigram=f"{unigram:.3f}",
            remedy=Sentence(remedy, higher=f"{facts.fitting_lr:g}", lr=f"{facts.lr:g}"),
        )


def low_coverage(facts: Facts) -> str | None:
    """Return advice if many tokens are unknown, else None."""
    if facts.unknown < UNKNOWN:
        return None
    remedies = [
        "--init-vocabulary map" if facts.has_network else "" if facts.level == "char" else "--level char",
        "a larger vocabulary (--vocab-size, --min-count)" if facts.vocabulary_is_limited else "",
        "more text",
    ]
    return Sentence(
        "{share} % of the {where} tokens are not in the vocabulary. Try {remedies}.",
        share=f"{100 * facts.unknown:.0f}",
        where=Sentence("held-out" if facts.valid_tokens else "training"),
        remedies=reduce(
            lambda before, each: Sentence("{one} or {two}", one=before, two=each), map(Sentence, filter(None, remedies))
        ),
    )


def small_text(facts: Facts) -> str | None:
    """Return advice if a text is too small for a network without pretrained weights, else None."""
    tokens, smallest = facts.train_tokens, SMALL_TEXT[facts.level]
    if facts.has_network or tokens >= smallest:
        return None
    return Sentence(
        "The training text has {tokens} tokens; with less than {smallest} {units} a recurrent network learns little. "
        "Try more text or an n-gram model (rnnlm ngram train).",
        tokens=f"{tokens:,}",
        smallest=f"{smallest:,}",
        units=Sentence({"char": "characters", "word": "words", "token": "tokens"}[facts.level]),
    )
