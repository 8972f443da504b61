"""Charts made of characters, for a terminal or a file; series are distinguished by marks, not by colours."""

import math
import shutil
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import NamedTuple

from rnnlm.cli.wrapping import display_width

MARKS = "o+*x#@%=&$"
NARROWEST, WIDEST = 40, 160
BLOCKS = " ▏▎▍▌▋▊▉█"  # the last character of a bar, in eighths of a column
TAKEN = "\0"  # marks a column covered by the label to its left


class Series(NamedTuple):
    """A line of a chart: its name and its points, with x in ascending order."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def terminal_width() -> int:
    """Return the columns of the terminal, or of $COLUMNS, within NARROWEST and WIDEST; 80 without a terminal."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)


def line_chart(
    series: Sequence[Series], width: int, height: int, x_name: str, logarithmic: bool = False, from_zero: bool = False
) -> str:
    """Return a chart in which each series is drawn with its own mark, without a legend.

    Where several series meet in a cell, their marks alternate by column. height: rows above the x axis. logarithmic:
    whether the y axis is; all y must be positive then. from_zero: whether a linear y axis includes 0.

    >>> print(line_chart([Series("a", [0, 4], [0, 2]), Series("b", [0, 4], [2, 2])], 20, 3, "step"))
    2 │++++++++++++o+o+
    1 │    oooooooo
    0 │oooo
      └────────────────
       0     step     4
    """
    transform = math.log if logarithmic else float
    heights = [[transform(y) for y in each.y] for each in series]
    low = min(min(each) for each in heights if each)
    high = max(max(each) for each in heights if each)
    low = min(low, 0.0) if from_zero and not logarithmic else low
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        low, high = (low - 0.5, high + 0.5) if logarithmic else (low - abs(low or 1) / 10, high + abs(high or 1) / 10)
    ticks = _ticks_by_row(low, high, height, logarithmic)
    label_width = max(map(len, ticks.values()), default=0)
    columns = max(8, width - label_width - 3)
    left, right = min(each.x[0] for each in series if len(each.x)), max(each.x[-1] for each in series if len(each.x))
    cells = _cells(series, heights, (left, right), (low, high), columns, height)
    lines = [
        f"{ticks.get(row, ''):>{label_width}} │{''.join(cells[row])}".rstrip(" ") for row in range(height)
    ]  # fmt: skip
    below = _between(_number(left), x_name, _number(right), columns)
    return "\n".join([*lines, " " * label_width + " └" + "─" * columns, " " * (label_width + 2) + below])


def marks(count: int) -> list[str]:
    """Return marks for `count` series; after the tenth they repeat."""
    return [mark for mark, _ in zip(cycle(MARKS), range(count), strict=False)]


def _cells(
    series: Sequence[Series],
    heights: Sequence[Sequence[float]],
    across: tuple[float, float],
    up: tuple[float, float],
    columns: int,
    rows: int,
) -> list[list[str]]:
    """Return the marks of all series as cells [row][column]."""
    found: dict[tuple[int, int], list[str]] = {}
    for each, ys, mark in zip(series, heights, marks(len(series)), strict=True):
        for column, y in _by_column(each.x, ys, across, columns):
            row = round((up[1] - y) / (up[1] - up[0]) * (rows - 1))
            found.setdefault((row, column), []).append(mark)
    cells = [[" "] * columns for _ in range(rows)]
    for (row, column), here in found.items():
        cells[row][column] = here[column % len(here)]
    return cells


def _by_column(
    xs: Sequence[float], ys: Sequence[float], across: tuple[float, float], columns: int
) -> Iterable[tuple[int, float]]:
    """Yield (column, y) for a series: interpolated between points, or the mean of the points that share a column."""
    if not len(xs):
        return
    left, right = across
    scale = (right - left) / max(1, columns - 1)
    if scale <= 0:
        yield 0, ys[-1]
        return
    if len(xs) > columns:
        groups: dict[int, list[float]] = {}
        for x, y in zip(xs, ys, strict=True):
            groups.setdefault(round((x - left) / scale), []).append(y)
        yield from ((column, sum(group) / len(group)) for column, group in groups.items())
        return
    first, last = round((xs[0] - left) / scale), round((xs[-1] - left) / scale)
    place = 0
    for column in range(first, last + 1):
        x = min(max(left + column * scale, xs[0]), xs[-1])
        while place + 2 < len(xs) and xs[place + 1] < x:
            place += 1
        following = min(place + 1, len(xs) - 1)
        gap = xs[following] - xs[place]
        share = (x - xs[place]) / gap if gap > 0 else 0.0
        yield column, ys[place] + min(share, 1.0) * (ys[following] - ys[place])


