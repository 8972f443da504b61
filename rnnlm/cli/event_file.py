"""Write TensorBoard event files: records with checksums that hold protocol-buffer messages.

Only scalars are encoded, after TensorBoard's event.proto and summary.proto, without a package for protocol buffers.
"""

import struct
from collections.abc import Mapping

VERSION = "brain.Event:2"
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, bit-reversed


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ _POLYNOMIAL * (value & 1)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the checksum CRC-32C (Castagnoli).

    >>> hex(crc32c(b"123456789"))  # the standard check value
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def version_record(wall_time: float) -> bytes:
    """Return the first record of an event file, which names the format's version."""
    return _record(_event(wall_time, 0, _field(3, VERSION.encode())))


def start_record(wall_time: float, step: int) -> bytes:
    """Return a record that makes readers discard earlier events of `step` and later steps."""
    return _record(_event(wall_time, step, _field(7, _number(1, 1))))  # SessionLog.status = START


def scalars_record(wall_time: float, step: int, scalars: Mapping[str, float]) -> bytes:
    """Return a record with the scalars of a step, by tag."""
    values = [_field(1, _field(1, tag.encode()) + _key(2, 5) + struct.pack("<f", x)) for tag, x in scalars.items()]
    return _record(_event(wall_time, step, _field(5, b"".join(values))))


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _event(wall_time: float, step: int, what: bytes) -> bytes:
    return _key(1, 1) + struct.pack("<d", wall_time) + _number(2, step) + what


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field: a string or a message."""
    return _key(number, 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _key(number, 0) + _varint(value)


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
