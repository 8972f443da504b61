"""GRU (Cho et al. 2014) in PyTorch's variant, which applies the reset gate after the recurrent product."""

import numpy as np

from rnnlm.nn.cells.loop import Cell, Gradients, OnnxOperator, Trace, arriving, entering, first_state, run, run_back
from rnnlm.nn.numerics import Array, sigmoid, tanh


def gru_step(t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, memory: Array) -> None:
    """r, z = sigmoid(...); m = W_n h_{t-1} + b_hn; n = tanh(U_n x_t + b_in + r m); h_t = n + z (h_{t-1} - n).

    Writes m to memory[t], with memory (T, B, H).
    """
    H = h.shape[2]
    a, m, now = gates[t], memory[t], h[t + 1]
    rz, r, z, n = a[:, : 2 * H], a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    if keep is not None:
        np.multiply(product, keep[t], out=product)
    np.add(product[:, 2 * H :], bias[3 * H :], out=m)
    np.add(a, bias[: 3 * H], out=a)
    np.add(rz, product[:, : 2 * H], out=rz)
    sigmoid(rz, rz)
    np.multiply(r, m, out=now)  # n = tanh(a_n + r m)
    np.add(n, now, out=n)
    tanh(n, n)
    _minus_candidate(t, h, keep, n, now)  # h_t = n + z (h_{t-1} - n)
    np.multiply(now, z, out=now)
    np.add(now, n, out=now)


def gru_step_backward(
    t: int,
    dh: Array,
    carried: Array,
    keep: Array | None,
    gates: Array,
    h: Array,
    memory: Array,
    direct: Array,
    delta: Array,
    recurrent: Array,
) -> None:
    """dn = dh (1-z) (1-n^2); dz = dh (h_{t-1} - n) z(1-z); dr = dn m r(1-r); the recurrent side of n sees dn r.

    direct (B, H) is the part of dE/dh_t that step t + 1 passes on through its gate z and not through W. It is
    overwritten with dh z, the same part for step t - 1. delta and recurrent (T, B, 3H) are the gradients of the gates'
    arguments on the input side and on the recurrent side.
    """
    H = dh.shape[2]
    a, d, q = gates[t], delta[t], recurrent[t]
    rz, r, z, n = a[:, : 2 * H], a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    drz, dr, dz, dn = d[:, : 2 * H], d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
    np.add(carried, direct, out=carried)
    arriving(t, dh, carried, keep)
    np.multiply(carried, z, out=direct)  # dh z, which bypasses the product with W
    np.square(n, out=dn)  # dn = dh (1 - z) (1 - n^2)
    np.subtract(1, dn, out=dn)
    np.subtract(carried, direct, out=dz)  # dh (1 - z)
    np.multiply(dn, dz, out=dn)
    np.subtract(1, rz, out=drz)  # r(1-r) and z(1-z) in one sweep
    np.multiply(drz, rz, out=drz)
    np.multiply(dr, dn, out=dr)
    np.multiply(dr, memory[t], out=dr)
    np.multiply(dz, carried, out=dz)
    _minus_candidate(t, h, keep, n, carried)
    np.multiply(dz, carried, out=dz)
    np.copyto(q[:, : 2 * H], drz)
    np.multiply(dn, r, out=q[:, 2 * H :])


def _minus_candidate(t: int, h: Array, keep: Array | None, n: Array, out: Array) -> None:
    """Write h_{t-1} - n to `out`, with h_{t-1} after a reset."""
    if keep is None:
        np.subtract(h[t], n, out=out)
    else:
        np.multiply(h[t], keep[t], out=out)
        np.subtract(out, n, out=out)


def gru_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """r, z = sigmoid(...); m = W_n h_{t-1} + b_hn; n = tanh(U_n x_t + b_in + r m); h_t = (1 - z) n + z h_{t-1}."""
    H, h = state.shape[2], first_state(len(gates), state[0])
    memory = np.empty_like(h[1:])  # m_t
    bias = np.concatenate([(bias_ih + bias_hh)[: 2 * H], bias_ih[2 * H :], bias_hh[2 * H :]])
    run(gru_step, h, weight, gates, keep, bias, h, memory)
    return h[1:], h[-1:].copy(), Trace(h, weight, keep, (gates, memory))


def gru_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the GRU.

    dn = dh (1-z) (1-n^2); dz = dh (h_{t-1} - n) z(1-z); dr = dn m r(1-r); the recurrent side of n sees dn r;
    dh_{t-1} = dh z + W^T delta.
    """
    gates, memory = trace.own
    delta, recurrent = np.empty_like(gates), np.empty_like(gates)
    carried = dstate[0].copy()
    direct = np.zeros_like(carried)  # dh z, which bypasses the product with W
    run_back(
        gru_step_backward,
        dh,
        carried,
        trace.weight,
        recurrent,
        trace.keep,
        gates,
        trace.h,
        memory,
        direct,
        delta,
        recurrent,
    )
    np.add(carried, direct, out=carried)
    return Gradients(delta, recurrent, entering(carried[None], trace.keep))


GRU = Cell(
    gru_forward,
    gru_backward,
    gate_names=("r", "z", "n"),
    memory_gates={"z": 1},
    torch="GRU",
    onnx=OnnxOperator("GRU", ("z", "r", "n"), {"linear_before_reset": 1}),
    memory_learning_rate=1e-2,
)