def _ticks_by_row(low: float, high: float, rows: int, logarithmic: bool) -> dict[int, str]:
    """Return labels of the y axis, round numbers where possible, by row."""
    values = _round_logarithms(low, high, rows) if logarithmic else _round_numbers(low, high, max(2, rows // 3))
    named: dict[int, str] = {}
    for value in values:
        height = math.log(value) if logarithmic else value
        row = round((high - height) / (high - low) * (rows - 1))
        if 0 <= row < rows and not any(near in named for near in (row - 1, row + 1) if logarithmic):
            named.setdefault(row, _number(value))
    if not named:  # a narrow range without a round number in it
        named = {0: _number(math.exp(high) if logarithmic else high)}
        named[rows - 1] = _number(math.exp(low) if logarithmic else low)
    return named


def _round_numbers(low: float, high: float, count: int) -> list[float]:
    """Return about `count` multiples of 1, 2 or 5 times a power of ten, between low and high."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _round_logarithms(low: float, high: float, rows: int) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between exp(low) and exp(high); only powers of ten for a wide range."""
    decades = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
    factors = (1, 2, 5) if len(decades) * 3 <= rows * 2 else (1,)
    return [
        value for decade in decades for factor in factors if low <= math.log(value := factor * 10.0**decade) <= high
    ]


def _number(value: float) -> str:
    """Format a number in few characters."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def _between(left: str, middle: str, right: str, width: int) -> str:
    """Return a line with three texts: left-aligned, centred, right-aligned; the middle one is left out if too wide."""
    space = width - len(left) - display_width(middle) - len(right)
    if space < 2:
        return f"{left}{right:>{max(0, width - len(left))}}"
    before = space // 2
    return f"{left}{' ' * before}{middle}{' ' * (space - before)}{right}"


def bar(value: float, highest: float, width: int) -> str:
    """Return a bar for a value: `width` columns for the highest one, in steps of an eighth of a column.

    >>> bar(3, 4, 2), bar(0, 4, 2)
    ('█▌', '')
    """
    eighths = round(8 * width * min(max(value / highest, 0.0), 1.0)) if highest > 0 else 0
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip()


def scatter_chart(
    points: Sequence[tuple[float, float]], labels: Sequence[str], width: int, height: int
) -> tuple[str, int]:
    """Return a chart of labels at their points, and the number of labels that did not fit.

    Labels are placed in their order; one that would overlap an earlier one becomes a dot (·).

        >>> print(scatter_chart([(0, 0), (1, 1), (1, 0)], ["我", "b", "cc"], 9, 2)[0])
                b
        我     cc
    """
    xs, ys = zip(*points, strict=True)
    left, low = min(xs), min(ys)
    across, up = (max(xs) - left) or 1.0, (max(ys) - low) or 1.0
    cells: list[list[str | None]] = [[None] * width for _ in range(height)]
    without: list[tuple[int, int]] = []
    for (x, y), label in zip(points, labels, strict=True):
        row, column = round((1 - (y - low) / up) * (height - 1)), round((x - left) / across * (width - 1))
        size = display_width(label)
        start = min(max(0, column - size // 2), max(0, width - size))
        if not size or size > width or any(cells[row][max(0, start - 1) : start + size + 1]):
            without.append((row, column))
            continue
        cells[row][start : start + size] = [label, *[TAKEN] * (size - 1)]
    for row, column in without:
        cells[row][column] = cells[row][column] or "·"
    lines = ["".join(" " if cell is None else cell for cell in row).replace(TAKEN, "").rstrip(" ") for row in cells]
    return "\n".join(lines), len(without)
