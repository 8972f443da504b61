"""Every gradient is compared with finite differences; the check itself is tested on networks with wrong gradients."""

import itertools
from functools import partial

import numpy as np
import pytest

from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradient_check import central_difference, check_gradients
from rnnlm.nn.gradients import dense
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.outputs import LOSSES

V, H, B = 6, 4, 3
# Only the basic cell has a choice of activations.
KINDS = [(cell, activation) for cell in CELLS for activation in (ACTIVATIONS if cell == "rnn" else ("tanh",))]
LOSS_NAMES = list(LOSSES)


class DroppingNetwork(Network):
    """A network that always drops the same units, so that its loss is a function of its parameters."""

    def loss(self, inputs, targets, state, keep=None, rng=None, *others, **more):
        more["shared"] = self.config.shared_masks([9], state.dtype)
        return super().loss(inputs, targets, state, keep, np.random.default_rng(8), *others, **more)


def example(cell="lstm", activation="tanh", layers=1, T=5, embedding_size=3, resets=False, **options):
    rng = np.random.default_rng(5)
    config = NetworkConfig(V, cell, activation, H, layers, embedding_size, **options)
    params = {name: rng.normal(0, 0.6, shape) for name, shape in config.shapes().items()}
    network = (DroppingNetwork if options else Network)(config, params)
    state = rng.normal(0, 0.5, network.zero_state(B).shape)
    inputs, targets = rng.integers(0, V, (2, T, B))
    keep = None
    if resets:
        keep = (rng.random((T, B, 1)) < 0.6).astype(np.float64)
        keep[0, :2, 0] = 0, 1  # at the start too, but not in every column
    return network, inputs, targets, state, rng, keep


def worst(comparisons):
    return max(comparisons, key=lambda each: each.relative_error)


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_backpropagation_gives_the_derivative(cell, activation, layers, T):
    for resets, embedding_size in itertools.product((False, True), (0, 3)):
        objective = LOSS_NAMES[(resets + (embedding_size > 0)) % len(LOSS_NAMES)]  # combined in turn
        arguments = example(cell, activation, layers, T, embedding_size, resets)
        comparisons = check_gradients(*arguments, objective=objective, directions=1)
        assert {each.name for each in comparisons} == {*arguments[0].params, "initial_state"}
        assert worst(comparisons).relative_error < 1e-6, (embedding_size, resets, objective, worst(comparisons))


DROPPING = [
    {"dropout": 0.4},
    {"dropout": 0.4, "locked_dropout": True},
    {"dropout": 0.4, "input_dropout": 0.2},
    {"dropout": 0.4, "input_dropout": 0.2, "shared_input_dropout": True},
    {"weight_dropout": 0.4},
    {"embedding_dropout": 0.4},
    {"dropout": 0.3, "locked_dropout": True, "weight_dropout": 0.3, "embedding_dropout": 0.3},
]


@pytest.mark.parametrize("options", DROPPING, ids=str)
@pytest.mark.parametrize("embedding_size", [0, 3])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_backpropagation_through_dropout_gives_the_derivative(cell, activation, embedding_size, options):
    arguments = example(cell, activation, 2, 5, embedding_size, resets=True, **options)
    network, inputs, targets, state, _, keep = arguments
    undropped = Network.loss(network, inputs, targets, state, keep)[0]
    drops = CELLS[cell].recurrent or options.keys() != {"weight_dropout"}
    assert (network.loss(inputs, targets, state, keep)[0].nats != undropped.nats) == drops
    assert worst(check_gradients(*arguments, directions=1)).relative_error < 1e-6


