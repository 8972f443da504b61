"""One-hot vectors, and why no program multiplies with them: U x is the column of U that x points at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlm.nn.numerics import Array
from rnnlm.text.vocabulary import Vocabulary


class OneHot(NamedTuple):
    """A token's vector: `size` entries, all 0 but a 1 at `id`."""

    token: str
    id: int
    size: int

    @property
    def vector(self) -> Array:
        """The vector written out, (V,) int8.

        >>> OneHot("我", 2, 5).vector
        array([0, 0, 1, 0, 0], dtype=int8)
        """
        vector = np.zeros(self.size, dtype=np.int8)
        vector[self.id] = 1
        return vector


class Product(NamedTuple):
    """U x, multiplied out, beside the column of U with the token's id."""

    product: Array  # (rows,)
    column: Array  # (rows,)

    @property
    def equal(self) -> bool:
        """Whether both are the same, to the last bit."""
        return np.array_equal(self.product, self.column)


def one_hots(tokens: Sequence[str], vocabulary: Vocabulary) -> list[OneHot]:
    """The one-hot vector of every token; a token that the vocabulary lacks has the id of <unk>."""
    return [OneHot(token, int(i), len(vocabulary)) for token, i in zip(tokens, vocabulary.encode(tokens), strict=True)]


def times_one_hot(matrix: Array, one_hot: OneHot) -> Product:
    """The product of a matrix (rows, V) with a one-hot vector (V,), computed in full, and the column."""
    return Product(matrix @ one_hot.vector.astype(matrix.dtype), matrix[:, one_hot.id])


def example_matrix(size: int, rng: np.random.Generator, rows: int = 3) -> Array:
    """A small U (rows, size) to multiply with, of numbers in [-1, 1] with two decimals, none of them 0."""
    hundredths = rng.integers(1, 100, (rows, size)) * rng.choice([-1, 1], (rows, size))
    matrix: Array = hundredths / 100
    return matrix
