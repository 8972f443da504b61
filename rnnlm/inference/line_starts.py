"""Where a line starts in a model of a stream, which is then used line by line.

In the text that such a model learnt from, a line stands after another one. The state after that is not the zero state,
and a network that never met a line end from a zero state does not know what it means. So a line is read before the
first one, where that helps: it does for texts of one sentence a line, and not where lines depend on those before them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlm.inference.lines import score_lines
from rnnlm.inference.model import Array, SequenceModel, read_prefix
from rnnlm.text.reading import Ids
from rnnlm.text.vocabulary import UNK

LOOKED_AT = 1 << 16  # ids of a text, in which lines are looked for
MOST_LINES, LONGEST_LINE = 200, 200  # lines that are measured; ids of one
GAIN = 0.01  # share of the nats that a line before must save


class AfterLine:
    """A model whose first state is the one after some ids; all else is the model's own."""

    reads_at_once = False  # a column that starts anew would start without the ids

    def __init__(self, model: SequenceModel, ids: Sequence[int]) -> None:
        """Read the ids, at least one."""
        self._model = model
        _, self._state = read_prefix(model, ids)

    def zero_state(self, batch_size: int) -> Array:
        """Return the state after the ids, for every column."""
        return np.repeat(self._state, batch_size, axis=-2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def line_before(model: SequenceModel, text: Ids, held_out: Ids, end: int) -> list[int]:
    """Ids of a line of a text after which lines of a held-out one are more probable than after a line end alone.

    The empty list if that saves less than a hundredth of the nats per token, or the text has no usual line. end: the id
    that ends a line.
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
    """Whole lines of the beginning of a text, without their ends; what the text begins with may be a part of one."""
    ids = text.take(np.arange(min(LOOKED_AT, len(text)), dtype=np.int64))
    return [line[1:] for line in np.split(ids, np.flatnonzero(ids == end))[1:-1]]
