"""One `.npz` file per model: a JSON header and plain arrays, replaced whole or not at all.

The member `header` is a `uint8` array of UTF-8 JSON. It holds the caller's keys and four of ours:

- `format`: "rnnlm", and `version`: 1;
- `arrays`: for every other member its `shape`, its `dtype` and the `sha256` of its raw
  little-endian bytes in C order;
- `checksum`: the SHA-256 of the canonical JSON of all the rest.

`np.load` opens such a file. This module does not use it to read, because a checkpoint may come
from a stranger: `np.load` allocates what a member claims to hold before it looks whether the bytes
are there, unpacks a deflated member to any size, and offers pickle as a remedy. Here every claim is
checked against the size of the file first, so that reading takes memory in proportion to it.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from rnnlm.errors import CheckpointError

FORMAT = "rnnlm"
FORMAT_VERSION = 1
TEMPORARY_PREFIX = ".rnnlm-"  # a file with this prefix was left by a process that was killed

MAX_HEADER_BYTES = 64 * 2**20
MAX_MEMBERS = 10_000
MAX_DIMENSIONS = 4

# The spelling in an .npy file -> the dtype. Nothing else is read or written: no objects (pickle),
# no strings (NumPy drops their trailing NULs), no long double (its size depends on the machine).
_CODES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
DTYPES = {np.dtype(code).newbyteorder("<").str: np.dtype(code) for code in _CODES}

_ZIP_MAGIC = b"PK\x03\x04"
_NAME = re.compile(r"[A-Za-z0-9_]+(?:[.+-][A-Za-z0-9_]+)*")
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_PREFIX = struct.Struct("<8sH")
_NPY_MAX_DICT = 512
_NPY_DICT = re.compile(rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, 'shape': (\([0-9, ]*\)), \} *\n")
_CHUNK = 1 << 20
_ENCRYPTED = 0x1

# What zipfile, json and struct raise on bytes that nobody meant: the tail is long, so it is caught
# here once and becomes one sentence.
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,  # RecursionError too
    OSError,
    EOFError,
    ValueError,  # JSONDecodeError and UnicodeError too
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
)


class _Member(NamedTuple):
    """One array of the file, as its own .npy header describes it."""

    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int  # where its data begin


def save(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint so that `path` is at every moment the old file or the whole new one.

    The same content gives the same bytes, in whatever order the two mappings hold it.

    Args:
        path: The file to write. Where it is a symbolic link, the file behind it is replaced.
        header: Anything JSON can hold; tuples come back as lists. The keys `format`, `version`,
            `arrays` and `checksum` are set here, so what `load` returned can be saved again.
        arrays: Name -> array of booleans, integers or floats of at most 64 bits.

    Raises:
        CheckpointError: The file can not be written, the header is larger than 64 MiB, or an array
            holds a value that is not finite (`load` would refuse it). The old file is unharmed.
        ValueError: A name, a dtype or the header can not be stored: a mistake of the caller.
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
    if len(encoded) > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path} is not written: its header has {len(encoded)} bytes and the limit is "
            f"{MAX_HEADER_BYTES}. Use a smaller --vocab-size or a larger --min-count."
        )
    members = {"header": np.frombuffer(encoded, np.uint8), **members}
    try:
        _replace(Path(os.path.realpath(path)), members)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"{path} can not be written: {reason}. Check that the folder exists, that you may "
            "write in it and that the disk has room, or choose another file with -o."
        ) from error


def load(
    path: str | os.PathLike[str], wanted: Callable[[str], bool] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint and check all of it that is read.

    Args:
        path: A file that `save` wrote, or that claims to be one.
        wanted: Says by its name whether an array is read; None reads all of them.

    Returns:
        The header as in `read_header`, and name -> array in the order of the names. The arrays are
        writable, contiguous and in the machine's byte order; their floats are finite.

    Raises:
        CheckpointError: The file is missing, foreign, damaged or of a newer version.
    """
    with _reading(path) as archive:
        header, members = _read_members(archive)
        arrays = {
            name: _read_array(archive, name, member, header["arrays"][name]["sha256"])
            for name, member in members.items()
            if wanted is None or wanted(name)
        }
    return header, arrays


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a checkpoint says about itself, without its arrays.

    Returns:
        The header that was saved with `format`, `version`, `arrays` and `checksum` in it. Its
        `arrays` are the shapes and dtypes that the file really has.

    Raises:
        CheckpointError: The file is missing, foreign, damaged or of a newer version.
    """
    with _reading(path) as archive:
        header, _ = _read_members(archive)
    return header


# Writing


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """The array in C order and little-endian, or ValueError if the format has no place for it."""
    if not _NAME.fullmatch(name) or name == "header":
        raise ValueError(f"{name!r} can not be the name of an array in a checkpoint")
    little = array.dtype.newbyteorder("<")
    if little.str not in DTYPES or array.ndim > MAX_DIMENSIONS:
        raise ValueError(f"{name}: no checkpoint holds {array.dtype} with {array.ndim} axes")
    return np.asarray(array, dtype=little, order="C")


def _encode_header(header: Mapping[str, Any], members: Mapping[str, np.ndarray]) -> bytes:
    # Through JSON and back first: the checksum is over what a reader will see, where tuples are
    # lists and keys are strings.
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
    return _canonical(document)


def _canonical(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def _checksum(document: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _raw(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8).data  # memoryview.cast refuses empty arrays


def _replace(target: Path, members: Mapping[str, np.ndarray]) -> None:
    if target.exists() and not target.is_file():  # never put a file in the place of /dev/null
        raise OSError("it is there and is not a file")
    # Beside the target, since a rename works within one file system only. Mode "x" creates it with
    # the permissions of any new file, follows no link, and the name is known before it exists: an
    # interrupt at any moment leaves nothing behind.
    temporary = target.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
    try:
        with open(temporary, "xb") as file:
            _write_archive(file, members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):  # the reason for being here is the one to tell
            temporary.unlink()
        raise
    # The rename itself must reach the disk. Some network file systems can not promise it; the new
    # file is in place all the same, so that is no failure.
    if os.name == "posix":
        with contextlib.suppress(OSError):
            _fsync_directory(target.parent)


def _fsync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_archive(file: BinaryIO, members: Mapping[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # the only byte that would tell the operating system
            # A member may pass 2 GiB: as in np.savez, all are written in the large form.
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


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever goes wrong until it is closed is one CheckpointError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before open(), which waits on a named pipe
            raise CheckpointError("is not a file. Give the .npz file that `rnnlm train` wrote.")
        with open(path, "rb") as file:
            if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
                raise CheckpointError(
                    "is not a checkpoint: it does not begin like an .npz file. Give the file that `rnnlm train` wrote."
                )
            with zipfile.ZipFile(file) as archive:
                _check_directory(archive, os.fstat(file.fileno()).st_size)
                yield archive
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"{path} does not exist. Make a model with: rnnlm train corpus.txt -o {path}") from error
    except PermissionError as error:
        raise CheckpointError(
            f"{path} can not be read: {error.strerror}. Ask its owner for permission to read it."
        ) from error
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or was not written by rnnlm ({reason}). Use another copy of it or train again."
        ) from error


def _check_directory(archive: zipfile.ZipFile, size_on_disk: int) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise ValueError(f"{len(infos)} members, at most {MAX_MEMBERS} are allowed")
    # filename ends at the first NUL; orig_filename is what the file says
    names = [info.orig_filename for info in infos]
    if len(set(names)) < len(names):
        raise ValueError("two members have the same name")
    for info, name in zip(infos, names, strict=True):
        stem, extension = name[:-4], name[-4:]
        if extension != ".npy" or not _NAME.fullmatch(stem):
            raise ValueError(f"{name!r} is no name of an array")
        if info.flag_bits & _ENCRYPTED:
            raise ValueError(f"{name} is encrypted")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"{name} is compressed, and a checkpoint stores its arrays as they are")
    # With this, members that overlap to look larger than the file are refused as well.
    if sum(info.file_size for info in infos) > size_on_disk:
        raise ValueError("its members claim more bytes than the file has")


def _read_members(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, _Member]]:
    """The checked header, and the other members with the shapes and dtypes the header promises."""
    infos = {info.orig_filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "header" not in infos:
        raise CheckpointError(
            "is an .npz file that rnnlm did not write: it has no header. Give the file that `rnnlm train` wrote."
        )
    header = _decode_header(archive, _read_npy_header(archive, infos.pop("header")))
    members = {name: _read_npy_header(archive, infos[name]) for name in sorted(infos)}
    promised = header["arrays"]
    if promised.keys() != members.keys():
        names = ", ".join(map(repr, sorted(promised.keys() ^ members.keys())[:3]))
        raise ValueError(f"its header and its members do not name the same arrays: {names}")
    for name, member in members.items():
        entry = promised[name]
        found = [list(member.shape), member.dtype.name]
        if str([entry["shape"], entry["dtype"]]) != str(found):  # as text, since 1 == 1.0 == True
            raise ValueError(f"{name} has another shape or dtype than the header says")
    return header, members


def _read_npy_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """Parse what NumPy writes before the data, and hold it against the size of the member."""
    name = info.orig_filename
    with archive.open(info) as file:
        magic, length = _NPY_PREFIX.unpack(file.read(_NPY_PREFIX.size))
        if magic != _NPY_MAGIC or length > _NPY_MAX_DICT:
            raise ValueError(f"{name} does not begin like an .npy file of version 1.0")
        match = _NPY_DICT.fullmatch(file.read(length))
    if match is None or match[1].decode() not in DTYPES:
        raise ValueError(f"{name} does not hold a plain array of numbers in C order")
    dtype = DTYPES[match[1].decode()]
    spelling = match[2].decode()
    shape = tuple(int(axis) for axis in spelling[1:-1].split(",") if axis.strip())
    if str(shape) != spelling or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{name} has the shape {spelling}, which no checkpoint has")
    offset = _NPY_PREFIX.size + length
    # Python's integers: no product of axes overflows into a plausible size.
    if offset + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{name} has not the size that its shape {shape} needs")
    return _Member(info, dtype, shape, offset)


def _decode_header(archive: zipfile.ZipFile, member: _Member) -> dict[str, Any]:
    if member.dtype != np.uint8 or len(member.shape) != 1 or member.shape[0] > MAX_HEADER_BYTES:
        raise ValueError("its header is not a row of at most 64 MiB of bytes")
    encoded = _read_data(archive, member).tobytes()
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
            f"was written by a newer rnnlm: it has format version {version}, this rnnlm reads up "
            f"to {FORMAT_VERSION}. Upgrade with: pip install --upgrade rnnlm-cli"
        )
    if header.get("checksum") != _checksum(header):
        raise ValueError("its header does not fit its checksum")
    arrays = header.get("arrays")
    if not isinstance(arrays, dict) or not all(
        isinstance(entry, dict) and entry.keys() == {"shape", "dtype", "sha256"} for entry in arrays.values()
    ):
        raise ValueError("its header does not describe the arrays")
    return header


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_array(archive: zipfile.ZipFile, name: str, member: _Member, sha256: Any) -> np.ndarray:
    array = _read_data(archive, member)
    if hashlib.sha256(_raw(array)).hexdigest() != sha256:
        raise ValueError(f"the bytes of {name} do not fit their checksum")
    if not _all_finite(array):
        raise ValueError(f"{name} holds values that are not finite")
    if array.dtype == np.bool_ and np.any(array.view(np.uint8) > 1):
        raise ValueError(f"{name} holds bytes that are neither true nor false")
    return array.astype(member.dtype, copy=False)  # on a big-endian machine, to its own order


def _read_data(archive: zipfile.ZipFile, member: _Member) -> np.ndarray:
    """The array, little-endian, read to the end of its member, where zipfile compares the CRC."""
    array = np.empty(member.shape, member.dtype.newbyteorder("<"))
    raw = _raw(array)
    with archive.open(member.info) as file:
        file.read(member.offset)
        for start in range(0, len(raw), _CHUNK):
            part = raw[start : start + _CHUNK]
            part[:] = file.read(len(part))
        if file.read(1):
            raise EOFError("a member is longer than it says")
    return array


def _all_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
