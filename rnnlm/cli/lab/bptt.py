"""rnnlm lab bptt: back-propagation through time, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import json_option, load_model, note, print_json, say, show_table
from rnnlm.cli.lab.common import (
    NETWORK_OPTIONS,
    SHOWN,
    check_picture,
    given,
    level_option,
    model_option,
    network_options,
    number,
    one_sentence,
    plot_option,
    refuse_with_model,
    save_picture,
    shown_ids,
    text_argument,
    trained_network,
    vector,
)
from rnnlm.names import LOSSES

if TYPE_CHECKING:
    from rnnlm.lab.backpropagation import Backpropagation
    from rnnlm.nn.network import Network, NetworkConfig
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

LIMIT = 1e-6  # largest difference that passes, as in gradcheck
MOST_ENTRIES = 4096  # of a matrix that is written as JSON


@click.command(short_help="Back-propagation through time, step by step.", context_settings={"show_default": True})
@text_argument
@model_option("Trained model to look at.", "a small network with random weights")
@network_options
@click.option("--last-only", is_flag=True, help="E is the loss of the last step alone, as the article derives it.")
@click.option("--loss", type=click.Choice(LOSSES), default="cross-entropy", help="The loss E.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random weights.")
@plot_option
@json_option
@click.pass_context
def bptt(
    ctx: click.Context,
    text: str,
    model_path: Path | None,
    cell: str,
    activation: str,
    hidden_size: int,
    num_layers: int,
    embedding_size: int,
    last_only: bool,
    loss: str,
    level: str,
    seed: int,
    picture: Path | None,
    as_json: bool,
) -> None:
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
    check_picture(picture, [str(model_path)] if model_path else [])
    import numpy as np

    from rnnlm.lab.backpropagation import backpropagate
    from rnnlm.lab.gradients import has_kinks, random_network
    from rnnlm.lab.unrolled import in_float64
    from rnnlm.nn.cells import CELLS
    from rnnlm.nn.network import NetworkConfig

    model = None if model_path is None else load_model(model_path)
    network = None if model is None else in_float64(trained_network(model, "bptt"))
    ids, vocabulary = one_sentence(text, level, model)
    rng = np.random.default_rng(seed)
    if network is None:
        if cell != "rnn" and given(ctx, "activation"):
            note(f"--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in.")
        sizes = (hidden_size, num_layers, embedding_size)
        network = random_network(NetworkConfig(len(vocabulary), cell, activation, *sizes), rng)
    _check_loss(network.config, loss)
    if not CELLS[network.config.cell].recurrent:
        raise click.UsageError(f"The cell {network.config.cell} has no W, whose gradients these are.")
    _require_memory(network, len(ids) - 1)
    found = backpropagate(network, ids[:-1], ids[1:], rng, loss, last_only)
    if as_json:
        for each in _objects(found, vocabulary):
            print_json(each)
    else:
        _show(found, network, vocabulary)
    say(_verdict(found), err=as_json)
    if picture is not None:
        from rnnlm.lab.backpropagation_picture import draw

        inputs, labels = shown_ids(vocabulary, ids[:-1]), shown_ids(vocabulary, ids[1:])
        save_picture(draw(found, network.config, inputs, labels), picture, inputs + labels)
    if not found.agrees(LIMIT) and has_kinks(network.config):
        note("relu has no derivative at 0. A step across it gives such a difference; another --seed tells.")
    ctx.exit(0 if found.agrees(LIMIT) else 1)


def _check_loss(config: NetworkConfig, loss: str) -> None:
    if loss == "mse" and config.output == "adaptive":
        raise click.UsageError("--loss mse needs the full softmax; this model has an adaptive one.")


def _require_memory(network: Network, steps: int) -> None:
    """Each step has a gradient of W of its own."""
    from rnnlm.free_memory import require_memory

    size = sum(array.nbytes for name, array in network.params.items() if name.startswith("rnn.weight_hh"))
    require_memory(steps * size, f"The gradients of W of {steps:,} steps", "Use a shorter sentence or a smaller model.")


def _layer(symbol: str, layer: int, layers: int) -> str:
    return f"{symbol}({layer + 1})" if layers > 1 else symbol


def _show(found: Backpropagation, network: Network, vocabulary: Vocabulary) -> None:
    config, layers = network.config, network.config.num_layers
    if config.cell == "rnn":
        say(f"s_t = {config.activation}(U x_t + W s_(t-1) + b)      o_t = softmax(V s_t + b_V)")
    else:
        say(f"s_t = {config.cell}(x_t, s_(t-1))      o_t = softmax(V s_t + b_V)      W, delta_t: all gates")
    click.echo()
    for layer in reversed(range(layers)):
        _show_matrix(_layer("W", layer, layers), network.params[f"rnn.weight_hh_l{layer}"])
        _show_steps(found, vocabulary, layer, layers)
        _show_gradients(found, layer, layers)


def _show_matrix(name: str, matrix: Array) -> None:
    """A small matrix row by row; of a larger one its shape."""
    if max(matrix.shape) > 4 * SHOWN or matrix.shape[1] > SHOWN:
        click.echo(f"{name} is {matrix.shape[0]:,} x {matrix.shape[1]:,}.\n")
        return
    rows = [[f"{name} =" if not place else "", vector(row)] for place, row in enumerate(matrix)]
    show_table(rows)
    click.echo()


def _show_steps(found: Backpropagation, vocabulary: Vocabulary, layer: int, layers: int) -> None:
    inputs = shown_ids(vocabulary, (step.step.inputs[0, 0] for step in found.steps))
    labels = shown_ids(vocabulary, (step.target for step in found.steps))
    rows = [
        (
            t,
            inputs[t - 1],
            vector(step.step.state[0, layer, 0]),
            labels[t - 1],
            f"{step.output[step.target]:.4f}",
            f"{step.loss:.4f}",
            vector(step.deltas[layer]),
        )
        for t, step in enumerate(found.steps, 1)
    ]
    s, delta = _layer("s_t", layer, layers), _layer("delta_t", layer, layers)
    show_table(rows, ["t", "x_t", s, "label", "o_t of it", "E_t", delta], "rllllrl", keys=2)
    click.echo()


def _show_gradients(found: Backpropagation, layer: int, layers: int) -> None:
    """What each step gives to the gradient of W, the sum, and the gradient by the definition."""
    import numpy as np

    rows: list[tuple[object, ...]] = []
    for t, step in enumerate(found.steps, 1):
        gradient = step.w_gradients[layer]
        rows.append((t, number(float(np.linalg.norm(gradient))), _rows(gradient)))
    total, numerical = found.w_gradients[layer], found.numerical(layer)
    rows.append(("sum", number(float(np.linalg.norm(total))), _rows(total)))
    if numerical is not None:
        rows.append(("numerical", number(float(np.linalg.norm(numerical))), _rows(numerical)))
    name = _layer("W", layer, layers)
    small = total.shape[1] <= SHOWN and len(total) <= SHOWN
    title = f"delta_t s_(t-1)^T, row by row: the gradient of {name} from step t" if small else ""
    show_table(rows, ["t", f"|dE/d{name}|", title], "rrl")
    click.echo()


def _rows(matrix: Array) -> str:
    return " ".join(vector(row) for row in matrix) if max(matrix.shape) <= SHOWN else ""


def _verdict(found: Backpropagation) -> str:
    every = len(found.entries) == sum(gradient.size for gradient in found.w_gradients)
    where = f"{'all' if every else ''} {len(found.entries):,} entries".strip() + ("" if every else " chosen at random")
    start = f"E = {found.objective:.6f}. The sum of the steps and (E(w + d) - E(w - d)) / 2d"
    if found.agrees(LIMIT):
        return f"{start} agree\nat {where} of W: they differ by at most {found.worst:.1e} of the largest entry."
    return f"{start} differ\nby {found.worst:.1e} of the largest entry, at {where} of W: back-propagation is wrong."


def _objects(found: Backpropagation, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """An object for each step, lists with an entry for each layer; then one for the sum."""
    objects: list[dict[str, Any]] = []
    for t, step in enumerate(found.steps, 1):
        state = step.step.state[:, :, 0]
        objects.append(
            {
                "step": t,
                "input": vocabulary.token(int(step.step.inputs[0, 0])),
                "label": vocabulary.token(step.target),
                "state": state[0].tolist(),
                **({"cell_state": state[1].tolist()} if len(state) > 1 else {}),
                "output": step.output.tolist(),
                "loss": step.loss,
                "nats": step.nats,
                "delta": [delta.tolist() for delta in step.deltas],
                "w_gradient": [_matrix(gradient) for gradient in step.w_gradients],
            }
        )
    numerical = [found.numerical(layer) for layer in range(len(found.w_gradients))]
    objects.append(
        {
            "loss": found.objective,
            "w_gradient_sum": [_matrix(gradient) for gradient in found.w_gradients],
            "w_gradient_numerical": [None if gradient is None else _matrix(gradient) for gradient in numerical],
            "entries_compared": len(found.entries),
            "worst_relative_difference": found.worst,
        }
    )
    return objects


def _matrix(matrix: Array) -> Any:
    return matrix.tolist() if matrix.size <= MOST_ENTRIES else None
