"""Initializers of weight matrices: each takes a random generator and returns an array (rows, columns)."""

from collections.abc import Callable

import numpy as np

from rnnlm.nn.numerics import Array

LONGEST_MEMORY = 64  # steps

Initializer = Callable[[np.random.Generator, int, int, int], Array]


def uniform(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Uniform in +-1/sqrt(H): PyTorch's default for recurrent layers."""
    bound = hidden**-0.5
    return rng.uniform(-bound, bound, (rows, columns))


def xavier(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)), with the fan_out of one gate, at most H (Glorot and Bengio 2010)."""
    bound = (6 / (min(rows, hidden) + columns)) ** 0.5
    return rng.uniform(-bound, bound, (rows, columns))


def orthogonal(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Orthogonal rows or columns, slab by slab, from the QR decomposition of a Gaussian matrix (Saxe et al. 2013)."""
    return np.concatenate([_orthogonal(rng, min(hidden, rows - start), columns) for start in range(0, rows, hidden)])


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the distribution uniform (Mezzadri 2007)
    return q if rows >= columns else q.T


def identity(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Identity matrix in every square slab, for relu networks (Le, Jaitly and Hinton 2015); else like `normal`."""
    if columns != hidden or rows % hidden:
        return normal(rng, rows, columns, hidden)
    return np.concatenate([np.eye(hidden)] * (rows // hidden))


def normal(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Gaussian of variance 0.001, for the other matrices of a network initialized with `identity`."""
    return rng.normal(0, 0.001**0.5, (rows, columns))


def article(rng: np.random.Generator, rows: int, columns: int, hidden: int) -> Array:
    """Uniform in +-1e-4, as in the article's code."""
    return rng.uniform(-1e-4, 1e-4, (rows, columns))


def memory_bias(units: int) -> Array:
    """Gate biases (units,) for memories of 2 to LONGEST_MEMORY steps (chrono initialization, Tallec and Ollivier 2018).

    A gate that keeps sigmoid(b) = 1 - 1 / t of the state in each step remembers for about t steps: b = log(t - 1). The
    times t are spread evenly over the units.
    """
    times: Array = 2 + (LONGEST_MEMORY - 2) * (np.arange(units) + 0.5) / units
    return np.log(times - 1)


INITIALIZERS: dict[str, Initializer] = {
    "uniform": uniform,
    "xavier": xavier,
    "orthogonal": orthogonal,
    "identity": identity,
    "normal": normal,
    "article": article,
}
