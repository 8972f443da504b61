"""Generate sentences in which a word determines another one many words later, with a small grammar.

A frame is a sentence with slots. {S} and {O} are two forms of one thing ("I" and "me"): the word that determines the
other one, and the word that is determined. {P} and {Q} are the same two forms of another thing that stands between
them. Every other slot takes any of its fillers. A frame in which all slots but {S} and {O} are filled is a filling. One
filling in ten is held out, with all its choices of {S} and {O}: `sentences` never uses it, and `pairs` uses only these.
"""

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

HELD_OUT = 10  # one in ten fillings is held out

Words = tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """The grammar of a language.

    frames: Pairs of the kind of agreement and the sentence with its slots. forms: Pairs of forms for {S} and {O}, by
    kind. fillers: Fillers of the other slots. space: Separator of words. excluded: Sets of words; no sentence has all
    words of one of them. weights: Number of sentences from each frame in a round, by kind; 1 if missing.
    """

    frames: Sequence[tuple[str, str]]
    forms: Mapping[str, Sequence[tuple[str, str]]]
    fillers: Mapping[str, Sequence[str]]
    space: str
    excluded: Sequence[frozenset[str]] = ()
    weights: Mapping[str, int] = field(default_factory=dict)


class Pair(NamedTuple):
    """Two sentences that differ in one word; `good` is right. distance: Words back from {O} to {S}."""

    good: Words
    bad: Words
    distance: int
    kind: str


class _Filling(NamedTuple):
    """A filling of a frame. between: Index of the forms of {P} or {Q}; None if the frame has neither."""

    kind: str
    words: Words
    between: int | None

    @property
    def held_out(self) -> bool:
        return zlib.crc32(" ".join(self.words).encode()) % HELD_OUT == 0

    def sentence(self, grammar: Grammar, deciding: int, decided: int) -> Words:
        forms = grammar.forms[self.kind]
        found = {"{S}": forms[deciding][0], "{O}": forms[decided][1]}
        return tuple(" ".join(found.get(word, word) for word in self.words).split(" "))

    def pair(self, grammar: Grammar, right: int, wrong: int) -> Pair:
        distance = self.words.index("{O}") - self.words.index("{S}")
        good, bad = (self.sentence(grammar, right, decided) for decided in (right, wrong))
        return Pair(good, bad, distance, self.kind)


def sentences(grammar: Grammar, number: int, seed: int = 1) -> list[Words]:
    """Generate different sentences from fillings that are not held out, with each frame as often as its weight."""
    found: dict[Words, None] = {}
    for filling, rng in _fillings(grammar, seed):
        if not filling.held_out:
            deciding = _another(rng, grammar.forms[filling.kind], filling.between)
            found[filling.sentence(grammar, deciding, deciding)] = None
        if len(found) == number:
            break
    return list(found)


def pairs(grammar: Grammar, number: int, seed: int = 1) -> list[Pair]:
    """Generate minimal pairs from held-out fillings, about equally many of each frame, regardless of weights.

    The wrong sentence has the form of another thing, namely of {P} or {Q} if the frame has one. Otherwise, each pair is
    followed by a second one in which the two forms are exchanged, so that a model that does not see {S} is right in
    exactly half of them. As these pairs are not separated, there may be one pair more than `number`.
    """
    found: dict[Pair, None] = {}
    for filling, rng in _fillings(replace(grammar, weights={}), seed):
        if not filling.held_out:
            continue
        forms = grammar.forms[filling.kind]
        first = _another(rng, forms, filling.between)
        if filling.between is None:
            second = _another(rng, forms, first)
            found[filling.pair(grammar, first, second)] = found[filling.pair(grammar, second, first)] = None
        else:
            found[filling.pair(grammar, first, filling.between)] = None
        if len(found) >= number:
            break
    return list(found)


def written(words: Sequence[str], space: str) -> str:
    """Join words to a sentence: Chinese without spaces, English with a capital letter and no space before marks."""
    pieces = [words[0][:1].upper() + words[0][1:]]
    for before, word in pairwise(words):
        tight = not space or word in ",.?!”" or before == "“"
        pieces.append(word if tight else space + word)
    return "".join(pieces)


def _fillings(grammar: Grammar, seed: int) -> Iterator[tuple[_Filling, np.random.Generator]]:
    """Yield random fillings of the frames in turn, without end."""
    rng = np.random.default_rng(seed)
    while True:
        for kind, text in itertools.chain(*([frame] * grammar.weights.get(frame[0], 1) for frame in grammar.frames)):
            forms = grammar.forms[kind]
            between = int(rng.integers(len(forms))) if "{P}" in text or "{Q}" in text else None
            slots = {"P": forms[between][0], "Q": forms[between][1]} if between is not None else {}
            for name, fillers in grammar.fillers.items():
                slots[name] = fillers[int(rng.integers(len(fillers)))]
            words = tuple(text.format(S="{S}", O="{O}", **slots).split(" "))
            if not any(each <= set(words) for each in grammar.excluded):
                yield _Filling(kind, words, between), rng


def _another(rng: np.random.Generator, forms: Sequence[tuple[str, str]], place: int | None) -> int:
    """Choose the index of forms that neither equal nor contain those at `place`, nor are contained in them."""
    if place is None:
        return int(rng.integers(len(forms)))
    alike = (any(a in b or b in a for a, b in zip(each, forms[place], strict=True)) for each in forms)
    return int(rng.choice([number for number, same in enumerate(alike) if not same]))
