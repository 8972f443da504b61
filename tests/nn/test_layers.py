"""Gradients of recurrent layers, look-ups and dropout by all their inputs."""

import numpy as np
import pytest

from rnnlm.nn.cells import CELLS
from rnnlm.nn.layers import distinct_rows, dropout, lookup, recurrent, scaled_tokens
from rnnlm.nn.numerics import ACTIVATIONS

T, B, D, H = 6, 3, 5, 4
KINDS = [(cell, activation) for cell in CELLS for activation in (ACTIVATIONS if cell == "rnn" else ("tanh",))]


def example(cell, T=T, resets=False):
    rng = np.random.default_rng(11)
    gates, states = CELLS[cell].gates, CELLS[cell].states
    columns = {"weight_ih": (D,), "weight_hh": (H,)}
    shapes = {part: (gates * H, *columns.get(part, ())) for part in CELLS[cell].parts}
    params = {f"rnn.{name}_l0": rng.normal(0, 0.6, shape) for name, shape in shapes.items()}
    x, state = rng.normal(size=(T, B, D)), rng.normal(0, 0.5, (states, B, H))
    keep = (rng.random((T, B, 1)) < 0.6).astype(np.float64) if resets else None
    return params, x, state, keep, rng


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_gradients_by_input_state_and_parameters_are_derivatives(cell, activation, T, resets):
    """E = sum(y u) + sum(final v) with random u and v, so that the final state has its own gradient."""
    params, x, state, keep, rng = example(cell, T, resets)
    y, final, backprop = recurrent(params, "l0", cell, activation, x, state, keep)
    dy, dfinal = rng.normal(size=y.shape), rng.normal(size=final.shape)
    dx, dstate, grads = backprop(dy, dfinal)

    def energy():
        y, final, _ = recurrent(params, "l0", cell, activation, x, state, keep)
        return float((y * dy).sum() + (final * dfinal).sum())

    step = 1e-6
    assert grads.keys() == params.keys()
    for array, gradient in [(x, dx), (state, dstate), *((params[name], grads[name]) for name in params)]:
        expected = np.empty_like(array)
        for index in np.ndindex(array.shape):
            original = array[index]
            array[index] = original + step
            above = energy()
            array[index] = original - step
            expected[index] = (above - energy()) / (2 * step)
            array[index] = original
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=2e-8)


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_backward_in_chunks_equals_backward_in_one_piece(cell, activation, resets):
    """The gradient by the initial state of a chunk is passed to the chunk before it."""
    params, x, state, keep, rng = example(cell, resets=resets)
    y, final, backprop = recurrent(params, "l0", cell, activation, x, state, keep)
    dy, dfinal = rng.normal(size=y.shape), rng.normal(size=final.shape)
    dx, dstate, grads = backprop(dy, dfinal)

    parts, carried = [slice(0, 1), slice(1, 4), slice(4, T)], state
    callbacks = []
    for part in parts:
        y_part, carried, callback = recurrent(
            params, "l0", cell, activation, x[part], carried, None if keep is None else keep[part]
        )
        np.testing.assert_allclose(y_part, y[part], rtol=1e-12)
        callbacks.append(callback)
    np.testing.assert_allclose(carried, final, rtol=1e-12)

    total = {name: np.zeros_like(gradient) for name, gradient in grads.items()}
    back = dfinal
    for part, callback in zip(reversed(parts), reversed(callbacks), strict=True):
        dx_part, back, grads_part = callback(dy[part], back)
        np.testing.assert_allclose(dx_part, dx[part], rtol=1e-10, atol=1e-14)
        for name, gradient in grads_part.items():
            total[name] += gradient
    np.testing.assert_allclose(back, dstate, rtol=1e-10, atol=1e-14)
    for name, gradient in grads.items():
        np.testing.assert_allclose(total[name], gradient, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_ids_are_equivalent_to_one_hot_vectors(cell):
    params, _, state, keep, rng = example(cell)
    ids = rng.integers(0, D, (T, B))
    dy = rng.normal(size=(T, B, H))
    y, final, backprop = recurrent(params, "l0", cell, "tanh", ids, state, keep)
    y_onehot, final_onehot, backprop_onehot = recurrent(params, "l0", cell, "tanh", np.eye(D)[ids], state, keep)
    np.testing.assert_allclose(y, y_onehot, rtol=1e-12)
    np.testing.assert_allclose(final, final_onehot, rtol=1e-12)
    dx, _, grads = backprop(dy, None)
    assert dx is None
    for name, gradient in backprop_onehot(dy, None)[2].items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_distinct_inputs_with_their_places_equal_the_inputs_of_all_steps(cell, resets):
    params, _, state, keep, rng = example(cell, resets=resets)
    table, ids, scales = rng.normal(size=(9, D)), rng.integers(0, 7, (T, B)), rng.uniform(1, 2, 9)
    dy, dfinal = rng.normal(size=(T, B, H)), rng.normal(size=state.shape)
    rows, places, rows_backprop = distinct_rows(table, ids, scales)
    assert len(rows) == len(np.unique(ids))
    y, final, backprop = recurrent(params, "l0", cell, "tanh", rows, state, keep, places=places)
    x, lookup_backprop = lookup(table, ids)
    x, scales_backprop = scaled_tokens(x, ids, scales)
    y_of_steps, final_of_steps, backprop_of_steps = recurrent(params, "l0", cell, "tanh", x, state, keep)
    np.testing.assert_allclose(y, y_of_steps, rtol=1e-12)
    np.testing.assert_allclose(final, final_of_steps, rtol=1e-12)
    (drows, dstate, grads), (dx, dstate_of_steps, expected) = backprop(dy, dfinal), backprop_of_steps(dy, dfinal)
    np.testing.assert_allclose(dstate, dstate_of_steps, rtol=1e-10, atol=1e-14)
    by_table = lookup_backprop(scales_backprop(dx)).dense()
    np.testing.assert_allclose(rows_backprop(drows).dense(), by_table, rtol=1e-10, atol=1e-13)
    for name, gradient in expected.items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-10, atol=1e-13)


