"""LSTM (Hochreiter and Schmidhuber 1997, with forget gate: Gers et al. 2000), as in PyTorch."""

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


def lstm_step(
    t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, c: Array, tanh_c: Array
) -> None:
    """i, f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    Writes tanh(c_t) to tanh_c[t], with tanh_c (T, B, H), and applies resets to c_{t-1} in place.
    """
    H = h.shape[2]
    a, before, now = gates[t], c[t], c[t + 1]
    i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    memory_arguments(t, a, product, keep, bias, before)
    sigmoid(a[:, : 2 * H], a[:, : 2 * H])
    tanh(g, g)
    sigmoid(o, o)
    np.multiply(f, before, out=now)  # c_t = f c_{t-1} + i g
    np.multiply(i, g, out=h[t + 1])
    np.add(now, h[t + 1], out=now)
    tanh(now, tanh_c[t])
    np.multiply(o, tanh_c[t], out=h[t + 1])  # h_t = o tanh(c_t)


def lstm_step_backward(
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
    """dc_t += dh o (1 - tanh(c_t)^2); delta = dc g i(1-i), dc c_{t-1} f(1-f), dc i (1-g^2), dh tanh(c_t) o(1-o).

    dc (B, H) is dE/dc_t from step t + 1 and is overwritten with dE/dc_{t-1}.
    """
    H = dh.shape[2]
    a, d, s = gates[t], delta[t], tanh_c[t]
    i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    di, df, dg, do = d[:, :H], d[:, H : 2 * H], d[:, 2 * H : 3 * H], d[:, 3 * H :]
    arriving(t, dh, carried, keep)
    reaching_memory(t, carried, keep, o, s, dc, dg)
    np.subtract(1, a, out=d)  # i(1-i), f(1-f), o(1-o) in one sweep, then 1 - g^2 in its slab
    np.multiply(d, a, out=d)
    np.square(g, out=dg)
    np.subtract(1, dg, out=dg)
    np.multiply(di, g, out=di)
    np.multiply(df, c[t], out=df)
    np.multiply(dg, i, out=dg)
    for slab in (di, df, dg):
        np.multiply(slab, dc, out=slab)
    np.multiply(do, s, out=do)
    np.multiply(do, carried, out=do)
    np.multiply(dc, f, out=dc)


def lstm_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """i, f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)."""
    return memory_forward(lstm_step, gates, weight, bias_ih + bias_hh, state, keep)


def lstm_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the LSTM.

    dc_t += dh_t o (1 - tanh(c_t)^2); the delta of each gate is the gradient of its value times its derivative:
    i: dc g i(1-i); f: dc c_{t-1} f(1-f); g: dc i (1-g^2); o: dh tanh(c_t) o(1-o); dc_{t-1} = dc f.
    """
    return memory_backward(lstm_step_backward, dh, dstate, trace)


LSTM = Cell(
    lstm_forward,
    lstm_backward,
    gate_names=("i", "f", "g", "o"),
    states=2,
    memory_gates={"f": 1, "i": -1},
    torch="LSTM",
    onnx=OnnxOperator("LSTM", ("i", "o", "f", "g")),
    memory_learning_rate=2e-2,
)
