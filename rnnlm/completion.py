"""Continuations of a text: the next token, several tokens ahead, and completions of a half-typed word.

The last word of a text may be complete or unfinished: "And the LORD sa" may continue with said, saw or sat, and "the
cat" either with a next word such as "sat" or as "the cattle". Each reading of the end of the text has a probability,

    p(complete)   = p(cat | the)                then the next word has p(next | the cat)
    p(unfinished) = sum of p(w | the)           over the longer words w that begin with "cat"

and continuations are ranked by their probability given the letters that were typed.
"""

from __future__ import annotations

import copy
import functools
import math
import unicodedata
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from rnnlm.codec import Codec
from rnnlm.errors import RnnlmError, shown
from rnnlm.inference.generation import Beam, beam_steps, largest
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.results import Candidate, Continuation
from rnnlm.schema import whole_number
from rnnlm.text.letter_case import as_read
from rnnlm.text.tokenizers import WIDE, Spacing, spans
from rnnlm.text.vocabulary import EOS, FIRST, SPECIALS, UNK
from rnnlm.text.word_rules import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TOKENS = 4  # at the end of a text that may together be the beginning of one longer token
WIDTH, LONGEST_WORD = 32, 40  # minimum width of the beam; characters
LONGEST_CHECKED = 256  # characters; in longer lines, the spelling of a candidate is not checked by tokenizing

Continuations = Generator[None, None, list[Continuation]]


class Reader(Protocol):
    """Reads prefixes and caches their states; see `inference.prefixes.PrefixReader`."""

    model: SequenceModel

    def read(self, ids: Array) -> Generator[None, None, tuple[Array, Array]]:
        """Return log probabilities (1, V) of the id after ids (n,), n > 0, and the state."""


def check_counts(**numbers: Any) -> None:
    """Check that each argument is a whole number of at least 1.

    Raises:
        RnnlmError: one is not; the message names it.
    """
    for name, number in numbers.items():
        if (whole_number(number) or 0) < 1:
            raise RnnlmError(f"{name} is {shown(number)}; expected a whole number from 1 on.")


# --- the next token -----------------------------------------------------------------------------------------------


def best(codec: Codec, log_probabilities: NDArray[Any], k: int) -> list[int]:
    """Return the k most probable ids of a distribution (V,), best first, without <s>, or <unk> if never generated."""
    scores = log_probabilities.copy()
    left_out = [i for i in codec.never_generated() if i != EOS]
    scores[left_out] = -np.inf
    return _first(scores, min(k, len(scores) - len(left_out)))


def _first(scores: NDArray[Any], k: int) -> list[int]:
    if not k:
        return []
    found = np.argpartition(-scores, k - 1)[:k]
    return [int(i) for i in found[np.lexsort((found, -scores[found]))]]


def ranked(
    codec: Codec, log_probabilities: NDArray[Any], k: int, prefix: str = "", allowed: Iterable[str] | None = None
) -> list[int]:
    """Return the k most probable ids whose tokens are allowed and begin with a prefix, best first."""
    admitted = admitted_ids(codec, prefix, allowed)
    if admitted is None:
        return best(codec, log_probabilities, k)
    admitted[[i for i in codec.never_generated() if i != EOS]] = False
    return _first(np.where(admitted, log_probabilities, -np.inf), min(k, int(admitted.sum())))


def candidates(codec: Codec, log_probabilities: NDArray[Any], ids: Iterable[int]) -> list[Candidate]:
    """Return the tokens of ids with their probabilities, from the log probabilities (V,)."""
    return [Candidate(codec.vocabulary.token(each), math.exp(log_probabilities[each])) for each in ids]


def admitted_ids(codec: Codec, prefix: str, allowed: Iterable[str] | None) -> NDArray[np.bool_] | None:
    """Return a mask (V,) of the ids whose tokens begin with a prefix and are allowed; None if all are.

    Raises:
        RnnlmError: allowed is a str.
    """
    if isinstance(allowed, str):
        raise RnnlmError(f"allowed is {shown(allowed)}; expected several tokens, such as [{allowed!r}].")
    if not prefix and allowed is None:
        return None
    admitted = np.ones(len(codec.vocabulary), dtype=bool)
    if prefix:
        admitted[FIRST:] = False
        admitted[codec.vocabulary.beginning_with(as_read(codec.tokenizer, prefix))] = True
        admitted[:FIRST] = [each.startswith(prefix) for each in SPECIALS]
    if allowed is not None:
        among = np.zeros_like(admitted)
        among[[codec.id_of(each) for each in allowed]] = True
        admitted &= among
    return admitted


