"""Place labels beside points without overlaps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnnlm.plots.figures import use_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Positions of a label relative to its point, the best first: horizontal and vertical direction.
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_GAP = 4.5  # typographic points between a point and its label
_POINT = 2.0  # typographic points around the centre of a point that no label may cover
_ALIGN = {1: ("left", "bottom"), 0: ("center", "center"), -1: ("right", "top")}
LABEL_SIZE = 9.0


def place_labels(
    figure: "Figure", axes: "Axes", points: NDArray[np.float64], labels: Sequence[str], size: float = LABEL_SIZE
) -> int:
    """Write labels beside points (n, 2) in data coordinates, in order, and return how many had no room.

    A label that would cover another one, a point or the edge of the axes is left out. The limits of the axes must be
    final.
    """
    figure.draw_without_rendering()  # computes the layout
    texts = [axes.annotate("", point, xytext=(0, 0), textcoords="offset points", fontsize=size) for point in points]
    for text, label in zip(texts, labels, strict=True):
        text.set_text(label)
        text.set_in_layout(False)
    use_fonts(figure)
    renderer = figure.canvas.get_renderer()
    pixel = figure.dpi / 72
    where = axes.transData.transform(points)
    edge = axes.get_window_extent(renderer)
    taken = np.concatenate([where - _POINT * pixel, where + _POINT * pixel], axis=1)
    left_out = 0
    for place, text in enumerate(texts):
        box = text.get_window_extent(renderer)
        others = np.delete(taken, place, axis=0) if place < len(where) else taken
        for across, up in _SIDES:
            corner = where[place] + _GAP * pixel * np.array([across, up])
            x0 = corner[0] - box.width * (1 - across) / 2
            y0 = corner[1] - box.height * (1 - up) / 2
            wanted = np.array([x0, y0, x0 + box.width, y0 + box.height])
            if _is_free(wanted, others) and _is_inside(wanted, (edge.x0, edge.y0, edge.x1, edge.y1)):
                text.set_position((_GAP * across, _GAP * up))
                text.set_horizontalalignment(_ALIGN[across][0])
                text.set_verticalalignment(_ALIGN[up][1])
                taken = np.concatenate([taken, wanted[None]])
                break
        else:
            text.remove()
            left_out += 1
    return left_out


def _is_free(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether a box (x0, y0, x1, y1) touches none of the others (n, 4)."""
    apart = (
        (others[:, 0] > box[2]) | (others[:, 2] < box[0]) | (others[:, 1] > box[3]) | (others[:, 3] < box[1])
    )  # fmt: skip
    return bool(apart.all())


def _is_inside(box: NDArray[np.float64], edge: tuple[float, float, float, float]) -> bool:
    return bool(box[0] >= edge[0] and box[1] >= edge[1] and box[2] <= edge[2] and box[3] <= edge[3])
