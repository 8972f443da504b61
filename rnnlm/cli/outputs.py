"""Check the output files of a command before it does the work."""

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from rnnlm.errors import ExchangeError, RnnlmError


def check_output(output: Path, option: str = "--output") -> None:
    """Check that a file can be written; "-" is stdout.

    Raises:
        RnnlmError: it cannot be written, or is a folder or a device.
    """
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


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths, which need not exist, are the same file."""
    return os.path.realpath(path) == os.path.realpath(other)


def check_free(output: Path, force: bool) -> None:
    """Check that a file can be written and, unless `force`, does not exist; raise RnnlmError otherwise."""
    check_output(output)
    if output.exists() and not force:
        raise ExchangeError(f"{output} exists already. Choose another name with -o, or replace it with --force.")


def check_not_a_text(written: Path, texts: Iterable[str], option: str) -> None:
    """Check that an output would not replace a text that is read, or another output; "-" is a standard stream.

    Raises:
        RnnlmError: the output is the same file as one of `texts`.
    """
    for text in texts:
        if "-" in (text, str(written)):
            continue
        both_there = written.exists() and os.path.exists(text)
        if os.path.samefile(written, text) if both_there else os.path.realpath(written) == os.path.realpath(text):
            if both_there and option == "--output":
                _refuse_model(text)
            raise RnnlmError(f"{option} {written} would replace {text}. Choose another file for {option}.")


def _refuse_model(path: str) -> None:
    """Raise the reader's error if the "text" is a model: it helps more than that the file would be replaced."""
    from rnnlm.text.sources import Source

    with closing(Source(path, None).blocks(lambda read: None)) as blocks:
        next(blocks, None)
