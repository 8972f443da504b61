"""The search for weights with the fewest errors, against scanning a line and against a grid."""

import itertools

import numpy as np
import pytest

from rnnlm.inference.mixture import mixed_nats
from rnnlm.inference.weight_search import Search, Table


def random_table(seed, lists=25, parts=1, incoming=True):
    """Return lists of 1 to 7 candidates, some of them equal, whose scores correlate with the errors."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, lists)
    N = lengths.sum()
    errors = rng.integers(0, 6, N)
    tokens = rng.integers(1, 5, N)
    owners = np.repeat(np.arange(N), tokens)
    nats = rng.exponential(1.0, (parts, tokens.sum())) + 0.4 * errors[owners] / tokens[owners]
    features = np.stack([np.zeros(N), rng.normal(size=N), tokens.astype(float), rng.integers(0, 2, N)], axis=1)
    scores = rng.normal(size=N) - 0.5 * errors
    scores[1::7], features[1::7] = scores[::7][: len(scores[1::7])], features[::7][: len(features[1::7])]
    return Table(np.cumsum([0, *lengths]), scores if incoming else np.zeros(N), features, errors, nats, owners, 1.0)


def errors_by_hand(table, weights, mixture):
    """Return the errors of the chosen candidates, list by list: those with the greatest total, the first of equals."""
    features = table.features.copy()
    mixed = mixed_nats(list(table.token_nats), list(mixture)) if len(mixture) > 1 else table.token_nats[0]
    for candidate in range(len(features)):
        features[candidate, 0] = -mixed[table.owners == candidate].sum()
    totals = table.incoming + features @ weights
    count = 0
    for start, end in itertools.pairwise(table.starts):
        best = max(range(start, end), key=lambda place: (totals[place], -place))
        count += table.errors[best]
    return count


@pytest.mark.parametrize("seed", range(6))
def test_counted_errors_are_those_of_the_chosen_candidates(seed):
    table, rng = random_table(seed, parts=2), np.random.default_rng(seed)
    for mixture in ([0.3, 0.7], [1.0, 0.0]):
        weights = rng.normal(size=4)
        lists = table.with_mixture(mixture)
        assert lists.count(weights) == errors_by_hand(table, weights, mixture)
        assert table.errors[lists.chosen(weights)].sum() == lists.count(weights)


@pytest.mark.parametrize("seed", range(10))
def test_no_scanned_step_on_a_line_has_fewer_errors_than_the_best_step(seed):
    rng, lists = np.random.default_rng(seed), random_table(seed).with_mixture([1.0])
    weights, direction = rng.normal(size=4), rng.normal(size=4)
    for least, most in [(-np.inf, np.inf), (-0.5, 0.7), (0.2, np.inf)]:
        step, errors = lists.best_step(weights, direction, least, most)
        assert least <= step <= most
        assert lists.count(weights + step * direction) == errors
        scanned = np.linspace(max(least, -60), min(most, 60), 4001)
        counts = {lists.count(weights + t * direction) for t in scanned}
        assert errors <= min(counts)
        assert len(counts) > 1  # otherwise any step would be best


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_at_most_the_errors_of_a_grid(seed):
    table = random_table(seed)
    lists = table.with_mixture([1.0])
    grid = [
        lists.count(np.array([lm, old, word, oov]))
        for lm in np.linspace(0.1, 3.1, 13)  # not 0, where only the order of candidates decides
        for old in np.linspace(-2, 2, 9)
        for word in np.linspace(-3, 3, 9)
        for oov in np.linspace(-2, 2, 5)
    ]
    found = Search(table, [0, 1, 2, 3]).run(np.array([1.0, 0, 0, 0]), [1.0])
    assert found.errors <= min(grid)
    assert found.errors == errors_by_hand(table, found.weights, [1.0])
    assert found.weights[0] >= 0


@pytest.mark.parametrize("start", [[1.0, 0, 0, 0], [0.2, 3.0, -2.0, 1.0], [0.0, 0, 0, 0]])
def test_the_result_is_never_worse_than_the_start(start):
    for seed in range(4):
        table = random_table(seed, lists=6)
        before = errors_by_hand(table, np.array(start), [1.0])
        assert Search(table, [0, 1, 2, 3], seed).run(np.array(start), [1.0]).errors <= before


def test_fixed_weights_stay_and_the_search_is_repeatable():
    table = random_table(3)
    begin = np.array([0.7, 0.0, 0.25, -1.0])
    found = Search(table, [0, 1]).run(begin, [1.0])
    assert list(found.weights[2:]) == [0.25, -1.0]
    again = Search(table, [0, 1]).run(begin, [1.0])
    assert (again.weights == found.weights).all()
    nothing = Search(table, []).run(begin, [1.0])
    assert (nothing.weights == begin).all()


def test_mixture_weights_are_searched_together_with_the_others():
    table = random_table(5, lists=40, parts=3)
    begin = np.array([1.0, 0, 0, 0])
    found = Search(table, [0, 2]).run(begin, [1 / 3, 1 / 3, 1 / 3])
    assert sum(found.mixture) == pytest.approx(1)
    assert min(found.mixture) > 0
    assert found.errors == errors_by_hand(table, found.weights, found.mixture)
    kept = Search(table, [0, 2])
    assert found.errors <= errors_by_hand(table, begin, [1 / 3, 1 / 3, 1 / 3])
    for mixture in ([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]):
        assert kept.run(begin, mixture).errors <= errors_by_hand(table, begin, mixture)
