"""What all cells share: their description, the loop over time, and what it leaves for the backward pass.

The loop holds only what must wait for the step before: the product W h_{t-1}, and the elementwise work of a step. That
work is a pair of functions of each cell, `..._step` and `..._step_backward`, in few and large in-place ufunc calls.
Of the loop over all steps, product and all, a cell may have a compiled twin (see `nn.kernels`). The functions allocate
nothing but a few numbers, and take whole slabs and the step t:

    gates     (T, B, GH)     U x_t, overwritten with the values of the gates (the basic cell leaves it alone)
    product   (B, GH)        W h_{t-1}, may be overwritten
    keep      (T, B, 1)      0 where a column's state is reset before a step, else 1; None when there is no reset
    bias      (GH,)          b_ih + b_hh; of the GRU (4H,): r, z, and n on the input side and on the other
    h, c      (T + 1, B, H)  slot 0 is the initial state, slot t + 1 what step t makes

A reset acts on what enters a step: W (0 h) = 0 W h, so the product is multiplied by `keep` instead of the state. The
backward functions receive

    dh        (T, B, H)      dE/dh_t from above
    carried   (B, H)         dE/dh_t from the step after, whose `keep` still has to act on it; may be overwritten

and write `delta` (T, B, GH), the gradients by the arguments of the gates.
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
    """What a forward pass leaves behind for its backward pass."""

    h: Array  # (T + 1, B, H) states, slot 0 is the initial one
    weight: Any  # (GH, H), None for a cell without recurrent matrix
    keep: Array | None  # (T, B, 1)
    own: tuple[Any, ...]  # the cell's own slabs

    def previous(self) -> Array:
        """h_{t-1} as step t saw it, after resets, (T, B, H)."""
        return self.h[:-1] if self.keep is None else self.h[:-1] * self.keep


class Gradients(NamedTuple):
    """What a backward pass returns."""

    input_gates: Array  # (T, B, GH)
    hidden_gates: Array | None  # (T, B, GH), None for a cell without recurrent matrix
    state: Array  # (S, B, H)


class OnnxOperator(NamedTuple):
    """How a cell is said in ONNX.

    gates: the operator's slabs in its order, by the cell's names of them; "-f" is f with the other sign, as
    sigmoid(-a) = 1 - sigmoid(a), and "0" a slab of zeros. attributes: what else the operator is told.
    """

    name: str
    gates: tuple[str, ...] = ("",)
    attributes: Mapping[str, Any] = NOTHING


# gates, weight_hh, bias_ih, bias_hh (None where the cell has none), state, keep, activation
Forward = Callable[[Array, Any, Array, Any, Array, Array | None, str], tuple[Array, Array, Trace]]


class Cell(NamedTuple):
    """A recurrent cell: its pair of functions, and what other parts of the package ask about it.

    gate_names: in the order of the slabs; the basic cell has one slab and no gate.
    recurrent: whether it has weight_hh and bias_hh. Without them, its gates are functions of the input alone.
    states: how many slabs its state has, 1 (h) or 2 (h and c).
    memory_gates: the gates that decide how long a unit remembers, with 1 where an open gate keeps the state and -1
    where it lets new input in.
    torch: its module in torch.nn; None where it has none, which `training.torch_cells` then makes.
    learning_rate_factor: what it bears of the learning rate that the rules of a training choose.
    memory_learning_rate: Adam's in `lab.memory`, which trains the cells that have one. Of the rates tried there, it is
    the best.
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
        """G, the number of slabs that weights and biases have."""
        return len(self.gate_names) or 1

    @property
    def parts(self) -> tuple[str, ...]:
        """What its parameters in a layer are called."""
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.recurrent else ("weight_ih", "bias_ih")


# --- the loop -----------------------------------------------------------------------------------------------------


def run(step: Step, h: Array, weight: Array, gates: Array, *arguments: Any) -> None:
    """Take all steps forward, each after its product: step(t, gates, product, *arguments).

    The compiled twin of all of it has the name of the step with an s: lstm_steps(weight, gates, *arguments).
    """
    steps = compiled_steps(step, weight)
    if steps:
        steps(weight, gates, *arguments)
        return
    # h W^T runs a third faster on a contiguous operand, which takes as long to make as a few products.
    transposed = np.ascontiguousarray(weight.T) if len(gates) > FEW_STEPS else weight.T
    product = np.empty_like(gates[0])
    for t in range(len(gates)):
        np.matmul(h[t], transposed, out=product)
        step(t, gates, product, *arguments)


