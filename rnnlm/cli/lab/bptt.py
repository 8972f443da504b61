"""rnnlm lab bptt: back-propagation through time, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import note, say, show_table
from rnnlm.cli.lab.presentation import SHOWN, number, present, vector
from rnnlm.cli.lab.subjects import (
    NETWORK_OPTIONS,
    check_plot,
    loss_option,
    refuse_with_model,
    sentence_and_network,
    sentence_options,
    shown_ids,
)

if TYPE_CHECKING:
    from rnnlm.lab.backpropagation import Backpropagation
    from rnnlm.nn.network import LayerStack
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

LIMIT = 1e-6  # largest difference that passes, as in gradcheck
MOST_ENTRIES = 4096  # of a matrix that is written as JSON


@click.command(short_help="Back-propagation through time, step by step.", context_settings={"show_default": True})
@sentence_options(
    click.option("--last-only", is_flag=True, help="E is the loss of the last step alone, as the article derives it."),
    loss_option,
)
@click.pass_context
def bptt(ctx: click.Context, /, model_path: Path | None, last_only: bool, loss: str, **options: Any) -> None:
    """Unroll the network over the sentence TEXT ("-": stdin) and go back through it, with real numbers.

    \b
    s_t = f(U x_t + W s_{t-1} + b)        delta_t = dE / d(argument of f at t)
    o_t = softmax(V s_t + b_V)            dE/dW = sum over t of delta_t s_{t-1}^T
    E = sum of E_t, -ln o_t of the right token

    \b
    rnnlm lab bptt "我 昨天 上学 迟到 了"
    rnnlm lab bptt "我 昨天 上学 迟到 了" --last-only --plot bptt.png

    In float64. The sum is compared with (E(w + d) - E(w - d)) / 2d; the exit code is 1 when they differ by more than
    1e-6 of the largest entry and what rounding does to E.
    """
    if model_path is not None:
        refuse_with_model(ctx, *NETWORK_OPTIONS, "level")
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
        partial(_show, found, network, inputs, labels),
        partial(draw, found, network.config, inputs, labels),
        inputs + labels,
        verdict=_verdict(found),
    )
    if not found.agrees(LIMIT) and has_kinks(network.config):
        note("relu has no derivative at 0. A step across it gives such a difference; another --seed tells.")
    ctx.exit(0 if found.agrees(LIMIT) else 1)


def _require_memory(network: LayerStack, steps: int) -> None:
    """Each step has a gradient of W of its own."""
    from rnnlm.free_memory import require_memory

    size = sum(array.nbytes for name, array in network.params.items() if name.startswith("rnn.weight_hh"))
    require_memory(steps * size, f"The gradients of W of {steps:,} steps", "Use a shorter sentence or a smaller model.")


def _show(found: Backpropagation, network: LayerStack, inputs: Sequence[str], labels: Sequence[str]) -> None:
    config, layers = network.config, network.config.num_layers
    if config.cell == "rnn":
        say(f"s_t = {config.activation}(U x_t + W s_(t-1) + b)      o_t = softmax(V s_t + b_V)")
    else:
        say(f"s_t = {config.cell}(x_t, s_(t-1))      o_t = softmax(V s_t + b_V)      W, delta_t: all gates")
    click.echo()
    for layer in reversed(range(layers)):
        of = f"({layer + 1})" if layers > 1 else ""
        _show_matrix(f"W{of}", network.params[f"rnn.weight_hh_l{layer}"])
        rows = [
            (
                *(t, token, vector(step.step.state[0, layer, 0]), label),
                *(f"{step.output[step.target]:.4f}", f"{step.loss:.4f}", vector(step.deltas[layer])),
            )
            for t, (step, token, label) in enumerate(zip(found.steps, inputs, labels, strict=True), 1)
        ]
        headers = ["t", "x_t", f"s_t{of}", "label", "o_t of it", "E_t", f"delta_t{of}"]
        show_table(rows, headers, "rllllrl", keys=2)
        click.echo()
        _show_gradients(found, layer, f"W{of}")


def _show_matrix(name: str, matrix: Array) -> None:
    """A small matrix row by row; of a larger one its shape."""
    if max(matrix.shape) > 4 * SHOWN or matrix.shape[1] > SHOWN:
        click.echo(f"{name} is {matrix.shape[0]:,} x {matrix.shape[1]:,}.\n")
        return
    show_table([[f"{name} =" if not place else "", vector(row)] for place, row in enumerate(matrix)])
    click.echo()


def _show_gradients(found: Backpropagation, layer: int, name: str) -> None:
    """What each step gives to the gradient of W, the sum, and the gradient by the definition."""
    import numpy as np

    total, numerical = found.w_gradients[layer], found.numerical(layer)
    gradients: list[tuple[object, Array]] = [(t, step.w_gradients[layer]) for t, step in enumerate(found.steps, 1)]
    gradients.append(("sum", total))
    if numerical is not None:
        gradients.append(("numerical", numerical))
    small = max(total.shape) <= SHOWN
    rows = [
        (t, number(float(np.linalg.norm(gradient))), " ".join(map(vector, gradient)) if small else "")
        for t, gradient in gradients
    ]
    title = f"delta_t s_(t-1)^T, row by row: the gradient of {name} from step t" if small else ""
    show_table(rows, ["t", f"|dE/d{name}|", title], "rrl")
    click.echo()


def _verdict(found: Backpropagation) -> str:
    every = len(found.entries) == sum(gradient.size for gradient in found.w_gradients)
    where = f"all {len(found.entries):,} entries" if every else f"{len(found.entries):,} entries chosen at random"
    start = f"E = {found.objective:.6f}. The sum of the steps and (E(w + d) - E(w - d)) / 2d"
    if found.agrees(LIMIT):
        return f"{start} agree\nat {where} of W: they differ by at most {found.worst:.1e} of the largest entry."
    return f"{start} differ\nby {found.worst:.1e} of the largest entry, at {where} of W: back-propagation is wrong."


def _objects(found: Backpropagation, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """An object for each step, lists with an entry for each layer; then one for the sum."""
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
        }
    yield {
        "loss": found.objective,
        "w_gradient_sum": list(map(_matrix, found.w_gradients)),
        "w_gradient_numerical": [_matrix(found.numerical(layer)) for layer in range(len(found.w_gradients))],
        "entries_compared": len(found.entries),
        "worst_relative_difference": found.worst,
    }


def _matrix(matrix: Array | None) -> Any:
    """Rows of a matrix that is there and not too large."""
    return matrix.tolist() if matrix is not None and matrix.size <= MOST_ENTRIES else None
