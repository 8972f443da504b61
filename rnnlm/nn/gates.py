"""The elementwise work of one time step of each cell, forward and backward, in few and large in-place ufunc calls.

Each function has a compiled twin (see `kernels`). They write in place, allocate nothing but a few numbers, and take
whole slabs and the step t, with G the number of gates:

    gates     (T, B, GH)     U x_t, overwritten with the values of the gates (the basic cell leaves it alone)
    product   (B, GH)        W h_{t-1}, may be overwritten
    keep      (T, B, 1)      0 where a column's state is reset before a step, else 1; None when there is no reset
    bias      (GH,)          b_ih + b_hh; of the GRU (4H,): r, z, and n on the input side and on the other
    h, c      (T + 1, B, H)  slot 0 is the initial state, slot t + 1 what step t makes

A reset acts on what enters a step: W (0 h) = 0 W h, so the product is multiplied by `keep` instead of the state. The
backward functions receive

    dh        (T, B, H)      dE/dh_t from above
    carried   (B, H)         dE/dh_t from the step after, whose `keep` still has to act on it; may be overwritten

and write `delta` (T, B, GH), the gradients by the arguments of the gates. The formulas are derived in `cells`.
"""

import numpy as np

from rnnlm.nn.numerics import ACTIVATIONS, Array, sigmoid, tanh


def rnn_step(t: int, activation: str, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array) -> None:
    """h_t = f(U x_t + W h_{t-1} + b)."""
    if keep is not None:
        np.multiply(product, keep[t], out=product)
    np.add(product, gates[t], out=product)
    np.add(product, bias, out=product)
    ACTIVATIONS[activation][0](product, h[t + 1])


def rnn_step_backward(
    t: int, activation: str, dh: Array, carried: Array, keep: Array | None, h: Array, delta: Array
) -> None:
    """delta_t = dE/dh_t f'(a_t)."""
    _arriving(t, dh, carried, keep)
    ACTIVATIONS[activation][1](h[t + 1], delta[t])
    np.multiply(delta[t], carried, out=delta[t])


def lstm_step(
    t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, c: Array, squashed: Array
) -> None:
    """i, f, o = sigmoid(...), g = tanh(...); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    squashed (T, B, H) becomes tanh(c_t); c_{t-1} becomes what entered the step.
    """
    H = h.shape[2]
    a, before, now = gates[t], c[t], c[t + 1]
    i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    _arguments(t, a, product, keep, bias, before)
    sigmoid(a[:, : 2 * H], a[:, : 2 * H])
    tanh(g, g)
    sigmoid(o, o)
    np.multiply(f, before, out=now)  # c_t = f c_{t-1} + i g
    np.multiply(i, g, out=h[t + 1])
    np.add(now, h[t + 1], out=now)
    tanh(now, squashed[t])
    np.multiply(o, squashed[t], out=h[t + 1])  # h_t = o tanh(c_t)


def lstm_step_backward(
    t: int,
    dh: Array,
    carried: Array,
    keep: Array | None,
    gates: Array,
    c: Array,
    squashed: Array,
    dc: Array,
    delta: Array,
) -> None:
    """dc_t += dh o (1 - tanh(c_t)^2); delta = dc g i(1-i), dc c_{t-1} f(1-f), dc i (1-g^2), dh tanh(c_t) o(1-o).

    dc (B, H) comes in as dE/dc_t from the step after and goes out as dE/dc_{t-1}.
    """
    H = dh.shape[2]
    a, d, s = gates[t], delta[t], squashed[t]
    i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    di, df, dg, do = d[:, :H], d[:, H : 2 * H], d[:, 2 * H : 3 * H], d[:, 3 * H :]
    _arriving(t, dh, carried, keep)
    _reaching_memory(t, carried, keep, o, s, dc, dg)
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


def cifg_step(
    t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, c: Array, squashed: Array
) -> None:
    """f, o = sigmoid(...), g = tanh(...); c_t = g + f (c_{t-1} - g); h_t = o tanh(c_t).

    squashed (T, B, H) becomes tanh(c_t); c_{t-1} becomes what entered the step.
    """
    H = h.shape[2]
    a, before, now = gates[t], c[t], c[t + 1]
    f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    _arguments(t, a, product, keep, bias, before)
    sigmoid(f, f)
    tanh(g, g)
    sigmoid(o, o)
    np.subtract(before, g, out=now)  # c_t = g + f (c_{t-1} - g)
    np.multiply(now, f, out=now)
    np.add(now, g, out=now)
    tanh(now, squashed[t])
    np.multiply(o, squashed[t], out=h[t + 1])  # h_t = o tanh(c_t)


