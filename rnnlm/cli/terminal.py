r"""The standard streams: exact in a file or a pipe, harmless in a terminal.

A corpus or a model may hold what a terminal obeys: sequences that move the cursor, change the window's title or hide
text, and marks that turn the direction of writing round. In a terminal they are shown as escapes such as \x1b; a file
or a pipe gets the very bytes. This is done to the streams themselves, so that no message can forget it.
"""

import codecs
import contextlib
import re
import sys
from typing import Any, TextIO, cast

EXACT = "rnnlm-exact"  # how the streams write what is no character
# Controls but for newline and tab, marks of direction and of annotation, halves of surrogate pairs, and tags, which
# hide a text, but for those of a flag such as Scotland's. The end of a line on Windows is none.
_HARMFUL = re.compile(
    "(\U0001f3f4[\U000e0061-\U000e007a]{2,8}\U000e007f)|"
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]|\r(?!\n)"
)


def harmless(text: str) -> str:
    r"""A text that does nothing to a terminal but to be shown; of what can not be decoded, the byte is shown.

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
    """A text stream to a terminal that writes everything in its harmless form; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        """Guard a stream; `unguarded` gives it back."""
        self.unguarded = stream
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        """Write a text."""
        self.unguarded.write(harmless(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


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
        with contextlib.suppress(AttributeError, ValueError):  # a closed one is None; a notebook's can not be changed
            stream.reconfigure(encoding="utf-8", errors="strict" if name == "stdin" else EXACT)
        if name != "stdin":
            setattr(sys, name, guarded(stream))


def guarded(stream: Any) -> Any:
    """The stream, guarded if it is a terminal."""
    return stream if stream is None or isinstance(stream, Terminal) or not stream.isatty() else Terminal(stream)


def unguarded(stream: Any) -> TextIO:
    """The stream without its guard, for a progress bar, which moves the cursor itself."""
    return cast(TextIO, stream.unguarded if isinstance(stream, Terminal) else stream)
