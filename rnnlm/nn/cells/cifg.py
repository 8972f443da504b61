"""LSTM with coupled input and forget gate, i = 1 - f (Greff et al. 2017).

It equals an LSTM whose input gate has the negated weights of the forget gate, at three quarters of the cost.
"""

import numpy as np

from rnnlm.nn.cells.loop import (
    Cell,
    Gradients,
    OnnxOperator,
    Trace,
    arriving,
    memory_arguments,
    memory_backward,
    memory_forward,
    reaching_memory,
)
from rnnlm.nn.numerics import Array, sigmoid, tanh


def cifg_step(
    t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, c: Array, tanh_c: Array
) -> None:
    """f, o = sigmoid(...), g = tanh(...); c_t = g + f (c_{t-1} - g); h_t = o tanh(c_t).

    Writes tanh(c_t) to tanh_c[t], with tanh_c (T, B, H), and applies resets to c_{t-1} in place.
    """
    H = h.shape[2]
    a, before, now = gates[t], c[t], c[t + 1]
    f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    memory_arguments(t, a, product, keep, bias, before)
    sigmoid(f, f)
    tanh(g, g)
    sigmoid(o, o)
    np.subtract(before, g, out=now)  # c_t = g + f (c_{t-1} - g)
    np.multiply(now, f, out=now)
    np.add(now, g, out=now)
    tanh(now, tanh_c[t])
    np.multiply(o, tanh_c[t], out=h[t + 1])  # h_t = o tanh(c_t)


def cifg_step_backward(
    t: int,
    dh: Array,
    carried: Array,
    keep: Array | None,
    gates: Array,
    c: Array,
    tanh_c: Array,
    dc: Array,
    delta: Array,
) -> None:
    """dc_t += dh o (1 - tanh(c_t)^2); delta = dc (c_{t-1} - g) f(1-f), dc (1-f) (1-g^2), dh tanh(c_t) o(1-o).

    dc (B, H) is dE/dc_t from step t + 1 and is overwritten with dE/dc_{t-1}.
    """
    H = dh.shape[2]
    a, d, s = gates[t], delta[t], tanh_c[t]
    f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    df, dg, do = d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
    arriving(t, dh, carried, keep)
    reaching_memory(t, carried, keep, o, s, dc, dg)
    np.subtract(1, o, out=do)
    np.multiply(do, o, out=do)
    np.multiply(do, s, out=do)
    np.multiply(do, carried, out=do)
    np.multiply(dc, f, out=carried)  # dE/dc_{t-1}; below, dc - carried is dc (1 - f)
    np.square(g, out=dg)
    np.subtract(1, dg, out=dg)
    np.subtract(dc, carried, out=dc)
    np.multiply(dg, dc, out=dg)
    np.subtract(c[t], g, out=df)
    np.multiply(df, dc, out=df)
    np.multiply(df, f, out=df)
    np.copyto(dc, carried)


def cifg_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + (1 - f) g; h_t = o tanh(c_t)."""
    return memory_forward(cifg_step, gates, weight, bias_ih + bias_hh, state, keep)


def cifg_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the LSTM with coupled gates.

    dc_t and o as in the LSTM; f: dc (c_{t-1} - g) f(1-f); g: dc (1-f) (1-g^2); dc_{t-1} = dc f.
    """
    return memory_backward(cifg_step_backward, dh, dstate, trace)


CIFG = Cell(
    cifg_forward,
    cifg_backward,
    gate_names=("f", "g", "o"),
    states=2,
    memory_gates={"f": 1},
    onnx=OnnxOperator("LSTM", ("-f", "o", "f", "g")),
)
