"""Read numbers, also negative ones, from the arguments of a command or from stdin."""

import math
from collections.abc import Iterator, Sequence

import click

from rnnlm.cli.tables import token_cell
from rnnlm.cli.text_argument import read_text_argument

# Read -1 as a number, not as an option.
SETTINGS = {"ignore_unknown_options": True}


def numbers_of(arguments: Sequence[str]) -> list[float]:
    """Return the arguments as numbers; "-" stands for the numbers on stdin.

    Raises:
        click.UsageError: one is not a finite number, or there are none.
    """
    found = [_number(word) for word in _words(arguments)]
    if not found:
        raise click.UsageError("There are no numbers on standard input.")
    return found


def _words(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        yield from read_text_argument("-").split() if argument == "-" else [argument]


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
