"""Contributions of each step to the gradient of W: the article's outer products, which add up to the gradient."""

import numpy as np
import pytest

from rnnlm.lab.backpropagation import CHECKED_ENTRIES, FEWEST_ENTRIES, backpropagate
from rnnlm.lab.gradient_flow import fresh_network
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import dense
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.outputs import LOSSES

V = 8
INPUTS, TARGETS = np.array([0, 3, 5, 4, 7]), np.array([3, 5, 4, 7, 1])
CONFIGS = [
    *(NetworkConfig(V, "rnn", activation, hidden_size=3) for activation in ACTIVATIONS),
    *(NetworkConfig(V, cell, hidden_size=3, num_layers=2, embedding_size=2) for cell in CELLS if CELLS[cell].recurrent),
]


def run(config, **settings):
    network = fresh_network(config, "uniform", 1)
    rng = np.random.default_rng(2)
    for array in network.params.values():
        array += rng.normal(0, 0.3, array.shape)
    return network, backpropagate(network, INPUTS, TARGETS, np.random.default_rng(0), **settings)


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_the_steps_add_up_to_the_numerical_gradient(config, last_only, objective):
    _, found = run(config, last_only=last_only, objective=objective)
    assert found.worst < 1e-7
    for layer in range(config.num_layers):
        total = sum(step.w_gradients[layer] for step in found.steps)
        np.testing.assert_allclose(total, found.w_gradients[layer], atol=1e-14)
        assert np.abs(total).max() > 1e-6, "a gradient that vanishes shows nothing"
        places = [entry.place for entry in found.entries if entry.layer == layer]
        assert len(set(places)) == len(places) == min(total.size, CHECKED_ENTRIES)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_steps_add_up_to_the_gradient_of_training(config):
    network, found = run(config)
    loss, _, backprop = network.loss(INPUTS[:, None], TARGETS[:, None], network.zero_state(1))
    grads = backprop()
    assert found.objective == pytest.approx(loss.objective)
    assert sum(step.nats for step in found.steps) == pytest.approx(loss.nats)
    for layer in range(config.num_layers):
        np.testing.assert_allclose(found.w_gradients[layer], grads[f"rnn.weight_hh_l{layer}"], atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_step_follows_the_articles_formulas(activation):
    """delta_{t-1} = (W^T delta_t) f'(a_{t-1}) holds if E is the loss of the last step alone."""
    network, found = run(NetworkConfig(V, "rnn", activation, hidden_size=3), last_only=True)
    W = network.params["rnn.weight_hh_l0"]
    for t, step in enumerate(found.steps):
        np.testing.assert_allclose(step.w_gradients[0], np.outer(step.deltas[0], step.step.before[0, 0, 0]))
        if t:
            before = found.steps[t - 1]
            s = before.step.state[0, 0, 0]
            derivative = ACTIVATIONS[activation][1](s, np.empty_like(s))
            np.testing.assert_allclose(before.deltas[0], W.T @ step.deltas[0] * derivative)


def test_outputs_are_distributions_with_their_losses():
    _, found = run(NetworkConfig(V, "rnn", hidden_size=3))
    for step in found.steps:
        assert step.output.sum() == pytest.approx(1)
        assert step.nats == pytest.approx(-np.log(step.output[step.target]))


def test_a_wrong_derivative_is_detected(monkeypatch):
    function, _ = ACTIVATIONS["tanh"]
    monkeypatch.setitem(ACTIVATIONS, "tanh", (function, lambda s, out: np.copyto(out, s) or out))
    monkeypatch.setenv("RNNLM_KERNELS", "numpy")
    _, found = run(NetworkConfig(V, "rnn", hidden_size=3))
    assert found.worst > 1e-3
    assert not found.agrees(1e-6)


def test_rounding_errors_of_a_large_loss_are_tolerated():
    """The gradient is tiny compared with E, so its difference quotient has few correct digits."""
    config = NetworkConfig(2000, "lstm", hidden_size=16)
    network = fresh_network(config, "article", 0)
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 2000, 41)
    found = backpropagate(network, ids[:-1], ids[1:], rng)
    assert found.worst > 1e-6, "it would have been called wrong"
    assert found.agrees(1e-6)


def test_fewer_entries_are_compared_for_a_large_network(monkeypatch):
    monkeypatch.setattr("rnnlm.lab.backpropagation.MULTIPLICATIONS", 1e3)
    _, found = run(NetworkConfig(V, "gru", hidden_size=9, num_layers=2))
    assert len(found.entries) == 2 * FEWEST_ENTRIES
    assert found.worst < 1e-7


def test_the_numerical_gradient_is_computed_whole_or_not_at_all():
    _, small = run(NetworkConfig(V, "rnn", hidden_size=3))
    np.testing.assert_allclose(small.numerical(0), small.w_gradients[0], rtol=1e-6, atol=1e-9)
    _, large = run(NetworkConfig(V, "rnn", hidden_size=9))
    assert large.numerical(0) is None


@pytest.mark.parametrize("config", CONFIGS)
def test_the_gradients_of_u_and_v_are_sums_over_the_steps(config):
    network, found = run(config)
    _, _, backprop = network.loss(INPUTS[:, None], TARGETS[:, None], network.zero_state(1))
    grads = dense(backprop())
    for layer in range(config.num_layers):
        of_training = grads[f"rnn.weight_ih_l{layer}"]
        np.testing.assert_allclose(found.u_total(layer), of_training, atol=1e-14)
        np.testing.assert_allclose(sum(step.u_gradient(layer) for step in found.steps), of_training, atol=1e-14)
    np.testing.assert_allclose(found.v_total(), grads["output.weight"], atol=1e-14)
    np.testing.assert_allclose(sum(step.v_gradient() for step in found.steps), grads["output.weight"], atol=1e-14)
    for step in found.steps:
        assert step.v_norm() == pytest.approx(np.linalg.norm(step.v_gradient()))
        assert step.u_norm(0) == pytest.approx(np.linalg.norm(step.u_gradient(0)))


def test_with_the_last_loss_alone_v_has_a_gradient_at_the_last_step_only():
    _, found = run(CONFIGS[0], last_only=True)
    assert [bool(step.v_gradient().any()) for step in found.steps] == [False] * 4 + [True]
    assert all(step.u_gradient(0).any() for step in found.steps)


def test_sums_too_large_to_be_shown_are_not_computed(monkeypatch):
    monkeypatch.setattr("rnnlm.lab.backpropagation.LARGEST_SUM", 1)
    _, found = run(CONFIGS[0])
    assert found.u_total(0) is None
    assert found.v_total() is None
