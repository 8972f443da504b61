"""Log probabilities of the tokens of many independent lines, each read from a zero state after an id such as <s>.

The lines form a prefix tree: common prefixes are computed once. A line gets its own column in the batch from the place
where it differs from the line before it (in sorted order). The column starts with a copy of the state of the column
that it branches off. So all columns are at the same depth, and one step of the model serves them all:

    a b c </s>      a b c </s>
    a b d </s>   =      d </s>      from the first line's state after "a b"
    a e </s>          e </s>        from the first line's state after "a"
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnlm.inference.model import Array, SequenceModel
from rnnlm.text.vocabulary import BOS, UNK

COLUMNS = 1024  # most lines to read side by side
WINDOW = 32  # most steps at a time, if no line branches off
PARTS = 4  # number of equal parts, or a multiple of it, of lines that do not fit in one: for two or four threads
WINDOW_OF_A_ROW = 1 << 14  # steps at a time if lines are read one after the other
POSITIONS = 2048  # most steps x columns at a time, so that the output of a layer stays in the cache
LOGITS = 1 << 22  # most logits at a time if ranks are computed: 16 MB of float32
COMPARED = 64  # first ids of lines, which are compared for all lines at once
LARGE = 1e6  # stands for -ln 0, as 0 * inf would be nan
REMEMBERED = 1 << 20  # least number of tokens of recent lines whose scores are remembered


class LineScore(NamedTuple):
    """Scores of the tokens of a line: ln p of each (n,), and optionally its rank among all V (1: the most probable).

    entropies: optionally, the entropy in nats of the distribution that predicted each token.
    """

    log_probabilities: Array  # float64
    ranks: Array | None  # int64
    entropies: Array | None = None  # float64

    def after(self, place: int) -> "LineScore":
        """Return the scores of the tokens from a place on."""
        return LineScore(*(None if each is None else each[place:] for each in self))  # type: ignore[arg-type]


@dataclass
class Totals:
    """Sums over lines, and perplexities as SRILM defines them.

    tokens: number of predicted tokens. ends: number of those that end a line. SRILM calls the ends sentences, S, and
    the other tokens words, W. With the log probability L and the number O of unknown words, it prints

        ppl = exp(-L / (W - O + S))        ppl1 = exp(-L / (W - O))

    where L excludes unknown words. If unknown words are included, O is 0, and L includes them with the probability of
    <unk>. blank: number of blank lines, which are excluded from all sums.
    """

    lines: int = 0
    blank: int = 0
    tokens: int = 0
    ends: int = 0
    oov: int = 0
    characters: int = 0
    logprob_nats: float = 0.0
    oov_logprob_nats: float = 0.0

    def add(self, ids: Array, log_probabilities: Array, ends: bool, characters: int) -> None:
        """Add a line; `ends` is whether its last token is its end."""
        unknown = ids == UNK
        oov = int(np.count_nonzero(unknown))
        self.lines += 1
        self.tokens += len(ids)
        self.ends += ends
        self.oov += oov
        self.characters += characters
        self.logprob_nats += float(log_probabilities.sum())
        if oov:  # saves time, as most lines have none
            self.oov_logprob_nats += float(log_probabilities[unknown].sum())

    @property
    def words(self) -> int:
        """Number of tokens that do not end a line."""
        return self.tokens - self.ends

    def logprob(self, with_oov: bool) -> float:
        """Log probability in nats, with or without that of unknown words."""
        return self.logprob_nats if with_oov else self.logprob_nats - self.oov_logprob_nats

    def perplexity(self, with_oov: bool) -> float:
        """Perplexity per token, including line ends: SRILM's ppl. Nan if there are no tokens."""
        return _perplexity(self.logprob(with_oov), self.tokens - (0 if with_oov else self.oov))

    def perplexity_per_word(self, with_oov: bool) -> float:
        """Perplexity per word: SRILM's ppl1, which includes line ends in log p only. Nan if there are no words."""
        return _perplexity(self.logprob(with_oov), self.words - (0 if with_oov else self.oov))

    @property
    def bits_per_char(self) -> float:
        """-log2 p divided by the number of characters; nan if there are none."""
        return -self.logprob_nats / math.log(2) / self.characters if self.characters else math.nan


