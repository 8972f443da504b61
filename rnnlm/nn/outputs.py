"""Output layers: from hidden states to a distribution over the vocabulary, and the losses on it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from rnnlm.nn.numerics import SMALLEST_EXPONENT, Array, log_softmax

# Logits are made for so many numbers at a time (32 MB of float32): N rows of a large vocabulary would not fit.
BLOCK = 1 << 23


class Loss(NamedTuple):
    """Sums over the tokens of a batch."""

    objective: float  # what is minimised
    nats: float  # negative log likelihood, whatever is minimised
    tokens: int


Backprop = Callable[[], tuple[Array, dict[str, Array]]]


class Output(Protocol):
    """An output layer. hidden (N, H), targets (N,) ids; all results are per row."""

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters."""

    def loss(
        self, params: Mapping[str, Array], hidden: Array, targets: Array, objective: str, scale: float
    ) -> tuple[Loss, Backprop]:
        """Summed loss, and backprop() -> (dhidden, grads) of scale times the objective."""

    def nats(self, params: Mapping[str, Array], hidden: Array, targets: Array) -> Array:
        """Negative log probability of each target, (N,)."""

    def log_probabilities(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """Log probability of every token, (N, V)."""


def cross_entropy(probabilities: Array, targets: Array, nats: Array) -> float:
    """Sum of -log p(target); `probabilities` becomes the gradient by the logits, p - y."""
    probabilities[np.arange(len(targets)), targets] -= 1
    return float(nats.sum(dtype=np.float64))


def squared_error(probabilities: Array, targets: Array, nats: Array) -> float:
    """Sum of |p - y|^2 / 2; `probabilities` becomes the gradient by the logits, p (d - d.p) with d = p - y."""
    error = probabilities.copy()
    error[np.arange(len(targets)), targets] -= 1
    objective = 0.5 * float(np.square(error).sum(dtype=np.float64))
    error -= (error * probabilities).sum(axis=1, keepdims=True)
    np.multiply(probabilities, error, out=probabilities)
    return objective


LOSSES: dict[str, Callable[[Array, Array, Array], float]] = {
    "cross-entropy": cross_entropy,
    "mse": squared_error,
}


def _softmax_nats(logits: Array, targets: Array) -> Array:
    """Turn logits (n, V) into probabilities in place; return -log p(target), exact however small p is."""
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=logits)
    of_targets = logits[np.arange(len(targets)), targets]
    np.maximum(logits, SMALLEST_EXPONENT, out=logits)
    np.exp(logits, out=logits)
    total = logits.sum(axis=1, keepdims=True)
    np.divide(logits, total, out=logits)
    return np.subtract(np.log(total[:, 0]), of_targets)


class Softmax:
    """The full softmax: o_t = softmax(V h_t + b), every word scored."""

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Parameters output.weight (V, H) and output.bias (V,)."""
        return {"output.weight": (vocabulary_size, hidden_size), "output.bias": (vocabulary_size,)}

    def loss(
        self, params: Mapping[str, Array], hidden: Array, targets: Array, objective: str, scale: float
    ) -> tuple[Loss, Backprop]:
        """See `Output.loss`.

        The gradients are made block by block together with the loss, so that the (N, V) matrix of probabilities never
        exists as a whole.
        """
        weight = params["output.weight"]
        dhidden = np.empty_like(hidden)
        dweight, dbias = np.zeros_like(weight), np.zeros_like(params["output.bias"])
        total, nats = 0.0, 0.0
        for rows in self._blocks(params, hidden):
            block = self._logits(params, hidden[rows])
            block_nats = _softmax_nats(block, targets[rows])
            total += LOSSES[objective](block, targets[rows], block_nats)
            nats += float(block_nats.sum(dtype=np.float64))
            np.multiply(block, scale, out=block)
            np.matmul(block, weight, out=dhidden[rows])
            dweight += block.T @ hidden[rows]
            dbias += block.sum(axis=0)
        grads = {"output.weight": dweight, "output.bias": dbias}
        return Loss(total, nats, len(targets)), lambda: (dhidden, grads)

    def nats(self, params: Mapping[str, Array], hidden: Array, targets: Array) -> Array:
        """See `Output.nats`."""
        result = np.empty(len(targets), dtype=hidden.dtype)
        for rows in self._blocks(params, hidden):
            result[rows] = _softmax_nats(self._logits(params, hidden[rows]), targets[rows])
        return result

    def log_probabilities(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """See `Output.log_probabilities`."""
        return log_softmax(self._logits(params, hidden))

    @staticmethod
    def _logits(params: Mapping[str, Array], hidden: Array) -> Array:
        logits: Array = hidden @ params["output.weight"].T
        logits += params["output.bias"]
        return logits

    @staticmethod
    def _blocks(params: Mapping[str, Array], hidden: Array) -> list[slice]:
        size = max(1, BLOCK // len(params["output.bias"]))
        return [slice(start, start + size) for start in range(0, len(hidden), size)]


OUTPUTS: dict[str, Output] = {"softmax": Softmax()}
