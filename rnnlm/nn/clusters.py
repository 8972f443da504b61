"""Where the adaptive softmax cuts the vocabulary: at the ids where a training step is expected to cost least.

Grave et al. 2016 (section 4) write the cost of multiplying B rows by a matrix of k columns as g(k, B), constant for
small products and lambda k B for large ones, and the cost of the layer as g(head, B) + sum of g(tail i, p_i B), where
p_i is the probability that a word is in tail i. This is that model for one core of a CPU: calls cost a constant beside
the product instead of a minimum, the width of a cluster counts, and so does the work that each parameter makes in
every step (its gradient, the norm, the optimizer), whether or not a row came to it. For a rare cluster that is most of
its cost.
"""

from typing import NamedTuple

import numpy as np

from rnnlm.nn.numerics import Array
from rnnlm.nn.outputs import tail_width


class Costs(NamedTuple):
    """Nanoseconds of a training step; only their ratios matter. `benchmarks/adaptive_softmax.py` measures them."""

    cluster: float  # for a cluster, however small: calls, picking its rows
    product: float  # for a row, a class and a dimension: a multiplication and an addition, in three products
    logit: float  # for a row and a class: largest, exponential, sum, scaling
    parameter: float  # for a parameter: its gradient, sum over threads, norm, Adam


COSTS = Costs(cluster=60_000, product=0.07, logit=2.2, parameter=3.5)  # AVX-512, OpenBLAS, float32
SLACK = 1.4  # times the smallest cost that a longer shortlist may cost: it is what the layer's quality depends on
MOST_TAILS = 3
LEAST_WIDTH = 8  # a further tail would have fewer dimensions than this: nothing to gain
GRID = 64  # places that are tried
SPECIALS = 3  # ids that have to be in the shortlist


def choose_cutoffs(
    counts: Array,
    hidden_size: int,
    rows: int,
    div_value: float = 4.0,
    costs: Costs = COSTS,
    slack: float = SLACK,
) -> tuple[int, ...]:
    """Cutoffs of the adaptive softmax: the longest shortlist at up to `slack` times the smallest expected cost.

    counts (V,): how often each id is predicted, most frequent first. rows: of a training step, whose cost it is. One to
    MOST_TAILS tails; the places that are tried lie in a geometric series. The minimum over all choices of them is found
    exactly, from the last tail to the first: what the tails from a place on cost does not depend on what is before it.
    The cost is flat around its minimum, and a word of the shortlist is told apart at full width: on the King James
    Bible the cheapest cutoffs ended 4 % above the full softmax's perplexity after two epochs, a longer shortlist level.
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
        followers: list[Array] = []  # for each tail, from each place on, where it best ends
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
    """Cost of the softmax of a cluster: g(classes, rows) and its parameters."""
    per_row_and_class = costs.product * width + costs.logit
    cost: Array = costs.cluster + rows * classes * per_row_and_class + costs.parameter * classes * width
    return cost


def _projection(rows: Array, hidden_size: int, width: int, costs: Costs) -> Array:
    """Cost of projecting rows to a tail's width."""
    cost: Array = (rows * costs.product + costs.parameter) * hidden_size * width
    return cost
