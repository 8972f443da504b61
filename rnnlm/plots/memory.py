"""Plot how far back models remember: accuracy against distance, or for each group of pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlm.lab.memory import Row
from rnnlm.nn.numerics import Array
from rnnlm.plots.figures import PANEL, new_figure, plain
from rnnlm.plots.lines import LINES, draw_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = 0.5
MOST_UPRIGHT = 4  # names of groups that fit side by side
WIDTH_OF_NAME = 0.3  # inches of a rotated name


def draw(rows: Sequence[Row], models: Sequence[tuple[str, Array]]) -> "Figure":
    """Draw a line for each model, or points if the distances of the rows are unknown.

    models: Names, and the result of `chosen_right` for all pairs.
    """
    distances = [row.distance for row in rows if row.distance is not None]
    known = len(distances) == len(rows)
    figure, (axes,) = new_figure(size=(max(PANEL[0], 2 + WIDTH_OF_NAME * len(rows)), PANEL[1] + (0 if known else 1)))
    draw_level(axes, CHANCE, "chance", linewidth=1, va="center")
    for place, (name, right) in enumerate(models):
        colour, style, marker = LINES[place % len(LINES)]
        size = 1 + 2 * (len(models) - 1 - place) / len(models)  # so that lines below others stay visible
        axes.plot(
            distances if known else range(len(rows)),
            [row.accuracy(right) for row in rows],
            color=colour,
            linestyle=style if known else "",
            linewidth=size,
            marker=marker,
            markersize=3 * size + 1,
            label=plain(name),
        )
    if known:
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("distance of the word that decides (words back)")
    else:
        _name_groups(axes, rows)
    _finish(axes)
    return figure


def _name_groups(axes: "Axes", rows: Sequence[Row]) -> None:
    names = [plain(row.name) for row in rows]
    axes.set_xticks(range(len(rows)), names, rotation=0 if len(rows) <= MOST_UPRIGHT else 90, fontsize=8)
    axes.set_xlim(-0.5, len(rows) - 0.5)


def _finish(axes: "Axes") -> None:
    """Set an axis in per cent, from 0 on if a model is clearly worse than chance, and a legend beside the axes."""
    lowest = axes.dataLim.y0
    axes.set_ylim(0.4 if lowest >= 0.42 else min(0, lowest) - 0.03, 1.03)
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:.0%}")
    axes.set_ylabel("pairs in which the right word is chosen")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.12, 1))
