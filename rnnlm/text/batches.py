"""Cut ids into training batches: a pure function of (seed, epoch, number), so that a run can resume at any batch.

A batch has T steps and B columns. Column b reads its own stretch of the text from left to right, batch after batch, so
that the state at the end of a batch is the state at the start of the next.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.text.reading import Ids, restart
from rnnlm.text.vocabulary import BOS, EOS, UNK

Array = NDArray[np.int32]
LARGE = 1 << 24  # tokens; with 5 to 20 tokens in a sentence, the starts of the sentences take some 100 MB
RUNS = 1 << 16  # approximate number of runs of sentences that are shuffled in a larger text
LONGEST_SENTENCE, LENGTHS = 256, 8  # longest sentence that a two-sided network learns whole: in tokens, in columns
_LOOK = 64  # tokens that are searched at once for the end of a sentence
_PLACES = 64  # places of a text that are read at once: each maps memory, see `IdSequence`
ORDER, RARE, SHIFT, RESET = 1, 2, 5, 6  # streams of randomness, one for each purpose; the engines use 3 and 4


NOT_PREDICTED = -1  # a target that is left out of the loss


class Batch(NamedTuple):
    """Inputs and targets (T, B), shifted by one; keep (T, B, 1) is 0 where the state is reset, None if nowhere.

    For a bidirectional network, inputs are whole sentences; targets are the same ids, but NOT_PREDICTED for <s>, </s>
    and padding; and keep is (T, B, 2), for the forward and the backward direction.
    """

    inputs: Array
    targets: Array
    keep: NDArray[np.float32] | None
    starts_epoch: bool  # whether the state carried from the previous batch is replaced by zero
    share: tuple[int, int] | None = (
        None  # of one worker: its first column in the whole batch, and the number of all columns; None: a whole batch
    )

    @property
    def tokens(self) -> int:
        """Number of targets that are predicted."""
        return int((self.targets != NOT_PREDICTED).sum())


class BatchSource(Protocol):
    """Batches of a sequence as a function of epoch and number; `per_epoch` batches in every epoch."""

    sequence: Ids
    per_epoch: int

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0, below `per_epoch`) of an epoch (from 0)."""


