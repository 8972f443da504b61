"""One-hot vectors, and why programs do not multiply by them: U x is just a column of U."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlm.nn.numerics import Array
from rnnlm.text.vocabulary import Vocabulary


class OneHot(NamedTuple):
    """The one-hot vector of a token: `size` entries, 1 at `id` and else 0."""

    token: str
    id: int
    size: int

    @property
    def vector(self) -> Array:
        """All entries of the vector, (V,) int8.

        >>> OneHot("我", 2, 5).vector
        array([0, 0, 1, 0, 0], dtype=int8)
        """
        vector = np.zeros(self.size, dtype=np.int8)
        vector[self.id] = 1
        return vector


class Product(NamedTuple):
    """The product U x, and the column of U with the token's id."""

    product: Array  # (rows,)
    column: Array  # (rows,)

    @property
    def equal(self) -> bool:
        """Whether both are exactly equal."""
        return np.array_equal(self.product, self.column)


def one_hots(tokens: Sequence[str], vocabulary: Vocabulary) -> list[OneHot]:
    """Return the one-hot vector of every token; unknown tokens have the id of <unk>."""
    return [OneHot(token, int(i), len(vocabulary)) for token, i in zip(tokens, vocabulary.encode(tokens), strict=True)]


def times_one_hot(matrix: Array, one_hot: OneHot) -> Product:
    """Compute the full product of a matrix (rows, V) with a one-hot vector (V,), and return it with the column."""
    return Product(matrix @ one_hot.vector.astype(matrix.dtype), matrix[:, one_hot.id])


def example_matrix(size: int, rng: np.random.Generator, rows: int = 3) -> Array:
    """Return a random example of U (rows, size), with nonzero entries of two decimals between -1 and 1."""
    hundredths = rng.integers(1, 100, (rows, size)) * rng.choice([-1, 1], (rows, size))
    matrix: Array = hundredths / 100
    return matrix
