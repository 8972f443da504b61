"""Read files line by line, for programs that must answer every line: no line is skipped, joined or cut."""

import re
from collections.abc import Callable, Iterable, Iterator

from rnnlm.text.encodings import SURROGATE, decode_bytes
from rnnlm.text.sources import Source

_END_MARKS = re.compile(r"^[^\S\n]*<s>(?!\S)|(?<!\S)</s>(?=[^\S\n]*$)", re.MULTILINE)


def read_lines(
    source: Source,
    encoding: str | None = None,
    report: Callable[[str], None] | None = None,
    before_waiting: Callable[[], None] = lambda: None,
) -> Iterator[str | None]:
    r"""Yield the lines of a file, each with its "\n"; no other character ends a line, so `wc -l` counts the same lines.

    The last line may lack the "\n". A byte that cannot be decoded becomes a surrogate, see `damage`, so that a line
    encoded as UTF-8 with "surrogateescape" has the bytes of the file. Memory does not grow with the file.

    Where a live source pauses, yield None after the lines that have arrived.

    Args:
        source: The file.
        encoding: A Python codec; None to detect it as `encodings.decode` does.
        report: Called with the codec, once it is known.
        before_waiting: Called before waiting for more of a live source, after all lines so far have been taken.

    Raises:
        CorpusError: The file cannot be read, is binary, or the codec is unknown.
    """
    blocks = source.arriving(before_waiting)
    return _split(decode_bytes(blocks, source.name, encoding, report, lenient=True))


def counted_characters(line: str, keeps_spaces: bool, reads_marks: bool = False) -> int:
    """Return the number of characters of a line, without its newline, for measures such as bits per character.

    Unless `keeps_spaces`, any white space between two words counts as one space, and none counts at the ends, so that
    the count does not depend on the spacing. Where several lines are given, newlines are white space too. If
    `reads_marks`, <s> and </s> at the ends of a line do not count.

    >>> counted_characters(" two   words ", keeps_spaces=False), counted_characters(" two   words ", keeps_spaces=True)
    (9, 13)
    """
    return counted_size(line, keeps_spaces, reads_marks)[0]


def counted_size(line: str, keeps_spaces: bool, reads_marks: bool = False) -> tuple[int, int]:
    """Return the number of characters of a line, see `counted_characters`, and of their bytes in UTF-8."""
    if reads_marks and "<" in line:
        line = _END_MARKS.sub("", line)
    counted = line if keeps_spaces else " ".join(line.split())
    return len(counted), len(counted) if counted.isascii() else len(counted.encode("utf-8", "surrogatepass"))


def damage(line: str) -> str | None:
    """Describe the first undecodable byte or lone surrogate in a line from `read_lines`; None if there is none."""
    found = SURROGATE.search(line)
    if found is None:
        return None
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte decoded by `surrogateescape`
        return f"byte 0x{code & 0xFF:02x} cannot be decoded"
    return f"U+{code:04X}, half a surrogate pair, is no character"


def _split(texts: Iterable[str | None]) -> Iterator[str | None]:
    begun: list[str] = []  # parts of a line that continues in the next text
    for text in texts:
        if text is None:
            yield None
            continue
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*begun, line, "\n"])
            begun = []
        if rest:
            begun.append(rest)
    if begun:
        yield "".join(begun)
