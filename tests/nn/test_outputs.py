"""The output layer is a distribution, its losses are sums over tokens, and blocks do not show."""

import numpy as np
import pytest

from rnnlm.nn import outputs
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer
from rnnlm.nn.outputs import LOSSES, OUTPUTS

N, V, H = 23, 11, 5


def make(kind, dtype=np.float64, scale=1.0):
    rng = np.random.default_rng(1)
    output = OUTPUTS[kind]
    params = {name: scale * rng.normal(size=shape).astype(dtype) for name, shape in output.shapes(V, H).items()}
    return output, params, rng.normal(size=(N, H)).astype(dtype), rng.integers(0, V, N)


def numerical_gradient(function, array, step=1e-5):
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        original = array[index]
        array[index] = original + step
        above = function()
        array[index] = original - step
        gradient[index] = (above - function()) / (2 * step)
        array[index] = original
    return gradient


@pytest.mark.parametrize("scale", [1, 1000])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_probabilities_sum_to_one(kind, scale):
    output, params, hidden, _ = make(kind, scale=scale)
    probabilities = np.exp(output.log_probabilities(params, hidden))
    assert probabilities.shape == (N, V)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-10)


@pytest.mark.parametrize("scale", [1, 1000])  # with 1000 most probabilities are far below the smallest number
@pytest.mark.parametrize("kind", OUTPUTS)
def test_nats_are_the_log_probabilities_of_the_targets(kind, scale):
    output, params, hidden, targets = make(kind, scale=scale)
    expected = -output.log_probabilities(params, hidden)[np.arange(N), targets]
    np.testing.assert_allclose(output.nats(params, hidden, targets), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_nats_of_the_loss_are_the_sum_of_all_nats_whatever_is_minimised(kind, objective):
    output, params, hidden, targets = make(kind)
    loss, _ = output.loss(params, hidden, targets, objective, 1.0)
    assert loss.nats == pytest.approx(output.nats(params, hidden, targets).sum(), rel=1e-12)
    assert loss.tokens == N


@pytest.mark.parametrize("kind", OUTPUTS)
def test_what_is_minimised(kind):
    output, params, hidden, targets = make(kind)
    error = np.exp(output.log_probabilities(params, hidden)) - np.eye(V)[targets]
    loss, _ = output.loss(params, hidden, targets, "cross-entropy", 1.0)
    assert loss.objective == loss.nats
    loss, _ = output.loss(params, hidden, targets, "mse", 1.0)
    assert loss.objective == pytest.approx(np.square(error).sum() / 2, rel=1e-12)


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_gradients_are_the_derivatives_of_the_scaled_objective(kind, objective):
    output, params, hidden, targets = make(kind)
    dhidden, grads = output.loss(params, hidden, targets, objective, 0.25)[1]()

    def function():
        return 0.25 * output.loss(params, hidden, targets, objective, 1.0)[0].objective

    np.testing.assert_allclose(dhidden, numerical_gradient(function, hidden), atol=1e-8)
    assert grads.keys() == params.keys()
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, numerical_gradient(function, params[name]), atol=1e-8)


@pytest.mark.parametrize("block", [1, V, 3 * V + 2, N * V])
@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_block_by_block_equals_the_whole(kind, objective, block, monkeypatch):
    output, params, hidden, targets = make(kind)
    loss, backprop = output.loss(params, hidden, targets, objective, 0.5)
    nats = output.nats(params, hidden, targets)
    monkeypatch.setattr(outputs, "BLOCK", block)
    loss_by_block, backprop_by_block = output.loss(params, hidden, targets, objective, 0.5)
    assert loss_by_block == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(output.nats(params, hidden, targets), nats, rtol=1e-12)
    (dhidden, grads), (dhidden_by_block, grads_by_block) = backprop(), backprop_by_block()
    np.testing.assert_allclose(dhidden_by_block, dhidden, rtol=1e-10, atol=1e-14)
    for name, gradient in grads.items():
        np.testing.assert_allclose(grads_by_block[name], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_kind_of_numbers_stays(kind, objective, dtype):
    output, params, hidden, targets = make(kind, dtype)
    dhidden, grads = output.loss(params, hidden, targets, objective, 1 / N)[1]()
    found = [dhidden, *grads.values(), output.nats(params, hidden, targets), output.log_probabilities(params, hidden)]
    assert {array.dtype for array in found} == {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("objective", LOSSES)
def test_a_token_with_a_bias_of_minus_ten_thousand_does_not_exist(objective, dtype):
    rng = np.random.default_rng(4)
    bias = np.zeros(V)
    bias[0] = -1e4
    config = NetworkConfig(V, cell="rnn", hidden_size=H, embedding_size=3)
    network = Network.initialize(config, rng, output_bias=bias, dtype=dtype)
    inputs, targets, state = rng.integers(0, V, (4, 6)), rng.integers(1, V, (4, 6)), network.zero_state(6)
    log_probabilities, _ = network.log_probabilities(inputs, state)
    assert (np.exp(log_probabilities[:, :, 0]) == 0).all()
    grads = network.loss(inputs, targets, state, objective=objective)[2]()
    assert np.abs(grads["output.weight"][0]).max() < 1e-30
    assert np.abs(grads["output.bias"][0]) < 1e-30
    assert np.abs(grads["output.bias"][1:]).min() > 1e-5
    for name, kind in OPTIMIZERS.items():
        params = {key: array.copy() for key, array in network.params.items()}
        optimizer = Optimizer(name, params)
        for _ in range(3):
            optimizer.step(params, grads, kind.default_lr)
        decayed = (1 - kind.default_lr * kind.settings.get("weight_decay", 0)) ** 3
        np.testing.assert_allclose(params["output.weight"][0], network.params["output.weight"][0] * decayed, rtol=1e-6)
        np.testing.assert_allclose(params["output.bias"][0], -1e4 * decayed, rtol=1e-6)
