"""Recurrent cells: each a forward and a backward function on arrays, with the time loop inside.

The article writes the basic network as

    s_t = f(U x_t + W s_{t-1})        o_t = g(V s_t)

Here s is `h`, U is `weight_ih` (GH, D), W is `weight_hh` (GH, H), V is `output.weight` (V, H): PyTorch's names and
shapes, gate slabs stacked along the first axis. The backward network of a bidirectional model has U', W' under the
same names with `_reverse`, and V' is the second half of `output.weight`'s columns.

What the cells share is done once in `layers.Recurrent`: the product U x_t + b_ih for all steps before the loop, and
the weight gradients after it. A forward function therefore receives

    gates   (T, B, GH)  U x_t + b_ih, overwritten with the values of the gates
    weight  (GH, H)     weight_hh
    bias    (GH,)       bias_hh
    state   (S, B, H)   initial state: h, and for the LSTM also c
    keep    (T, B, 1)   0 where a column's state is reset before step t, else 1; None when there is no reset

and returns its outputs (T, B, H), the state that entered each step, final state (S, B, H), and what the backward
function needs. The error terms are the article's delta: delta_t = dE/da_t with a_t the argument of f, and

    delta_{t-1} = (W^T delta_t) * f'(a_{t-1})

A backward function receives dE/dh_t for every step and the gradient by the final state, and returns the gradients by
the gates' arguments on the input side and on the recurrent side (one array for RNN and LSTM), and by the initial state.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnlm.nn.numerics import ACTIVATIONS, Array, sigmoid, tanh


class Trace(NamedTuple):
    """What a forward pass leaves behind for its backward pass."""

    previous: Array  # (T, B, H) h_{t-1} as step t saw it, after resets
    weight: Array  # (GH, H)
    keep: Array | None  # (T, B, 1)
    own: tuple[Any, ...]  # the cell's own slabs


class Gradients(NamedTuple):
    """What a backward pass returns."""

    input_gates: Array  # (T, B, GH)
    hidden_gates: Array  # (T, B, GH)
    state: Array  # (S, B, H)


class Cell(NamedTuple):
    """A recurrent cell: its number of gate and state slabs and its pair of functions."""

    gates: int
    states: int
    forward: Callable[[Array, Array, Array, Array, Array | None, str], tuple[Array, Array, Trace]]
    backward: Callable[[Array, Array, Trace], Gradients]


def _entering(slab: Array, keep: Array | None) -> Array:
    """Array for the states that enter each step: the slab itself, shifted, unless resets change some of them."""
    return slab[:-1] if keep is None else np.empty_like(slab[:-1])


def rnn_forward(
    gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """Basic recurrent network: h_t = f(U x_t + b_ih + W h_{t-1} + b_hh)."""
    f, _ = ACTIVATIONS[activation]
    T, B, H = gates.shape
    h = np.empty((T + 1, B, H), dtype=gates.dtype)
    h[0] = state[0]
    previous = _entering(h, keep)
    transposed = np.ascontiguousarray(weight.T)  # h W^T runs a third faster on a contiguous operand
    gates += bias
    product = np.empty((B, H), dtype=gates.dtype)
    for t in range(T):
        if keep is not None:
            np.multiply(h[t], keep[t], out=previous[t])
        np.matmul(previous[t], transposed, out=product)
        np.add(gates[t], product, out=product)
        f(product, h[t + 1])
    return h[1:], h[-1:].copy(), Trace(previous, weight, keep, (h[1:], activation))


def rnn_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the basic network: delta_t = dE/dh_t * f'(a_t), dE/dh_{t-1} += W^T delta_t."""
    h, activation = trace.own
    _, derivative = ACTIVATIONS[activation]
    delta = np.empty_like(dh)
    carried = dstate[0].copy()  # dE/dh_t that comes back from step t + 1
    for t in reversed(range(len(dh))):
        np.add(dh[t], carried, out=carried)
        derivative(h[t], delta[t])
        np.multiply(delta[t], carried, out=delta[t])
        np.matmul(delta[t], trace.weight, out=carried)
        if trace.keep is not None:
            np.multiply(carried, trace.keep[t], out=carried)
    return Gradients(delta, delta, carried[None])


