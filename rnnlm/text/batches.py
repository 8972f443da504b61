"""Array cut into training batches: a pure function of (seed, epoch, number), so that a resumed run needs only a place.

A batch has T steps and B columns. Column b reads its own stretch of the text from left to right, one batch after the
other, so that the state at the end of a batch is the state at the start of the next.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.text.reading import Ids, restart
from rnnlm.text.vocabulary import BOS, EOS, UNK

Array = NDArray[np.int32]
LARGE = 1 << 24  # tokens; with the usual 5 to 20 in a sentence, their places fill some 100 MB
RUNS = 1 << 16  # about how many runs of sentences of a larger text are shuffled
LONGEST_SENTENCE, LENGTHS = 256, 8  # of a sentence that a two-sided network learns whole: in tokens, in columns
_LOOK = 64  # tokens in which the end of a sentence is looked for at once
_PLACES = 64  # of a text, which are read together: the memory that holds them is mapped for each; see text.corpus
ORDER, RARE, SHIFT, RESET = 1, 2, 5, 6  # streams of randomness, one for each purpose; 3 and 4 are the engines'


NOT_PREDICTED = -1  # a target that does not count


class Batch(NamedTuple):
    """Inputs and targets (T, B), shifted by one; keep (T, B, 1) is 0 where a column starts anew, None if nowhere.

    For a bidirectional network: whole sentences as inputs, the same as targets but for <s>, </s> and padding, which are
    NOT_PREDICTED, and keep (T, B, 2) with a second place for the backward direction.
    """

    inputs: Array
    targets: Array
    keep: NDArray[np.float32] | None
    starts_epoch: bool  # the carried state is zero here
    share: tuple[int, int] | None = (
        None  # its first column in the whole batch, and the columns of that; None: it is whole
    )

    @property
    def tokens(self) -> int:
        """Number of targets that count."""
        return int((self.targets != NOT_PREDICTED).sum())


class BatchSource(Protocol):
    """Batches of a sequence as a function of their place; there are `per_epoch` in every epoch."""

    sequence: Ids
    per_epoch: int

    def batch(self, epoch: int, number: int) -> Batch:
        """Batch `number` (from 0, below `per_epoch`) of an epoch (from 0)."""


def _own(columns: int, worker: tuple[int, int]) -> slice:
    """The columns of one of several workers, as even as they can be."""
    number, workers = worker
    return slice(columns * number // workers, columns * (number + 1) // workers)


class Batches:
    """Batches of a text read as one stream, or sentence by sentence in a new order every epoch.

    context "stream": the state is carried through the whole column. context "sentence": each sentence, which ends with
    </s>, starts at <s> with a zero state; sentences are shuffled and laid end to end. Of a text of more than LARGE
    tokens it is runs of consecutive sentences that are shuffled, so that memory does not grow with it.
    rare: (V,) bool, ids that are replaced by <unk> at `rare_rate`: a word seen once teaches what an unknown word looks
    like (after Dyer et al. 2015), which a text without unknown words cannot teach.
    worker: which of how many workers is to get its columns of every batch; only they are read.
    shift: of a stream, begin every epoch at another place of the text, which is read as a ring: then columns and
    batches have their edges at other places every time.
    line_resets: share of the lines of a stream that start at <s> with a zero state, so that the network also learns to
    read a line that stands alone. Each epoch draws them anew.
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
            CorpusError: the text has fewer than two tokens for each column.
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
        """Batch `number` (from 0, below `per_epoch`) of an epoch (from 0)."""
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
            inputs[0] = BOS  # nothing is known at the start of a column, and the state is zero: say so
        keep = self._reset_lines(inputs, place) if self.line_resets else restart(inputs, self.context)
        return Batch(inputs, targets, keep, number == 0, self.share)

    def _reset_lines(self, inputs: Array, place: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Let a share of the lines begin anew, in place; returns keep as `restart` does."""
        chance = _chances((place[0], RESET, *place[1:]), inputs, self.share)
        return restart(inputs, "sentence", chance < self.line_resets)

    def _begin(self, epoch: int) -> int:
        """The place of the text at which an epoch begins."""
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
    """Array with `rare` ones turned into <unk> at a rate; which, is a function of `place`: seed, epoch and batch.

    share: as in `Batch`. However a batch is shared out, the same places become unknown.
    """
    if rare is None or not rare.any():
        return ids
    replaced = rare[ids] & (_chances((place[0], RARE, *place[1:]), ids, share) < rate)
    return np.where(replaced, np.int32(UNK), ids)


def _chances(purpose: tuple[int, ...], ids: Array, share: tuple[int, int]) -> NDArray[np.float32]:
    """A random number from 0 to 1 for each of some ids (T, B); share: as in `Batch`."""
    first, columns = share
    rng = np.random.default_rng(purpose)
    return rng.random((len(ids), columns), dtype=np.float32)[:, first : first + ids.shape[1]]


class SentenceBatches:
    """Batches of whole sentences in a new order every epoch, for a network that reads from both sides.

    A column holds as many sentences as fit into about `length` places, one after the other, each between <s> and </s>;
    what is left of it is filled with </s>. A sentence longer than LONGEST_SENTENCE and LENGTHS times `length` is learnt
    in equal parts, or all other columns of its batch would be filled up to its end; without `shuffle`, to be measured,
    it is read whole.
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
        """Find the sentences. shuffle: for training. rare, rare_rate, worker: as for `Batches`."""
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
            # There are at least places / needed columns, and every batch needs one.
            self.per_epoch = max(1, min(-(-places // (batch_size * length)), places // needed))

    def batch(self, epoch: int, number: int) -> Batch:
        """Batch `number` of an epoch; see `BatchSource`."""
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
        """Edges of batches in which at most about half of all places are filled up, however long a sentence is."""
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
        """The sentences of each column; a column is filled before the next is begun."""
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
    """Sentences, the long ones in equal parts: where each starts, its length with </s>, whether that is put in."""
    parts = np.maximum(1, -(-lengths // longest))
    sentence = np.repeat(np.arange(len(lengths)), parts)
    part = np.arange(len(sentence)) - np.repeat(np.cumsum(parts) - parts, parts)
    words, parts = lengths[sentence] - 1, parts[sentence]
    first, last = words * part // parts, words * (part + 1) // parts
    return starts[sentence] + first, last - first + 1, part < parts - 1


def _run_starts(sequence: Ids) -> NDArray[np.int64]:
    """Positions of starts of sentences that cut a text into runs of about equal length, then the end of the text.

    They are the first ones after equally distant positions, so that only a part of the text is read.
    """
    tokens = len(sequence)
    bounds = np.linspace(0, tokens, RUNS + 1).astype(np.int64)
    places, stops = bounds[:-1], bounds[1:]  # what comes after a stop is found from there
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
    """Positions at which a sentence starts, with the end of the text as the last one."""
    chunk = 1 << 20
    ends = [np.zeros(1, dtype=np.int64)]
    for start in range(0, len(sequence), chunk):
        positions = np.arange(start, min(start + chunk, len(sequence)), dtype=np.int64)
        ends.append(positions[sequence.take(positions) == EOS] + 1)
    starts = np.concatenate(ends)
    return starts if starts[-1] == len(sequence) else np.append(starts, len(sequence))
