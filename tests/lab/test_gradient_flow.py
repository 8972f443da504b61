"""The error of one step, propagated back: against finite differences, the article's bound and the spectral radius."""

import tracemalloc

import numpy as np
import pytest

from rnnlm.errors import CorpusError
from rnnlm.lab.gradient_flow import (
    FAMILIES,
    LARGEST_DERIVATIVE,
    Clipping,
    GradientFlow,
    error_terms,
    fresh_network,
    gradient_flow,
    gradient_norms,
    least_memory,
    places,
    relu_beside_tanh,
    spectral_radius,
    states_before,
)
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradient_check import central_difference
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.text.batches import Batches
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.vocabulary import BOS, EOS

V = 12
NETWORKS = [
    *(NetworkConfig(V, "rnn", activation, hidden_size=5) for activation in ACTIVATIONS),
    *(NetworkConfig(V, cell, hidden_size=5) for cell in CELLS if cell != "rnn"),
    *(NetworkConfig(V, cell, hidden_size=5, num_layers=2, embedding_size=4) for cell in CELLS),
]


def text(length=400, seed=0):
    return np.random.default_rng(seed).integers(3, V, length).astype(np.int32)


def sentences(*lengths):
    """Return ids of sentences with the given lengths, </s> included."""
    ids = text(sum(lengths))
    ids[np.cumsum(lengths) - 1] = EOS
    return ids


def flow(config, init="xavier", radius=None, distance=40, count=20, seed=0, length=3000):
    network = fresh_network(config, init, seed, radius)
    return gradient_flow("", network, places(text(length), "stream", count, distance)).layers


# --- against finite differences


@pytest.mark.parametrize("context", ["stream", "sentence"])
@pytest.mark.parametrize("config", NETWORKS)
def test_terms_are_derivatives_of_the_loss_by_earlier_states(config, context):
    rng = np.random.default_rng(1)
    network = fresh_network(config, "uniform", 1)
    for name in network.params:
        network.params[name] += rng.normal(0, 0.3, network.params[name].shape)
    found = places(sentences(*[9] * 20), context, 3, 6)
    steps, _ = states_before(network, found)
    terms = list(error_terms(network, steps, found.targets))
    assert len(terms) == 7
    for back in (1, 2, 6):
        state = steps[-back].before.copy()
        inputs = found.inputs[-back:]
        keep = None if found.keep is None else found.keep[-back:]
        for column in range(3):
            targets = np.tile(found.targets, (back, 1))

            def loss(inputs=inputs, targets=targets, state=state, keep=keep, column=column):
                return float(network.nats(inputs, targets, state, keep)[0][-1, column])

            direction = rng.normal(0, 1, state.shape)
            expected = central_difference(loss, state, direction)
            actual = float((terms[back] * direction)[:, :, column].sum())
            assert actual == pytest.approx(expected, rel=1e-6, abs=1e-10)


def test_norms_are_those_of_the_terms():
    config = NetworkConfig(V, "lstm", hidden_size=5, num_layers=2, embedding_size=4)
    network, found = fresh_network(config, "uniform", 0), places(text(), "stream", 4, 7)
    layers = gradient_flow("", network, found).layers
    terms = np.array(list(error_terms(network, states_before(network, found)[0], found.targets)))
    for layer in range(2):
        both = np.sqrt(np.square(terms[:, :, layer]).sum(axis=(1, 3)))  # over h and c, (D + 1, B)
        np.testing.assert_allclose(layers[layer].norms, both.mean(axis=1))
        np.testing.assert_allclose(layers[layer].lowest, both.min(axis=1))
        np.testing.assert_allclose(layers[layer].highest, both.max(axis=1))
        by_c = np.linalg.norm(terms[:, 1, layer], axis=2).mean(axis=1)
        np.testing.assert_allclose(layers[layer].by_c, by_c)
    assert layers[0].norms[0] == 0 < layers[1].norms[0]