def cifg_step_backward(
    t: int,
    dh: Array,
    carried: Array,
    keep: Array | None,
    gates: Array,
    c: Array,
    squashed: Array,
    dc: Array,
    delta: Array,
) -> None:
    """dc_t += dh o (1 - tanh(c_t)^2); delta = dc (c_{t-1} - g) f(1-f), dc (1-f) (1-g^2), dh tanh(c_t) o(1-o).

    dc (B, H) comes in as dE/dc_t from the step after and goes out as dE/dc_{t-1}.
    """
    H = dh.shape[2]
    a, d, s = gates[t], delta[t], squashed[t]
    f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    df, dg, do = d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
    _arriving(t, dh, carried, keep)
    _reaching_memory(t, carried, keep, o, s, dc, dg)
    np.subtract(1, o, out=do)
    np.multiply(do, o, out=do)
    np.multiply(do, s, out=do)
    np.multiply(do, carried, out=do)
    np.multiply(dc, f, out=carried)  # dE/dc_{t-1}; dc less it is dc (1 - f)
    np.square(g, out=dg)
    np.subtract(1, dg, out=dg)
    np.subtract(dc, carried, out=dc)
    np.multiply(dg, dc, out=dg)
    np.subtract(c[t], g, out=df)
    np.multiply(df, dc, out=df)
    np.multiply(df, f, out=df)
    np.copyto(dc, carried)


def gru_step(t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, memory: Array) -> None:
    """r, z = sigmoid(...); m = W_n h_{t-1} + b_hn; n = tanh(U_n x_t + b_in + r m); h_t = n + z (h_{t-1} - n).

    memory (T, B, H) becomes m.
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

    direct (B, H) comes in as the part of dE/dh_t from the step after that went past its product, and goes out as dh z.
    delta is by the arguments on the input side, recurrent (T, B, 3H) by those on the other.
    """
    H = dh.shape[2]
    a, d, q = gates[t], delta[t], recurrent[t]
    rz, r, z, n = a[:, : 2 * H], a[:, :H], a[:, H : 2 * H], a[:, 2 * H :]
    drz, dr, dz, dn = d[:, : 2 * H], d[:, :H], d[:, H : 2 * H], d[:, 2 * H :]
    np.add(carried, direct, out=carried)
    _arriving(t, dh, carried, keep)
    np.multiply(carried, z, out=direct)  # what goes past the product
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


def _arguments(t: int, a: Array, product: Array, keep: Array | None, bias: Array, before: Array) -> None:
    """Make of `a` = U x_t the arguments of the gates, and of c_{t-1} what enters the step."""
    if keep is not None:
        np.multiply(product, keep[t], out=product)
        np.multiply(before, keep[t], out=before)
    np.add(a, product, out=a)
    np.add(a, bias, out=a)


def _reaching_memory(t: int, carried: Array, keep: Array | None, o: Array, s: Array, dc: Array, scratch: Array) -> None:
    """Make of `dc` all of dE/dc_t, given all of dE/dh_t: dc += dh o (1 - s^2) with s = tanh(c_t)."""
    _kept(t, dc, keep)
    np.square(s, out=scratch)
    np.subtract(1, scratch, out=scratch)
    np.multiply(scratch, o, out=scratch)
    np.multiply(scratch, carried, out=scratch)
    np.add(dc, scratch, out=dc)


def _arriving(t: int, dh: Array, carried: Array, keep: Array | None) -> None:
    """Make of `carried` all of dE/dh_t: what comes from the step after, unless it began anew, and from above."""
    _kept(t, carried, keep)
    np.add(carried, dh[t], out=carried)


def _kept(t: int, carried: Array, keep: Array | None) -> None:
    if keep is not None and t + 1 < len(keep):
        np.multiply(carried, keep[t + 1], out=carried)


def _minus_candidate(t: int, h: Array, keep: Array | None, n: Array, out: Array) -> None:
    """h_{t-1} - n, with the state that entered the step."""
    if keep is None:
        np.subtract(h[t], n, out=out)
    else:
        np.multiply(h[t], keep[t], out=out)
        np.subtract(out, n, out=out)
