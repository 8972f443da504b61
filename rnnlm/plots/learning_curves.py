"""Plot learning curves: a panel for each quantity, a colour for each history."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlm.lab.learning_curves import LOSSES, PANELS, Curves, short_name
from rnnlm.plots.figures import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(histories: Sequence[Curves], x: str, perplexity: bool = False) -> "Figure":
    """Draw a figure with a panel for each of PANELS that has values, and a colour for each history.

    x: One of X_KEYS. perplexity: Draw exp(loss), on a logarithmic axis.
    """
    panels = [
        (title, keys)
        for title, keys in PANELS
        if any(len(history.points(x, key)[0]) for history in histories for key in keys)
    ]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(columns, rows, (5.2 * columns, 3.0 * rows + 0.6))
    colours = _colours(len(histories))
    for each, (title, keys) in zip(axes, panels, strict=False):
        for history, colour in zip(histories, colours, strict=True):
            for key in keys:
                across, up = history.points(x, key, perplexity)
                style = {"linestyle": "--", "linewidth": 1.1} if LOSSES.get(key) == "train" else {"linewidth": 1.8}
                marker = "." if len(up) <= 30 else ""
                each.plot(across, up, color=colour, marker=marker, **style)
        _finish_panel(each, title, x, perplexity)
    for each in axes[len(panels) :]:
        each.remove()
    _add_legend(figure, histories, colours)
    return figure


def _colours(count: int) -> list[Any]:
    """Return colours that are as distinguishable as possible."""
    from matplotlib import colormaps

    if count <= 10:
        return [f"C{place}" for place in range(count)]
    return [colormaps["turbo"](place / (count - 1)) for place in range(count)]


def _finish_panel(axes: "Axes", title: str, x: str, perplexity: bool) -> None:
    """Set title, units and scale of a panel."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xlabel(x)
    axes.grid(alpha=0.25)
    if title != "loss":
        axes.set_title(title, fontsize="medium")
        axes.set_ylim(bottom=0)
        if title == "tokens/s":
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        return
    axes.set_title("perplexity" if perplexity else "loss (nats per token)", fontsize="medium")
    if perplexity:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,.4g}" if value < 1e6 else f"{value:.0e}")
        )
        axes.yaxis.set_minor_formatter(NullFormatter())


def _add_legend(figure: "Figure", histories: Sequence[Curves], colours: Sequence[Any]) -> None:
    """Add a legend of the losses' lines and the histories' colours, below the panels, so that it covers nothing."""
    from matplotlib.lines import Line2D

    kinds = [key for key in LOSSES if any(np.isfinite(history.columns[key]).any() for history in histories)]
    neutral = "grey" if len(histories) > 1 else colours[0]
    styles = {"train_nats_per_token": ("--", 1.1), "valid_nats_per_token": ("-", 1.8)}
    lines = [Line2D([], [], color=neutral, linestyle=styles[key][0], linewidth=styles[key][1]) for key in kinds]
    names = [LOSSES[key] for key in kinds]
    if len(histories) > 1:
        lines += [Line2D([], [], color=colour, linewidth=1.8) for colour in colours]
        names += [plain(short_name(history.name)) for history in histories]
    widest = max(map(len, names))
    columns = max(1, min(len(names), 100 // (widest + 8)))
    legend = figure.legend(lines, ["-"] * len(names), loc="outside lower center", ncols=columns, frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)  # set here because `legend` leaves out names that begin with "_"
