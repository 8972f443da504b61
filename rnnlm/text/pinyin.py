"""Pinyin: what syllables a line may be, and how a word may be read.

Syllables are cut in every way that covers all of a run of letters: xian is xian and xi an. A space or an apostrophe
stands between syllables; ü is also written v; a tone is a digit from 1 to 5 after the syllable or a mark on a vowel,
and may be missing. What is no pinyin is text.

The readings are those of pypinyin: its dictionary of characters, and that of phrases, which says how common each
reading of a character is.
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

Reading = tuple[str, int]  # a syllable without its tone, ü as v, and the tone from 1 to 5, which is none

NEUTRAL = 5
MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_LETTER = "[A-Za-z\u00c0-\u00ff\u0100-\u01dc\u01f8\u01f9\u0300\u0301\u0304\u0308\u030c]"
_SPELT = f"{_LETTER}+(?:[1-5](?![0-9]))?"
_RUN = re.compile(f"{_SPELT}(?:['’]?{_SPELT})*")
_NO_SYLLABLES = {"m", "n", "ng", "hm", "hng", "ê"}  # sounds such as 嗯, written en
_MORE_READINGS = {"嗯": ("en", NEUTRAL)}
_ALIASES = {"lue": "lve", "nue": "nve", "jv": "ju", "qv": "qu", "xv": "xu", "yv": "yu"}
MOST_READINGS = 64  # of a word whose characters have several
FIRST_SHARE = 0.5  # of the probability of a character's readings that the first in the dictionary has by itself
LEAST_SHARE = 0.01  # of a reading by which a character is a homophone of others
UNSEEN = 0.01  # times that a reading is counted that no phrase has


class Syllable(NamedTuple):
    """A syllable of a line, from a place to a later one; tone 0: none is given."""

    start: int
    end: int
    base: str
    tone: int


class Text(NamedTuple):
    """A part of a line that is no pinyin, from a place to the next one."""

    start: int
    end: int
    text: str


class Spelling(NamedTuple):
    """A line: places from 0 to `length`, the syllables that it may be, and the texts between them."""

    length: int
    syllables: list[Syllable]
    texts: list[Text]


# --- lines --------------------------------------------------------------------------------------------------------


def spelling(line: str) -> Spelling:
    """Read a line. White space stays only between two texts.

    >>> [syllable.base for syllable in spelling("xian").syllables]
    ['xi', 'xian', 'an']
    >>> spelling("wo3 yong GitHub!").texts
    [Text(start=6, end=7, text='GitHub'), Text(start=7, end=8, text='!')]
    """
    parts = [(part, *(_syllables(part) if _RUN.fullmatch(part) else ([], 0))) for part in _parts(line)]
    spoken = [True, *(bool(syllables) for _, syllables, _ in parts), True]  # the ends are as pinyin
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
    """Runs of letters, and what stands between them, with the white space around it."""
    end = 0
    for run in _RUN.finditer(line):
        yield from filter(None, [line[end : run.start()]])
        yield run[0]
        end = run.end()
    yield from filter(None, [line[end:]])


def _syllables(run: str) -> tuple[list[Syllable], int]:
    """All syllables that a run of letters may be cut into, and its length; none if it cannot be cut."""
    letters, tones, edges = _letters(run)
    if run.isupper() or letters is None:
        return [], 0
    found, known, longest = list[Syllable](), bases(), max(map(len, bases()))
    stops = iter([*edges, len(letters)])
    stop = 0  # the next place over which no syllable goes
    for start in range(len(letters)):
        apart = start == stop  # as after an apostrophe
        while stop <= start:
            stop = next(stops)
        for end in range(start + 1, min(start + longest, stop) + 1):
            given = [each for each in tones[start:end] if each]
            base = _ALIASES.get(letters[start:end], letters[start:end])
            # hao is not ha and 哦
            if base in known and len(given) < 2 and (apart or base != "o"):
                found.append(Syllable(start, end, base, given[0] if given else 0))
    return _covering(found, len(letters)), len(letters)


def _letters(run: str) -> tuple[str | None, list[int], list[int]]:
    """Plain letters of a run, the tone at each, and the places between syllables; no letters if they are none."""
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
    """Those from which a whole run can be made."""
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
    """Find out whether pypinyin is there.

    Raises:
        TokenizerError: it is not.
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
    """A syllable with a tone mark as pypinyin writes it.

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
    """How often each syllable, without its tone, is the reading of a character in the dictionary of phrases."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for phrase, readings in _phrases().items():
        for character, marked in zip(phrase, readings, strict=False):
            if marked:
                counts[character][_read(marked[0])[0]] += 1
    return counts


@functools.cache
def _characters() -> dict[str, list[Reading]]:
    """All readings of each character, the usual one first."""
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
    """All syllables without their tones."""
    return frozenset(base for readings in _characters().values() for base, _ in readings)


@functools.cache
def shares(character: str) -> dict[str, float]:
    """Estimate how probable each syllable is as the reading of a character, which it need not have; they sum to one.

    Half of it is the share of each among the phrases that pypinyin knows, half is the first reading's.
    """
    known = list(dict.fromkeys(base for base, _ in _characters().get(character, [])))
    counts = _counts().get(character, Counter())
    total = sum(counts[base] + UNSEEN for base in known)
    return {
        base: (1 - FIRST_SHARE) * (counts[base] + UNSEEN) / total + FIRST_SHARE * (place == 0)
        for place, base in enumerate(known)
    }


def word_readings(word: str) -> list[tuple[tuple[str, ...], float]]:
    """Ways to read a word, syllables without tones, and the natural logarithm of how probable each is.

    None if the word is not Chinese.
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
    """Tones that a character may have where it is read as a syllable; the neutral one is always among them."""
    return {tone for each, tone in _characters().get(character, []) if each == base} | {NEUTRAL}


@functools.cache
def usual_character(base: str) -> str:
    """The character that the most phrases have with this reading, for a model that knows none."""
    known = [character for character, readings in _characters().items() if any(base == each for each, _ in readings)]
    return max(known, key=lambda character: _counts().get(character, Counter())[base])


class Homophones:
    """Characters that are read alike, whatever the tone; a reading that is very rare does not count."""

    def __init__(self, characters: Iterable[str]) -> None:
        """Enter the characters that others may stand for.

        Raises:
            TokenizerError: pypinyin is not installed.
        """
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for character in characters:
            for base in _usual(character):
                self._by_base[base].append(character)

    def of(self, text: str) -> dict[str, str]:
        """For each character of a text the others that are read alike."""
        return {
            character: "".join(each for base in _usual(character) for each in self._by_base.get(base, ()))
            for character in set(text)
        }


def _usual(character: str) -> list[str]:
    return [base for base, share in shares(character).items() if share >= LEAST_SHARE]


# --- words by their readings --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A word in one of its readings, and the logarithm of how probable that reading is."""

    text: str
    log_share: float


@dataclass
class _Node:
    """The words of one reading, and those whose reading goes on."""

    words: list[Word] = field(default_factory=list)
    next: dict[str, "_Node"] = field(default_factory=dict)


class Readings:
    """Words by their readings, as a tree of syllables."""

    def __init__(self, words: Iterable[str]) -> None:
        """Enter the Chinese ones among some words.

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
        """Every word that some neighbouring syllables of a line may be, with where it starts and ends.

        A character that no word is stands for a syllable that is no word by itself, so that a path always goes on.
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
    """Whether a word's characters may have the tones that are given."""
    return all(
        not syllable.tone or syllable.tone in tones(character, syllable.base)
        for character, syllable in zip(word.text, syllables, strict=True)
    )
