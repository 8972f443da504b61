"""Choose the cutoffs of the adaptive softmax by the expected cost of a training step.

Grave et al. 2016 (section 4) write the cost of multiplying B rows by a matrix of k columns as g(k, B), constant for
small products and lambda k B for large ones, and the cost of the layer as g(head, B) + sum of g(tail i, p_i B), where
p_i is the probability that a word is in tail i. This module adapts the model to one CPU core: the constant cost of the
calls is added to that of the product, the width of a cluster counts, and so does the work per parameter in every step
(gradient, norm, optimizer), even if no row used the cluster. For a rare cluster, that is most of the cost.
"""

from typing import NamedTuple

import numpy as np

from rnnlm.nn.numerics import Array
from rnnlm.nn.outputs import tail_width


class Costs(NamedTuple):
    """Costs in nanoseconds; only their ratios matter. `benchmarks/adaptive_softmax.py` measures them."""

    cluster: float  # per cluster of any size: calls, selection of its rows
    product: float  # per row, class and dimension: a multiplication and an addition, in three products
    logit: float  # per row and class: maximum, exponential, sum, scaling
    parameter: float  # per parameter: gradient, sum over threads, norm, Adam


COSTS = Costs(cluster=60_000, product=0.07, logit=2.2, parameter=3.5)  # AVX-512, OpenBLAS, float32
SLACK = 1.4  # a longer shortlist, on which the quality depends, may cost this many times the smallest cost
MOST_TAILS = 3
LEAST_WIDTH = 8  # dimensions; no further tail if it would have fewer
GRID = 64  # number of cutoffs to try
SPECIALS = 3  # special ids, which must be in the shortlist


def choose_cutoffs(
    counts: Array,
    hidden_size: int,
    rows: int,
    div_value: float = 4.0,
    costs: Costs = COSTS,
    slack: float = SLACK,
) -> tuple[int, ...]:
    """Return cutoffs with the longest shortlist whose expected cost is at most `slack` times the minimum.

    counts (V,): frequency of each id as a target, in descending order. rows: number of rows of a training step.

    There are one to MOST_TAILS tails. Candidate cutoffs form a geometric series. The minimum over all combinations is
    found exactly by dynamic programming from the last tail to the first, as the cost of the tails from a cutoff on does
    not depend on earlier cutoffs. The cost is flat around its minimum, and the shortlist has full width: on the King
    James Bible, after two epochs, the perplexity with the cheapest cutoffs was 4 % above that of the full softmax; with
    a longer shortlist, it was level with it.
    """
    V = len(counts)
    places = np.unique(np.geomspace(SPECIALS, V - 1, GRID).round().astype(np.int64))
    places = np.append(places, V)
    before = np.concatenate([[0], np.cumsum(counts, dtype=np.float64)])[places] / max(1, counts.sum())
    best_cost, best = np.inf, [SPECIALS]
    for tails in range(1, MOST_TAILS + 1):
        if tails > 1 and tail_width(hidden_size, div_value, tails - 1) < LEAST_WIDTH:
            break
        rest = np.where(places == V, 0.0, np.inf)  # cost of all tails from a place on
        followers: list[Array] = []  # for each tail, the best end for each start
        for i in reversed(range(tails)):
            width = max(1, tail_width(hidden_size, div_value, i))
            sizes = places[None] - places[:, None]
            expected = rows * (before[None] - before[:, None])
            cost = _cluster(expected, sizes, width, costs) + _projection(expected, hidden_size, width, costs)
            cost = np.where(sizes > 0, cost, np.inf) + rest
            followers.insert(0, cost.argmin(axis=1))
            rest = cost.min(axis=1)
        total = _cluster(np.full(len(places), rows), places + tails, hidden_size, costs) + rest
        if total.min() < best_cost:
            best_cost = float(total.min())
            chosen = [int(np.flatnonzero(total <= slack * best_cost)[-1])]
            for follower in followers[:-1]:
                chosen.append(int(follower[chosen[-1]]))
            best = [int(places[place]) for place in chosen]
    return tuple(best)


def _cluster(rows: Array, classes: Array, width: int, costs: Costs) -> Array:
    """Cost of the softmax of a cluster: g(classes, rows) plus the work on its parameters."""
    per_row_and_class = costs.product * width + costs.logit
    cost: Array = costs.cluster + rows * classes * per_row_and_class + costs.parameter * classes * width
    return cost


def _projection(rows: Array, hidden_size: int, width: int, costs: Costs) -> Array:
    """Cost of projecting rows to the width of a tail."""
    cost: Array = (rows * costs.product + costs.parameter) * hidden_size * width
    return cost