# --- the bound and the spectral radius


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("radius", [0.4, 1.0, 1.6])
def test_no_gradient_exceeds_the_bound(activation, radius, num_layers):
    config = NetworkConfig(V, "rnn", activation, hidden_size=8, num_layers=num_layers)
    layer = flow(config, radius=radius)[-1]
    assert (layer.norms <= layer.bound * (1 + 1e-9)).all(), "the mean"
    assert (layer.highest <= layer.highest[0] * layer.bound / layer.bound[0] * (1 + 1e-9)).all(), "every place"
    assert layer.bound[1] == pytest.approx(layer.norms[0] * layer.weight_norms[""] * LARGEST_DERIVATIVE[activation])


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_the_bound_is_attained(activation):
    """With an orthogonal W, equality holds if f' is 1 everywhere."""
    network = fresh_network(NetworkConfig(V, "rnn", activation, hidden_size=6), "orthogonal", 0, 0.8)
    if activation == "relu":  # positive weights and inputs keep every unit on
        network.params["rnn.weight_hh_l0"] = 0.8 * np.eye(6)
        network.params["rnn.weight_ih_l0"] = np.abs(network.params["rnn.weight_ih_l0"])
        for name in ("rnn.bias_ih_l0", "rnn.bias_hh_l0"):
            network.params[name] = np.full(6, 0.1)
    (layer,) = gradient_flow("", network, places(text(), "stream", 5, 30)).layers
    np.testing.assert_allclose(layer.norms, layer.bound)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_constant_for_the_largest_derivative_is_right(activation):
    function, derivative = ACTIVATIONS[activation]
    s = function(np.linspace(-9, 9, 2001), np.empty(2001))
    assert derivative(s, np.empty_like(s)).max() == pytest.approx(LARGEST_DERIVATIVE[activation])


def test_gated_cells_and_lower_layers_have_no_bound():
    assert [layer.bound for layer in flow(NetworkConfig(V, "gru", hidden_size=4), distance=3)] == [None]
    below, top = flow(NetworkConfig(V, "rnn", hidden_size=4, num_layers=2), distance=3)
    assert below.bound is None
    assert top.bound is not None


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.1, 1.5])
def test_gradients_of_a_linear_network_change_by_the_spectral_radius_per_step(radius):
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=16), "orthogonal", radius)
    assert layer.measured_factor == pytest.approx(radius, rel=1e-9), "an orthogonal W is exact"
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=64), "xavier", radius, distance=60)
    assert layer.measured_factor == pytest.approx(radius, rel=0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [0.3, 0.7, 1.0, 2.0, 3.0])
def test_gradients_of_a_new_tanh_network_change_as_predicted(radius, seed):
    (layer,) = flow(NetworkConfig(V, "rnn", hidden_size=96), radius=radius, distance=60, seed=seed)
    assert layer.radii[""] == pytest.approx(radius)
    assert layer.measured_factor == pytest.approx(layer.predicted_factor, rel=0.1)
    if radius < 1:
        assert layer.measured_factor == pytest.approx(radius, rel=0.1), "f' is nearly 1"
        assert layer.norms[-1] < 1e-6 * layer.norms[1]
    if radius > 1:
        assert layer.measured_factor > 1.08
        assert layer.norms[-1] > 100 * layer.norms[1]


@pytest.mark.parametrize(("init", "above_from"), [("uniform", 2), ("xavier", 20)])
def test_the_lstm_keeps_more_of_the_gradient_than_basic_cells(init, above_from):
    """With PyTorch's default weights at once; if W has spectral radius 1, tanh keeps up for some steps."""
    by_family = {
        name: flow(NetworkConfig(V, cell, activation, hidden_size=64), init, distance=50)[0]
        for name, (cell, activation) in FAMILIES.items()
    }
    shares = {name: layer.norms / layer.norms[1] for name, layer in by_family.items()}
    lstm = by_family["lstm"].survives(0.1)
    for name in ("tanh", "relu", "sigmoid"):
        assert (shares["lstm"][above_from:] > shares[name][above_from:]).all()
        assert lstm is None or lstm > by_family[name].survives(0.1)


def test_the_families_include_every_cell():
    assert {cell for cell, _ in FAMILIES.values()} == set(CELLS)


