"""Recurrent cells that rnnlm does not have, for comparison with its own in `cells.py`.

    python benchmarks/new_cells.py        compares every gradient with finite differences

    block-lstm      The LSTM with a block-diagonal W: the units are split into HEADS groups, each of which reads its own
                    part of h_{t-1}, as in the sLSTM of xLSTM (Beck et al. 2024). It uses the LSTM's compiled loop.
    mlstm           The multiplicative LSTM (Krause et al. 2016): m_t = (U_m x_t) (W_m h_{t-1}) replaces h_{t-1}
                    in the gates. b_m is initialized to 1, so that m starts near W_m h_{t-1}.
    mogrifier       The Mogrifier LSTM (Melis et al. 2020): before each step, x and h scale each other in ROUNDS rounds,
                    x = 2 sigmoid(Q h) x, then h = 2 sigmoid(R x) h. U x cannot be computed for all steps at once.
    numpy-lstm      The LSTM of the package without its compiled loop, to measure the speed of that loop.

`install` adds them to the package's registry and replaces `nn.layers.recurrent` by `recurrent`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnlm.nn.network as network_module
from rnnlm import names
from rnnlm.nn import layers
from rnnlm.nn.cells import CELLS
from rnnlm.nn.cells.loop import Cell, Trace, memory_backward, memory_forward
from rnnlm.nn.cells.lstm import LSTM, lstm_backward, lstm_forward, lstm_step, lstm_step_backward
from rnnlm.nn.gradients import add_rows
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import sigmoid

Array = NDArray[Any]
HEADS = 4
ROUNDS = 5

# --- block-lstm ---------------------------------------------------------------------------------------------------


def heads_of(slabs: Array) -> list[Array]:
    """Split gate slabs (..., 4H) into HEADS arrays (..., 4H / HEADS), one for each head."""
    parts = slabs.reshape(*slabs.shape[:-1], 4, HEADS, -1)
    return [np.ascontiguousarray(parts[..., k, :]).reshape(*slabs.shape[:-1], -1) for k in range(HEADS)]


def joined(parts: list[Array]) -> Array:
    """Join the arrays that `heads_of` returns."""
    split = [part.reshape(*part.shape[:-1], 4, -1) for part in parts]
    return np.stack(split, axis=-2).reshape(*parts[0].shape[:-1], -1)


def block_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Any]:
    """Run the LSTM head by head; weight (4H, H / HEADS)."""
    own = zip(
        heads_of(gates),
        heads_of(weight.T),
        *(heads_of(bias) for bias in (bias_ih, bias_hh)),
        np.split(state, HEADS, axis=2),
        strict=True,
    )
    made = [
        lstm_forward(g, np.ascontiguousarray(w.T), b, d, np.ascontiguousarray(s), keep, activation)
        for g, w, b, d, s in own
    ]
    y, final, traces = zip(*made, strict=True)
    return np.concatenate(y, axis=2), np.concatenate(final, axis=2), traces


def block_backward(dh: Array, dstate: Array, traces: Any) -> tuple[Array, Array, Array]:
    """Return the gradients of the gates, of W and of the initial state."""
    own = zip(np.split(dh, HEADS, axis=2), np.split(dstate, HEADS, axis=2), traces, strict=True)
    found = [lstm_backward(np.ascontiguousarray(d), np.ascontiguousarray(s), trace) for d, s, trace in own]
    weights = []
    for gradients, trace in zip(found, traces, strict=True):
        delta = gradients.input_gates.reshape(-1, gradients.input_gates.shape[2])
        weights.append(trace.previous().reshape(len(delta), -1).T @ delta)
    by_state = np.concatenate([gradients.state for gradients in found], axis=2)
    return joined([gradients.input_gates for gradients in found]), joined(weights).T, by_state


# --- mlstm --------------------------------------------------------------------------------------------------------


def mlstm_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Any]:
    """Run the mLSTM.

    The slabs are the LSTM's i, f, g, o, which read m_t, and m, which reads h_{t-1}.
    """
    T, H = len(gates), state.shape[2]
    U_m = gates[:, :, 4 * H :] + bias_ih[4 * H :]
    W, W_m = weight[: 4 * H].T.copy(), weight[4 * H :].T.copy()
    bias = bias_ih[: 4 * H] + bias_hh[: 4 * H]
    a = np.ascontiguousarray(gates[:, :, : 4 * H])
    h, c = np.empty((T + 1, *state[0].shape), a.dtype), np.empty((T + 1, *state[0].shape), a.dtype)
    h[0], c[0] = state
    tanh_c, m, n = np.empty_like(U_m), np.empty_like(U_m), np.empty_like(U_m)
    for t in range(T):
        before = h[t] if keep is None else h[t] * keep[t]
        n[t] = before @ W_m + bias_hh[4 * H :]
        np.multiply(U_m[t], n[t], out=m[t])
        if keep is not None:
            c[t] *= keep[t]
        lstm_step(t, a, m[t] @ W, None, bias, h, c, tanh_c)
    return h[1:], np.stack([h[-1], c[-1]]), (a, weight, keep, h, c, tanh_c, m, n, U_m)


def mlstm_backward(dh: Array, dstate: Array, trace: Any) -> tuple[Array, Array, Array]:
    """Return the gradients as for the LSTM.

    dm = W^T delta; by U_m x: dm n; by n = W_m h_{t-1} + d_m: dm U_m x.
    """
    a, weight, keep, h, c, tanh_c, m, n, U_m = trace
    T, B, H = dh.shape
    delta, by_n = np.empty((T, B, 5 * H), a.dtype), np.empty_like(m)
    own = np.empty_like(a)
    carried, dc = dstate[0].copy(), dstate[1].copy()
    W, W_m = weight[: 4 * H], weight[4 * H :]
    for t in reversed(range(T)):
        lstm_step_backward(t, dh, carried, keep, a, c, tanh_c, dc, own)
        dm = own[t] @ W
        by_n[t] = dm * U_m[t]
        delta[t, :, : 4 * H], delta[t, :, 4 * H :] = own[t], dm * n[t]
        carried = by_n[t] @ W_m
    if keep is not None:
        carried, dc = carried * keep[0], dc * keep[0]
    before = h[:-1] if keep is None else h[:-1] * keep
    flat = own.reshape(-1, 4 * H)
    by_weight = np.concatenate([flat.T @ m.reshape(-1, H), by_n.reshape(-1, H).T @ before.reshape(-1, H)])
    by_bias = np.concatenate([flat.sum(axis=0), by_n.reshape(-1, H).sum(axis=0)])
    return delta, (by_weight, by_bias), np.stack([carried, dc])  # type: ignore[return-value]


# --- mogrifier ----------------------------------------------------------------------------------------------------


def mogrifier_layer(
    params: layers.Params, suffix: str, x: Array, state: Array, keep: Array | None
) -> tuple[Array, Array, Callable[..., Any]]:
    """Run a Mogrifier layer over inputs x (T, B, D).

    The matrices Q are `mogrify_x` (D, H) and R are `mogrify_h` (H, D), one for each round in turn.
    """
    U, W, b, d = (params[f"rnn.{part}_{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    scaling = [f"rnn.mogrify_{'hx'[i % 2]}{i}_{suffix}" for i in range(1, ROUNDS + 1)]
    T, (B, H) = len(x), state[0].shape
    bias, a = b + d, np.empty((T, B, 4 * H), x.dtype)
    h, c = np.empty((T + 1, B, H), x.dtype), np.empty((T + 1, B, H), x.dtype)
    h[0], c[0] = state
    tanh_c = np.empty_like(h[1:])
    rounds: list[list[tuple[Array, Array, Array]]] = []  # array that was read, array that was scaled, factor
    for t in range(T):
        xs, hs = x[t], h[t] if keep is None else h[t] * keep[t]
        made = []
        for i, name in enumerate(scaling, 1):
            read, scaled = (hs, xs) if i % 2 else (xs, hs)
            factor = read @ params[name].T
            sigmoid(factor, factor)
            factor *= 2
            made.append((read, scaled, factor))
            if i % 2:
                xs = scaled * factor
            else:
                hs = scaled * factor
        rounds.append([*made, (xs, hs, hs)])
        a[t] = xs @ U.T
        if keep is not None:
            c[t] *= keep[t]
        lstm_step(t, a, hs @ W.T, None, bias, h, c, tanh_c)

    def backprop(dy: Array, dstate: Array | None = None) -> tuple[Array, Array, dict[str, Array]]:
        grads = {name: np.zeros_like(params[name]) for name in scaling}
        delta, dx = np.empty_like(a), np.empty_like(x)
        carried, dc = np.zeros((2, B, H), x.dtype) if dstate is None else dstate.copy()
        for t in reversed(range(T)):
            lstm_step_backward(t, dy, carried, keep, a, c, tanh_c, dc, delta)
            dxs, dhs = delta[t] @ U, delta[t] @ W
            for i in range(ROUNDS, 0, -1):
                read, scaled, factor = rounds[t][i - 1]
                above = dxs if i % 2 else dhs
                by_argument = above * scaled * factor * (1 - factor / 2)  # (2 sigmoid)' = f (1 - f / 2)
                grads[scaling[i - 1]] += by_argument.T @ read
                through = by_argument @ params[scaling[i - 1]]
                if i % 2:
                    dxs, dhs = above * factor, dhs + through
                else:
                    dhs, dxs = above * factor, dxs + through
            dx[t], carried = dxs, dhs
        if keep is not None:
            carried, dc = carried * keep[0], dc * keep[0]
        flat = delta.reshape(-1, 4 * H)
        last = [made[-1] for made in rounds]
        grads[f"rnn.weight_ih_{suffix}"] = flat.T @ np.concatenate([each[0] for each in last])
        grads[f"rnn.weight_hh_{suffix}"] = flat.T @ np.concatenate([each[1] for each in last])
        grads[f"rnn.bias_ih_{suffix}"] = flat.sum(axis=0)
        grads[f"rnn.bias_hh_{suffix}"] = grads[f"rnn.bias_ih_{suffix}"].copy()
        return dx, np.stack([carried, dc]), grads

    return h[1:], np.stack([h[-1], c[-1]]), backprop


# --- registration in the package ----------------------------------------------------------------------------------


def numpy_step(*arguments: Any) -> None:
    """Call `lstm_step` under a name that has no compiled twin."""
    lstm_step(*arguments)


def numpy_step_backward(*arguments: Any) -> None:
    """Call `lstm_step_backward` under a name that has no compiled twin."""
    lstm_step_backward(*arguments)


def numpy_lstm_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """Run the LSTM without its compiled loop."""
    return memory_forward(numpy_step, gates, weight, bias_ih + bias_hh, state, keep)


def numpy_lstm_backward(dh: Array, dstate: Array, trace: Trace) -> Any:
    """Run the backward pass of the LSTM without its compiled loop."""
    return memory_backward(numpy_step_backward, dh, dstate, trace)


MLSTM_GATES = ("i", "f", "g", "o", "m")
NEW: dict[str, Cell] = {
    "numpy-lstm": LSTM._replace(forward=numpy_lstm_forward, backward=numpy_lstm_backward),
    "block-lstm": LSTM._replace(forward=block_forward, backward=block_backward),  # type: ignore[arg-type]
    "mlstm": LSTM._replace(forward=mlstm_forward, backward=mlstm_backward, gate_names=MLSTM_GATES),  # type: ignore[arg-type]
    "mogrifier": LSTM,
}
recurrent_of_the_package, shapes_of_the_package = layers.recurrent, network_module.NetworkConfig.shapes


def recurrent(
    params: layers.Params,
    suffix: str,
    cell: str,
    activation: str,
    x: Array,
    state: Array,
    keep: Array | None,
    shared: layers.SharedMasks = layers.NOTHING_DROPPED,
    places: Array | None = None,
) -> tuple[Array, Array, Callable[..., Any]]:
    """Do what `nn.layers.recurrent` does, for these cells, without dropout of weights and tokens."""
    if cell not in {"block-lstm", "mlstm", "mogrifier"}:
        return recurrent_of_the_package(params, suffix, cell, activation, x, state, keep, shared, places)
    if shared is not layers.NOTHING_DROPPED and (shared.weights or shared.tokens is not None):
        raise NotImplementedError("weights and tokens are not dropped in these cells")
    one_hot = x.ndim == 2 and places is None
    if cell == "mogrifier":
        if one_hot:
            raise NotImplementedError("a Mogrifier needs an embedding")
        inputs = x if places is None else x[places]
        y, final, layer_backprop = mogrifier_layer(params, suffix, inputs, state, keep)
    else:
        y, final, layer_backprop = of_gates(params, suffix, cell, x, state, keep, places)

    def backprop(dy: Array, dstate: Array | None = None) -> tuple[Array | None, Array, Any]:
        dx, by_state, grads = layer_backprop(dy, np.zeros_like(final) if dstate is None else dstate)
        if places is None or dx is None:
            return dx, by_state, grads
        summed = np.zeros_like(x)
        fastest(add_rows, x.dtype)(dx.reshape(-1, x.shape[1]), places.reshape(-1), summed)
        return summed, by_state, grads

    return y, final, backprop


def of_gates(
    params: layers.Params, suffix: str, cell: str, x: Array, state: Array, keep: Array | None, places: Array | None
) -> tuple[Array, Array, Callable[..., Any]]:
    """Run a layer whose U x is computed for all steps at once."""
    U, W, b, d = (params[f"rnn.{part}_{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    one_hot = x.ndim == 2 and places is None
    if one_hot:
        gates, lookup_backprop = layers.lookup(U, x, transposed=True)
    else:
        gates = (x @ U.T)[places] if places is not None else x @ U.T
    y, final, trace = NEW[cell].forward(gates, W, b, d, state, keep, "tanh")

    def backprop(dy: Array, dstate: Array) -> tuple[Array | None, Array, Any]:
        delta, by_recurrent, by_state = NEW[cell].backward(dy, dstate, trace)
        by_weight, by_bias = by_recurrent if isinstance(by_recurrent, tuple) else (by_recurrent, None)
        flat = delta.reshape(-1, delta.shape[2])
        grads: dict[str, Any] = {f"rnn.weight_hh_{suffix}": by_weight, f"rnn.bias_ih_{suffix}": flat.sum(axis=0)}
        grads[f"rnn.bias_hh_{suffix}"] = grads[f"rnn.bias_ih_{suffix}"].copy() if by_bias is None else by_bias
        if one_hot:
            grads[f"rnn.weight_ih_{suffix}"] = lookup_backprop(delta)
            return None, by_state, grads
        inputs = x if places is None else x[places]
        grads[f"rnn.weight_ih_{suffix}"] = flat.T @ inputs.reshape(len(flat), -1)
        return (flat @ U).reshape(inputs.shape), by_state, grads

    return y, final, backprop


def shapes(config: network_module.NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters by name."""
    found, H = shapes_of_the_package(config), config.hidden_size
    for layer in range(config.num_layers):
        D = H if layer else config.embedding_size
        if config.cell == "block-lstm":
            found[f"rnn.weight_hh_l{layer}"] = (4 * H, H // HEADS)
        if config.cell == "mogrifier":
            for i in range(1, ROUNDS + 1):
                found[f"rnn.mogrify_{'hx'[i % 2]}{i}_l{layer}"] = (D, H) if i % 2 else (H, D)
    return found


initialize_of_the_package = network_module.Network.initialize.__func__  # type: ignore[attr-defined]


def initialize(cls: Any, config: network_module.NetworkConfig, *arguments: Any, **options: Any) -> Any:
    """Initialize a network; the biases of the mLSTM's multiplicative input start at 1."""
    network = initialize_of_the_package(cls, config, *arguments, **options)
    if config.cell == "mlstm":
        for layer in range(config.num_layers):
            network.params[f"rnn.bias_ih_l{layer}"][4 * config.hidden_size :] = 1
    return network


def install() -> None:
    """Register the cells in the package."""
    CELLS.update(NEW)
    names.CELLS = (*names.CELLS, *(name for name in NEW if name not in names.CELLS))
    network_module.recurrent = recurrent
    network_module.NetworkConfig.shapes = shapes  # type: ignore[method-assign]
    network_module.Network.initialize = classmethod(initialize)  # type: ignore[assignment]


def main() -> None:
    """Print the largest relative error of any derivative of each cell, in float64."""
    from rnnlm.nn.gradient_check import check_gradients

    install()
    rng = np.random.default_rng(1)
    T, B, V, H = 5, 3, 7, 8
    for cell in NEW:
        worst = 0.0
        for layer_count, embedding in ((1, 6), (2, 6), (2, 0)):
            if cell == "mogrifier" and not embedding:
                continue
            config = network_module.NetworkConfig(V, cell, "tanh", H, layer_count, embedding)
            network = network_module.Network.initialize(config, rng, dtype=np.float64)
            inputs, targets = rng.integers(0, V, (2, T, B))
            keep = np.ones((T, B, 1))
            keep[2, 1] = keep[0, 2] = 0
            state = 0.5 * rng.standard_normal(network.zero_state(B).shape)
            found = check_gradients(network, inputs, targets, state, rng, keep=keep)
            worst = max(worst, *(each.relative_error for each in found))
        print(f"{cell:12s} {worst:.1e}")


if __name__ == "__main__":
    main()
