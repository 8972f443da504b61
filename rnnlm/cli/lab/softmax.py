"""rnnlm lab softmax: how numbers become probabilities."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import click

from rnnlm.cli.common import Number, json_option, read_text_argument, say, show_table
from rnnlm.cli.lab.presentation import present
from rnnlm.cli.tables import token_cell

if TYPE_CHECKING:
    from rnnlm.lab.softmax import Softmax


@click.command(
    "softmax",
    short_help="How numbers become probabilities.",
    context_settings={"ignore_unknown_options": True},  # -1 is a number
)
@click.argument("numbers", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--temperature",
    type=Number(),
    default=1.0,
    show_default=True,
    help="Divides the numbers first; below 1 sharper, above 1 flatter.",
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
    inputs = [_number(word) for word in _words(numbers)]
    if not inputs:
        raise click.UsageError("There are no numbers on standard input.")
    steps = softmax(inputs, temperature)
    present([{"inputs": steps.inputs, "probabilities": steps.probabilities}], partial(_show_softmax, steps))


def _words(arguments: tuple[str, ...]) -> list[str]:
    return [
        word for argument in arguments for word in (read_text_argument("-").split() if argument == "-" else [argument])
    ]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        if word.startswith("--"):
            raise click.NoSuchOption(word) from None
        raise click.BadParameter(f"{token_cell(word)!r} is not a number.", param_hint="NUMBERS") from None
    if not math.isfinite(value):
        raise click.BadParameter(f"{word!r} is not a finite number.", param_hint="NUMBERS")
    return value


def _show_softmax(steps: Softmax) -> None:
    T = "" if steps.temperature == 1 else f" / {steps.temperature:g}"
    power = f"e^(x{T})" if T else "e^x"
    shifted = f"e^((x - max){T})" if T else "e^(x - max)"
    columns = zip(steps.inputs, steps.exponentials, steps.shifted, steps.probabilities, strict=True)
    rows = [(f"{x:g}", _power(e), _power(s), f"{p:.6f}") for x, e, s, p in columns]
    rows.append(("sum", _power(steps.total), _power(steps.shifted_total), f"{math.fsum(steps.probabilities):.6f}"))
    show_table(rows, ["x", power, shifted, "probability"], "rrrr")
    click.echo()
    inputs = ", ".join(f"{x:g}{T}" for x in steps.inputs)
    say(f"softmax({inputs}) = {' '.join(f'{p:.2f}' for p in steps.probabilities)}")
    click.echo()
    say(
        f"probability = {power} / sum of all {power}: each is positive, and together they are sum / sum = 1.\n"
        "Subtracting the largest x first changes nothing, for the factor e^-max cancels; but then no power exceeds 1."
    )
    if steps.overflows:
        say(f"Here it is needed: the sum of {power} is no number that a computer can divide by.")


def _power(value: float) -> str:
    return "too large" if math.isinf(value) else f"{value:.6g}"
