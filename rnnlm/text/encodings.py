"""Decode bytes to text: detect the encoding or use a given one, decode strictly, and convert line ends to \\n.

Files are decoded block by block, so that memory does not grow with the text.
"""

import codecs
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator

from rnnlm.errors import CorpusError
from rnnlm.sentences import Sentence

UTF8, UTF16, GB18030, BIG5 = "utf-8", "utf-16", "gb18030", "big5hkscs"  # the last two hold GBK, GB2312 and plain Big5
LABELS = {UTF8: "UTF-8", UTF16: "UTF-16", f"{UTF16}-le": "UTF-16", f"{UTF16}-be": "UTF-16", GB18030: "GB18030"}
LABELS[BIG5] = "Big5"

SAMPLE_BYTES = 1 << 16
MOST_CONTROLS = 0.1  # largest share of control characters in text
LEAST_NULS = 0.25  # smallest share of NULs for UTF-16 where a sample is valid UTF-8 too: ASCII in UTF-16 has a half
LEAST_COMMON = 0.1  # smallest share of common characters in Chinese: usually a third; 1 or 2 % if decoded wrongly

# The most frequent characters of modern and older Chinese, in simplified and traditional script, without
# punctuation, whose bytes in GB18030 are the same as in Japanese encodings.
_COMMON = frozenset(
    "的一是不了在人有我他这個个們们中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過"
    "发發后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心她本前"
    "开開但因只从從想日老宝寶玉听聽见見问問头頭笑两兩儿兒太今又此何"
)
SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # without ESC, which colours logs


def note_on_encoding(codec: str, name: str) -> str | None:
    """Return a note for the user on a detected encoding; None for UTF-8."""
    if codec == UTF8:
        return None
    said = "{name} is not UTF-8; it is read as {encoding}. If that is wrong, use --encoding."
    return Sentence(said, name=name, encoding=LABELS[codec])


