"""Gradient check: the derivative that back-propagation computes against the one that the definition gives."""

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
    """Derivative of the loss along a direction; `array` is left unchanged.

    (8 (E(w + d) - E(w - d)) - (E(w + 2d) - E(w - 2d))) / 12 with d = step * direction, exact to the fourth order of the
    step. A large step suffers from curvature and from the kinks of relu, a small one from rounding: of two neighbouring
    steps' results those that agree best are taken (Ridders 1982, in its plainest form).
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
    """A random direction with a good part of the gradient in it.

    A purely random one is nearly perpendicular to the gradient in many dimensions, and the comparison would drown in
    rounding. Should the gradient be wrong, the random half still finds out.
    """
    random = rng.standard_normal(gradient.shape)
    # Not quite half: the two must not cancel where there is only one direction to choose from.
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
    """Compare every parameter's gradient, and the initial state's, along random directions and at random entries.

    The network must be float64 for the comparison to mean anything; ids (T, B), state (S, L, B, H).
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
