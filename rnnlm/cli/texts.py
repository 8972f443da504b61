"""What the commands that learn from a text share: options that say how it is read, and a bar.

The module itself is light; what it needs of the package is imported when it is used.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from rnnlm.cli.declared import declared_options
from rnnlm.training.options import FOR_EVERY_MODEL

if TYPE_CHECKING:
    from rnnlm.cli.common import Function

BAR_AFTER_SECONDS = 0.5  # a text that is read sooner needs none


def text_options(function: "Function") -> "Function":
    """Add the options that say how a text is read."""
    encoding = click.option(
        "--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030."
    )
    column = click.option(
        "--column",
        default=None,
        help="What to read of CSV, TSV and JSONL files: a column by its name or, from 1 on, its number; a key.",
    )
    return declared_options(FOR_EVERY_MODEL)(encoding(column(function)))


def reading_bar() -> "Callable[[int, int], None] | None":
    """A bar for reading and tokenizing, shown in a terminal if it takes a while."""
    from rnnlm.cli.terminal import status_terminal

    terminal = status_terminal()
    if terminal is None:
        return None
    from tqdm import tqdm

    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if done >= total:
            terminal.end_status()
        elif elapsed >= BAR_AFTER_SECONDS:
            terminal.show_status(
                lambda columns: tqdm.format_meter(
                    done, total, elapsed, ncols=columns, prefix="Reading", unit="B", unit_scale=True
                )
            )

    return progress
