"""Analysis of a line while it is typed: surprisal of its tokens, and likely continuations, after every key."""

import math
from typing import NamedTuple

import numpy as np

from rnnlm.blas import one_blas_thread
from rnnlm.language_model import LanguageModel
from rnnlm.results import Continuation

MOST_CHARACTERS = 8_000  # of earlier lines, kept as context in a stream


class TypedPiece(NamedTuple):
    """A part of the line and its surprisal in bits."""

    text: str
    bits: float


class Reading(NamedTuple):
    """The tokens of a line with their surprisals, and its continuations, most probable first.

    as_typed: like `pieces`, but with a possibly unfinished word as one piece, whose surprisal is that of a word with
    this beginning.
    """

    pieces: list[TypedPiece]
    as_typed: list[TypedPiece]
    continuations: list[Continuation]

    @property
    def bits(self) -> float:
        """Surprisal of the whole line so far."""
        return sum(piece.bits for piece in self.pieces)


class Draft:
    """Reads a line as it is typed, with a `TextSession`; in a stream, earlier lines are its context.

    >>> draft = Draft(rnnlm.load("rnnlm.npz"))  # doctest: +SKIP
    >>> draft.read("我 昨天 上").continuations[0]  # doctest: +SKIP
    Continuation(tokens=['上学'], probability=0.93, text='学', typed='上')
    """

    def __init__(self, model: LanguageModel) -> None:
        """Begin at the start of a text.

        Raises:
            DirectionError: the model is bidirectional, so it has no next word.
        """
        self.model = model
        self._session, self._before = model.session(), ""

    def read(self, line: str, k: int = 8) -> Reading:
        """Return the surprisals of the line so far, and its k most probable continuations."""
        self._session.text = self._before + line
        pieces = [
            TypedPiece(piece.text, nats / math.log(2))
            for piece, nats in zip(self.model.cut(line), self._session.nats(), strict=True)
        ]
        begun = self._session.begun_word()
        whole = len(pieces) - begun.tokens
        typed = "".join(piece.text for piece in pieces[whole:])
        as_typed = [*pieces[:whole], TypedPiece(typed, begun.nats / math.log(2))] if typed else pieces
        return Reading(pieces, as_typed, self._session.predict_ahead(1, k, complete=True))

    def end_line(self, line: str) -> None:
        """Begin a new line. In a stream this one becomes context; of too long a context, the older half is dropped."""
        self._before = self.model.unfinished(f"{self._before}{line}\n")
        if len(self._before) > MOST_CHARACTERS:
            self._before = self._before[-MOST_CHARACTERS // 2 :]

    @one_blas_thread()
    def goes_on(self, line: str, length: int = 60, temperature: float = 0.8, seed: int | None = None) -> str:
        """Generate the rest of the line; the completion of an unfinished word is drawn first."""
        rng = np.random.default_rng(seed)
        self._session.text = text = self._before + line
        longer = self._session.begun_word().longer
        chances = [each.probability for each in longer]
        drawn = int(rng.choice(len(longer) + 1, p=[*chances, max(0.0, 1 - sum(chances))]))
        rest = longer[drawn].text if drawn < len(longer) else ""
        own = int(rng.integers(2**32))
        written = self.model.generate(text + rest, length, temperature=temperature, stop=["\n"], seed=own)
        return rest + "".join(written)
