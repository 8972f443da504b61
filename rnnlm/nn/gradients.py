"""Gradients: an array as large as the parameter, or only the rows of a table that were looked up.

A batch touches a thousand rows of an embedding of fifty thousand. The others' gradient is zero, and neither the sum
over threads, nor the norm, nor the optimizer needs to go over them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array


def add_rows(rows: Array, places: Array, sums: Array) -> None:
    """Add each of the rows (N, D) to sums (U, D) at its place (N,), int64. Has a compiled twin.

    Here rows of one place are brought together first, which is faster than numpy.add.at.
    """
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sums[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)


@dataclass(frozen=True)
class RowGradient:
    """Gradient of a look-up table (V, D) that is zero but for some rows.

    ids (K,): the rows, each once, ascending; rows (K, D): their gradients; length: V. `transposed` is said of a
    parameter (D, V) whose columns are looked up, as one-hot input does with `rnn.weight_ih_l0`.
    """

    ids: Array
    rows: Array
    length: int
    transposed: bool = False

    @classmethod
    def summed(cls, ids: Array, rows: Array, length: int, transposed: bool = False) -> "RowGradient":
        """Add up the rows (N, D) that share an id (N,)."""
        found, places = np.unique(ids, return_inverse=True)
        sums = np.zeros((len(found), rows.shape[1]), dtype=rows.dtype)
        fastest(add_rows, rows.dtype)(rows, places, sums)
        return cls(found, sums, length, transposed)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the parameter."""
        shape = (self.length, self.rows.shape[1])
        return shape[::-1] if self.transposed else shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of its numbers."""
        return self.rows.dtype

    def dense(self) -> Array:
        """The gradient with all its zeros, in the shape of the parameter."""
        table = np.zeros((self.length, self.rows.shape[1]), dtype=self.rows.dtype)
        table[self.ids] = self.rows
        return table.T if self.transposed else table

    def __add__(self, other: "RowGradient") -> "RowGradient":
        """Sum of two gradients of one table."""
        ids, rows = np.concatenate([self.ids, other.ids]), np.concatenate([self.rows, other.rows])
        return RowGradient.summed(ids, rows, self.length, self.transposed)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """For NumPy's functions: `dense()`."""
        return self.dense().astype(dtype or self.rows.dtype, copy=False)


CHUNK = 1 << 14  # numbers: a parameter, its gradient, two slots and scratch fit into a 512 KB cache

Gradient = Array | RowGradient
Grads = dict[str, Any]  # name of a parameter -> Gradient


def dense(grads: Mapping[str, Gradient]) -> dict[str, Array]:
    """Every gradient as an array of its parameter's shape."""
    return {name: each.dense() if isinstance(each, RowGradient) else each for name, each in grads.items()}


def flat(array: Array) -> Array:
    """One-dimensional view of an array in memory order."""
    return (array if array.flags.c_contiguous else array.T).reshape(-1)


class Piece(NamedTuple):
    """A part of one parameter's gradient that fits into the cache: the smallest unit of work."""

    name: str
    part: slice  # of the flat array; of the rows of a RowGradient


def pieces(grads: Mapping[str, Gradient]) -> list[Piece]:
    """Cut gradients into pieces. Where the cuts are does not depend on the number of threads, so no result does."""
    found = []
    for name, gradient in grads.items():
        if isinstance(gradient, RowGradient):
            length, step = len(gradient.rows), max(1, CHUNK // gradient.rows.shape[1])
        else:
            length, step = gradient.size, CHUNK
        found += [Piece(name, slice(start, min(start + step, length))) for start in range(0, length, step)]
    return found


Shares = Callable[[Callable[[list[Piece]], Any], list[Piece]], Iterable[Any]]  # runs a function on shares of the work


def alone(work: Callable[[list[Piece]], Any], found: list[Piece]) -> Iterable[Any]:
    """All the work in this thread."""
    return [work(found)]


def summed(parts: Sequence[Mapping[str, Gradient]], shares: Shares = alone) -> tuple[dict[str, Gradient], float]:
    """Sum of the threads' gradients, and its Euclidean norm over all parameters.

    The first one's arrays take up the others, piece by piece while they are in the cache; the norm is made on the way.
    """
    total = dict(parts[0])
    for other in parts[1:]:
        total |= {name: total[name] + g for name, g in other.items() if isinstance(g, RowGradient)}

    def squares(share: list[Piece]) -> list[float]:
        found = []
        for name, part in share:
            gradient = total[name]
            if isinstance(gradient, RowGradient):
                numbers = gradient.rows[part].reshape(-1)
            else:
                numbers = flat(gradient)[part]
                for other in parts[1:]:
                    np.add(numbers, flat(np.asarray(other[name]))[part], out=numbers)
            found.append(float(np.vdot(numbers, numbers)))
        return found

    # Summed in the order of the pieces, however many threads there were.
    return total, math.sqrt(sum(square for share in shares(squares, pieces(total)) for square in share))


def clipped_scale(norm: float, limit: float) -> float:
    """Factor by which gradients of this norm are multiplied so that it is at most `limit` (0: no limit).

    Pascanu, Mikolov and Bengio 2013: what keeps an exploding gradient from throwing the weights away.
    """
    return limit / norm if limit and norm > limit else 1.0