@pytest.mark.parametrize("seed", range(3))
def test_relu_keeps_less_than_tanh_because_half_of_its_units_are_off(seed):
    """A W that is larger by that factor makes up for it, and the identity as W keeps more."""
    relu, tanh = (NetworkConfig(V, "rnn", activation, hidden_size=96) for activation in ("relu", "tanh"))
    (worse,), (better,) = flow(relu, "uniform", seed=seed), flow(tanh, "uniform", seed=seed)
    assert worse.rms_derivative**2 == pytest.approx(0.5, abs=0.06)
    assert worse.measured_factor == pytest.approx(0.5**0.5 * better.measured_factor, rel=0.1)
    scaled = worse.radii[""] * better.rms_derivative / worse.rms_derivative
    (equal,) = flow(relu, "uniform", scaled, seed=seed)
    assert equal.measured_factor == pytest.approx(better.measured_factor, rel=0.1)
    (identity,) = flow(relu, "identity", seed=seed)
    assert identity.rms_derivative**2 > 0.8
    assert identity.measured_factor > 0.95


def test_the_explanation_of_relu_follows_the_measurements():
    def flows(*networks):
        return [
            GradientFlow(name, config, flow(config, init, radius, distance=20), 1)
            for name, config, init, radius in networks
        ]

    relu, tanh = (NetworkConfig(V, "rnn", activation, hidden_size=96) for activation in ("relu", "tanh"))
    both = [("tanh", tanh, "uniform", None), ("relu", relu, "uniform", None)]
    found = flows(*both)
    off = 1 - found[1].layers[0].rms_derivative ** 2
    assert relu_beside_tanh(found).off == pytest.approx(off)
    assert relu_beside_tanh(found).off_with_identity is None
    with_identity = relu_beside_tanh(flows(*both, ("relu identity", relu, "identity", None)))
    assert with_identity.off_with_identity < off, "a unit that is on stays on"
    assert relu_beside_tanh(flows(both[0], ("relu", relu, "uniform", 2.0))) is None, "it keeps more"
    assert relu_beside_tanh(found[:1]) is None


def test_the_spectral_radius_is_the_largest_absolute_eigenvalue():
    assert spectral_radius(np.array([[0.0, 2.0], [-2.0, 0.0]])) == pytest.approx(2)
    assert spectral_radius(np.array([[0.5, 100.0], [0.0, -0.7]])) == pytest.approx(0.7)


@pytest.mark.parametrize("cell", CELLS)
def test_every_slab_is_scaled_to_the_radius(cell):
    (layer,) = flow(NetworkConfig(V, cell, hidden_size=6), radius=0.8, distance=2)
    assert list(layer.radii.values()) == pytest.approx([0.8] * CELLS[cell].gates * CELLS[cell].recurrent)


def test_survives_counts_the_steps_until_a_share_is_left():
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=8), "orthogonal", 0.5, distance=20)
    # shares: 1 after one step back, 0.5 after two, 0.25 after three, 0.125 after four, 0.0625 after five
    assert layer.survives(0.1) == 4
    assert layer.survives(0.01) == 7
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=8), "orthogonal", 0.999, distance=20)
    assert layer.survives(0.1) is None


def test_norms_whose_squares_underflow_keep_their_digits():
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=8), "orthogonal", 0.5, distance=900)
    np.testing.assert_allclose(layer.norms[1:] / layer.norms[1], 0.5 ** np.arange(900), rtol=1e-9)
    (layer,) = flow(NetworkConfig(V, "rnn", "tanh", hidden_size=8), "article", distance=60)
    assert layer.measured_factor == pytest.approx(layer.predicted_factor, rel=0.2), "not 0"


def test_if_the_first_step_back_is_zero_no_share_survives():
    (layer,) = flow(NetworkConfig(V, "rnn", hidden_size=8), "orthogonal", 1e9, distance=10)
    assert layer.norms[1] == 0
    assert np.isnan(layer.shares).all()
    assert (layer.survives(0.1), layer.survives(0.01)) == (0, 0)


def test_overflow_and_underflow_are_not_errors():
    (layer,) = flow(NetworkConfig(V, "rnn", "identity", hidden_size=8), "orthogonal", 1e9, distance=60)
    assert np.isinf(layer.norms[-1])
    assert layer.survives(0.1) is None
    (layer,) = flow(NetworkConfig(V, "rnn", hidden_size=8), "orthogonal", 1e9, distance=60)
    assert layer.norms[-1] == 0, "every unit is saturated: f' is 0"
    assert layer.measured_factor is None


