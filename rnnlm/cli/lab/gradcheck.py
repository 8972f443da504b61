"""rnnlm lab gradcheck: check the gradients of back-propagation numerically."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.lab.subjects import (
    activation_option,
    cell_option,
    given,
    level_option,
    loss_option,
    network_of_options,
    note_unused_activation,
    sentences_of,
    size_options,
    tokenizer_of,
    weights_options,
)
from rnnlm.cli.languages import TranslatedCommand, counted, tr
from rnnlm.cli.shared_options import Text, json_option
from rnnlm.cli.text_argument import read_text_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    from rnnlm.lab.gradients import CheckedGradient, Data, GradientCheck
    from rnnlm.nn.network import Network, NetworkConfig

RANDOM_VOCABULARY = 10


@click.command(
    cls=TranslatedCommand, short_help="Check that back-propagation is right.", context_settings={"show_default": True}
)
@click.argument("text", required=False, type=Text())
@cell_option
@activation_option("; the other cells have their own")
@size_options(default=4, least=2, most=512, layers=16)
@weights_options
@click.option("--steps", type=click.IntRange(1, 1000), default=5, help="Time steps of random data, T.")
@click.option("--batch-size", type=click.IntRange(1, 100), default=2, help="Columns of random data, B.")
@loss_option
@click.option(
    "--entries", type=click.IntRange(0, 1000), default=3, help="Number of entries to compare in each parameter."
)
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of weights, data and entries.")
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

    U, W, V, the biases and the initial state are checked along a random direction and at random entries, in float64,
    with random weights. The data are the training pairs of TEXT ("-": stdin), else random. The exit code is 1 if a
    relative error exceeds 1e-6.
    """
    import numpy as np

    from rnnlm.lab.gradients import gradient_check, random_data

    if text is not None and (given(ctx, "steps") or given(ctx, "batch_size")):
        raise click.UsageError("--steps and --batch-size are for random data; TEXT has its own length.")
    note_unused_activation(ctx)
    rng = np.random.default_rng(seed)
    if text is None:
        data, tokens = random_data(RANDOM_VOCABULARY, steps, batch_size, rng), list(map(str, range(RANDOM_VOCABULARY)))
    else:
        data, tokens = _text_data(text, options["level"])
    make = cast("Callable[[Generator], Network]", partial(network_of_options, ctx, len(tokens), tokens=tokens))
    config = make(np.random.default_rng(seed)).config
    _refuse_too_many_kinks(config, data.inputs.size)
    check = gradient_check(config, data, rng, loss, entries, make)
    if options["no_bias"]:
        check = check._replace(gradients=[each for each in check.gradients if not each.symbol.startswith("b_")])
    T, B = data.inputs.shape
    present(
        map(dataclasses.asdict, check.gradients),
        partial(_show_gradients, check),
        notes=[
            tr(
                "{steps}, {columns}, {size} tokens in the vocabulary; relative error = "
                "|expected - actual| / max(|expected| + |actual|, {floor}).",
                steps=counted(T, "step"),
                columns=counted(B, "column"),
                size=f"{len(tokens):,}",
                floor=f"{check.floor:.1e}",
            )
        ],
        verdict=_verdict(check),
    )
    ctx.exit(1 if check.wrong else 0)


def _refuse_too_many_kinks(config: NetworkConfig, inputs: int) -> None:
    from rnnlm.lab.gradients import RELU_ARGUMENTS, has_kinks

    arguments = inputs * config.hidden_size * config.num_layers
    if has_kinks(config) and arguments > RELU_ARGUMENTS:
        raise click.UsageError(
            f"relu would be applied {arguments:,} times (steps x columns x hidden size x layers); expected at most "
            f"{RELU_ARGUMENTS:,}, since numerical gradients fail where an argument of relu is too close to 0."
        )


def _text_data(text: str, level: str) -> tuple[Data, list[str]]:
    """Return the training pairs of TEXT and the tokens of its vocabulary."""
    from rnnlm.lab.gradients import text_data
    from rnnlm.lab.sentences import flat, vocabulary_of

    lines = sentences_of(read_text_argument(text), tokenizer_of(level))
    vocabulary = vocabulary_of(flat(lines))
    return text_data(lines, vocabulary), list(map(vocabulary.token, range(len(vocabulary))))


def _show_gradients(check: GradientCheck) -> None:
    rows = [
        (
            *(each.symbol, each.name, _place(each, tr("direction")), f"{each.expected: .10f}", f"{each.actual: .10f}"),
            f"{each.relative_error:.1e}" + ("" if each.passes else f"  {tr('WRONG')}"),
        )
        for each in check.gradients
    ]
    show_titled(rows, ["", "parameter", "at", "expected", "actual", "relative error"], "lllrrl")
    click.echo()


def _place(gradient: CheckedGradient, direction: str) -> str:
    return direction if gradient.index is None else f"[{', '.join(map(str, gradient.index))}]"


def _verdict(check: GradientCheck) -> str:
    worst, n = check.worst, len(check.gradients)
    text = tr(
        "Worst relative error {error} ({symbol}, {name} {place}): ",
        error=f"{worst.relative_error:.1e}",
        symbol=worst.symbol,
        name=worst.name,
        place=_place(worst, tr("direction")),
    )
    if not check.wrong:
        return text + tr("all {gradients} agree to 1e-6.", gradients=counted(n, "gradient"))
    symbols = ", ".join(dict.fromkeys(gradient.symbol for gradient in check.wrong))
    wrong = "{wrong} of {gradients} are wrong, in {symbols}."
    return text + tr(wrong, wrong=len(check.wrong), gradients=counted(n, "gradient"), symbols=symbols)
