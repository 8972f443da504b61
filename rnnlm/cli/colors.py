"""Colour where it helps: whether there is any, and how surprise looks.

What is painted was made harmless before, since a terminal is to obey these sequences and no others.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rnnlm.cli.terminal import Terminal, harmless
from rnnlm.cli.wrapping import COUNTED, wrapped

AUTO, ALWAYS, NEVER = WHEN = ("auto", "always", "never")
RESET = "\x1b[0m"
ERROR, WARNING = "1;31", "33"  # as ECMA-48 numbers them
# Bits from which a token's surprise has a colour: its number and its name for prompt_toolkit. Below 2 bits the token
# was expected, from 12 on it is as rare as one in 4,096.
SURPRISE = ((12.0, "1;31", "ansired bold"), (7.0, "33", "ansiyellow"), (2.0, "", ""), (0.0, "32", "ansigreen"))
LABELS = (("Error:", ERROR), ("Warning:", WARNING), ("警告：", WARNING))
Function = TypeVar("Function", bound=Callable[..., Any])


class Wanted:
    """When a command line wants colours; `run` begins every one with "auto"."""

    when = AUTO


def color_option(function: Function) -> Function:
    """Add --color, which decides for the whole command line."""

    def decide(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            Wanted.when = value

    return click.option(
        "--color",
        type=click.Choice(WHEN),
        default=None,
        show_default="auto: in a terminal, unless NO_COLOR is set",
        expose_value=False,
        is_eager=True,
        callback=decide,
        help="When to use colours.",
    )(function)


def colored(stream: Any) -> bool:
    """Whether a stream gets colours; NO_COLOR turns them off, see https://no-color.org."""
    if Wanted.when != AUTO:
        return Wanted.when == ALWAYS
    return isinstance(stream, Terminal) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, color: str) -> str:
    """A text in a colour; without one as it is."""
    return f"\x1b[{color}m{text}{RESET}" if color else text


def color_of(bits: float) -> str:
    """The colour of a token of so much surprise."""
    return next((color for least, color, _ in SURPRISE if bits >= least), "")


def write_painted(stream: Any, text: str) -> None:
    """Write a text that is harmless but for its colours."""
    if isinstance(stream, Terminal):
        stream.write_as_it_is(text)
    else:
        stream.write(text)
    stream.flush()


def write_message(stream: Any, message: str) -> None:
    """Write lines about the answer; the word that begins an error or a warning is painted."""
    if not colored(stream):
        stream.write(message)
        return
    shown = harmless(message) if isinstance(stream, Terminal) else message
    lines = wrapped(shown, stream.columns, COUNTED) if isinstance(stream, Terminal) else shown
    for label, color in LABELS:
        lines = "\n".join(
            painted(label, color) + line.removeprefix(label) if line.startswith(label) else line
            for line in lines.split("\n")
        )
    write_painted(stream, lines)
