"""Read TensorBoard event files with protocol buffers, and check their checksums bit by bit."""

import struct
from pathlib import Path

import pytest

# The fields of TensorBoard's event.proto and summary.proto that are used: name, number, type, message.
DOUBLE, FLOAT, INT64, STRING, MESSAGE, ENUM = 1, 2, 3, 9, 11, 5
MESSAGES = {
    "Value": [("tag", 1, STRING, ""), ("simple_value", 2, FLOAT, "")],
    "Summary": [("value", 1, MESSAGE, "Value")],
    "SessionLog": [("status", 1, ENUM, "")],
    "Event": [
        *(("wall_time", 1, DOUBLE, ""), ("step", 2, INT64, ""), ("file_version", 3, STRING, "")),
        *(("summary", 5, MESSAGE, "Summary"), ("session_log", 7, MESSAGE, "SessionLog")),
    ],
}


def event_class():
    """Return the message class Event, built from MESSAGES."""
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="t", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            message.field.add(
                name=field,
                number=number,
                type=INT64 if kind == ENUM else kind,  # both are varints on the wire
                label=3 if field == "value" else 1,
                type_name=f".t.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


def checksum(data: bytes) -> int:
    """Return the masked CRC-32C, computed by long division."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def events(path: Path) -> list:
    """Return all events of a file and check that none is damaged."""
    data, found, Event = path.read_bytes(), [], event_class()
    while data:
        length, check = struct.unpack_from("<QI", data)
        content = data[12 : 12 + length]
        assert checksum(data[:8]) == check
        assert checksum(content) == struct.unpack_from("<I", data, 12 + length)[0]
        found.append(Event.FromString(content))
        data = data[16 + length :]
    return found


def read_scalars(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Return step and scalars of every event."""
    return [(each.step, {value.tag: value.simple_value for value in each.summary.value}) for each in events(path)]
