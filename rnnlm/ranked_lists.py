"""Ranking of n-best lists with the scores of a model."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rnnlm.inference.list_formats import FORMATS, LOG10, Candidate, NbestList
from rnnlm.inference.rescoring import Evidence, Weights, ranking
from rnnlm.results import ScoredLine

NATS_IN = {"nats": 1.0, LOG10: math.log(10)}


class Scores(Protocol):
    """The interface of `LanguageModel` that ranking uses."""

    @property
    def line_end(self) -> int | None:
        """Id that ends a line, or None."""

    @property
    def unknown_word_penalty(self) -> float:
        """Nats to add to ln p(<unk>) for the log probability of a particular unknown word."""

    def score_lists(
        self, lists: Iterable[NbestList | None], threads: int = 1
    ) -> Iterator[tuple[NbestList, list[ScoredLine]]]:
        """Yield lists with the scores of their candidates."""


class RankedCandidate(NamedTuple):
    """A candidate with its scores.

    Attributes:
        text: Text as in the input.
        total: Score that the list is ranked by; like `incoming` and `old_lm` in the unit of the format.
        incoming, old_lm: Acoustic or total score of the input, and score of its language model; 0 if missing.
        logprob_nats: Log probability under the model, with </s>.
        words, oov: Number of words, and of unknown ones.
        rank: Rank in the input, from 1.
    """

    text: str
    total: float
    incoming: float
    old_lm: float
    logprob_nats: float
    words: float
    oov: int
    rank: int


@dataclass(frozen=True)
class RankedList:
    """A ranked n-best list.

    Attributes:
        source: The list of the input.
        evidence, totals: Features and total score of each candidate, in input order, in the unit of the format.
        order: Indices of the candidates, best first.
        scored: Token scores of each candidate, in input order.
    """

    source: NbestList
    evidence: list[Evidence]
    totals: list[float]
    order: list[int]
    scored: list[ScoredLine]

    @property
    def id(self) -> str | None:
        """Id of the list, or its number from 1."""
        return self.source.list_id

    @property
    def best(self) -> str:
        """Text of the best candidate."""
        return self.source.candidates[self.order[0]].text

    @property
    def candidates(self) -> list[RankedCandidate]:
        """Candidates, best first."""
        came = self.source.candidates
        return [
            RankedCandidate(
                came[place].text,
                self.totals[place],
                self.evidence[place].incoming,
                self.evidence[place].old_language_model,
                self.scored[place].logprob_nats,
                self.evidence[place].words,
                int(self.evidence[place].oov),
                place + 1,
            )
            for place in self.order
        ]


def score_lists(
    score: Callable[..., Iterator[ScoredLine]], lists: Iterable[NbestList | None], threads: int
) -> Iterator[tuple[NbestList, list[ScoredLine]]]:
    """Yield lists with the scores of their candidates; score: `LanguageModel.score`."""
    waiting: deque[NbestList] = deque()

    def texts() -> Iterator[str | None]:
        for each in lists:
            if each is None:
                yield None
                continue
            waiting.append(each)
            yield from (candidate.text for candidate in each.candidates)

    scores = score(texts(), hypotheses=True, threads=threads)
    for first in scores:
        while not waiting[0].candidates:
            yield waiting.popleft(), []
        current = waiting.popleft()
        yield current, [first, *itertools.islice(scores, len(current.candidates) - 1)]
    yield from ((each, []) for each in waiting)


def rank_lists(
    model: Scores,
    lists: Iterable[NbestList | None],
    format_name: str = "plain",
    weights: Weights | None = None,
    threads: int = 1,
) -> Iterator[RankedList]:
    """Yield lists ranked by the totals of their candidates; weights are in the unit of the format.

    A list without candidates, which only has lines that are passed through, has an empty order.
    """
    weights = weights or default_weights(model, format_name)
    for source, scored in model.score_lists(lists, threads):
        evidence = evidence_of(model, source.candidates, scored, format_name)
        totals = [weights.total(each) for each in evidence]
        yield RankedList(source, evidence, totals, ranking(totals), scored)


def evidence_of(
    model: Scores, candidates: Iterable[Candidate], scored: Iterable[ScoredLine], format_name: str
) -> list[Evidence]:
    """Return the features of candidates, in the unit of their format."""
    nats, ends = NATS_IN[FORMATS[format_name].unit], model.line_end is not None
    return [
        Evidence(
            candidate.incoming,
            candidate.old_language_model,
            line.logprob_nats / nats,
            len(line.tokens) - ends if candidate.words is None else candidate.words,
            line.oov,
        )
        for candidate, line in zip(candidates, scored, strict=True)
    ]


def default_weights(model: Scores, format_name: str, **given: Any) -> Weights:
    """Return weights in the unit of a format; those not given or None have the defaults of `rnnlm rescore`.

    The default oov_penalty is lm_weight times `unknown_word_penalty`, converted to the unit.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    lm_weight = chosen.get("lm_weight", 1.0)
    unknown = lm_weight * model.unknown_word_penalty / NATS_IN[FORMATS[format_name].unit]
    return Weights(**{"oov_penalty": unknown, **chosen})
