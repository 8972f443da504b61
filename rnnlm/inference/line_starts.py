"""Choose the state from which a model of a stream reads single lines.

In the text that such a model has learnt, every line follows another one, so the state at its start is not the zero
state. A network that has never read a line end in the zero state does not know what it means. So another line is read
first, if that helps. It does for texts with one sentence per line, but not if lines depend on the lines before them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlm.inference.lines import score_lines
from rnnlm.inference.model import Array, SequenceModel, read_prefix
from rnnlm.text.reading import Ids
from rnnlm.text.vocabulary import UNK

LOOKED_AT = 1 << 16  # number of ids of a text to find lines in
MOST_LINES, LONGEST_LINE = 200, 200  # number of lines to measure; ids in a line
GAIN = 0.01  # least relative reduction of the nats by a line before


class AfterLine:
    """A model that starts in the state after some ids; it is otherwise the same as the wrapped model."""

    reads_at_once = False  # a reset would set the state to zero, not to the state after the ids

    def __init__(self, model: SequenceModel, ids: Sequence[int]) -> None:
        """Read one or more ids with a model."""
        self._model = model
        _, self._state = read_prefix(model, ids)

    def zero_state(self, batch_size: int) -> Array:
        """Return the state after the ids, for every column."""
        return np.repeat(self._state, batch_size, axis=-2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def line_before(model: SequenceModel, text: Ids, held_out: Ids, end: int) -> list[int]:
    """Return the ids of a line of `text` after which held-out lines are more probable than after a line end alone.

    Returns an empty list if it reduces the nats by less than 1 %, or if the text has no line of usual length without
    unknown tokens. end: the id that ends a line.
    """
    usual = [line for line in _lines(text, end) if 1 < len(line) <= LONGEST_LINE and UNK not in line]
    lines = [np.append(line, end) for line in _lines(held_out, end) if 0 < len(line) <= LONGEST_LINE][:MOST_LINES]
    if not usual or not lines:
        return []
    chosen = [int(each) for each in usual[len(usual) // 2]]
    alone, after = (
        -sum(float(score.log_probabilities.sum()) for score in score_lines(reader, lines, start=end))
        for reader in (model, AfterLine(model, [end, *chosen]))
    )
    return chosen if after < (1 - GAIN) * alone else []


def _lines(text: Ids, end: int) -> list[Array]:
    """Return whole lines from the beginning of a text, without their ends; the first line, possibly cut, is skipped."""
    ids = text.take(np.arange(min(LOOKED_AT, len(text)), dtype=np.int64))
    return [line[1:] for line in np.split(ids, np.flatnonzero(ids == end))[1:-1]]