def decode(
    blocks: Iterable[bytes], name: str, encoding: str | None = None, report: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Yield the text of a file in pieces, without the byte order mark, with CRLF and CR converted to LF.

    Args:
        blocks: The bytes of the file. Each block is decoded by itself, so its size bounds the memory.
        name: Name of the file in error messages.
        encoding: A Python codec; None to detect ASCII, UTF-8, UTF-16 (by its byte order mark or its NULs), GB18030
            including GBK, or Big5.
        report: Called with the codec, once it is known.

    Raises:
        CorpusError: The codec is unknown, a byte cannot be decoded, or the file is binary.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    texts = itertools.chain(decode_bytes(iter(blocks), name, encoding, report), [None])
    at_start = True
    for text in texts:
        # None marks the end: flush a last \r that the newline decoder holds back.
        piece = newlines.decode("" if text is None else text, final=text is None)
        if at_start and piece:
            piece = piece.removeprefix("\ufeff")
            _refuse_controls(piece, name)
            at_start = False
        if "\0" in piece:
            raise CorpusError(f"{name} holds NUL characters, as binary files do; remove them if it is text.")
        if encoding is not None and (half := SURROGATE.search(piece)):  # UTF-7 and escapes can spell them
            raise CorpusError(f"{name} holds U+{ord(half[0]):04X}, half a surrogate pair, which is no character.")
        if piece:
            yield piece


def decode_bytes(
    blocks: Iterator[bytes | None],
    name: str,
    encoding: str | None = None,
    report: Callable[[str], None] | None = None,
    lenient: bool = False,
) -> Iterator[str | None]:
    """Yield the decoded text of blocks of bytes, with its line ends unchanged; see `decode` for the arguments.

    A None among the blocks means that no more input has arrived yet; it is passed on.

    lenient: Decode invalid bytes to surrogates (error handler "surrogateescape") instead of raising. UTF-16 and UTF-32
    are decoded strictly all the same: their units are larger than a byte.
    """
    read = 0
    if encoding is None:
        # ASCII needs no detection: the encoding is detected at the first block with other bytes.
        for block in blocks:
            if block is not None and not _is_plain(block):
                sample, pauses = _sample(block, blocks)
                blocks = itertools.chain([sample, None] if pauses else [sample], blocks)
                encoding = detect(sample, at_start=read == 0)
                if encoding is None:
                    raise CorpusError(f"{name} is a binary file, it holds NUL bytes; expected text.")
                break
            read += 0 if block is None else len(block)
            yield None if block is None else block.decode("ascii")
    codec = UTF8 if encoding is None else encoding
    if report is not None:
        report(codec)
    decoder = _decoder(codec, lenient)
    for block, final in itertools.chain(((block, False) for block in blocks), [(b"", True)]):
        if block is None:
            yield None
            continue
        read += len(block)
        try:
            text = decoder.decode(block, final)
        except UnicodeDecodeError as error:
            # The end of error.object is the end of the bytes read so far.
            offset = read - len(error.object) + error.start
            raise _undecodable(name, codec, error.object[error.start], offset) from None
        except UnicodeError as error:
            raise CorpusError(f"{name} cannot be read as {codec}: {error}. Name another --encoding.") from None
        yield text


def _sample(block: bytes, blocks: Iterator[bytes | None]) -> tuple[bytes, bool]:
    """Return a sample for the detection of the encoding, and whether the input pauses after it.

    The sample is `block` and the blocks after it, up to SAMPLE_BYTES from the first byte that is not plain ASCII on.
    Where the input pauses, a complete line is enough.
    """
    first = re.search(rb"[\0\x80-\xff]", block)
    start = first.start() if first else 0
    for following in blocks:
        if following is not None:
            block += following
            if len(block) - start >= SAMPLE_BYTES:
                break
        elif block.find(b"\n", start) >= 0:
            return block, True
    return block, False


def _is_plain(block: bytes) -> bool:
    return block.isascii() and b"\0" not in block


def _decoder(encoding: str, lenient: bool) -> codecs.IncrementalDecoder:
    try:
        " ".encode(encoding)  # unlike codecs.lookup, this refuses codecs that are not for text
        of_bytes = not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        return codecs.getincrementaldecoder(encoding)("surrogateescape" if lenient and of_bytes else "strict")
    except (LookupError, ValueError):
        raise CorpusError(
            f"There is no encoding {encoding!r}; expected a name such as utf-8, gb18030, big5, utf-16 or cp1252."
        ) from None


def _undecodable(name: str, encoding: str, byte: int, offset: int) -> CorpusError:
    label = LABELS.get(encoding, encoding)
    return CorpusError(
        f"{name} is not {label}: byte 0x{byte:02x} at offset {offset} cannot be decoded. "
        "Name the text's encoding, such as --encoding gb18030, big5, utf-16-le or cp1252, or mend the text there."
    )


def _refuse_controls(piece: str, name: str) -> None:
    sample = piece[:SAMPLE_BYTES]
    if len(_CONTROLS.findall(sample)) > MOST_CONTROLS * len(sample):
        raise CorpusError(f"{name} is not text: it holds many control characters. Give a text file.")


def detect(sample: bytes, at_start: bool = True) -> str | None:
    """Return the codec detected from a sample of a text; None if NULs show that the file is binary.

    The sample must begin with a whole character. If no encoding fits, return "utf-8", so that decoding reports the
    first invalid byte.

    >>> detect("老师批评了我。".encode("gbk")), detect("老師批評了我。".encode("big5")), detect("Öl".encode())
    ('gb18030', 'big5hkscs', 'utf-8')
    """
    if at_start and sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return UTF16
    if at_start and b"\0" in sample:
        return _detect_utf16(sample[:SAMPLE_BYTES])
    return UTF8 if _is_utf8(sample) else _detect_chinese(sample)


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder(UTF8)().decode(sample)  # not final: the last character may be incomplete
    except UnicodeDecodeError:
        return False
    return True


def _detect_utf16(sample: bytes) -> str | None:
    """Return the UTF-16 codec that decodes the sample to more ASCII and to no NUL; None if neither does.

    A sample that is valid UTF-8 and has only a few NULs is not UTF-16: text in UTF-16 is valid UTF-8 only if every
    other byte is NUL, or if it is very short.
    """
    found, most = None, 0
    if sample.count(0) < LEAST_NULS * len(sample) and _is_utf8(sample):
        return None
    for codec in (f"{UTF16}-le", f"{UTF16}-be"):
        try:
            text = codecs.getincrementaldecoder(codec)().decode(sample)
        except UnicodeDecodeError:
            continue
        plain = len(re.findall("[\t\n\r -~]", text))
        if plain > most and "\0" not in text:
            found, most = codec, plain
    return found


def _detect_chinese(sample: bytes) -> str:
    """Return the codec that decodes more of the sample to common Chinese characters; UTF-8 if none does."""
    first = re.search(rb"[\x80-\xff]", sample)
    sample = sample[first.start() if first else 0 :][:SAMPLE_BYTES]
    found, most = UTF8, LEAST_COMMON
    for codec in (GB18030, BIG5):
        # A damaged byte must not prevent the detection; decoding will report it.
        foreign = re.findall("[^\x00-\x7f]", sample.decode(codec, "replace"))
        share = sum(character in _COMMON for character in foreign) / max(1, len(foreign))
        if share > most:
            found, most = codec, share
    return found
