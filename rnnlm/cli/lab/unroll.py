"""rnnlm lab unroll: show the states of a network while it reads a sentence, in one direction or both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.matrices import has_bias, show_matrices
from rnnlm.cli.lab.presentation import number, present, show_titled, vector
from rnnlm.cli.lab.subjects import (
    NETWORK_OPTIONS,
    check_plot,
    refuse_with_model,
    sentence_and_network,
    sentence_options,
    shown_ids,
)
from rnnlm.cli.languages import TranslatedCommand, tr
from rnnlm.cli.printing import say

if TYPE_CHECKING:
    from rnnlm.lab.unrolled import Step, Unrolled
    from rnnlm.nn.network import LayerStack, NetworkConfig
    from rnnlm.text.vocabulary import Vocabulary


@click.command(
    cls=TranslatedCommand,
    short_help="Show the states of a network step by step, in one direction or both.",
    context_settings={"show_default": True},
)
@sentence_options(click.option("--bidirectional", is_flag=True, help="Read the sentence in both directions."))
@click.pass_context
def unroll(ctx: click.Context, /, model_path: Path | None, **options: Any) -> None:
    """Unroll the network over the sentence TEXT ("-": stdin): show its states, and the terms of each output.

    \b
    one direction     s_t  = f(U x_t + W s_{t-1} + b)
                      o_t  = softmax(V s_t + b_V) predicts x_{t+1}
    both directions   s'_t = f(U' x_t + W' s'_{t+1} + b')
                      o_t  = softmax(V s_{t-1} + V' s'_{t+1} + b_V) predicts x_t,
                      which neither of the two states has seen

    \b
    rnnlm lab unroll "我 昨天 上学 迟到 了" --bidirectional
    rnnlm lab unroll "我 昨天 上学 迟到 了" --num-layers 2 --plot unrolled.svg
    rnnlm lab unroll "我 昨天 上学 迟到 了" --weights mine.json --no-bias

    All numbers are float64.
    """
    if model_path is not None:
        refuse_with_model(ctx, *NETWORK_OPTIONS, "weights", "no_bias", "bidirectional", "level", "seed")
    check_plot(ctx, model_path)
    from rnnlm.lab.unrolled import unroll_sentence
    from rnnlm.plots.unrolled import draw

    network, ids, vocabulary, _ = sentence_and_network(ctx, one_way=False)
    found = unroll_sentence(network, ids)
    tokens = shown_ids(vocabulary, ids)
    present(
        _objects(found, network, vocabulary),
        partial(_show, found, network, vocabulary),
        partial(draw, found, network.config, tokens),
        tokens,
    )


def _show(found: Unrolled, network: LayerStack, vocabulary: Vocabulary) -> None:
    config, bias = network.config, has_bias(network)
    for formula in _formulas(config, bias):
        say(formula)
    click.echo()
    show_matrices(network, vocabulary)
    for direction in config.directions:
        for layer in range(config.num_layers):
            _show_states(found, network, vocabulary, layer, direction, bias)
            click.echo()
    _show_outputs(found, vocabulary, config.bidirectional, bias)


def _formulas(config: NetworkConfig, bias: bool) -> list[str]:
    """Return the formulas, with their numbers in the article if they have one."""
    from rnnlm.nn.cells import CELLS

    b, b_V = (" + b", " + b_V") if bias else ("", "")
    numbers = [tr("formula 2"), "", tr("formula 1")]
    if config.cell == "rnn":
        lines = [f"s_t  = {config.activation}(U x_t + W s_(t-1){b})"]
        reverse = f"s'_t = {config.activation}(U' x_t + W' s'_(t+1){b and b + chr(39)})"
    else:
        w = CELLS[config.cell].recurrent
        lines = [f"s_t  = {config.cell}(x_t, s_(t-1)) with U{', W' * w}"]
        reverse = f"s'_t = {config.cell}(x_t, s'_(t+1)) with U'" + ", W'" * w
        numbers[0] = ""
    if config.num_layers > 1:
        lines[0] += tr(
            "; from layer 2 on, x_t is the state of the layer below (layers: {layers})", layers=config.num_layers
        )
    if config.bidirectional:
        lines += [reverse, f"o_t  = softmax(V s_(t-1) + V' s'_(t+1){b_V}), " + tr("what x_t is")]
    else:
        lines.append(f"o_t  = softmax(V s_t{b_V}), " + tr("what x_(t+1) is"))
        del numbers[1]
    return [f"{line}  ({name})" if name else line for line, name in zip(lines, numbers, strict=True)]


def _steps(found: Unrolled, direction: str) -> tuple[list[Step], range]:
    """Return the steps of one direction in reading order, and the t of each."""
    first = found.first_step(direction)
    if direction:
        return found.backward[::-1], range(first + len(found.backward) - 1, first - 1, -1)
    return found.forward, range(first, first + len(found.forward))


def _show_states(
    found: Unrolled, network: LayerStack, vocabulary: Vocabulary, layer: int, direction: str, bias: bool
) -> None:
    """Print a table of the steps of one layer in one direction, in the order of the text."""
    from rnnlm.lab.unrolled import argument
    from rnnlm.nn.cells import CELLS

    config, mark = network.config, "'" if direction else ""
    steps, times = _steps(found, direction)
    rows = []
    for place, step in enumerate(steps):
        parts = argument(network, steps, place, layer, direction)[: 2 + bias] if config.cell == "rnn" else ()
        rows.append(
            [times[place], *shown_ids(vocabulary, step.inputs[0]), *map(vector, [*parts, *step.state[:, layer, 0]])]
        )
    if direction:
        rows.reverse()
    of = f"({layer + 1})" if config.num_layers > 1 else ""
    below = f"s{mark}({layer})_t" if layer else "x_t"
    before = f"s{mark}{of}_(t{'+' if direction else '-'}1)"
    sums = [f"U{mark}{of} {below}", f"W{mark}{of} {before}", f"b{mark}{of}"][: 2 + bias] if config.cell == "rnn" else []
    memory = [f"c{mark}{of}_t"] if CELLS[config.cell].states > 1 else []
    show_titled(rows, ["t", "x_t", *sums, f"s{mark}{of}_t", *memory], "r", keys=2)


def _show_outputs(found: Unrolled, vocabulary: Vocabulary, both: bool, bias: bool) -> None:
    """Print for each output the terms of the right token's score, its probability, and the most probable token."""
    rows = []
    for output in found.outputs:
        label, best = shown_ids(vocabulary, [output.label, output.best])
        parts = [part for part in (output.forward, output.backward, output.bias) if part is not None]
        sums = [*map(number, parts if bias else parts[:-1]), *([number(sum(parts))] if parts else [])]
        rows.append([output.step, label, *sums, f"{output.probability:.4f}", best, f"{output.best_probability:.4f}"])
    names: list[str] = []
    if found.outputs[0].forward is not None:
        names = [*(["V s_(t-1)", "V' s'_(t+1)"] if both else ["V s_t"]), *(["b_V"] if bias else []), "sum"]
    headers = ["t", "label", *names, "o_t[label]", "best", "o_t[best]"]
    show_titled(rows, headers, "rl" + "r" * len(names) + "rlr", keys=2)


def _objects(found: Unrolled, network: LayerStack, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """Yield a JSON object for each state, then one for each output."""
    from rnnlm.lab.unrolled import argument

    for direction in network.config.directions:
        steps, times = _steps(found, direction)
        for layer in range(network.config.num_layers):
            for place, (step, t) in enumerate(zip(steps, times, strict=True)):
                parts, state = argument(network, steps, place, layer, direction), step.state[:, layer, 0]
                yield {
                    "direction": "backward" if direction else "forward",
                    "layer": layer + 1,
                    "step": t,
                    "input": vocabulary.token(int(step.inputs[0, 0])),
                    **{key: part.tolist() for key, part in parts._asdict().items()},
                    "state": state[0].tolist(),
                    **({"cell_state": state[1].tolist()} if len(state) > 1 else {}),
                }
    for output in found.outputs:
        yield {
            "output": output.step,
            "label": vocabulary.token(output.label),
            "of_forward": output.forward,
            "of_backward": output.backward,
            "bias": output.bias,
            "probability": output.probability,
            "best": vocabulary.token(output.best),
            "best_probability": output.best_probability,
        }