def lstm_forward(
    gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """LSTM (Hochreiter and Schmidhuber 1997, with forget gate: Gers et al. 2000), as in PyTorch.

    i, f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).
    """
    T, B, H = len(gates), gates.shape[1], gates.shape[2] // 4
    h = np.empty((T + 1, B, H), dtype=gates.dtype)
    c = np.empty_like(h)
    squashed = np.empty_like(h[1:])  # tanh(c_t)
    h[0], c[0] = state
    h_previous, c_previous = _entering(h, keep), _entering(c, keep)
    transposed = np.ascontiguousarray(weight.T)
    gates += bias
    product = np.empty((B, 4 * H), dtype=gates.dtype)
    scratch = np.empty((B, H), dtype=gates.dtype)
    for t in range(T):
        if keep is not None:
            np.multiply(h[t], keep[t], out=h_previous[t])
            np.multiply(c[t], keep[t], out=c_previous[t])
        a = gates[t]
        np.matmul(h_previous[t], transposed, out=product)
        np.add(a, product, out=a)
        i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
        sigmoid(a[:, : 2 * H], a[:, : 2 * H])
        tanh(g, g)
        sigmoid(o, o)
        np.multiply(f, c_previous[t], out=c[t + 1])  # c_t = f c_{t-1} + i g
        np.multiply(i, g, out=scratch)
        np.add(c[t + 1], scratch, out=c[t + 1])
        tanh(c[t + 1], squashed[t])
        np.multiply(o, squashed[t], out=h[t + 1])  # h_t = o tanh(c_t)
    final = np.stack([h[-1], c[-1]])
    return h[1:], final, Trace(h_previous, weight, keep, (gates, c_previous, squashed))


def lstm_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the LSTM.

    dc_t += dh_t o (1 - tanh(c_t)^2); each gate's delta is its upstream factor times the local derivative:
    i: dc g i(1-i); f: dc c_{t-1} f(1-f); g: dc i (1-g^2); o: dh tanh(c_t) o(1-o); dc_{t-1} = dc f.
    """
    gates, c_previous, squashed = trace.own
    T, B, H = dh.shape
    delta = np.empty_like(gates)
    carried, dc = dstate[0].copy(), dstate[1].copy()
    local = np.empty((B, 4 * H), dtype=dh.dtype)
    local_g = local[:, 2 * H : 3 * H]
    scratch = np.empty((B, H), dtype=dh.dtype)
    for t in reversed(range(T)):
        a, d = gates[t], delta[t]
        i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
        np.add(carried, dh[t], out=carried)
        np.multiply(carried, squashed[t], out=d[:, 3 * H :])
        np.square(squashed[t], out=scratch)  # dc += dh o (1 - tanh(c)^2)
        np.subtract(1, scratch, out=scratch)
        np.multiply(scratch, o, out=scratch)
        np.multiply(scratch, carried, out=scratch)
        np.add(dc, scratch, out=dc)
        np.multiply(dc, g, out=d[:, :H])
        np.multiply(dc, c_previous[t], out=d[:, H : 2 * H])
        np.multiply(dc, i, out=d[:, 2 * H : 3 * H])
        np.subtract(1, a, out=local)  # i(1-i), f(1-f), o(1-o) in one sweep, then 1 - g^2 in its slab
        np.multiply(local, a, out=local)
        np.square(g, out=local_g)
        np.subtract(1, local_g, out=local_g)
        np.multiply(d, local, out=d)
        np.multiply(dc, f, out=dc)
        np.matmul(d, trace.weight, out=carried)
        if trace.keep is not None:
            np.multiply(carried, trace.keep[t], out=carried)
            np.multiply(dc, trace.keep[t], out=dc)
    return Gradients(delta, delta, np.stack([carried, dc]))


def gru_forward(
    gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """GRU (Cho et al. 2014) in PyTorch's variant, the reset gate applied after the recurrent product.

    r, z = sigmoid(...); m = W_n h_{t-1} + b_hn; n = tanh(U_n x_t + b_in + r m); h_t = (1 - z) n + z h_{t-1}.
    """
    T, B, H = len(gates), gates.shape[1], gates.shape[2] // 3
    h = np.empty((T + 1, B, H), dtype=gates.dtype)
    h[0] = state[0]
    previous = _entering(h, keep)
    memory = np.empty_like(h[1:])  # m_t
    transposed = np.ascontiguousarray(weight.T)
    gates[:, :, : 2 * H] += bias[: 2 * H]
    product = np.empty((B, 3 * H), dtype=gates.dtype)
    for t in range(T):
        if keep is not None:
            np.multiply(h[t], keep[t], out=previous[t])
        a, m = gates[t], memory[t]
        rz, z, n = a[:, : 2 * H], a[:, H : 2 * H], a[:, 2 * H :]
        np.matmul(previous[t], transposed, out=product)
        np.add(rz, product[:, : 2 * H], out=rz)
        sigmoid(rz, rz)
        np.add(product[:, 2 * H :], bias[2 * H :], out=m)
        np.multiply(a[:, :H], m, out=h[t + 1])  # n = tanh(a_n + r m); h[t + 1] is free to hold the product
        np.add(n, h[t + 1], out=n)
        tanh(n, n)
        np.subtract(previous[t], n, out=h[t + 1])  # h_t = n + z (h_{t-1} - n)
        np.multiply(h[t + 1], z, out=h[t + 1])
        np.add(h[t + 1], n, out=h[t + 1])
    return h[1:], h[-1:].copy(), Trace(previous, weight, keep, (gates, memory))


def gru_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the GRU.

    dn = dh (1-z) (1-n^2); dz = dh (h_{t-1} - n) z(1-z); dr = dn m r(1-r); the recurrent side of n sees dn r.
    """
    gates, memory = trace.own
    T, B, H = dh.shape
    delta = np.empty_like(gates)
    recurrent = np.empty_like(gates)
    carried = dstate[0].copy()
    scratch = np.empty((B, 2 * H), dtype=dh.dtype)
    half = scratch[:, :H]
    for t in reversed(range(T)):
        a, d, q = gates[t], delta[t], recurrent[t]
        r, z, n = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
        dr, dz, dn = d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
        np.add(carried, dh[t], out=carried)
        np.subtract(trace.previous[t], n, out=dz)
        np.multiply(dz, carried, out=dz)
        np.square(n, out=dn)  # dn = dh (1 - z) (1 - n^2)
        np.subtract(1, dn, out=dn)
        np.multiply(dn, carried, out=dn)
        np.subtract(1, z, out=half)
        np.multiply(dn, half, out=dn)
        np.multiply(dn, memory[t], out=dr)
        rz = a[:, : 2 * H]
        np.subtract(1, rz, out=scratch)  # r(1-r) and z(1-z) in one sweep
        np.multiply(scratch, rz, out=scratch)
        np.multiply(d[:, : 2 * H], scratch, out=d[:, : 2 * H])
        np.copyto(q[:, : 2 * H], d[:, : 2 * H])
        np.multiply(dn, r, out=q[:, 2 * H :])
        np.multiply(carried, z, out=half)  # dh_{t-1} = dh z + W^T delta
        np.matmul(q, trace.weight, out=carried)
        np.add(carried, half, out=carried)
        if trace.keep is not None:
            np.multiply(carried, trace.keep[t], out=carried)
    return Gradients(delta, recurrent, carried[None])


CELLS: dict[str, Cell] = {
    "rnn": Cell(1, 1, rnn_forward, rnn_backward),
    "gru": Cell(3, 1, gru_forward, gru_backward),
    "lstm": Cell(4, 2, lstm_forward, lstm_backward),
}