def _perplexity(nats: float, tokens: int) -> float:
    if tokens <= 0:
        return math.nan
    return math.exp(-nats / tokens) if -nats / tokens < 700 else math.inf


class LineScorer:
    """Score blocks of lines, with the same score for a line that is repeated in a later block.

    In another block, matrix products would round differently, and the score of the same line would differ in the
    seventh digit. So scores are remembered until at least 2^20 tokens of other lines have followed. Scores of an n-gram
    model do not depend on the block and are not remembered.
    """

    def __init__(
        self, model: SequenceModel, ranks: bool = False, start: int = BOS, threads: int = 1, entropies: bool = False
    ) -> None:
        """Create a scorer for a model.

        ranks: whether to compute ranks. start: the id that is read before every line. threads: number of threads.
        entropies: whether to compute ranks and entropies.
        """
        self._model, self._ranks, self._start, self._threads = model, ranks, start, threads
        self._entropies = entropies
        self._recent: dict[bytes, LineScore] = {}
        self._older: dict[bytes, LineScore] = {}
        self._tokens = 0  # number of tokens in `_recent`

    def __call__(self, lines: Sequence[Array]) -> list[LineScore]:
        """Score a block of lines of ids (n,), including the id of the line end, if any."""
        if _is_read_in_a_row(self._model, self._ranks or self._entropies):
            return score_lines(self._model, lines, start=self._start, threads=self._threads)
        keys = [line.tobytes() for line in lines]
        found = {key: self._older[key] for key in keys if key in self._older}
        found |= {key: self._recent[key] for key in keys if key in self._recent}
        new = {key: line for key, line in zip(keys, lines, strict=True) if key not in found}
        lines_of_ids = list(new.values())
        scored = score_lines(self._model, lines_of_ids, self._ranks, self._start, self._threads, self._entropies)
        found |= zip(new, scored, strict=True)
        self._recent |= found
        self._tokens += sum(map(len, new.values()))
        if self._tokens > REMEMBERED:
            self._recent, self._older, self._tokens = {}, self._recent, 0
        return [found[key] for key in keys]


