"""The zip archive around a checkpoint, recognised byte for byte before anything in it is believed.

A checkpoint is what `zipfile` writes for members that are stored as they are, one after the other, with one date and
nothing else. Of the bytes around the data only a few may differ: names, sizes, CRCs, places. They are read here, all
the rest is built from them anew and compared with what the file has. So nothing is left to interpretation: no member
can be packed, encrypted, hidden, overlap another one, be there twice or claim more bytes than the file has, nothing
stands before, between or behind the members, and no bit of all this can change unseen.

`zipfile` itself is not used to read: it would first make an object of a kilobyte of every 46 bytes of a directory of
any length, and what it makes of doubtful fields differs between versions of Python.
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
_LARGE = 45  # version of the format from which on a size may have 64 bits
_SMALL = 20  # what Python before 3.11.4 writes for a small member, where later ones write 45
_LARGEST = (1 << 31) - 1  # of the numbers that `zipfile` writes in 32 bits
_BEYOND = 0xFFFFFFFF  # in a field of 32 bits: the number stands in 64 bits elsewhere
_UNIX = 3 << 8
_DATE = 1 << 5 | 1  # 1 January 1980
_ATTRIBUTES = 0o600 << 16
_LONGEST_ENTRY = _ENTRY.size + LONGEST_NAME + len(EXTENSION) + 28


class Entry(NamedTuple):
    """Where the bytes of a member are, and what the archive says of them."""

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
    """The members, `most` at most, of an archive of `length` bytes, by name, in the order of the file.

    Raises:
        ValueError: The bytes around the data are not what `zipfile` writes for a checkpoint.
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
    """Where the directory starts, its size and the number of its entries."""
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
    if start <= _LARGEST:  # the directory is far smaller: it has `most` entries of a limited length
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
        raise ValueError("its directory has another length than it says")
    return described


def _read_entry(directory: bytes, position: int) -> tuple[_Described, int]:
    """The entry of the directory at a position, and the position behind it."""
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
    large = [size == _BEYOND] * 2 + [offset == _BEYOND]  # the size stands there twice
    extra = struct.unpack_from(f"<{sum(large)}Q", directory, extra_start + 4) if any(large) else ()
    size, offset = extra[0] if large[0] else size, extra[-1] if large[2] else offset
    described = _Described(name, version, crc, size, offset)
    if directory[position:end] != _entry(described):
        raise ValueError(f"the entry of {name} in its directory is not as rnnlm writes it")
    return described, end


def _entry(described: _Described) -> bytes:
    """What stands in the directory for a member."""
    name, version, crc, size, offset = described
    extra = [size, size] * (size > _LARGEST) + [offset] * (offset > _LARGEST)
    added = struct.pack(f"<2H{len(extra)}Q", 1, 8 * len(extra), *extra) if extra else b""
    version = _SMALL if version == _SMALL and not extra else _LARGE
    shown = [number if number <= _LARGEST else _BEYOND for number in (size, offset)]
    spelt, made_by = (name + EXTENSION).encode(), _UNIX | version
    numbers = (version, 0, 0, 0, _DATE, crc, shown[0], shown[0], len(spelt), len(added), 0, 0, 0, _ATTRIBUTES, shown[1])
    return _ENTRY.pack(b"PK\x01\x02", made_by, *numbers) + spelt + added


def is_name(name: str) -> bool:
    """Whether a member can have this name, which is no path and spells itself the same everywhere."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


def _stem(name: bytes) -> str:
    """The name of a member without the extension."""
    shown = name.decode("ascii", "backslashreplace")
    if not name.isascii() or not shown.endswith(EXTENSION) or not is_name(shown.removesuffix(EXTENSION)):
        raise ValueError(f"{shown[:LONGEST_NAME]!r} is no name of an array")
    return shown.removesuffix(EXTENSION)


def _follow(file: BinaryIO, described: list[_Described], end: int) -> dict[str, Entry]:
    """Walk from member to member, from the start of the file to the directory."""
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
    """What may stand before the bytes of a member.

    Python before 3.11.4 writes a small member's size as it is and later ones, which were told that it may become large,
    in 64 bits only. The directory tells which it was, unless it speaks of a large offset.
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
