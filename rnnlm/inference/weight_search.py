"""Search weights that minimise the errors of the chosen candidates, by exact line searches (Och 2003, Powell).

The total of a candidate is linear in the weights. Along a line w + t d, it is a straight line over t. The candidate
chosen from a list is on the upper envelope of these lines, so the errors of all lists are constant between the corners
of the envelopes. The best t of the whole line is found exactly, without a step size (Och 2003, "Minimum error rate
training in statistical machine translation"). From several starts, the search follows the axes and random lines until
none of them reduces the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.inference.mixture import mixed_nats
from rnnlm.inference.model import Array

# Number of further starts: a third is random, the others are increasingly close to the best so far. With more
# candidates, the search is slower and the errors are smoother, so that fewer starts suffice.
MOST_STARTS, FEWEST_STARTS, CANDIDATES_FOR_ALL = 36, 6, 2_000_000
RANDOM_LINES = 8  # number of random lines in a round, besides the axes
MOST_ROUNDS = 20
COARSE, FINE = 0.1, (0.05, 0.02, 0.01)  # steps in the search for the weights of a mixture


@dataclass(frozen=True)
class Table:
    """Scores and errors of all candidates of a held-out set, list by list.

    Attributes:
        starts: (L + 1,) Index of the first candidate of each list, and N.
        incoming: (N,) Scores of the candidates in the lists.
        features: (N, K) Values that the weights multiply. The first column is for the LM score, which `with_mixture`
            fills in.
        errors: (N,) Number of errors of each candidate.
        token_nats: (M, n) -ln p of all tokens of the candidates under each model of a mixture.
        owners: (n,) Index of the candidate of each token.
        nats: Number of nats in a unit of the scores.
    """

    starts: Array
    incoming: Array
    features: Array
    errors: Array
    token_nats: Array
    owners: Array
    nats: float

    def language_model(self, mixture: Sequence[float]) -> Array:
        """Return the LM scores (N,) of a mixture with given weights, which sum to one."""
        nats = self.token_nats[0] if len(mixture) == 1 else mixed_nats(list(self.token_nats), list(mixture))
        return -np.bincount(self.owners, nats, len(self.incoming)) / self.nats

    def with_mixture(self, mixture: Sequence[float]) -> Envelopes:
        """Return the lists with the LM scores of a mixture with given weights."""
        features = self.features.copy()
        features[:, 0] = self.language_model(mixture)
        return Envelopes(self.starts, self.incoming, features, self.errors)


class Envelopes:
    """Lists of candidates as padded arrays (L, n): errors as a function of weights."""

    def __init__(self, starts: Array, incoming: Array, features: Array, errors: Array) -> None:
        lengths = np.diff(starts)
        places = np.minimum(np.arange(lengths.max(initial=1)), np.maximum(lengths, 1)[:, None] - 1)
        self._places = starts[:-1, None] + places  # padded with the last candidate, which changes no envelope
        self._incoming, self._errors = incoming[self._places], errors[self._places]
        self._features = features[self._places]  # (L, n, K)

    def chosen(self, weights: Array) -> Array:
        """Return the index (L,) of the candidate with the highest total of each list, the first of equal ones."""
        return self._places[np.arange(len(self._places)), (self._incoming + self._features @ weights).argmax(axis=1)]

    def count(self, weights: Array) -> int:
        """Return the number of errors of the candidates chosen by some weights."""
        totals = self._incoming + self._features @ weights
        return int(np.take_along_axis(self._errors, totals.argmax(axis=1)[:, None], axis=1).sum())

    @property
    def fewest(self) -> int:
        """Smallest possible number of errors (the oracle)."""
        return int(self._errors.min(axis=1).sum())

    def spread(self) -> tuple[float, Array]:
        """Return the standard deviations within lists of the incoming scores, and of the features (K,)."""
        incoming = self._incoming - self._incoming.mean(axis=1, keepdims=True)
        features = self._features - self._features.mean(axis=1, keepdims=True)
        return float(np.sqrt((incoming**2).mean())), np.sqrt((features**2).mean(axis=(0, 1)))

    def best_step(self, weights: Array, direction: Array, least: float, most: float) -> tuple[float, int]:
        """Return the t in [least, most] with the fewest errors at weights + t * direction, and these errors.

        t is the middle of the widest interval with the fewest errors.
        """
        at, changes, errors = self._corners(weights, direction)
        inside = (at > least) & (at < most)
        errors += int(changes[at <= least].sum())
        at, changes = at[inside], changes[inside]
        if not len(at):
            return 0.0 if least <= 0 <= most else max(least, min(most, 0.0)), errors
        order = np.argsort(at, kind="stable")
        at, changes = at[order], changes[order]
        margin = max(0.1 * float(at[-1] - at[0]), 1e-3 * (1 + abs(float(at[-1]))))
        edges = np.concatenate([[max(least, at[0] - margin)], at, [min(most, at[-1] + margin)]])
        counts = errors + np.concatenate([[0], np.cumsum(changes)])
        widths = np.diff(edges)
        counts = np.where(widths > 1e-9 * (1 + np.abs(edges[1:])), counts, np.iinfo(np.int64).max)
        best = counts.min()
        place = int(np.where(counts == best, widths, -1).argmax())
        return float(edges[place] + edges[place + 1]) / 2, int(best)

    def _corners(self, weights: Array, direction: Array) -> tuple[Array, Array, int]:
        """Return the values of t where chosen candidates change, the changes in errors, and the errors before all."""
        heights = self._incoming + self._features @ weights
        slopes = self._features @ direction
        rows = np.arange(len(heights))
        flattest = slopes == slopes.min(axis=1, keepdims=True)
        current = np.where(flattest, heights, -np.inf).argmax(axis=1)
        before = int(self._errors[rows, current].sum())
        at, changes = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
        position = np.full(len(rows), -np.inf)
        while len(rows):
            height, slope = heights[rows], slopes[rows]
            own = np.arange(len(rows))
            steeper = slope - slope[own, current][:, None]
            gap = height[own, current][:, None] - height
            with np.errstate(divide="ignore", invalid="ignore"):
                crossing = np.where(steeper > 0, gap / steeper, np.inf)
            nearest = crossing.min(axis=1)
            going = np.isfinite(nearest)
            following = np.where(crossing == nearest[:, None], slope, -np.inf).argmax(axis=1)
            position = np.maximum(position, nearest)[going]
            errors = self._errors[rows]
            at.append(position)
            changes.append((errors[own, following] - errors[own, current])[going])
            rows, current = rows[going], following[going]
        return np.concatenate(at), np.concatenate(changes), before


@dataclass(frozen=True)
class Found:
    """The best weights (K,) and weights of the mixture (M,), their errors, and the number of lines searched."""

    weights: Array
    mixture: list[float]
    errors: int
    lines: int


class Search:
    """Search for the weights of a table. Only those of columns `free` change; the weight of column 0 stays nonnegative.

    >>> search = Search(table, free=[0, 1], seed=1)  # doctest: +SKIP
    >>> search.run(np.array([1.0, 0.0]), [1.0])  # doctest: +SKIP
    """

    def __init__(self, table: Table, free: Sequence[int], seed: int = 1) -> None:
        self._table, self._free, self._rng = table, list(free), np.random.default_rng(seed)
        self._lines = 0

    def run(self, weights: Array, mixture: Sequence[float]) -> Found:
        """Search from given and from random weights; the result has no more errors than the given weights."""
        mixture = list(mixture)
        lists = self._table.with_mixture(mixture)
        best, errors = weights.astype(np.float64), lists.count(weights)
        scale = self._scale(lists, weights)
        more = min(MOST_STARTS, max(FEWEST_STARTS, CANDIDATES_FOR_ALL // len(self._table.incoming)))
        for number in range(1 + more if self._free else 0):
            if errors == lists.fewest:
                break
            start = self._start(number, more // 3, weights, best, scale)
            found, count = self._descend(lists, start, lists.count(start), scale)
            if count < errors:
                best, errors = found, count
        if len(mixture) > 1:
            best, mixture, errors = self._mix(best, mixture, errors)
        return Found(best, mixture, errors, self._lines)

    def _scale(self, lists: Envelopes, weights: Array) -> Array:
        """Return the typical change (K,) of each weight that may change which candidates are chosen."""
        incoming, features = lists.spread()
        incoming = incoming or float(features[0] * (abs(weights[0]) or 1.0))
        return np.divide(incoming or 1.0, features, out=np.ones_like(features), where=features > 0)

    def _start(self, number: int, anywhere: int, given: Array, best: Array, scale: Array) -> Array:
        """Return start `number`: 0 is `given`, the next `anywhere` are random around it, the others around `best`."""
        if number == 0:
            return given.astype(np.float64)
        drawn = self._rng.normal(size=len(given)) * scale
        hop = number - anywhere
        start = given + drawn if hop <= 0 else best + drawn / hop**0.5
        start[0] = abs(start[0])
        return np.where(np.isin(np.arange(len(given)), self._free), start, given)

    def _descend(self, lists: Envelopes, weights: Array, errors: int, scale: Array) -> tuple[Array, int]:
        """Search along lines until a round of them does not reduce the errors."""
        for _ in range(MOST_ROUNDS):
            before = errors
            for direction in self._directions(scale):
                self._lines += 1
                least, most = -np.inf, np.inf
                if direction[0]:
                    zero = -weights[0] / direction[0]
                    least, most = (zero, most) if direction[0] > 0 else (least, zero)
                step, count = lists.best_step(weights, direction, least, most)
                moved = weights + step * direction
                # Accept a step only if the errors decrease when counted at the weights themselves, despite rounding.
                if count < errors and (count := lists.count(moved)) < errors:
                    weights, errors = moved, count
            if errors == before:
                break
        return weights, errors

    def _directions(self, scale: Array) -> list[Array]:
        axes = [row * scale for place, row in enumerate(np.eye(len(scale))) if place in self._free]
        free = np.isin(np.arange(len(scale)), self._free)
        lines = RANDOM_LINES if len(self._free) > 1 else 0
        return axes + [self._rng.normal(size=len(scale)) * scale * free for _ in range(lines)]

    def _mix(self, weights: Array, mixture: list[float], errors: int) -> tuple[Array, list[float], int]:
        """Search the mixture weights of all models but the first, one at a time, together with the other weights."""
        for part in [*range(1, len(mixture)), *(range(1, len(mixture)) if len(mixture) > 2 else ())]:
            rest = 1 - sum(mixture[1:]) + mixture[part]
            grid = [rest * COARSE * step for step in range(1, round(1 / COARSE))]
            for width in (None, *FINE):
                middle = mixture[part]
                for value in grid if width is None else [middle - width * rest, middle + width * rest]:
                    if not 0.005 <= value <= rest - 0.005:
                        continue
                    tried = [*mixture[:part], value, *mixture[part + 1 :]]
                    tried[0] = 1 - sum(tried[1:])
                    lists = self._table.with_mixture(tried)
                    scale = self._scale(lists, weights)
                    found, count = self._descend(lists, weights, lists.count(weights), scale)
                    if count < errors:
                        weights, mixture, errors = found, tried, count
        return weights, mixture, errors
