"""Wrap lines between words, by the columns that characters take in a terminal."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

# Patterns are compiled at their first use, since most commands wrap no line.
# A word is delimited by spaces; a short vector in brackets is one word.
WORD = r"( *)(\[[^\[\]]{1,48}\]\S*|\S+)"
# In messages, a number and the word after it stay together, such as "2 threads".
COUNTED = r"( *)(\d[\d,.]* [A-Za-z]{1,12}[,.;:]?(?!\S)|\[[^\[\]]{1,48}\]\S*|\S+)"
# A line such as "Equals      rnnlm train ..." is wrapped so that it can be pasted into a shell: with JOINT at line
# ends, between shell words, which may be quoted; an option and its value stay together.
COMMAND = r"\w+ {2,}rnnlm "
JOINT = " \\"
SHELL_WORD = r"""( *)((?:--[\w-]+ (?!-))?(?:'[^']*'|"[^"]*"|[^\s'"])+)"""
# Labels before the text of a line: "word -> ", a first column, a few words and a colon, or indentation.
LABELS = (r" *\S+ -> ", r" *\S+(?: \S+)*? {2,}", r" *[\w'-]+(?: [\w'-]+){0,3}: ", " *")
LONGEST_LABEL = 30


def display_width(text: str) -> int:
    """Return the columns that a text takes in a terminal: 2 for a wide character, 0 for a combining one, else 1.

    >>> display_width("昨天"), display_width("día"), display_width("e\\u0301")
    (4, 3, 1)
    """
    if text.isascii() and text.isprintable():
        return len(text)
    return sum(map(_character_width, text))


def filled(text: str, columns: int) -> str:
    """Return a text with spaces after it, up to a number of columns.

    >>> filled("词表", 6) + "|"
    '词表  |'
    """
    return text + " " * (columns - display_width(text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def wrapped(text: str, width: int, word: str = WORD, hanging: bool = True) -> str:
    r"""Return a text wrapped between words into lines of at most `width` columns.

    A word too long for a line is left whole, except that Chinese and similar scripts may be broken between any two
    characters. word: pattern with the groups (spaces, word). hanging: indent continuation lines to the text after the
    line's label.

    >>> print(wrapped("Advice      The learning rate is too high.", 30))
    Advice      The learning rate
                is too high.
    >>> print(wrapped("Equals      rnnlm train a.txt --epochs 3", 30))
    Equals      rnnlm train \
                a.txt --epochs 3
    """
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width, word, hanging))


def _broken(line: str, width: int, word: str, hanging: bool) -> Iterator[str]:
    if display_width(line) <= width:
        yield line
        return
    word, joint = (SHELL_WORD, JOINT) if re.match(COMMAND, line) else (word, "")
    line, room = line.expandtabs(), width - len(joint)
    label = _label(line, min(width // 2, LONGEST_LABEL)) if hanging else ""
    rest = line[len(label) :]
    # Indent less than the label if an unbreakable word, such as a path, needs the room.
    indent = min(display_width(label), room - _longest_whole(rest, room, word))
    current, used, begun = label, display_width(label), False
    for space, piece in re.findall(word, rest) if joint else _pieces(rest, room - indent, word):
        size = display_width(piece)
        if used + len(space) * begun + size > room and (begun or used > indent):
            yield (current + joint) if begun else current.rstrip(" ")
            current, used, begun = " " * indent, indent, False
        between = space if begun else ""
        current, used, begun = current + between + piece, used + len(between) + size, True
    yield current


def _longest_whole(text: str, room: int, word: str) -> int:
    """Return the columns of the longest word that fits a line and must not be broken."""
    sizes = (len(found) for _, found in re.findall(word, text) if display_width(found) <= len(found))
    return max((size for size in sizes if size <= room), default=0)


def _label(line: str, longest: int) -> str:
    matches = (found[0] for label in LABELS if (found := re.match(label, line)))
    return next((label for label in matches if display_width(label) <= longest), "")


def _pieces(text: str, room: int, word: str) -> Iterator[tuple[str, str]]:
    """Yield (spaces, word); a word too long for a line is yielded in the parts into which it may be broken."""
    for space, found in re.findall(word, text):
        if display_width(found) <= room:
            yield space, found
            continue
        start = 0
        for place, (before, after) in enumerate(pairwise(found), 1):
            if _may_break(before, after):
                yield space if not start else "", found[start:place]
                start = place
        yield space if not start else "", found[start:]


def _may_break(before: str, after: str) -> bool:
    """Return whether a line may break between two characters: beside a wide one, but not at its closing punctuation."""
    wide = 2 in (_character_width(before), _character_width(after))
    opens = unicodedata.category(before) in ("Ps", "Pi")
    closes = unicodedata.category(after) in ("Pe", "Pf", "Po", "Pd") or not _character_width(after)
    return wide and not opens and not closes
