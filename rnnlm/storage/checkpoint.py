"""Save and load checkpoints: one `.npz` file per model with a JSON header and plain arrays.

The member `header` is a `uint8` array of UTF-8 JSON. It contains the caller's keys and four more:

- `format`: "rnnlm", and `version`: 1;
- `arrays`: for every other member its `shape`, its `dtype` and the `sha256` of its raw
  little-endian bytes in C order;
- `checksum`: the SHA-256 of the canonical JSON of all other keys.

`np.load` can open such a file. This module does not use it, because a checkpoint may come from an
untrusted source: `np.load` allocates the size that a member claims before it checks that the bytes
exist, decompresses a member to any size, and suggests pickle in its errors. Here every size is
first checked against that of the file, so memory is proportional to it. Checksums detect accidental
damage only; security does not depend on them, as anyone can write a file with valid ones.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from rnnlm import foreign
from rnnlm.errors import CheckpointError, shown
from rnnlm.storage import archive
from rnnlm.storage.atomic import not_written, replacing

FORMAT = "rnnlm"
FORMAT_VERSION = 1

MAX_HEADER_BYTES = 64 * 2**20
MAX_HEADER_DEPTH = 32  # nested lists and objects, to limit recursion
MAX_HEADER_CONTAINERS = 1 << 20  # number of lists and objects, which take 20 times as much memory as in the file
MAX_MEMBERS = 10_000
MAX_DIMENSIONS = 4

# Type code in an .npy file -> dtype. No other types are supported: no objects (pickle), no strings
# (NumPy drops trailing NULs), no long double (its size depends on the machine).
_CODES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
DTYPES = {np.dtype(code).newbyteorder("<").str: np.dtype(code) for code in _CODES}

_ZIP_MAGIC = b"PK\x03\x04"
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_PREFIX = struct.Struct("<8sH")
_NPY_MAX_DICT = 512
_NPY_DICT = re.compile(rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, 'shape': (\([0-9, ]*\)), \} *\n")
_CHUNK = 1 << 20

# Exceptions that archive, json and struct may raise for damaged files; all are turned into the same CheckpointError.
_DAMAGE = (RuntimeError, OSError, EOFError, ValueError, LookupError, OverflowError, struct.error)


class _Member(NamedTuple):
    """An array of the file, as described by its .npy header."""

    entry: archive.Entry
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int  # of its data, from the start of the member


def save(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint atomically: `path` is always either the old file or the complete new one.

    The same content gives the same bytes, whatever the order of the two mappings.

    Args:
        path: The file to write. If it is a symbolic link, its target is replaced.
        header: Anything that JSON can represent; tuples are loaded as lists. The keys `format`,
            `version`, `arrays` and `checksum` are overwritten, so a loaded header can be saved again.
        arrays: Name -> array of booleans, integers or floats of at most 64 bits.

    Raises:
        SavingError: The file cannot be written. The old file is unchanged.
        CheckpointError: The header is too large (see `check_header`), or an array contains values that
            are not finite, which `load` would refuse. The old file is unchanged.
        ValueError: A name or a dtype cannot be stored.
    """
    if len(arrays) >= MAX_MEMBERS:
        raise ValueError(f"{len(arrays)} arrays, a checkpoint holds fewer than {MAX_MEMBERS}")
    members = {name: _plain(name, arrays[name]) for name in sorted(arrays)}
    for name, array in members.items():
        if not _all_finite(array):
            raise CheckpointError(
                f"{path} is not written: {name} holds values that are not finite, the training has "
                "diverged. Train with a lower --lr or a smaller --clip."
            )
    encoded = _encode_header(header, members)
    members = {"header": np.frombuffer(encoded, np.uint8), **members}
    try:
        with replacing(path) as file:
            _write_archive(file, members)
    except OSError as error:
        raise not_written(path, error) from error


def check_header(header: Mapping[str, Any]) -> None:
    """Check that a header can be saved, for instance before hours of training.

    Raises:
        CheckpointError: It is larger than 64 MiB, contains more than a million lists and objects, or
            is nested too deeply.
    """
    _encode_header(header, {})


