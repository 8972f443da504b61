"""Pinyin: parse lines of pinyin into syllables, and look up the readings of characters and words.

A run of letters is cut into syllables in every way that covers it: xian is both xian and xi an. Spaces and apostrophes
separate syllables; ü may be written v; a tone is a digit from 1 to 5 after the syllable or a mark on a vowel, and may
be missing. Anything that is not pinyin is text.

The readings come from pypinyin: its dictionary of characters, and its dictionary of phrases, which shows how common
each reading of a character is.
"""

import functools
import itertools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rnnlm.errors import TokenizerError

Reading = tuple[str, int]  # a syllable without its tone, with ü as v; the tone from 1 to 5, where 5 is neutral

NEUTRAL = 5
MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_LETTER = "[A-Za-z\u00c0-\u00ff\u0100-\u01dc\u01f8\u01f9\u0300\u0301\u0304\u0308\u030c]"
_SPELT = f"{_LETTER}+(?:[1-5](?![0-9]))?"
_RUN = re.compile(f"{_SPELT}(?:['’]?{_SPELT})*")
_NO_SYLLABLES = {"m", "n", "ng", "hm", "hng", "ê"}  # sounds such as 嗯, written en
_MORE_READINGS = {"嗯": ("en", NEUTRAL)}
_ALIASES = {"lue": "lve", "nue": "nve", "jv": "ju", "qv": "qu", "xv": "xu", "yv": "yu"}
MOST_READINGS = 64  # of a word; if its characters have more, each has its most probable reading only
FIRST_SHARE = 0.5  # of the probability that is given to the first reading of a character in the dictionary
LEAST_SHARE = 0.01  # smallest probability of a reading that makes a character a homophone of others
UNSEEN = 0.01  # added to the count of each reading in phrases


class Syllable(NamedTuple):
    """A syllable that spans the places `start` to `end` of a line; tone 0 if none is given."""

    start: int
    end: int
    base: str
    tone: int


class Text(NamedTuple):
    """A part of a line that is not pinyin; it spans one place."""

    start: int
    end: int
    text: str


class Spelling(NamedTuple):
    """A parsed line: places from 0 to `length`, all possible syllables between them, and the texts."""

    length: int
    syllables: list[Syllable]
    texts: list[Text]


# --- lines --------------------------------------------------------------------------------------------------------


def spelling(line: str) -> Spelling:
    """Parse a line. White space is kept only between two texts.

    >>> [syllable.base for syllable in spelling("xian").syllables]
    ['xi', 'xian', 'an']
    >>> spelling("wo3 yong GitHub!").texts
    [Text(start=6, end=7, text='GitHub'), Text(start=7, end=8, text='!')]
    """
    parts = [(part, *(_syllables(part) if _RUN.fullmatch(part) else ([], 0))) for part in _parts(line)]
    spoken = [True, *(bool(syllables) for _, syllables, _ in parts), True]  # the ends of the line count as pinyin
    place, found = 0, Spelling(0, [], [])
    for number, (part, syllables, length) in enumerate(parts):
        if syllables:
            found.syllables.extend(each._replace(start=place + each.start, end=place + each.end) for each in syllables)
            place += length
            continue
        text = part.lstrip() if spoken[number] else part
        text = text.rstrip() if spoken[number + 2] else text
        if text:
            found.texts.append(Text(place, place + 1, text))
            place += 1
    return found._replace(length=place)


def _parts(line: str) -> Iterator[str]:
    """Yield the runs of letters and the strings between them, which include white space."""
    end = 0
    for run in _RUN.finditer(line):
        yield from filter(None, [line[end : run.start()]])
        yield run[0]
        end = run.end()
    yield from filter(None, [line[end:]])


def _syllables(run: str) -> tuple[list[Syllable], int]:
    """Return all possible syllables of a run of letters, and its length; ([], ...) if it cannot be cut."""
    letters, tones, edges = _letters(run)
    if run.isupper() or letters is None:
        return [], 0
    found, known, longest = list[Syllable](), bases(), max(map(len, bases()))
    stops = iter([*edges, len(letters)])
    stop = 0  # the next edge, which no syllable crosses
    for start in range(len(letters)):
        apart = start == stop  # such as after an apostrophe
        while stop <= start:
            stop = next(stops)
        for end in range(start + 1, min(start + longest, stop) + 1):
            given = [each for each in tones[start:end] if each]
            base = _ALIASES.get(letters[start:end], letters[start:end])
            # "o" is a syllable only by itself: hao is not ha o.
            if base in known and len(given) < 2 and (apart or base != "o"):
                found.append(Syllable(start, end, base, given[0] if given else 0))
    return _covering(found, len(letters)), len(letters)


