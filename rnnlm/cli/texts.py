"""Options for reading a text and a progress bar, for the commands that learn from a text.

Slow imports happen within the functions.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from rnnlm.cli.declared import declared_options
from rnnlm.cli.languages import tr
from rnnlm.training.options import FOR_EVERY_MODEL

if TYPE_CHECKING:
    from rnnlm.cli.shared_options import Function

BAR_AFTER_SECONDS = 0.5  # no bar is shown before this time


def text_options(function: "Function") -> "Function":
    """Add the options for reading a text."""
    encoding = click.option(
        "--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030."
    )
    column = click.option(
        "--column",
        default=None,
        help="Column of CSV and TSV files to read, by name or number (from 1), or key of JSONL files.",
    )
    return declared_options(FOR_EVERY_MODEL)(encoding(column(function)))


def reading_bar() -> "Callable[[int, int], None] | None":
    """Return a function that shows the progress of reading (bytes done, total) as a bar; None without a terminal."""
    from rnnlm.cli.terminal import status_terminal

    terminal = status_terminal()
    if terminal is None:
        return None
    from tqdm import tqdm

    started, reading = time.monotonic(), tr("Reading")

    def progress(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if done >= total:
            terminal.end_status()
        elif elapsed >= BAR_AFTER_SECONDS:
            terminal.show_status(
                lambda columns: tqdm.format_meter(
                    done, total, elapsed, ncols=columns, prefix=reading, unit="B", unit_scale=True
                )
            )

    return progress
