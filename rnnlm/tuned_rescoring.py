"""Weights of rescoring that choose the candidates with the fewest errors on lists whose references are known."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, cast

import numpy as np

from rnnlm.blas import one_blas_thread
from rnnlm.errors import CorpusError, RnnlmError, shown
from rnnlm.inference.error_rates import ErrorCount, ErrorRates, Reference
from rnnlm.inference.list_files import Lists, lists_of
from rnnlm.inference.list_formats import FORMATS, NbestList
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.inference.references import References, read_references
from rnnlm.inference.rescoring import Evidence, Weights
from rnnlm.inference.weight_search import Search, Table
from rnnlm.language_model import LanguageModel
from rnnlm.mixing import component
from rnnlm.ranked_lists import NATS_IN, RankedList, default_weights, evidence_of
from rnnlm.results import ScoredLine
from rnnlm.stored_model import CausalPredictor

MEASURES = ("words", "characters")
DIGITS = 5  # of a weight that is told
NAMES = ("lm_weight", "old_lm_weight", "word_penalty", "oov_penalty")  # the columns of features
Mix = Sequence[tuple[str | PathLike[str], float | None]]


@dataclass
class Outcome:
    """Error rates of lists: as they came, at best, and as they are chosen."""

    incoming: ErrorRates = field(default_factory=ErrorRates)
    oracle: ErrorRates = field(default_factory=ErrorRates)
    chosen: ErrorRates = field(default_factory=ErrorRates)

    def add(self, reference: Reference, errors: Sequence[ErrorCount], chosen: int) -> None:
        """Count a list: the candidate that came first, the one with the fewest errors, and the one that is chosen.

        The oracle's words and characters are each the fewest that a candidate has wrong.
        """
        self.incoming.add(reference, errors[0])
        fewest = ErrorCount(min(each.words for each in errors), min(each.characters for each in errors))
        self.oracle.add(reference, fewest)
        self.chosen.add(reference, errors[chosen])


@dataclass(frozen=True)
class Tuned:
    """Weights that were found, and what they are worth on the lists that they were found on.

    Attributes:
        weights: In the unit of the lists' format.
        mix: Files of the models beside the first, and their weights.
        unit: "nats" or "log10".
        measure: "words" or "characters": what was made fewer errors in.
        before: Error rates as the lists came, at best, and with the weights that the search began with.
        after: Likewise with the weights that were found.
        candidates: How many there were.
        lines: How many lines of weights were searched.
        seconds_scoring, seconds_searching: How long the models took, and the search.
    """

    weights: Weights
    mix: list[tuple[str, float]]
    unit: str
    measure: str
    before: Outcome
    after: Outcome
    candidates: int
    lines: int
    seconds_scoring: float
    seconds_searching: float

    def options(self) -> dict[str, float]:
        """The weights as keyword arguments of `LanguageModel.rescore`."""
        return {name: getattr(self.weights, name) for name in NAMES}


@one_blas_thread()
def tune_rescoring(
    model: LanguageModel,
    lists: Lists,
    references: str | PathLike[str] | Sequence[str] | Mapping[str, str] | References,
    *,
    format: str = "plain",
    mix: Mix = (),
    measure: str | None = None,
    threads: int = 1,
    seed: int = 1,
    begin: Mapping[str, float | None] | None = None,
) -> Tuned:
    """Find the weights of rescoring that make the fewest errors on a development set.

    Every model scores the lists once. Weights that cannot change a choice stay as they are: lm_weight where nothing
    comes in beside it, oov_penalty where all words are known.

    Args:
        model: The language model.
        lists: As `LanguageModel.rescore` takes them.
        references: What was said: a path (see `references.read_references`), texts in the order of the lists, or a
            mapping from their ids.
        format: Of the lists.
        mix: Files of models to mix with, and the weights to begin with; None for an equal share.
        measure: Count "words" or "characters"; None: words, characters of Chinese and Japanese.
        threads: To compute scores with.
        seed: Random seed of the search.
        begin: lm_weight, old_lm_weight, word_penalty and oov_penalty to begin with; else as `rescore` has them.

    Raises:
        RnnlmError: a file cannot be read, references and lists do not go together, or there is no list.
    """
    if measure not in (None, *MEASURES):
        raise RnnlmError(f"measure is {shown(measure)}; expected one of {', '.join(MEASURES)}.")
    known = _references(references, format)
    known.lowercase = model.tokenizer.lowercase
    measure = measure or ("characters" if known.counts_characters else "words")
    started = time.monotonic()
    others = [component(path, model) for path, _ in mix]
    weights = default_weights(model, format, **(begin or {}))
    tuning = _Development.read(model, others, lists_of(lists, format), format, known, threads)
    return tuning.search(weights, mix, measure, started, seed)


def _references(given: Any, format_name: str) -> References:
    if isinstance(given, str | PathLike):
        return read_references(fspath(given), format_name)
    return given if isinstance(given, References) else References(given)


@dataclass
class _Development:
    """The lists of a development set with everything that a search asks of them."""

    format_name: str
    evidence: list[list[Evidence]]
    references: list[Reference]
    errors: list[list[ErrorCount]]
    token_nats: Array
    owners: Array

    @classmethod
    def read(
        cls,
        model: LanguageModel,
        others: Sequence[SequenceModel],
        lists: Iterable[NbestList | None],
        format_name: str,
        known: References,
        threads: int,
    ) -> _Development:
        """Score lists by every model, and count the errors of all candidates."""
        read = [each for each in lists if each is not None and each.candidates]
        if not read:
            raise CorpusError("There are no lists; expected some, with their references, to tune weights on.")
        references = [known.of(each.list_id) for each in read]
        known.finish()
        errors = [
            [reference.errors(candidate.text) for candidate in each.candidates]
            for each, reference in zip(read, references, strict=True)
        ]
        scored = list(model.score_lists(read, threads))
        evidence = [evidence_of(model, each.candidates, lines, format_name) for each, lines in scored]
        lengths = [len(line.ids) for _, lines in scored for line in lines]
        nats = [_token_nats(lines for _, lines in scored)]
        for other in others:
            alone = model.with_predictor(cast(CausalPredictor, other))
            nats.append(_token_nats(lines for _, lines in alone.score_lists(read, threads)))
        owners = np.repeat(np.arange(len(lengths)), lengths)
        return cls(format_name, evidence, references, errors, np.stack(nats), owners)

    def search(self, begin: Weights, mix: Mix, measure: str, started: float, seed: int) -> Tuned:
        """Search the weights; started: when the work on the lists began."""
        searched = time.monotonic()
        table = self._table(MEASURES.index(measure))
        mixture = _shares([share for _, share in mix])
        search = Search(table, self._free(table), seed)
        found = search.run(np.array([getattr(begin, name) for name in NAMES]), mixture)
        weights = Weights(**{name: _told(value) for name, value in zip(NAMES, found.weights, strict=True)})
        parts = [_told(share) for share in found.mixture[1:]]
        return Tuned(
            weights,
            [(fspath(path), share) for (path, _), share in zip(mix, parts, strict=True)],
            FORMATS[self.format_name].unit,
            measure,
            self._outcome(table, begin, mixture),
            self._outcome(table, weights, [1 - sum(parts), *parts]),
            len(table.incoming),
            found.lines,
            searched - started,
            time.monotonic() - searched,
        )

    def _table(self, measure: int) -> Table:
        flat = [each for candidates in self.evidence for each in candidates]
        columns = [[0.0, each.old_language_model, each.words, each.oov] for each in flat]
        return Table(
            np.cumsum([0, *map(len, self.evidence)]),
            np.array([each.incoming for each in flat]),
            np.array(columns),
            np.array([each[measure] for candidates in self.errors for each in candidates]),
            self.token_nats,
            self.owners,
            NATS_IN[FORMATS[self.format_name].unit],
        )

    def _free(self, table: Table) -> list[int]:
        """Columns of features whose weights can change a choice; the score of the model is one of several or alone."""
        varies = [_varies(column, table.starts) for column in table.features.T]
        beside = _varies(table.incoming, table.starts)
        return [place for place, does in enumerate(varies) if (beside if place == 0 else does)]

    def _outcome(self, table: Table, weights: Weights, mixture: Sequence[float]) -> Outcome:
        lists = table.with_mixture(mixture)
        chosen = lists.chosen(np.array([getattr(weights, name) for name in NAMES])) - table.starts[:-1]
        outcome = Outcome()
        for reference, errors, place in zip(self.references, self.errors, chosen, strict=True):
            outcome.add(reference, errors, int(place))
        return outcome


def _token_nats(scored: Iterable[list[ScoredLine]]) -> Array:
    return -np.concatenate([line.log_probabilities for lines in scored for line in lines])


def _varies(column: Array, starts: Array) -> bool:
    """Whether a column differs within a list."""
    return any(np.ptp(column[start:end]) > 0 for start, end in itertools.pairwise(starts))


def _shares(given: Sequence[float | None]) -> list[float]:
    """Weights of a mixture, the model's own first; those that are not given share the rest equally with the model's."""
    rest = 1 - sum(share or 0.0 for share in given)
    equal = rest / (1 + sum(share is None for share in given))
    shares = [equal if share is None else share for share in given]
    return [1 - sum(shares), *shares]


def _told(value: float) -> float:
    """A weight as it is printed, so that what is measured is what can be typed."""
    return float(f"{value:.{DIGITS}g}")


class Measured:
    """Adds up the error rates of ranked lists as they come."""

    def __init__(self, references: References) -> None:
        self.outcome, self._references = Outcome(), references

    def add(self, ranked: RankedList) -> tuple[Reference, list[ErrorCount]]:
        """Count a list that has candidates; its reference, and the errors of the candidates as they came."""
        reference = self._references.of(ranked.id)
        errors = [reference.errors(candidate.text) for candidate in ranked.source.candidates]
        self.outcome.add(reference, errors, ranked.order[0])
        return reference, errors

    def finish(self) -> str | None:
        """See `References.finish`."""
        return self._references.finish()
