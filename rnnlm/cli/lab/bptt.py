"""rnnlm lab bptt: show back-propagation through time, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.matrices import all_tokens, has_bias, show_matrices, show_matrix
from rnnlm.cli.lab.presentation import SHOWN, number, present, show_titled, vector
from rnnlm.cli.lab.subjects import (
    NETWORK_OPTIONS,
    check_plot,
    loss_option,
    refuse_with_model,
    sentence_and_network,
    sentence_options,
    shown_ids,
)
from rnnlm.cli.languages import TranslatedCommand, tr
from rnnlm.cli.printing import note, say

if TYPE_CHECKING:
    from rnnlm.lab.backpropagation import Backpropagation
    from rnnlm.nn.network import LayerStack
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

LIMIT = 1e-6  # largest relative difference that passes, as in gradcheck
MOST_ENTRIES = 4096  # of a matrix in the JSON; larger ones become null


@click.command(
    cls=TranslatedCommand,
    short_help="Show back-propagation through time, step by step.",
    context_settings={"show_default": True},
)
@sentence_options(
    click.option(
        "--last-only", is_flag=True, help="Let E be the loss of the last step alone, as in the article's derivation."
    ),
    loss_option,
)
@click.pass_context
def bptt(ctx: click.Context, /, model_path: Path | None, last_only: bool, loss: str, **options: Any) -> None:
    """Unroll the network over the sentence TEXT ("-": stdin) and go back through it, with real numbers.

    \b
    s_t = f(U x_t + W s_{t-1} + b)        delta_t = dE / d(argument of f at t)
    o_t = softmax(V s_t + b_V)            dE/dW = sum over t of delta_t s_{t-1}^T
    E = sum of E_t, -ln o_t of the        dE/dU = sum over t of delta_t x_t^T
        right token                       dE/dV = sum over t of (o_t - y_t) s_t^T

    \b
    rnnlm lab bptt "我 昨天 上学 迟到 了"
    rnnlm lab bptt "我 昨天 上学 迟到 了" --last-only --plot bptt.png
    rnnlm lab bptt "我 昨天 上学 迟到 了" --weights mine.json --no-bias

    All numbers are float64. The sum is compared with (E(w + d) - E(w - d)) / 2d; the exit code is 1 if they differ by
    more than 1e-6 of the largest entry plus the effect of rounding on E.
    """
    if model_path is not None:
        refuse_with_model(ctx, *NETWORK_OPTIONS, "weights", "no_bias", "level")
    check_plot(ctx, model_path)
    from rnnlm.lab.backpropagation import backpropagate
    from rnnlm.lab.gradients import has_kinks
    from rnnlm.nn.cells import CELLS
    from rnnlm.plots.backpropagation import draw

    network, ids, vocabulary, rng = sentence_and_network(ctx, one_way=True)
    if loss == "mse" and network.config.output == "adaptive":
        raise click.UsageError("--loss mse needs the full softmax; this model has an adaptive one.")
    if not CELLS[network.config.cell].recurrent:
        raise click.UsageError(f"The cell {network.config.cell} has no W, whose gradients these are.")
    _require_memory(network, len(ids) - 1)
    found = backpropagate(network, ids[:-1], ids[1:], rng, loss, last_only)
    inputs, labels = shown_ids(vocabulary, ids[:-1]), shown_ids(vocabulary, ids[1:])
    present(
        _objects(found, vocabulary),
        partial(_show, found, network, vocabulary, loss),
        partial(draw, found, network.config, inputs, labels),
        inputs + labels,
        verdict=_verdict(found),
    )
    if not found.agrees(LIMIT) and has_kinks(network.config):
        note(tr("relu has no derivative at 0, and a step across 0 causes such a difference; try another --seed."))
    ctx.exit(0 if found.agrees(LIMIT) else 1)


def _require_memory(network: LayerStack, steps: int) -> None:
    """Raise an error if the gradients of W of all steps do not fit into memory."""
    from rnnlm.free_memory import require_memory

    size = sum(array.nbytes for name, array in network.params.items() if name.startswith("rnn.weight_hh"))
    require_memory(steps * size, f"The gradients of W of {steps:,} steps", "Use a shorter sentence or a smaller model.")


def _show(found: Backpropagation, network: LayerStack, vocabulary: Vocabulary, loss: str) -> None:
    config, layers = network.config, network.config.num_layers
    b, b_V = (" + b", " + b_V") if has_bias(network) else ("", "")
    output = f"o_t = softmax(V s_t{b_V})"
    if config.cell == "rnn":
        say(f"s_t = {config.activation}(U x_t + W s_(t-1){b})  ({tr('formula 2')})")
        say(f"{output}  ({tr('formula 1')})")
    else:
        say(f"s_t = {config.cell}(x_t, s_(t-1))      {output}      {tr('W, delta_t: all gates')}")
    click.echo()
    show_matrices(network, vocabulary)
    for layer in reversed(range(layers)):
        of = f"({layer + 1})" if layers > 1 else ""
        _show_steps(found, vocabulary, layer, of)
        _show_gradients(found, layer, f"W{of}")
        _show_input_gradients(found, vocabulary, layer, of)
    _show_output_gradients(found, vocabulary, loss)


def _show_steps(found: Backpropagation, vocabulary: Vocabulary, layer: int, of: str) -> None:
    """Print a table of a layer's states and losses of the forward pass and its error terms of the backward pass."""
    top = layer == len(found.w_gradients) - 1
    say(
        tr("Error terms over time (formula 3): delta_(t-1) gets (W^T delta_t) f'(net_(t-1)) from delta_t.")
        if top
        else tr(
            "Error terms of the layer below (formula 4): delta_t of layer {below} gets (U^T delta_t) f' from above.",
            below=layer + 1,
        )
    )
    click.echo()
    rows = [
        (
            *(t, *shown_ids(vocabulary, [int(step.step.inputs[0, 0])]), vector(step.step.state[0, layer, 0])),
            *shown_ids(vocabulary, [step.target]),
            *(f"{step.output[step.target]:.4f}", f"{step.loss:.4f}", vector(step.deltas[layer])),
        )
        for t, step in enumerate(found.steps, 1)
    ]
    headers = ["t", "x_t", f"s_t{of}", "label", "o_t[label]", "E_t", f"delta_t{of}"]
    show_titled(rows, headers, "rllllrl", keys=2)
    click.echo()


