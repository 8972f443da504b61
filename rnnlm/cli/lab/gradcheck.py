"""rnnlm lab gradcheck: whether back-propagation is right."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from rnnlm.cli.common import (
    Text,
    json_option,
    note,
    print_json,
    read_text_argument,
    say,
    show_table,
)
from rnnlm.cli.lab.common import counted, given, level_option, sentences_of, tokenizer_of
from rnnlm.names import ACTIVATIONS, CELLS, LOSSES

if TYPE_CHECKING:
    import numpy as np

    from rnnlm.lab.gradients import CheckedGradient, Data, GradientCheck
    from rnnlm.nn.network import NetworkConfig


@click.command(short_help="Whether back-propagation is right.", context_settings={"show_default": True})
@click.argument("text", required=False, type=Text())
@click.option("--cell", type=click.Choice(CELLS), default="rnn", help="Recurrent cell.")
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="tanh",
    help="The function f of the basic cell (rnn); the other cells have their own.",
)
@click.option("--hidden-size", type=click.IntRange(2, 512), default=4, help="Entries of the state s, H.")
@click.option("--num-layers", type=click.IntRange(1, 16), default=1, help="Recurrent layers, L.")
@click.option("--embedding-size", type=click.IntRange(0, 512), default=0, help="Entries of an embedding; 0: one-hot.")
@click.option("--steps", type=click.IntRange(1, 1000), default=5, help="Time steps of random data, T.")
@click.option("--batch-size", type=click.IntRange(1, 100), default=2, help="Columns of random data, B.")
@click.option("--loss", type=click.Choice(LOSSES), default="cross-entropy", help="The loss E.")
@click.option("--entries", type=click.IntRange(0, 1000), default=3, help="Entries of each parameter to compare.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random weights, data and entries.")
@json_option
@click.pass_context
def gradcheck(
    ctx: click.Context,
    text: str | None,
    cell: str,
    activation: str,
    hidden_size: int,
    num_layers: int,
    embedding_size: int,
    steps: int,
    batch_size: int,
    loss: str,
    entries: int,
    level: str,
    seed: int,
    as_json: bool,
) -> None:
    """Compare the gradients of back-propagation with those of the definition, (E(w + d) - E(w - d)) / 2d.

    All of them are checked: U, W, V, the biases and the initial state, along a random direction and at random entries,
    in float64, with random weights. The data are the training pairs of TEXT ("-": stdin), else random. The exit code
    is 1 when a relative error exceeds 1e-6.
    """
    import numpy as np

    from rnnlm.lab.gradients import gradient_check
    from rnnlm.nn.network import NetworkConfig

    if text is not None and (given(ctx, "steps") or given(ctx, "batch_size")):
        raise click.UsageError("--steps and --batch-size are for random data; TEXT has its own length.")
    if cell != "rnn" and given(ctx, "activation"):
        note(f"--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in.")
    rng = np.random.default_rng(seed)
    data, size = _random_data(steps, batch_size, rng) if text is None else _text_data(text, level)
    config = NetworkConfig(size, cell, activation, hidden_size, num_layers, embedding_size)
    _refuse_too_many_kinks(config, data.inputs.size)
    check = gradient_check(config, data, rng, loss, entries)
    if as_json:
        for gradient in check.gradients:
            print_json(dataclasses.asdict(gradient))
    else:
        _show_gradients(check)
        click.echo()
    T, B = data.inputs.shape
    note(f"{counted(T, 'step')}, {counted(B, 'column')}, {size:,} tokens in the vocabulary; {_definition(check)}")
    say(_verdict_on_gradients(check), err=as_json)
    ctx.exit(1 if check.wrong else 0)


def _refuse_too_many_kinks(config: NetworkConfig, inputs: int) -> None:
    from rnnlm.lab.gradients import RELU_ARGUMENTS, has_kinks

    arguments = inputs * config.hidden_size * config.num_layers
    if has_kinks(config) and arguments > RELU_ARGUMENTS:
        raise click.UsageError(
            f"relu would be applied {arguments:,} times (steps x columns x hidden size x layers). At most "
            f"{RELU_ARGUMENTS:,} will do, or too many are so close to 0 that the definition cannot be computed there."
        )


RANDOM_VOCABULARY = 10


def _random_data(steps: int, batch_size: int, rng: np.random.Generator) -> tuple[Data, int]:
    from rnnlm.lab.gradients import random_data

    return random_data(RANDOM_VOCABULARY, steps, batch_size, rng), RANDOM_VOCABULARY


def _text_data(text: str, level: str) -> tuple[Data, int]:
    from rnnlm.lab.gradients import text_data
    from rnnlm.lab.sentences import flat, vocabulary_of

    lines = sentences_of(read_text_argument(text), tokenizer_of(level))
    vocabulary = vocabulary_of(flat(lines))
    return text_data(lines, vocabulary), len(vocabulary)


def _show_gradients(check: GradientCheck) -> None:
    rows = [
        (
            gradient.symbol,
            gradient.name,
            _place(gradient),
            f"{gradient.expected: .10f}",
            f"{gradient.actual: .10f}",
            f"{gradient.relative_error:.1e}" + ("" if gradient.passes else "  WRONG"),
        )
        for gradient in check.gradients
    ]
    show_table(rows, ["", "parameter", "at", "expected", "actual", "relative error"], "lllrrl")


def _place(gradient: CheckedGradient) -> str:
    return "direction" if gradient.index is None else f"[{', '.join(map(str, gradient.index))}]"


def _definition(check: GradientCheck) -> str:
    return f"relative error = |expected - actual| / max(|expected| + |actual|, {check.floor:.1e})."


def _verdict_on_gradients(check: GradientCheck) -> str:
    worst = check.worst
    text = f"Worst relative error {worst.relative_error:.1e} ({worst.symbol}, {worst.name} {_place(worst)}): "
    if not check.wrong:
        return text + f"all {counted(len(check.gradients), 'gradient')} agree to 1e-6."
    symbols = ", ".join(dict.fromkeys(gradient.symbol for gradient in check.wrong))
    return text + f"{len(check.wrong)} of {counted(len(check.gradients), 'gradient')} are wrong, in {symbols}."
