"""The n-grams of one order as sorted arrays, with look-up."""

from dataclasses import dataclass

import numpy as np

from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array

LOG_ZERO = -99 * np.log(10)  # stands for ln 0, as -99 does in ARPA files: <s> is never predicted


@dataclass(frozen=True)
class Level:
    """The n-grams of one order; arrays of the same length, sorted by key."""

    keys: Array  # int64
    log_probability: Array  # float32, ln p(w | h), interpolated
    backoff: Array  # float32, ln gamma of the n-gram as a context; 0 for the highest order

    def find(self, context: Array, words: Array, V: int) -> Array:
        """Return the index of each n-gram, given the index of its context in the level below and its last word.

        The index is -1 if the n-gram is not stored, or if the index of the context is -1.
        """
        wanted = np.where(context < 0, -1, context * V + words).reshape(-1)  # keys are never negative
        found = np.empty(len(wanted), dtype=np.int64)
        fastest(places_of)(self.keys, wanted, found)
        return found.reshape(np.shape(words))


def places_of(keys: Array, wanted: Array, places: Array) -> None:
    """Write the index of each of `wanted` (n,) in the sorted `keys` (M,) to `places` (n,), or -1; all are int64.

    Has a compiled twin, which is several times as fast.
    """
    if not len(keys):
        places.fill(-1)
        return
    places[:] = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    places[keys[places] != wanted] = -1


def picked(values: Array, index: Array) -> Array:
    """Return the value at each index, or 0 for index -1; `values` may be empty, as for an order without n-grams."""
    return np.where(index >= 0, values[index], 0.0) if len(values) else np.zeros(np.shape(index))
