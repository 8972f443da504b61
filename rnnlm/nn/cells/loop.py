"""Parts shared by all cells: description, loop over time, and trace of the forward pass for the backward pass.

The loop contains only work that depends on the previous step: the product W h_{t-1} and the elementwise work of a
step. The latter is a pair of functions of each cell, `..._step` and `..._step_backward`, made of few and large
in-place ufunc calls. The whole loop of a cell may have a compiled twin (see `nn.kernels`). Step functions allocate
almost no memory. They receive whole slabs and the step t:

    gates     (T, B, GH)     U x_t, overwritten with the values of the gates (the basic cell leaves it alone)
    product   (B, GH)        W h_{t-1}, may be overwritten
    keep      (T, B, 1)      0 where a column's state is reset before a step, else 1; None if there is no reset
    bias      (GH,)          b_ih + b_hh; for the GRU (4H,): r, z, n on the input side, n on the recurrent side
    h, c      (T + 1, B, H)  index 0 is the initial state, index t + 1 the state after step t

A reset acts on the state that enters a step: W (0 h) = 0 W h, so the product is multiplied by `keep` instead of the
state. The backward functions receive

    dh        (T, B, H)      dE/dh_t from the layer above
    carried   (B, H)         dE/dh_t from step t + 1, not yet multiplied by its `keep`; may be overwritten

and write `delta` (T, B, GH), the gradients of the gates' arguments.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rnnlm.nn.kernels import compiled_steps
from rnnlm.nn.numerics import Array

Step = Callable[..., None]
NOTHING: Mapping[str, Any] = MappingProxyType({})
FEW_STEPS = 4


class Trace(NamedTuple):
    """Values of a forward pass that its backward pass needs."""

    h: Array  # (T + 1, B, H) states; index 0 is the initial state
    weight: Any  # (GH, H), None for a cell without recurrent matrix
    keep: Array | None  # (T, B, 1)
    own: tuple[Any, ...]  # further values, specific to the cell

    def previous(self) -> Array:
        """Return h_{t-1} after resets, as step t reads it, (T, B, H)."""
        return self.h[:-1] if self.keep is None else self.h[:-1] * self.keep


class Gradients(NamedTuple):
    """Result of a backward pass: gradients of the gates' arguments and of the initial state."""

    input_gates: Array  # (T, B, GH)
    hidden_gates: Array | None  # (T, B, GH), None for a cell without recurrent matrix
    state: Array  # (S, B, H)


class OnnxOperator(NamedTuple):
    """The ONNX operator of a cell.

    gates: names of the cell's gates in the order of the operator's slabs. "-f" is the negated slab of f, as
    sigmoid(-a) = 1 - sigmoid(a); "0" is a slab of zeros. attributes: further attributes of the operator.
    """

    name: str
    gates: tuple[str, ...] = ("",)
    attributes: Mapping[str, Any] = NOTHING


# gates, weight_hh, bias_ih, bias_hh (weight_hh and bias_hh: None if not recurrent), state, keep, activation
Forward = Callable[[Array, Any, Array, Any, Array, Array | None, str], tuple[Array, Array, Trace]]


