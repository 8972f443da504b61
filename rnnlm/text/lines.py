"""Files -> lines, for programs that must answer for every line: nothing is skipped, joined or cut."""

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
    r"""Lines of a file, each with the "\n" that ends it; only that ends one, so that there are as many as `wc -l` says.

    The last line may lack it. A byte that cannot be decoded becomes a surrogate, see `damage`; so UTF-8 written with
    "surrogateescape" gives back the bytes of the file. Memory does not grow with the file.

    Where a live source pauses, None comes after the lines that are there.

    Args:
        source: The file.
        encoding: A codec of Python; None to find it out as `encodings.decode` does.
        report: Called with the codec, once it is known.
        before_waiting: Called before more of a live source is waited for, once all lines that came have been taken.

    Raises:
        CorpusError: the file cannot be read, is binary, or the codec is unknown.
    """
    blocks = source.arriving(before_waiting)
    return _split(decode_bytes(blocks, source.name, encoding, report, lenient=True))


def counted_characters(line: str, keeps_spaces: bool, reads_marks: bool = False) -> int:
    """Characters of a line that figures such as bits per character count, without its newline.

    A tokenizer that drops spaces has read those between words as one each, and none at the ends; so the words of a line
    have one count however they are spaced. Every newline is such a space too where several lines are given. One that
    reads marks has dropped <s> and </s> at the ends of a line.

    >>> counted_characters(" two   words ", keeps_spaces=False), counted_characters(" two   words ", keeps_spaces=True)
    (9, 13)
    """
    return counted_size(line, keeps_spaces, reads_marks)[0]


def counted_size(line: str, keeps_spaces: bool, reads_marks: bool = False) -> tuple[int, int]:
    """Characters of a line that figures count, and bytes of the same in UTF-8; see `counted_characters`."""
    if reads_marks and "<" in line:
        line = _END_MARKS.sub("", line)
    counted = line if keeps_spaces else " ".join(line.split())
    return len(counted), len(counted) if counted.isascii() else len(counted.encode("utf-8", "surrogatepass"))


def damage(line: str) -> str | None:
    """What is wrong with a line that was read with bytes that cannot be decoded; None if there are none."""
    found = SURROGATE.search(line)
    if found is None:
        return None
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # what `surrogateescape` makes of a byte
        return f"byte 0x{code & 0xFF:02x} cannot be decoded"
    return f"U+{code:04X}, half a surrogate pair, is no character"


def _split(texts: Iterable[str | None]) -> Iterator[str | None]:
    begun: list[str] = []  # parts of a line that goes on in the next text
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
