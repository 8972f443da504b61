"""Replace closed standard streams, make stderr ignore write errors, and collect output."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

CHUNK = 1 << 14  # characters written at a time


class Unfailing(io.TextIOWrapper):
    """A text stream that ignores write errors, so that messages cannot end the work.

    The terminal may be closed, the reader of a pipe gone, or the disk with the log full.
    """

    def write(self, text: str) -> int:
        """Write a text; errors are ignored."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream; errors are ignored."""
        with suppress(OSError):
            super().flush()


def open_closed_streams() -> None:
    """Open closed file descriptors 0, 1 and 2 (as after 2>&-) on os.devnull, and make stderr `Unfailing`.

    Otherwise the next file that is opened, such as a model, would get the descriptor of stderr and the messages.
    Writing to a closed stdout stays an error, as in other programs; messages to a closed stderr are lost.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free descriptor
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    stderr: Any = os.fdopen(2, "w", encoding="utf-8", closefd=False) if sys.stderr is None else sys.stderr
    with suppress(AttributeError, ValueError):  # the stderr of a notebook has no binary buffer
        sys.stderr = Unfailing(stderr.detach(), encoding="utf-8", errors="backslashreplace", line_buffering=True)


class Collected:
    """Buffers text, and writes it in chunks or at a flush."""

    def __init__(self, show: Callable[[str], None]) -> None:
        """Set the function that writes."""
        self._show = show
        self._waiting: list[str] = []
        self._length = 0

    def write(self, text: str) -> None:
        """Add a text to the buffer; write the buffer if it is long."""
        self._waiting.append(text)
        self._length += len(text)
        if self._length > CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write the buffer."""
        self._show("".join(self._waiting))
        self._waiting, self._length = [], 0
