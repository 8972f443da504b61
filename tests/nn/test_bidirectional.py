"""The bidirectional network predicts every place from both sides, but not from itself."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from rnnlm.nn.bidirectional import NOT_PREDICTED, BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradient_check import check_gradients
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.text import batches
from rnnlm.text.vocabulary import BOS, EOS
from tests.nn.torch_cells import TORCH_CELLS

V, H, D = 8, 4, 3
KINDS = [(cell, activation) for cell in CELLS for activation in (ACTIVATIONS if cell == "rnn" else ("tanh",))]


def make(cell="lstm", activation="tanh", layers=2, embedding_size=D, dtype=np.float64, dropout=0.0):
    rng = np.random.default_rng(61)
    config = NetworkConfig(V, cell, activation, H, layers, embedding_size, dropout, bidirectional=True)
    params = {name: rng.normal(0, 0.5, shape).astype(dtype) for name, shape in config.shapes().items()}
    return BidirectionalNetwork(config, params)


def batch(*columns):
    """Return inputs, targets and keep of columns of sentences, padded with </s>."""
    texts = [[each for sentence in column for each in (BOS, *sentence, EOS)] for column in columns]
    inputs = np.full((max(map(len, texts)), len(texts)), EOS)
    for column, text in enumerate(texts):
        inputs[: len(text), column] = text
    targets = np.where((inputs == BOS) | (inputs == EOS), NOT_PREDICTED, inputs)
    return inputs, targets, np.stack([inputs != BOS, inputs != EOS], axis=2).astype(np.float32)


COLUMNS = [[(3, 4, 5), (6,), (7, 7, 3, 2)], [(5, 6, 3, 4, 7)], [(2,), (), (4, 4)]]


def nats_alone(network, sentence):
    inputs, targets, keep = batch([sentence])
    return network.nats(inputs, targets, network.zero_state(1), keep)[0][1:-1, 0]


def test_batches_and_network_use_the_same_value_for_no_target():
    assert batches.NOT_PREDICTED == NOT_PREDICTED


@pytest.mark.parametrize(("layers", "embedding_size", "objective"), [(1, 0, "mse"), (2, D, "cross-entropy")])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_backpropagation_gives_the_derivative(cell, activation, layers, embedding_size, objective):
    network = make(cell, activation, layers, embedding_size)
    inputs, targets, keep = batch(*COLUMNS)
    comparisons = check_gradients(
        network, inputs, targets, network.zero_state(3), np.random.default_rng(62), keep, objective, directions=1
    )
    assert {each.name for each in comparisons} == {*network.params, "initial_state"}
    assert max(each.relative_error for each in comparisons) < 1e-6


@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_the_network_agrees_with_two_stacks_of_torch(cell, layers, embedding_size):
    network = make(cell, layers=layers, embedding_size=embedding_size)
    sentence = [BOS, 3, 7, 4, 4, 2, EOS]
    tensors = {name: torch.tensor(array) for name, array in network.params.items()}
    x = torch.nn.functional.one_hot(torch.tensor(sentence), V).double()
    if embedding_size:
        x = x @ tensors["embedding.weight"]

    def read(x, suffix):
        stack = TORCH_CELLS[cell](x.shape[1], H, layers, dtype=torch.float64)
        names = [name for name, _ in stack.named_parameters()]
        stack.load_state_dict({name: tensors[f"rnn.{name}{suffix}"] for name in names})
        return stack(x[:, None])[0][:, 0]

    with torch.no_grad():
        forward, backward = read(x, ""), read(x.flip(0), "_reverse").flip(0)
        both = torch.cat([forward[:-2], backward[2:]], dim=1)
        logits = both @ tensors["output.weight"].T + tensors["output.bias"]
        expected = torch.log_softmax(logits, dim=1).numpy()
    for place in range(1, len(sentence) - 1):
        found = network.log_probabilities_at(np.array(sentence)[:, None], np.array([place]))
        np.testing.assert_allclose(found[0], expected[place - 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        nats_alone(network, sentence[1:-1]), -expected[np.arange(5), sentence[1:-1]], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_a_prediction_depends_on_all_other_words_but_not_on_itself(cell, layers):
    network = make(cell, layers=layers)
    sentence = np.array([BOS, 3, 7, 4, 4, 2, EOS])
    places = np.arange(1, len(sentence) - 1)

    def judged(sentence):
        return network.log_probabilities_at(np.repeat(sentence[:, None], len(places), axis=1), places)

    before = judged(sentence)
    np.testing.assert_allclose(np.exp(before).sum(axis=1), 1, rtol=1e-12)
    for place in places:
        changed = sentence.copy()
        changed[place] = 5
        after = judged(changed)
        np.testing.assert_array_equal(after[place - 1], before[place - 1])
        assert (after != before).any(axis=1).sum() == len(places) - 1


@pytest.mark.parametrize("cell", CELLS)
def test_sentences_in_a_batch_are_read_as_if_alone(cell):
    network = make(cell)
    inputs, targets, keep = batch(*COLUMNS)
    nats, _ = network.nats(inputs, targets, network.zero_state(3), keep)
    assert (nats[targets == NOT_PREDICTED] == 0).all()
    for column, sentences in enumerate(COLUMNS):
        expected = np.concatenate([nats_alone(network, sentence) for sentence in sentences if sentence])
        np.testing.assert_allclose(nats[targets[:, column] != NOT_PREDICTED, column], expected, rtol=1e-12)
    loss, _, backprop = network.loss(inputs, targets, network.zero_state(3), keep)
    assert loss.nats == loss.objective == pytest.approx(nats.sum(), rel=1e-12)
    assert loss.tokens == (targets != NOT_PREDICTED).sum() == 16
    total = {name: np.zeros_like(array) for name, array in network.params.items()}
    for sentence in [sentence for sentences in COLUMNS for sentence in sentences if sentence]:
        alone, alone_targets, alone_keep = batch([sentence])
        grads = network.loss(alone, alone_targets, network.zero_state(1), alone_keep)[2]()
        for name, gradient in total.items():
            gradient += grads[name]
    grads = backprop()
    for name, gradient in total.items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-10, atol=1e-13)


def test_a_reversed_network_on_the_reversed_text_predicts_the_same():
    network = make()
    turned = {}
    for name, array in network.params.items():
        if name == "output.weight":
            turned[name] = np.concatenate([array[:, H:], array[:, :H]], axis=1)
        elif name.startswith("rnn."):
            other = name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"
            turned[name] = network.params[other]
        else:
            turned[name] = array
    mirror = BidirectionalNetwork(network.config, turned)
    sequence = np.array([BOS, 3, 7, 4, 4, 2, EOS])[:, None]
    for place in range(1, 6):
        found = mirror.log_probabilities_at(sequence[::-1], np.array([6 - place]))
        expected = network.log_probabilities_at(sequence, np.array([place]))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_the_dtype_is_preserved(cell, dtype):
    network = make(cell, dtype=dtype, dropout=0.3)
    inputs, targets, keep = batch(*COLUMNS)
    state = network.zero_state(3)
    arrays = network.loss(inputs, targets, state, keep, np.random.default_rng(1), scale=1 / 16)[2]()
    arrays["nats"], arrays["state"] = network.nats(inputs, targets, state, keep)
    arrays["log"] = network.log_probabilities_at(inputs, np.array([1, 2, 3]))
    assert {name: array.dtype for name, array in arrays.items() if array.dtype != dtype} == {}


@pytest.mark.parametrize("embedding_size", [0, D])
def test_backpropagation_through_shared_masks_gives_the_derivative(embedding_size):
    network = make("gru", embedding_size=embedding_size)
    dropping = replace(network.config, weight_dropout=0.4, embedding_dropout=0.4)
    masks = dropping.shared_masks([5], np.float64)
    assert {name for name in network.params if "weight_hh" in name} == masks.weights.keys()
    network.loss = partial(network.loss, shared=masks)
    inputs, targets, keep = batch(*COLUMNS)
    comparisons = check_gradients(
        network, inputs, targets, network.zero_state(3), np.random.default_rng(62), keep, directions=1
    )
    assert max(each.relative_error for each in comparisons) < 1e-6


def test_backpropagation_of_smoothed_labels_gives_the_derivative():
    network = make("lstm")
    plain, smoothed = network.loss, partial(network.loss, smoothing=0.3)
    inputs, targets, keep = batch(*COLUMNS)
    state = network.zero_state(3)
    losses = [loss(inputs, targets, state, keep)[0] for loss in (plain, smoothed)]
    assert losses[0].nats == losses[1].nats  # the reported loss
    assert losses[0].objective != losses[1].objective
    network.loss = smoothed
    comparisons = check_gradients(network, inputs, targets, state, np.random.default_rng(62), keep, directions=1)
    assert max(each.relative_error for each in comparisons) < 1e-6


@pytest.mark.parametrize("embedding_size", [0, D])
def test_gradients_have_the_memory_layout_of_their_parameters(embedding_size):
    network = make(embedding_size=embedding_size)
    inputs, targets, keep = batch(*COLUMNS)
    grads = network.loss(inputs, targets, network.zero_state(3), keep)[2]()
    for name, array in network.params.items():
        assert np.asarray(grads[name]).strides == array.strides, name


def test_a_one_directional_network_has_half_of_the_recurrent_parameters():
    config = make().config
    one = NetworkConfig(**{**config.to_header(), "bidirectional": False})
    assert {n for n in config.shapes() if not n.endswith("_reverse")} == set(one.shapes())
    assert all(config.shapes()[f"{n}_reverse"] == shape for n, shape in one.shapes().items() if n.startswith("rnn."))
    Network.initialize(one, np.random.default_rng(1))