@pytest.mark.parametrize("cell", CELLS)
def test_the_memory_estimate_is_a_lower_bound(cell):
    """The traces of all steps need more than the estimate, but not three times as much."""
    config = NetworkConfig(V, cell, hidden_size=64, num_layers=2)
    network, found = fresh_network(config, "uniform", 0), places(text(), "stream", 50, 40)
    tracemalloc.start()
    steps, _ = states_before(network, found)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    taken += sum(array.nbytes for array in network.params.values())
    assert len(steps) == 40
    assert taken / 3 < least_memory(config, found) <= taken


# --- places


def test_places_are_spread_over_the_text_with_enough_steps_before_them():
    ids = np.arange(3, 503, dtype=np.int32)  # every id once, so that an id tells its place
    found = places(ids, "stream", 5, 50)
    assert found.keep is None
    assert found.inputs.shape == (150, 5)
    np.testing.assert_array_equal(found.inputs[-1], found.targets - 1)
    assert (np.diff(found.inputs[1:], axis=0) == 1).all()
    assert found.targets.tolist() == sorted(set(found.targets.tolist()))
    assert found.targets[-1] == 502


def test_places_in_sentences_have_all_their_steps_in_the_sentence():
    found = places(sentences(4, 9, 3, 8, 12), "sentence", 10, 7)
    assert len(found.targets) == 2 + 1 + 5  # tokens with 7 tokens before them in their sentence
    assert (found.keep[-found.distance :] == 1).all()
    assert (found.inputs != EOS).all()
    np.testing.assert_array_equal(found.keep[:, :, 0] == 0, found.inputs == BOS)


def test_the_distance_is_limited_by_the_sentences():
    assert places(sentences(4, 9, 3, 8, 12), "sentence", 8).distance == 7
    assert places(text(), "stream", 8).distance == 50
    assert places(text(30), "stream", 8).distance == 22
    with pytest.raises(CorpusError, match="longest sentence has 12 tokens"):
        places(sentences(4, 9, 3, 8, 12), "sentence", 8, 12)
    with pytest.raises(CorpusError, match="text has 30 tokens"):
        places(text(30), "stream", 8, 30)


@pytest.mark.parametrize("length", [2, 3, 7])
def test_the_shortest_texts_can_be_measured(length):
    config = NetworkConfig(V, "rnn", hidden_size=4)
    for context in ("stream", "sentence"):
        found = places(sentences(length), context, 20)
        assert np.isfinite(gradient_flow("", fresh_network(config, "uniform", 0), found).layers[0].norms).all()


def test_a_column_agrees_with_reading_its_sentence_alone():
    """Steps before the sentence have no influence."""
    network = fresh_network(NetworkConfig(V, "gru", hidden_size=4), "uniform", 0)
    ids = sentences(5, 6, 9, 4)
    found = places(ids, "sentence", 100, 5)
    _, hidden = states_before(network, found)
    sentence = np.concatenate([[BOS], ids[11:19]])[:, None]  # the third sentence
    alone, _, _ = network.hidden(sentence, network.zero_state(1))
    (columns,) = np.where((found.targets[:, None] == ids[16:20]).any(axis=1) & (np.arange(len(found.targets)) >= 1))
    assert len(columns) >= 4
    np.testing.assert_allclose(hidden[-4:], alone[5:9, 0])


# --- clipping


def test_norms_are_those_of_a_training():
    from rnnlm.training.numpy_engine import NumpyEngine

    config = NetworkConfig(V, "lstm", hidden_size=6, embedding_size=4)
    network = Network.initialize(config, np.random.default_rng(0))
    batches = Batches(IdSequence(sentences(*[7] * 40)), 4, 10, "sentence", seed=3)
    engine = NumpyEngine(Network(config, {n: a.copy() for n, a in network.params.items()}), "sgd", "sentence", clip=1.0)
    state, expected = None, []
    for number in range(3):
        batch = batches.batch(0, number)
        result, state = engine.train_step(batch, None if batch.starts_epoch else state, 0.0, (0, number))
        expected.append(result.gradient_norm)
    np.testing.assert_allclose(gradient_norms(network, batches, 3), expected, rtol=1e-6)


def test_clipping_reports_the_share_of_cut_windows_and_of_length_kept():
    clipping = Clipping(np.array([0.5, 1.0, 2.0, 4.0]), 1.0)
    assert clipping.share_cut == 0.5
    assert clipping.kept == pytest.approx(3.5 / 7.5)
    unlimited = Clipping(clipping.norms, 0.0)
    assert (unlimited.share_cut, unlimited.kept) == (0.0, 1.0)
