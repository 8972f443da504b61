"""Sentences in which a word decides another one many words later, made by a small grammar in Chinese or English.

A frame is a sentence with slots. {S} and {O} are two forms of one thing ("I" and "me"): the word that decides and the
one that is decided. {P} and {Q} are the same forms of another thing that stands between them. Every other slot holds
any of its fillers. A frame whose slots are filled, but for {S} and {O}, is a filling. One filling in ten is held out,
whichever word decides in it: `sentences` never makes a sentence of it, and `pairs` makes minimal pairs of it.
"""

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

HELD_OUT = 10  # one filling in so many

Words = tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """The sentences of a language.

    frames: (kind of agreement, the sentence with its slots). forms: for each kind the forms of {S} and {O}.
    fillers: of the other slots. space: what stands between words. excluded: sentences with all words of one of these
    are not made. weights: how many sentences are made of a frame of a kind, where it is not one.
    """

    frames: Sequence[tuple[str, str]]
    forms: Mapping[str, Sequence[tuple[str, str]]]
    fillers: Mapping[str, Sequence[str]]
    space: str
    excluded: Sequence[frozenset[str]] = ()
    weights: Mapping[str, int] = field(default_factory=dict)


class Pair(NamedTuple):
    """Two sentences that differ in one word; the first is right. distance: words back to the one that decides."""

    good: Words
    bad: Words
    distance: int
    kind: str


class _Filling(NamedTuple):
    """A filling. between: place among the forms of what {P} or {Q} is; None where the frame has neither."""

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
    """Different sentences of the part of the grammar that is not held out, each frame as often as its weight."""
    found: dict[Words, None] = {}
    for filling, rng in _fillings(grammar, seed):
        if not filling.held_out:
            deciding = _another(rng, grammar.forms[filling.kind], filling.between)
            found[filling.sentence(grammar, deciding, deciding)] = None
        if len(found) == number:
            break
    return list(found)


def pairs(grammar: Grammar, number: int, seed: int = 1) -> list[Pair]:
    """Minimal pairs of held-out sentences, about as many of each frame whatever its weight.

    The wrong one has the form of another thing: of the one in between where there is one. Where there is none, each
    pair is followed by its twin, in which right and wrong have changed places, so that a model that does not see the
    deciding word is right in exactly half of them. There may be one pair more than `number`: no twin is cut off.
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
    """Words as a text is written: Chinese without spaces, English with a capital letter and tight punctuation."""
    pieces = [words[0][:1].upper() + words[0][1:]]
    for before, word in pairwise(words):
        tight = not space or word in ",.?!”" or before == "“"
        pieces.append(word if tight else space + word)
    return "".join(pieces)


def _fillings(grammar: Grammar, seed: int) -> Iterator[tuple[_Filling, np.random.Generator]]:
    """Fillings without end, frame after frame."""
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
    """Place of other forms than those at a place: neither of them is the same as, or a part of, the other one."""
    if place is None:
        return int(rng.integers(len(forms)))
    alike = (any(a in b or b in a for a, b in zip(each, forms[place], strict=True)) for each in forms)
    return int(rng.choice([number for number, same in enumerate(alike) if not same]))
