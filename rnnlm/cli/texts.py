"""What the commands that learn from a text share: options that say how it is read, a bar, a check.

The module itself is light; what it needs of the package is imported when it is used.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.declared import declared_options
from rnnlm.errors import RnnlmError
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


def check_output(output: Path, option: str = "--output") -> None:
    """Find out before hours of training that the result could not be written; "-" is stdout."""
    if str(output) == "-":
        return
    target = Path(os.path.realpath(output))
    folder = target.parent
    if not folder.is_dir():
        raise RnnlmError(f"The folder {folder} for {option} does not exist. Create it or choose another.")
    if target.exists() and not target.is_file():
        raise RnnlmError(f"{output} for {option} is not a file, but a device or a folder. Choose another name.")
    if target.exists() and not os.access(target, os.W_OK):
        raise RnnlmError(f"{output} for {option} is write-protected. Make it writable (chmod u+w) or choose another.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RnnlmError(f"No file can be written in the folder {folder} for {option}. Choose another folder.")


def check_not_a_text(written: Path, texts: Iterable[str], option: str) -> None:
    """Refuse to replace a text by what is learnt from it, and one result by another; "-" is a standard stream."""
    for text in texts:
        if "-" in (text, str(written)):
            continue
        both_there = written.exists() and os.path.exists(text)
        if os.path.samefile(written, text) if both_there else os.path.realpath(written) == os.path.realpath(text):
            if both_there and option == "--output":
                _refuse_model(text)
            raise RnnlmError(f"{option} {written} would replace {text}. Choose another file for {option}.")


def _refuse_model(path: str) -> None:
    """Say of a model that is given as a text what it is for, rather than that it would be replaced."""
    from rnnlm.text.sources import Source

    with closing(Source(path, None).blocks(lambda read: None)) as blocks:
        next(blocks, None)


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
