"""Split a text into a training part and a held-out part: a pure function of the text and the requested fraction.

Lines are held out in blocks spread over the whole text, because the last tenth of a sorted list, or of files by several
authors, is not like the rest. A block holds many lines, so that few of them are neighbours of training lines, which may
be similar. A stream without lines, such as one of characters, is cut once, and its last part is held out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.text.corpus import TokenizedCorpus
from rnnlm.text.id_sequence import Stretch
from rnnlm.text.vocabulary import EOS, FIRST

VERSION = 3  # of the rules; recorded in checkpoints, so that a resumed training holds out the same part
BLOCKS = 20  # at most
LINES_IN_BLOCK = 10  # at least, in every held-out block and between two blocks
LEAST = 10  # fewest tokens of a stream that are held out
FAR = 2.5  # largest factor between the requested fraction and the one that is held out
LAST_PART = "the last part of the text"
_CHUNK = 1 << 22
_ENDS, _CLOSES = frozenset("。！？.!?…｡．"), frozenset("”’»›」』】）》\"')]} \u3000")
_OTHER, _END, _CLOSE, _JOINED = 0, 1, 2, 3  # kinds of tokens at the end of a sentence, see `_kinds`

Places = NDArray[np.int64]


class Split(NamedTuple):
    """The parts of a text. how: where the held-out part is, as a phrase for messages; empty if there is none."""

    train: list[Stretch]
    held_out: list[Stretch]
    how: str


def split_version(training: Mapping[str, Any]) -> int:
    """Return the version of the split rules that a checkpoint's header records; 1 if it records none."""
    recorded = training.get("corpus")
    version = recorded.get("split") if isinstance(recorded, Mapping) else None
    return 1 if version is None else version if version in (1, 2) else VERSION


def split(corpus: TokenizedCorpus, fraction: float, context: str, version: int = VERSION) -> Split:
    """Hold out about `fraction` of the tokens, or nothing where that is impossible.

    A text is cut at ends of lines. Where that would hold out far more or less than requested, context "sentence" is cut
    after the end of a sentence within a line, and "stream" between any two tokens.

    version: Version of the rules, see VERSION. Versions 1 and 2 always cut a stream between any two tokens.

    Raises:
        CorpusError: By the rules of version 1, one of the two parts would be empty.
    """
    N = len(corpus.ids)
    if not fraction:
        return Split([Stretch(0, N)], [], "")
    if version == 1:
        place = _first_rule(corpus, fraction)
        return Split([Stretch(0, place)], [Stretch(place, N)], LAST_PART)
    blocks = _blocks(corpus, fraction) if context == "sentence" or version > 2 else None
    if blocks is not None:
        return blocks
    if context == "stream":
        place = N - round(N * fraction)
        if place < 2 or N - place < LEAST:
            return Split([Stretch(0, N)], [], "")
        return Split([Stretch(0, place)], [Stretch(place, N)], LAST_PART)
    return _last_lines(corpus, fraction) or Split([Stretch(0, N)], [], "")


def measured(corpus: TokenizedCorpus, held_out: Sequence[Stretch], most: int) -> list[Stretch]:
    """Return the beginning of every stretch, about `most` tokens in all, each cut at the end of a line if possible."""
    each = most // max(1, len(held_out))
    found = []
    for stretch in held_out:
        stop = stretch.start + each
        if stop >= stretch.stop:
            found.append(stretch)
        elif len(held_out) == 1:
            found.append(Stretch(stretch.start, stop))
        else:
            line = _nearest(stop, stretch.start + 1, stop + 1, partial(_line_starts, corpus))
            found.append(Stretch(stretch.start, line or stop, cut=line is None))
    return found


# --- sentences --------------------------------------------------------------------------------------------------