def run_back(step: Step, dh: Array, carried: Array, weight: Array, delta: Array, *arguments: Any) -> None:
    """Take all steps back: step(t, dh, carried, *arguments) fills delta[t], which W^T carries to the step before.

    carried (B, H) comes in as the gradient by the final h, and goes out as that by what entered step 0. The compiled
    twin: lstm_steps_backward(weight, dh, carried, *arguments).
    """
    steps = compiled_steps(step, weight)
    if steps:
        steps(weight, dh, carried, *arguments)
        return
    for t in reversed(range(len(dh))):
        step(t, dh, carried, *arguments)
        np.matmul(delta[t], weight, out=carried)


def first_state(T: int, state: Array) -> Array:
    """Slab (T + 1, B, H) whose slot 0 is the initial state; the rest is still to be computed."""
    slab = np.empty((T + 1, *state.shape), dtype=state.dtype)
    slab[0] = state
    return slab


def entering(gradient: Array, keep: Array | None) -> Array:
    """Gradient by the initial state, of the gradient by what entered step 0 after its resets."""
    return gradient if keep is None else gradient * keep[0]


def arriving(t: int, dh: Array, carried: Array, keep: Array | None) -> None:
    """Make of `carried` all of dE/dh_t: what comes from the step after, unless it began anew, and from above."""
    kept(t, carried, keep)
    np.add(carried, dh[t], out=carried)


def kept(t: int, carried: Array, keep: Array | None) -> None:
    """Make of a gradient by what entered step t + 1 that by what step t made."""
    if keep is not None and t + 1 < len(keep):
        np.multiply(carried, keep[t + 1], out=carried)


# --- cells whose state is h and c ---------------------------------------------------------------------------------


def memory_forward(
    step: Step, gates: Array, weight: Array, bias: Array, state: Array, keep: Array | None
) -> tuple[Array, Array, Trace]:
    """Forward pass of a cell with a memory: step(t, gates, product, keep, bias, h, c, tanh(c))."""
    T = len(gates)
    h, c = first_state(T, state[0]), first_state(T, state[1])
    tanh_c = np.empty_like(h[1:])
    run(step, h, weight, gates, keep, bias, h, c, tanh_c)
    final = np.empty((2, *h.shape[1:]), dtype=h.dtype)
    final[0], final[1] = h[-1], c[-1]
    return h[1:], final, Trace(h, weight, keep, (gates, c, tanh_c))


def memory_backward(step: Step, dh: Array, dstate: Array, trace: Trace) -> Gradients:
    """Backward pass of such a cell: step(t, dh, carried, keep, gates, c, tanh(c), dc, delta)."""
    gates, c, tanh_c = trace.own
    delta = np.empty_like(gates)
    carried, dc = dstate[0].copy(), dstate[1].copy()
    run_back(step, dh, carried, trace.weight, delta, trace.keep, gates, c, tanh_c, dc, delta)
    return Gradients(delta, delta, entering(np.stack([carried, dc]), trace.keep))


def memory_arguments(t: int, a: Array, product: Array, keep: Array | None, bias: Array, before: Array) -> None:
    """Make of `a` = U x_t the arguments of the gates, and of c_{t-1} what enters the step."""
    if keep is not None:
        np.multiply(product, keep[t], out=product)
        np.multiply(before, keep[t], out=before)
    np.add(a, product, out=a)
    np.add(a, bias, out=a)


def reaching_memory(t: int, carried: Array, keep: Array | None, o: Array, s: Array, dc: Array, scratch: Array) -> None:
    """Make of `dc` all of dE/dc_t, given all of dE/dh_t: dc += dh o (1 - s^2) with s = tanh(c_t)."""
    kept(t, dc, keep)
    np.square(s, out=scratch)
    np.subtract(1, scratch, out=scratch)
    np.multiply(scratch, o, out=scratch)
    np.multiply(scratch, carried, out=scratch)
    np.add(dc, scratch, out=dc)
