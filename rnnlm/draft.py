"""A line that is being typed: the surprise of its tokens, and what may come next, after every key.

Only what a key has changed is read again. Where the line ends within a word, what comes next may be the rest of a
longer word, or another word after this one. Both are ranked together by the probability that each continues the text,
given that the text begins as it does: p(longer word | before) and p(word | before) p(next | word), divided by their sum
over all words that begin like the last one.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.blas import one_blas_thread
from rnnlm.language_model import LanguageModel
from rnnlm.rendering import Writer
from rnnlm.results import Piece
from rnnlm.text.vocabulary import EOS, UNK

MOST_TOKENS = 2_000  # of the lines before, which a stream remembers


class Continuation(NamedTuple):
    """What may come next.

    token: the whole token. text: what it adds to the line, which of a word that was begun is its rest; the end of a
    line adds nothing.
    """

    token: str
    text: str
    probability: float

    @property
    def ends_line(self) -> bool:
        """Whether it is the end of the line."""
        return not self.text


class TypedPiece(NamedTuple):
    """A part of the line, its surprise in bits, and whether its token is unknown."""

    text: str
    bits: float
    unknown: bool


class Reading(NamedTuple):
    """What a model makes of a line: its tokens, and what may come next, the most probable first."""

    pieces: list[TypedPiece]
    continuations: list[Continuation]

    @property
    def bits(self) -> float:
        """Surprise of the whole line so far."""
        return sum(piece.bits for piece in self.pieces)


class _Read(NamedTuple):
    """What is known after an id: the state, and the log probabilities (V,) of what follows."""

    token_id: int
    state: NDArray[np.floating]
    log_probabilities: NDArray[np.floating]


class Draft:
    """Reads a line as it is typed; in a stream the lines before it are its context.

    >>> draft = Draft(rnnlm.load("rnnlm.npz"))  # doctest: +SKIP
    >>> draft.read("我 昨天 上").continuations[0]  # doctest: +SKIP
    Continuation(token='上学', text='学', probability=0.93)
    """

    def __init__(self, model: LanguageModel) -> None:
        """Begin at the start of a text.

        Raises:
            DirectionError: the model is bidirectional, so it has no next word.
        """
        self.model = model
        self._reader = model.by_line
        self._before: list[int] = []  # ids of the lines before
        self._read: list[_Read] = []  # of `start`, the lines before and the line

    @one_blas_thread()
    def read(self, line: str, k: int = 8) -> Reading:
        """What the model makes of the line so far, with the k most probable continuations."""
        pieces = list(self.model.cut(line))
        ids = [self.model.start, *self._before, *(piece.token_id for piece in pieces)]
        self._advance(ids)
        typed = [
            TypedPiece(piece.text, self._nats(place, piece.token_id) / math.log(2), piece.token_id == UNK)
            for place, piece in enumerate(pieces, len(ids) - len(pieces))
        ]
        return Reading(typed, self._continuations(line, pieces, k))

    def end_line(self, line: str) -> None:
        """Begin a new line; a stream keeps this one, of all lines the last tokens."""
        if self.model.context == "stream" and (end := self.model.line_end) is not None:
            self._before += [*self.model.encode(line).tolist(), end]
            self._before = self._before[-MOST_TOKENS:]

    def goes_on(self, line: str, length: int = 60, temperature: float = 0.8, seed: int | None = None) -> str:
        """What the model writes after the line, up to the end of that line."""
        self.read(line, 1)
        writer = Writer(self.model, line, self.model.encode(line), ["\n"])
        writer.take()
        prompt = [each.token_id for each in self._read]
        from rnnlm.inference.generation import SamplingOptions, sample

        options = SamplingOptions(length, temperature)
        rng, never = np.random.default_rng(seed), self.model.never_generated()
        for drawn in sample(self._reader, prompt, options, rng, 1, never, self.model.end):
            writer.add(drawn[0])
            if writer.ended:
                break
        writer.finish()
        return writer.take()

    def _advance(self, ids: list[int]) -> None:
        """Read what is new of ids, and forget what is no longer there."""
        same = 0
        while same < min(len(ids), len(self._read)) and self._read[same].token_id == ids[same]:
            same += 1
        del self._read[same:]
        state = self._read[-1].state if self._read else self._reader.zero_state(1)
        for each in ids[same:]:
            rows, state = self._reader.next_log_probabilities(np.array([[each]], dtype=np.int32), state)
            self._read.append(_Read(each, state, rows[0]))

    def _nats(self, place: int, token_id: int) -> float:
        return -float(self._read[place - 1].log_probabilities[token_id])

    def _continuations(self, line: str, pieces: list[Piece], k: int) -> list[Continuation]:
        after = self._read[-1].log_probabilities
        found, share = list[Continuation](), 1.0
        if pieces and not line[-1].isspace() and self.model.level != "char":
            last = pieces[-1]
            before = np.exp(self._read[-2].log_probabilities.astype(np.float64))
            begun = self._longer(last.token)
            own = float(before[last.token_id]) if last.token_id != UNK or not begun else 0.0
            whole = own + float(before[begun].sum())
            if whole > 0:
                share = own / whole
                best = sorted(begun, key=lambda each: -before[each])[:k]
                found = [self._rest(each, last.token, float(before[each]) / whole) for each in best]
        if share > 0:
            writer = Writer(self.model, line, (piece.token_id for piece in pieces), [])
            found += [self._next(writer, each, share * math.exp(after[each])) for each in self.model.best(after, k)]
        found = [each for each in found if each.probability > 0]
        return sorted(found, key=lambda each: -each.probability)[:k]

    def _longer(self, begun: str) -> list[int]:
        """Ids of the tokens that begin so and go on."""
        tokens, first = self.model.vocabulary.tokens, len(self.model.vocabulary) - len(self.model.vocabulary.tokens)
        return [place + first for place, token in enumerate(tokens) if token.startswith(begun) and token != begun]

    def _rest(self, token_id: int, begun: str, probability: float) -> Continuation:
        token = self.model.vocabulary.token(token_id)
        return Continuation(token, token.removeprefix(begun), probability)

    def _next(self, writer: Writer, token_id: int, probability: float) -> Continuation:
        token = self.model.vocabulary.token(token_id)
        ends = token_id in (EOS, self.model.line_end)
        return Continuation(token, "" if ends else writer.piece(token_id), probability)
