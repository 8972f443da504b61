"""Plain tables whose columns stay straight when a cell holds Chinese."""

import unicodedata
from collections.abc import Iterable, Sequence

from rnnlm.cli.terminal import escaped

JOINERS = "\u200c\u200d"  # inside words of Persian and Indian scripts, and inside emoji


def display_width(text: str) -> int:
    """Columns that a text takes in a terminal: 2 for a wide character, 0 for a combining one, else 1.

    >>> display_width("昨天"), display_width("día"), display_width("e\\u0301")
    (4, 3, 1)
    """
    if text.isascii() and text.isprintable():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def table(rows: Iterable[Sequence[object]], headers: Sequence[str] = (), align: str = "") -> str:
    """Rows as lines, columns padded by display width and two spaces apart; no line ends in spaces.

    headers: titles of the columns; without them the table starts with the rows. align: a letter per column, "r" for
    right, "l" for left; columns beyond it are left.

    >>> print(table([("昨天", 4), ("a", 10)], ["token", "id"], "lr"))
    token  id
    昨天    4
    a      10
    """
    lines = [[str(cell) for cell in row] for row in ([headers] if headers else []) + list(rows)]
    widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(_padded(line, widths, align)).rstrip(" ") for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int], align: str) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        space = " " * (width - display_width(cell))
        yield space + cell if align[column : column + 1] == "r" else cell + space


def visible(token: str) -> str:
    r"""A token as it can be shown in a line: white space and what can not be seen as their escapes.

    >>> print(visible("a\tb"), visible("\u200d"), len(visible("👩\u200d🔬")))
    a\tb \u200d 3
    """
    if token == " ":
        return "␣"
    if token.isprintable():
        return token
    inside = JOINERS if len(token) > 1 else ""  # there they belong to the spelling
    if token.startswith("\U0001f3f4"):  # a flag, whose country is written in tags
        inside += "".join(map(chr, range(0xE0061, 0xE0080)))
    return "".join(c if c.isprintable() or c in inside else escaped(c) for c in token)


def token_cell(token: str) -> str:
    """A token as it is shown to people: visible, and not longer than fits a line."""
    return shortened(visible(token))


def shortened(text: str, longest: int = 60) -> str:
    """A text, of a very long one the beginning and how long it is.

    >>> shortened("a" * 1000, 5)
    'aaaaa… (1,000 characters)'
    """
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
