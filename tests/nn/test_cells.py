"""Relations between cells."""

import numpy as np
import pytest

from rnnlm.nn.cells import CELLS


@pytest.mark.parametrize("resets", [False, True])
def test_the_cifg_cell_is_an_lstm_with_tied_input_and_forget_gates(resets):
    """1 - sigmoid(a) = sigmoid(-a): outputs are equal, and gradients are the sums of those of both gates."""
    T, B, H, rng = 5, 4, 3, np.random.default_rng(1)
    keep = rng.integers(0, 2, (T, B, 1)).astype(float) if resets else None
    gates, weight, bias = rng.normal(size=(T, B, 3 * H)), rng.normal(size=(3 * H, H)), rng.normal(size=3 * H)
    state, dy, dstate = rng.normal(size=(2, B, H)), rng.normal(size=(T, B, H)), rng.normal(size=(2, B, H))

    def run(cell, expand):
        arrays = [expand(gates), expand(weight.T).T, expand(bias), 0 * expand(bias), state.copy()]
        y, final, trace = CELLS[cell].forward(*map(np.ascontiguousarray, arrays), keep, "tanh")
        return y.copy(), final, CELLS[cell].backward(dy.copy(), dstate.copy(), trace)

    coupled = run("cifg", np.copy)
    lstm = run("lstm", lambda array: np.concatenate([-array[..., :H], array], axis=-1))
    np.testing.assert_allclose(coupled[0], lstm[0])
    np.testing.assert_allclose(coupled[1], lstm[1])
    by_input, rest = np.split(lstm[2].input_gates, [H], axis=2)
    rest[..., :H] -= by_input
    np.testing.assert_allclose(coupled[2].input_gates, rest)
    np.testing.assert_allclose(coupled[2].state, lstm[2].state)