# --- readings of the end of a text --------------------------------------------------------------------------------


class Way(NamedTuple):
    """A reading of the end of a text: the first `length` ids, then a token that begins with `typed`."""

    length: int
    typed: str


def ways(codec: Codec, text: str, count: int) -> list[Way]:
    """Return the readings of a text of `count` ids: with a complete last token, and with an unfinished word.

    An unfinished word may comprise several of the last tokens if no white space is between them: "don'" is don and ',
    or the beginning of don't. For tokens that are pieces of words, only the first reading is considered.
    """
    found, line = [Way(count, "")], text.rpartition("\n")[2]
    tokens = codec.tokens(line)
    places = spans(codec.tokenizer, line, tokens)
    if not tokens or places[-1][1] != len(line) or codec.tokenizer.cuts_words:
        return found
    for back in range(1, min(MOST_TOKENS, len(tokens)) + 1):
        typed = as_read(codec.tokenizer, line[places[-back][0] :])
        if any(map(str.isspace, typed)):
            break
        if _begun(codec, typed).size:
            found.append(Way(count - back, typed))
    return found


def half_typed(codec: Codec, text: str) -> bool:
    """Return whether the end of a text may be the beginning of a longer word."""
    if codec.level == "char":
        return bool(_typed_characters(text))
    return len(ways(codec, text, 0)) > 1


def _begun(codec: Codec, typed: str) -> NDArray[np.int32]:
    """Return the ids of the tokens that begin with `typed` and are longer."""
    ids = codec.vocabulary.beginning_with(typed)
    return ids[[len(codec.vocabulary.token(int(each))) > len(typed) for each in ids]] if len(ids) else ids


class _Starts(NamedTuple):
    """Distributions of the first token of a continuation, one for each reading of the text.

    scores: (ways, V) joint log probability in nats of the reading and the next id, given the typed text. total: log
    probability of the typed text over all readings, given the ids of the shortest reading.
    """

    ways: list[Way]
    scores: Array
    state: Array
    total: float


def _starts(
    codec: Codec, reader: Reader, text: str, ids: Array, complete: bool, penalty: float
) -> Generator[None, None, _Starts]:
    found = ways(codec, text, len(ids)) if complete else [Way(len(ids), "")]
    read, weight = {}, {}
    so_far = 0.0
    for length in range(min(way.length for way in found), len(ids) + 1):
        rows, state = yield from reader.read(codec.prefix(ids[:length]))
        read[length], weight[length] = (rows[0], state), so_far
        if length < len(ids):
            so_far += float(rows[0, ids[length]]) + penalty * (ids[length] == UNK)
    scores, total = np.full((len(found), len(codec.vocabulary)), -np.inf), -np.inf
    for place, way in enumerate(found):
        row = read[way.length][0].astype(np.float64) + weight[way.length]
        among = _begun(codec, way.typed) if way.typed else slice(None)
        scores[place, among] = row[among]
        total = np.logaddexp(total, np.logaddexp.reduce(row[among]) if way.typed else weight[way.length])
    state = np.concatenate([read[way.length][1] for way in found], axis=-2)
    return _Starts(found, scores - total, state, float(total))


class BegunWord(NamedTuple):
    """The end of a text as an unfinished word.

    tokens: number of last tokens that may be the beginning of a longer word, or 0. nats: surprisal of the text of these
    tokens over all readings. longer: the words that it may become, with their probabilities given the typed text; the
    rest to 1 is the probability that the tokens are complete.
    """

    tokens: int
    nats: float
    longer: list[Continuation]


def begun_word(
    codec: Codec, reader: Reader, text: str, ids: Array, penalty: float = 0.0
) -> Generator[None, None, BegunWord]:
    """Return the words that the end of a text may become, with a model of words; arguments as for `continuations`."""
    starts = yield from _starts(codec, reader, text, ids, complete=True, penalty=penalty)
    longer = []
    for way, scores in zip(starts.ways, starts.scores, strict=True):
        for each in np.flatnonzero(np.isfinite(scores)) if way.typed else []:
            token = codec.vocabulary.token(int(each))
            longer.append(Continuation([token], math.exp(scores[each]), token[len(way.typed) :], way.typed))
    return BegunWord(len(ids) - min(way.length for way in starts.ways), -starts.total, longer)


