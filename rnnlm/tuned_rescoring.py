"""Tuning of rescoring weights on n-best lists with references, for the fewest errors."""

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
DIGITS = 5  # significant digits of a reported weight
NAMES = ("lm_weight", "old_lm_weight", "word_penalty", "oov_penalty")  # columns of the feature table
Mix = Sequence[tuple[str | PathLike[str], float | None]]


@dataclass
class Outcome:
    """Error rates of lists: of the first candidates, the best possible, and the chosen ones."""

    incoming: ErrorRates = field(default_factory=ErrorRates)
    oracle: ErrorRates = field(default_factory=ErrorRates)
    chosen: ErrorRates = field(default_factory=ErrorRates)

    def add(self, reference: Reference, errors: Sequence[ErrorCount], chosen: int) -> None:
        """Count a list: its first candidate, its oracle, and its chosen candidate.

        The oracle has the fewest word errors and the fewest character errors, perhaps of different candidates.
        """
        self.incoming.add(reference, errors[0])
        fewest = ErrorCount(min(each.words for each in errors), min(each.characters for each in errors))
        self.oracle.add(reference, fewest)
        self.chosen.add(reference, errors[chosen])


@dataclass(frozen=True)
class Tuned:
    """Tuned weights, and the error rates of the lists that they were tuned on.

    Attributes:
        weights: Weights in the unit of the format of the lists.
        mix: Files of the models to mix with, and their weights.
        unit: "nats" or "log10".
        measure: "words" or "characters": the errors that were minimized.
        before: Error rates with the initial weights.
        after: Error rates with the tuned weights.
        candidates: Number of candidates.
        lines: Number of lines in weight space that were searched.
        seconds_scoring, seconds_searching: Time of the models, and of the search.
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
        """Return the weights as keyword arguments of `LanguageModel.rescore`."""
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
    """Find the weights of rescoring that give the fewest errors on a development set.

    Every model scores the lists once. Weights that cannot change a choice keep their initial values: lm_weight if the
    lists have no other scores, oov_penalty if all words are known.

    Args:
        model: The language model.
        lists: N-best lists, as for `LanguageModel.rescore`.
        references: The correct texts: a path (see `references.read_references`), texts in the order of the lists, or a
            mapping from list ids to texts.
        format: Format of the lists.
        mix: Files of models to mix with, each with its initial weight; None for an equal share.
        measure: Count errors in "words" or "characters". None: characters for Chinese and Japanese, else words.
        threads: Number of threads that compute scores.
        seed: Random seed of the search.
        begin: Initial lm_weight, old_lm_weight, word_penalty and oov_penalty; by default those of `rescore`.

    Raises:
        RnnlmError: a file cannot be read, the references do not match the lists, or there is no list.
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
    """Lists of a development set, with the scores and errors of their candidates."""

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
        """Score lists with every model, and count the errors of all candidates."""
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
        """Search the weights; started: monotonic time at the start of scoring."""
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
        """Return the columns of features whose weights can change a choice; column 0 is the score of the model."""
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
    """Return whether a feature differs between candidates of the same list."""
    return any(np.ptp(column[start:end]) > 0 for start, end in itertools.pairwise(starts))


def _shares(given: Sequence[float | None]) -> list[float]:
    """Return mixture weights, the model's first; it and the weights that are None share the rest to 1 equally."""
    rest = 1 - sum(share or 0.0 for share in given)
    equal = rest / (1 + sum(share is None for share in given))
    shares = [equal if share is None else share for share in given]
    return [1 - sum(shares), *shares]


def _told(value: float) -> float:
    """Return a weight rounded as it is printed, so that the printed weights reproduce the error rates."""
    return float(f"{value:.{DIGITS}g}")


class Measured:
    """Accumulates the error rates of ranked lists."""

    def __init__(self, references: References) -> None:
        self.outcome, self._references = Outcome(), references

    def add(self, ranked: RankedList) -> tuple[Reference, list[ErrorCount]]:
        """Count a nonempty list; return its reference, and the errors of its candidates in input order."""
        reference = self._references.of(ranked.id)
        errors = [reference.errors(candidate.text) for candidate in ranked.source.candidates]
        self.outcome.add(reference, errors, ranked.order[0])
        return reference, errors

    def finish(self) -> str | None:
        """Check the references at the end of the lists; see `References.finish`."""
        return self._references.finish()
