"""The basic recurrent network of the article: h_t = f(U x_t + W h_{t-1} + b)."""

import numpy as np

from rnnlm.nn.cells.loop import (
    Cell,
    Gradients,
    OnnxOperator,
    Trace,
    arriving,
    entering,
    first_state,
    run,
    run_back,
)
from rnnlm.nn.numerics import ACTIVATIONS, Array


def rnn_step(t: int, gates: Array, product: Array, keep: Array | None, bias: Array, h: Array, activation: str) -> None:
    """h_t = f(U x_t + W h_{t-1} + b)."""
    if keep is not None:
        np.multiply(product, keep[t], out=product)
    np.add(product, gates[t], out=product)
    np.add(product, bias, out=product)
    ACTIVATIONS[activation][0](product, h[t + 1])


def rnn_step_backward(
    t: int, dh: Array, carried: Array, keep: Array | None, h: Array, delta: Array, activation: str
) -> None:
    """delta_t = dE/dh_t f'(a_t)."""
    arriving(t, dh, carried, keep)
    ACTIVATIONS[activation][1](h[t + 1], delta[t])
    np.multiply(delta[t], carried, out=delta[t])


def rnn_forward(
    gates: Array, weight: Array, bias_ih: Array, bias_hh: Array, state: Array, keep: Array | None, activation: str
) -> tuple[Array, Array, Trace]:
    """Basic recurrent network: h_t = f(U x_t + b_ih + W h_{t-1} + b_hh)."""
    h = first_state(len(gates), state[0])
    run(rnn_step, h, weight, gates, keep, bias_ih + bias_hh, h, activation)
    return h[1:], h[-1:].copy(), Trace(h, weight, keep, (activation,))


def rnn_backward(dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of the basic network: delta_t = dE/dh_t * f'(a_t), dE/dh_{t-1} += W^T delta_t."""
    (activation,) = trace.own
    delta, carried = np.empty_like(dh), dstate[0].copy()
    run_back(rnn_step_backward, dh, carried, trace.weight, delta, trace.keep, trace.h, delta, activation)
    return Gradients(delta, delta, entering(carried[None], trace.keep))


RNN = Cell(
    rnn_forward,
    rnn_backward,
    torch="RNN",
    onnx=OnnxOperator("RNN"),
    learning_rate_factor=0.25,
    memory_learning_rate=4e-3,
)