# --- continuations ------------------------------------------------------------------------------------------------


def continuations(
    codec: Codec,
    reader: Reader,
    text: str,
    ids: Array,
    length: int,
    k: int,
    *,
    prefix: str = "",
    allowed: Iterable[str] | None = None,
    complete: bool = False,
    penalty: float = 0.0,
) -> Continuations:
    """Return the k most probable continuations of `length` tokens by beam search.

    A generator that yields between its steps, so that others can run in the meantime; the result is its return value.

    Args:
        codec: Converts the text to ids.
        reader: Reads the ids.
        text: The context, see `Codec.unfinished`.
        ids: Ids of the text.
        length: Number of tokens; a sentence may end earlier.
        k: Number of continuations.
        prefix: Required beginning of the first token.
        allowed: Tokens that may be the first one.
        complete: Whether the last word may be half typed; probabilities are then given the typed text. A model of
            characters completes the unfinished word, or proposes the next word.
        penalty: Added to ln p(<unk>) to obtain the log probability of a particular unknown word.

    Raises:
        RnnlmError: the arguments cannot be combined.
    """
    if complete and prefix:
        raise RnnlmError("prefix and complete are both given; a half-typed word is its own prefix. Give one of them.")
    if complete and codec.level == "char":
        if length > 1:
            raise RnnlmError("A model of characters completes one word, not several; give a length of 1.")
        return (yield from _words(codec, reader, text, ids, k, allowed))
    starts = yield from _starts(codec, reader, text, ids, complete, penalty)
    admitted = admitted_ids(codec, prefix, allowed)
    if admitted is not None:
        starts.scores[:, ~admitted] = -np.inf
    never, width = codec.never_generated(), max(WIDTH, 2 * k) if length > 1 else k
    beams = yield from beam_steps(reader.model, starts.scores, starts.state, length, width, never, codec.end)
    yield
    return _written(codec, text, len(ids), starts.ways, beams[:k])


def _written(codec: Codec, text: str, count: int, found: list[Way], beams: list[Beam]) -> list[Continuation]:
    """Return beams as continuations: their tokens, and the text that each adds to a text of `count` ids."""
    line = text.rpartition("\n")[2]
    tokens = codec.tokens(line)
    whole = iter(following_texts(codec, line, [beam.ids[0] for beam in beams if not found[beam.start].typed]))
    spacings = {way.length: _spacing(codec, line, tokens[: len(tokens) + way.length - count]) for way in found}
    written = []
    for beam in beams:
        way, added = found[beam.start], [codec.vocabulary.token(each) for each in beam.ids]
        more = added[0][len(way.typed) :] if way.typed else next(whole)
        if len(beam.ids) > 1:
            spacing = copy.deepcopy(spacings[way.length])
            spacing.add(added[0])
            more += "".join("\n" if each == EOS else spacing.add(token)
                            for each, token in zip(beam.ids[1:], added[1:], strict=True))  # fmt: skip
        written.append(Continuation(added, math.exp(beam.score), more, way.typed))
    return written


def _spacing(codec: Codec, line: str, tokens: Iterable[str]) -> Spacing:
    """Return the spacing state after the given tokens of a line."""
    spacing = codec.tokenizer.spacing(line.rstrip())
    for each in tokens:
        spacing.add(each)
    return spacing


def following_texts(codec: Codec, line: str, ids: Iterable[int]) -> list[str]:
    """Return, for each id, the text to append to a line so that the id is its next token."""
    token, tokens = codec.vocabulary.token, codec.tokens(line)
    if not codec.reads_lines:
        return ["\n" if each == EOS else token(each) for each in ids]
    spacing = _spacing(codec, line, tokens)
    return [
        "\n" if each == EOS else _following(codec, line, tokens, spacing.piece(token(each)), token(each))
        for each in ids
    ]


def _following(codec: Codec, line: str, tokens: list[str], piece: str, token: str) -> str:
    """Return the text of a token after a line, spaced so that the tokenizer reads the token back if possible."""
    if codec.level == "char":
        return token
    alone = codec.tokenizer.join([token])
    if not line or line[-1].isspace():
        return alone.lstrip(" ")
    if len(line) > LONGEST_CHECKED:
        return piece
    for form in (piece, f" {alone}", alone):
        if codec.tokens(line + form) == [*tokens, token]:
            return form
    return piece


