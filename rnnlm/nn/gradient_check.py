"""Gradient check: compare the derivatives of back-propagation with finite differences."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnnlm.nn.gradients import dense
from rnnlm.nn.network import Network
from rnnlm.nn.numerics import Array


class Comparison(NamedTuple):
    """One derivative of the loss, expected (central difference) and actual (back-propagation)."""

    name: str
    entry: tuple[int, ...] | None  # None: along a random direction
    expected: float
    actual: float

    @property
    def relative_error(self) -> float:
        """|expected - actual| / max(|expected| + |actual|, 1e-8)."""
        return abs(self.expected - self.actual) / max(abs(self.expected) + abs(self.actual), 1e-8)


STEPS = (1e-4, 1e-5, 1e-6)


def central_difference(loss: Callable[[], float], array: Array, direction: Array) -> float:
    """Derivative of the loss along a direction; `array` is restored afterwards.

    (8 (E(w + d) - E(w - d)) - (E(w + 2d) - E(w - 2d))) / (12 step) with d = step * direction, exact to the fourth order
    of the step. A large step suffers from curvature and the kinks of relu, a small one from rounding. So several steps
    are tried, and the result is taken from the two neighbouring steps that agree best (Ridders 1982, simplified).
    """
    original = array.copy()

    def at(distance: float) -> float:
        np.copyto(array, original + distance * direction)
        return loss()

    try:
        results = [(8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) for h in STEPS]
    finally:
        np.copyto(array, original)
    return min(pairwise(results), key=lambda pair: abs(pair[0] - pair[1]))[0]


def _direction(rng: np.random.Generator, gradient: Array) -> Array:
    """Random unit vector with a large component along the gradient.

    In many dimensions, a purely random direction is nearly perpendicular to the gradient, and rounding would dominate
    the comparison. If the gradient is wrong, the random component still reveals it.
    """
    random = rng.standard_normal(gradient.shape)
    # 0.9, so that the two components cannot cancel in one dimension.
    direction = 0.9 * random / np.linalg.norm(random) + gradient / max(float(np.linalg.norm(gradient)), 1e-300)
    return direction / np.linalg.norm(direction)


def check_gradients(
    network: Network,
    inputs: Array,
    targets: Array,
    state: Array,
    rng: np.random.Generator,
    keep: Array | None = None,
    objective: str = "cross-entropy",
    directions: int = 3,
    entries: int = 0,
) -> list[Comparison]:
    """Compare the gradients of every parameter and of the initial state with central differences.

    directions, entries: number of random directions and of random entries per array. inputs and targets are (T, B),
    state is (S, L, B, H). Parameters and state must be float64: float32 is too imprecise.
    """

    def loss() -> float:
        return network.loss(inputs, targets, state, keep, objective=objective)[0].objective

    _, _, backprop = network.loss(inputs, targets, state, keep, objective=objective)
    grads = dense(backprop())
    comparisons = []
    for name, array in {**network.params, "initial_state": state}.items():
        for _ in range(directions):
            direction = _direction(rng, grads[name])
            expected = central_difference(loss, array, direction)
            comparisons.append(Comparison(name, None, expected, float((grads[name] * direction).sum())))
        for flat in rng.choice(array.size, min(entries, array.size), replace=False):
            index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
            direction = np.zeros_like(array)
            direction[index] = 1
            expected = central_difference(loss, array, direction)
            comparisons.append(Comparison(name, index, expected, float(grads[name][index])))
    return comparisons
