"""Open sources of text: files, folders and standard input, plain or compressed by gzip."""

import gzip
import hashlib
import io
import itertools
import os
import re
import select
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rnnlm.errors import CorpusError, shown
from rnnlm.foreign import GZIP, PACKED
from rnnlm.sentences import Sentence, listed
from rnnlm.text.own_texts import own_text

STDIN = "-"
SUFFIXES = (".txt", ".txt.gz")  # of the files that are read from a folder, in lower or upper case
_NAMED_LEFT_OUT = 5
BLOCK = 1 << 20
# After MANY bytes without a pause, wait PATIENCE seconds for the next before calling it a pause: a program that writes
# a file to a pipe needs a moment to fill it again.
MANY, PATIENCE = 1 << 14, 0.02
# First bytes of files in formats that are not read here.
_LONGEST_MAGIC = 40
_MODEL = re.compile(rb"PK\x03\x04.{26}header\.npy", re.DOTALL)  # the first member of a checkpoint's zip archive
_DOCUMENTS = {rb"PK\x03\x04": "a zip archive, as .docx, .epub and .npz files are", rb"%PDF-[12]\.": "a PDF document"}


class Stamp(NamedTuple):
    """The status of a file by which a later run recognises it as unchanged; times in nanoseconds.

    `changed` is the time of the last change to the content or the metadata (ctime). Programs that copy or unpack files
    set back `written` (mtime), but cannot set back `changed`.
    """

    size: int
    written: int
    changed: int
    inode: int
    device: int


class Source(NamedTuple):
    """A file from which text is read.

    `file` is an open file if it cannot be opened twice, such as standard input. A live source is read once, as its
    content arrives, and only with `arriving`.
    """

    name: str
    file: BinaryIO | None
    live: bool = False

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file at its beginning; errors while it is read become a CorpusError."""
        try:
            if self.file is not None:
                if not self.live:
                    self.file.seek(0)
                yield self.file
            else:
                with open(self.name, "rb") as file:
                    yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorpusError(f"{self.name} is damaged: {error}. Compress it again or give the plain text.") from error
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            raise CorpusError(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error

    def stamp(self) -> Stamp | None:
        """Return the stamp, which changes when the file is written or replaced; None for an open file."""
        if self.file is not None:
            return None
        with self.open() as file:  # opened, so that a network file system asks the server
            status = os.fstat(file.fileno())
        return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    def blocks(self, advance: Callable[[int], None]) -> Generator[bytes, None, None]:
        """Yield blocks of 1 MiB, decompressed if gzip; call `advance` with the number of bytes read from the file."""
        with self.open() as file:
            begin = file.read(_LONGEST_MAGIC)
            _refuse_other_forms(self.name, begin)
            packed = begin.startswith(GZIP)  # no text begins so; the name of the file does not matter
            file.seek(0)
            reader = gzip.GzipFile(fileobj=file) if packed else file
            place = 0
            while block := reader.read(BLOCK):
                yield block
                advance(file.tell() - place)
                place = file.tell()

    def arriving(self, before_waiting: Callable[[], None]) -> Iterator[bytes | None]:
        """Yield the content in blocks, decompressed if it is gzip; of a live source, as it arrives.

        Yield None where a live source pauses. When the next block is then requested, `before_waiting` is called first.
        """
        if not self.live:
            yield from self.blocks(lambda read: None)
            return
        with self.open() as file, ExitStack() as stack:
            begin, blocks = b"", _as_they_come(file)
            for block in blocks:
                begin += block or b""
                if len(begin) >= _LONGEST_MAGIC or b"\n" in begin:
                    break
            _refuse_other_forms(self.name, begin)
            if begin.startswith(GZIP):
                copy = _spooled(file, self.name, stack, begin)
                yield from Source(self.name, copy).blocks(lambda read: None)
                return
            for block in itertools.chain([begin], blocks):
                yield block
                if block is None:
                    before_waiting()


def _as_they_come(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield blocks as they arrive, and None where the input pauses."""
    came = 0  # bytes since the last pause
    while True:
        if not _is_ready(file, PATIENCE if came >= MANY else 0):
            yield None
            _is_ready(file, None)
            came = 0
        block = file.read1(BLOCK)  # type: ignore[attr-defined]
        if not block:
            return
        came += len(block)
        yield block