def _show_gradients(found: Backpropagation, layer: int, name: str) -> None:
    """Print each step's contribution to the gradient of W, their sum, and the numerical gradient."""
    import numpy as np

    total, numerical = found.w_gradients[layer], found.numerical(layer)
    gradients: list[tuple[object, Array]] = [(t, step.w_gradients[layer]) for t, step in enumerate(found.steps, 1)]
    gradients.append((tr("sum"), total))
    if numerical is not None:
        gradients.append((tr("numerical"), numerical))
    small = max(total.shape) <= SHOWN
    rows = [
        (t, number(float(np.linalg.norm(gradient))), " ".join(map(vector, gradient)) if small else "")
        for t, gradient in gradients
    ]
    say(
        tr(
            "Gradient of {name}: step t gives delta_t s_(t-1)^T (formula 5), and the steps are summed (formulas 6, 7).",
            name=name,
        )
    )
    click.echo()
    show_titled(rows, ["t", f"|dE/d{name}|", "row by row" if small else ""], "rrl")
    click.echo()


def _show_input_gradients(found: Backpropagation, vocabulary: Vocabulary, layer: int, of: str) -> None:
    """Print each step's contribution to the gradient of U, and their sum."""
    name, one_hot = f"U{of}", found.steps[0].inputs[layer].size == len(vocabulary) and not layer
    say(tr("Gradient of {name}: step t gives delta_t x_t^T (formula 8), and the steps are summed.", name=name))
    click.echo()
    total = found.u_total(layer)
    rows: list[list[object]] = [
        [
            *(t, *shown_ids(vocabulary, [int(step.step.inputs[0, 0])]), number(step.u_norm(layer))),
            *([vector(step.input_deltas[layer])] if one_hot else []),
        ]
        for t, step in enumerate(found.steps, 1)
    ]
    show_titled(rows, ["t", "x_t", f"|dE/d{name}|", *(["the column of x_t"] if one_hot else [])], "rlrl", keys=2)
    click.echo()
    if total is not None:
        show_matrix(f"dE/d{name}", total, all_tokens(vocabulary) if one_hot else ())