# --- words from a model of characters -----------------------------------------------------------------------------


def is_word_character(character: str) -> bool:
    """Return whether a character is part of a word in a script that separates words, unlike Chinese.

    >>> [is_word_character(each) for each in "aé7' ,我"]
    [True, True, True, True, False, False, False]
    """
    marks = character in "'’" or unicodedata.category(character).startswith("M")
    return (character.isalnum() or marks) and compiled(WIDE).match(character) is None


@functools.lru_cache(maxsize=8)
def _word_characters(tokens: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return a mask (V,) of the ids of word characters; cached, because every keystroke needs it."""
    return np.array([False] * FIRST + [is_word_character(each[0]) for each in tokens])


def _typed_characters(text: str) -> str:
    """Return the word characters at the end of a text."""
    start = len(text)
    while start and is_word_character(text[start - 1]):
        start -= 1
    return text[start:]


def _words(codec: Codec, reader: Reader, text: str, ids: Array, k: int, allowed: Iterable[str] | None) -> Continuations:
    """Return the k most probable completions of the last word, or else next words, by beam search over characters.

    p(word) is the probability of its characters times the total probability of the characters that can end a word.
    Other characters, such as punctuation or Chinese characters, are candidates by themselves.
    """
    search = _WordSearch(codec, as_read(codec.tokenizer, _typed_characters(text)), k, allowed)
    rows, state = yield from reader.read(codec.prefix(ids))
    for _ in range(LONGEST_WORD):
        parents, last = search.step(rows)
        if not parents:
            break
        yield
        rows, state = reader.model.next_log_probabilities(np.array([last]), np.take(state, parents, axis=-2))
    return search.found


class _WordSearch:
    """Beam search for words: the best words so far, and the prefixes that may still become better ones."""

    def __init__(self, codec: Codec, typed: str, k: int, allowed: Iterable[str] | None) -> None:
        self.found: list[Continuation] = []
        self._growing = [("", 1.0)]  # text to append, and its probability
        self._typed, self._k, self._token = typed, k, codec.vocabulary.token
        self._goes_on = _word_characters(tuple(codec.vocabulary.tokens))
        self._ends = ~self._goes_on
        self._ends[codec.never_generated()] = False
        self._allowed = None if allowed is None else {as_read(codec.tokenizer, each) for each in allowed}
        self._beginnings = {word[:n] for word in self._allowed or () for n in range(1, len(word) + 1)}

    def step(self, rows: Array) -> tuple[list[int], list[int]]:
        """Extend the prefixes by one character.

        rows: log probabilities (B, V) after each prefix. Returns the indices of the prefixes that were extended, and
        the ids that extend them.
        """
        probabilities = np.exp(rows.astype(np.float64)) * np.array([[each] for _, each in self._growing])
        for (more, _), row in zip(self._growing, probabilities, strict=True):
            self._end(more, row)
        self.found = sorted(self.found, key=lambda each: -each.probability)[: self._k]
        probabilities[:, ~self._goes_on] = 0
        grown, parents, last = list[tuple[str, float]](), list[int](), list[int]()
        for place in np.argsort(-probabilities, axis=None, kind="stable"):
            parent, token_id = divmod(int(place), probabilities.shape[1])
            probability = float(probabilities[parent, token_id])
            if len(grown) == max(WIDTH, self._k) or probability <= self._least:
                break
            more = self._growing[parent][0] + self._token(token_id)
            if self._allowed is None or self._typed + more in self._beginnings:
                grown.append((more, probability))
                parents.append(parent)
                last.append(token_id)
        self._growing = grown
        return parents, last

    @property
    def _least(self) -> float:
        """Probability that a new candidate has to exceed."""
        return self.found[-1].probability if len(self.found) == self._k else 0.0

    def _end(self, more: str, row: Array) -> None:
        """Add to `found` the word that ends here, or single characters if none was begun; row (V,): probabilities."""
        if more:
            ended = [Continuation([self._typed + more], float(row[self._ends].sum()), more, self._typed)]
        else:
            number = self._k if self._allowed is None else len(row)
            ids = largest(np.where(self._ends & (row > 0), row, -np.inf), number).tolist()
            single = [("\n" if each == EOS else self._token(each), float(row[each])) for each in ids]
            ended = [Continuation([token], probability, token) for token, probability in single]
        self.found += [each for each in ended if self._allowed is None or each.tokens[0] in self._allowed]