def _is_ready(file: BinaryIO, seconds: float | None) -> bool:
    """Wait for input for `seconds` (None: without limit), and return whether there is any; False if unknown."""
    try:
        return bool(select.select([file], [], [], seconds)[0])
    except (OSError, ValueError):  # a file in memory, or Windows, where select works only on sockets
        return False


def lines_as_source(lines: Iterable[str], name: str = "text") -> Source:
    """Return a source of lines in memory, with or without their newlines; messages call it `name`.

    Raises:
        CorpusError: `lines` is not an iterable of strings, or holds a lone surrogate.
    """
    return Source(name, io.BytesIO("".join(f"{line}\n" for line in _lines(lines, name)).encode()))


def _lines(lines: Iterable[str], name: str) -> Iterator[str]:
    if isinstance(lines, str | bytes) or not isinstance(lines, Iterable):
        raise CorpusError(f"{name} is {shown(lines)}; expected lines, such as those of str.splitlines().")
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            raise CorpusError(f"{name} has {shown(line)} as line {number}; expected a str.")
        try:
            line.encode()
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"{name} has {shown(line[error.start])} in line {number}, half of a surrogate pair, which is no "
                "character. Decode the text again, with errors='replace' for instance."
            ) from None
        yield line.removesuffix("\n")


@contextmanager
def open_sources(
    paths: Sequence[str | PathLike[str] | Source], live: bool = False, report: Callable[[str], None] = lambda note: None
) -> Iterator[list[Source]]:
    """Open the sources that paths name.

    A folder stands for its *.txt and *.txt.gz files at any depth, sorted; "-" for standard input; @chinese and @english
    for the texts of the package; a `Source` for itself. Standard input and pipes, which can be read only once, are
    first copied to a temporary file, or become live sources if `live`.

    report: Called with a sentence on the files of a folder that are left out.

    Raises:
        CorpusError: A path is missing or unreadable, a folder has no text, or no path is given.
    """
    if not paths:
        raise CorpusError("No text is given; expected files, folders, or - for standard input.")
    if [os.fspath(path) for path in paths if not isinstance(path, Source)].count(STDIN) > 1:
        raise CorpusError("Standard input (-) is given twice, but can be read only once.")
    with ExitStack() as stack:
        yield [source for path in paths for source in _sources(path, stack, live, report)]


def _sources(
    given: str | PathLike[str] | Source, stack: ExitStack, live: bool, report: Callable[[str], None]
) -> list[Source]:
    if isinstance(given, Source):
        return [given]
    path = own_text(os.fspath(given))
    if path == STDIN:
        return [_read_once(standard_input(), "standard input", stack, live)]
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return [Source(name, None) for name in _texts_in(path, report)]
        if not stat.S_ISREG(mode):  # a pipe, such as the shell's <(command)
            file = stack.enter_context(open(path, "rb"))  # noqa: SIM115 (the stack closes it)
            _refuse_endless(file, path, mode)
            return [_read_once(file, path, stack, live)]
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(f"{path} does not exist; expected a text file or a folder with *.txt files.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise CorpusError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return [Source(path, None)]


def standard_input() -> BinaryIO:
    """Return standard input as a binary file.

    Raises:
        CorpusError: Standard input is closed.
    """
    if sys.stdin is None:  # started with <&-
        raise CorpusError("Standard input is closed. Give a file, or send the text through a pipe.")
    return sys.stdin.buffer


def _refuse_endless(file: BinaryIO, path: str, mode: int) -> None:
    """Refuse devices that never end, such as /dev/zero; terminals and /dev/null are accepted."""
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not file.isatty() and file.read(1)):
        raise CorpusError(f"{path} is a device; expected a text file, a folder with *.txt files or a pipe.")


