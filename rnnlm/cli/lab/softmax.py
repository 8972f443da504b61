"""rnnlm lab softmax: compute a softmax step by step."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import click

from rnnlm.cli.lab.numbers import SETTINGS, numbers_of
from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.languages import TranslatedCommand, tr
from rnnlm.cli.printing import say
from rnnlm.cli.shared_options import Number, json_option

if TYPE_CHECKING:
    from rnnlm.lab.softmax import Softmax


@click.command(
    "softmax", cls=TranslatedCommand, short_help="Show how numbers become probabilities.", context_settings=SETTINGS
)
@click.argument("numbers", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--temperature",
    type=Number(),
    default=1.0,
    show_default=True,
    help="Divide the numbers by this first; below 1 sharper, above 1 flatter.",
)
@json_option
def softmax_command(numbers: tuple[str, ...], temperature: float, as_json: bool) -> None:
    """Show the softmax of NUMBERS ("-": those on stdin), step by step.

    \b
    rnnlm lab softmax 1 2 3 4
    rnnlm lab softmax -1.5 0 2 --temperature 0.5
    """
    from rnnlm.lab.softmax import softmax

    if not 0 < temperature < math.inf:
        raise click.BadParameter(f"{temperature} is not a positive finite number.", param_hint="--temperature")
    steps = softmax(numbers_of(numbers), temperature)
    present([{"inputs": steps.inputs, "probabilities": steps.probabilities}], partial(_show_softmax, steps))


def _show_softmax(steps: Softmax) -> None:
    T = "" if steps.temperature == 1 else f" / {steps.temperature:g}"
    power = f"e^(x{T})" if T else "e^x"
    shifted = f"e^((x - max){T})" if T else "e^(x - max)"
    columns = zip(steps.inputs, steps.exponentials, steps.shifted, steps.probabilities, strict=True)
    rows = [(f"{x:g}", _power(e), _power(s), f"{p:.6f}") for x, e, s, p in columns]
    rows.append((tr("sum"), _power(steps.total), _power(steps.shifted_total), f"{math.fsum(steps.probabilities):.6f}"))
    show_titled(rows, ["x", power, shifted, "probability"], "rrrr")
    click.echo()
    inputs = ", ".join(f"{x:g}{T}" for x in steps.inputs)
    say(f"softmax({inputs}) = {' '.join(f'{p:.2f}' for p in steps.probabilities)}")
    click.echo()
    say(
        tr(
            "probability = {power} / sum of all {power}: each is positive, and together they are sum / sum = 1.\n"
            "Subtracting the largest x first changes nothing, as the factor e^-max cancels; but then no power exceeds "
            "1.",
            power=power,
        )
    )
    if steps.overflows:
        say(
            tr("Here it is needed: the sum of {power} overflows or is 0, so nothing can be divided by it.", power=power)
        )


def _power(value: float) -> str:
    return tr("too large") if math.isinf(value) else f"{value:.6g}"
