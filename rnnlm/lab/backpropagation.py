"""Back-propagation through time, step by step: the contribution of every step to the gradients.

The article's formulas, with E = sum of E_t, where E_t is the loss of step t:

    delta_t = dE/da_t, a_t the argument of f         dE/dW = sum over t of delta_t s_{t-1}^T
    dE/dU = sum over t of delta_t x_t^T              dE/dV = sum over t of dE/dz_t s_t^T, z_t the argument of softmax

The backward pass is the network's own, in single steps. A bias is added to a_t, so its gradient in one step is delta_t.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.lab.unrolled import Step, input_vector, output_matrix, unroll
from rnnlm.nn.gradient_check import STEPS, central_difference
from rnnlm.nn.network import LayerStack
from rnnlm.nn.numerics import Array

CHECKED_ENTRIES = 64  # most entries of W that are compared with the definition; of a larger W, random ones
FEWEST_ENTRIES = 4  # fewest entries, of a network so large that every comparison takes seconds
MULTIPLICATIONS = 1e10  # budget of all comparisons: some seconds
LOSSES_PER_ENTRY = 4 * len(STEPS)
LARGEST_SUM = 1 << 20  # most entries of a gradient of U or V that is summed
ROUNDINGS = 16  # largest rounding error of a sum such as E, in units in the last place


class StepBack(NamedTuple):
    """A step with its backward pass. Lists have an entry for each layer, lowest first."""

    step: Step
    target: int  # id of the right token
    output: Array  # (V,) o_t, the probabilities of all tokens
    loss: float  # E_t, even if it is not a part of E
    nats: float  # -ln of the target's probability; E_t for cross-entropy
    deltas: list[Array]  # (GH,) each: gradient by the sum that contains W s_{t-1}
    w_gradients: list[Array]  # (GH, H) each
    inputs: list[Array]  # (D,) each: x_t, one-hot without an embedding, or the state of the layer below
    input_deltas: list[Array]  # (GH,) each: gradient by the sum that contains U x_t; differs from deltas in the GRU
    output_error: Array | None  # (V,) gradient by the argument of softmax; None for other output layers

    def u_gradient(self, layer: int) -> Array:
        """Return the step's contribution (GH, D) to the gradient of a layer's U."""
        gradient: Array = np.outer(self.input_deltas[layer], self.inputs[layer])
        return gradient

    def v_gradient(self) -> Array | None:
        """Return the step's contribution (V, H) to the gradient of V; None if there is no such matrix."""
        return None if self.output_error is None else np.outer(self.output_error, self.step.hidden[0, 0])

    def u_norm(self, layer: int) -> float:
        """Return the norm of `u_gradient`."""
        return float(np.linalg.norm(self.input_deltas[layer]) * np.linalg.norm(self.inputs[layer]))

    def v_norm(self) -> float:
        """Return the norm of `v_gradient`, or 0 if there is none."""
        error = 0.0 if self.output_error is None else float(np.linalg.norm(self.output_error))
        return error * float(np.linalg.norm(self.step.hidden[0, 0]))


class Entry(NamedTuple):
    """The derivative by one entry of a layer's W, by the definition (expected) and by back-propagation (actual)."""

    layer: int
    place: tuple[int, int]
    expected: float
    actual: float


@dataclass(frozen=True)
class Backpropagation:
    """All steps, the sums of their gradients of W, and entries of these compared with the definition.

    rounding: Bound of the error of the numerical derivatives, because E has finite precision.
    """

    steps: list[StepBack]
    objective: float  # E
    w_gradients: list[Array]  # (GH, H) for each layer
    entries: list[Entry]
    rounding: float

    def u_total(self, layer: int) -> Array | None:
        """Return the gradient (GH, D) of a layer's U, summed over the steps; None if it exceeds LARGEST_SUM entries."""
        if self.steps[0].input_deltas[layer].size * self.steps[0].inputs[layer].size > LARGEST_SUM:
            return None
        deltas = np.array([step.input_deltas[layer] for step in self.steps])
        total: Array = deltas.T @ np.array([step.inputs[layer] for step in self.steps])
        return total

    def v_total(self) -> Array | None:
        """Return the gradient (V, H) of V, summed over the steps; None without V or above LARGEST_SUM entries."""
        error = self.steps[0].output_error
        if error is None or error.size * self.steps[0].step.hidden.size > LARGEST_SUM:
            return None
        errors = np.array([step.output_error for step in self.steps])
        total: Array = errors.T @ np.array([step.step.hidden[0, 0] for step in self.steps])
        return total

    @property
    def worst(self) -> float:
        """Largest difference of an entry, relative to the largest entry of its layer's gradient."""
        return max(abs(entry.expected - entry.actual) / self._scale(entry.layer) for entry in self.entries)

    def agrees(self, limit: float) -> bool:
        """Return whether all entries agree up to `limit` times their layer's largest gradient entry, plus rounding."""
        differences = ((abs(entry.expected - entry.actual), self._scale(entry.layer)) for entry in self.entries)
        return all(difference <= limit * scale + self.rounding for difference, scale in differences)

    def _scale(self, layer: int) -> float:
        return float(np.abs(self.w_gradients[layer]).max()) or 1.0

    def numerical(self, layer: int) -> Array | None:
        """Return the numerical gradient of a layer's W; None unless all entries were compared."""
        found = [entry for entry in self.entries if entry.layer == layer]
        if len(found) < self.w_gradients[layer].size:
            return None
        gradient = np.zeros_like(self.w_gradients[layer])
        for entry in found:
            gradient[entry.place] = entry.expected
        return gradient