def _refuse_other_forms(name: str, begin: bytes) -> None:
    if _MODEL.match(begin):
        raise CorpusError(
            f"{name} is a model of rnnlm; expected a text. To measure it, use: rnnlm eval TEXT -m {name}. To go on "
            f"with it, use: rnnlm train TEXT -o {name} --resume, or --init-from {name} with another file as -o."
        )
    for magic, program in PACKED.items():
        if re.match(magic, begin):
            raise CorpusError(
                f"{name} is compressed by {program}; only gzip is unpacked here. Use: {program} -dk {name}"
            )
    for magic, form in _DOCUMENTS.items():
        if re.match(magic, begin):
            raise CorpusError(f"{name} is {form}; expected plain text. Save the text itself as a .txt file.")


def _read_once(file: BinaryIO, name: str, stack: ExitStack, live: bool) -> Source:
    return Source(name, file, live) if live else Source(name, _spooled(file, name, stack))


def _spooled(file: BinaryIO, path: str, stack: ExitStack, begin: bytes = b"") -> BinaryIO:
    """Copy a file that can be read only once to a temporary file; `begin`: bytes that were read from it already."""
    try:
        copy: BinaryIO = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        copy.write(begin)
        shutil.copyfileobj(file, copy, BLOCK)
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise CorpusError(
            f"{path} cannot be copied to a temporary file: {getattr(error, 'strerror', None) or error}."
        ) from error
    return copy


def _texts_in(folder: str, report: Callable[[str], None]) -> list[str]:
    def refuse(error: OSError) -> None:
        raise error

    names = [
        os.path.join(parent, name)
        for parent, folders, files in os.walk(folder, onerror=refuse)
        for name in files
        if not name.startswith(".") and not _is_special(os.path.join(parent, name))
    ]
    names.sort(key=lambda name: Path(name).parts)
    texts = [name for name in names if name.lower().endswith(SUFFIXES) and os.path.exists(name)]
    known = set(texts)
    others = [os.path.relpath(name, folder) for name in names if name not in known]
    if not texts:
        found = f", but {listed(others, _NAMED_LEFT_OUT)}" if others else ""
        raise CorpusError(
            f"{folder} has no *.txt or *.txt.gz file{found}; expected a folder with texts, or the names of files."
        )
    if others:
        left_out = "{folder}: left out {n} files that are no .txt{or_link}: {names}."
        if len(others) == 1:
            left_out = "{folder}: left out 1 file that is no .txt{or_link}: {names}."
        or_link, names_of_them = Sentence(_dangling(folder, others)), listed(others, _NAMED_LEFT_OUT)
        report(Sentence(left_out, folder=folder, n=f"{len(others):,}", or_link=or_link, names=names_of_them))
    return texts


def _dangling(folder: str, names: Sequence[str]) -> str:
    return "" if all(os.path.exists(os.path.join(folder, name)) for name in names) else ", or a link to nothing"


def _is_special(path: str) -> bool:
    """Return whether a path is a pipe, a socket or a device, none of which is read from a folder."""
    return os.path.exists(path) and not os.path.isfile(path)


def fingerprint(sources: Sequence[Source]) -> tuple[str, int]:
    """Return the SHA-256 of the files, in hex, and the sum of their sizes in bytes."""
    whole, size = hashlib.sha256(), 0
    for source in sources:
        with source.open() as file:
            each = hashlib.sha256()  # hashed file by file, so that the digest depends on where each file ends
            while block := file.read(BLOCK):
                each.update(block)
            whole.update(each.digest())
            size += file.tell()
    return whole.hexdigest(), size
