"""Files -> lines, for programs that must answer for every line: nothing is skipped, joined or cut."""

import codecs
import itertools
from collections.abc import Callable, Iterable, Iterator

from rnnlm.errors import CorpusError
from rnnlm.text.encodings import SURROGATE, decode
from rnnlm.text.sources import Source


def read_lines(
    source: Source, encoding: str | None = None, report: Callable[[str], None] | None = None
) -> Iterator[str]:
    r"""Lines of a file, each with the "\n" that ends it; only that ends one, so that there are as many as `wc -l` says.

    The last line may lack it. A byte that can not be decoded becomes a surrogate, see `damage`; so UTF-8 written with
    "surrogateescape" gives back the bytes of the file. Memory does not grow with the file.

    Args:
        source: The file.
        encoding: A codec of Python; None to find it out as `encodings.decode` does.
        report: Called with the codec, once it is known.

    Raises:
        CorpusError: the file can not be read, is binary, or the codec is unknown.
    """
    codec = _codec(source, encoding)
    if report is not None:
        report(codec)
    # The units of UTF-16 and UTF-32 are no bytes, so that a part of one has no place in a text.
    errors = "strict" if codec.startswith(("utf-16", "utf-32", "utf_16", "utf_32")) else "surrogateescape"
    return _split(_texts(source, codec, errors))


def counted_characters(line: str, keeps_spaces: bool) -> int:
    """Characters of a line that figures such as bits per character count, without its newline.

    A tokenizer that drops spaces has read those between words as one each, and none at the ends; so the words of a line
    have one count however they are spaced. Every newline is such a space too where several lines are given.

    >>> counted_characters(" two   words ", keeps_spaces=False), counted_characters(" two   words ", keeps_spaces=True)
    (9, 13)
    """
    return len(line) if keeps_spaces else len(" ".join(line.split()))


def damage(line: str) -> str | None:
    """What is wrong with a line that was read with bytes that can not be decoded; None if there are none."""
    found = SURROGATE.search(line)
    if found is None:
        return None
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # what `surrogateescape` makes of a byte
        return f"byte 0x{code & 0xFF:02x} can not be decoded"
    return f"U+{code:04X}, half a surrogate pair, is no character"


def _codec(source: Source, encoding: str | None) -> str:
    """The named codec if there is one of that name, else what the file looks like."""
    if encoding is not None:
        list(decode([], source.name, encoding))  # refuses what is no codec
        return encoding.lower()
    found: list[str] = []
    try:
        for _ in decode(source.blocks(lambda read: None), source.name, None, found.append):
            if found:
                break
    except CorpusError:
        if not found:
            raise
    return found[0]


def _texts(source: Source, codec: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)(errors)
    blocks: Iterable[tuple[bytes, bool]] = ((block, False) for block in source.blocks(lambda read: None))
    for block, final in itertools.chain(blocks, [(b"", True)]):
        try:
            yield decoder.decode(block, final)
        except UnicodeError as error:
            raise CorpusError(f"{source.name} can not be read as {codec}: {error}. Name another --encoding.") from None


def _split(texts: Iterable[str]) -> Iterator[str]:
    begun: list[str] = []  # parts of a line that goes on in the next text
    for text in texts:
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*begun, line, "\n"])
            begun = []
        if rest:
            begun.append(rest)
    if begun:
        yield "".join(begun)
