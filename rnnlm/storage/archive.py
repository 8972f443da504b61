"""Strict reader of the zip archive of a checkpoint, which verifies every byte around the data.

A checkpoint is what `zipfile` writes for uncompressed members, one after the other, all with the same date. Of the
bytes around the data, only names, sizes, CRCs and offsets may differ. They are read here, and all other bytes are
rebuilt from them and compared with the file. So nothing is ambiguous: no member can be compressed, encrypted, hidden or
duplicated, overlap another one or claim more bytes than the file has, nothing can precede, separate or follow the
members, and any changed bit is detected.

`zipfile` itself is not used for reading: it would create an object of a kilobyte for every 46 bytes of a directory of
any length, and its handling of invalid fields differs between versions of Python.
"""

import re
import struct
from typing import BinaryIO, NamedTuple

EXTENSION = ".npy"
LONGEST_NAME = 200

_NAME = re.compile(r"[A-Za-z0-9_]+(?:[.+-][A-Za-z0-9_]+)*")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LARGE = 45  # zip version that allows 64-bit sizes
_SMALL = 20  # version that Python before 3.11.4 writes for a small member; later ones write 45
_LARGEST = (1 << 31) - 1  # largest number that `zipfile` writes in 32 bits
_BEYOND = 0xFFFFFFFF  # in a 32-bit field: the number is in a 64-bit field elsewhere
_UNIX = 3 << 8
_DATE = 1 << 5 | 1  # 1 January 1980
_ATTRIBUTES = 0o600 << 16
_LONGEST_ENTRY = _ENTRY.size + LONGEST_NAME + len(EXTENSION) + 28


class Entry(NamedTuple):
    """A member: its name, and the offset, size and CRC of its data."""

    name: str  # without the extension
    place: int
    size: int
    crc: int


class _Described(NamedTuple):
    """An entry of the directory."""

    name: str
    version: int
    crc: int
    size: int
    offset: int  # of the local header


def read_directory(file: BinaryIO, length: int, most: int) -> dict[str, Entry]:
    """Return the members of an archive of `length` bytes by name, in the order of the file.

    Raises:
        ValueError: The bytes around the data are not what `zipfile` writes for a checkpoint, or there are more than
            `most` members.
    """
    start, size, count = _read_end(file, length)
    if count > most or size > count * _LONGEST_ENTRY:
        raise ValueError(f"it has {count} members in a directory of {size} bytes, at most {most} are allowed")
    file.seek(start)
    described = _read_entries(file.read(size), count)
    if len({each.name for each in described}) < len(described):
        raise ValueError("two members have the same name")
    if sum(each.size for each in described) > length:
        raise ValueError("its members claim more bytes than the file has")
    return _follow(file, described, start)


def _read_end(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """Return the offset and size of the directory, and the number of its entries."""
    most = _LARGE_END.size + _LOCATOR.size + _END.size
    file.seek(max(0, length - most))
    tail = file.read(most)
    if len(tail) < _END.size:
        raise ValueError("it is cut off")
    *_, count, size, start, _ = _END.unpack(tail[-_END.size :])
    if len(tail) == most and tail[_LARGE_END.size :].startswith(b"PK\x06\x07"):
        *_, count, size, start = _LARGE_END.unpack(tail[: _LARGE_END.size])
    expected = _end(start, size, count)
    if not tail.endswith(expected) or start + size + len(expected) != length:
        raise ValueError("it does not end as a checkpoint does, it may be cut off")
    return start, size, count


def _end(start: int, size: int, count: int) -> bytes:
    small = min(count, 0xFFFF), min(size, _BEYOND), min(start, _BEYOND)
    end = _END.pack(b"PK\x05\x06", 0, 0, small[0], *small, 0)
    if start <= _LARGEST:  # the other numbers are always small, as the number and length of entries are limited
        return end
    record = _LARGE_END.pack(b"PK\x06\x06", _LARGE_END.size - 12, _LARGE, _LARGE, 0, 0, count, count, size, start)
    return record + _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1) + end


def _read_entries(directory: bytes, count: int) -> list[_Described]:
    described, position = [], 0
    try:
        for _ in range(count):
            each, position = _read_entry(directory, position)
            described.append(each)
    except struct.error:
        raise ValueError("its directory is cut off") from None
    if position != len(directory):
        raise ValueError("its directory is not as long as it says")
    return described


