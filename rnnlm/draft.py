"""A line that is being typed: the surprise of its tokens, and what may come next, after every key.

Only what a key has changed is read again. Where the line ends within a word, what comes next may be the rest of a
longer word, or another word after this one. Both are ranked together by the probability that each continues the text,
given that the text begins as it does: p(longer word | before) and p(word | before) p(next | word), divided by their sum
over all words that begin like the last one.
"""

import itertools
import math
from bisect import bisect_right
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.blas import one_blas_thread
from rnnlm.inference.generation import SamplingOptions, sample
from rnnlm.language_model import LanguageModel
from rnnlm.rendering import Writer
from rnnlm.results import Piece
from rnnlm.text.vocabulary import EOS, FIRST, UNK

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
    """What a model makes of a line: its tokens, and what may come next, the most probable first.

    begun_bits: the surprise that a word begins as the last one does; None where no word may be unfinished.
    """

    pieces: list[TypedPiece]
    continuations: list[Continuation]
    begun_bits: float | None

    @property
    def bits(self) -> float:
        """Surprise of the whole line so far."""
        return sum(piece.bits for piece in self.pieces)


class _LastWord(NamedTuple):
    """The probability that the last word is whole, and that of each longer one it may become; they sum to one.

    bits: the surprise that a word begins so, None if it is whole for certain.
    """

    whole: float
    longer: dict[int, float]
    bits: float | None


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
        self._tokens = sorted((token, place) for place, token in enumerate(model.vocabulary.tokens, FIRST))
        self._before: list[int] = []  # ids of the lines before
        # What was read: `start`, the lines before and the line. Of each id its nats given those before and the state
        # after it; of the last two the log probabilities (V,) of what follows them.
        self._ids: list[int] = []
        self._nats: list[float] = []
        self._states: list[NDArray[Any]] = []
        self._rows: dict[int, NDArray[Any]] = {}

    @one_blas_thread()
    def read(self, line: str, k: int = 8) -> Reading:
        """What the model makes of the line so far, with the k most probable continuations."""
        pieces = list(self.model.cut(line))
        self._advance([self.model.start, *self._before, *(piece.token_id for piece in pieces)])
        nats = self._nats[len(self._nats) - len(pieces) :]
        typed = [
            TypedPiece(piece.text, each / math.log(2), piece.token_id == UNK)
            for piece, each in zip(pieces, nats, strict=True)
        ]
        last = self._last_word(line, pieces)
        return Reading(typed, self._continuations(line, pieces, last, k), last.bits)

    def end_line(self, line: str) -> None:
        """Begin a new line. A stream remembers this one; it forgets the older half when there is much to remember."""
        if self.model.context == "stream" and (end := self.model.line_end) is not None:
            self._before += [*self.model.encode(line).tolist(), end]
            if len(self._before) > MOST_TOKENS:
                self._before = self._before[-MOST_TOKENS // 2 :]

    @one_blas_thread()
    def goes_on(self, line: str, length: int = 60, temperature: float = 0.8, seed: int | None = None) -> str:
        """What the model writes after the line, to the end of that line; a word that was begun is drawn first."""
        rng = np.random.default_rng(seed)
        rest = self._drawn_rest(line, rng)
        line += rest
        ids = self.model.encode(line).tolist()
        writer = Writer(self.model, line, ids, ["\n"])
        writer.take()
        prompt, options = [self.model.start, *self._before, *ids], SamplingOptions(length, temperature)
        for drawn in sample(self._reader, prompt, options, rng, 1, self.model.never_generated(), self.model.end):
            writer.add(drawn[0])
            if writer.ended:
                break
        writer.finish()
        return rest + writer.take()

    def _drawn_rest(self, line: str, rng: np.random.Generator) -> str:
        """The rest of a longer word than the last one, drawn; nothing if that one is whole."""
        pieces = list(self.model.cut(line))
        self._advance([self.model.start, *self._before, *(piece.token_id for piece in pieces)])
        whole, longer, _ = self._last_word(line, pieces)
        drawn = int(rng.choice(len(longer) + 1, p=[whole, *longer.values()]))
        return self._rest(list(longer)[drawn - 1], pieces[-1].token) if drawn else ""

    def _advance(self, ids: list[int]) -> None:
        """Read what is new of ids, and forget what is no longer there."""
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(self._ids, ids, strict=False)))
        for kept in (self._ids, self._nats, self._states):
            del kept[same:]
        needed = sorted({same - 1, len(ids) - 2, len(ids) - 1})
        first = next((place for place in needed if 0 <= place < same and place not in self._rows), same)
        state = self._states[first - 1] if first else self._reader.zero_state(1)
        for place in range(first, len(ids)):
            rows, state = self._reader.next_log_probabilities(np.array([[ids[place]]], dtype=np.int32), state)
            if place >= same:
                self._ids.append(ids[place])
                self._nats.append(-float(self._rows[place - 1][ids[place]]) if place else 0.0)
                self._states.append(state)
            self._rows[place] = rows[0]
            if place == len(ids) - 1 or place > same:
                self._rows = {each: row for each, row in self._rows.items() if place - 1 <= each <= place}

    def _continuations(self, line: str, pieces: list[Piece], last: _LastWord, k: int) -> list[Continuation]:
        whole, longer, _ = last
        best = sorted(longer, key=lambda each: -longer[each])[:k]
        token = self.model.vocabulary.token
        found = [Continuation(token(each), self._rest(each, pieces[-1].token), longer[each]) for each in best]
        if whole > 0:
            after = self._rows[len(self._ids) - 1]
            writer = Writer(self.model, line, (piece.token_id for piece in pieces), [])
            found += [self._next(writer, each, whole * math.exp(after[each])) for each in self.model.best(after, k)]
        return sorted((each for each in found if each.probability > 0), key=lambda each: -each.probability)[:k]

    def _last_word(self, line: str, pieces: list[Piece]) -> _LastWord:
        if not pieces or line[-1].isspace() or self.model.level == "char":
            return _LastWord(1.0, {}, None)
        last, begun = pieces[-1], self._longer(pieces[-1].token)
        before = np.exp(self._rows[len(self._ids) - 2].astype(np.float64))
        own = float(before[last.token_id]) if last.token_id != UNK or not begun else 0.0  # <unk> is another word
        total = own + float(before[begun].sum())
        if not total > 0:
            return _LastWord(1.0, {}, None)
        longer = {each: float(before[each]) / total for each in begun}
        return _LastWord(own / total, longer, max(0.0, -math.log2(total)))

    def _longer(self, begun: str) -> list[int]:
        """Ids of the tokens that begin so and go on."""
        place = bisect_right(self._tokens, (begun, len(self.model.vocabulary)))
        following = itertools.islice(self._tokens, place, None)
        return [each for token, each in itertools.takewhile(lambda pair: pair[0].startswith(begun), following)]

    def _rest(self, token_id: int, begun: str) -> str:
        return self.model.vocabulary.token(token_id).removeprefix(begun)

    def _next(self, writer: Writer, token_id: int, probability: float) -> Continuation:
        token = self.model.vocabulary.token(token_id)
        ends = token_id in (EOS, self.model.line_end)
        return Continuation(token, "" if ends else writer.piece(token_id), probability)
