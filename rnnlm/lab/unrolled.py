"""Unroll a network in time, step by step, with the numbers and the backward pass of each step.

Every step is a call of `Network.hidden` with a single input, so that the values are those of the network. Steps are
counted as in the article: from 1, with the initial state s_0 and x_1 = <s>.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import HiddenBackprop, LayerStack, NetworkConfig
from rnnlm.nn.numerics import Array

Stack = TypeVar("Stack", bound=LayerStack)


class Step(NamedTuple):
    """One step. States are (S, L, B, H), with S = 2 (h, c) for LSTMs; hidden (1, B, H) is the top layer's h."""

    inputs: Array  # (1, B) ids
    before: Array
    state: Array
    hidden: Array
    backprop: HiddenBackprop


@dataclass(frozen=True)
class Output:
    """The output o_t: the parts that sum to the logit of the right token, and the resulting probability.

    The parts are None if a logit is not such a sum, as in the adaptive softmax.
    """

    step: int  # t of o_t
    label: int  # id of the right token
    forward: float | None  # the label's row of V, times s
    backward: float | None  # the label's row of V', times s'; None also without a backward direction
    bias: float | None
    probability: float
    best: int
    best_probability: float


@dataclass(frozen=True)
class Unrolled:
    """A sentence from <s> to </s>, and the steps that read it. `backward` is in the order of the text."""

    ids: Array  # (n + 2,)
    forward: list[Step]
    backward: list[Step]
    outputs: list[Output]

    def first_step(self, direction: str) -> int:
        """Return t of the first entry of `forward` (direction "") or `backward` ("_reverse")."""
        return 3 if direction else 1


def in_float64(network: Stack) -> Stack:
    """Return a copy of a network with float64 parameters."""
    return type(network)(network.config, {name: array.astype(np.float64) for name, array in network.params.items()})


def unroll(
    network: LayerStack, inputs: Array, state: Array, keep: Array | None = None, direction: str = ""
) -> list[Step]:
    """Compute the steps on inputs (T, B), from a state (S, L, B, H); keep (T, B, 1): as for `Network`."""
    steps = []
    for t in range(len(inputs)):
        now = inputs[t : t + 1]
        hidden, after, backprop = network.hidden(now, state, None if keep is None else keep[t : t + 1], None, direction)
        steps.append(Step(now, state, after, hidden, backprop))
        state = after
    return steps


def unroll_sentence(network: LayerStack, ids: Array) -> Unrolled:
    """Compute the states and outputs of a network that reads a sentence (n + 2,), including <s> and </s>.

    A network of one direction reads x_1 to x_{n+1}, and o_t predicts x_{t+1}. A bidirectional one predicts x_t from
    s_{t-1} and s'_{t+1}, so it reads x_1 to x_n forwards and x_{n+2} to x_3 backwards.
    """
    zero, column = network.zero_state(1), ids[:, None]
    if not network.config.bidirectional:
        forward = unroll(network, column[:-1], zero)
        hidden = np.concatenate([step.hidden for step in forward])[:, 0]
        return Unrolled(ids, forward, [], _outputs(network, hidden, ids[1:], first=1))
    forward = unroll(network, column[:-2], zero)
    backward = unroll(network, column[:1:-1], zero, direction="_reverse")[::-1]
    hidden = np.concatenate(
        [np.concatenate([step.hidden for step in way])[:, 0] for way in (forward, backward)], axis=1
    )
    return Unrolled(ids, forward, backward, _outputs(network, hidden, ids[1:-1], first=2))


def _outputs(network: LayerStack, hidden: Array, labels: Array, first: int) -> list[Output]:
    """Compute the outputs of hidden states (n, H or 2H); `first`: t of the first one."""
    probabilities = np.exp(network.output.log_probabilities(network.params, hidden))
    H, V, bias = network.config.hidden_size, output_matrix(network), network.params.get("output.bias")
    found = []
    for place, label in enumerate(labels.tolist()):
        parts: tuple[Any, Any, Any] = (None, None, None)
        if V is not None and bias is not None:
            sums = [
                float(V[label, side : side + H] @ hidden[place, side : side + H]) for side in range(0, V.shape[1], H)
            ]
            parts = (sums[0], sums[1] if len(sums) > 1 else None, float(bias[label]))
        best = int(probabilities[place].argmax())
        of_label, of_best = float(probabilities[place, label]), float(probabilities[place, best])
        found.append(Output(first + place, label, *parts, of_label, best, of_best))
    return found


def output_matrix(network: LayerStack) -> Array | None:
    """Return the output matrix V (V, H), or [V V'] (V, 2H); None for an output layer without a single matrix."""
    if network.config.output != "softmax":
        return None
    return network.params["embedding.weight" if network.config.tied else "output.weight"]


class Sum(NamedTuple):
    """The terms of the argument of f, for all G gates: U x_t, W s_{t-1} (0 without W) and the bias, (GH,) each."""

    of_input: Array
    of_state: Array
    bias: Array


def input_vector(network: LayerStack, step: Step, layer: int) -> Array:
    """Return the vector that a layer (from 0) multiplies by U, of the first column: one-hot, embedding or h below."""
    if layer:
        below: Array = step.state[0, layer - 1, 0]
        return below
    token = int(step.inputs[0, 0])
    if network.config.embedding_size:
        row: Array = network.params["embedding.weight"][token]
        return row
    vector = np.zeros(network.config.vocabulary_size)
    vector[token] = 1
    return vector


def argument(network: LayerStack, steps: list[Step], number: int, layer: int, direction: str = "") -> Sum:
    """Return the argument of f in a layer (from 0) at a step (from 0, in the order of reading), of the first column."""
    params, step = network.params, steps[number]
    own = {part: params[f"rnn.{part}_l{layer}{direction}"] for part in CELLS[network.config.cell].parts}
    U, b_U = own["weight_ih"], own["bias_ih"]
    looked_up = not (layer or network.config.embedding_size)
    of_input = U[:, step.inputs[0, 0]] if looked_up else U @ input_vector(network, step, layer)
    if "weight_hh" not in own:
        return Sum(of_input, np.zeros_like(b_U), b_U)
    return Sum(of_input, own["weight_hh"] @ step.before[0, layer, 0], b_U + own["bias_hh"])


def slabs(config: NetworkConfig) -> list[str]:
    """Return the names of the H x H slabs of W: those of the gates, or "" for the basic cell, which has one slab."""
    return list(CELLS[config.cell].gate_names) or [""] * CELLS[config.cell].gates
