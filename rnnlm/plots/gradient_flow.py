"""Plot gradient flow: one network with its layers and the bound, or several networks side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnlm.lab.gradient_flow import GradientFlow, LayerFlow
from rnnlm.nn.numerics import Array
from rnnlm.plots.figures import new_figure, plain
from rnnlm.plots.lines import GREY, LINES, draw_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_AXES = len(LINES)
DECADES = 12  # shown below and above the gradient one step back; larger and smaller values are cut off
SHARES = {"a tenth": 0.1, "a hundredth": 0.01}


def draw(flows: Sequence[GradientFlow]) -> "Figure":
    """Draw one network with each of its layers, or several networks, in one panel for each initialisation."""
    if len(flows) == 1:
        return _draw_layers(flows[0])
    groups = _groups(flows)
    columns = min(3, len(groups))
    figure, axes = new_figure(columns, -(-len(groups) // columns))
    for each, (title, members) in zip(axes, groups, strict=False):
        for line, (name, flow) in zip(LINES, members, strict=False):
            _curve(each, flow.layers[-1].shares[1:], line, name, first=1)
        each.set_title(title)
        _finish(each, "share of the gradient one step back", 1.0)
    for empty in axes[len(groups) :]:
        empty.set_visible(False)
    return figure


def _groups(flows: Sequence[GradientFlow]) -> list[tuple[str, list[tuple[str, GradientFlow]]]]:
    """Return the title of each panel with the names and networks to draw in it; trained networks are in all panels."""
    if len(flows) <= MOST_IN_AXES:
        cells = {(flow.config.cell, flow.config.activation) for flow in flows}
        size = f", {flows[0].config.hidden_size:,} units, mean of {flows[0].places:,} places"
        top = ", top layer" if flows[0].config.num_layers > 1 else ""
        name = flows[0].name.split(" ")[0] if len(cells) == 1 else "Cells"
        return [(f"{name} side by side{size}{top}", [(flow.name, flow) for flow in flows])]
    trained = [(flow.name, flow) for flow in flows if flow.name.endswith(" trained")]
    groups: dict[str, list[tuple[str, GradientFlow]]] = {}
    for flow in flows:
        name, _, kind = flow.name.partition(" ")
        if kind != "trained":
            groups.setdefault(kind, [*trained]).append((name, flow))
    return list(groups.items())


def _draw_layers(flow: GradientFlow) -> "Figure":
    figure, (axes,) = new_figure()
    several = len(flow.layers) > 1
    top = flow.layers[-1]
    for place, layer in enumerate(reversed(flow.layers)):
        line = LINES[place % len(LINES)]
        name = f"layer {layer.layer}" if several else "mean of the places"
        first = 0 if layer.norms[0] else 1
        _curve(axes, layer.norms[first:], line, name, first)
        if not several:
            axes.fill_between(
                np.arange(len(layer.norms)),
                _positive(layer.lowest),
                _positive(layer.highest),
                color=line[0],
                alpha=0.15,
                linewidth=0,
                label="smallest to largest",
            )
            _parts(axes, layer)
    if top.bound is not None:
        axes.plot(_positive(top.bound), color=GREY, linestyle=(0, (5, 2)), label="bound (|W| max f')^(t-k)")
    axes.set_title(plain(f"{flow.name}, {flow.config.hidden_size:,} units, mean of {flow.places:,} places"))
    _finish(axes, "length of the gradient by the state at k", float(top.norms[1]))
    return figure


def _parts(axes: "Axes", layer: LayerFlow) -> None:
    """Draw the gradients by h and by c of an LSTM."""
    if layer.by_c is not None:
        _curve(axes, layer.by_h, LINES[1], "by h alone", 0)
        _curve(axes, layer.by_c[1:], LINES[2], "by c alone", 1)


def _curve(axes: "Axes", values: Array, line: tuple[str, str, str], name: str, first: int) -> None:
    colour, style, marker = line
    distances = np.arange(first, first + len(values))
    step = max(1, len(values) // 10)
    axes.plot(
        distances,
        _positive(values),
        color=colour,
        linestyle=style,
        marker=marker,
        markevery=step,
        markersize=4,
        label=plain(name),
    )


def _positive(values: Array) -> Array:
    """Replace values that a logarithmic axis cannot show by nan, which leaves a gap."""
    return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _finish(axes: "Axes", unit: str, one_step_back: float) -> None:
    """Set a logarithmic axis around the gradient one step back, and add lines at the SHARES of it and a legend."""
    axes.set_autoscaley_on(False)  # autoscaling fails for values near the largest float
    axes.set_yscale("log")
    axes.set_xlabel("distance t - k (steps back)")
    axes.set_ylabel(unit)
    there = 0 < one_step_back < np.inf
    middle = one_step_back if there else 1.0
    low, high = np.clip([axes.dataLim.minposy, axes.dataLim.y1], middle * 10.0**-DECADES, middle * 10.0**DECADES)
    axes.set_ylim(min(low, middle) / 2, max(high, middle) * 10)
    if there:
        for name, share in SHARES.items():
            above = share == max(SHARES.values())
            draw_level(axes, share * one_step_back, name, linewidth=0.6, va="bottom" if above else "top")
    axes.legend(fontsize=8, frameon=False, loc="best")
