"""Standard streams that somebody has closed, and a stderr whose reader may go away."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

CHUNK = 1 << 14  # characters written at a time


class Unfailing(io.TextIOWrapper):
    """A stream for what is said about the work, which must not end the work: what nobody can read is lost.

    The terminal may be closed, the pipe's reader gone, the disk with the log full.
    """

    def write(self, text: str) -> int:
        """Write a text if that can be done."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Bring it to its reader if that can be done."""
        with suppress(OSError):
            super().flush()


def open_closed_streams() -> None:
    """Fill the places 0, 1 and 2 where they are closed (2>&-), and make stderr unfailing.

    Else the next file that is opened, such as a model, would take the place of stderr and get the messages. What is
    written to a closed stdout is an error, as with other programs; nothing is said to a closed stderr.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free place
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    stderr: Any = os.fdopen(2, "w", encoding="utf-8", closefd=False) if sys.stderr is None else sys.stderr
    with suppress(AttributeError, ValueError):  # a notebook's has no bytes below it
        sys.stderr = Unfailing(stderr.detach(), encoding="utf-8", errors="backslashreplace", line_buffering=True)


class Collected:
    """Text that is written when much of it has come together, or at a flush."""

    def __init__(self, show: Callable[[str], None]) -> None:
        """Write with `show`."""
        self._show = show
        self._waiting: list[str] = []
        self._length = 0

    def write(self, text: str) -> None:
        """Take a text."""
        self._waiting.append(text)
        self._length += len(text)
        if self._length > CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        self._show("".join(self._waiting))
        self._waiting, self._length = [], 0