def _read_entry(directory: bytes, position: int) -> tuple[_Described, int]:
    """Return the entry of the directory at a position, and the position after it."""
    fields = _ENTRY.unpack_from(directory, position)
    _, _, version, flags, method, time, date, crc, packed, size, name_length, extra_length, *_, offset = fields
    name_start = position + _ENTRY.size
    extra_start = name_start + name_length
    end = extra_start + extra_length
    name = _stem(directory[name_start:extra_start])
    if flags & 1:
        raise ValueError(f"{name} is encrypted")
    if method or packed != size:
        raise ValueError(f"{name} is compressed, and a checkpoint stores its arrays as they are")
    if (time, date) != (0, _DATE):
        raise ValueError(f"{name} has a date, and a checkpoint has none")
    large = [size == _BEYOND] * 2 + [offset == _BEYOND]  # twice, for the compressed and the uncompressed size
    extra = struct.unpack_from(f"<{sum(large)}Q", directory, extra_start + 4) if any(large) else ()
    size, offset = extra[0] if large[0] else size, extra[-1] if large[2] else offset
    described = _Described(name, version, crc, size, offset)
    if directory[position:end] != _entry(described):
        raise ValueError(f"the entry of {name} in its directory is not as rnnlm writes it")
    return described, end


def _entry(described: _Described) -> bytes:
    """Return the bytes of a member's entry in the directory."""
    name, version, crc, size, offset = described
    extra = [size, size] * (size > _LARGEST) + [offset] * (offset > _LARGEST)
    added = struct.pack(f"<2H{len(extra)}Q", 1, 8 * len(extra), *extra) if extra else b""
    version = _SMALL if version == _SMALL and not extra else _LARGE
    shown = [number if number <= _LARGEST else _BEYOND for number in (size, offset)]
    spelt, made_by = (name + EXTENSION).encode(), _UNIX | version
    numbers = (version, 0, 0, 0, _DATE, crc, shown[0], shown[0], len(spelt), len(added), 0, 0, 0, _ATTRIBUTES, shown[1])
    return _ENTRY.pack(b"PK\x01\x02", made_by, *numbers) + spelt + added


def is_name(name: str) -> bool:
    """Return whether a name is allowed for a member: a plain ASCII name that is not a path."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


def _stem(name: bytes) -> str:
    """Return the name of a member without the extension."""
    shown = name.decode("ascii", "backslashreplace")
    if not name.isascii() or not shown.endswith(EXTENSION) or not is_name(shown.removesuffix(EXTENSION)):
        raise ValueError(f"{shown[:LONGEST_NAME]!r} is no name of an array")
    return shown.removesuffix(EXTENSION)


def _follow(file: BinaryIO, described: list[_Described], end: int) -> dict[str, Entry]:
    """Check that the members fill the file from its start to the directory; return them by name."""
    entries, place = {}, 0
    for each in described:
        possible = _local_headers(each)
        file.seek(place)
        found = file.read(len(possible[0]))
        if each.offset != place or found not in possible:
            raise ValueError(f"what stands before {each.name} is not as rnnlm writes it")
        place += len(found)
        entries[each.name] = Entry(each.name, place, each.size, each.crc)
        place += each.size
    if place != end:
        raise ValueError("there are bytes between its members and its directory")
    return entries


def _local_headers(described: _Described) -> list[bytes]:
    """Return the possible bytes of the local header of a member.

    Python before 3.11.4 writes the size of a small member in 32 bits; later versions use 64 bits because of
    `force_zip64`. The version in the directory says which, unless the offset is large.
    """
    name, version, crc, size, offset = described
    spelt = (name + EXTENSION).encode() + struct.pack("<2H2Q", 1, 16, size, size)
    lengths = len(spelt) - 20, 20
    possible = []
    if version == _LARGE:
        possible.append(_LOCAL.pack(b"PK\x03\x04", _LARGE, 0, 0, 0, _DATE, crc, _BEYOND, _BEYOND, *lengths) + spelt)
    if size <= _LARGEST and (version == _SMALL or offset > _LARGEST):
        possible.append(_LOCAL.pack(b"PK\x03\x04", _SMALL, 0, 0, 0, _DATE, crc, size, size, *lengths) + spelt)
    return possible