class Cell(NamedTuple):
    """Description of a recurrent cell: its forward and backward functions, and properties that other modules use.

    gate_names: in the order of the slabs; the basic cell has one slab and no gates.
    recurrent: whether it has weight_hh and bias_hh. Without them, its gates are functions of the input alone.
    states: number of slabs of its state, 1 (h) or 2 (h and c).
    memory_gates: the gates that decide how long a unit remembers: 1 if an open gate keeps the state, -1 if it lets new
    input in.
    torch: name of its module in torch.nn; None if there is none and `training.torch_cells` implements it.
    learning_rate_factor: multiplies the default learning rate of a training.
    memory_learning_rate: learning rate of Adam in `lab.memory`, the best of those tried there; None if `lab.memory`
    does not train the cell.
    """

    forward: Forward
    backward: Callable[[Array, Array, Trace], Gradients]
    onnx: OnnxOperator
    gate_names: tuple[str, ...] = ()
    recurrent: bool = True
    states: int = 1
    memory_gates: Mapping[str, int] = NOTHING
    torch: str | None = None
    learning_rate_factor: float = 1.0
    memory_learning_rate: float | None = None

    @property
    def gates(self) -> int:
        """Number of slabs G of weights and biases."""
        return len(self.gate_names) or 1

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its parameters in a layer."""
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.recurrent else ("weight_ih", "bias_ih")


# --- the loop -----------------------------------------------------------------------------------------------------


def run(step: Step, h: Array, weight: Array, gates: Array, *arguments: Any) -> None:
    """Run the loop forward: for each t, compute the product W h_{t-1} and call step(t, gates, product, *arguments).

    Calls the compiled twin of the loop if there is one: lstm_steps(weight, gates, *arguments) for lstm_step.
    """
    steps = compiled_steps(step, weight)
    if steps:
        steps(weight, gates, *arguments)
        return
    # h W^T runs a third faster on a contiguous copy of W^T, which costs as much as a few products.
    transposed = np.ascontiguousarray(weight.T) if len(gates) > FEW_STEPS else weight.T
    product = np.empty_like(gates[0])
    for t in range(len(gates)):
        np.matmul(h[t], transposed, out=product)
        step(t, gates, product, *arguments)


def run_back(step: Step, dh: Array, carried: Array, weight: Array, delta: Array, *arguments: Any) -> None:
    """Run the loop backward: for each t, step(t, dh, carried, *arguments) fills delta[t], then carried = W^T delta[t].

    carried (B, H): the gradient of the final h, overwritten with that of the h that entered step 0. Calls the compiled
    twin of the loop if there is one: lstm_steps_backward(weight, dh, carried, *arguments) for lstm_step_backward.
    """
    steps = compiled_steps(step, weight)
    if steps:
        steps(weight, dh, carried, *arguments)
        return
    for t in reversed(range(len(dh))):
        step(t, dh, carried, *arguments)
        np.matmul(delta[t], weight, out=carried)


def first_state(T: int, state: Array) -> Array:
    """Return an uninitialized slab (T + 1, B, H) with the initial state at index 0."""
    slab = np.empty((T + 1, *state.shape), dtype=state.dtype)
    slab[0] = state
    return slab


def entering(gradient: Array, keep: Array | None) -> Array:
    """Return the gradient of the initial state, given that of the state that entered step 0 after resets."""
    return gradient if keep is None else gradient * keep[0]


def arriving(t: int, dh: Array, carried: Array, keep: Array | None) -> None:
    """Complete `carried` to dE/dh_t in place: apply the resets of step t + 1 and add the gradient from above, dh[t]."""
    kept(t, carried, keep)
    np.add(carried, dh[t], out=carried)


def kept(t: int, carried: Array, keep: Array | None) -> None:
    """Turn the gradient of the state that entered step t + 1 into that of the state after step t, in place."""
    if keep is not None and t + 1 < len(keep):
        np.multiply(carried, keep[t + 1], out=carried)


# --- cells whose state is h and c ---------------------------------------------------------------------------------


def memory_forward(
    step: Step, gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None
) -> tuple[Array, Array, Trace]:
    """Forward pass of a cell with state h and c: step(t, gates, product, keep, bias, h, c, tanh(c))."""
    T = len(gates)
    h, c = first_state(T, state[0]), first_state(T, state[1])
    tanh_c = np.empty_like(h[1:])
    run(step, h, weight, gates, keep, bias, h, c, tanh_c)
    final = np.empty((2, *h.shape[1:]), dtype=h.dtype)
    final[0], final[1] = h[-1], c[-1]
    return h[1:], final, Trace(h, weight, keep, (gates, c, tanh_c))


def memory_backward(step: Step, dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of a cell with state h and c: step(t, dh, carried, keep, gates, c, tanh(c), dc, delta)."""
    gates, c, tanh_c = trace.own
    delta = np.empty_like(gates)
    carried, dc = dstate[0].copy(), dstate[1].copy()
    run_back(step, dh, carried, trace.weight, delta, trace.keep, gates, c, tanh_c, dc, delta)
    return Gradients(delta, delta, entering(np.stack([carried, dc]), trace.keep))


def memory_arguments(t: int, a: Array, product: Array, keep: Array | None, bias: Array, before: Array) -> None:
    """Turn `a` = U x_t into the arguments of the gates and apply resets to `before` = c_{t-1}, in place."""
    if keep is not None:
        np.multiply(product, keep[t], out=product)
        np.multiply(before, keep[t], out=before)
    np.add(a, product, out=a)
    np.add(a, bias, out=a)


def reaching_memory(t: int, carried: Array, keep: Array | None, o: Array, s: Array, dc: Array, scratch: Array) -> None:
    """Complete `dc` to dE/dc_t in place, given carried = dE/dh_t: dc += dE/dh_t o (1 - s^2) with s = tanh(c_t)."""
    kept(t, dc, keep)
    np.square(s, out=scratch)
    np.subtract(1, scratch, out=scratch)
    np.multiply(scratch, o, out=scratch)
    np.multiply(scratch, carried, out=scratch)
    np.add(dc, scratch, out=dc)
