"""Plot surprise along a text: a bar above each token, or the running mean of a long text."""

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnnlm.lab.surprise import Surprise
from rnnlm.plots.figures import new_figure, plain, use_fonts
from rnnlm.plots.labels import place_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 9.4  # largest width of a row of tokens, in inches
NARROWEST_ROW = 4.7  # smallest width of a row, with room for the title, in inches
GAP = 0.1  # inches between two tokens
BAR = 0.15  # width of a bar, in inches
TOKEN_SIZE = 10.0
MOST_ROWS = 10
MOST_IN_ROWS = 1000  # tokens; more never fit into MOST_ROWS
MOST_POINTS = 5000
LABELLED = 12
LONGEST_LABEL = 16


def draw(surprise: Surprise) -> "Figure":
    """Draw the tokens in rows with bars above them, or the running mean of a long text."""
    if len(surprise.tokens) <= MOST_IN_ROWS:
        widths = _widths(surprise.tokens)
        line_ends = {place for place, token in enumerate(surprise.tokens) if token == "</s>"}
        for ends in (line_ends, set[int]()):  # each sentence in a row of its own, or one after the other
            rows = _rows(widths, ends)
            if len(rows) <= MOST_ROWS:
                return _draw_rows(surprise, widths, rows)
    return _draw_course(surprise)


def _widths(tokens: Sequence[str]) -> NDArray[np.float64]:
    """Return the width of each token in inches."""
    figure, _ = new_figure()
    texts = {token: figure.text(0, 0, plain(token), fontsize=TOKEN_SIZE) for token in set(tokens)}
    use_fonts(figure)
    return np.array([max(BAR, texts[token].get_window_extent().width / figure.dpi) + GAP for token in tokens])


def _rows(widths: NDArray[np.float64], ends: Set[int]) -> list[list[int]]:
    """Divide the places of tokens into rows that are at most ROW wide; a new row begins after each place in `ends`."""
    rows: list[list[int]] = [[]]
    used = 0.0
    for place, width in enumerate(widths):
        if rows[-1] and (used + width > ROW or rows[-1][-1] in ends):
            rows.append([])
            used = 0.0
        rows[-1].append(place)
        used += width
    return rows


def _draw_rows(surprise: Surprise, widths: NDArray[np.float64], rows: list[list[int]]) -> "Figure":
    from matplotlib import colormaps

    widest = max(NARROWEST_ROW, *(float(widths[row].sum()) for row in rows))
    figure, axes = new_figure(1, len(rows), (widest + 0.6, 1.15 * len(rows) + 0.5))
    highest = max(float(surprise.bits.max()), 1.0)
    shades = colormaps["YlOrRd"](0.25 + 0.7 * np.clip(surprise.bits / highest, 0, 1))
    for each, row in zip(axes, rows, strict=True):
        middles = np.cumsum(widths[row]) - widths[row] / 2
        each.bar(middles, surprise.bits[row], width=BAR, color=shades[row])
        each.set_xlim(0, widest)
        each.set_ylim(0, 1.08 * highest)
        each.set_xticks(middles, [plain(surprise.tokens[place]) for place in row], fontsize=TOKEN_SIZE)
        each.tick_params(axis="x", length=0)
        each.set_ylabel("bits")
    axes[0].set_title(surprise.summary(), fontsize="medium", loc="left")
    return figure


def _draw_course(surprise: Surprise) -> "Figure":
    figure, (axes,) = new_figure(size=(10.0, 4.2))
    n = len(surprise.bits)
    ends, means, window = surprise.running_mean()
    if n <= MOST_POINTS:
        axes.plot(np.arange(1, n + 1), surprise.bits, ".", markersize=3, color="C0", alpha=0.3)
    else:  # the figure has fewer pixels across
        chosen = np.linspace(0, len(ends) - 1, MOST_POINTS).astype(int)
        ends, means = ends[chosen], means[chosen]
    axes.plot(ends, means, color="C3", linewidth=1.6)
    axes.set_xlim(0, n + 1)
    peaks = surprise.highest(LABELLED) if n <= MOST_POINTS else []
    axes.set_ylim(0, 1.1 * float(surprise.bits.max() if peaks else means.max()))
    axes.set_xlabel("token")
    axes.set_ylabel("bits")
    axes.grid(alpha=0.2)
    axes.set_title(f"{surprise.summary()}; line: mean of the last {window:,}", fontsize="medium", loc="left")
    if peaks:
        points = np.array([(place + 1, surprise.bits[place]) for place in peaks], np.float64)
        labels = [plain(surprise.tokens[place][:LONGEST_LABEL]) for place in peaks]
        use_fonts(figure)
        place_labels(figure, axes, points, labels)
    return figure
