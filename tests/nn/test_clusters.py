"""Chosen cutoffs have the smallest expected cost and are valid for a network."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.nn import clusters
from rnnlm.nn.clusters import COSTS, Costs, choose_cutoffs
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.outputs import tail_width


def zipf(V):
    """Return word frequencies by Zipf's law (Zipf 1935)."""
    return 1e6 / np.arange(1, V + 1)


def cost(cutoffs, counts, hidden_size, rows, div_value, costs):
    """Return the expected cost by the definition."""
    edges, total = [*cutoffs, len(counts)], 0.0
    for i, (start, stop) in enumerate(itertools.pairwise([0, *edges])):
        width = hidden_size if i == 0 else max(1, tail_width(hidden_size, div_value, i - 1))
        classes = cutoffs[0] + len(cutoffs) if i == 0 else stop - start
        here = rows if i == 0 else rows * counts[start:stop].sum() / counts.sum()
        total += (
            costs.cluster + here * classes * (costs.product * width + costs.logit) + costs.parameter * classes * width
        )
        if i:
            total += hidden_size * width * (here * costs.product + costs.parameter)
    return total


@pytest.mark.parametrize("costs", [COSTS, Costs(0, 1, 0, 0), Costs(1e5, 0.01, 1, 10)])
@pytest.mark.parametrize(("V", "hidden_size", "rows"), [(12, 64, 50), (25, 256, 1000), (25, 32, 100)])
def test_no_other_cutoffs_have_a_lower_cost(V, hidden_size, rows, costs):
    counts = zipf(V)
    found = choose_cutoffs(counts, hidden_size, rows, 2.0, costs, slack=1.0)
    every = [
        choice
        for tails in range(1, clusters.MOST_TAILS + 1)
        for choice in itertools.combinations(range(clusters.SPECIALS, V), tails)
        if tails == 1 or tail_width(hidden_size, 2.0, tails - 1) >= clusters.LEAST_WIDTH
    ]
    arguments = (counts, hidden_size, rows, 2.0, costs)
    assert cost(found, *arguments) == pytest.approx(min(cost(choice, *arguments) for choice in every))


@settings(max_examples=50)
@given(st.integers(4, 3000), st.integers(1, 600), st.integers(1, 5000), st.floats(1, 8), st.integers(0, 2**32))
def test_every_choice_is_valid_for_a_network(V, hidden_size, rows, div_value, seed):
    rng = np.random.default_rng(seed)
    counts = np.sort(rng.integers(0, 1 + 10 ** rng.integers(0, 7), V))[::-1]
    div_value = min(div_value, hidden_size)
    cutoffs = choose_cutoffs(counts, hidden_size, rows, div_value)
    config = NetworkConfig(V, hidden_size=hidden_size, output="adaptive", cutoffs=cutoffs, div_value=div_value)
    assert NetworkConfig.from_header(config.to_header()) == config


def test_a_higher_cost_of_clusters_gives_fewer_of_them():
    counts = zipf(20_000)
    usual = choose_cutoffs(counts, 256, 1000)
    assert len(choose_cutoffs(counts, 256, 1000, costs=COSTS._replace(cluster=1e12))) == 1
    assert choose_cutoffs(counts, 256, 1000, costs=COSTS._replace(logit=0.0, product=1e-6))[0] < usual[0]
    flat = choose_cutoffs(np.ones(20_000), 256, 1000)  # equally frequent: a shortlist helps little
    assert counts[: usual[0]].sum() / counts.sum() > 5 * flat[0] / 20_000


@pytest.mark.parametrize("V", [10_000, 50_000, 200_000])
def test_the_shortlist_of_a_large_vocabulary_has_few_words_that_cover_most_tokens(V):
    counts = zipf(V)
    cutoffs = choose_cutoffs(counts, 256, 1000)
    assert len(cutoffs) > 1
    assert cutoffs[0] < V / 5
    assert counts[: cutoffs[0]].sum() / counts.sum() > 0.5


def test_the_longer_shortlist_stays_within_the_allowed_cost():
    counts = zipf(12_000)
    arguments = (counts, 256, 1000, 4.0, COSTS)
    cheapest = choose_cutoffs(*arguments, slack=1.0)
    for slack in (1.1, 1.4, 2.0):
        longer = choose_cutoffs(*arguments, slack=slack)
        assert longer[0] > cheapest[0]
        assert cost(cheapest, *arguments) < cost(longer, *arguments) <= slack * cost(cheapest, *arguments) * (1 + 1e-9)
