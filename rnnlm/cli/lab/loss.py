"""rnnlm lab loss: compare cross-entropy and squared error as measures of a wrong answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.numbers import SETTINGS, numbers_of
from rnnlm.cli.lab.presentation import number, present, show_titled
from rnnlm.cli.languages import TranslatedCommand, tr
from rnnlm.cli.printing import say
from rnnlm.cli.shared_options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnlm.lab.losses import Losses

EXAMPLE = ("1", "2", "3", "4")  # the article's
LOWERED_BY = (0.0, 2.0, 5.0, 10.0, 20.0)


@click.command(
    cls=TranslatedCommand,
    short_help="Measure how wrong an answer is: cross-entropy and squared error.",
    context_settings={**SETTINGS, "show_default": True},
)
@click.argument("numbers", nargs=-1, type=click.UNPROCESSED)
@click.option("--label", type=click.IntRange(1), default=1, help="Position of the right answer's number, from 1.")
@json_option
def loss(numbers: tuple[str, ...], label: int, as_json: bool) -> None:
    """Show the loss of softmax(NUMBERS) where one answer is right, and its gradient; NUMBERS are 1 2 3 4 by default.

    \b
    cross-entropy   L = -sum of y ln o = -ln o of the right answer
                    dL/dx = o - y
    squared error   L = sum of (o - y)^2 / 2
                    dL/dx = o (d - sum of d o), d = o - y

    \b
    rnnlm lab loss 1 2 3 4 --label 1
    rnnlm lab loss -2 0 5
    """
    from rnnlm.lab.losses import less_and_less_right, losses

    inputs = numbers_of(numbers or EXAMPLE)
    if label > len(inputs):
        raise click.UsageError(f"--label {label}: there are {len(inputs)} numbers; expected 1 to {len(inputs)}.")
    found = losses(inputs, label - 1)
    surer = less_and_less_right(inputs, label - 1, LOWERED_BY)
    present(_objects(found, surer), partial(_show, found, surer))


def _objects(found: Losses, surer: Sequence[Losses]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects: the losses of the given numbers, then with the right answer's number lowered."""
    for lowered_by, each in zip((0.0, *LOWERED_BY[1:]), (found, *surer[1:]), strict=True):
        yield {
            "inputs": each.inputs.tolist(),
            "label": each.label + 1,
            "label_lowered_by": lowered_by,
            "probabilities": each.probabilities.tolist(),
            "cross_entropy_nats": each.cross_entropy,
            "cross_entropy_gradient": each.cross_entropy_gradient.tolist(),
            "squared_error": each.squared_error,
            "squared_error_gradient": each.squared_error_gradient.tolist(),
        }


def _show(found: Losses, surer: Sequence[Losses]) -> None:
    right, o = found.label, found.probabilities.tolist()
    say(tr("Cross-entropy L = -sum of y ln o, and squared error L = sum of (o - y)^2 / 2, of o = softmax(x):"))
    click.echo()
    rows: list[list[object]] = [
        [
            *(f"{x:g}", f"{p:.4f}", int(place == right)),
            *(number(found.cross_entropy) if place == right else number(0.0), number(by_entropy)),
            *(number((p - (place == right)) ** 2 / 2), number(by_square)),
        ]
        for place, (x, p, by_entropy, by_square) in enumerate(
            zip(
                found.inputs.tolist(),
                o,
                found.cross_entropy_gradient.tolist(),
                found.squared_error_gradient.tolist(),
                strict=True,
            )
        )
    ]
    total = [tr("sum"), f"{sum(o):.4f}", 1, number(found.cross_entropy), "", number(found.squared_error), ""]
    show_titled([*rows, total], ["x", "o", "y", "-y ln o", "dL/dx", "(o - y)^2 / 2", "dL/dx"], "r" * 7, keys=3)
    click.echo()
    facts = {"p": f"{o[right]:.4f}", "loss": f"{found.cross_entropy:.4f}"}
    say(tr("Cross-entropy: -ln {p} = {loss}. Its gradient is o - y.", **facts))
    click.echo()
    say(tr("The more certain the network is of a wrong answer, the smaller the x of the right one:"))
    click.echo()
    table = [
        [
            f"{each.inputs[right]:g}",
            *map(
                number,
                (
                    float(each.probabilities[right]),
                    each.cross_entropy,
                    float(each.cross_entropy_gradient[right]),
                    each.squared_error,
                    float(each.squared_error_gradient[right]),
                ),
            ),
        ]
        for each in surer
    ]
    show_titled(table, ["x", "o[label]", "cross-entropy", "dL/dx", "squared error", "dL/dx"], "r" * 6)
    click.echo()
    say(
        tr(
            "Cross-entropy grows and its gradient goes to -1: the greater the error, the more is learnt. The gradient "
            "of the squared error has the factor o, goes to 0, and nothing is learnt where the network is most wrong."
        )
    )
