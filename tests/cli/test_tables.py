import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.cli.tables import table
from rnnlm.cli.wrapping import display_width


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("昨天", 4), ("，", 2), ("Ａ", 2), ("ﾊ", 1), ("é", 1), ("e\u0301", 1), ("한", 2), ("🙂", 2),
     ("\u200d", 0)],
)  # fmt: skip
def test_display_width_counts_wide_and_combining_characters(text, width):
    assert display_width(text) == width


def test_columns_are_aligned_on_the_screen():
    lines = table([("昨天", "x", 1), ("a", "昨", 10), ("", "", 100)], ["token", "", "id"], "llr").split("\n")
    assert lines == [
        "token       id",
        "昨天   x     1",
        "a      昨   10",
        "           100",
    ]
    assert {display_width(line) for line in lines} == {14}


def test_lines_have_no_trailing_spaces():
    assert table([("a", "long cell"), ("b", "")]) == "a  long cell\nb"


def test_a_table_without_rows_has_only_headers():
    assert table([], ["a", "b"]) == "a  b"
    assert table([]) == ""


def test_long_cells_are_wrapped():
    rows = [("ppl", "120.6", "perplexity per token, ends of lines counted"), ("昨天", "1", "")]
    assert table(rows, align="lrl", width=30).split("\n") == [
        "ppl   120.6  perplexity per",
        "             token, ends of",
        "             lines counted",
        "昨天      1",
    ]


def test_columns_that_do_not_fit_are_shown_below():
    vectors = ["[ 0.125 -1.000]", "[ 0.500  0.250]"]
    rows = [(1, "我", *vectors), (10, "昨天", *vectors)]
    assert table(rows, ["t", "x_t", "U x_t", "s_t"], "r", 30, keys=2).split("\n") == [
        " t  x_t   U x_t",
        " 1  我    [ 0.125 -1.000]",
        "10  昨天  [ 0.125 -1.000]",
        "",
        " t  x_t   s_t",
        " 1  我    [ 0.500  0.250]",
        "10  昨天  [ 0.500  0.250]",
    ]
    assert table([range(10, 16)], align="r" * 6, width=10, keys=0) == "10  11  12\n\n13  14  15"


CELLS = st.text("ab 昨", max_size=6)


@given(st.lists(st.tuples(*[CELLS] * 5), min_size=1, max_size=5), st.integers(16, 60), st.sampled_from(["", "lrlrl"]))
def test_a_table_fits_and_keeps_every_word(rows, width, align):
    shown = table(rows, align=align, width=width)
    assert all(display_width(line) <= max(width, 26) for line in shown.split("\n"))  # two columns need 26
    words = [word for row in rows for cell in row for word in cell.split()]
    assert set(shown.split()) == set(words)
    assert table(rows, align=align, width=80) == table(rows, align=align)
