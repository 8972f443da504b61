"""Styles of lines that are compared, and reference levels."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours by Okabe and Ito (2008), safe for colour-blind readers; line styles and markers for print without colours.
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
    """Draw a dotted horizontal line across the axes, with its name to the right of them."""
    axes.axhline(y, color=GREY, linewidth=linewidth, linestyle=":")
    place = {"xycoords": ("axes fraction", "data"), "xytext": (3, 0), "textcoords": "offset points"}
    axes.annotate(name, (1, y), **place, va=va, fontsize=7, color=GREY)
