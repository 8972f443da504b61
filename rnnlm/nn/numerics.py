"""Numerically stable activations and softmax functions that work in place."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Smaller exponents yield denormals in float32, which are ten times as slow as normal numbers. e^-80 is negligible
# here (a probability of 1e-35).
SMALLEST_EXPONENT = -80.0
# A gradient takes quotients p / max p below this for 0, as they are multiplied by the scale of a batch and by weights:
# with denormals, the products of the output layer take four times as long.
NEGLIGIBLE = 1e-22
# With an unbounded activation, a state may grow without limit over a long text. It is clipped at a value far above any
# useful one, so that its products with the largest weights, and probabilities, stay finite in float32 too.
LARGEST_STATE, LARGEST_WEIGHT = 1e12, 1e10


def are_weights(array: Array) -> bool:
    """Return whether all entries are at most LARGEST_WEIGHT in size; nan is not."""
    return bool(array.min(initial=0) >= -LARGEST_WEIGHT and array.max(initial=0) <= LARGEST_WEIGHT)


@cache
def _tanh_is_vectorised_widely() -> bool:
    """Return whether NumPy runs float32 tanh on AVX-512 or NEON, where it is faster than exp.

    Read from NumPy's dispatch table, not timed: the choice must be the same in every run, for reproducible results.
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
    np.multiply(x, -1, out=out)  # not np.negative, which in NumPy 2.4 is wrong for columns with a stride of 16 bytes
    np.exp(out, out=out)  # overflow to inf is correct: 1 / (1 + inf) = 0
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
    """Rectifier max(x, 0), clipped at LARGEST_STATE, written to `out`."""
    np.maximum(x, 0, out=out)
    return np.minimum(out, LARGEST_STATE, out=out)


def identity(x: Array, out: Array) -> Array:
    """Copy x to `out`, clipped to +-LARGEST_STATE: for linear networks, as in the article's gradient check."""
    np.minimum(x, LARGEST_STATE, out=out)
    return np.maximum(out, -LARGEST_STATE, out=out)


def _fill_with_one(out: Array) -> Array:
    out.fill(1)
    return out


# Every activation f with its derivative as a function of s = f(a), the value that the forward pass keeps. (The code of
# the article multiplies by s instead of f'(a), which is wrong.)
ACTIVATIONS: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "tanh": (tanh, lambda s, out: np.subtract(1, np.square(s, out=out), out=out)),
    "relu": (relu, lambda s, out: np.greater(s, 0, out=out, casting="unsafe")),
    "sigmoid": (sigmoid, lambda s, out: np.multiply(s, np.subtract(1, s, out=out), out=out)),
    "identity": (identity, lambda s, out: _fill_with_one(out)),
}


def log_softmax(logits: Array) -> None:
    """Log softmax over the last axis, in place: z - max - log(sum(exp(z - max))). Has a compiled twin for (n, V)."""
    np.subtract(logits, logits.max(axis=-1, keepdims=True), out=logits)
    exponents = np.maximum(logits, SMALLEST_EXPONENT)
    np.exp(exponents, out=exponents)
    np.subtract(logits, np.log(exponents.sum(axis=-1, keepdims=True)), out=logits)


def shifted_log_softmax(logits: Array, shifts: Array) -> None:
    """Log softmax of logits (n, V), plus shifts (n,) by row; in place. Has a compiled twin."""
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
    """Overwrite logits (n, V) with scale (p - y), with p = softmax(logits + bias) and y the one-hot target.

    This is `scale` times the gradient of the cross entropy with respect to the logits. nats (n,) is overwritten with
    -log p(target), which is exact even for tiny p. bias is (V,), targets (n,) int64. If scale is 0, only `nats` is
    computed, and the contents of `logits` are undefined. Has a compiled twin.
    """
    places = np.arange(len(targets)), targets
    if bias is not None:
        np.add(logits, bias, out=logits)
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=logits)
    of_targets = logits[places]
    np.maximum(logits, SMALLEST_EXPONENT, out=logits)
    np.exp(logits, out=logits)
    np.putmask(logits, logits < NEGLIGIBLE, 0)
    totals = logits.sum(axis=1)
    np.subtract(np.log(totals), of_targets, out=nats)  # log p(target) = of_target - log(total)
    if scale:
        np.multiply(logits, scale / totals[:, None], out=logits)
        logits[places] -= scale
