"""Gradients, dense (an array shaped like the parameter) or sparse (only the rows of a table that were looked up).

A batch looks up about a thousand of the fifty thousand rows of an embedding. The gradient of the others is zero: the
sum over threads, the norm and the optimizer skip them.
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
    """Add rows[i] to sums[places[i]]; rows (N, D), places (N,) int64, sums (U, D). Has a compiled twin.

    Sorts rows by place and adds them up with reduceat, which is faster than numpy.add.at.
    """
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sums[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)


@dataclass(frozen=True)
class RowGradient:
    """Gradient of a look-up table (V, D) that is zero except in some rows.

    ids (K,): indices of these rows, unique and ascending. rows (K, D): their gradients. length: V. transposed: the
    parameter is (D, V), and its columns are looked up, as those of `rnn.weight_ih_l0` are with one-hot input.
    """

    ids: Array
    rows: Array
    length: int
    transposed: bool = False

    @classmethod
    def summed(cls, ids: Array, rows: Array, length: int, transposed: bool = False) -> "RowGradient":
        """Build a gradient from rows (N, D) and their ids (N,); rows with the same id are added up."""
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
        """Data type of the entries."""
        return self.rows.dtype

    def dense(self) -> Array:
        """Return the dense gradient, in the shape of the parameter."""
        table = np.zeros((self.length, self.rows.shape[1]), dtype=self.rows.dtype)
        table[self.ids] = self.rows
        return table.T if self.transposed else table

    def __add__(self, other: "RowGradient") -> "RowGradient":
        """Sum of two gradients of the same table."""
        ids, rows = np.concatenate([self.ids, other.ids]), np.concatenate([self.rows, other.rows])
        return RowGradient.summed(ids, rows, self.length, self.transposed)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Convert to a dense array, so that NumPy functions accept it."""
        return self.dense().astype(dtype or self.rows.dtype, copy=False)


# Entries in a piece of a parameter. Threads lose more by handing Python's lock to each other, about 15 us a piece, than
# they gain from pieces that stay in a smaller cache.
CHUNK = 1 << 17
ROW_WORK = 4  # updating an entry of a looked-up row, which is gathered and put back, takes as long as so many others

Gradient = Array | RowGradient
Grads = dict[str, Any]  # name of a parameter -> Gradient


def dense(grads: Mapping[str, Gradient]) -> dict[str, Array]:
    """Return every gradient as a dense array in the shape of its parameter."""
    return {name: each.dense() if isinstance(each, RowGradient) else each for name, each in grads.items()}


def flat(array: Array) -> Array:
    """One-dimensional view of an array in memory order."""
    return (array if array.flags.c_contiguous else array.T).reshape(-1)


class Piece(NamedTuple):
    """A part of one parameter's gradient: the smallest unit that is given to a thread."""

    name: str
    part: slice  # into the flat array, or into the rows of a RowGradient
    work: int  # relative to that of the other pieces


def pieces(grads: Mapping[str, Gradient]) -> list[Piece]:
    """Cut gradients into pieces. The cuts, and so the results, do not depend on the number of threads."""
    found = []
    for name, gradient in grads.items():
        if isinstance(gradient, RowGradient):
            length, work = len(gradient.rows), ROW_WORK * gradient.rows.shape[1]
        else:
            length, work = gradient.size, 1
        step = max(1, CHUNK // work)
        parts = [slice(start, min(start + step, length)) for start in range(0, length, step)]
        found += [Piece(name, part, work * (part.stop - part.start)) for part in parts]
    return found


Shares = Callable[[Callable[[list[Piece]], Any], list[Piece]], Iterable[Any]]  # runs a function on shares of the work


def alone(work: Callable[[list[Piece]], Any], found: list[Piece]) -> Iterable[Any]:
    """Do all the work in this thread."""
    return [work(found)]


def summed(parts: Sequence[Mapping[str, Gradient]], shares: Shares = alone) -> tuple[dict[str, Gradient], float]:
    """Return the sum of the threads' gradients and its Euclidean norm over all parameters.

    Dense sums overwrite the arrays of parts[0], piece by piece.
    """
    total = dict(parts[0])
    for other in parts[1:]:
        total |= {name: total[name] + g for name, g in other.items() if isinstance(g, RowGradient)}

    def squares(share: list[Piece]) -> list[float]:
        found = []
        for name, part, _ in share:
            gradient = total[name]
            if isinstance(gradient, RowGradient):
                numbers = gradient.rows[part].reshape(-1)
            else:
                numbers = flat(gradient)[part]
                for other in parts[1:]:
                    np.add(numbers, flat(np.asarray(other[name]))[part], out=numbers)
            found.append(float(np.vdot(numbers, numbers)))
        return found

    # Summed in the order of the pieces, which does not depend on the number of threads.
    return total, math.sqrt(sum(square for share in shares(squares, pieces(total)) for square in share))


def clipped_scale(norm: float, limit: float) -> float:
    """Factor that scales gradients of a given norm down to at most `limit` (0: no limit).

    Clips exploding gradients as in Pascanu, Mikolov and Bengio 2013.
    """
    return limit / norm if limit and norm > limit else 1.0
