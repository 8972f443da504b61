"""Cross-entropy and squared error of a softmax: values and gradients, as the training computes them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rnnlm.nn.numerics import Array, softmax
from rnnlm.nn.outputs import cross_entropy, squared_error


class Losses(NamedTuple):
    """Both losses of o = softmax(x) with a one-hot target y."""

    inputs: Array  # (n,) x
    label: int  # index of the right class, from 0
    probabilities: Array  # (n,) o
    cross_entropy: float  # -sum of y ln o, in nats
    cross_entropy_gradient: Array  # (n,) by x: o - y
    squared_error: float  # sum of (o - y)^2, halved
    squared_error_gradient: Array  # (n,) by x: o (d - d.o) with d = o - y


def losses(inputs: Sequence[float], label: int) -> Losses:
    """Compute the losses of inputs (n,) and a label from 0 to n - 1.

    >>> losses([1, 2, 3, 4], 0).cross_entropy.__round__(2)
    3.44
    """
    x = np.array([inputs], dtype=np.float64)
    by_entropy, by_square = x.copy(), x.copy()  # logits, which become gradients
    labels, nats = np.array([label]), np.empty(1)
    entropy = cross_entropy(by_entropy, None, labels, 1.0, nats)
    square = squared_error(by_square, None, labels, 1.0, nats)
    return Losses(x[0], label, softmax(x.copy())[0], entropy, by_entropy[0], square, by_square[0])


def less_and_less_right(inputs: Sequence[float], label: int, lowered_by: Iterable[float]) -> list[Losses]:
    """Compute the losses with the label's input lowered by each amount, so that the wrong answers gain probability."""
    found = []
    for amount in lowered_by:
        lowered = list(inputs)
        lowered[label] -= amount
        found.append(losses(lowered, label))
    return found
