"""rnnlm lab unroll: the states that a network has while it reads a sentence, in one direction or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import json_option, load_model, note, print_json, say, show_table
from rnnlm.cli.lab.common import (
    NETWORK_OPTIONS,
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
    vector,
)

if TYPE_CHECKING:
    from rnnlm.lab.unrolled import Unrolled
    from rnnlm.nn.network import LayerStack, NetworkConfig
    from rnnlm.text.vocabulary import Vocabulary


@click.command(
    short_help="The states of a network, step by step, of both directions too.", context_settings={"show_default": True}
)
@text_argument
@model_option("Trained model to look at.", "a small network with random weights")
@network_options
@click.option("--bidirectional", is_flag=True, help="Read the sentence from both sides.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random weights.")
@plot_option
@json_option
@click.pass_context
def unroll(
    ctx: click.Context,
    text: str,
    model_path: Path | None,
    cell: str,
    activation: str,
    hidden_size: int,
    num_layers: int,
    embedding_size: int,
    bidirectional: bool,
    level: str,
    seed: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Unroll the network over the sentence TEXT ("-": stdin): its states, and what each output is made of.

    \b
    one direction     s_t  = f(U x_t + W s_{t-1} + b)
                      o_t  = softmax(V s_t + b_V) says what x_{t+1} is
    both directions   s'_t = f(U' x_t + W' s'_{t+1} + b')
                      o_t  = softmax(V s_{t-1} + V' s'_{t+1} + b_V) says what x_t
                      is, which neither of the two states has seen

    \b
    rnnlm lab unroll "我 昨天 上学 迟到 了" --bidirectional
    rnnlm lab unroll "我 昨天 上学 迟到 了" --num-layers 2 --plot unrolled.svg

    In float64.
    """
    if model_path is not None:
        refuse_with_model(ctx, *NETWORK_OPTIONS, "bidirectional", "level", "seed")
    check_picture(picture, [str(model_path)] if model_path else [])
    from rnnlm.lab.unrolled import in_float64, unroll_sentence

    model = None if model_path is None else load_model(model_path)
    network: LayerStack | None = None if model is None else in_float64(model.network)
    ids, vocabulary = one_sentence(text, level, model)
    if network is None:
        if cell != "rnn" and given(ctx, "activation"):
            note(f"--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in.")
        network = _random_network(
            (len(vocabulary), cell, activation, hidden_size, num_layers, embedding_size), bidirectional, seed
        )
    found = unroll_sentence(network, ids)
    if as_json:
        for each in _objects(found, network, vocabulary):
            print_json(each)
    else:
        _show(found, network, vocabulary)
    if picture is not None:
        from rnnlm.lab.unrolled_picture import draw

        tokens = shown_ids(vocabulary, ids)
        save_picture(draw(found, network.config, tokens), picture, tokens)


def _random_network(settings: tuple[int, str, str, int, int, int], bidirectional: bool, seed: int) -> LayerStack:
    import numpy as np

    from rnnlm.lab.gradients import random_network
    from rnnlm.model_header import network_of
    from rnnlm.nn.network import NetworkConfig

    config = NetworkConfig(*settings, bidirectional=bidirectional)
    return network_of(config, random_network(config, np.random.default_rng(seed)).params)


def _show(found: Unrolled, network: LayerStack, vocabulary: Vocabulary) -> None:
    config = network.config
    for formula in _formulas(config):
        say(formula)
    click.echo()
    for direction in config.directions:
        for layer in range(config.num_layers):
            _show_states(found, network, vocabulary, layer, direction)
            click.echo()
    _show_outputs(found, vocabulary, config.bidirectional)


def _formulas(config: NetworkConfig) -> list[str]:
    from rnnlm.nn.cells import CELLS

    if config.cell == "rnn":
        lines = [f"s_t  = {config.activation}(U x_t + W s_(t-1) + b)"]
        reverse = f"s'_t = {config.activation}(U' x_t + W' s'_(t+1) + b')"
    else:
        w = CELLS[config.cell].recurrent
        lines = [f"s_t  = {config.cell}(x_t, s_(t-1)) with U{', W' * w}"]
        reverse = f"s'_t = {config.cell}(x_t, s'_(t+1)) with U'" + ", W'" * w
    if config.num_layers > 1:
        lines[0] += f"; from layer 2 on, x_t is the state of the layer below (layers: {config.num_layers})"
    if config.bidirectional:
        return [*lines, reverse, "o_t  = softmax(V s_(t-1) + V' s'_(t+1) + b_V), what x_t is"]
    return [*lines, "o_t  = softmax(V s_t + b_V), what x_(t+1) is"]