def test_a_single_id_can_be_looked_up():
    rows, places, backprop = distinct_rows(np.arange(8.0).reshape(4, 2), np.array([[2]]), None)
    np.testing.assert_array_equal(rows[places], [[[4, 5]]])
    np.testing.assert_array_equal(backprop(np.ones((1, 2))).dense(), np.eye(4)[:, [2, 2]])


@pytest.mark.parametrize("cell", CELLS)
def test_arguments_are_not_changed(cell):
    """If a layer wrote to its arguments or kept them, sampling could corrupt a training step."""
    params, x, state, keep, rng = example(cell, resets=True)
    copies = [array.copy() for array in (x, state, keep, *params.values())]
    y, _, backprop = recurrent(params, "l0", cell, "tanh", x, state, keep)
    dy = rng.normal(size=y.shape)
    dy_copy, first = dy.copy(), backprop(dy, None)
    recurrent(params, "l0", cell, "tanh", rng.normal(size=x.shape), state, None)
    second = backprop(dy, None)
    for array, copy in zip((x, state, keep, *params.values(), dy), (*copies, dy_copy), strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    for name, gradient in first[2].items():
        np.testing.assert_array_equal(gradient, second[2][name])


def test_lookup_equals_the_product_with_one_hot_vectors():
    rng = np.random.default_rng(12)
    table, ids, dy = rng.normal(size=(7, 3)), rng.integers(0, 7, (4, 5)), rng.normal(size=(4, 5, 3))
    y, backprop = lookup(table, ids)
    np.testing.assert_array_equal(y, np.eye(7)[ids] @ table)
    np.testing.assert_allclose(backprop(dy), np.einsum("tbv,tbd->vd", np.eye(7)[ids], dy), atol=1e-14)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    x = np.ones((100, 20, 30))
    y, backprop = dropout(x, rate, np.random.default_rng(13))
    assert set(np.unique(y.round(5))) == {0, round(1 / (1 - rate), 5)}
    spread = (rate * (1 - rate) / x.size) ** 0.5
    assert (y == 0).mean() == pytest.approx(rate, abs=4 * spread)
    assert y.mean() == pytest.approx(1, abs=4 * spread / (1 - rate))
    np.testing.assert_array_equal(backprop(x), y)  # backward drops the same units


def test_locked_dropout_drops_the_same_units_at_every_step():
    x = np.ones((50, 20, 300))
    y, backprop = dropout(x, 0.3, np.random.default_rng(13), locked=True)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))
    assert len({column.tobytes() for column in y[0]}) == 20  # different ones in every column
    assert y[0].mean() == pytest.approx(1, abs=4 * (0.3 / 0.7 / y[0].size) ** 0.5)
    np.testing.assert_array_equal(backprop(x), y)


def test_without_a_random_generator_or_a_rate_nothing_is_dropped():
    x = np.arange(6.0).reshape(1, 2, 3)
    for rate, rng in ((0.5, None), (0.0, np.random.default_rng(1))):
        y, backprop = dropout(x, rate, rng)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(backprop(2 * x), 2 * x)
