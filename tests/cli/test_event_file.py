"""Event files read with protocol buffers, and with TensorBoard where it is installed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.cli.event_file import crc32c, scalars_record, start_record, version_record
from tests.cli.event_reader import checksum, events, read_scalars

SCALARS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.floats(width=32))


@given(st.integers(0, 2**63 - 1), SCALARS)
def test_written_events_are_read_back(tmp_path_factory, step, scalars):
    path = tmp_path_factory.getbasetemp() / "events"
    path.write_bytes(version_record(1.5) + scalars_record(2.5, step, scalars))
    version, event = events(path)
    assert version.file_version == "brain.Event:2"
    assert (event.wall_time, event.step) == (2.5, step)
    ((_, found),) = read_scalars(path)[1:]
    assert found.keys() == scalars.keys()
    assert all(found[tag] == x or (math.isnan(x) and math.isnan(found[tag])) for tag, x in scalars.items())


@given(st.binary(max_size=50))
def test_the_checksum_equals_a_long_division(data):
    crc = crc32c(data)
    assert ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32 == checksum(data)


def test_tensorboard_shows_the_steps_of_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = b"".join(scalars_record(step, step, {"a": 1.0}) for step in (10, 20, 30))
    (tmp_path / "events.out.tfevents.1").write_bytes(version_record(0) + start_record(0, 0) + first)
    second = scalars_record(50, 25, {"a": 2.0})
    (tmp_path / "events.out.tfevents.2").write_bytes(version_record(40) + start_record(40, 21) + second)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(each.step, each.value) for each in read.Scalars("a")] == [(10, 1.0), (20, 1.0), (25, 2.0)]
