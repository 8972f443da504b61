"""How a text may go on: the next tokens, several ahead, and the end of a word that is half typed.

The last word of a text may be whole or only begun: "And the LORD sa" may go on with said, saw or sat, and after
"the cat" may come "sat" as well as "cattle" in its place. Every way to read the end of the text has its probability,

    p(whole)  = p(cat | the)                    what follows: p(next | the cat)
    p(begun)  = sum of p(w | the)               over the words w that begin with "cat" and go on

so what is offered is ranked by its probability given the letters that were typed.
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
from rnnlm.text.letter_case import as_read
from rnnlm.text.tokenizers import WIDE, Spacing, spans
from rnnlm.text.vocabulary import EOS, FIRST, SPECIALS, UNK
from rnnlm.text.word_rules import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TOKENS = 4  # at the end of a text that may together be the beginning of one
WIDTH, LONGEST_WORD = 32, 40  # of the beam, at least; characters
LONGEST_CHECKED = 256  # characters of a line up to which it is tried how a candidate is read after it

Continuations = Generator[None, None, list[Continuation]]


class Reader(Protocol):
    """What reads texts and remembers them; an `inference.prefixes.PrefixReader`."""

    model: SequenceModel

    def read(self, ids: Array) -> Generator[None, None, tuple[Array, Array]]:
        """Log probabilities of what follows ids (n,), n > 0, as (1, V), and the state."""


def check_counts(**numbers: Any) -> None:
    """Refuse numbers of things that are not at least one.

    Raises:
        RnnlmError: naming the argument.
    """
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise RnnlmError(f"{name} is {shown(number)}; expected a whole number from 1 on.")


# --- the next token -----------------------------------------------------------------------------------------------


def best(codec: Codec, log_probabilities: NDArray[Any], k: int) -> list[int]:
    """The k most probable ids of a distribution (V,), the most probable first; not <s>, nor <unk> if no text."""
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
    """The k most probable ids of those whose tokens begin with a prefix and are allowed, given all of V."""
    admitted = admitted_ids(codec, prefix, allowed)
    if admitted is None:
        return best(codec, log_probabilities, k)
    admitted[[i for i in codec.never_generated() if i != EOS]] = False
    return _first(np.where(admitted, log_probabilities, -np.inf), min(k, int(admitted.sum())))


def candidates(codec: Codec, log_probabilities: NDArray[Any], ids: Iterable[int]) -> list[Candidate]:
    """Tokens of ids with their probabilities, given all of V."""
    return [Candidate(codec.vocabulary.token(each), math.exp(log_probabilities[each])) for each in ids]


def admitted_ids(codec: Codec, prefix: str, allowed: Iterable[str] | None) -> NDArray[np.bool_] | None:
    """Which ids (V,) begin with a prefix and are among the allowed; None: all.

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


# --- the ways to read the end of a text ---------------------------------------------------------------------------


class Way(NamedTuple):
    """A way to read the end of a text: after so many of its ids comes a token that begins with what was typed."""

    length: int
    typed: str


def ways(codec: Codec, text: str, count: int) -> list[Way]:
    """The ways to read a text of `count` ids: that its last token is whole, and those in which a word is only begun.

    A word may begin at each of the last tokens between which there is no white space: "don'" is don and ' or the
    beginning of don't. Pieces of words are always read as whole.
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
    """Whether the end of a text may be the beginning of a longer word."""
    if codec.level == "char":
        return bool(_typed_characters(text))
    return len(ways(codec, text, 0)) > 1


def _begun(codec: Codec, typed: str) -> NDArray[np.int32]:
    """Ids of the tokens that begin with what was typed and go on."""
    ids = codec.vocabulary.beginning_with(typed)
    return ids[[len(codec.vocabulary.token(int(each))) > len(typed) for each in ids]] if len(ids) else ids


class _Starts(NamedTuple):
    """Where continuations begin, each after a way of reading.

    scores: (ways, V) log probability of the next id in nats, together with the way, given what was typed. total: that
    of what was typed, all ways together, after what the shortest of them leaves.
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
    """The end of a text as the beginning of a word: its last tokens, none if they are no beginning of another.

    nats: surprise that the text before them goes on with what was typed. longer: the words that it may become, with
    their probabilities given what was typed; what they lack of one is that of the tokens as they are.
    """

    tokens: int
    nats: float
    longer: list[Continuation]


