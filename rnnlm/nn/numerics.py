"""Elementwise functions that work in place and never overflow into a wrong number."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Below this float32's exp yields denormals, which cost ten times as much as ordinary numbers; e^-80 is zero for
# every purpose here (a probability of 1e-35).
SMALLEST_EXPONENT = -80.0
# A state that nothing squashes may grow without end over a long text. Cut off here, which no sound one comes near, its
# products with the largest weights are still numbers, in float32 too, and so are the probabilities made of them.
LARGEST_STATE, LARGEST_WEIGHT = 1e12, 1e10


def are_weights(array: Array) -> bool:
    """Whether all numbers are small enough to compute with; nan is not."""
    return bool(array.min(initial=0) >= -LARGEST_WEIGHT and array.max(initial=0) <= LARGEST_WEIGHT)


@cache
def _tanh_is_vectorised_widely() -> bool:
    """Whether NumPy runs float32 tanh on AVX-512 or NEON, where it beats exp.

    Asked of NumPy's dispatch table, never timed: the choice must not flip between two runs that shall end in the
    same bytes.
    """
    introspect = getattr(np.lib, "introspect", None)
    if introspect is None:
        return False
    signatures = introspect.opt_func_info(func_name="^tanh$", signature="float32").get("tanh", {})
    targets = " ".join(str(info.get("current", "")) for info in signatures.values())
    return "AVX512" in targets or "X86_V4" in targets or "NEON" in targets or "ASIMD" in targets


def sigmoid(x: Array, out: Array) -> Array:
    """Logistic function 1 / (1 + e^-x), written to `out`, which may be `x` itself."""
    if _tanh_is_vectorised_widely():  # sigmoid(x) = (1 + tanh(x/2)) / 2
        np.multiply(x, 0.5, out=out)
        np.tanh(out, out=out)
        np.multiply(out, 0.5, out=out)
        return np.add(out, 0.5, out=out)
    np.multiply(x, -1, out=out)  # np.negative of NumPy 2.4 is wrong on columns that lie 16 bytes apart
    np.exp(out, out=out)  # overflow to inf is wanted: 1 / (1 + inf) = 0
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def tanh(x: Array, out: Array) -> Array:
    """Hyperbolic tangent, written to `out`, which may be `x` itself."""
    if _tanh_is_vectorised_widely():
        return np.tanh(x, out=out)
    np.multiply(x, -2, out=out)  # tanh(x) = 2 sigmoid(2x) - 1
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(2, out, out=out)
    return np.subtract(out, 1, out=out)


def relu(x: Array, out: Array) -> Array:
    """Rectifier max(x, 0), at most LARGEST_STATE, written to `out`."""
    np.maximum(x, 0, out=out)
    return np.minimum(out, LARGEST_STATE, out=out)


def identity(x: Array, out: Array) -> Array:
    """Copy x to `out`, at most LARGEST_STATE in size: the linear network, whose gradients the article checks first."""
    np.minimum(x, LARGEST_STATE, out=out)
    return np.maximum(out, -LARGEST_STATE, out=out)


def _fill_with_one(out: Array) -> Array:
    out.fill(1)
    return out


# Every activation with its derivative, the latter written in terms of the activation's value s = f(a): that is what
# a forward pass keeps, and what the article's own code got wrong by multiplying with s instead of f'(a).
ACTIVATIONS: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "tanh": (tanh, lambda s, out: np.subtract(1, np.square(s, out=out), out=out)),
    "relu": (relu, lambda s, out: np.greater(s, 0, out=out, casting="unsafe")),
    "sigmoid": (sigmoid, lambda s, out: np.multiply(s, np.subtract(1, s, out=out), out=out)),
    "identity": (identity, lambda s, out: _fill_with_one(out)),
}


def log_softmax(logits: Array) -> None:
    """Log of the softmax over the last axis, in place: z - max - log(sum(exp(z - max))). Has a twin for (n, V)."""
    np.subtract(logits, logits.max(axis=-1, keepdims=True), out=logits)
    exponents = np.maximum(logits, SMALLEST_EXPONENT)
    np.exp(exponents, out=exponents)
    np.subtract(logits, np.log(exponents.sum(axis=-1, keepdims=True)), out=logits)


def shifted_log_softmax(logits: Array, shifts: Array) -> None:
    """The same of logits (n, V), and a number (n,) added to each row; in place. Has a compiled twin."""
    log_softmax(logits)
    np.add(logits, shifts[:, None], out=logits)


def softmax(logits: Array) -> Array:
    """Softmax over the last axis, in place.

    >>> softmax(np.array([1.0, 2.0, 3.0, 4.0])).round(2)
    array([0.03, 0.09, 0.24, 0.64])
    """
    np.subtract(logits, logits.max(axis=-1, keepdims=True), out=logits)
    np.maximum(logits, SMALLEST_EXPONENT, out=logits)
    np.exp(logits, out=logits)
    return np.divide(logits, logits.sum(axis=-1, keepdims=True), out=logits)


def softmax_error(logits: Array, bias: Array | None, targets: Array, scale: float, nats: Array) -> None:
    """Turn logits (n, V), plus a bias (V,), into scale (p - y) in place, where p is their softmax and y the target.

    That is `scale` times the gradient of the cross entropy by the logits. nats (n,) become -log p(target), exact
    however small p is. targets (n,) are int64. With a scale of 0 only `nats` are asked for, and the logits become
    anything. Has a compiled twin.
    """
    places = np.arange(len(targets)), targets
    if bias is not None:
        np.add(logits, bias, out=logits)
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=logits)
    of_targets = logits[places]
    np.maximum(logits, SMALLEST_EXPONENT, out=logits)
    np.exp(logits, out=logits)
    totals = logits.sum(axis=1)
    np.subtract(np.log(totals), of_targets, out=nats)  # log p is of_target - log(total)
    if scale:
        np.multiply(logits, scale / totals[:, None], out=logits)
        logits[places] -= scale
