"""Recurrent cells: each a forward and a backward function on arrays, with the time loop inside.

The article writes the basic network as

    s_t = f(U x_t + W s_{t-1})        o_t = g(V s_t)

Here s is `h`, U is `weight_ih` (GH, D), W is `weight_hh` (GH, H), V is `output.weight` (V, H): PyTorch's names and
shapes, gate slabs stacked along the first axis. The backward network of a bidirectional model has U', W' under the
same names with `_reverse`, and V' is the second half of `output.weight`'s columns.

What the cells share is done once in `layers.recurrent`: the product U x_t for all steps before the loop, and the
weight gradients after it. The elementwise work of a step is in `gates`, in NumPy and compiled. A forward function
receives

    gates             (T, B, GH)  U x_t, overwritten
    weight            (GH, H)     weight_hh
    bias_ih, bias_hh  (GH,)
    state             (S, B, H)   initial state: h, and for LSTMs also c
    keep              (T, B, 1)   0 where a column's state is reset before step t, else 1; None when there is no reset

and returns its outputs (T, B, H), the final state (S, B, H), and what the backward function needs. The error terms are
the article's delta: delta_t = dE/da_t with a_t the argument of f, and

    delta_{t-1} = (W^T delta_t) * f'(a_{t-1})

A backward function receives dE/dh_t for every step and the gradient by the final state, and returns the gradients by
the gates' arguments on the input side and on the recurrent side (one array but for the GRU), and by the initial state.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rnnlm.nn.gates import (
    cifg_step,
    cifg_step_backward,
    gru_step,
    gru_step_backward,
    lstm_step,
    lstm_step_backward,
    rnn_step,
    rnn_step_backward,
)
from rnnlm.nn.kernels import Function, fastest
from rnnlm.nn.numerics import Array

COMPILED_ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity")


class Trace(NamedTuple):
    """What a forward pass leaves behind for its backward pass."""

    h: Array  # (T + 1, B, H) states, slot 0 is the initial one
    weight: Array  # (GH, H)
    keep: Array | None  # (T, B, 1)
    own: tuple[Any, ...]  # the cell's own slabs

    def previous(self) -> Array:
        """h_{t-1} as step t saw it, after resets, (T, B, H)."""
        return self.h[:-1] if self.keep is None else self.h[:-1] * self.keep


class Gradients(NamedTuple):
    """What a backward pass returns."""

    input_gates: Array  # (T, B, GH)
    hidden_gates: Array  # (T, B, GH)
    state: Array  # (S, B, H)


class Cell(NamedTuple):
    """A recurrent cell: its number of gate and state slabs, the gates' names in order, and its pair of functions.

    The basic cell has one slab, and no gate. memory_gates: the gates that decide how long a unit remembers, with 1
    where an open gate keeps the state and -1 where it lets new input in.
    """

    gates: int
    states: int
    gate_names: tuple[str, ...]
    forward: Callable[[Array, Array, Array, Array, Array, Array | None, str], tuple[Array, Array, Trace]]
    backward: Callable[[Array, Array, Trace], Gradients]
    memory_gates: Mapping[str, int] = MappingProxyType({})


def _first_state(T: int, state: Array) -> Array:
    """Slab (T + 1, B, H) whose slot 0 is the initial state; the rest is still to be computed."""
    slab = np.empty((T + 1, *state.shape), dtype=state.dtype)
    slab[0] = state
    return slab


def _entering(gradient: Array, keep: Array | None) -> Array:
    """Gradient by the initial state, of the gradient by what entered step 0 after its resets."""
    return gradient if keep is None else gradient * keep[0]


def _of_activation(step: Function, dtype: Any, activation: str) -> Function:
    """The fastest form of a step of the basic cell: not every activation is compiled."""
    return fastest(step, dtype) if activation in COMPILED_ACTIVATIONS else step


def rnn_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """Basic recurrent network: h_t = f(U x_t + b_ih + W h_{t-1} + b_hh)."""
    step = _of_activation(rnn_step, gates.dtype, activation)
    T, B, H = gates.shape
    h = _first_state(T, state[0])
    transposed = np.ascontiguousarray(weight.T)  # h W^T runs a third faster on a contiguous operand
    bias = bias_ih + bias_hh
    product = np.empty((B, H), dtype=gates.dtype)
    for t in range(T):
        np.matmul(h[t], transposed, out=product)
        step(t, activation, gates, product, keep, bias, h)
    return h[1:], h[-1:].copy(), Trace(h, weight, keep, (activation,))


def rnn_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the basic network: delta_t = dE/dh_t * f'(a_t), dE/dh_{t-1} += W^T delta_t."""
    (activation,) = trace.own
    step = _of_activation(rnn_step_backward, dh.dtype, activation)
    delta = np.empty_like(dh)
    carried = dstate[0].copy()  # dE/dh_t that comes back from step t + 1
    for t in reversed(range(len(dh))):
        step(t, activation, dh, carried, trace.keep, trace.h, delta)
        np.matmul(delta[t], trace.weight, out=carried)
    return Gradients(delta, delta, _entering(carried[None], trace.keep))


