"""Layers between ids and hidden states: look-up, dropout, recurrent layer.

Every forward function returns its value and a callback, which maps the gradient with respect to that value to the
gradients with respect to inputs and parameters. No object keeps state between calls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import Grads, RowGradient, add_rows
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array

Params = Mapping[str, Array]


def lookup(table: Array, ids: Array, transposed: bool = False) -> tuple[Array, Callable[[Array], RowGradient]]:
    """Look up rows of a table, which equals multiplying it by one-hot vectors.

    table: (V, D), or (D, V) if `transposed`, which looks up columns. ids: (T, B). Returns (T, B, D) and
    backprop(dy) -> gradient of the table.
    """
    rows = table.T if transposed else table
    V, D = rows.shape
    return rows[ids], lambda dy: RowGradient.summed(ids.reshape(-1), dy.reshape(-1, D), V, transposed)


def dropout_mask(shape: tuple[int, ...], rate: float, rng: np.random.Generator, dtype: DTypeLike) -> Array:
    """Random mask with expectation one: 0 with probability `rate`, else 1 / (1 - rate)."""
    mask = (rng.random(shape, dtype=np.float32) >= rate).astype(dtype)
    mask /= 1 - rate
    return mask


def distinct_rows(
    table: Array, ids: Array, scales: Array | None
) -> tuple[Array, Array, Callable[[Array], RowGradient]]:
    """Look up each distinct row of a table (V, D) once for ids (T, B), times its token's entry of scales (V,).

    Returns the rows (U, D), the index (T, B) of each id's row among them, and backprop(drows) -> gradient of the table.
    """
    if ids.size == 1:  # as in every step of sampling, where np.unique would take as long as the matrix product
        found, places = ids.reshape(-1), np.zeros(1, dtype=np.int64)
    else:
        found, places = np.unique(ids, return_inverse=True)
    factors = None if scales is None else scales[found, None]

    def backprop(drows: Array) -> RowGradient:
        return RowGradient(found, drows if factors is None else drows * factors, len(table))

    rows = table[found]
    return rows if factors is None else rows * factors, places.reshape(ids.shape), backprop


@dataclass(frozen=True)
class SharedMasks:
    """Dropout masks shared by all columns and steps of a batch: factors with expectation one.

    weights: masks of recurrent matrices (GH, H), by parameter name. tokens (V,): mask of the rows of the input table.
    """

    weights: Mapping[str, Array] = field(default_factory=dict)
    tokens: Array | None = None


NOTHING_DROPPED = SharedMasks()


def dropout(
    x: Array, rate: float, rng: np.random.Generator | None, locked: bool = False
) -> tuple[Array, Callable[[Array], Array]]:
    """Inverted dropout of x (T, B, D): zero entries with probability `rate`, scale the rest. Without `rng`, return x.

    locked: use the same mask for all T steps (Gal and Ghahramani 2016) instead of a new one for each. Otherwise, x may
    have any shape.
    """
    if rng is None or rate == 0:
        return x, lambda dy: dy
    mask = dropout_mask((1, *x.shape[1:]) if locked else x.shape, rate, rng, x.dtype)
    return x * mask, lambda dy: dy * mask


def scaled_tokens(x: Array, ids: Array, scales: Array | None) -> tuple[Array, Callable[[Array], Array]]:
    """Multiply x (T, B, D), looked up for ids (T, B), by each token's entry of scales (V,), in place."""
    if scales is None:
        return x, lambda dy: dy
    of_ids = scales[ids][:, :, None]
    return np.multiply(x, of_ids, out=x), lambda dy: dy * of_ids


def recurrent(
    params: Params,
    suffix: str,
    cell: str,
    activation: str,
    x: Array,
    state: Array,
    keep: Array | None,
    shared: SharedMasks = NOTHING_DROPPED,
    places: Array | None = None,
) -> tuple[Array, Array, Callable[[Array, Array | None], tuple[Array | None, Array, Grads]]]:
    """Run one recurrent layer in one direction over T steps.

    x: (T, B, D) floats, or (T, B) ids, which stand for one-hot vectors. With `places` (T, B), x is (U, D), and the
    input of step t, column b is x[places[t, b]]: the product with weight_ih is computed once for each distinct input.
    state: (S, B, H). keep: see `cells`. shared: masks of weight_hh (Wan et al. 2013) and of one-hot vectors. A cell
    whose `recurrent` is false has no weight_hh and no bias_hh.
    Returns the outputs (T, B, H), the final state (S, B, H) and backprop(dy, dstate) -> (dx or None, dstate0, grads).
    """
    names = {part: f"rnn.{part}_{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    weight_ih, bias_ih = params[names["weight_ih"]], params[names["bias_ih"]]
    weight_hh, bias_hh = params.get(names["weight_hh"]), params.get(names["bias_hh"])
    mask = shared.weights.get(names["weight_hh"])
    if mask is not None:
        weight_hh = weight_hh * mask
    if places is not None:
        gates = (x @ weight_ih.T)[places]
    elif x.ndim == 2:  # one-hot: U x is a column of U, which is stored column by column, so the copy is contiguous
        gates, lookup_backprop = lookup(weight_ih, x, transposed=True)
        gates, token_backprop = scaled_tokens(gates, x, shared.tokens)
    else:
        gates = (x.reshape(-1, x.shape[2]) @ weight_ih.T).reshape(*x.shape[:2], -1)
    y, final, trace = CELLS[cell].forward(gates, weight_hh, bias_ih, bias_hh, state, keep, activation)

    def backprop(dy: Array, dstate: Array | None = None) -> tuple[Array | None, Array, Grads]:
        deltas = CELLS[cell].backward(dy, np.zeros_like(final) if dstate is None else dstate, trace)
        by_input = deltas.input_gates.reshape(-1, deltas.input_gates.shape[2])
        grads: Grads = {}  # in a fixed order, as the norm is summed in this order
        if deltas.hidden_gates is not None:
            by_hidden = deltas.hidden_gates.reshape(by_input.shape)
            grads[names["weight_hh"]] = by_hidden.T @ trace.previous().reshape(len(by_hidden), -1)
        grads[names["bias_ih"]] = by_input.sum(axis=0)
        if deltas.hidden_gates is not None:
            same = deltas.hidden_gates is deltas.input_gates
            grads[names["bias_hh"]] = grads[names["bias_ih"]].copy() if same else by_hidden.sum(axis=0)
        if mask is not None:
            np.multiply(grads[names["weight_hh"]], mask, out=grads[names["weight_hh"]])
        if x.ndim == 2 and places is None:
            grads[names["weight_ih"]] = lookup_backprop(token_backprop(deltas.input_gates))
            return None, deltas.state, grads
        if places is not None:
            rows, by_input = by_input, np.zeros((len(x), by_input.shape[1]), dtype=by_input.dtype)
            fastest(add_rows, rows.dtype)(rows, places.reshape(-1), by_input)
        grads[names["weight_ih"]] = by_input.T @ x.reshape(len(by_input), -1)
        return (by_input @ weight_ih).reshape(x.shape), deltas.state, grads

    return y, final, backprop
