"""Log likelihood of ids. Long texts are read in parallel columns: exact for sentences, approximate for streams."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rnnlm.inference.model import Array, MeasuringModel
from rnnlm.text.reading import Ids, inputs_before
from rnnlm.text.vocabulary import EOS

COLUMNS = 64
WINDOW = 64  # steps at a time
WARM_UP = 512  # number of tokens that a column of a stream reads before its own, to approximate its initial state
SMALLEST_COLUMN = 8 * WARM_UP  # so that the warm-up adds at most an eighth
Stop = Callable[[], bool]  # returns whether to stop a measurement


class _Columns:
    """Parts of a sequence to read side by side.

    For each column: first, the position where reading starts; own, where its own tokens start (those before are
    warm-up); end, where it ends.
    """

    def __init__(self, sequence: Ids, first: Array, own: Array, end: Array, context: str) -> None:
        self.sequence, self.first, self.own, self.end, self.context = sequence, first, own, end, context

    def windows(self) -> Iterator[tuple[Array, Array, Array | None, Array]]:
        """Yield inputs, targets, keep, and a mask of the targets that count; (T, B), keep (T, B, 1) or None."""
        for start in range(0, int((self.end - self.first).max()), WINDOW):
            longest = int((self.end - self.first).max()) - start
            steps = np.arange(start, start + min(WINDOW, longest), dtype=np.int64)
            positions = self.first + steps[:, None]
            counted = (positions >= self.own) & (positions < self.end)
            last = len(self.sequence) - 1
            targets = self.sequence.take(np.minimum(positions, last))
            inputs, keep = inputs_before(self.sequence, np.minimum(positions, last + 1), self.context)
            yield inputs, targets, keep, counted


def _lay_out(model: MeasuringModel, sequence: Ids, context: str) -> _Columns:
    """Cut a sequence into columns: at sentence ends if that is exact, else with a warm-up before each part."""
    N, reach = len(sequence), getattr(model, "reach", 0)  # number of tokens that a cache remembers across sentences
    if context == "sentence" and not reach:
        edges = _sentence_edges(sequence, min(COLUMNS, max(1, N // WINDOW)))
        return _Columns(sequence, edges[:-1], edges[:-1], edges[1:], context)
    warm_up = max(WARM_UP, 2 * reach)  # twice, as what a cache remembers depends on the state too
    columns = max(1, min(COLUMNS, N // max(SMALLEST_COLUMN, 16 * reach)))
    edges = np.arange(columns + 1, dtype=np.int64) * N // columns
    return _Columns(sequence, np.maximum(edges[:-1] - warm_up, 0), edges[:-1], edges[1:], context)


def _sentence_edges(sequence: Ids, columns: int) -> Array:
    """Return places that cut the sequence into roughly equal parts, each moved to the next start of a sentence."""
    N = len(sequence)
    edges = [0]
    for column in range(1, columns):
        place = max(N * column // columns, edges[-1])
        while place < N:
            positions = np.arange(place, min(place + WINDOW, N), dtype=np.int64)
            ends = np.flatnonzero(sequence.take(positions) == EOS)
            if len(ends):
                place += int(ends[0]) + 1
                break
            place += WINDOW
        edges.append(min(place, N))
    return np.unique(np.array([*edges, N], dtype=np.int64))


def _pieces(columns: _Columns, parts: int) -> list[_Columns]:
    """Divide the columns among at most `parts` workers."""
    splits = [np.array_split(a, min(parts, len(columns.first))) for a in (columns.first, columns.own, columns.end)]
    return [
        _Columns(columns.sequence, first, own, end, columns.context) for first, own, end in zip(*splits, strict=True)
    ]


def never() -> bool:
    """Return False: never stop."""
    return False


def _column_nats(model: MeasuringModel, columns: _Columns, stop: Stop = never) -> Iterator[tuple[Array, Array, Array]]:
    """Yield targets, nats, and a mask of those that count, window by window, until `stop` returns True."""
    state: Any = model.zero_state(len(columns.first))
    for inputs, targets, keep, counted in columns.windows():
        if stop():
            return
        nats, state = model.nats(inputs, targets, state, keep)
        yield targets, nats, counted


def token_nats(model: MeasuringModel, sequence: Ids, context: str, threads: int = 1) -> Array:
    """Negative log probability in nats of every token (N,), in the text's order; see `sequence_nats`."""

    def work(columns: _Columns) -> Array:
        windows = [(nats, counted) for _, nats, counted in _column_nats(model, columns)]
        nats, counted = (np.concatenate(parts).T for parts in zip(*windows, strict=True))
        return nats[counted]  # column by column, and so in the order of the text

    if len(sequence) == 0:
        return np.zeros(0)
    pieces = _pieces(_lay_out(model, sequence, context), threads)
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(work, pieces)))


def sequence_nats(
    model: MeasuringModel,
    sequence: Ids,
    context: str,
    threads: int = 1,
    worker: tuple[int, int] = (0, 1),
    stop: Stop = never,
) -> tuple[float, int]:
    """Return the negative log likelihood in nats and the number of tokens, including </s>.

    context: "sentence" resets the state before every sentence, which starts with <s>; "stream" carries it on. A stream
    of 8,192 tokens or more is read in up to 64 columns, each of which first reads the 512 tokens before its part.
    worker: number of this worker, and number of workers. Each reads a share of the columns; add up their results.
    stop: called before every window, by all threads; once it returns True, the result is incomplete.
    """
    totals = sequence_totals(model, sequence, context, (), threads, worker, stop)
    return totals[0][0], totals[0][1]


def sequence_totals(
    model: MeasuringModel,
    sequence: Ids,
    context: str,
    ids: tuple[int, ...],
    threads: int = 1,
    worker: tuple[int, int] = (0, 1),
    stop: Stop = never,
) -> list[tuple[float, int]]:
    """Return summed nats and number of tokens, first for all tokens, then for each of `ids` (such as <unk>) alone."""
    if len(sequence) == 0:
        return [(0.0, 0)] * (1 + len(ids))

    @np.errstate(over="ignore", invalid="ignore")  # if a network has diverged, the total shows it
    def work(columns: _Columns) -> Array:
        totals = np.zeros((1 + len(ids), 2))
        for targets, nats, counted in _column_nats(model, columns, stop):
            for row, wanted in enumerate([counted, *(counted & (targets == each) for each in ids)]):
                totals[row] += nats[wanted].sum(dtype=np.float64), wanted.sum()
        return totals

    number, workers = worker
    shares = _pieces(_lay_out(model, sequence, context), workers)
    pieces = [piece for share in shares[number : number + 1] for piece in _pieces(share, threads)]
    if len(pieces) == 1:
        total = work(pieces[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            total = sum(pool.map(work, pieces), start=np.zeros((1 + len(ids), 2)))
    return [(float(nats), int(tokens)) for nats, tokens in total]
