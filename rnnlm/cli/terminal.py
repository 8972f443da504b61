r"""Set up the standard streams: exact bytes in a file or a pipe, no control sequences in a terminal.

A corpus or a model may contain control sequences that move the cursor, change the window's title or hide text, and
characters that reverse the direction of writing. In a terminal they are shown as escapes such as \x1b; a file or a pipe
gets the exact bytes. In a terminal, messages are also wrapped between words, and a progress bar stays below them. All
of this is done in the streams, so that it holds for every message.
"""

import codecs
import contextlib
import math
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from rnnlm.cli.wrapping import COUNTED, wrapped

EXACT = "rnnlm-exact"  # name of the streams' error handler for surrogates
STATUS_SECONDS = 0.1  # least time between two drawings of a status
ERASE_REST = "\x1b[J"  # from the cursor to the end of the screen
ERASE = f"\r{ERASE_REST}"
# Control characters except newline, tab and the \r of \r\n; marks of direction and annotation; surrogates; and tag
# characters, which can hide text, except those of flags such as Scotland's (group 1).
_HARMFUL = re.compile(
    "(\U0001f3f4[\U000e0061-\U000e007a]{2,8}\U000e007f)|"
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]|\r(?!\n)"
)


def harmless(text: str) -> str:
    r"""Return a text with everything that could affect a terminal escaped; undecodable bytes are shown as \xff.

    >>> print(harmless("\x1b[31mred\x07, \u202eright to left, \udcff"))
    \x1b[31mred\x07, \u202eright to left, \xff
    """
    return _HARMFUL.sub(lambda found: found[1] or escaped(found[0]), text)


def json_escaped(text: str) -> str:
    """Return JSON with characters that could affect a terminal as JSON escapes, so its value stays the same."""
    return _HARMFUL.sub(lambda found: found[1] or _json_escape(found[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def escaped(character: str) -> str:
    r"""Return the escape of a character; a surrogate that stands for an undecodable byte becomes that byte, as \xff."""
    code = ord(character)
    byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code & 0xFF:02x}" if byte else character.encode("unicode_escape").decode()


def _exact(error: UnicodeError) -> tuple[bytes, int]:
    """Encode surrogates that stand for undecodable bytes, as in file names, as these bytes, and others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    written = (bytes([ord(c) & 0xFF]) if 0xDC80 <= ord(c) <= 0xDCFF else escaped(c).encode() for c in part)
    return b"".join(written), error.end


codecs.register_error(EXACT, _exact)


class Terminal:
    """A wrapper of a terminal's text stream that makes all text harmless.

    It can show a status, such as a progress bar: a line below all others that is redrawn in place. Text that is written
    meanwhile appears above it.
    """

    def __init__(self, stream: TextIO, wraps: bool = False) -> None:
        """Wrap a stream. wraps: break long lines between words, for messages but not for results."""
        self._stream, self._wraps = stream, wraps
        self.buffer = _Bytes(self)
        self._status: Callable[[int], str] | None = None
        self._drawn = False
        self._drawn_at = -math.inf
        self._at_line_start = True

    @property
    def columns(self) -> int:
        """Present number of columns of the terminal."""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # the stream is closed or not a terminal
            if columns := os.get_terminal_size(self._stream.fileno()).columns:
                return columns
        import shutil  # slow to load and rarely needed

        return shutil.get_terminal_size().columns

    def write(self, text: str) -> int:
        """Write a text, made harmless, above the status."""
        shown = harmless(text)
        self.write_as_it_is(wrapped(shown, self.columns, COUNTED) if self._wraps else shown)
        return len(text)

    def write_as_it_is(self, text: str) -> None:
        """Write a text that is harmless already and may be painted, above the status."""
        if self._drawn:
            self._stream.write(ERASE)
            self._drawn = False
        self._stream.write(text)
        self._at_line_start = text.endswith("\n") if text else self._at_line_start
        self._draw()

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def show_status(self, status: Callable[[int], str]) -> None:
        """Show a status in place of the previous one. status: returns its text for a number of columns."""
        self._status = status
        if not self._drawn or time.monotonic() - self._drawn_at >= STATUS_SECONDS:
            self._draw()

    def end_status(self, keep: bool = False) -> None:
        """Remove the status, or with `keep` leave its last state as an ordinary line."""
        if keep:
            self._draw()
        if self._drawn:
            self._stream.write("\n" if keep else ERASE)
            self._stream.flush()
        self._status, self._drawn = None, False

    def _draw(self) -> None:
        """Draw the status, if there is one and the last line is complete.

        The cursor returns to the beginning of the status. When a window gets narrower, many terminals break the line
        and move the cursor with its beginning, so the whole status can still be erased.
        """
        if self._status is None or not self._at_line_start:
            return
        text = harmless(self._status(self.columns - 1))  # some terminals begin a new line after the last column
        self._drawn, self._drawn_at = True, time.monotonic()  # set first, in case a signal interrupts the write
        self._stream.write(f"\r{text}{ERASE_REST}\r")
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Bytes:
    """The `buffer` of a `Terminal`: decodes UTF-8 and writes it as text."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def write(self, data: bytes) -> int:
        """Write bytes; an incomplete character is kept until its other bytes come."""
        self._terminal.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        """Write an incomplete character, and flush the terminal."""
        self._terminal.write(self._decoder.decode(b"", final=True))
        self._terminal.flush()


def set_up_streams() -> None:
    """Make the standard streams UTF-8, whatever LANG or the code page is, and wrap terminals in `Terminal`."""
    for name in ("stdin", "stdout", "stderr"):
        stream: Any = getattr(sys, name)
        with contextlib.suppress(
            AttributeError, ValueError
        ):  # a closed stream is None; one of a notebook cannot be reconfigured
            stream.reconfigure(encoding="utf-8", errors="strict" if name == "stdin" else EXACT)
        if name != "stdin":
            setattr(sys, name, guarded(stream, wraps=name == "stderr"))


def guarded(stream: Any, wraps: bool = False) -> Any:
    """Return the stream, wrapped in a `Terminal` if it is a terminal."""
    if stream is None or isinstance(stream, Terminal) or not stream.isatty():
        return stream
    return Terminal(stream, wraps)


def width_of(stream: Any) -> int | None:
    """Return the columns of a stream; None if it is not a terminal, so that lines may have any length."""
    return stream.columns if isinstance(stream, Terminal) else None


def status_terminal() -> Terminal | None:
    """Return stderr if it is a terminal that can show a status, else None."""
    return sys.stderr if isinstance(sys.stderr, Terminal) and os.environ.get("TERM") != "dumb" else None


def end_status() -> None:
    """Remove the status on stderr, such as after an error."""
    if isinstance(sys.stderr, Terminal):
        sys.stderr.end_status()