def load(
    path: str | os.PathLike[str], wanted: Callable[[str], bool] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint and validate everything that is read.

    Args:
        path: A file written by `save`; it need not be trusted.
        wanted: Returns whether to read the array of a given name; None reads all arrays.

    Returns:
        The header as in `read_header`, and name -> array, sorted by name. The arrays are writable,
        contiguous and in native byte order; their floats are finite.

    Raises:
        CheckpointError: The file is missing, foreign, damaged or of a newer version.
    """
    with _reading(path) as opened:
        header, members = _read_members(opened)
        arrays = {
            name: _read_array(opened.file, name, member, header["arrays"][name]["sha256"])
            for name, member in members.items()
            if wanted is None or wanted(name)
        }
    return header, arrays


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header of a checkpoint, without its arrays.

    Returns:
        The saved header, with `format`, `version`, `arrays` and `checksum` in it. The shapes and dtypes
        in `arrays` are those of the arrays in the file.

    Raises:
        CheckpointError: The file is missing, foreign, damaged or of a newer version.
    """
    with _reading(path) as opened:
        header, _ = _read_members(opened)
    return header


def section(header: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the object at a path of names in a header, or {} if there is none.

    The values in it are not validated.
    """
    found: Any = header
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


# Writing


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return the array in C order and little-endian; raise ValueError if it cannot be stored."""
    if not archive.is_name(name) or name == "header":
        raise ValueError(f"{name!r} cannot be the name of an array in a checkpoint")
    little = array.dtype.newbyteorder("<")
    if little.str not in DTYPES or array.ndim > MAX_DIMENSIONS:
        raise ValueError(f"{name}: no checkpoint holds {array.dtype} with {array.ndim} axes")
    return np.asarray(array, dtype=little, order="C")


def _encode_header(header: Mapping[str, Any], members: Mapping[str, np.ndarray]) -> bytes:
    # Convert to JSON and back first, so that the checksum is that of the loaded header, where tuples
    # are lists and keys are strings.
    document = json.loads(json.dumps(dict(header), allow_nan=False))
    document |= {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "arrays": {
            name: {
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "sha256": hashlib.sha256(_raw(array)).hexdigest(),
            }
            for name, array in members.items()
        },
    }
    document["checksum"] = _checksum(document)
    encoded = _canonical(document)
    try:
        if len(encoded) > MAX_HEADER_BYTES:
            raise ValueError(f"it has {len(encoded):,} bytes, more than {MAX_HEADER_BYTES:,}")
        _check_extent(encoded, document)
    except ValueError as error:
        raise CheckpointError(
            f"The model cannot be saved, because its vocabulary and user dictionary are too large for a file's header: "
            f"{error}. Use a smaller --vocab-size, a larger --min-count or a smaller --user-dict."
        ) from None
    return encoded


def _canonical(document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def _check_extent(encoded: bytes, document: Mapping[str, Any] | None = None) -> None:
    """Raise ValueError if a header has too many lists and objects, or is nested too deeply, to be read safely."""
    if encoded.count(b"[") + encoded.count(b"{") > MAX_HEADER_CONTAINERS:
        raise ValueError(f"its header holds more than {MAX_HEADER_CONTAINERS} lists and objects")
    level: list[Any] = [] if document is None else [document]
    for _ in range(MAX_HEADER_DEPTH):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
    if level:
        raise ValueError(f"its header is nested more than {MAX_HEADER_DEPTH} deep")


def _checksum(document: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _raw(array: np.ndarray) -> memoryview:
    """Return the bytes of a contiguous array without a copy."""
    return array.reshape(-1).view(np.uint8).data  # memoryview.cast refuses empty arrays


def _write_archive(file: BinaryIO, members: Mapping[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # the only byte that would depend on the operating system
            # A member may exceed 2 GiB, so all are written with 64-bit sizes, as in np.savez.
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(_npy_header(array))
                member.write(_raw(array))


def _npy_header(array: np.ndarray) -> bytes:
    stream = BytesIO()
    description = {
        "descr": array.dtype.str,
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


# Reading


class _Archive(NamedTuple):
    """An open file and its members."""

    file: BinaryIO
    entries: dict[str, archive.Entry]


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[_Archive]:
    """Open the archive; turn all errors until it is closed into a CheckpointError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before open(), which waits on a named pipe
            raise CheckpointError(foreign.described(path))
        with open(path, "rb") as file:
            if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
                raise CheckpointError(foreign.described(path))
            if form := foreign.known_form(path):
                raise CheckpointError(form)
            length = os.fstat(file.fileno()).st_size
            yield _Archive(file, archive.read_directory(file, length, MAX_MEMBERS))
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"{path} does not exist. Make a model with: rnnlm train corpus.txt -o {path}") from error
    except PermissionError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}. Ask its owner for permission to read it."
        ) from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path} does not fit into the memory of this machine. Close other programs, or use a smaller model."
        ) from error
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or was not written by rnnlm ({reason}). Use another copy of it or train again."
        ) from error


def _read_members(opened: _Archive) -> tuple[dict[str, Any], dict[str, _Member]]:
    """Return the validated header and the other members, whose shapes and dtypes agree with the header."""
    entries = dict(opened.entries)
    if "header" not in entries:
        raise CheckpointError(
            "is an .npz file that rnnlm did not write: it has no header. Give the file that `rnnlm train` wrote."
        )
    header = _decode_header(opened.file, _read_npy_header(opened.file, entries.pop("header")))
    members = {name: _read_npy_header(opened.file, entries[name]) for name in sorted(entries)}
    promised = header["arrays"]
    if promised.keys() != members.keys():
        names = ", ".join(map(repr, sorted(promised.keys() ^ members.keys())[:3]))
        raise ValueError(f"its header and its members do not name the same arrays: {names}")
    for name, member in members.items():
        entry = promised[name]
        found = [list(member.shape), member.dtype.name]
        if _canonical([entry["shape"], entry["dtype"]]) != _canonical(found):  # as text, since 1 == 1.0 == True
            raise ValueError(f"{name} has another shape or dtype than the header says")
    return header, members


def _read_npy_header(file: BinaryIO, entry: archive.Entry) -> _Member:
    """Parse the .npy header of a member, and check it against the size of the member."""
    name = entry.name
    file.seek(entry.place)
    start = file.read(min(entry.size, _NPY_PREFIX.size + _NPY_MAX_DICT))
    magic, length = _NPY_PREFIX.unpack_from(start)
    if magic != _NPY_MAGIC or length > _NPY_MAX_DICT:
        raise ValueError(f"{name} does not begin like an .npy file of version 1.0")
    offset = _NPY_PREFIX.size + length
    match = _NPY_DICT.fullmatch(start[_NPY_PREFIX.size : offset])
    if match is None or match[1].decode() not in DTYPES:
        raise ValueError(f"{name} does not hold a plain array of numbers in C order")
    dtype = DTYPES[match[1].decode()]
    spelling = match[2].decode()
    shape = tuple(int(axis) for axis in spelling[1:-1].split(",") if axis.strip())
    if str(shape) != spelling or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{name} has the shape {spelling}, which no checkpoint has")
    # Python's integers do not overflow, so a product of axes cannot wrap around to a plausible size.
    if offset + math.prod(shape) * dtype.itemsize != entry.size:
        raise ValueError(f"{name} does not have the size of its shape {shape}")
    return _Member(entry, dtype, shape, offset)


def _decode_header(file: BinaryIO, member: _Member) -> dict[str, Any]:
    if member.dtype != np.uint8 or len(member.shape) != 1 or member.shape[0] > MAX_HEADER_BYTES:
        raise ValueError("its header is not a row of at most 64 MiB of bytes")
    encoded = _read_data(file, member).tobytes()
    _check_extent(encoded)
    header = json.loads(encoded.decode("utf-8"), parse_constant=_no_constant)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(
            "is an .npz file that rnnlm did not write: its header does not say so. Give the file "
            "that `rnnlm train` wrote."
        )
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ValueError("its header has no version")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"was written by a newer rnnlm: it has format version {shown(version)}, this rnnlm reads up "
            f"to {FORMAT_VERSION}. Upgrade with: pip install --upgrade rnnlm-cli"
        )
    _check_extent(encoded, header)
    # Accept canonical JSON only: no duplicate keys, no numbers too large for a float, no lone surrogates.
    if header.get("checksum") != _checksum(header) or _canonical(header) != encoded:
        raise ValueError("its header does not fit its checksum")
    arrays = header.get("arrays")
    if not isinstance(arrays, dict) or not all(
        isinstance(entry, dict) and entry.keys() == {"shape", "dtype", "sha256"} for entry in arrays.values()
    ):
        raise ValueError("its header does not describe the arrays")
    return header


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_array(file: BinaryIO, name: str, member: _Member, sha256: Any) -> np.ndarray:
    array = _read_data(file, member)
    if hashlib.sha256(_raw(array)).hexdigest() != sha256:
        raise ValueError(f"the bytes of {name} do not fit their checksum")
    if not _all_finite(array):
        raise ValueError(f"{name} holds values that are not finite")
    if array.dtype == np.bool_ and np.any(array.view(np.uint8) > 1):
        raise ValueError(f"{name} holds bytes that are neither true nor false")
    return array.astype(member.dtype, copy=False)  # to native byte order, on a big-endian machine


def _read_data(file: BinaryIO, member: _Member) -> np.ndarray:
    """Read the little-endian array of a member, and check the CRC of the whole member."""
    array = np.empty(member.shape, member.dtype.newbyteorder("<"))
    raw = _raw(array)
    file.seek(member.entry.place)
    crc = zlib.crc32(file.read(member.offset))
    for start in range(0, len(raw), _CHUNK):
        part = raw[start : start + _CHUNK]
        part[:] = file.read(len(part))
        crc = zlib.crc32(part, crc)
    if crc != member.entry.crc:
        raise ValueError(f"the bytes of {member.entry.name} do not match their checksum (CRC)")
    return array


def _all_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
