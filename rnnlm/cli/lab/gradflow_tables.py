"""Tables, sentences and JSON of rnnlm lab gradflow."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.presentation import show_titled
from rnnlm.cli.languages import counted, tr
from rnnlm.cli.printing import say

if TYPE_CHECKING:
    from rnnlm.lab.gradient_flow import Clipping, GradientFlow, LayerFlow, ReluBesideTanh
    from rnnlm.nn.network import NetworkConfig
    from rnnlm.nn.numerics import Array

MOST_COLUMNS = 8  # largest number of networks in the table of curves
SHOWN_DISTANCES = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
MEANINGS = (
    "predicted: spectral radius of W x root mean square of f', for the basic cell",
    "1/10, 1/100: steps back up to which a tenth, a hundredth of the gradient one step back is left",
    "norm: of the whole gradient, median of the windows; cut: share of the windows in which clipping shortens it",
)


def as_object(flow: GradientFlow, layer: LayerFlow) -> dict[str, Any]:
    """Return the JSON object of a layer of a network."""
    from rnnlm.lab.gradient_flow import LARGEST_DERIVATIVE

    config, basic = flow.config, flow.config.cell == "rnn"
    found: dict[str, Any] = {
        "network": flow.name,
        "cell": config.cell,
        "activation": config.activation if basic else None,
        "layer": layer.layer,
        "hidden_size": config.hidden_size,
        "places": flow.places,
        "distance_steps": list(range(len(layer.norms))),
        "gradient_norm": layer.norms.tolist(),
        "gradient_norm_lowest": layer.lowest.tolist(),
        "gradient_norm_highest": layer.highest.tolist(),
        "bound": None if layer.bound is None else layer.bound.tolist(),
        "spectral_radius": {gate or "W": radius for gate, radius in layer.radii.items()},
        "weight_norm": {gate or "W": norm for gate, norm in layer.weight_norms.items()},
        "largest_derivative": LARGEST_DERIVATIVE[config.activation] if basic else None,
        "rms_derivative": layer.rms_derivative,
        "predicted_factor_per_step": layer.predicted_factor,
        "measured_factor_per_step": layer.measured_factor,
        "tenth_survives_steps": layer.survives(0.1),
        "hundredth_survives_steps": layer.survives(0.01),
    }
    if layer.by_c is not None:
        found |= {"gradient_norm_by_h": layer.by_h.tolist(), "gradient_norm_by_c": layer.by_c.tolist()}
    if flow.clipping is not None:
        found |= {
            "windows": len(flow.clipping.norms),
            "window_gradient_norms": flow.clipping.norms.tolist(),
            "clip": flow.clipping.limit,
            "share_of_windows_cut": flow.clipping.share_cut,
            "share_of_length_kept": flow.clipping.kept,
        }
    return found


def show(flows: Sequence[GradientFlow], read: Sequence[str] = ()) -> None:
    """Print one network layer by layer, or several networks side by side.

    read: for a sentence, the token that each state has read last, by distance from the end.
    """
    from rnnlm.lab.gradient_flow import relu_beside_tanh

    if len(flows) == 1:
        (flow,) = flows
        for layer in reversed(flow.layers):
            _show_layer(flow, layer, read)
        if flow.clipping is not None:
            say(_sentence_on_clipping(flow.clipping))
        return
    if len(flows) <= MOST_COLUMNS:
        say(tr("Share of the gradient one step back (of the top layer) that is left t - k steps back:"))
        click.echo()
        shown = _shown_distances(len(flows[0].layers[-1].norms), bool(read))[1:]
        rows = [[*_place(d, read), *(_figure(flow.layers[-1].shares[d]) for flow in flows)] for d in shown]
        show_titled(rows, [*_place_titles(read), *(flow.name for flow in flows)], _align(read), keys=1 + bool(read))
        click.echo()
    _show_summary(flows)
    click.echo()
    for meaning in MEANINGS:
        say(tr(meaning))
    if (reason := relu_beside_tanh(flows)) is not None:
        say(_sentence_on_relu(reason))


def _sentence_on_relu(reason: ReluBesideTanh) -> str:
    """Return the sentence that explains why relu keeps less of the gradient than tanh."""
    sentence = tr(
        "relu keeps less than tanh{weights} because {off} of its units are off, where f' is 0: a step back keeps "
        "{kept} of the length, with tanh {by_tanh} (root mean square of f')",
        weights=tr(" with uniform weights") if reason.uniform else "",
        off=f"{reason.off:.0%}",
        kept=f"{reason.kept:.2f}",
        by_tanh=f"{reason.kept_by_tanh:.2f}",
    )
    if reason.off_with_identity is None:
        return sentence + tr(".")
    return sentence + tr("; with the identity as W {off} are off.", off=f"{reason.off_with_identity:.0%}")


def _place(distance: int, read: Sequence[str]) -> list[object]:
    return [distance, *([read[distance]] if read else [])]


def _place_titles(read: Sequence[str]) -> list[str]:
    return ["t - k", *(["x_k"] if read else [])]


def _align(read: Sequence[str]) -> str:
    return "r" + "l" * bool(read) + "r" * 20


def _shown_distances(length: int, every: bool) -> list[int]:
    """Return the distances shown in a table: all of them if `every`, else a selection with more short ones."""
    if every:
        return list(range(length))
    shown = [distance for distance in SHOWN_DISTANCES if distance < length]
    return shown if shown[-1] == length - 1 else [*shown, length - 1]


def _show_layer(flow: GradientFlow, layer: LayerFlow, read: Sequence[str]) -> None:
    """Print the curve of a layer as a table, and sentences about W."""
    of = tr(", layer {layer} of {layers}", layer=layer.layer, layers=len(flow.layers)) if len(flow.layers) > 1 else ""
    about = "Length of the gradient of the loss at step t by the state at step k ({network}):"
    say(tr(about, network=flow.name + of))
    click.echo()
    columns: dict[str, Array] = {"gradient": layer.norms, "of one step back": layer.shares}
    if layer.by_c is not None:
        columns |= {"by h": layer.by_h, "by c": layer.by_c}
    if layer.bound is not None:
        columns["bound"] = layer.bound
    shown = _shown_distances(len(layer.norms), bool(read))
    if not layer.norms[0]:  # below the top layer, the output does not read the state directly
        shown = shown[1:]
    rows = [[*_place(d, read), *(_figure(column[d]) for column in columns.values())] for d in shown]
    show_titled(rows, [*_place_titles(read), *columns], _align(read))
    click.echo()
    for sentence in _sentences_on_weights(flow.config, layer):
        say(sentence)
    click.echo()


def _sentences_on_weights(config: NetworkConfig, layer: LayerFlow) -> list[str]:
    measured = {"measured": _figure(layer.measured_factor)}
    if config.cell == "rnn":
        lines = _sentences_on_basic_cell(config, layer, measured)
    elif not layer.radii:
        lines = [
            tr(
                "The cell {cell} has no W: each unit's error travels back alone, times the share that the step keeps.",
                cell=config.cell,
            ),
            tr("Factor per step back: measured {measured}.", **measured),
        ]
    else:
        gates = [f"{gate} {_figure(layer.radii[gate])} ({_figure(layer.weight_norms[gate])})" for gate in layer.radii]
        lines = [
            tr("Spectral radius of each gate's W (and its norm): {gates}.", gates=", ".join(gates)),
            tr("Factor per step back: measured {measured}.", **measured),
            tr(
                "There is no bound of the form (|W| max f')^(t-k) for {cell}: what its gates let through is not "
                "multiplied by W.",
                cell=config.cell,
            ),
        ]
    if not layer.norms[1]:
        return [*lines, tr("Nothing survives: the gradient one step back is 0.")]
    tenth, hundredth = (_steps(layer, share).replace(">", tr("more than ")) for share in (0.1, 0.01))
    return [
        *lines,
        tr(
            "A tenth of the gradient one step back survives {tenth} steps back, a hundredth {hundredth}.",
            tenth=tenth,
            hundredth=hundredth,
        ),
    ]


def _sentences_on_basic_cell(config: NetworkConfig, layer: LayerFlow, measured: dict[str, str]) -> list[str]:
    from rnnlm.lab.gradient_flow import LARGEST_DERIVATIVE

    largest = LARGEST_DERIVATIVE[config.activation]
    lines = [
        tr(
            "W has the spectral radius {radius} and the norm |W| {norm}; f' is at most {largest}, its root mean square "
            "{rms}.",
            radius=_figure(layer.radii[""]),
            norm=_figure(layer.weight_norms[""]),
            largest=f"{largest:g}",
            rms=_figure(layer.rms_derivative),
        ),
        tr(
            "Factor per step back: measured {measured}; predicted {predicted} (spectral radius x root mean square of "
            "f').",
            predicted=_figure(layer.predicted_factor),
            **measured,
        ),
    ]
    if layer.bound is None:
        return [
            *lines,
            tr("The bound (|W| max f')^(t-k) holds for the top layer only: lower states reach the loss in many ways."),
        ]
    factor = _figure(layer.weight_norms[""] * largest)
    return [*lines, tr("The bound is (|W| max f')^(t-k), {factor} per step (from formula 3).", factor=factor)]


def _steps(layer: LayerFlow, share: float) -> str:
    steps = layer.survives(share)
    return f">{len(layer.norms) - 1}" if steps is None else str(steps)


def _sentence_on_clipping(clipping: Clipping) -> str:
    norms = clipping.norms.tolist()
    start = tr(
        "The whole gradient of {windows} has the norm {median} (median), {largest} (largest); ",
        windows=counted(len(norms), "window"),
        median=_figure(statistics.median(norms)),
        largest=_figure(max(norms)),
    )
    if not clipping.limit:
        return start + tr("--clip 0 cuts nothing.")
    return start + tr(
        "--clip {clip} shortens it in {share} of them and leaves {kept} of all their lengths.",
        clip=f"{clipping.limit:g}",
        share=f"{clipping.share_cut:.0%}",
        kept=f"{clipping.kept:.0%}",
    )


def _show_summary(flows: Sequence[GradientFlow]) -> None:
    several = any(len(flow.layers) > 1 for flow in flows)
    rows = []
    for flow in flows:
        for layer in reversed(flow.layers):
            weights = [_range(layer.radii.values()), _range(layer.weight_norms.values())]
            factors = [_figure(layer.predicted_factor), _figure(layer.measured_factor)]
            row = [flow.name, *([layer.layer] if several else []), *weights, *factors]
            row += [_steps(layer, share) for share in (0.1, 0.01)]
            if flow.clipping is not None:
                row += [_figure(statistics.median(flow.clipping.norms.tolist())), f"{flow.clipping.share_cut:.0%}"]
            rows.append(row)
    headers = ["network", *(["layer"] if several else []), "radius", "|W|", "predicted", "measured"]
    headers += ["1/10", "1/100", "norm", "cut"]
    show_titled(rows, headers[: len(rows[0])], "l" + "r" * 20)


def _range(values: Iterable[float | None]) -> str:
    """Return the range of the gates' figures, such as 0.5-1.2, or "-" if there are none."""
    found = sorted(value for value in values if value is not None)
    if not found:
        return "-"
    low, high = _figure(found[0]), _figure(found[-1])
    return low if low == high else f"{low}-{high}"


def _figure(value: Any) -> str:
    """Format a number with three significant digits; "-" for None and nan."""
    if value is None or math.isnan(value):
        return "-"
    return "overflow" if value == math.inf else f"{value:.3g}"
