"""Word and character error rates: edit distances to references, summed over lines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rnnlm.text.letter_case import lower_case

# Scripts that are written without spaces: a space next to them comes from tokenization and is not counted.
_WIDE = "[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
_BESIDE_WIDE = re.compile(rf"(?<={_WIDE})\s+|\s+(?={_WIDE})")
_WIDE_CHARACTER = re.compile(_WIDE)
_MARKS = ("<s>", "</s>")


class ErrorCount(NamedTuple):
    """Numbers of word and character errors of a text: substitutions, deletions and insertions."""

    words: int
    characters: int


@dataclass
class ErrorRates:
    """Word and character errors summed over lines.

    Attributes:
        lines: Number of lines.
        words, characters: Number of words and characters of the references.
        word_errors, character_errors: Number of errors of the hypotheses.
    """

    lines: int = 0
    words: int = 0
    characters: int = 0
    word_errors: int = 0
    character_errors: int = 0

    def add(self, reference: Reference, errors: ErrorCount) -> None:
        """Add a line's reference and errors."""
        self.lines += 1
        self.words += len(reference.words)
        self.characters += len(reference.characters)
        self.word_errors += errors.words
        self.character_errors += errors.characters

    @property
    def word_error_rate(self) -> float:
        """Word errors divided by the number of words of the references; nan if that is 0."""
        return self.word_errors / self.words if self.words else math.nan

    @property
    def character_error_rate(self) -> float:
        """Character errors divided by the number of characters of the references; nan if that is 0."""
        return self.character_errors / self.characters if self.characters else math.nan


def words_of(text: str) -> list[str]:
    """Split a text at spaces, without <s> and </s> at its ends.

    >>> words_of("<s> In the  beginning </s>")
    ['In', 'the', 'beginning']
    """
    words = text.split()
    while words and words[0] in _MARKS:
        del words[0]
    while words and words[-1] in _MARKS:
        del words[-1]
    return words


def characters_of(words: Iterable[str]) -> str:
    """Join words with spaces, except next to Chinese and Japanese characters.

    >>> characters_of(["我", "昨天", "go", "home"])
    '我昨天go home'
    """
    return _BESIDE_WIDE.sub("", " ".join(words))


class Reference:
    """A reference text to compare hypotheses with; letter case is ignored if `lowercase`."""

    def __init__(self, text: str, lowercase: bool = False) -> None:
        self._lowercase = lowercase
        self.words = self._words(text)
        self.characters = characters_of(self.words)
        self._to_words, self._to_characters = distance_to(self.words), distance_to(self.characters)
        self._known: dict[tuple[str, ...], ErrorCount] = {}

    def errors(self, text: str) -> ErrorCount:
        """Count the errors of a hypothesis."""
        words = self._words(text)
        key = tuple(words)
        if key not in self._known:
            self._known[key] = ErrorCount(self._to_words(words), self._to_characters(characters_of(words)))
        return self._known[key]

    def _words(self, text: str) -> list[str]:
        return words_of(lower_case(text) if self._lowercase else text)


def is_unspaced(texts: Iterable[str]) -> bool:
    """Return whether most characters are of scripts without spaces, for which errors are counted in characters."""
    wide = characters = 0
    for text in texts:
        wide += len(_WIDE_CHARACTER.findall(text))
        characters += len("".join(text.split()))
    return 2 * wide > characters


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return the least number of insertions, deletions and substitutions that turn one sequence into the other.

    >>> edit_distance("a b c d".split(), "a x c".split())
    2
    """
    return distance_to(one)(other)


def distance_to(reference: Sequence[Hashable]) -> Callable[[Sequence[Hashable]], int]:
    """Return a function that computes the edit distance of a sequence to a reference.

    Columns of the Wagner-Fischer table are stored as bits of integers, which say where an entry is one more, or one
    less, than the entry above it (Myers 1999, "A fast bit-vector algorithm for approximate string matching", as revised
    by Hyyro 2003). A step costs a few operations on integers with as many bits as the reference has tokens.
    """
    masks: dict[Hashable, int] = {}
    for place, token in enumerate(reference):
        masks[token] = masks.get(token, 0) | 1 << place
    size, full, top = len(reference), (1 << len(reference)) - 1, 1 << len(reference) >> 1

    def distance(other: Sequence[Hashable]) -> int:
        if not size:
            return len(other)
        more, less, found = full, 0, size  # vertical differences of the column, and its last entry
        for token in other:
            equal = masks.get(token, 0)
            diagonal = ((((equal & more) + more) ^ more) | equal | less) & full
            right = less | (full & ~(diagonal | more))  # horizontal differences: one more, one less
            left = more & diagonal
            found += bool(right & top) - bool(left & top)
            right = (right << 1 | 1) & full
            left = left << 1 & full
            more = left | (full & ~(diagonal | right))
            less = right & diagonal
        return found

    return distance
