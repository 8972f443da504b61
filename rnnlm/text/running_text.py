"""Measure whether the lines of a text belong together, as in a book, or are independent, as in a list of sentences.

A line of a book repeats words of the line before it. A cache of that line (Kuhn and De Mori 1990) therefore predicts it
better than a cache of a line from elsewhere in the text. In a list of unrelated sentences, both predict equally well.
"""

import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.text.vocabulary import EOS

Array = NDArray[np.int32]
PLACES, LINES, TOKENS = 20, 200, 4_000  # stretches of a text that are read, and most lines and tokens of each
CACHE = 0.1  # weight of the cache, interpolated with the unigram frequencies
GAIN, SURE = 0.005, 5.0  # smallest gain, in nats per token and in standard errors, of lines that belong together


class Cohesion(NamedTuple):
    """The gain of a cache of the preceding line over a cache of a random line."""

    nats_per_token: float
    standard_errors: float  # the gain divided by its standard error

    @property
    def tells(self) -> bool:
        """Whether the lines of the text belong together."""
        return self.nats_per_token >= GAIN and self.standard_errors >= SURE


def cohesion(ids: Array) -> Cohesion:
    """Compare a cache of the preceding line with a cache of a random line, for lines from all over a text.

    ids: (N,) ids of the text, with EOS at the end of each line; at most 80,000 of them are read.
    """
    stretches = _stretches(ids)
    lines = [line for stretch in stretches for line in stretch]
    pairs = [pair for stretch in stretches for pair in itertools.pairwise(stretch)]
    if len(pairs) < 2:
        return Cohesion(0.0, 0.0)
    counts = Counter(itertools.chain.from_iterable(lines))
    probability = {each: count / counts.total() for each, count in counts.items()}
    others = np.random.default_rng(0).permutation(len(lines))
    differences = np.array(
        [
            _cached(line, before, probability) - _cached(line, lines[other], probability)
            for (before, line), other in zip(pairs, others.tolist(), strict=False)
            if lines[other] is not line
        ]
    )
    tokens = sum(len(line) for _, line in pairs) / len(pairs)
    error = float(differences.std()) / math.sqrt(len(differences))
    return Cohesion(float(differences.mean()) / tokens, float(differences.mean()) / error if error else 0.0)


def _stretches(ids: Array) -> list[list[list[int]]]:
    """Return runs of consecutive whole lines, from equally spaced places."""
    found = []
    for place in np.linspace(0, len(ids), PLACES, endpoint=False).astype(int).tolist():
        part = np.asarray(ids[place : min(place + TOKENS, place + math.ceil(len(ids) / PLACES))])
        ends = np.flatnonzero(part == EOS)[: LINES + 1]
        lines = [line.tolist() for line in np.split(part, ends + 1)[(place > 0) : len(ends)]]
        found.append([line[:-1] for line in lines if len(line) > 1])
    return found


def _cached(line: list[int], cache: list[int], probability: dict[int, float]) -> float:
    """Return the nats that a cache adds to the log probability of a line."""
    counts = Counter(cache)
    return sum(math.log(1 - CACHE + CACHE * counts[each] / len(cache) / probability[each]) for each in line)