def backpropagate(
    network: LayerStack,
    inputs: Array,
    targets: Array,
    rng: np.random.Generator,
    objective: str = "cross-entropy",
    last_only: bool = False,
) -> Backpropagation:
    """Back-propagate over inputs and targets (T,), from a zero state, in a float64 network.

    last_only: E is the loss of the last step only, as in the article's derivation.
    rng: Chooses the entries to compare if W has more than CHECKED_ENTRIES.
    """
    column, zero = inputs[:, None], network.zero_state(1)
    first = len(inputs) - 1 if last_only else 0

    def loss() -> float:
        hidden, _, _ = network.hidden(column, zero)
        return network.output.loss(network.params, hidden[first:, 0], targets[first:], objective, 1.0)[0].objective

    steps = unroll(network, column, zero)
    back: list[StepBack] = []
    carried = np.zeros_like(zero)
    for t in reversed(range(len(steps))):
        step = _step_back(network, steps[t], int(targets[t]), carried, objective, t >= first)
        back.append(step[0])
        carried = step[1]
    layers = range(network.config.num_layers)
    totals = [np.sum([step.w_gradients[layer] for step in back], axis=0) for layer in layers]
    most = _most_entries(network, len(steps))
    entries = [entry for layer in layers for entry in _compared(network, layer, totals[layer], loss, rng, most)]
    objective_value = loss()
    rounding = ROUNDINGS * float(np.spacing(objective_value)) / (STEPS[1] * _reach(network))
    return Backpropagation(back[::-1], objective_value, totals, entries, rounding)


def _step_back(
    network: LayerStack, step: Step, target: int, carried: Array, objective: str, counts: bool
) -> tuple[StepBack, Array]:
    """Compute the backward pass of a step, and the gradient by the state before it.

    carried: Gradient of E by the state after the step. counts: Whether the step's own loss is a part of E.
    """
    hidden = step.hidden[:, 0]
    loss, output_backprop = network.output.loss(network.params, hidden, np.array([target]), objective, 1.0)
    dhidden, output_grads = output_backprop()
    dhidden = dhidden[:, None] if counts else np.zeros_like(step.hidden)
    grads, before = step.backprop(dhidden, carried)
    layers = range(network.config.num_layers)
    deltas = [grads[f"rnn.bias_hh_l{layer}"] for layer in layers]
    w_gradients = [grads[f"rnn.weight_hh_l{layer}"] for layer in layers]
    output = np.exp(network.output.log_probabilities(network.params, hidden)[0])
    inputs = [input_vector(network, step, layer) for layer in layers]
    input_deltas = [grads[f"rnn.bias_ih_l{layer}"] for layer in layers]
    error = output_grads.get("output.bias") if output_matrix(network) is not None else None
    back = StepBack(
        *(step, target, output, loss.objective, loss.nats, deltas, w_gradients, inputs, input_deltas),
        error if counts or error is None else np.zeros_like(error),
    )
    return back, before


def _most_entries(network: LayerStack, steps: int) -> int:
    """Return the number of entries of each layer's W to compare; the longer a loss takes, the fewer."""
    looked_up = "embedding.weight" if network.config.embedding_size else "rnn.weight_ih_l0"
    multiplied = sum(array.size for name, array in network.params.items() if name != looked_up)
    every = LOSSES_PER_ENTRY * steps * multiplied * network.config.num_layers
    return max(FEWEST_ENTRIES, min(CHECKED_ENTRIES, int(MULTIPLICATIONS / every)))


def _reach(network: LayerStack) -> float:
    """Return the factor on STEPS for entries of W: the more units there are, the smaller is the effect of each."""
    return math.sqrt(network.config.hidden_size)


def _compared(
    network: LayerStack, layer: int, gradient: Array, loss: Callable[[], float], rng: np.random.Generator, most: int
) -> list[Entry]:
    W = network.params[f"rnn.weight_hh_l{layer}"]
    chosen = range(W.size) if W.size <= most else rng.choice(W.size, most, replace=False)
    found, reach = [], _reach(network)
    for flat in chosen:
        row, column = divmod(int(flat), W.shape[1])
        expected = central_difference(loss, W[row, column : column + 1], np.full(1, reach)) / reach
        found.append(Entry(layer, (row, column), expected, float(gradient[row, column])))
    return found