def _show_states(found: Unrolled, network: LayerStack, vocabulary: Vocabulary, layer: int, direction: str) -> None:
    """The steps of one layer in one direction, in the order of the text."""
    from rnnlm.lab.unrolled import argument
    from rnnlm.nn.cells import CELLS

    config, mark = network.config, "'" if direction else ""
    steps = found.backward[::-1] if direction else found.forward
    rows = []
    for place, step in enumerate(steps):
        t = found.first_step(direction) + (len(steps) - 1 - place if direction else place)
        (token,) = shown_ids(vocabulary, [step.inputs[0, 0]])
        row: list[object] = [t, token]
        if config.cell == "rnn":
            parts = argument(network, steps, place, layer, direction)
            row += [vector(parts.of_input), vector(parts.of_state), vector(parts.bias)]
        row.append(vector(step.state[0, layer, 0]))
        if len(step.state) > 1:
            row.append(vector(step.state[1, layer, 0]))
        rows.append(row)
    if direction:
        rows.reverse()
    of = f"({layer + 1})" if config.num_layers > 1 else ""
    below = f"s{mark}({layer})_t" if layer else "x_t"
    before = f"s{mark}{of}_(t{'+' if direction else '-'}1)"
    sums = [f"U{mark}{of} {below}", f"W{mark}{of} {before}", f"b{mark}{of}"] if config.cell == "rnn" else []
    memory = [f"c{mark}{of}_t"] if CELLS[config.cell].states > 1 else []
    show_table(rows, ["t", "x_t", *sums, f"s{mark}{of}_t", *memory], "r", keys=2)


def _show_outputs(found: Unrolled, vocabulary: Vocabulary, both: bool) -> None:
    """What each output is made of: the row of the right token, summed up, and the most probable token."""
    rows = []
    for output in found.outputs:
        label, best = shown_ids(vocabulary, [output.label, output.best])
        row: list[object] = [output.step, label]
        if output.forward is not None and output.bias is not None:
            parts = [output.forward, *([output.backward] if output.backward is not None else []), output.bias]
            row += [number(part) for part in [*parts, sum(parts)]]
        rows.append([*row, f"{output.probability:.4f}", best, f"{output.best_probability:.4f}"])
    sums: list[str] = []
    if found.outputs[0].forward is not None:
        sums = ["V s_(t-1)", "V' s'_(t+1)", "b_V", "sum"] if both else ["V s_t", "b_V", "sum"]
    headers = ["t", "label", *sums, "o_t of it", "best", "o_t of it"]
    show_table(rows, headers, "rl" + "r" * len(sums) + "rlr", keys=2)


def _objects(found: Unrolled, network: LayerStack, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """An object for each state, then one for each output."""
    from rnnlm.lab.unrolled import argument

    config, objects = network.config, []
    for direction in config.directions:
        steps = found.backward[::-1] if direction else found.forward
        for layer in range(config.num_layers):
            for place, step in enumerate(steps):
                t = found.first_step(direction) + (len(steps) - 1 - place if direction else place)
                parts = argument(network, steps, place, layer, direction)
                state = step.state[:, layer, 0]
                objects.append(
                    {
                        "direction": "backward" if direction else "forward",
                        "layer": layer + 1,
                        "step": t,
                        "input": vocabulary.token(int(step.inputs[0, 0])),
                        "of_input": parts.of_input.tolist(),
                        "of_state": parts.of_state.tolist(),
                        "bias": parts.bias.tolist(),
                        "state": state[0].tolist(),
                        **({"cell_state": state[1].tolist()} if len(state) > 1 else {}),
                    }
                )
    for output in found.outputs:
        objects.append(
            {
                "output": output.step,
                "label": vocabulary.token(output.label),
                "of_forward": output.forward,
                "of_backward": output.backward,
                "bias": output.bias,
                "probability": output.probability,
                "best": vocabulary.token(output.best),
                "best_probability": output.best_probability,
            }
        )
    return objects