def score_lines(
    model: SequenceModel,
    lines: Sequence[Array],
    ranks: bool = False,
    start: int = BOS,
    threads: int = 1,
    entropies: bool = False,
) -> list[LineScore]:
    """Score lines of ids (n,), including the id of the line end, if any. Equal lines have the same score.

    `start` is read before each line and is not scored. Memory is proportional to the number of ids, not to V times that
    number, as the constants of this module bound the batches. Batches, and so scores, do not depend on the number of
    threads. If `entropies`, ranks are computed too.
    """
    ranks = ranks or entropies
    if _is_read_in_a_row(model, ranks):
        rows = [lines[len(lines) * part // threads : len(lines) * (part + 1) // threads] for part in range(threads)]
        return list(_shared_out(functools.partial(_scores_in_a_row, model, start), rows, threads))
    keys = [np.asarray(line, dtype=">i4").tobytes() for line in lines]
    distinct = sorted(set(keys))  # the bytes of big-endian integers sort like the integers
    positions = max(1, min(POSITIONS, LOGITS // model.vocabulary_size)) if ranks else POSITIONS
    columns = min(COLUMNS, positions)
    number = -(-len(distinct) // (PARTS * columns)) * PARTS if len(distinct) > columns else 1
    edges = [len(distinct) * part // number for part in range(number + 1)]
    parts = [distinct[first:last] for first, last in itertools.pairwise(edges)]

    def scored(part: list[bytes]) -> list[LineScore]:
        tree = _PrefixTree([np.frombuffer(key, dtype=">i4").astype(np.int32) for key in part], start)
        return tree.score(model, positions, ranks, entropies)

    scores = dict(zip(distinct, _shared_out(scored, parts, threads), strict=True))
    return [scores[key] for key in keys]


def _shared_out(work: Callable[[Any], list[LineScore]], parts: Sequence[Any], threads: int) -> Iterator[LineScore]:
    """Score several parts, distributed over threads; yields scores in the order of the parts."""
    with ThreadPoolExecutor(threads) if min(threads, len(parts)) > 1 else nullcontext() as pool:
        yield from itertools.chain.from_iterable((pool.map if pool else map)(work, parts))


def _is_read_in_a_row(model: SequenceModel, ranks: bool) -> bool:
    return not ranks and getattr(model, "reads_at_once", False)


def _scores_in_a_row(model: SequenceModel, start: int, lines: Sequence[Array]) -> list[LineScore]:
    """Score lines by reading them as one column, which is reset at the start of each line.

    This is faster than a prefix tree for a model that computes all steps of a column at once.
    """
    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    ids = np.concatenate([np.zeros(0, np.int32), *lines])
    inputs, keep = np.append(start, ids[:-1])[: len(ids)], np.ones(len(ids), dtype=np.float32)
    starts = np.append(0, ends)[:-1][np.diff(ends, prepend=0) > 0]  # of lines that are not empty
    inputs[starts], keep[starts] = start, 0
    log_probabilities, state = np.empty(len(ids)), model.zero_state(1)
    for place in range(0, len(ids), WINDOW_OF_A_ROW):
        now = slice(place, place + WINDOW_OF_A_ROW)
        nats, state = model.nats(inputs[now, None], ids[now, None], state, keep[now, None, None])
        log_probabilities[now] = -nats[:, 0]
    return [LineScore(each, None) for each in np.split(log_probabilities, ends[:-1])] if lines else []


class _PrefixTree:
    """Distinct lines in sorted order, with their common prefixes.

    ids: the ids of all lines, concatenated; line i is ids[starts[i] : starts[i] + lengths[i]]. shared[i]: length of the
    common prefix of lines i - 1 and i. parents[i]: the line in whose column the last id of this prefix is read, -1 if
    there is none. start: the id that is read before each line.
    """

    def __init__(self, lines: list[Array], start: int) -> None:
        self.start = start
        self.ids = np.concatenate([*lines, np.zeros(1, dtype=np.int32)])  # never empty, for the gathers below
        self.lengths = np.array([len(line) for line in lines], dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.shared = self._shared()
        self.parents = np.full(len(lines), -1)
        open_columns: list[int] = []  # a stack: each column branches off the one below it, at increasing depth
        for line, shared in enumerate(self.shared):
            while open_columns and self.shared[open_columns[-1]] >= shared:
                open_columns.pop()
            self.parents[line] = open_columns[-1] if open_columns else -1
            open_columns.append(line)

    def _shared(self) -> Array:
        """Return the length of the common prefix of each line and the line before it."""
        shared, limits = np.zeros((2, len(self.lengths)), dtype=np.int64)
        limits[1:] = np.minimum(self.lengths[1:], self.lengths[:-1])
        alike = np.flatnonzero(limits)
        for depth in range(COMPARED):  # all lines at once, as most differ early
            alike = alike[self.ids[self.starts[alike] + depth] == self.ids[self.starts[alike - 1] + depth]]
            shared[alike] += 1
            alike = alike[limits[alike] > depth + 1]
        for line in alike:
            own, before = (self.ids[start:][: limits[line]] for start in (self.starts[line], self.starts[line - 1]))
            different = np.flatnonzero(own != before)
            shared[line] = different[0] if len(different) else limits[line]
        return shared

    def score(self, model: SequenceModel, positions: int, ranks: bool, entropies: bool) -> list[LineScore]:
        """Score the lines; `positions` is the largest number of steps x columns in a call of the model."""
        N = len(self.ids)
        scores = Scores(np.zeros(N), np.zeros(N, np.int64) if ranks else None, np.zeros(N) if entropies else None)
        forks = np.unique(self.shared)
        depth = 0
        columns = np.flatnonzero((self.shared == 0) & (self.lengths > 0))
        state = model.zero_state(max(1, len(columns)))
        while len(columns):
            next_fork = forks[np.searchsorted(forks, depth, side="right") :][:1]
            ends = [depth + WINDOW, depth + max(1, positions // len(columns)), self.lengths[columns].max(), *next_fork]
            end = min(ends)
            here, counted, inputs = self._window(columns, depth, end)
            found, state = read_window(model, inputs, self.ids[here], state, ranks, entropies=entropies)
            for all_of_them, some in zip(scores, found, strict=True):
                if all_of_them is not None and some is not None:
                    all_of_them[here[counted]] = some[counted]
            columns, kept = self._next_columns(columns, end)
            state = np.take(state, kept, axis=-2)
            depth = end
        return self._collect(scores)

    def _window(self, columns: Array, depth: int, end: int) -> tuple[Array, Array, Array]:
        """Return, for steps depth to end, targets as indices into `ids`, whether they count, and inputs; (T, B) each.

        A column whose line has ended repeats its last token, which does not count.
        """
        steps = np.arange(depth, end)[:, None]
        here = self.starts[columns] + np.minimum(steps, self.lengths[columns] - 1)
        return here, steps < self.lengths[columns], np.where(steps == 0, self.start, self.ids[here - 1])

    def _next_columns(self, columns: Array, depth: int) -> tuple[Array, Array]:
        """Return the lines that have a column from `depth` on, and the column from which each takes its state."""
        column_of = np.zeros(len(self.lengths), dtype=np.int64)
        column_of[columns] = np.arange(len(columns))
        staying = columns[self.lengths[columns] > depth]
        new = np.flatnonzero((self.shared == depth) & (self.lengths > depth))
        return np.concatenate([staying, new]), np.concatenate([column_of[staying], column_of[self.parents[new]]])

    def _collect(self, scores: "Scores") -> list[LineScore]:
        """Split scores by line; those of a common prefix are copied from the line before."""
        asked = [each for each in scores if each is not None]
        log_probabilities, ranks, entropies = np.negative(scores.nats, out=scores.nats), scores.ranks, scores.entropies
        found: list[LineScore] = []
        for line, (start, length, shared) in enumerate(zip(self.starts, self.lengths, self.shared, strict=True)):
            if shared:
                before = self.starts[line - 1]
                for each in asked:
                    each[start : start + shared] = each[before : before + shared]
            own = slice(start, start + length)
            found.append(
                LineScore(
                    log_probabilities[own],
                    None if ranks is None else ranks[own],
                    None if entropies is None else entropies[own],
                )
            )
        return found


class Scores(NamedTuple):
    """Scores of targets, in arrays of the same shape: nats, and ranks and entropies if they were requested."""

    nats: Array
    ranks: Array | None
    entropies: Array | None


def read_window(
    model: SequenceModel,
    inputs: Array,
    targets: Array,
    state: Array,
    ranks: bool,
    keep: Array | None = None,
    entropies: bool = False,
) -> tuple[Scores, Array]:
    """Return the scores of targets (T, B), and the state after the last input."""
    if not (ranks or entropies):
        nats, state = model.nats(inputs, targets, state, keep)
        return Scores(nats, None, None), state
    log_probabilities, state = model.log_probabilities(inputs, state, keep)
    true = np.take_along_axis(log_probabilities, targets[:, :, None].astype(np.int64), axis=2)
    places = 1 + (log_probabilities > true).sum(axis=2)
    return Scores(-true[:, :, 0], places, entropies_of(log_probabilities) if entropies else None), state


def entropies_of(log_probabilities: Array) -> Array:
    """Entropy in nats (...) of distributions (..., V): -sum p ln p, with 0 ln 0 = 0."""
    probabilities = np.exp(log_probabilities)
    probabilities *= np.maximum(log_probabilities, -LARGE)
    return -probabilities.sum(axis=-1, dtype=np.float64)