def _show_output_gradients(found: Backpropagation, vocabulary: Vocabulary, loss: str) -> None:
    """Print each step's contribution to the gradient of V, and their sum."""
    if (total := found.v_total()) is None:
        return
    if loss == "cross-entropy":
        say(tr("Gradient of V: step t gives (o_t - y_t) s_t^T, y_t the one-hot vector of the label."))
    else:
        say(tr("Gradient of V: step t gives dE_t/dz_t s_t^T, z_t = V s_t + b_V."))
    click.echo()
    rows = []
    for t, step in enumerate(found.steps, 1):
        error = step.output_error
        at_label = 0.0 if error is None else float(error[step.target])
        rows.append([t, *shown_ids(vocabulary, [step.target]), number(at_label), number(step.v_norm())])
    title = "(o_t - y_t)[label]" if loss == "cross-entropy" else "dE_t/dz_t[label]"
    show_titled(rows, ["t", "label", title, "|dE/dV|"], "rlrr", keys=2)
    click.echo()
    show_matrix("dE/dV", total, all_tokens(vocabulary), by_row=True)


def _verdict(found: Backpropagation) -> str:
    every = len(found.entries) == sum(gradient.size for gradient in found.w_gradients)
    where = tr("all {n} entries" if every else "{n} entries chosen at random", n=f"{len(found.entries):,}")
    facts = {"E": f"{found.objective:.6f}", "where": where, "worst": f"{found.worst:.1e}"}
    if found.agrees(LIMIT):
        return tr(
            "E = {E}. The sum of the steps and (E(w + d) - E(w - d)) / 2d agree\n"
            "at {where} of W: they differ by at most {worst} of the largest entry.",
            **facts,
        )
    return tr(
        "E = {E}. The sum of the steps and (E(w + d) - E(w - d)) / 2d differ\n"
        "by {worst} of the largest entry, at {where} of W: back-propagation is wrong.",
        **facts,
    )


def _objects(found: Backpropagation, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """Yield a JSON object for each step (lists have an entry per layer), then one for the sums."""
    for t, step in enumerate(found.steps, 1):
        state = step.step.state[:, :, 0]
        yield {
            "step": t,
            "input": vocabulary.token(int(step.step.inputs[0, 0])),
            "label": vocabulary.token(step.target),
            "state": state[0].tolist(),
            **({"cell_state": state[1].tolist()} if len(state) > 1 else {}),
            "output": step.output.tolist(),
            "loss": step.loss,
            "nats": step.nats,
            "delta": [delta.tolist() for delta in step.deltas],
            "w_gradient": list(map(_matrix, step.w_gradients)),
            "u_gradient": [_product(step.input_deltas[layer], x) for layer, x in enumerate(step.inputs)],
            "v_gradient": None if step.output_error is None else _product(step.output_error, step.step.hidden[0, 0]),
        }
    yield {
        "loss": found.objective,
        "w_gradient_sum": list(map(_matrix, found.w_gradients)),
        "u_gradient_sum": [_matrix(found.u_total(layer)) for layer in range(len(found.w_gradients))],
        "v_gradient_sum": _matrix(found.v_total()),
        "w_gradient_numerical": [_matrix(found.numerical(layer)) for layer in range(len(found.w_gradients))],
        "entries_compared": len(found.entries),
        "worst_relative_difference": found.worst,
    }


def _matrix(matrix: Array | None) -> Any:
    """Return the rows of a matrix; None if it is missing or has more than MOST_ENTRIES."""
    return matrix.tolist() if matrix is not None and matrix.size <= MOST_ENTRIES else None


def _product(column: Array, row: Array) -> Any:
    """Return the rows of the outer product of two vectors; None if it has more than MOST_ENTRIES."""
    import numpy as np

    return np.outer(column, row).tolist() if column.size * row.size <= MOST_ENTRIES else None