@pytest.mark.parametrize("embedding_size", [0, 3])
def test_backpropagation_of_smoothed_labels_gives_the_derivative(embedding_size):
    arguments = example("gru", layers=2, embedding_size=embedding_size, resets=True)
    arguments[0].loss = partial(arguments[0].loss, smoothing=0.3)
    assert worst(check_gradients(*arguments, directions=1)).relative_error < 1e-6


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("embedding_size", [0, 3])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_every_derivative_agrees_with_the_plain_difference_quotient(cell, activation, embedding_size, objective):
    """Independently of `gradient_check`: (E(w + h) - E(w - h)) / 2h for each parameter of a small network."""
    network, inputs, targets, state, _, keep = example(cell, activation, 1, 3, embedding_size, resets=True)
    grads = network.loss(inputs, targets, state, keep, objective=objective)[2]()
    step = 1e-6
    for name, array in {**network.params, "initial_state": state}.items():
        expected = np.empty_like(array)
        for index in np.ndindex(array.shape):
            original, losses = array[index], []
            for changed in (original + step, original - step):
                array[index] = changed
                losses.append(network.loss(inputs, targets, state, keep, objective=objective)[0].objective)
            array[index] = original
            expected[index] = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(grads[name], expected, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_single_entries_are_compared_on_request(cell):
    arguments = example(cell)
    comparisons = check_gradients(*arguments, directions=0, entries=4)
    parameter_count = len(arguments[0].params) + 1
    assert len({(each.name, each.entry) for each in comparisons}) == 4 * parameter_count
    for each in comparisons:
        assert each.actual == pytest.approx(each.expected, rel=1e-6, abs=1e-9)


def test_the_central_difference_of_a_known_function_is_right():
    x, direction = np.array([0.3, -1.2]), np.array([0.6, 0.8])
    expected = np.cos(x) @ direction
    found = central_difference(lambda: float(np.sin(x).sum()), x, direction)
    assert found == pytest.approx(expected, rel=1e-10)
    np.testing.assert_array_equal(x, [0.3, -1.2])


def test_checking_does_not_change_the_network():
    network, inputs, targets, state, rng, keep = example()
    before = {name: array.copy() for name, array in network.params.items()}
    state_before = state.copy()
    check_gradients(network, inputs, targets, state, rng, keep, entries=2)
    np.testing.assert_array_equal(state, state_before)
    for name, array in network.params.items():
        np.testing.assert_array_equal(array, before[name])


# Wrong gradients are found


class SabotagedNetwork(Network):
    """A network with a slightly wrong gradient."""

    wrong, how = "", staticmethod(lambda gradient: gradient)

    def loss(self, *arguments, **options):
        loss, state, backprop = super().loss(*arguments, **options)

        def wrong_backprop():
            grads = dense(backprop())
            return grads | {self.wrong: self.how(grads[self.wrong])}

        return loss, state, wrong_backprop


WRONG = {
    "a ten-thousandth too large": lambda gradient: gradient * 1.0001,
    "of the wrong sign": lambda gradient: -gradient,
    "shifted by one": lambda gradient: np.roll(gradient, 1),
    "missing": np.zeros_like,
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("cell", CELLS)
def test_a_wrong_gradient_is_found_and_named(cell, how):
    network, *arguments = example(cell, T=2)
    for wrong in (*network.params, "initial_state"):
        sabotaged = SabotagedNetwork(network.config, network.params)
        sabotaged.wrong, sabotaged.how = wrong, WRONG[how]
        comparisons = check_gradients(sabotaged, *arguments, directions=1)
        assert {each.name for each in comparisons if each.relative_error > 1e-6} == {wrong}


def test_the_bug_of_the_article_is_found(monkeypatch):
    """The faulty backward pass multiplies by s = f(a) instead of f'(a)."""
    monkeypatch.setitem(ACTIVATIONS, "tanh", (ACTIVATIONS["tanh"][0], lambda s, out: np.copyto(out, s)))
    found = {each.name for each in check_gradients(*example("rnn")) if each.relative_error > 1e-3}
    assert found == {name for name in example("rnn")[0].params if "output" not in name} | {"initial_state"}


@pytest.mark.parametrize("cell", CELLS)
def test_a_backward_pass_that_stops_after_one_step_is_found(cell, monkeypatch):
    """The faulty backward pass is right for T = 1 and wrong for T = 2."""
    genuine = CELLS[cell].backward

    def forgetful(dh, dstate, trace):
        gradients = genuine(dh, dstate, trace)
        gradients.input_gates[:-1] = 0
        return gradients

    monkeypatch.setitem(CELLS, cell, CELLS[cell]._replace(backward=forgetful))
    assert worst(check_gradients(*example(cell, T=1))).relative_error < 1e-6
    assert worst(check_gradients(*example(cell, T=2))).relative_error > 1e-3
