"""Log probabilities of the tokens of many independent lines, each read from a zero state after an id such as <s>.

The lines form a prefix tree: what several of them begin with is computed once. A line has a column of its own in the
batch from the place where it leaves the line before it (in sorted order); there it takes over a copy of the state of
the column that it leaves. So all columns are at the same depth, and one step of the model serves them all:

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

COLUMNS = 1024  # lines read side by side at most
WINDOW = 32  # steps at a time where no line leaves another one
PARTS = 4  # of more lines than one part has, a multiple of so many, all as large: for two threads, or four
WINDOW_OF_A_ROW = 1 << 14  # steps at a time where lines are read one after the other
POSITIONS = 2048  # steps x columns at a time: what a layer makes of them stays in the cache
LOGITS = 1 << 22  # numbers at a time where ranks are asked for: 16 MB of float32
COMPARED = 64  # ids of lines that are compared one place after the other
LARGE = 1e6  # nats: exp of less is 0, which times this is 0, as it is not times infinity
REMEMBERED = 1 << 20  # tokens at least, of lines whose scores are kept for when the same line comes again


class LineScore(NamedTuple):
    """The tokens of a line: ln p of each (n,), and if that was asked, its rank among all V (1: the most probable).

    entropies: of the distribution that each was predicted from, in nats, if that was asked.
    """

    log_probabilities: Array  # float64
    ranks: Array | None  # int64
    entropies: Array | None = None  # float64

    def after(self, place: int) -> "LineScore":
        """The same of the tokens from a place on."""
        return LineScore(*(None if each is None else each[place:] for each in self))  # type: ignore[arg-type]


@dataclass
class Totals:
    """Sums over lines, and the perplexities that SRILM defines on them.

    tokens: all that were predicted; ends: those of them that end a line. SRILM calls the others words, W, and the ends
    sentences, S; with logprob L and the unknown words O it prints

        ppl = exp(-L / (W - O + S))        ppl1 = exp(-L / (W - O))

    where L leaves out the unknown words. With unknown words, O is 0 and L has them at the probability of <unk>. blank:
    lines that are in no sum.
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
        """Add a line; `ends` says whether its last token is its end."""
        unknown = ids == UNK
        oov = int(np.count_nonzero(unknown))
        self.lines += 1
        self.tokens += len(ids)
        self.ends += ends
        self.oov += oov
        self.characters += characters
        self.logprob_nats += float(log_probabilities.sum())
        if oov:  # most lines have none
            self.oov_logprob_nats += float(log_probabilities[unknown].sum())

    @property
    def words(self) -> int:
        """Tokens that do not end a line."""
        return self.tokens - self.ends

    def logprob(self, with_oov: bool) -> float:
        """Log probability in nats, with or without the unknown words."""
        return self.logprob_nats if with_oov else self.logprob_nats - self.oov_logprob_nats

    def perplexity(self, with_oov: bool) -> float:
        """Per token, ends of lines counted: SRILM's ppl. Nan where there are none."""
        return _perplexity(self.logprob(with_oov), self.tokens - (0 if with_oov else self.oov))

    def perplexity_per_word(self, with_oov: bool) -> float:
        """The same sum, ends of lines in it, over the words alone: SRILM's ppl1. Nan where there are none."""
        return _perplexity(self.logprob(with_oov), self.words - (0 if with_oov else self.oov))

    @property
    def bits_per_char(self) -> float:
        """-log2 p divided by the characters; nan where there are none."""
        return -self.logprob_nats / math.log(2) / self.characters if self.characters else math.nan


def _perplexity(nats: float, tokens: int) -> float:
    if tokens <= 0:
        return math.nan
    return math.exp(-nats / tokens) if -nats / tokens < 700 else math.inf


