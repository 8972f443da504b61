"""Running text is distinguished from independent lines; shuffling its lines makes them independent."""

import numpy as np
import pytest

from rnnlm.text.running_text import Cohesion, cohesion
from rnnlm.text.vocabulary import EOS

V = 503


def topics(lines: int, seed: int, length: int = 8) -> list[list[int]]:
    """Return lines drawn half from a topic of ten words, which changes every twelve lines, and half from all words."""
    rng = np.random.default_rng(seed)
    found = []
    for line in range(lines):
        if line % 12 == 0:
            topic = rng.integers(3, V, 10)
        found.append([*rng.choice(topic, length // 2).tolist(), *rng.integers(3, V, length // 2).tolist()])
    return found


def measured(lines: list[list[int]]) -> Cohesion:
    ids = np.array([each for line in lines for each in (*line, EOS)], dtype=np.int32)
    return cohesion(ids)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lines", [400, 5_000])
def test_a_book_is_distinguished_from_its_shuffled_lines(seed, lines):
    book = topics(lines, seed)
    assert measured(book).tells
    shuffled = [book[i] for i in np.random.default_rng(seed).permutation(lines)]
    assert not measured(shuffled).tells
    assert abs(measured(shuffled).standard_errors) < 4


@pytest.mark.parametrize("lines", [[], [[]], [[3]], [[3], [3]], [[3, 4], [3, 4], [3, 4]], [[3]] * 500, [[], [], [4]]])
def test_too_short_texts_are_not_called_running_text(lines):
    assert not measured(lines).tells


def test_a_text_without_lines_has_no_cohesion():
    ids = np.arange(3, 500, dtype=np.int32)
    assert cohesion(ids) == Cohesion(0.0, 0.0)


def test_few_lines_are_not_significant():
    """The same share of common words in far fewer lines is not enough."""
    assert measured(topics(4_000, 1)).standard_errors > 10
    assert not measured(topics(20, 1)).tells


def test_long_lines_take_no_time():
    ids = np.tile(np.arange(3, 500, dtype=np.int32), 1000)
    ids[::300_000] = EOS
    assert not cohesion(ids).tells
