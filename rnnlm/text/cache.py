"""A cache on disk of the ids of tokenized texts, under the hash of everything that the ids depend on.

An entry is two files: KEY.ids, the ids as integers in the machine's byte order, and KEY.json, which describes them. The
description is written last, so that an entry exists as a whole or not at all. Both have a checksum, which is verified
whenever they are read (4 GB of ids in a second). A damaged entry is reported and made again.

Hashing a large text takes longer than everything else that a second run does before training. So NAME.seen records the
hash of a large text and the stamps of its files: path, size, times of the last write and the last change, inode and
device. While all of these are the same, the text is taken as unchanged, as `git status` and `make` do. It is hashed
again if one of them differs; if a file was younger than YOUNG when it was read, because a later change could have left
the same time; and always with RNNLM_CACHE_VERIFY=1, which is for file systems whose attributes are unreliable, such as
network ones that cache them for long, and for programs that write to a disk without the system.
"""

import atexit
import contextlib
import functools
import hashlib
import json
import mmap
import os
import re
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.sentences import Sentence
from rnnlm.storage.atomic import POSIX, remove_abandoned, replacing, temporary
from rnnlm.text.forms import is_form
from rnnlm.text.sources import Stamp
from rnnlm.text.vocabulary import FIRST

DEFAULT_LIMIT = "20G"
REMEMBERED_FROM = 1 << 26  # bytes; a smaller text is hashed in a tenth of a second
YOUNG = 3 * 10**9  # nanoseconds: more than the coarsest resolution of times in file systems, the 2 s of FAT
FORGOTTEN_AFTER = 100 * 24 * 3600  # seconds without use until a .seen file is removed
SIZES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))  # of an id in a file
COUNTED_IN_PAIRS = 1 << 18  # number of ids from which counting in pairs is faster
ATTEMPTS = 3  # to read an entry that looks damaged
LARGEST_DESCRIPTION = 1 << 30  # bytes: four times the description of ten million tokens
_BLOCK = 1 << 20
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

Stamps = Sequence[tuple[str, Stamp | None]]  # of the files of a text, each with its absolute path


@dataclass
class Description:
    """The content of KEY.json, which describes KEY.ids."""

    length: int
    dtype: str
    tokens: list[str]
    counts: list[int]  # of each id: the specials, then the tokens
    characters: int
    bytes: int
    digest: str
    encodings: list[str]
    forms: list[dict[str, Any]]  # of the files, see `forms.Form`
    tokenizer: dict[str, Any]
    files: list[str]  # a digest of the text of each
    crc32: int  # of KEY.ids
    text_bytes: int = 0  # of the characters, in UTF-8

    def checksum(self) -> int:
        """Return a checksum of all values."""
        return zlib.crc32(json.dumps(vars(self)).encode())

    def is_sound(self) -> bool:
        """Return whether the values, which come from a file, have valid types and are consistent."""
        numbers = (self.length, self.characters, self.bytes)
        lists = (self.tokens, self.encodings, self.files)
        return (
            all(type(number) is int and number > 0 for number in numbers)
            and all(type(each) is list and all(type(item) is str for item in each) for each in lists)
            and type(self.counts) is list
            and len(self.counts) == FIRST + len(self.tokens)
            and all(self.tokens)
            and len(set(self.tokens)) == len(self.tokens)
            and all(type(count) is int and count >= 0 for count in self.counts)
            and type(self.crc32) is type(self.text_bytes) is int
            and self.text_bytes >= 0
            and sum(self.counts) == self.length
            and type(self.digest) is str
            and type(self.tokenizer) is dict
            and type(self.forms) is list
            and all(is_form(form) for form in self.forms)
            and self.dtype in [size.name for size in SIZES]
        )


@dataclass
class Entry:
    """A tokenized text: its description and its memory-mapped ids, which stay if another process removes the file."""

    description: Description
    ids: mmap.mmap

    def release(self) -> None:
        """Release the memory of the pages that were read; they are read again when needed."""
        if hasattr(self.ids, "madvise") and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self.ids.madvise(mmap.MADV_DONTNEED)

    def is_whole(self) -> bool:
        """Return whether the ids match the checksum of the description."""
        found = 0
        with memoryview(self.ids) as content:
            for place in range(0, len(content), _BLOCK):
                found = zlib.crc32(content[place : place + _BLOCK], found)
        self.release()
        return found == self.description.crc32


