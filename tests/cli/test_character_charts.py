"""Character charts draw lines, points and bars in their places, within the width."""

import re

import numpy as np
import pytest

from rnnlm.cli.character_charts import MARKS, Series, bar, line_chart, scatter_chart
from rnnlm.cli.tables import display_width


def test_a_line_is_drawn_where_its_values_are():
    xs = [place / 10 for place in range(101)]
    chart = line_chart([Series("", xs, [x * x for x in xs])], 60, 21, "x", from_zero=True).split("\n")[:21]
    for row, text in enumerate(chart):
        for found in re.finditer("o", text):
            x = (found.start() - text.index("│") - 1) / 53 * 10
            assert (20 - row) * 5 == pytest.approx(x * x, abs=4)
    assert sum(text.count("o") for text in chart) == 54  # columns right of "100 │"


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize(
    "ys", [[1.0], [2.0, 2.0], [1e-30, 1e30], [3.0, 3.0000001], [5e5, 1e4, 12.0], [1e-5, 2e-5], [4.2, 4.9]]
)
def test_a_chart_fits_its_width_and_its_axis_has_numbers(width, logarithmic, ys):
    series = Series("", [float(10 * place) for place in range(len(ys))], ys)
    lines = line_chart([series], width, 8, "step", logarithmic).split("\n")
    assert len(lines) == 10
    assert max(map(len, lines)) <= width
    assert any(line.partition("│")[0].strip() for line in lines[:8])
    assert "o" in "".join(lines)
    labels = [float(text.replace(",", "")) for line in lines[:8] if (text := line.partition("│")[0].strip())]
    assert labels == sorted(labels, reverse=True)


def test_overlapping_lines_alternate():
    chart = line_chart([Series(name, [0, 1], [0, 1]) for name in "abc"], 60, 10, "x")
    assert all(chart.count(mark) > 10 for mark in MARKS[:3])


def test_labels_of_a_scatter_chart_do_not_overlap():
    rng = np.random.default_rng(1)
    labels = [f"字{place}" for place in range(80)]
    chart, left_out = scatter_chart(rng.normal(size=(80, 2)).tolist(), labels, 60, 20)
    assert all(display_width(line) <= 60 for line in chart.split("\n"))
    shown = re.findall(r"字\d+", chart)
    assert len(shown) == len(set(shown)) == 80 - left_out
    assert 0 < left_out < 80
    assert "·" in chart


def test_bar_lengths_are_proportional_to_the_numbers():
    assert [len(bar(value, 8, 8)) for value in (0, 1, 2.5, 8, 9)] == [0, 1, 3, 8, 8]
    assert bar(1, 0, 8) == ""
