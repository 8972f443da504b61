r"""The standard streams: exact in a file or a pipe, harmless in a terminal.

A corpus or a model may hold what a terminal obeys: sequences that move the cursor, change the window's title or hide
text, and marks that turn the direction of writing round. In a terminal they are shown as escapes such as \x1b; a file
or a pipe gets the very bytes. In a terminal messages are also broken between words, and a progress bar stays below
them. This is done to the streams themselves, so that no message can forget it.
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

EXACT = "rnnlm-exact"  # how the streams write what is no character
STATUS_SECONDS = 0.1  # at least, between two drawings of a status
ERASE_REST = "\x1b[J"  # from the cursor to the end of the screen
ERASE = f"\r{ERASE_REST}"
# Controls but for newline and tab, marks of direction and of annotation, halves of surrogate pairs, and tags, which
# hide a text, but for those of a flag such as Scotland's. The end of a line on Windows is none.
_HARMFUL = re.compile(
    "(\U0001f3f4[\U000e0061-\U000e007a]{2,8}\U000e007f)|"
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]|\r(?!\n)"
)


def harmless(text: str) -> str:
    r"""A text that does nothing to a terminal but to be shown; of what cannot be decoded, the byte is shown.

    >>> print(harmless("\x1b[31mred\x07, \u202eright to left, \udcff"))
    \x1b[31mred\x07, \u202eright to left, \xff
    """
    return _HARMFUL.sub(lambda found: found[1] or escaped(found[0]), text)


def json_escaped(text: str) -> str:
    """JSON in which nothing does anything to a terminal, and which is equal JSON everywhere."""
    return _HARMFUL.sub(lambda found: found[1] or _json_escape(found[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def escaped(character: str) -> str:
    r"""The escape of a character; of half a surrogate pair that stands for a byte, the byte as \xff."""
    code = ord(character)
    byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code & 0xFF:02x}" if byte else character.encode("unicode_escape").decode()


def _exact(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes that came in as halves of surrogate pairs, as in the name of a file, go out as they came."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    written = (bytes([ord(c) & 0xFF]) if 0xDC80 <= ord(c) <= 0xDCFF else escaped(c).encode() for c in part)
    return b"".join(written), error.end


codecs.register_error(EXACT, _exact)


class Terminal:
    """A text stream to a terminal that writes everything in its harmless form; all else is the stream's own.

    It may have a status, such as a progress bar: a line below all others that is drawn anew in its place. Whatever is
    written meanwhile comes above it, whoever writes it.
    """

    def __init__(self, stream: TextIO, wraps: bool = False) -> None:
        """Guard a stream. wraps: break long lines between words, which is for messages and not for answers."""
        self._stream, self._wraps = stream, wraps
        self.buffer = _Bytes(self)
        self._status: Callable[[int], str] | None = None
        self._drawn = False
        self._drawn_at = -math.inf
        self._at_line_start = True

    @property
    def columns(self) -> int:
        """Columns of the terminal, which may change at any time."""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # it is closed, or not a terminal
            if columns := os.get_terminal_size(self._stream.fileno()).columns:
                return columns
        import shutil  # rarely needed, and slow to load

        return shutil.get_terminal_size().columns

    def write(self, text: str) -> int:
        """Write a text; a status gives way to it."""
        shown = harmless(text)
        self.write_as_it_is(wrapped(shown, self.columns, COUNTED) if self._wraps else shown)
        return len(text)

    def write_as_it_is(self, text: str) -> None:
        """Write what was made harmless before, and then painted."""
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
        """Show a status in the place of the one before. status: its text for a number of columns."""
        self._status = status
        if not self._drawn or time.monotonic() - self._drawn_at >= STATUS_SECONDS:
            self._draw()

    def end_status(self, keep: bool = False) -> None:
        """Take the status away, or leave its last state behind as a line like others."""
        if keep:
            self._draw()
        if self._drawn:
            self._stream.write("\n" if keep else ERASE)
            self._stream.flush()
        self._status, self._drawn = None, False

    def _draw(self) -> None:
        """Draw the status, if there is one and no line is half written.

        The cursor goes back to its beginning. When a window becomes narrower, many terminals break the line in two,
        and take the cursor along: so all of it is still found and erased.
        """
        if self._status is None or not self._at_line_start:
            return
        text = harmless(self._status(self.columns - 1))  # in the last column some terminals begin a new line
        self._drawn, self._drawn_at = True, time.monotonic()  # before a signal can come
        self._stream.write(f"\r{text}{ERASE_REST}\r")
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Bytes:
    """What takes the bytes of UTF-8 for a guarded terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def write(self, data: bytes) -> int:
        """Write bytes; a character that is not complete yet waits for the rest of it."""
        self._terminal.write(self._decoder.decode(data))
        return len(data)

    def flush(self) -> None:
        """Write what waits, and bring all to the terminal."""
        self._terminal.write(self._decoder.decode(b"", final=True))
        self._terminal.flush()


def set_up_streams() -> None:
    """Make the standard streams UTF-8, whatever LANG or the code page is; exact, or guarded if they are a terminal."""
    for name in ("stdin", "stdout", "stderr"):
        stream: Any = getattr(sys, name)
        with contextlib.suppress(AttributeError, ValueError):  # a closed one is None; a notebook's cannot be changed
            stream.reconfigure(encoding="utf-8", errors="strict" if name == "stdin" else EXACT)
        if name != "stdin":
            setattr(sys, name, guarded(stream, wraps=name == "stderr"))


def guarded(stream: Any, wraps: bool = False) -> Any:
    """The stream, guarded if it is a terminal; see `Terminal`."""
    if stream is None or isinstance(stream, Terminal) or not stream.isatty():
        return stream
    return Terminal(stream, wraps)


def width_of(stream: Any) -> int | None:
    """Columns of a stream, None where it is no terminal and lines may have any length."""
    return stream.columns if isinstance(stream, Terminal) else None


def status_terminal() -> Terminal | None:
    """Stderr as a terminal that can show a status; None where it is none."""
    return sys.stderr if isinstance(sys.stderr, Terminal) and os.environ.get("TERM") != "dumb" else None


def end_status() -> None:
    """Take away the status of what was ended by an error."""
    if isinstance(sys.stderr, Terminal):
        sys.stderr.end_status()
