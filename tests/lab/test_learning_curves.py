"""Histories with damage are read: problems are reported, repeated steps replaced, and bad values left out."""

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import PlotError
from rnnlm.lab import learning_curves
from rnnlm.lab.learning_curves import KEYS, LARGEST, check_x, read


def line(step, **values):
    numbers = {"train_nats_per_token": 5 / step, "valid_nats_per_token": 6 / step, "epoch": step / 10, "seconds": 0.0}
    return json.dumps({"step": step, **numbers, **values}).encode() + b"\n"


def read_bytes(content):
    return read("h.jsonl", io.BytesIO(content))


def test_columns_have_the_written_values():
    curves = read_bytes(line(1, gradient_norm=0.5) + line(2))
    assert curves.columns.keys() == set(KEYS)
    assert curves.columns["step"].tolist() == [1, 2]
    assert curves.points("step", "gradient_norm")[1].tolist() == [0.5]
    assert curves.points("epoch", "valid_nats_per_token", perplexity=True)[1] == pytest.approx(
        [math.exp(6), math.exp(3)]
    )
    assert curves.best() == ("valid_nats_per_token", 2, 3.0)
    assert not curves.notes


@pytest.mark.parametrize("cut", range(1, len(line(20)) - 1, 9))
def test_an_incomplete_last_line_is_left_out_with_a_note(cut):
    curves = read_bytes(line(10) + line(20)[:cut])
    assert curves.columns["step"].tolist() == [10]
    assert curves.notes == ["h.jsonl: its last line, number 2, is not complete and left out."]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"PK\x03\x04" + b"\0" * 99, "is a checkpoint"),
        (b"It was a dark night.\n" + line(1), "Line 1"),
        (line(1)[:9], "Line 1"),
        (line(1) + b"[1]\n" + line(2), "Line 2"),
        (line(1) + b"\xff\xfe\n" + line(2), "Line 2"),
        (b"[" * 60_000, "Line 1"),
        (b'{"a": ' * 10_000 + b"}" * 10_000, "Line 1"),
        (b"{}\n", "has no losses"),
        (line(1, train_nats_per_token=None, valid_nats_per_token=math.nan), "has no losses"),
    ],
)
def test_other_files_are_refused_in_a_sentence(content, words):
    with pytest.raises(PlotError, match=r"rnnlm train --history FILE") as refused:
        read_bytes(content)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 250


def test_repeated_steps_replace_earlier_ones():
    steps = [10, 20, 30, 20, 30, 40, 35]
    curves = read_bytes(b"".join(line(step, gradient_norm=place) for place, step in enumerate(steps)))
    assert curves.columns["step"].tolist() == [10, 20, 30, 35]
    assert curves.columns["gradient_norm"].tolist() == [0, 3, 4, 6]
    (note,) = curves.notes
    assert "go back 2 times" in note


JUNK = st.sampled_from([None, True, "", "1", [], [1], {}, 10**400, -(10**31)]) | st.floats() | st.integers()


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JUNK), min_size=1))
def test_columns_of_any_json_lines_are_finite_numbers_or_nan(records):
    content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    try:
        curves = read_bytes(content)
    except PlotError:
        return
    lengths = {len(column) for column in curves.columns.values()}
    assert len(lengths) == 1
    for column in curves.columns.values():
        assert (np.abs(column[np.isfinite(column)]) <= LARGEST).all()
        assert not np.isinf(column).any()
    steps = curves.columns["step"][np.isfinite(curves.columns["step"])]
    assert curves.best() is None or len(steps)


def test_bad_values_are_counted():
    curves = read_bytes(line(1, learning_rate="high", tokens_per_second=[1]) + line(2, learning_rate=None))
    assert curves.notes == ["h.jsonl: 2 values that should be numbers are none; they are left out."]


def test_an_endless_file_is_refused(monkeypatch):
    with open("/dev/zero", "rb") as zeros, pytest.raises(PlotError, match="not an object of JSON"):
        read("/dev/zero", zeros)
    monkeypatch.setattr(learning_curves, "MOST_LINES", 5)
    with pytest.raises(PlotError, match="more than 5 lines"):
        read_bytes(line(1) * 6)


def test_an_axis_without_numbers_is_refused():
    curves = read_bytes(line(1) + line(2))
    check_x([curves], "step")
    with pytest.raises(PlotError, match=r"counts no seconds.*--x step"):
        check_x([curves], "seconds")
    with pytest.raises(PlotError, match='no "epoch"'):
        check_x([read_bytes(line(1, epoch=None))], "epoch")
