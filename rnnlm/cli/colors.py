"""Colours of the output: when they are used, and which colour a surprise has.

Text is made harmless before it is painted, so these are the only escape sequences that reach a terminal.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rnnlm.cli.terminal import Terminal, harmless
from rnnlm.cli.wrapping import COUNTED, wrapped

AUTO, ALWAYS, NEVER = WHEN = ("auto", "always", "never")
RESET = "\x1b[0m"
ERROR, WARNING = "1;31", "33"  # parameters of SGR (ECMA-48)
# (least bits, SGR parameters, style of prompt_toolkit) for the surprise of a token. A token below 2 bits was expected;
# one of 12 bits has the probability 1/4,096.
SURPRISE = ((12.0, "1;31", "ansired bold"), (7.0, "33", "ansiyellow"), (2.0, "", ""), (0.0, "32", "ansigreen"))
LABELS = (("Error:", ERROR), ("Warning:", WARNING), ("警告：", WARNING))
Function = TypeVar("Function", bound=Callable[..., Any])


class Wanted:
    """The value of --color for the running command; `run` resets it to "auto"."""

    when = AUTO


def color_option(function: Function) -> Function:
    """Add --color, which is valid for the whole command line."""

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
    """Return whether to colour text on a stream: see --color; NO_COLOR turns colours off (https://no-color.org)."""
    if Wanted.when != AUTO:
        return Wanted.when == ALWAYS
    return isinstance(stream, Terminal) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, color: str) -> str:
    """Return a text in a colour, given as SGR parameters; unchanged if `color` is empty."""
    return f"\x1b[{color}m{text}{RESET}" if color else text


def color_of(bits: float) -> str:
    """Return the SGR parameters of the colour for a surprise of `bits`."""
    return next((color for least, color, _ in SURPRISE if bits >= least), "")


def write_painted(stream: Any, text: str) -> None:
    """Write a text that was made harmless and then painted, and flush."""
    if isinstance(stream, Terminal):
        stream.write_as_it_is(text)
    else:
        stream.write(text)
    stream.flush()


def write_message(stream: Any, message: str) -> None:
    """Write a message; on a stream with colours, paint the label "Error:" or "Warning:"."""
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