class LineScorer:
    """Scores lines in blocks and gives a line that comes again the score that it had.

    In another block the same line would have other neighbours in the matrices, and sums that are rounded in another
    order: its score would differ in the seventh digit. So scores are kept until at least 2^20 tokens of other lines
    have followed. An n-gram model adds up each line for itself, and is asked again.
    """

    def __init__(
        self, model: SequenceModel, ranks: bool = False, start: int = BOS, threads: int = 1, entropies: bool = False
    ) -> None:
        """Score with a model.

        ranks: whether ranks are wanted. start: the id that is read before every line. threads: how many compute.
        entropies: whether ranks and entropies are wanted.
        """
        self._model, self._ranks, self._start, self._threads = model, ranks, start, threads
        self._entropies = entropies
        self._recent: dict[bytes, LineScore] = {}
        self._older: dict[bytes, LineScore] = {}
        self._tokens = 0  # of the recent ones

    def __call__(self, lines: Sequence[Array]) -> list[LineScore]:
        """Scores of a block of lines of ids (n,), in which what ends a line is an id like any other."""
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
    """Score lines of ids (n,), in which what ends a line is an id like any other. Equal lines have the same score.

    `start` is read before each line and is not scored. Memory grows with the ids given, not with V times their number:
    what the model needs is bounded by the constants. The parts that the threads take do not depend on their number, so
    no score does. Entropies come with ranks.
    """
    ranks = ranks or entropies
    if _is_read_in_a_row(model, ranks):
        rows = [lines[len(lines) * part // threads : len(lines) * (part + 1) // threads] for part in range(threads)]
        return list(_shared_out(functools.partial(_scores_in_a_row, model, start), rows, threads))
    keys = [np.asarray(line, dtype=">i4").tobytes() for line in lines]
    distinct = sorted(set(keys))  # bytes of big-endian numbers sort as the numbers do
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
    """Scores of several parts in their order; several threads take the parts."""
    with ThreadPoolExecutor(threads) if min(threads, len(parts)) > 1 else nullcontext() as pool:
        yield from itertools.chain.from_iterable((pool.map if pool else map)(work, parts))


def _is_read_in_a_row(model: SequenceModel, ranks: bool) -> bool:
    return not ranks and getattr(model, "reads_at_once", False)


def _scores_in_a_row(model: SequenceModel, start: int, lines: Sequence[Array]) -> list[LineScore]:
    """Scores of lines that are read as one column, which starts anew with each of them.

    A model to which all steps of a column are as one is faster so than in a tree of columns.
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
    """Distinct lines in sorted order.

    ids: all of them in a row; line i is ids[starts[i] : starts[i] + lengths[i]]. shared[i]: how many of its first ids
    are those of line i - 1. parents[i]: the line in whose column the last of them is read, -1 for none. start: the id
    that each of them is read after.
    """

    def __init__(self, lines: list[Array], start: int) -> None:
        self.start = start
        self.ids = np.concatenate([*lines, np.zeros(1, dtype=np.int32)])  # never empty, for the gathers below
        self.lengths = np.array([len(line) for line in lines], dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.shared = self._shared()
        self.parents = np.full(len(lines), -1)
        open_columns: list[int] = []  # each leaves the one before it, deeper and deeper
        for line, shared in enumerate(self.shared):
            while open_columns and self.shared[open_columns[-1]] >= shared:
                open_columns.pop()
            self.parents[line] = open_columns[-1] if open_columns else -1
            open_columns.append(line)

    def _shared(self) -> Array:
        """How many ids each line has in common with the one before it at its beginning."""
        shared, limits = np.zeros((2, len(self.lengths)), dtype=np.int64)
        limits[1:] = np.minimum(self.lengths[1:], self.lengths[:-1])
        alike = np.flatnonzero(limits)
        for depth in range(COMPARED):  # all lines at once, for most soon differ
            alike = alike[self.ids[self.starts[alike] + depth] == self.ids[self.starts[alike - 1] + depth]]
            shared[alike] += 1
            alike = alike[limits[alike] > depth + 1]
        for line in alike:
            own, before = (self.ids[start:][: limits[line]] for start in (self.starts[line], self.starts[line - 1]))
            different = np.flatnonzero(own != before)
            shared[line] = different[0] if len(different) else limits[line]
        return shared

    def score(self, model: SequenceModel, positions: int, ranks: bool, entropies: bool) -> list[LineScore]:
        """Scores of the lines; `positions` is how many steps x columns the model may be given at a time."""
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
        """For steps depth to end, (T, B) each: place of the target in ids, whether it counts, and the input.

        A column that is over repeats its last token; nothing comes after it that this could change.
        """
        steps = np.arange(depth, end)[:, None]
        here = self.starts[columns] + np.minimum(steps, self.lengths[columns] - 1)
        return here, steps < self.lengths[columns], np.where(steps == 0, self.start, self.ids[here - 1])

    def _next_columns(self, columns: Array, depth: int) -> tuple[Array, Array]:
        """The lines that have a column from `depth` on, and the present column whose state each begins with."""
        column_of = np.zeros(len(self.lengths), dtype=np.int64)
        column_of[columns] = np.arange(len(columns))
        staying = columns[self.lengths[columns] > depth]
        new = np.flatnonzero((self.shared == depth) & (self.lengths > depth))
        return np.concatenate([staying, new]), np.concatenate([column_of[staying], column_of[self.parents[new]]])

    def _collect(self, scores: "Scores") -> list[LineScore]:
        """The part of each line; what it shares with the one before it is copied from there."""
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
    """Of any number of targets, an array of the same shape each: nats, and if they were asked for, the others."""

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
    """Scores of targets (T, B), and the state after the last input."""
    if not (ranks or entropies):
        nats, state = model.nats(inputs, targets, state, keep)
        return Scores(nats, None, None), state
    log_probabilities, state = model.log_probabilities(inputs, state, keep)
    true = np.take_along_axis(log_probabilities, targets[:, :, None].astype(np.int64), axis=2)
    places = 1 + (log_probabilities > true).sum(axis=2)
    return Scores(-true[:, :, 0], places, entropies_of(log_probabilities) if entropies else None), state


def entropies_of(log_probabilities: Array) -> Array:
    """Entropy in nats (...) of distributions (..., V): -sum p ln p, where p ln p is 0 for a p of 0."""
    probabilities = np.exp(log_probabilities)
    probabilities *= np.maximum(log_probabilities, -LARGE)
    return -probabilities.sum(axis=-1, dtype=np.float64)