def begun_word(
    codec: Codec, reader: Reader, text: str, ids: Array, penalty: float = 0.0
) -> Generator[None, None, BegunWord]:
    """What the end of a text may become, for a model whose tokens are words; arguments as for `continuations`."""
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
    """The k most probable continuations of `length` tokens that a beam finds; stops on its way for others.

    Args:
        codec: How the text becomes ids.
        reader: Reads them.
        text: What it depends on, see `Codec.unfinished`.
        ids: The text's.
        length: Tokens; a sentence may end before.
        k: Number of continuations.
        prefix: The first token begins with it.
        allowed: The first token is one of these.
        complete: The last word may be half typed; probabilities are given what was typed. A model of characters
            completes the word that was begun, or gives the next one.
        penalty: What to add to ln p(<unk>) for one certain unknown word.

    Raises:
        RnnlmError: a combination that has no meaning.
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
    """Beams with their tokens and the text that they add to a text of `count` ids."""
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
    """The spacing of a line after some of its tokens, which are written as they stand there."""
    spacing = codec.tokenizer.spacing(line.rstrip())
    for each in tokens:
        spacing.add(each)
    return spacing


def following_texts(codec: Codec, line: str, ids: Iterable[int]) -> list[str]:
    """What has to be appended to a line so that each id is its next token."""
    token, tokens = codec.vocabulary.token, codec.tokens(line)
    if not codec.reads_lines:
        return ["\n" if each == EOS else token(each) for each in ids]
    spacing = _spacing(codec, line, tokens)
    return [
        "\n" if each == EOS else _following(codec, line, tokens, spacing.piece(token(each)), token(each))
        for each in ids
    ]


def _following(codec: Codec, line: str, tokens: list[str], piece: str, token: str) -> str:
    """A token after a line: as it is usually written, or the other way if only so it is read as itself."""
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


# --- words of a model of characters -------------------------------------------------------------------------------


def is_word_character(character: str) -> bool:
    """Whether a character is a part of a word that others follow; not Chinese, whose words have no marked end.

    >>> [is_word_character(each) for each in "aé7' ,我"]
    [True, True, True, True, False, False, False]
    """
    marks = character in "'’" or unicodedata.category(character).startswith("M")
    return (character.isalnum() or marks) and compiled(WIDE).match(character) is None


@functools.lru_cache(maxsize=8)
def _word_characters(tokens: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which ids (V,) are word characters; looked up under every key that is typed."""
    return np.array([False] * FIRST + [is_word_character(each[0]) for each in tokens])


def _typed_characters(text: str) -> str:
    """The beginning of a word at the end of a text."""
    start = len(text)
    while start and is_word_character(text[start - 1]):
        start -= 1
    return text[start:]


def _words(codec: Codec, reader: Reader, text: str, ids: Array, k: int, allowed: Iterable[str] | None) -> Continuations:
    """The k most probable words that the last characters may become, or that come next, by beam search.

    p(word) is that of its characters times that of all that ends it, so words are not told apart by what follows them.
    What is no part of a word, such as a mark or a Chinese character, is a candidate by itself.
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
    """The words that were found, and the beginnings that may become better ones."""

    def __init__(self, codec: Codec, typed: str, k: int, allowed: Iterable[str] | None) -> None:
        self.found: list[Continuation] = []
        self._growing = [("", 1.0)]  # what is to be appended, and its probability
        self._typed, self._k, self._token = typed, k, codec.vocabulary.token
        self._goes_on = _word_characters(tuple(codec.vocabulary.tokens))
        self._ends = ~self._goes_on
        self._ends[codec.never_generated()] = False
        self._allowed = None if allowed is None else {as_read(codec.tokenizer, each) for each in allowed}
        self._beginnings = {word[:n] for word in self._allowed or () for n in range(1, len(word) + 1)}

    def step(self, rows: Array) -> tuple[list[int], list[int]]:
        """Take in the log probabilities (B, V) after each beginning; return which of them go on, and with which ids."""
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
        """The probability below which nothing is a candidate any more."""
        return self.found[-1].probability if len(self.found) == self._k else 0.0

    def _end(self, more: str, row: Array) -> None:
        """Take in the ends of a word, or what follows the text if none is begun, with probabilities (V,)."""
        if more:
            ended = [Continuation([self._typed + more], float(row[self._ends].sum()), more, self._typed)]
        else:
            number = self._k if self._allowed is None else len(row)
            ids = largest(np.where(self._ends & (row > 0), row, -np.inf), number).tolist()
            single = [("\n" if each == EOS else self._token(each), float(row[each])) for each in ids]
            ended = [Continuation([token], probability, token) for token, probability in single]
        self.found += [each for each in ended if self._allowed is None or each.tokens[0] in self._allowed]