def _letters(run: str) -> tuple[str | None, list[int], list[int]]:
    """Return the plain letters of a run, the tone at each, and the edges given by tones and apostrophes.

    The letters are None if the run has others than a to z and ü.
    """
    letters, tones, edges = "", list[int](), list[int]()
    for character in unicodedata.normalize("NFD", run.lower()):
        if character in MARKS and letters:
            tones[-1] = MARKS[character]
        elif character == "\u0308" and letters.endswith("u"):
            letters = letters[:-1] + "v"
        elif character.isdigit():
            tones[-1] = int(character)
            edges.append(len(letters))
        elif character in "'’":
            edges.append(len(letters))
        elif "a" <= character <= "z":
            letters += character
            tones.append(0)
        else:
            return None, [], []
    return letters, tones, edges


def _covering(syllables: list[Syllable], length: int) -> list[Syllable]:
    """Return the syllables that are part of a sequence that covers the whole run."""
    reached, leading = {0}, {length}
    for each in syllables:  # in the order of their starts
        if each.start in reached:
            reached.add(each.end)
    for each in reversed(syllables):
        if each.end in leading:
            leading.add(each.start)
    return [each for each in syllables if each.start in reached and each.end in leading]


# --- readings -----------------------------------------------------------------------------------------------------


def require_pypinyin() -> None:
    """Check that pypinyin is installed.

    Raises:
        TokenizerError: It is not installed.
    """
    try:
        import pypinyin  # noqa: F401
    except ImportError:
        raise TokenizerError(
            "Pinyin and homophones need the package pypinyin, which is not installed; pip install 'rnnlm-cli[pinyin]' "
            "brings it."
        ) from None


@functools.cache
def _read(marked: str) -> Reading:
    """Parse a syllable with a tone mark as pypinyin writes it.

    >>> _read("lǜ"), _read("de")
    (('lv', 4), ('de', 5))
    """
    base, tone = "", NEUTRAL
    for character in unicodedata.normalize("NFD", marked):
        if character == "\u0308":
            base = base[:-1] + "v"
        elif character in MARKS:
            tone = MARKS[character]
        else:
            base += character
    return unicodedata.normalize("NFC", base), tone


@functools.cache
def _phrases() -> dict[str, list[list[str]]]:
    require_pypinyin()
    from pypinyin.constants import PHRASES_DICT

    return PHRASES_DICT


