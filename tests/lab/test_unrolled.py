"""The unrolled network has the states and outputs of the network, and the parts of its sums add up."""

import numpy as np
import pytest

from rnnlm.lab.unrolled import argument, in_float64, output_matrix, slabs, unroll_sentence
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.text.vocabulary import BOS, EOS

V = 8
IDS = np.array([BOS, 3, 5, 4, 7, 3, EOS])


def make(bidirectional=False, **settings):
    config = NetworkConfig(V, hidden_size=4, bidirectional=bidirectional, **settings)
    kind = BidirectionalNetwork if bidirectional else Network
    network = kind.initialize(config, np.random.default_rng(0), "normal", dtype=np.float64)
    rng = np.random.default_rng(1)
    for array in network.params.values():
        array += rng.normal(0, 0.5, array.shape)
    return network


SHAPES = [{"cell": cell, **more} for cell in CELLS for more in ({}, {"num_layers": 2, "embedding_size": 3})]


@pytest.mark.parametrize("settings", SHAPES)
def test_steps_agree_with_reading_the_whole_sentence(settings):
    network = make(**settings)
    found = unroll_sentence(network, IDS)
    inputs = IDS[:-1, None]
    hidden, final, _ = network.hidden(inputs, network.zero_state(1))
    np.testing.assert_allclose([step.hidden[0, 0] for step in found.forward], hidden[:, 0])
    np.testing.assert_allclose(found.forward[-1].state, final)
    expected = np.exp(network.log_probabilities(inputs, network.zero_state(1))[0][:, 0])
    for place, output in enumerate(found.outputs):
        assert (output.step, output.label) == (place + 1, IDS[place + 1])
        assert output.probability == pytest.approx(expected[place, output.label])
        assert (output.best, output.best_probability) == (
            expected[place].argmax(),
            pytest.approx(expected[place].max()),
        )


@pytest.mark.parametrize("settings", SHAPES)
def test_outputs_of_a_bidirectional_network_depend_on_the_two_adjacent_states(settings):
    network = make(bidirectional=True, **settings)
    found = unroll_sentence(network, IDS)
    n = len(IDS) - 2
    assert len(found.forward) == len(found.backward) == len(found.outputs) == n
    assert [int(step.inputs[0, 0]) for step in found.forward] == IDS[:n].tolist()
    assert [int(step.inputs[0, 0]) for step in found.backward] == IDS[2:].tolist()
    keep = np.ones((len(IDS), 1, 2))
    for output in found.outputs:
        place = output.step - 1  # steps are numbered from 1
        expected = network.log_probabilities_at(IDS[:, None], np.array([place]))[0]
        assert output.label == IDS[place]
        assert np.log(output.probability) == pytest.approx(expected[output.label])
        before, after = found.forward[output.step - 2], found.backward[output.step + 1 - found.first_step("_reverse")]
        weights = output_matrix(network)[output.label]
        assert output.forward == pytest.approx(weights[:4] @ before.hidden[0, 0])
        assert output.backward == pytest.approx(weights[4:] @ after.hidden[0, 0])
    between, _ = network.between(IDS[:, None], keep)
    logits = between[:, 0] @ output_matrix(network).T + network.params["output.bias"]
    sums = [output.forward + output.backward + output.bias for output in found.outputs]
    np.testing.assert_allclose(sums, logits[np.arange(n), IDS[1:-1]])


def test_a_prediction_does_not_depend_on_the_predicted_word():
    network = make(bidirectional=True)
    other = IDS.copy()
    other[3] = 6
    for first, second in zip(
        unroll_sentence(network, IDS).outputs, unroll_sentence(network, other).outputs, strict=True
    ):
        assert (first.best_probability == second.best_probability) == (first.step == 4)


@pytest.mark.parametrize("direction", ["", "_reverse"])
@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "embedding_size": 3}])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_state_is_f_of_the_sum_of_the_shown_parts(activation, settings, direction):
    network = make(bidirectional=True, cell="rnn", activation=activation, **settings)
    found = unroll_sentence(network, IDS)
    steps = found.backward[::-1] if direction else found.forward
    for number, step in enumerate(steps):
        for layer in range(network.config.num_layers):
            total = np.sum(argument(network, steps, number, layer, direction), axis=0)
            state = ACTIVATIONS[activation][0](total, np.empty_like(total))
            np.testing.assert_allclose(state, step.state[0, layer, 0])


def test_an_adaptive_output_is_not_shown_as_a_sum():
    network = make(output="adaptive", cutoffs=(5,))
    (first, *_) = unroll_sentence(network, IDS).outputs
    assert (first.forward, first.backward, first.bias) == (None, None, None)
    assert 0 < first.probability < 1


def test_a_tied_matrix_is_embedding_and_output():
    network = make(tied=True, embedding_size=4)
    assert output_matrix(network) is network.params["embedding.weight"]


@pytest.mark.parametrize("cell", CELLS)
def test_every_slab_has_a_name(cell):
    assert len(slabs(NetworkConfig(V, cell))) == CELLS[cell].gates


def test_in_float64_copies_the_network():
    network = Network.initialize(NetworkConfig(V, hidden_size=4), np.random.default_rng(0))
    other = in_float64(network)
    for name, array in network.params.items():
        assert (array.dtype, other.params[name].dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(array, other.params[name])
