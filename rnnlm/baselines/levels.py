"""The n-grams of one order as sorted arrays, and how they are looked up."""

from dataclasses import dataclass

import numpy as np

from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array

LOG_ZERO = -99 * np.log(10)  # ARPA's sign for "never": <s> is context only


@dataclass(frozen=True)
class Level:
    """The n-grams of one order; arrays of the same length, sorted by key."""

    keys: Array  # int64
    log_probability: Array  # float32, ln p(w | h), interpolated
    backoff: Array  # float32, ln gamma of the n-gram as a context; 0 for the highest order

    def find(self, context: Array, words: Array, V: int) -> Array:
        """Index of each word after its context (an index of the order below, -1 for none); -1 where not stored."""
        wanted = np.where(context < 0, -1, context * V + words).reshape(-1)  # no key is below zero
        found = np.empty(len(wanted), dtype=np.int64)
        fastest(places_of)(self.keys, wanted, found)
        return found.reshape(np.shape(words))


def places_of(keys: Array, wanted: Array, places: Array) -> None:
    """Write where each of the wanted (n,) is among the sorted keys (M,) to `places`, -1 where it is not; all int64.

    Has a compiled twin, several times as fast.
    """
    if not len(keys):
        places.fill(-1)
        return
    places[:] = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    places[keys[places] != wanted] = -1


def picked(values: Array, index: Array) -> Array:
    """Value at each index, 0 where it is -1; a short text may have no n-grams of an order at all."""
    return np.where(index >= 0, values[index], 0.0) if len(values) else np.zeros(np.shape(index))