def _own(columns: int, worker: tuple[int, int]) -> slice:
    """Return the columns of one worker (number, workers), divided as evenly as possible."""
    number, workers = worker
    return slice(columns * number // workers, columns * (number + 1) // workers)


class Batches:
    """Batches of a text read as one stream, or sentence by sentence in a new order every epoch.

    context: "stream" carries the state through the whole column. With "sentence", each sentence, which ends with </s>,
    starts at <s> with a zero state; the sentences are shuffled and concatenated. In a text of more than LARGE tokens,
    runs of consecutive sentences are shuffled instead, so that memory does not grow with the text.
    rare: (V,) bool, ids that are replaced by <unk> at `rare_rate`, so that words seen once teach the model what an
    unknown word looks like (after Dyer et al. 2015) even if the text has no unknown words.
    worker: (number, workers); only the columns of this worker are read.
    shift: Start every epoch of a stream at another position of the text, which is read as a ring, so that columns and
    batches have other edges in every epoch.
    line_resets: Share of the lines of a stream that start at <s> with a zero state, so that the network also learns to
    read a line that stands alone. They are drawn anew for every epoch.
    """

    def __init__(
        self,
        sequence: Ids,
        batch_size: int,
        bptt: int,
        context: str,
        seed: int,
        rare: NDArray[np.bool_] | None = None,
        rare_rate: float = 0.1,
        worker: tuple[int, int] = (0, 1),
        shift: bool = False,
        line_resets: float = 0.0,
    ) -> None:
        """Lay out the columns.

        Raises:
            CorpusError: The text has fewer than two tokens for each column.
        """
        tokens = len(sequence)
        if tokens < 2 * batch_size:
            raise CorpusError(
                f"The training text has {tokens:,} tokens; --batch-size {batch_size} needs at least "
                f"{2 * batch_size:,}. Use a longer text or a smaller --batch-size."
            )
        self.sequence, self.context, self.seed = sequence, context, seed
        self.rare, self.rare_rate, self.shift = rare, rare_rate, shift
        self.line_resets = line_resets if context == "stream" else 0.0
        self.column_length = tokens // batch_size
        self.bptt = min(bptt, self.column_length)
        own = _own(batch_size, worker)
        self.columns = np.arange(own.start, own.stop, dtype=np.int64) * self.column_length
        self.share = (own.start, batch_size)
        self.per_epoch = -(-self.column_length // self.bptt)
        self._sentence_starts = None
        if context == "sentence":
            self._sentence_starts = _sentence_starts(sequence) if tokens <= LARGE else _run_starts(sequence)
        self._shuffled: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0, below `per_epoch`) of an epoch (from 0)."""
        start = number * self.bptt
        stop = min(start + self.bptt, self.column_length)
        # One position more than T at the front: the token before the first target is the first input.
        positions = np.arange(start - 1, stop, dtype=np.int64)[:, None] + self.columns
        if self.shift:
            positions = (positions + self._begin(epoch)) % len(self.sequence)
        first = positions[0] < 0
        positions[0, first] = 0
        if self._sentence_starts is not None:
            positions = self._in_sentence_order(positions, epoch)
        place = (self.seed, epoch, number)
        ids = _with_unknown(self.sequence.take(positions), self.rare, self.rare_rate, place, self.share)
        inputs, targets = ids[:-1].copy(), ids[1:]
        inputs[0, first] = BOS
        if self.context == "stream" and number == 0:
            inputs[0] = BOS  # at the start of a column there is no context, and the state is zero
        keep = self._reset_lines(inputs, place) if self.line_resets else restart(inputs, self.context)
        return Batch(inputs, targets, keep, number == 0, self.share)

    def _reset_lines(self, inputs: Array, place: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Restart a share of the lines, in place, and return keep as `restart` does."""
        chance = _chances((place[0], RESET, *place[1:]), inputs, self.share)
        return restart(inputs, "sentence", chance < self.line_resets)

    def _begin(self, epoch: int) -> int:
        """Return the position of the text at which an epoch begins."""
        return int(np.random.default_rng([self.seed, SHIFT, epoch]).integers(len(self.sequence)))

    def _in_sentence_order(self, positions: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Translate positions in this epoch's order of sentences into positions in the text."""
        assert self._sentence_starts is not None
        if self._shuffled is None or self._shuffled[0] != epoch:
            starts, rng = self._sentence_starts, np.random.default_rng([self.seed, ORDER, epoch])
            order = rng.permutation(len(starts) - 1)
            lengths = np.diff(starts)[order]
            self._shuffled = (epoch, starts[:-1][order], np.concatenate([[0], np.cumsum(lengths)]))
        _, sources, places = self._shuffled
        sentence = np.searchsorted(places, positions, side="right") - 1
        return sources[sentence] + positions - places[sentence]


def _with_unknown(
    ids: Array, rare: NDArray[np.bool_] | None, rate: float, place: tuple[int, ...], share: tuple[int, int]
) -> Array:
    """Replace rare ids by <unk> at a rate; the choice is a function of `place`, which is (seed, epoch, batch).

    share: As in `Batch`. The same positions are replaced for any number of workers.
    """
    if rare is None or not rare.any():
        return ids
    replaced = rare[ids] & (_chances((place[0], RARE, *place[1:]), ids, share) < rate)
    return np.where(replaced, np.int32(UNK), ids)


def _chances(purpose: tuple[int, ...], ids: Array, share: tuple[int, int]) -> NDArray[np.float32]:
    """Return a random number in [0, 1) for each of the ids (T, B); share: as in `Batch`."""
    first, columns = share
    rng = np.random.default_rng(purpose)
    return rng.random((len(ids), columns), dtype=np.float32)[:, first : first + ids.shape[1]]


class SentenceBatches:
    """Batches of whole sentences in a new order every epoch, for a bidirectional network.

    A column holds as many sentences as fit into about `length` places, one after the other, each between <s> and </s>,
    and is padded with </s>. A sentence longer than both LONGEST_SENTENCE and LENGTHS times `length` is learnt in equal
    parts, because all other columns of its batch would be padded to its length. Without `shuffle`, for measuring, it is
    read whole.
    """

    def __init__(
        self,
        sequence: Ids,
        batch_size: int,
        length: int,
        seed: int,
        shuffle: bool = True,
        rare: NDArray[np.bool_] | None = None,
        rare_rate: float = 0.1,
        worker: tuple[int, int] = (0, 1),
    ) -> None:
        """Find the sentences. shuffle: True for training. rare, rare_rate, worker: As for `Batches`."""
        self.worker = worker
        self.sequence, self.length, self.seed, self.shuffle = sequence, length, seed, shuffle
        self.rare, self.rare_rate = rare, rare_rate
        starts = _sentence_starts(sequence)
        self._starts, self._lengths = starts[:-1], np.diff(starts)
        longest = max(LONGEST_SENTENCE, LENGTHS * length)
        has_long_ones = int(self._lengths.max()) > longest
        self._cut = np.zeros(len(self._lengths), dtype=bool)
        if shuffle and has_long_ones:
            self._starts, self._lengths, self._cut = _parts(self._starts, self._lengths, longest)
        self._columns: tuple[int, list[list[int]]] = (-1, [])
        self._edges: list[int] | None = None
        if not shuffle and has_long_ones:
            self._edges = self._even_batches(batch_size)
            self.per_epoch = len(self._edges) - 1
        else:
            places = int((self._lengths + 1).sum())
            needed = max(length, int(self._lengths.max()) + 1)
            # There are at least places / needed columns, and every batch needs a column.
            self.per_epoch = max(1, min(-(-places // (batch_size * length)), places // needed))

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` of an epoch; see `BatchSource`."""
        if self._columns[0] != epoch:
            self._columns = (epoch, self._packed(epoch))
        columns = self._columns[1]
        edges = self._edges or np.linspace(0, len(columns), self.per_epoch + 1).round().astype(int).tolist()
        chosen = columns[edges[number] : edges[number + 1]]
        own = _own(len(chosen), self.worker)
        share = (own.start, len(chosen))
        longest = max(self._places(sentences) for sentences in chosen)
        inputs = np.full((longest, own.stop - own.start), EOS, dtype=np.int32)
        for column, sentences in enumerate(chosen[own]):
            text = self._text(sentences)
            inputs[: len(text), column] = text
        inputs = _with_unknown(inputs, self.rare, self.rare_rate, (self.seed, epoch, number), share)
        targets = np.where((inputs == BOS) | (inputs == EOS), np.int32(NOT_PREDICTED), inputs)
        keep = np.stack([inputs != BOS, inputs != EOS], axis=2).astype(np.float32)
        return Batch(inputs, targets, keep, True, share)

    def _places(self, sentences: list[int]) -> int:
        return int(self._lengths[sentences].sum()) + len(sentences)

    def _even_batches(self, batch_size: int) -> list[int]:
        """Return edges of batches of columns such that, for any sentences, at most about half of a batch is padding."""
        edges, longest, places, columns = [0], 0, 0, self._packed(0)
        for column, sentences in enumerate(columns):
            own = self._places(sentences)
            wider = column - edges[-1] + 1
            if wider > batch_size or (wider > 1 and wider * max(longest, own) > 2 * (places + own)):
                edges.append(column)
                longest = places = 0
            longest, places = max(longest, own), places + own
        return [*edges, len(columns)]

    def _packed(self, epoch: int) -> list[list[int]]:
        """Return the sentences of each column; a column is filled before the next one is started."""
        number = len(self._lengths)
        order = np.arange(number)
        if self.shuffle:
            order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(number)
        columns: list[list[int]] = [[]]
        room = self.length
        for sentence in order.tolist():
            need = int(self._lengths[sentence]) + 1
            if columns[-1] and need > room:
                columns.append([])
                room = self.length
            columns[-1].append(sentence)
            room -= need
        return columns

    def _text(self, sentences: list[int]) -> Array:
        parts = []
        for sentence in sentences:
            start = self._starts[sentence]
            ids = self.sequence.take(np.arange(start, start + self._lengths[sentence]))
            if self._cut[sentence]:
                ids[-1] = EOS
            parts += [np.array([BOS]), ids]
        return np.concatenate(parts).astype(np.int32)


def _parts(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Divide long sentences into equal parts; return starts, lengths with </s>, and whether the </s> must be added."""
    parts = np.maximum(1, -(-lengths // longest))
    sentence = np.repeat(np.arange(len(lengths)), parts)
    part = np.arange(len(sentence)) - np.repeat(np.cumsum(parts) - parts, parts)
    words, parts = lengths[sentence] - 1, parts[sentence]
    first, last = words * part // parts, words * (part + 1) // parts
    return starts[sentence] + first, last - first + 1, part < parts - 1


def _run_starts(sequence: Ids) -> NDArray[np.int64]:
    """Return starts of sentences that cut a text into runs of about equal length, and the end of the text.

    They are the first starts after equally spaced positions, so that only a part of the text is read.
    """
    tokens = len(sequence)
    bounds = np.linspace(0, tokens, RUNS + 1).astype(np.int64)
    places, stops = bounds[:-1], bounds[1:]  # a start after a stop is found from the next place
    starts = [np.array([0, tokens], dtype=np.int64)]
    while len(places):
        following = np.minimum(places[:, None] + np.arange(_LOOK), tokens - 1)
        parts = range(0, len(places), _PLACES)
        ends = np.concatenate([sequence.take(following[part : part + _PLACES]) for part in parts]) == EOS
        found = ends.any(axis=1)
        starts.append(following[found, ends[found].argmax(axis=1)] + 1)
        places, stops = places[~found] + _LOOK, stops[~found]
        places, stops = places[places < stops], stops[places < stops]
    return np.unique(np.concatenate(starts))


def _sentence_starts(sequence: Ids) -> NDArray[np.int64]:
    """Return the positions at which sentences start, and the end of the text as the last one."""
    chunk = 1 << 20
    ends = [np.zeros(1, dtype=np.int64)]
    for start in range(0, len(sequence), chunk):
        positions = np.arange(start, min(start + chunk, len(sequence)), dtype=np.int64)
        ends.append(positions[sequence.take(positions) == EOS] + 1)
    starts = np.concatenate(ends)
    return starts if starts[-1] == len(sequence) else np.append(starts, len(sequence))
