"""Print answers to stdout, as paragraphs, tables or JSON, and messages to stderr."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from rnnlm.cli.colors import colored, write_message
from rnnlm.cli.languages import translated
from rnnlm.cli.tables import table
from rnnlm.cli.terminal import json_escaped, width_of
from rnnlm.cli.wrapping import WORD, wrapped
from rnnlm.json_values import json_value


def print_json(value: Any) -> None:
    """Print a value as one line of JSON in UTF-8; nan and infinity become null."""
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, with terminal control characters written as JSON escapes."""
    return json_escaped(json.dumps(json_value(value), ensure_ascii=False))


def note(message: str) -> None:
    """Write a message to stderr; a `Sentence` of the library is translated."""
    message = translated(message)
    if colored(sys.stderr):
        write_message(sys.stderr, f"{message}\n")
    else:
        click.echo(message, err=True)


def say(paragraph: str, word: str = WORD, err: bool = False) -> None:
    """Print a paragraph, translated if it is a `Sentence`; in a terminal, wrap it to the terminal's width."""
    paragraph = translated(paragraph)
    width = width_of(sys.stderr if err else sys.stdout)
    click.echo(paragraph if width is None else wrapped(paragraph.replace("\n", " "), width, word), err=err)


def show_table(
    rows: Iterable[Sequence[object]],
    headers: Sequence[str] = (),
    align: str = "",
    keys: int = 1,
    err: bool = False,
) -> None:
    """Print a table, fitted to the terminal if there is one; see `tables.table`."""
    click.echo(table(rows, headers, align, width_of(sys.stderr if err else sys.stdout), keys), err=err)
