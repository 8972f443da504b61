import pytest

from rnnlm.cli.tables import table
from rnnlm.cli.wrapping import display_width


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("昨天", 4), ("，", 2), ("Ａ", 2), ("ﾊ", 1), ("é", 1), ("e\u0301", 1), ("한", 2), ("🙂", 2),
     ("\u200d", 0)],
)  # fmt: skip
def test_display_width(text, width):
    assert display_width(text) == width


def test_columns_start_at_the_same_place_on_the_screen():
    lines = table([("昨天", "x", 1), ("a", "昨", 10), ("", "", 100)], ["token", "", "id"], "llr").split("\n")
    assert lines == [
        "token       id",
        "昨天   x     1",
        "a      昨   10",
        "           100",
    ]
    assert {display_width(line) for line in lines} == {14}


def test_lines_do_not_end_in_spaces():
    assert table([("a", "long cell"), ("b", "")]) == "a  long cell\nb"


def test_a_table_without_rows_is_its_headers():
    assert table([], ["a", "b"]) == "a  b"
    assert table([]) == ""
