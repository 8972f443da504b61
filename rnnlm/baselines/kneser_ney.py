"""Estimation of interpolated modified Kneser-Ney n-gram models (Chen and Goodman 1999).

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + gamma(h) p(w | h'),     h' = h without its first word

c is the count for the highest order. For lower orders, it is the number of different words seen before h w (its
"continuation count"), unless h w begins with <s>, which nothing precedes. The discounts D1, D2, D3+ are computed from
the numbers of n-grams that occur one to four times; gamma(h) is the probability that they free. The lowest order is
interpolated with the uniform distribution, which gives <unk> its probability. Conventions are KenLM's (Heafield et al.
2013).
"""

from dataclasses import dataclass, replace

import numpy as np

from rnnlm.baselines.levels import LOG_ZERO, Level
from rnnlm.nn.numerics import Array
from rnnlm.text.vocabulary import BOS, EOS

UNCUT = 2  # number of lowest orders to which no cut-off applies
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # KenLM's, for texts too small or too regular to estimate discounts


@dataclass
class Table:
    """Counts of the n-grams of one order, in the order of their keys."""

    keys: Array  # (M,) int64
    counts: Array  # (M,) occurrences
    after_start: Array  # (M,) bool: the first word is <s>
    suffix: Array  # (M,) index of the last k - 1 words in the table below (0 for order 1)


def with_starts(ids: Array, context: str) -> Array:
    """Insert <s> before every sentence or, for a stream of lines, </s> before the first line, as before all others."""
    ends = ids[:-1] == EOS
    if context == "stream" and ends.any():
        return np.insert(ids.astype(np.int64), 0, EOS)
    starts = np.flatnonzero(ends) + 1 if context == "sentence" else np.zeros(0, dtype=np.int64)
    return np.insert(ids.astype(np.int64), np.concatenate([[0], starts]), BOS)


def count(text: Array, V: int, order: int) -> list[Table]:
    """Count the n-grams of order 1 to `order` in a text from `with_starts`."""
    counts = np.bincount(text, minlength=V)
    tables = [Table(np.arange(V), counts, np.arange(V) == BOS, np.zeros(V, dtype=np.int64))]
    place = text.copy()  # for every position, the index of the n-gram that ends there; -1 for none
    for _ in range(1, order):
        # The n-gram that ends at t consists of the shorter one that ends at t - 1 and the word at t, which is not <s>.
        prefix = np.concatenate([[-1], place[:-1]])
        complete = np.flatnonzero((prefix >= 0) & (text != BOS))
        wanted = prefix[complete] * V + text[complete]
        keys, first, inverse, counts = np.unique(wanted, return_index=True, return_inverse=True, return_counts=True)
        tables.append(Table(keys, counts, tables[-1].after_start[keys // V], place[complete][first]))
        place = np.full(len(text), -1, dtype=np.int64)
        place[complete] = inverse
    return tables


def cutoff(tables: list[Table], most: int | None) -> int:
    """Return the least count of stored n-grams of order 3 and above, so that at most `most` n-grams are stored."""
    cutoff, cut = 1, [table.counts for table in tables[UNCUT:]]
    while most is not None and sum(map(len, cut)) > max(0, most - sum(len(table.keys) for table in tables[:UNCUT])):
        cutoff += 1
        cut = [counts[counts >= cutoff] for counts in cut]
    return cutoff


def estimate(tables: list[Table], V: int, cutoff: int = 1) -> list[Level]:
    """Estimate interpolated probabilities and back-off weights, from order 1 upwards.

    n-grams of order 3 and above with counts below `cutoff` are not stored: their counts go to gamma of their context,
    so their probability is that of backing off.
    """
    levels: list[Level] = []
    lower = np.full(V, 1 / (V - 1))  # uniform over all but <s>
    stored = np.ones(1, dtype=bool)  # of the order below
    for k, table in enumerate(tables):
        counts = table.counts.astype(np.float64)
        if k + 1 < len(tables):
            continuations = np.bincount(tables[k + 1].suffix, minlength=len(counts))
            counts = np.where(table.after_start, counts, continuations)
        if k == 0:
            counts[BOS] = 0
        contexts, words = np.divmod(table.keys, V) if k else (np.zeros(V, dtype=np.int64), table.keys)
        before, stored = stored, table.counts >= (cutoff if k >= UNCUT else 0)
        freed, gamma = _discounted(counts, contexts, len(before), stored)
        totals = np.bincount(contexts, weights=counts, minlength=len(before))
        below = lower[table.suffix] if k else lower
        probability = freed / np.maximum(totals[contexts], 1) + gamma[contexts] * below
        if k == 0:
            probability[BOS] = 0
        else:
            levels[-1] = replace(levels[-1], backoff=np.log(gamma[before]).astype(np.float32))
        with np.errstate(divide="ignore"):
            log_probability = np.clip(np.log(probability[stored]), LOG_ZERO, 0).astype(np.float32)
        places = np.cumsum(before) - 1  # indices of stored contexts; a stored n-gram's context is no rarer, so stored
        keys = places[contexts[stored]] * V + words[stored]
        levels.append(Level(keys, log_probability, np.zeros(len(keys), dtype=np.float32)))
        lower = probability
    return levels


def _discounted(counts: Array, contexts: Array, number: int, stored: Array) -> tuple[Array, Array]:
    """Return discounted counts, and gamma for each of `number` contexts (1 for a context without counts).

    stored: mask of stored n-grams; the whole count of the others is discounted.
    """
    discounts = np.array([0.0, *_discounts(counts)])
    taken = np.minimum(discounts[np.minimum(counts, 3).astype(np.int64)], counts)
    taken = np.where(stored, taken, counts)
    totals = np.bincount(contexts, weights=counts, minlength=number)
    gamma = np.bincount(contexts, weights=taken, minlength=number) / np.maximum(totals, 1)
    # Without a lower bound, a context whose counts are not discounted would leave no probability for new words.
    return counts - taken, np.where(totals > 0, np.maximum(gamma, 1e-10), 1.0)


def _discounts(counts: Array) -> tuple[float, ...]:
    """Return D1, D2, D3+, from the numbers of n-grams with counts one to four; the fallback if these are unsuitable."""
    n1, n2, n3, n4 = (int((counts == c).sum()) for c in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 <= d <= c for c, d in enumerate(found, 1)) else FALLBACK_DISCOUNTS
