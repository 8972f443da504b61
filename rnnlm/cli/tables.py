"""Plain-text tables whose columns are aligned by display width, also with Chinese."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from rnnlm.cli.terminal import escaped
from rnnlm.cli.wrapping import WORD, display_width, wrapped

JOINERS = "\u200c\u200d"  # used within words of Persian and Indic scripts, and within emoji


def table(
    rows: Iterable[Sequence[object]],
    headers: Sequence[str] = (),
    align: str = "",
    width: int | None = None,
    keys: int = 1,
) -> str:
    """Return rows as lines, columns padded by display width and two spaces apart; no line ends in spaces.

    headers: titles of the columns; without them the table starts with the rows. align: a letter per column, "r" for
    right, "l" for left; further columns are left-aligned.
    width: columns of the terminal. To fit it, cells of left-aligned columns are wrapped between words; if that is not
    enough, the table is split into several, each of which begins with the first `keys` columns.

    >>> print(table([("昨天", 4), ("a", 10)], ["token", "id"], "lr"))
    token  id
    昨天    4
    a      10
    >>> print(table([("t", 1.25, "made of words"), ("u", 0.5, "")], align="lr", width=16))
    t  1.25  made of
             words
    u   0.5
    """
    lines = [[str(cell) for cell in row] for row in ([headers] if headers else []) + list(rows)]
    columns = [_Column.of(cells, align[place : place + 1]) for place, cells in enumerate(zip(*lines, strict=True))]
    return "\n\n".join(_side_by_side(_narrowed(block, width)) for block in _blocks(columns, width, keys))


class _Column(NamedTuple):
    """A column: its cells, whether they are right-aligned, its width and its least width."""

    cells: Sequence[str]
    right: bool
    width: int
    least: int

    @classmethod
    def of(cls, cells: Sequence[str], align: str) -> "_Column":
        """Return a column as wide as its widest cell."""
        width = max(map(display_width, cells))
        words = (word for cell in cells for _, word in re.findall(WORD, cell))
        return cls(cells, align == "r", width, width if align == "r" else max(map(display_width, words), default=0))


def _blocks(columns: list[_Column], width: int | None, keys: int) -> Iterator[list[_Column]]:
    """Split the columns into blocks that fit the width when narrowed, each with the first `keys` columns."""
    block: list[_Column] = []
    for column in columns:
        if width is not None and len(block) > keys and _total([*block, column], least=True) > width:
            yield block
            block = columns[:keys]
        block = [*block, column]
    yield block


def _total(columns: Sequence[_Column], least: bool = False) -> int:
    return sum(column.least if least else column.width for column in columns) + 2 * (len(columns) - 1)


def _narrowed(columns: list[_Column], width: int | None) -> list[_Column]:
    """Return the columns, the widest ones narrowed until all fit or none can be narrowed."""
    columns = list(columns)
    while width is not None and _total(columns) > width:
        widest = max(columns, key=lambda column: column.width if column.width > column.least else 0)
        if widest.width == widest.least:
            break
        columns[columns.index(widest)] = widest._replace(width=widest.width - 1)
    return columns


def _side_by_side(columns: Sequence[_Column]) -> str:
    """Return the lines of a table; a row takes as many lines as its tallest cell."""
    lines = []
    for row in zip(*(column.cells for column in columns), strict=True):
        cells = [
            wrapped(cell, column.width, hanging=False).split("\n") for cell, column in zip(row, columns, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (_padded(part, column) for part, column in zip(parts, columns, strict=True))
            lines.append("  ".join(padded).rstrip(" "))
    return "\n".join(lines)


def _padded(part: str, column: _Column) -> str:
    space = " " * (column.width - display_width(part))
    return space + part if column.right else part + space


def visible(token: str) -> str:
    r"""Return a token for display in a line: a space as ␣, other white space and invisible characters as escapes.

    >>> print(visible("a\tb"), visible("\u200d"), len(visible("👩\u200d🔬")))
    a\tb \u200d 3
    """
    if token == " ":
        return "␣"
    if token.isprintable():
        return token
    inside = JOINERS if len(token) > 1 else ""  # within a token they are part of its spelling
    if token.startswith("\U0001f3f4"):  # a flag whose region is written in tag characters
        inside += "".join(map(chr, range(0xE0061, 0xE0080)))
    return "".join(c if c.isprintable() or c in inside else escaped(c) for c in token)


def token_cell(token: str) -> str:
    """Return a token for display: visible, and shortened to fit a line."""
    return shortened(visible(token))


def shortened(text: str, longest: int = 60) -> str:
    """Return a text, or of a longer one the beginning and its length.

    >>> shortened("a" * 1000, 5)
    'aaaaa… (1,000 characters)'
    """
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