class Cache:
    """The cache in one folder. notes: sentences for the user, such as on a damaged entry."""

    def __init__(self, folder: str | PathLike[str] | None = None) -> None:
        """Use a folder, or by default $RNNLM_CACHE, else $XDG_CACHE_HOME/rnnlm, else ~/.cache/rnnlm.

        Raises:
            CorpusError: $RNNLM_CACHE_LIMIT is not a size.
        """
        self.folder = default_folder() if folder is None else Path(folder)
        self.limit = _bytes(os.environ.get("RNNLM_CACHE_LIMIT") or DEFAULT_LIMIT)
        self.notes: list[str] = []

    def ids_path(self, key: str) -> Path:
        """Return the path of the ids of an entry."""
        return self.folder / f"{key}.ids"

    def _description_path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def find(self, key: str) -> Entry | None:
        """Return a valid entry; None if there is none. If an entry is damaged, add a sentence to `notes`."""
        path = self._description_path(key)
        for _ in range(ATTEMPTS):  # another process may be replacing or removing the entry
            content = _read(path)
            if content is None:
                return None
            description = _described(content)
            entry = None if description is None else _mapped(self.ids_path(key), description)
            if entry is not None and entry.is_whole():
                with contextlib.suppress(OSError):  # a cache that others filled may be read-only
                    os.utime(path)  # the time of the last use, for `_evict`
                return entry
        damage = Sentence("The cache of this text in {folder} was damaged; it is made anew.", folder=self.folder)
        # If the ids are missing, another process removed the entry: it is not damaged.
        if damage not in self.notes and os.path.lexists(self.ids_path(key)):
            self.notes.append(damage)
        return None

    @contextlib.contextmanager
    def writing(self) -> Iterator["IdFile"]:
        """Open a new file of ids; it is removed at the end unless `store` was called with it."""
        self._make_writable()
        try:
            with IdFile(self.folder) as file:
                yield file
        except OSError as error:
            raise CorpusError(
                f"The cache in {self.folder} cannot be written: {error.strerror or error}. Make room there, or set "
                "RNNLM_CACHE to another folder."
            ) from error

    def store(self, key: str, file: "IdFile", description: Description) -> Entry:
        """Store the written ids as an entry, replacing an invalid one; then remove old entries."""
        self._description_path(key).unlink(missing_ok=True)  # a description must never stand beside other ids
        file.flush()
        entry = _mapped(file.path, description) if POSIX else None  # before another process can remove it
        file.replace(self.ids_path(key))
        entry = entry or _mapped(self.ids_path(key), description)  # Windows cannot rename a mapped file
        if entry is None:
            raise OSError(0, "what was written is not there")
        self._write(self._description_path(key), {**vars(description), "checksum": description.checksum()})
        self._evict(key)
        return entry

    def seen(self, stamps: Stamps) -> str | None:
        """Return the digest of a text that was read before and is unchanged; None if that is unknown."""
        if os.environ.get("RNNLM_CACHE_VERIFY", "") not in ("", "0"):
            return None
        path = self._seen_path(stamps)
        try:
            found = json.loads(_read(path) or b"")
            digest, recorded = found["digest"], found["stamps"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        # JSON has no tuples, so compare the stamps after the same conversion.
        if recorded != json.loads(json.dumps(stamps)) or type(digest) is not str:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return digest

    def remember(self, stamps: Stamps, digest: str, read_at: int) -> None:
        """Record the digest of a text for `seen`; read_at: time in nanoseconds when reading began."""
        known = [stamp for _, stamp in stamps if stamp is not None]
        large = sum(stamp.size for stamp in known) >= REMEMBERED_FROM
        if (
            len(known) < len(stamps)
            or not large
            or max(map(max, ((s.written, s.changed) for s in known))) > read_at - YOUNG
        ):
            return
        with contextlib.suppress(OSError):  # the record only saves time
            self._write(self._seen_path(stamps), {"stamps": stamps, "digest": digest})

    def _seen_path(self, stamps: Stamps) -> Path:
        names = json.dumps([name for name, _ in stamps])
        return self.folder / f"{hashlib.sha256(names.encode()).hexdigest()}.seen"

    def _write(self, path: Path, content: Any) -> None:
        """Write JSON to a file atomically."""
        with replacing(path) as file:
            file.write(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def _make_writable(self) -> None:
        """Create the folder, or use a temporary one if it cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # texts may be private
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            reason = error.strerror
            unwritable = "The cache in {folder} cannot be written ({reason}); the ids are not kept."
            self.notes.append(Sentence(unwritable, folder=self.folder, reason=reason))
            self.folder = _folder_until_exit()

    def _evict(self, newest: str) -> None:
        """Remove the least recently used entries beyond the size limit, and temporary files of killed runs."""
        remove_abandoned(self.folder)
        entries = []
        with contextlib.suppress(OSError):  # another process may remove the same files
            for path in self.folder.iterdir():
                status = path.stat()
                if path.suffix == ".seen" and time.time() - status.st_mtime > FORGOTTEN_AFTER:
                    path.unlink()
                elif path.suffix == ".ids":
                    used = self._description_path(path.stem)
                    last_use = used.stat().st_mtime if used.exists() else status.st_mtime
                    entries.append((last_use, path.stem, status.st_size))
        total = sum(size for _, _, size in entries)
        for _, key, size in sorted(entries):
            if total > self.limit and key != newest:
                total -= size
                for path in (self._description_path(key), self.ids_path(key)):
                    with contextlib.suppress(OSError):
                        path.unlink()


class IdFile:
    """A file to which ids are appended, with 8 bits each while that is enough, then 16, then 32.

    length: Number of ids. counts: Count of each id, the specials and all tokens so far. crc32: Checksum of the bytes.
    """

    def __init__(self, folder: Path) -> None:
        """Create the file under a temporary name."""
        self._until_exit = contextlib.ExitStack()
        self._new = self._until_exit.enter_context(temporary(folder))
        self.dtype: np.dtype[Any] = SIZES[0]
        self.length = self.crc32 = 0
        self.counts = np.zeros(0, dtype=np.int64)

    def __enter__(self) -> "IdFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._until_exit.close()

    @property
    def path(self) -> Path:
        """Path of the file before `replace`."""
        return self._new.path

    def flush(self) -> None:
        """Flush buffered ids, so that readers of the file see them."""
        self._new.file.flush()

    def replace(self, target: Path) -> None:
        """Rename the file to `target`, after its content was synced to the disk."""
        self._new.replace(target)

    def write(self, ids: NDArray[Any], types: int) -> None:
        """Append ids; `types`: number of different tokens so far, without the specials."""
        needed = next(size for size in SIZES if FIRST + types <= 1 << 8 * size.itemsize)
        if needed.itemsize > self.dtype.itemsize:
            self._widen(needed)
        narrow = np.ascontiguousarray(ids, dtype=self.dtype)
        self._new.file.write(narrow.data)
        self.crc32 = zlib.crc32(narrow.data, self.crc32)
        self.length += len(ids)
        counts = _counted(narrow, FIRST + types)
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def _widen(self, dtype: np.dtype[Any]) -> None:
        self.flush()
        self.crc32 = 0
        with contextlib.ExitStack() as stack:
            wide = stack.enter_context(temporary(self.path.parent))
            with open(self.path, "rb") as old:
                while block := old.read(_BLOCK):
                    ids = np.frombuffer(block, dtype=self.dtype).astype(dtype)
                    wide.file.write(ids.data)
                    self.crc32 = zlib.crc32(ids.data, self.crc32)
            self._until_exit.close()
            self._until_exit, self._new, self.dtype = stack.pop_all(), wide, dtype


def _read(path: Path) -> bytes | None:
    """Return the content of a regular file of reasonable size; b"" if the path is anything else, None if missing."""
    try:
        with open(path, "rb", opener=_opened_at_once) as file:
            status = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_DESCRIPTION else b""
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _described(content: bytes) -> Description | None:
    """Parse and verify the content of a description; None if it is damaged."""
    try:
        values = json.loads(content)
        checksum = values.pop("checksum")
        description = Description(**values)
        return description if checksum == description.checksum() and description.is_sound() else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _mapped(path: Path, description: Description) -> Entry | None:
    """Map a file of ids into memory; None if it is not a regular file of the described size."""
    size = description.length * np.dtype(description.dtype).itemsize
    try:
        with open(path, "rb", opener=_opened_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size != size:
                return None
            return Entry(description, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None


def _opened_at_once(path: str, flags: int) -> int:
    """Open a file without blocking, in case it is a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _counted(ids: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Count each id below `size`; ids of 8 bits are counted in pairs, which takes half the time."""
    if ids.dtype != np.uint8 or len(ids) < COUNTED_IN_PAIRS:
        return np.bincount(ids, minlength=size)
    even = len(ids) & ~1
    pairs = np.bincount(ids[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    counts: NDArray[np.int64] = pairs.sum(axis=0) + pairs.sum(axis=1)
    counts[ids[even:]] += 1
    return counts[:size]


def default_folder() -> Path:
    """Return the folder that the environment names, else ~/.cache/rnnlm."""
    if named := os.environ.get("RNNLM_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "rnnlm"
    except RuntimeError:  # a user without a home
        return _folder_until_exit()


@functools.cache
def _folder_until_exit() -> Path:
    folder = tempfile.mkdtemp(prefix="rnnlm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _bytes(size: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)B?", size.strip().upper())
    if match is None:
        raise CorpusError(f"RNNLM_CACHE_LIMIT is {size!r}; expected a size such as 500M or 20G.")
    return int(match[1]) * _UNITS[match[2]]
