"""Edit distances against the textbook algorithm, and what counts as a word or a character."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.inference.error_rates import (
    ErrorCount,
    ErrorRates,
    Reference,
    characters_of,
    edit_distance,
    is_unspaced,
    words_of,
)


def table_distance(one, other):
    """Return the edit distance by Wagner and Fischer's table."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return table[-1, -1]


@settings(max_examples=300)
@given(st.lists(st.integers(0, 3), max_size=90), st.lists(st.integers(0, 3), max_size=90))
def test_distances_agree_with_the_table(one, other):
    assert edit_distance(one, other) == table_distance(one, other)
    assert edit_distance(one, one) == 0


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("abc", "cab", 2),
        ("a" * 99, "b" * 98, 99),
    ],
)
def test_known_examples_have_the_known_distances(one, other, distance):
    assert edit_distance(one, other) == distance


def test_marks_at_the_ends_are_not_words_but_unk_is():
    assert words_of(" <s> the <unk>  sat </s>\n") == ["the", "<unk>", "sat"]
    assert words_of("<s> </s>") == []


def test_spaces_count_between_words_but_not_in_chinese():
    assert characters_of(["the", "cat"]) == "the cat"
    assert characters_of(["我", "昨天", "go", "。"]) == "我昨天go。"
    assert Reference("我 昨天 上学").errors("我昨天上学").characters == 0
    assert Reference("the cat").errors("thecat") == ErrorCount(2, 1)


def test_case_matters_unless_it_is_ignored():
    assert Reference("The Cat").errors("the cat") == ErrorCount(2, 2)
    assert Reference("The Cat", lowercase=True).errors("tHE cat") == ErrorCount(0, 0)


def test_rates_are_all_errors_divided_by_all_tokens():
    rates = ErrorRates()
    for said, heard in [("a b c d", "a x c"), ("e", "e f g"), ("", "h")]:
        reference = Reference(said)
        rates.add(reference, reference.errors(heard))
    assert (rates.lines, rates.words, rates.word_errors) == (3, 5, 2 + 2 + 1)
    assert rates.word_error_rate == 1.0  # not the mean of 0.5, 2 and infinity
    assert math.isnan(ErrorRates().word_error_rate)


def test_text_without_spaces_is_detected():
    assert is_unspaced(["我昨天上学", "the cat"]) is False
    assert is_unspaced(["我昨天上学了", "cat"]) is True
    assert is_unspaced([]) is False
