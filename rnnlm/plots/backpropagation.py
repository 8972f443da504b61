"""Plot back-propagation through time: states, outputs, error terms and gradients, step by step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlm.errors import PlotError
from rnnlm.lab.backpropagation import Backpropagation
from rnnlm.lab.unrolled import slabs
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.plots.figures import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "RdBu_r"  # safe for colour-blind readers, white at 0
BAR = "#0072B2"
MOST_STEPS = 40
MOST_NUMBERS = 100  # cells of a panel in which numbers are written
MOST_SHAPES = 2000  # cells that are drawn as vector shapes in an SVG file
USUAL = 0.995  # quantile at which the colour scale of many values ends
LARGEST_FRACTION = 0.6  # of the largest value, beyond which a cell is so dark that its number is white
INCHES_PER_STEP = 0.75
LONGEST_TOKEN = 8


def draw(found: Backpropagation, config: NetworkConfig, inputs: Sequence[str], labels: Sequence[str]) -> "Figure":
    """Draw a figure whose columns are the steps. Of a deep network, it shows the top layer.

    Raises:
        PlotError: There are more than MOST_STEPS steps.
    """
    T, layer = len(found.steps), config.num_layers - 1
    if T > MOST_STEPS:
        raise PlotError(f"The sentence has {T} steps; a picture has room for {MOST_STEPS}. Use a shorter one.")
    states = np.array([step.step.state[0, layer, 0] for step in found.steps]).T
    deltas = np.array([step.deltas[layer] for step in found.steps]).T
    gradients = [step.w_gradients[layer] for step in found.steps]
    width = max(6.4, INCHES_PER_STEP * (T + 1) + 2)
    figure, axes = new_figure(1, 4, (width, 8))
    of = f" of layer {config.num_layers}" if layer else ""
    steps = [f"{t}\n{_cut(token)}" for t, token in enumerate(inputs, 1)]
    _heat(figure, axes[0], states, steps, f"state s_t{of}", "unit")
    _bars(axes[1], found, [_cut(label) for label in labels])
    gates = f" (gates {', '.join(slabs(config))})" if config.cell != "rnn" else ""
    _heat(figure, axes[2], deltas, steps, f"error term delta_t{of}{gates}", "entry")
    _tiles(figure, axes[3], [*gradients, found.w_gradients[layer]], f"gradient of W{of} from each step, and their sum")
    for each in axes:
        each.set_xlim(-0.6, T + 0.6)
    return figure


def _cut(token: str) -> str:
    """Shorten a token to LONGEST_TOKEN characters, so that it fits into its column."""
    return plain(token if len(token) <= LONGEST_TOKEN else token[: LONGEST_TOKEN - 1] + "…")


def _heat(figure: "Figure", axes: "Axes", values: Array, steps: Sequence[str], title: str, unit: str) -> None:
    """Draw a matrix (rows, T) as coloured cells, with its numbers if there are at most MOST_NUMBERS."""
    rows, T = values.shape
    limit = _limit(values)
    image = _cells(axes, np.arange(T + 1) - 0.5, values, limit)
    _scale(figure, axes, image, values, limit)
    if values.size <= MOST_NUMBERS:
        for (row, t), value in np.ndenumerate(values):
            colour = "white" if abs(value) > LARGEST_FRACTION * limit else "black"
            axes.text(t, row + 1, _short(value), ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(T), steps)
    axes.set_yticks(range(1, rows + 1) if rows <= 12 else [1, rows])
    axes.invert_yaxis()
    axes.set_ylabel(unit)
    axes.set_title(title)
    _without_frame(axes)


def _bars(axes: "Axes", found: Backpropagation, labels: Sequence[str]) -> None:
    """Draw the probability that each step's output gave to the right token, as bars."""
    probabilities = [float(step.output[step.target]) for step in found.steps]
    axes.bar(range(len(probabilities)), probabilities, color=BAR, width=0.7)
    for t, probability in enumerate(probabilities):
        axes.text(t, probability, f"{probability:.2f}", ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylim(0, max(probabilities) * 1.2)
    axes.set_ylabel("probability")
    axes.set_title("output o_t at the right next token")


def _tiles(figure: "Figure", axes: "Axes", matrices: Sequence[Array], title: str) -> None:
    """Draw matrices (rows, columns) side by side, each in the column of its step; the last one is the sum."""
    every = np.array(matrices)
    limit = _limit(every)
    rows, columns = matrices[0].shape
    image: Any = None
    for t, matrix in enumerate(matrices):
        edges = t + np.linspace(-0.42, 0.42, columns + 1)
        image = _cells(axes, edges, matrix, limit)
        axes.plot(edges[[0, -1, -1, 0, 0]], np.array([0, 0, rows, rows, 0]) + 0.5, color="#666666", linewidth=0.6)
        norm = float(np.linalg.norm(matrix))
        axes.annotate(
            f"norm {_short(norm)}",
            (t, 0.5),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
        )
    _scale(figure, axes, image, every, limit)
    names = [str(t) for t in range(1, len(matrices))]
    axes.set_xticks(range(len(matrices)), [*names, "sum"])
    axes.set_yticks(range(1, rows + 1) if rows <= 12 else [1, rows])
    axes.invert_yaxis()
    axes.set_ylabel("row of W")
    axes.set_xlabel("step t")
    axes.set_title(title, pad=16)
    _without_frame(axes)


def _cells(axes: "Axes", edges: Array, values: Array, limit: float) -> Any:
    """Draw a matrix as coloured cells between the edges of its columns."""
    return axes.pcolormesh(
        edges,
        np.arange(len(values) + 1) + 0.5,
        values,
        cmap=COLOURS,
        vmin=-limit,
        vmax=limit,
        rasterized=values.size > MOST_SHAPES,
    )


def _scale(figure: "Figure", axes: "Axes", image: Any, values: Array, limit: float) -> None:
    beyond = float(np.abs(values).max()) > limit
    figure.colorbar(image, ax=axes, pad=0.01, aspect=12, extend="both" if beyond else "neither")


def _limit(values: Array) -> float:
    """Return the value of the darkest colour: the largest one, or a high quantile of many values."""
    sizes = np.abs(values)
    limit = np.quantile(sizes, USUAL) if values.size > MOST_SHAPES else sizes.max()
    return float(limit) or float(sizes.max()) or 1.0


def _short(value: float) -> str:
    """Format a number so that it fits into a cell."""
    if value == 0 or 0.01 <= abs(value) < 100:
        return f"{value:.2f}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _without_frame(axes: "Axes") -> None:
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
