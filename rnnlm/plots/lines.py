"""How lines that are compared look, and the levels that they are compared with."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito 2008, told apart by the colour-blind; each with a line of its own, for print without colours.
LINES = [
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", "-", "v"),
    ("#E69F00", "--", "P"),
    ("#56B4E9", "-.", "X"),
    ("#999999", ":", "*"),
]
GREY = "#666666"


def draw_level(axes: "Axes", y: float, name: str, linewidth: float, va: str) -> None:
    """A dotted line across the axes, with its name beside them, where no curve is."""
    axes.axhline(y, color=GREY, linewidth=linewidth, linestyle=":")
    place = {"xycoords": ("axes fraction", "data"), "xytext": (3, 0), "textcoords": "offset points"}
    axes.annotate(name, (1, y), **place, va=va, fontsize=7, color=GREY)
