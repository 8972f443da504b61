"""Minimal GRU: gate and candidate are functions of the input alone, so there is no recurrent matrix W.

    z = sigmoid(U_z x_t + b_z)        g = tanh(U_g x_t + b_g)        h_t = (1 - z) h_{t-1} + z g

It is the minGRU of Feng et al. 2024, "Were RNNs All We Needed?": z and the candidate do not depend on h_{t-1}, and
there is no reset gate. Their candidate is linear (in log space, positive). Here tanh bounds it as in the other cells,
so that the state stays between -1 and 1 however long the text. They use a parallel scan over time. Here the gates of
all steps are computed at once, and the loop, which has no matrix product, runs step by step.
"""

import numpy as np

from rnnlm.nn.cells.loop import Cell, Gradients, OnnxOperator, Trace, first_state
from rnnlm.nn.numerics import Array, sigmoid, tanh


def mingru_step(t: int, kept: Array, taken: Array, h: Array) -> None:
    """h_t = k h_{t-1} + u. kept: k = 1 - z, or 0 where the state is reset; taken: u = z g; both (T, B, H)."""
    np.multiply(kept[t], h[t], out=h[t + 1])
    np.add(h[t + 1], taken[t], out=h[t + 1])


def mingru_step_backward(t: int, kept: Array, carried: Array, dh: Array) -> None:
    """Add carried (B, H) to dh[t], which completes dE/dh_t, and overwrite carried with k dE/dh_t for step t - 1."""
    np.add(dh[t], carried, out=dh[t])
    np.multiply(dh[t], kept[t], out=carried)


def mingru_forward(
    gates: Array, weight: None, bias_ih: Array, bias_hh: None, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """z = sigmoid(...), g = tanh(...) of the input; h_t = (1 - z) h_{t-1} + z g."""
    T, H = len(gates), state.shape[2]
    z, g = gates[:, :, :H], gates[:, :, H:]
    np.add(gates, bias_ih, out=gates)
    sigmoid(z, z)
    tanh(g, g)
    kept = 1 - z
    if keep is not None:
        np.multiply(kept, keep, out=kept)
    taken, h = z * g, first_state(T, state[0])
    for t in range(T):
        mingru_step(t, kept, taken, h)
    return h[1:], h[-1:].copy(), Trace(h, None, keep, (gates, kept))


def mingru_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass: dz = dh (g - h_{t-1}) z(1-z); dg = dh z (1-g^2); dh_{t-1} = dh (1 - z)."""
    gates, kept = trace.own
    H = dh.shape[2]
    z, g = gates[:, :, :H], gates[:, :, H:]
    whole, carried = dh.copy(), dstate[0].copy()
    for t in reversed(range(len(dh))):
        mingru_step_backward(t, kept, carried, whole)
    delta = np.empty_like(gates)
    dz, dg = delta[:, :, :H], delta[:, :, H:]
    np.multiply(whole, z, out=dg)
    np.subtract(g, trace.previous(), out=dz)
    np.multiply(dz, dg, out=dz)
    np.multiply(dz, 1 - z, out=dz)
    np.multiply(dg, 1 - np.square(g), out=dg)
    return Gradients(delta, None, carried[None])


MINGRU = Cell(
    mingru_forward,
    mingru_backward,
    gate_names=("z", "g"),
    recurrent=False,
    memory_gates={"z": -1},
    onnx=OnnxOperator("GRU", ("-z", "0", "g")),  # in ONNX, z keeps the state; its recurrent matrix R is zero here
)