def _blocks(corpus: TokenizedCorpus, fraction: float) -> Split | None:
    """Hold out the end of each of several equal parts of the text; None if its lines are too few or too unequal."""
    N, lines = len(corpus.ids), int(corpus.counts()[EOS])
    number = min(BLOCKS, int(min(lines * fraction, lines * (1 - fraction)) // LINES_IN_BLOCK))
    if number < 2:
        return None
    size = N * fraction / number
    reach = round(min(size, N / number - size) / 2)

    def line_start(place: int) -> int | None:
        low, high = max(1, place - reach), min(N, place + reach)
        return _nearest(place, low, high + 1, partial(_line_starts, corpus))

    blocks = []
    for part in range(1, number + 1):
        stop = N * part // number
        first, last = line_start(round(stop - size)), N if part == number else line_start(stop)
        if first is not None and last is not None and first < last:
            blocks.append(Stretch(first, last))
    if len(blocks) < number / 2 or not _is_near(sum(block.stop - block.start for block in blocks), N, fraction):
        return None
    return Split(list(_between(blocks, N)), blocks, f"{len(blocks)} blocks spread over the text")


def _between(blocks: Sequence[Stretch], N: int) -> Iterator[Stretch]:
    """Yield the stretches of N tokens that lie between the blocks, which are in order."""
    place = 0
    for block in [*blocks, Stretch(N, N)]:
        if place < block.start:
            yield Stretch(place, block.start)
        place = block.stop


def _last_lines(corpus: TokenizedCorpus, fraction: float) -> Split | None:
    """Hold out the last lines, or else sentences, from the start nearest to the share on; None if all are too far."""
    N = len(corpus.ids)
    place = N - round(N * fraction)
    largest, least = min(FAR * fraction, (1 + fraction) / 2), fraction / FAR
    low, high = max(1, N - int(N * largest)), min(N - 1, N - int(np.ceil(N * least)))
    line = _nearest(place, low, high + 1, partial(_line_starts, corpus))
    if line is not None:
        return Split([Stretch(0, line)], [Stretch(line, N)], "the last lines of the text")
    kinds = _kinds(corpus.tokens)
    sentence = _nearest(place, low, high + 1, partial(_sentence_starts, corpus, kinds))
    if sentence is None:
        return None
    return Split(
        [Stretch(0, sentence, cut=True)], [Stretch(sentence, N)], "the last sentences of the text, in a line cut there"
    )


def _is_near(held_out: int, N: int, fraction: float) -> bool:
    return fraction / FAR <= held_out / N <= min(FAR * fraction, (1 + fraction) / 2)


# --- places where a text can be cut -----------------------------------------------------------------------------


def _nearest(place: int, low: int, high: int, cuts: Callable[[int, int], Places]) -> int | None:
    """Return the cut in [low, high) that is nearest to a place; `cuts` finds the cuts of a window."""
    width = 1 << 10
    while low < high:
        start, stop = max(low, min(place - width, high)), min(high, max(place + width, low))
        windows = [(first, min(first + _CHUNK, stop)) for first in range(start, stop, _CHUNK)]
        found = np.concatenate([cuts(*window) for window in windows] or [np.zeros(0, dtype=np.int64)])
        if len(found):
            return int(found[np.abs(found - place).argmin()])
        if (start, stop) == (low, high):
            break
        width *= 16
    return None


def _line_starts(corpus: TokenizedCorpus, start: int, stop: int) -> Places:
    """Return the positions in [start, stop), with start >= 1, at which a line starts because one ends before them."""
    found = np.flatnonzero(corpus.ids[start - 1 : stop - 1] == EOS) + start
    corpus.release()
    return found


def _kinds(tokens: Sequence[str]) -> NDArray[np.uint8]:
    """Return the kind of every provisional id: _END of a sentence, _CLOSE (a bracket or quote), _JOINED or _OTHER.

    _JOINED is an ASCII letter or digit in a text of characters: no sentence begins at it right after a mark, as in 3.5.
    """
    closing, characters = "".join(_CLOSES), all(len(token) == 1 for token in tokens)
    found = [_OTHER] * FIRST
    for token in tokens:
        bare = token.rstrip(closing)
        joined = characters and token.isascii() and token.isalnum()
        found.append(_CLOSE if not bare else _END if bare[-1] in _ENDS else _JOINED if joined else _OTHER)
    return np.array(found, dtype=np.uint8)


def _sentence_starts(corpus: TokenizedCorpus, kinds: NDArray[np.uint8], start: int, stop: int) -> Places:
    """Return the positions in [start, stop), with start >= 1, before which a sentence ends within a line.

    Up to two closing brackets or quotes may follow the mark that ends the sentence.
    """
    first = max(0, start - 3)
    ids = corpus.ids[first:stop]
    kind = np.concatenate([np.zeros(3, dtype=np.uint8), kinds[ids]])
    here, before, second, third = kind[3:], kind[2:-1], kind[1:-2], kind[:-3]
    closed = (before == _CLOSE) & ((second == _END) | ((second == _CLOSE) & (third == _END)))
    begins = ((here == _OTHER) & (ids != EOS)) | (here == _JOINED)
    ended = ((before == _END) & (here == _OTHER)) | closed
    found = np.flatnonzero(begins & ended) + first
    corpus.release()
    return found[found >= start]


# --- version 1 --------------------------------------------------------------------------------------------------


def _first_rule(corpus: TokenizedCorpus, fraction: float) -> int:
    """Return where the last `fraction` of the tokens begins; in a text of lines, the next start of a line."""
    N = len(corpus.ids)
    place = N - round(N * fraction)
    if corpus.lines and 0 < place < N:
        place = _first_line_start(corpus, place)
    if not 0 < place < N:
        number, unit = (int(corpus.counts()[EOS]), "line") if corpus.lines else (N, "character")
        raise CorpusError(
            f"A text of {number:,} {unit}{'s' * (number != 1)} cannot be split so that {fraction:g} of it is held "
            "out. Use a longer text, or another --valid-fraction."
        )
    return place


def _first_line_start(corpus: TokenizedCorpus, place: int) -> int:
    """Return the first start of a line from a position on; within the last line, the start of that line."""
    ids = corpus.ids
    for chunk_start in range(place - 1, len(ids) - 1, _CHUNK):
        ends = np.flatnonzero(ids[chunk_start : min(chunk_start + _CHUNK, len(ids) - 1)] == EOS)
        if len(ends):
            return chunk_start + int(ends[0]) + 1
    for chunk_stop in range(place - 1, 0, -_CHUNK):
        ends = np.flatnonzero(ids[max(0, chunk_stop - _CHUNK) : chunk_stop] == EOS)
        if len(ends):
            return max(0, chunk_stop - _CHUNK) + int(ends[-1]) + 1
    return 0
