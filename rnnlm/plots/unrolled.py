"""Plot the unrolled network: a box of coloured cells for each state, and arrows from its inputs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnlm.errors import PlotError
from rnnlm.lab.unrolled import Unrolled
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.plots.figures import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "RdBu_r"
FORWARD, BACKWARD, OUTPUT = "#0072B2", "#D55E00", "#333333"
MOST_STEPS = 30
MOST_UNITS = 64  # cells of a box; of a larger state, the first ones are drawn
NUMBERED = 5  # largest state whose numbers are written into the box
BOX = (0.56, 0.9)  # width and height of a box, in units of the axes
BESIDE = 0.38  # distance from the middle of a step to a place without boxes
ROW = 1.7  # height of a row
INCHES_PER_STEP, INCHES_PER_ROW = 1.0, 1.35
LONGEST_TOKEN = 10


def draw(found: Unrolled, config: NetworkConfig, tokens: Sequence[str]) -> "Figure":
    """Draw the tokens at the bottom, the layers of each direction above them, and the outputs on top.

    Raises:
        PlotError: There are more than MOST_STEPS tokens.
    """
    if len(tokens) > MOST_STEPS:
        raise PlotError(
            f"The sentence has {len(tokens)} tokens; a picture has room for {MOST_STEPS}. Use a shorter one."
        )
    layers, ways = config.num_layers, len(config.directions)
    rows = layers * ways
    size = (INCHES_PER_STEP * (len(tokens) + 1.2), INCHES_PER_ROW * (rows + 1) + 0.9)
    figure, (axes,) = new_figure(size=size)
    limit = max(float(np.abs(step.state[0]).max()) for step in [*found.forward, *found.backward]) or 1.0
    for t, token in enumerate(tokens, 1):
        shown = token if len(token) <= LONGEST_TOKEN else token[:LONGEST_TOKEN] + "…"
        axes.text(t, -1.0, plain(shown), ha="center", va="top", fontsize=11)
        axes.text(t, -1.35, f"$x_{{{t}}}$", ha="center", va="top", fontsize=9, color=OUTPUT)
    for direction in config.directions:
        _way(axes, found, config, direction, limit)
    _outputs(axes, found, tokens, config)
    axes.set_xlim(0.1, len(tokens) + 0.9)
    axes.set_ylim(-1.8, rows * ROW + 0.9)
    axes.set_axis_off()
    note = "" if config.hidden_size <= MOST_UNITS else f", the first {MOST_UNITS} of {config.hidden_size:,} units"
    axes.set_title(f"colours from -{limit:.2g} (blue) to {limit:.2g} (red){note}", fontsize=9)
    return figure


def _way(axes: "Axes", found: Unrolled, config: NetworkConfig, direction: str, limit: float) -> None:
    """Draw the states of one direction, layer above layer, with their arrows."""
    steps = found.backward if direction else found.forward
    colour, mark, way = (BACKWARD, "'", -1) if direction else (FORWARD, "", 1)
    first, offset = found.first_step(direction), config.num_layers if direction else 0
    for layer in range(config.num_layers):
        middle = (offset + layer) * ROW
        for place, step in enumerate(steps):
            t = first + place
            _box(axes, t, middle, step.state[0, layer, 0], limit, colour)
            bottom = middle - BOX[1] / 2
            start = -0.95 if not layer else middle - ROW + BOX[1] / 2
            if direction and not layer:  # from the tokens, past the boxes of the forward direction below
                axes.plot([t + BESIDE] * 2, [start, bottom - 0.35], color=colour, linewidth=1)
                _arrow(axes, (t + BESIDE, bottom - 0.35), (t + BOX[0] / 3, bottom), colour)
            else:
                _arrow(axes, (t, start), (t, bottom), colour)
            last = place == (0 if direction else len(steps) - 1)
            if not last:
                _arrow(axes, (t + way * BOX[0] / 2, middle), (t + way * (1 - BOX[0] / 2), middle), colour)
        name = f"({layer + 1})" if config.num_layers > 1 else ""
        _names(axes, range(first, first + len(steps)), middle, f"s{mark}", name, colour)


def _names(axes: "Axes", steps: range, middle: float, symbol: str, layer: str, colour: str) -> None:
    """Write symbols above the boxes, on the side where no arrow leaves them."""
    side, align = (1, "right") if "'" in symbol else (-1, "left")
    for t in steps:
        name = f"${symbol}_{{{t}}}{'^{' + layer + '}' if layer else ''}$"
        corner = (t + side * BOX[0] / 2, middle + BOX[1] / 2 + 0.04)
        axes.text(*corner, name, ha=align, va="bottom", fontsize=9, color=colour)


def _box(axes: "Axes", t: int, middle: float, state: Array, limit: float, colour: str) -> None:
    """Draw a state as a column of cells, the first unit on top."""
    shown = state[:MOST_UNITS]
    edges = np.linspace(middle + BOX[1] / 2, middle - BOX[1] / 2, len(shown) + 1)
    sides = np.array([t - BOX[0] / 2, t + BOX[0] / 2])
    axes.pcolormesh(sides, edges, shown[:, None], cmap=COLOURS, vmin=-limit, vmax=limit)
    axes.plot(sides[[0, 1, 1, 0, 0]], edges[[0, 0, -1, -1, 0]], color=colour, linewidth=1.2)
    if len(state) <= NUMBERED:
        for value, top, bottom in zip(state, edges[:-1], edges[1:], strict=True):
            ink = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(t, (top + bottom) / 2, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.annotate(
        "",
        end,
        xytext=start,
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1, "shrinkA": 0, "shrinkB": 0},
    )


def _outputs(axes: "Axes", found: Unrolled, tokens: Sequence[str], config: NetworkConfig) -> None:
    """Write the probability of the right token at each output, with arrows from the states that the output reads."""
    top = config.num_layers * len(config.directions) * ROW
    for output in found.outputs:
        label = tokens[output.step - 1 if config.bidirectional else output.step]
        shown = label if len(label) <= LONGEST_TOKEN else label[:LONGEST_TOKEN] + "…"
        axes.text(
            output.step,
            top + 0.35,
            f"{plain(shown)}\n{output.probability:.3f}",
            ha="center",
            va="bottom",
            fontsize=9,
            color=OUTPUT,
        )
        axes.text(output.step, top + 0.3, f"$o_{{{output.step}}}$", ha="center", va="top", fontsize=9, color=OUTPUT)
        for direction in config.directions:
            side, colour = (1, BACKWARD) if direction else (-1, FORWARD)
            start = (config.num_layers * (2 if direction else 1) - 1) * ROW + BOX[1] / 2
            if config.bidirectional:
                _arrow(axes, (output.step + 0.8 * side, start), (output.step + 0.16 * side, top), colour)
            else:
                _arrow(axes, (output.step, start), (output.step, top), colour)
