"""Dynamic evaluation (Krause et al. 2018): a network that keeps learning from the text on which it is evaluated.

Rule "sgd" is stochastic gradient descent. Rule "rms", the better one, divides each entry of the gradient g by its root
mean square r so far, and pulls the weights w back to the trained weights w0, more strongly where r is large:

    w <- w - lr g / (r + EPSILON) + min(1, DECAY r / mean(r)) (w0 - w)

Krause et al. compute r on the training text; here it is computed on the text that is read.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnlm.inference.model import Array
from rnnlm.nn.gradients import Gradient, RowGradient, clipped_scale, summed
from rnnlm.nn.network import Network
from rnnlm.nn.optimizers import Optimizer
from rnnlm.text.reading import Ids, windows

CLIP = 1.0  # largest norm of the gradient, for "sgd"
EPSILON, DECAY = 1e-3, 1e-3  # for "rms"
RATES = {"rms": 3e-3, "sgd": 0.5}  # default learning rates, which suit most texts
WINDOW = 20


class Learning(NamedTuple):
    """Settings of dynamic evaluation: update rule, learning rate, and number of tokens per step."""

    rule: str = "rms"
    lr: float = RATES["rms"]
    window: int = WINDOW


def dynamic_nats(network: Network, sequence: Ids, context: str, learning: Learning) -> Array:
    """Negative log probability of every token (N,), with a network that learns while it reads.

    The text is read once, in one column: each window is scored before a step on its mean loss, so no token is scored by
    weights that were trained on it. Gradients do not extend beyond the window. With context "sentence", the state is
    reset at the start of every sentence, but the weights are not. `network` is not changed.
    """
    learner = Network(network.config, {name: array.copy(order="K") for name, array in network.params.items()})
    steps = (_Rms if learning.rule == "rms" else _Sgd)(learner)
    state = learner.zero_state(1)
    parts = [np.zeros(0)]
    for _, inputs, targets, keep in windows(sequence, context, learning.window):
        nats, _ = learner.nats(inputs, targets, state, keep)
        parts.append(nats[:, 0].astype(np.float64))
        _, state, backprop = learner.loss(inputs, targets, state, keep, scale=1 / len(inputs))
        grads = backprop()
        del grads["initial_state"]
        grads, norm = summed([grads])
        if np.isfinite(norm):
            steps.step(grads, learning.lr, norm)
    return np.concatenate(parts)


class _Sgd:
    """Gradient descent with clipped gradients."""

    def __init__(self, learner: Network) -> None:
        self._params = learner.params
        self._optimizer = Optimizer("sgd", learner.params)

    def step(self, grads: Mapping[str, Gradient], lr: float, norm: float) -> None:
        self._optimizer.step(self._params, grads, lr, clipped_scale(norm, CLIP))


class _Rms:
    """Gradient descent scaled by the root mean square of the gradient, with decay towards the trained weights."""

    def __init__(self, learner: Network) -> None:
        self._params = learner.params
        self._trained = {name: array.copy(order="K") for name, array in learner.params.items()}
        self._squares = {name: np.zeros_like(array) for name, array in learner.params.items()}
        self._steps = 0

    def step(self, grads: Mapping[str, Gradient], lr: float, norm: float) -> None:
        self._steps += 1
        for name, gradient in grads.items():
            weights, trained, squares = self._params[name], self._trained[name], self._squares[name]
            if not isinstance(gradient, RowGradient):
                self._move(weights, trained, squares, gradient, ..., lr)
                continue
            if gradient.transposed:
                weights, trained, squares = weights.T, trained.T, squares.T
            self._move(weights, trained, squares, gradient.rows, gradient.ids, lr)  # other rows do not change

    def _move(self, weights: Array, trained: Array, squares: Array, gradient: Array, rows: Any, lr: float) -> None:
        """Update some rows of a parameter in place."""
        squares[rows] += gradient**2
        size = np.sqrt(squares[rows] / self._steps)
        back = np.minimum(1, DECAY * size / max(float(size.mean()), np.finfo(size.dtype).tiny))
        weights[rows] += back * (trained[rows] - weights[rows]) - lr * gradient / (size + EPSILON)
