"""Score lines as one text: each line is read after the lines before it."""

from collections.abc import Sequence

import numpy as np

from rnnlm.inference.lines import LOGITS, LineScore, Scores, read_window
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.text.reading import restart
from rnnlm.text.vocabulary import BOS

WINDOW = 256  # most steps at a time


class DocumentScorer:
    """Scores blocks of lines one after the other; called like `inference.lines.LineScorer`."""

    def __init__(
        self,
        model: SequenceModel,
        context: str,
        ranks: bool = False,
        blank: Sequence[int] | None = None,
        entropies: bool = False,
    ) -> None:
        """Begin a text.

        Args:
            model: The model to score with.
            context: "sentence" resets the state before every line, but not what outlasts a reset, such as a cache.
                "stream" resets nothing.
            ranks: Whether to compute ranks.
            blank: Ids of a line that is not part of the text. It is scored, but does not change the state.
            entropies: Whether to compute ranks and entropies.
        """
        self._model, self._context, self._ranks, self._entropies = model, context, ranks or entropies, entropies
        self._blank = None if blank is None else list(blank)
        self._state, self._last = model.zero_state(1), BOS
        self._window = min(WINDOW, max(1, LOGITS // model.vocabulary_size)) if self._ranks else WINDOW

    def __call__(self, lines: Sequence[Array]) -> list[LineScore]:
        """Score a block of lines of ids (n,), including the id of the line end, if any."""
        return [self._scored(np.asarray(line)) for line in lines]

    def _scored(self, line: Array) -> LineScore:
        state, last = self._state, self._last
        inputs = np.concatenate([[last], line])[:-1].astype(np.int32)[:, None]
        keep = restart(inputs, self._context)
        parts = [Scores(np.zeros((0, 1)), *(np.zeros((0, 1), kind) for kind in (np.int64, np.float64)))]
        for start in range(0, len(line), self._window):
            now = slice(start, start + self._window)
            read = None if keep is None else keep[now]
            found, state = read_window(
                self._model, inputs[now], line[now, None], state, self._ranks, read, self._entropies
            )
            parts.append(found)
        if len(line) and line.tolist() != self._blank:
            self._state, self._last = state, int(line[-1])
        nats, ranks, entropies = (
            np.concatenate([each for each in column if each is not None])[:, 0] for column in zip(*parts, strict=True)
        )
        return LineScore(-nats, ranks if self._ranks else None, entropies if self._entropies else None)