@functools.cache
def _counts() -> dict[str, Counter[str]]:
    """Count the toneless readings of each character in the dictionary of phrases."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for phrase, readings in _phrases().items():
        for character, marked in zip(phrase, readings, strict=False):
            if marked:
                counts[character][_read(marked[0])[0]] += 1
    return counts


@functools.cache
def _characters() -> dict[str, list[Reading]]:
    """Return all readings of each character, the usual one first."""
    require_pypinyin()
    from pypinyin.constants import PINYIN_DICT

    found = {}
    for code, marked in PINYIN_DICT.items():
        character = chr(code)
        readings = [reading for each in marked.split(",") if (reading := _read(each))[0] not in _NO_SYLLABLES]
        if character in _MORE_READINGS:
            readings.insert(0, _MORE_READINGS[character])
        if readings:
            found[character] = readings
    return found


@functools.cache
def bases() -> frozenset[str]:
    """Return all syllables without their tones."""
    return frozenset(base for readings in _characters().values() for base, _ in readings)


@functools.cache
def shares(character: str) -> dict[str, float]:
    """Estimate the probability of each toneless reading of a character; they sum to one. {} for an unknown character.

    Half of the probability is distributed by the counts in pypinyin's phrases; the first reading gets the other half.
    """
    known = list(dict.fromkeys(base for base, _ in _characters().get(character, [])))
    counts = _counts().get(character, Counter())
    total = sum(counts[base] + UNSEEN for base in known)
    return {
        base: (1 - FIRST_SHARE) * (counts[base] + UNSEEN) / total + FIRST_SHARE * (place == 0)
        for place, base in enumerate(known)
    }


def word_readings(word: str) -> list[tuple[tuple[str, ...], float]]:
    """Return the readings of a word, as toneless syllables, with the natural logarithm of their probability.

    The list is empty if the word is not Chinese.
    """
    if not all(character in _characters() for character in word):
        return []
    phrase = _phrases().get(word) if len(word) > 1 else None
    if phrase and len(phrase) == len(word) and all(phrase):
        return [(tuple(_read(marked[0])[0] for marked in phrase), 0.0)]
    ways = [shares(character) for character in word]
    if math.prod(map(len, ways)) > MOST_READINGS:
        ways = [{max(each, key=each.__getitem__): 1.0} for each in ways]
    return [
        (tuple(base for base, _ in way), math.log(math.prod(share for _, share in way)))
        for way in itertools.product(*(each.items() for each in ways))
    ]


def tones(character: str, base: str) -> set[int]:
    """Return the tones of a character that is read as a toneless syllable; the neutral tone is always included."""
    return {tone for each, tone in _characters().get(character, []) if each == base} | {NEUTRAL}


@functools.cache
def usual_character(base: str) -> str:
    """Return the character that has this reading most often in phrases, for a model that knows no such character."""
    known = [character for character, readings in _characters().items() if any(base == each for each, _ in readings)]
    return max(known, key=lambda character: _counts().get(character, Counter())[base])


class Homophones:
    """Characters with the same reading, regardless of tone; very rare readings are ignored."""

    def __init__(self, characters: Iterable[str]) -> None:
        """Index the characters that `of` may return.

        Raises:
            TokenizerError: pypinyin is not installed.
        """
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for character in characters:
            for base in _usual(character):
                self._by_base[base].append(character)

    def of(self, text: str) -> dict[str, str]:
        """Return for each character of a text the characters with the same reading."""
        return {
            character: "".join(each for base in _usual(character) for each in self._by_base.get(base, ()))
            for character in set(text)
        }


def _usual(character: str) -> list[str]:
    return [base for base, share in shares(character).items() if share >= LEAST_SHARE]


# --- words by their readings --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A word in one of its readings, with the natural logarithm of the reading's probability."""

    text: str
    log_share: float


@dataclass
class _Node:
    """A node of the tree: the words with the reading up to here, and the nodes of the next syllables."""

    words: list[Word] = field(default_factory=list)
    next: dict[str, "_Node"] = field(default_factory=dict)


class Readings:
    """Words indexed by their readings, as a prefix tree of syllables."""

    def __init__(self, words: Iterable[str]) -> None:
        """Index the Chinese words among `words`.

        Raises:
            TokenizerError: pypinyin is not installed.
        """
        self._root = _Node()
        for word in words:
            for syllables, log_share in word_readings(word):
                node = self._root
                for base in syllables:
                    node = node.next.setdefault(base, _Node())
                node.words.append(Word(word, log_share))

    def matches(self, spelt: Spelling) -> Iterator[tuple[int, int, Word]]:
        """Yield (start, end, word) for every word that matches consecutive syllables of a line.

        A syllable that no word of one character fits yields words of another tone, or else its usual character, so that
        a path through the line always exists.
        """
        at: dict[int, list[Syllable]] = defaultdict(list)
        for syllable in spelt.syllables:
            at[syllable.start].append(syllable)
        for start in at:
            yield from _walk(self._root, start, (), at)
        for syllable in spelt.syllables:
            node = self._root.next.get(syllable.base)
            if node is None or not any(_fits(word, (syllable,)) for word in node.words):
                words = node.words if node and node.words else [Word(usual_character(syllable.base), 0.0)]
                yield from ((syllable.start, syllable.end, word) for word in words)


def _walk(
    node: _Node, place: int, before: tuple[Syllable, ...], at: dict[int, list[Syllable]]
) -> Iterator[tuple[int, int, Word]]:
    for syllable in at.get(place, ()):
        further = node.next.get(syllable.base)
        if further is None:
            continue
        read = (*before, syllable)
        yield from ((read[0].start, syllable.end, word) for word in further.words if _fits(word, read))
        if further.next:
            yield from _walk(further, syllable.end, read, at)


def _fits(word: Word, syllables: tuple[Syllable, ...]) -> bool:
    """Return whether the characters of a word may have the tones given in the syllables."""
    return all(
        not syllable.tone or syllable.tone in tones(character, syllable.base)
        for character, syllable in zip(word.text, syllables, strict=True)
    )
