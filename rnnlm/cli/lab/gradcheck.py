"""rnnlm lab gradcheck: whether back-propagation is right."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import Text, json_option, read_text_argument, show_table
from rnnlm.cli.lab.presentation import counted, present
from rnnlm.cli.lab.subjects import (
    activation_option,
    cell_option,
    given,
    level_option,
    loss_option,
    network_config,
    note_unused_activation,
    sentences_of,
    size_options,
    tokenizer_of,
)

if TYPE_CHECKING:
    from rnnlm.lab.gradients import CheckedGradient, Data, GradientCheck
    from rnnlm.nn.network import NetworkConfig

RANDOM_VOCABULARY = 10


@click.command(short_help="Whether back-propagation is right.", context_settings={"show_default": True})
@click.argument("text", required=False, type=Text())
@cell_option
@activation_option("; the other cells have their own")
@size_options(default=4, least=2, most=512, layers=16)
@click.option("--steps", type=click.IntRange(1, 1000), default=5, help="Time steps of random data, T.")
@click.option("--batch-size", type=click.IntRange(1, 100), default=2, help="Columns of random data, B.")
@loss_option
@click.option("--entries", type=click.IntRange(0, 1000), default=3, help="Entries of each parameter to compare.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random weights, data and entries.")
@json_option
@click.pass_context
def gradcheck(
    ctx: click.Context,
    /,
    text: str | None,
    steps: int,
    batch_size: int,
    loss: str,
    entries: int,
    seed: int,
    **options: Any,
) -> None:
    """Compare the gradients of back-propagation with those of the definition, (E(w + d) - E(w - d)) / 2d.

    All of them are checked: U, W, V, the biases and the initial state, along a random direction and at random entries,
    in float64, with random weights. The data are the training pairs of TEXT ("-": stdin), else random. The exit code
    is 1 when a relative error exceeds 1e-6.
    """
    import numpy as np

    from rnnlm.lab.gradients import gradient_check, random_data

    if text is not None and (given(ctx, "steps") or given(ctx, "batch_size")):
        raise click.UsageError("--steps and --batch-size are for random data; TEXT has its own length.")
    note_unused_activation(ctx)
    rng = np.random.default_rng(seed)
    if text is None:
        data, size = random_data(RANDOM_VOCABULARY, steps, batch_size, rng), RANDOM_VOCABULARY
    else:
        data, size = _text_data(text, options["level"])
    config = network_config(ctx, size)
    _refuse_too_many_kinks(config, data.inputs.size)
    check = gradient_check(config, data, rng, loss, entries)
    T, B = data.inputs.shape
    present(
        map(dataclasses.asdict, check.gradients),
        partial(_show_gradients, check),
        notes=[
            f"{counted(T, 'step')}, {counted(B, 'column')}, {size:,} tokens in the vocabulary; relative error = "
            f"|expected - actual| / max(|expected| + |actual|, {check.floor:.1e})."
        ],
        verdict=_verdict(check),
    )
    ctx.exit(1 if check.wrong else 0)


def _refuse_too_many_kinks(config: NetworkConfig, inputs: int) -> None:
    from rnnlm.lab.gradients import RELU_ARGUMENTS, has_kinks

    arguments = inputs * config.hidden_size * config.num_layers
    if has_kinks(config) and arguments > RELU_ARGUMENTS:
        raise click.UsageError(
            f"relu would be applied {arguments:,} times (steps x columns x hidden size x layers). At most "
            f"{RELU_ARGUMENTS:,} will do, or too many are so close to 0 that the definition cannot be computed there."
        )


def _text_data(text: str, level: str) -> tuple[Data, int]:
    """The training pairs of TEXT, and the size of its vocabulary."""
    from rnnlm.lab.gradients import text_data
    from rnnlm.lab.sentences import flat, vocabulary_of

    lines = sentences_of(read_text_argument(text), tokenizer_of(level))
    vocabulary = vocabulary_of(flat(lines))
    return text_data(lines, vocabulary), len(vocabulary)


def _show_gradients(check: GradientCheck) -> None:
    rows = [
        (
            *(each.symbol, each.name, _place(each), f"{each.expected: .10f}", f"{each.actual: .10f}"),
            f"{each.relative_error:.1e}" + ("" if each.passes else "  WRONG"),
        )
        for each in check.gradients
    ]
    show_table(rows, ["", "parameter", "at", "expected", "actual", "relative error"], "lllrrl")
    click.echo()


def _place(gradient: CheckedGradient) -> str:
    return "direction" if gradient.index is None else f"[{', '.join(map(str, gradient.index))}]"


def _verdict(check: GradientCheck) -> str:
    worst = check.worst
    text = f"Worst relative error {worst.relative_error:.1e} ({worst.symbol}, {worst.name} {_place(worst)}): "
    if not check.wrong:
        return text + f"all {counted(len(check.gradients), 'gradient')} agree to 1e-6."
    symbols = ", ".join(dict.fromkeys(gradient.symbol for gradient in check.wrong))
    return text + f"{len(check.wrong)} of {counted(len(check.gradients), 'gradient')} are wrong, in {symbols}."