def lstm_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """LSTM (Hochreiter and Schmidhuber 1997, with forget gate: Gers et al. 2000), as in PyTorch.

    i, f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).
    """
    return _memory_forward(lstm_step, gates, weight, bias_ih + bias_hh, state, keep)


def lstm_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the LSTM.

    dc_t += dh_t o (1 - tanh(c_t)^2); each gate's delta is its upstream factor times the local derivative:
    i: dc g i(1-i); f: dc c_{t-1} f(1-f); g: dc i (1-g^2); o: dh tanh(c_t) o(1-o); dc_{t-1} = dc f.
    """
    return _memory_backward(lstm_step_backward, dh, dstate, trace)


def cifg_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """LSTM with coupled input and forget gate (Greff et al. 2017): what is forgotten makes room for what is new.

    f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + (1 - f) g; h_t = o tanh(c_t). The LSTM whose input gate has
    the weights of the forget gate with the other sign, for three quarters of its work.
    """
    return _memory_forward(cifg_step, gates, weight, bias_ih + bias_hh, state, keep)


def cifg_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the LSTM with coupled gates.

    dc_t and o as in the LSTM; f: dc (c_{t-1} - g) f(1-f); g: dc (1-f) (1-g^2); dc_{t-1} = dc f.
    """
    return _memory_backward(cifg_step_backward, dh, dstate, trace)


def _memory_forward(
    step: Function, gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None
) -> tuple[Array, Array, Trace]:
    """The time loop of the cells whose state is h and c."""
    step = fastest(step, gates.dtype)
    T = len(gates)
    h, c = _first_state(T, state[0]), _first_state(T, state[1])
    squashed = np.empty_like(h[1:])  # tanh(c_t)
    transposed = np.ascontiguousarray(weight.T)
    product = np.empty_like(gates[0])
    for t in range(T):
        np.matmul(h[t], transposed, out=product)
        step(t, gates, product, keep, bias, h, c, squashed)
    return h[1:], np.stack([h[-1], c[-1]]), Trace(h, weight, keep, (gates, c, squashed))


def _memory_backward(step: Function, dh: Array, dstate: Array, trace: Trace) -> Gradients:
    gates, c, squashed = trace.own
    step = fastest(step, dh.dtype)
    delta = np.empty_like(gates)
    carried, dc = dstate[0].copy(), dstate[1].copy()
    for t in reversed(range(len(dh))):
        step(t, dh, carried, trace.keep, gates, c, squashed, dc, delta)
        np.matmul(delta[t], trace.weight, out=carried)
    return Gradients(delta, delta, _entering(np.stack([carried, dc]), trace.keep))


def gru_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """GRU (Cho et al. 2014) in PyTorch's variant, the reset gate applied after the recurrent product.

    r, z = sigmoid(...); m = W_n h_{t-1} + b_hn; n = tanh(U_n x_t + b_in + r m); h_t = (1 - z) n + z h_{t-1}.
    """
    step = fastest(gru_step, gates.dtype)
    T, H = len(gates), state.shape[2]
    h = _first_state(T, state[0])
    memory = np.empty_like(h[1:])  # m_t
    transposed = np.ascontiguousarray(weight.T)
    bias = np.concatenate([(bias_ih + bias_hh)[: 2 * H], bias_ih[2 * H :], bias_hh[2 * H :]])
    product = np.empty_like(gates[0])
    for t in range(T):
        np.matmul(h[t], transposed, out=product)
        step(t, gates, product, keep, bias, h, memory)
    return h[1:], h[-1:].copy(), Trace(h, weight, keep, (gates, memory))


def gru_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the GRU.

    dn = dh (1-z) (1-n^2); dz = dh (h_{t-1} - n) z(1-z); dr = dn m r(1-r); the recurrent side of n sees dn r;
    dh_{t-1} = dh z + W^T delta.
    """
    gates, memory = trace.own
    step = fastest(gru_step_backward, dh.dtype)
    delta, recurrent = np.empty_like(gates), np.empty_like(gates)
    carried = dstate[0].copy()
    direct = np.zeros_like(carried)  # dh z, which goes past the product
    for t in reversed(range(len(dh))):
        step(t, dh, carried, trace.keep, gates, trace.h, memory, direct, delta, recurrent)
        np.matmul(recurrent[t], trace.weight, out=carried)
    np.add(carried, direct, out=carried)
    return Gradients(delta, recurrent, _entering(carried[None], trace.keep))


CELLS: dict[str, Cell] = {
    "rnn": Cell(1, 1, (), rnn_forward, rnn_backward),
    "gru": Cell(3, 1, ("r", "z", "n"), gru_forward, gru_backward, {"z": 1}),
    "lstm": Cell(4, 2, ("i", "f", "g", "o"), lstm_forward, lstm_backward, {"f": 1, "i": -1}),
    "cifg": Cell(3, 2, ("f", "g", "o"), cifg_forward, cifg_backward, {"f": 1}),
}
