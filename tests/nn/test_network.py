"""The network against PyTorch, against itself in pieces, and as a distribution."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CheckpointError
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import clipped_scale, dense, summed
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer
from rnnlm.nn.outputs import LOSSES
from tests.nn.torch_cells import TORCH_CELLS

torch.set_num_threads(1)  # for such small arrays, starting threads takes longer than the work

V, H, D, T, B = 7, 5, 4, 6, 3
KINDS = [(cell, activation) for cell in CELLS for activation in (ACTIVATIONS if cell == "rnn" else ("tanh",))]


def make(cell="lstm", activation="tanh", layers=2, embedding_size=D, dtype=np.float64, scale=0.6, **config):
    rng = np.random.default_rng(21)
    config = NetworkConfig(V, cell, activation, H, layers, embedding_size, **config)
    params = {name: rng.normal(0, scale, shape).astype(dtype) for name, shape in config.shapes().items()}
    return Network(config, params)


def example(network, T=T, B=B):
    rng = np.random.default_rng(22)
    state = network.zero_state(B)
    state += rng.normal(0, 0.5, state.shape)
    inputs, targets = rng.integers(0, V, (2, T, B))
    return inputs, targets, state


# PyTorch


TORCH_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}


class Twin(torch.nn.Module):
    """The same network in torch.nn, with parameters copied by name."""

    def __init__(self, network):
        super().__init__()
        config = self.config = network.config
        width = config.embedding_size or V
        if config.embedding_size:
            self.embedding = torch.nn.Embedding(V, width)
        options = {}
        if config.cell == "rnn":  # torch has only two activations; others are computed by a loop below
            options["nonlinearity"] = "relu" if config.activation == "relu" else "tanh"
        self.rnn = TORCH_CELLS[config.cell](width, config.hidden_size, config.num_layers, **options)
        self.output = torch.nn.Linear(config.hidden_size, V)
        self.to(torch.float64 if network.params["output.bias"].dtype == np.float64 else torch.float32)
        self.load_state_dict({name: torch.tensor(array) for name, array in network.params.items()})

    def forward(self, inputs, state):
        dtype = self.output.weight.dtype
        one_hot = torch.nn.functional.one_hot(inputs, V).to(dtype)
        x = self.embedding(inputs) if self.config.embedding_size else one_hot
        if self.config.cell == "rnn" and self.config.activation not in ("tanh", "relu"):
            hidden, final = self.by_hand(x, state[0])
        elif CELLS[self.config.cell].states == 1:
            hidden, final = self.rnn(x, state[0])
            final = final[None]
        else:
            hidden, final = self.rnn(x, tuple(state))
            final = torch.stack(final)
        return torch.log_softmax(self.output(hidden), dim=-1), final

    def by_hand(self, x, state):
        activation, finals = TORCH_ACTIVATIONS[self.config.activation], []
        for layer in range(self.config.num_layers):
            U, W, b, c = (getattr(self.rnn, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            h, outputs = state[layer], []
            for step in x:
                h = activation(step @ U.T + b + h @ W.T + c)
                outputs.append(h)
            x = torch.stack(outputs)
            finals.append(h)
        return x, torch.stack(finals)[None]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_log_probabilities_and_state_agree_with_torch(cell, activation, layers, embedding_size, dtype, tolerance):
    network = make(cell, activation, layers, embedding_size, dtype, scale=0.4)
    inputs, _, state = example(network)
    found, final = network.log_probabilities(inputs, state)
    with torch.no_grad():
        expected, expected_final = Twin(network)(torch.tensor(inputs), torch.tensor(state))
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(final, expected_final.numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-9)])
@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_gradients_of_the_mean_agree_with_torch(cell, activation, layers, embedding_size, dtype, tolerance):
    network = make(cell, activation, layers, embedding_size, dtype, scale=0.4)
    inputs, targets, state = example(network)
    loss, _, backprop = network.loss(inputs, targets, state, scale=1 / targets.size)
    twin, state = Twin(network), torch.tensor(state, requires_grad=True)
    log_probabilities, _ = twin(torch.tensor(inputs), state)
    mean = torch.nn.functional.nll_loss(log_probabilities.reshape(-1, V), torch.tensor(targets).reshape(-1))
    mean.backward()
    assert loss.nats / loss.tokens == pytest.approx(float(mean.detach()), rel=tolerance)
    grads = backprop()
    expected = {name: parameter.grad for name, parameter in twin.named_parameters()} | {"initial_state": state.grad}
    assert grads.keys() == expected.keys()
    for name, gradient in expected.items():
        largest = float(gradient.abs().max())
        np.testing.assert_allclose(grads[name], gradient.numpy(), rtol=0, atol=tolerance * largest, err_msg=name)


def test_training_steps_agree_with_torch():
    """Five steps of DESIGN's example: loss, gradients, clipping, Adam."""
    network = make("gru", dtype=np.float64)
    twin, optimizer = Twin(network), Optimizer("adam", network.params)
    theirs = torch.optim.Adam(twin.parameters(), lr=0.01)
    for seed in range(5):
        inputs, targets = np.random.default_rng(seed).integers(0, V, (2, T, B))
        state = network.zero_state(B)
        grads = network.loss(inputs, targets, state, scale=1 / targets.size)[2]()
        del grads["initial_state"]
        grads, norm = summed([dense(grads)])
        optimizer.step(network.params, grads, 0.01, clipped_scale(norm, 0.3))
        theirs.zero_grad()
        log_probabilities, _ = twin(torch.tensor(inputs), torch.tensor(state))
        torch.nn.functional.nll_loss(log_probabilities.reshape(-1, V), torch.tensor(targets).reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.3)
        theirs.step()
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(network.params[name], parameter.detach().numpy(), rtol=1e-5, atol=1e-7)


# In pieces


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_reading_in_pieces_equals_reading_in_one_piece(cell, activation, resets):
    network = make(cell, activation)
    inputs, targets, state = example(network)
    keep = (np.random.default_rng(1).random((T, B, 1)) < 0.6).astype(np.float64) if resets else None
    whole, final = network.log_probabilities(inputs, state, keep)
    nats, _ = network.nats(inputs, targets, state, keep)
    carried = state
    for part in (slice(0, 1), slice(1, 4), slice(4, T)):
        kept = None if keep is None else keep[part]
        np.testing.assert_allclose(network.nats(inputs[part], targets[part], carried, kept)[0], nats[part], rtol=1e-12)
        piece, carried = network.log_probabilities(inputs[part], carried, kept)
        np.testing.assert_allclose(piece, whole[part], rtol=1e-12)
    np.testing.assert_allclose(carried, final, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("cell", CELLS)
def test_shared_input_dropout_drops_the_same_entries_of_equal_tokens(cell):
    network = make(cell, embedding_size=D, input_dropout=0.5, shared_input_dropout=True)
    ids, state = np.array([[3, 1, 3, 2]]), network.zero_state(4)
    hidden = network.hidden(ids, state, rng=np.random.default_rng(2))[0][0]
    np.testing.assert_array_equal(hidden[0], hidden[2])
    assert (hidden[0] != network.hidden(ids, state)[0][0][0]).any()
    assert (hidden[0] != network.hidden(ids, state, rng=np.random.default_rng(3))[0][0][0]).any()
    each = make(cell, embedding_size=D, input_dropout=0.5).hidden(ids, state, rng=np.random.default_rng(2))[0][0]
    assert (each[0] != each[2]).any()


@pytest.mark.parametrize("cell", CELLS)
def test_locked_dropout_in_pieces_equals_one_piece(cell):
    """The masks do not depend on the number of steps, so the same generator gives every piece the same masks."""
    network = make(cell, dropout=0.4, locked_dropout=True)
    inputs, targets, state = example(network)
    whole, final, _ = network.loss(inputs, targets, state, rng=np.random.default_rng(3))
    nats, carried = 0.0, state
    for part in (slice(0, 1), slice(1, 4), slice(4, T)):
        loss, carried, _ = network.loss(inputs[part], targets[part], carried, rng=np.random.default_rng(3))
        nats += loss.nats
    assert nats == pytest.approx(whole.nats, rel=1e-12)
    np.testing.assert_allclose(carried, final, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_shared_masks_are_equivalent_to_masked_parameters(cell, activation, embedding_size):
    """The gradients are multiplied by the masks."""
    network = make(cell, activation, embedding_size=embedding_size, weight_dropout=0.4, embedding_dropout=0.4)
    inputs, targets, state = example(network)
    masks = network.config.shared_masks([3], np.float64)
    table = "embedding.weight" if embedding_size else "rnn.weight_ih_l0"
    of_tokens = masks.tokens[:, None] if embedding_size else masks.tokens
    assert masks.weights.keys() == {name for name in network.params if "weight_hh" in name}
    assert len(masks.weights) == (2 if CELLS[cell].recurrent else 0)
    factors = masks.weights | {table: np.broadcast_to(of_tokens, network.params[table].shape)}
    for mask in factors.values():
        assert set(np.unique(mask.round(6))) == {0, round(1 / 0.6, 6)}
    masked = Network(network.config, {n: a * factors.get(n, 1) for n, a in network.params.items()})
    loss, final, backprop = network.loss(inputs, targets, state, shared=masks)
    expected, expected_final, expected_backprop = masked.loss(inputs, targets, state)
    assert loss.nats == pytest.approx(expected.nats, rel=1e-12)
    np.testing.assert_allclose(final, expected_final, rtol=1e-12)
    grads = dense(backprop())
    for name, gradient in dense(expected_backprop()).items():
        np.testing.assert_allclose(grads[name], gradient * factors.get(name, 1), rtol=1e-10, atol=1e-14)


def test_shared_masks_depend_on_the_seed_and_have_mean_one():
    config = NetworkConfig(200, hidden_size=40, weight_dropout=0.3, embedding_dropout=0.2)
    first, again, other = (config.shared_masks(seed, np.float32) for seed in ([1, 2], [1, 2], [1, 3]))
    weights = [masks.weights["rnn.weight_hh_l0"] for masks in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert (weights[0] != weights[2]).any()
    assert (first.tokens != other.tokens).any()
    assert {weights[0].dtype, first.tokens.dtype} == {np.dtype(np.float32)}
    tokens = np.stack([config.shared_masks([7, step], np.float64).tokens for step in range(300)])
    assert weights[0].mean() == pytest.approx(1, abs=4 * (0.3 / 0.7 / weights[0].size) ** 0.5)
    assert tokens.mean() == pytest.approx(1, abs=4 * (0.2 / 0.8 / tokens.size) ** 0.5)
    nothing = NetworkConfig(200, dropout=0.5).shared_masks([1], np.float32)
    assert (nothing.weights, nothing.tokens) == ({}, None)


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_backward_in_pieces_equals_one_piece(cell, activation, resets):
    """The gradient by the initial state of a piece is passed to the piece before it."""
    network = make(cell, activation)
    inputs, _, state = example(network)
    rng = np.random.default_rng(3)
    keep = (rng.random((T, B, 1)) < 0.6).astype(np.float64) if resets else None
    hidden, _, backprop = network.hidden(inputs, state, keep)
    dhidden = rng.normal(0, 1, hidden.shape)
    dfinal = rng.normal(0, 1, state.shape)
    grads, dstate = backprop(dhidden, dfinal)
    callbacks, carried = [], state
    for t in range(T):
        _, carried, back = network.hidden(inputs[t : t + 1], carried, keep[t : t + 1] if resets else None)
        callbacks.append(back)
    total = {name: np.zeros(shape) for name, shape in network.config.shapes().items() if "output" not in name}
    for t in reversed(range(T)):
        pieces, dfinal = callbacks[t](dhidden[t : t + 1], dfinal)
        for name, gradient in dense(pieces).items():
            total[name] += gradient
    np.testing.assert_allclose(dfinal, dstate, rtol=1e-10, atol=1e-12)
    for name, gradient in dense(grads).items():
        np.testing.assert_allclose(total[name], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_columns_do_not_influence_each_other(cell, activation):
    network = make(cell, activation)
    inputs, targets, state = example(network)
    whole, final = network.log_probabilities(inputs, state)
    grads = network.loss(inputs, targets, state)[2]()
    total = {name: np.zeros_like(gradient) for name, gradient in grads.items() if name != "initial_state"}
    for b in range(B):
        column = slice(b, b + 1)
        alone, alone_final = network.log_probabilities(inputs[:, column], state[:, :, column])
        np.testing.assert_allclose(alone, whole[:, column], rtol=1e-12)
        np.testing.assert_allclose(alone_final, final[:, :, column], rtol=1e-12, atol=1e-15)
        part = network.loss(inputs[:, column], targets[:, column], state[:, :, column])[2]()
        np.testing.assert_allclose(
            part.pop("initial_state"), grads["initial_state"][:, :, column], rtol=1e-10, atol=1e-14
        )
        for name, gradient in part.items():
            total[name] += gradient
    for name, gradient in total.items():
        np.testing.assert_allclose(gradient, grads[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_a_reset_equals_reading_the_sentences_separately(cell, activation, embedding_size):
    """Two columns of two sentences each, which end at different places; all sentences start from zero."""
    network = make(cell, activation, embedding_size=embedding_size)
    inputs, targets, state = example(network, B=2)
    keep = np.ones((T, 2, 1))
    starts = [(0, 2), (0, 5)]
    for column, (first, second) in enumerate(starts):
        keep[[first, second], column] = 0
    together, final = network.log_probabilities(inputs, state, keep)  # whatever the initial state is
    grads = network.loss(inputs, targets, state, keep)[2]()
    assert (grads.pop("initial_state") == 0).all()
    total = {name: np.zeros_like(gradient) for name, gradient in grads.items()}
    for column, (_, second) in enumerate(starts):
        for sentence in (slice(0, second), slice(second, T)):
            place = (sentence, slice(column, column + 1))
            zero = network.zero_state(1)
            alone, alone_final = network.log_probabilities(inputs[place], zero)
            np.testing.assert_allclose(alone, together[place], rtol=1e-12)
            for name, gradient in total.items():
                gradient += network.loss(inputs[place], targets[place], zero)[2]()[name]
        np.testing.assert_allclose(alone_final, final[:, :, column : column + 1], rtol=1e-12, atol=1e-15)
    for name, gradient in total.items():
        np.testing.assert_allclose(gradient, grads[name], rtol=1e-10, atol=1e-13)


def test_next_log_probabilities_are_the_last_of_all_steps():
    network = make()
    inputs, _, state = example(network)
    all_steps, final = network.log_probabilities(inputs, state)
    last, last_final = network.next_log_probabilities(inputs, state)
    np.testing.assert_allclose(last, all_steps[-1], rtol=1e-12)
    np.testing.assert_array_equal(last_final, final)


@pytest.mark.parametrize("cell", CELLS)
def test_a_forward_pass_between_forward_and_backward_changes_nothing(cell):
    """Sampling during a training step must not corrupt it."""
    network = make(cell, dropout=0.3)
    inputs, targets, state = example(network)
    undisturbed = network.loss(inputs, targets, state, rng=np.random.default_rng(1))[2]()
    _, _, backprop = network.loss(inputs, targets, state, rng=np.random.default_rng(1))
    network.next_log_probabilities(targets, network.zero_state(B))
    for name, gradient in backprop().items():
        np.testing.assert_array_equal(gradient, undisturbed[name])


# dtypes and extreme values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_the_dtype_is_preserved(cell, activation, embedding_size, objective, dtype):
    network = make(cell, activation, embedding_size=embedding_size, dtype=dtype, dropout=0.2)
    inputs, targets, state = example(network)
    keep = np.ones((T, B, 1), np.float32)  # float32, as batches have it
    arrays = {"state": state}
    arrays["log_probabilities"], arrays["final"] = network.log_probabilities(inputs, state, keep)
    arrays["nats"], _ = network.nats(inputs, targets, state, keep)
    arrays["next"], _ = network.next_log_probabilities(inputs, state)
    _, arrays["carried"], backprop = network.loss(
        inputs, targets, state, keep, np.random.default_rng(1), objective, 1 / targets.size
    )
    grads = backprop()
    arrays |= dense(grads)
    for name in OPTIMIZERS:
        optimizer = Optimizer(name, network.params)
        optimizer.step(network.params, grads, 1e-3, 0.1)
        arrays |= {f"{name}.{slot}": array for slot, array in optimizer.slots.items()}
    arrays |= {f"parameter {name}": array for name, array in network.params.items()}
    assert {name: array.dtype for name, array in arrays.items() if array.dtype != dtype} == {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_the_dtype_is_preserved_within_a_cell(cell, activation, dtype):
    rng = np.random.default_rng(2)
    gates, states = CELLS[cell].gates, CELLS[cell].states
    shapes = ((T, B, gates * H), (gates * H, H), (gates * H,), (gates * H,), (states, B, H))
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    if not CELLS[cell].recurrent:
        arrays[1] = arrays[3] = None
    y, final, trace = CELLS[cell].forward(*arrays, np.ones((T, B, 1), dtype), activation)
    gradients = CELLS[cell].backward(np.ones_like(y), np.ones_like(final), trace)
    own = [array for array in trace.own if isinstance(array, np.ndarray)]
    found = (y, final, trace.previous(), *own, *gradients)
    assert {array.dtype for array in found if array is not None} == {np.dtype(dtype)}


@pytest.mark.parametrize("embedding_size", [0, D])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_have_the_memory_layout_of_their_parameters(cell, embedding_size):
    """The optimizer traverses both in memory order."""
    network = make(cell, embedding_size=embedding_size)
    grads = network.loss(*example(network))[2]()
    for name, array in network.params.items():
        assert np.asarray(grads[name]).strides == array.strides, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_saturated_units_give_correct_results_without_warnings(cell, dtype):
    """All arguments of sigmoid and tanh are in the thousands, of either sign."""
    network = make(cell, dtype=dtype, scale=1e4)
    inputs, targets, state = example(network)
    log_probabilities, final = network.log_probabilities(inputs, state)
    assert np.isfinite(log_probabilities).all()
    assert np.isfinite(final).all()
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=-1), 1, rtol=1e-5)
    for objective in LOSSES:
        loss, _, backprop = network.loss(inputs, targets, state, objective=objective)
        assert np.isfinite(loss.objective)
        assert all(np.isfinite(gradient).all() for gradient in backprop().values())


# A distribution


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "activation"), KINDS)
def test_probabilities_of_all_strings_sum_to_one(cell, activation, layers):
    network = make(cell, activation, layers)
    strings = np.array(list(itertools.product(range(V), repeat=4))).T
    inputs = np.concatenate([np.zeros_like(strings[:1]), strings[:-1]])
    nats, _ = network.nats(inputs, strings, network.zero_state(strings.shape[1]))
    assert np.exp(-nats.sum(axis=0)).sum() == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_without_the_start_symbol_they_still_sum_to_one(cell):
    network = make(cell)
    network.params["output.bias"][0] = -1e4
    strings = np.array(list(itertools.product(range(1, V), repeat=4))).T
    inputs = np.concatenate([np.zeros_like(strings[:1]), strings[:-1]])
    nats, _ = network.nats(inputs, strings, network.zero_state(strings.shape[1]))
    assert np.exp(-nats.sum(axis=0)).sum() == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_nats_and_loss_are_the_log_probabilities_of_the_targets(cell):
    network = make(cell)
    inputs, targets, state = example(network)
    log_probabilities, _ = network.log_probabilities(inputs, state)
    nats, _ = network.nats(inputs, targets, state)
    np.testing.assert_allclose(
        nats, -np.take_along_axis(log_probabilities, targets[:, :, None], -1)[..., 0], rtol=1e-10
    )
    loss, _, _ = network.loss(inputs, targets, state)
    assert loss.nats == loss.objective == pytest.approx(nats.sum(), rel=1e-12)
    assert loss.tokens == T * B


# Construction and header

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
HEADER = NetworkConfig(50, "gru", "relu", 8, 2, 4, 0.5).to_header()


def config_or_error(header):
    """Return the config that a header describes exactly, or None if it is refused."""
    try:
        config = NetworkConfig.from_header(header)
    except CheckpointError:
        return None
    assert config.to_header() == header
    assert all(size > 0 for shape in config.shapes().values() for size in shape)
    return config


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dropout", [0, 0.0, 0.25])
def test_a_config_survives_a_round_trip_through_its_header(cell, dropout):
    config = NetworkConfig(50, cell, "sigmoid", 8, 2, 0, dropout)
    assert NetworkConfig.from_header(json.loads(json.dumps(config.to_header()))) == config


@given(JSON)
def test_arbitrary_json_is_refused_as_a_header(header):
    assert config_or_error(header) is None


@given(st.sampled_from(sorted(HEADER)), JSON)
def test_a_header_with_an_arbitrary_field_is_exact_or_refused(name, value):
    config_or_error({**HEADER, name: value})


@given(st.dictionaries(st.sampled_from([*HEADER, "extra"]), JSON))
def test_a_header_with_wrong_fields_is_refused(changes):
    if changes.keys() != HEADER.keys():
        with pytest.raises(CheckpointError):
            NetworkConfig.from_header(changes)


BAD_VALUES = {
    "vocabulary_size": (3, 0, -1, 1 << 40, 50.0, True, "50", None),
    "hidden_size": (0, -8, 1 << 40, 8.0, True, [8]),
    "num_layers": (0, -1, 1001, 1.0, None),
    "embedding_size": (-1, 1 << 40, 4.5, False),
    "dropout": (-0.1, 1.0, 1, float("nan"), float("inf"), "0.5", None, False, [], {}),
    "cell": ("", "LSTM", "transformer", None, ["gru"], 3),
    "activation": ("", "softplus", None, {}),
    "output": ("", "tree", None),
    "bidirectional": (0, 1, None, "no"),
    "cutoffs": ([4], 4, "4", None, {}),
    "div_value": (0, 0.5, -4.0, True, "4", None, float("nan"), float("inf")),
    "tied": (0, 1, None, True),
    "locked_dropout": (0, 1, None, "no"),
    "weight_dropout": (-0.1, 1.0, 1, float("nan"), "0.5", None, False),
    "embedding_dropout": (-0.1, 1.0, 1, float("inf"), "0.5", None, True),
    "input_dropout": (-0.1, 1.0, 1, float("nan"), "0.5", None, True),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in BAD_VALUES.items() for value in bad])
def test_a_header_with_a_bad_value_is_refused(name, value):
    assert BAD_VALUES.keys() == HEADER.keys()  # every field needs bad values here
    with pytest.raises(CheckpointError):
        NetworkConfig.from_header({**HEADER, name: value})


@pytest.mark.parametrize("change", ["missing", "extra", "transposed"])
def test_parameters_that_do_not_fit_their_description_are_refused(change):
    network = make()
    params = dict(network.params)
    name = "rnn.weight_ih_l1"
    if change == "missing":
        del params[name]
    elif change == "extra":
        name = "rnn.weight_ih_l7"
        params[name] = np.zeros((2, 2))
    else:
        params[name] = params[name].T
    with pytest.raises(CheckpointError, match=name):
        Network(network.config, params)


def test_the_parameter_count_agrees_with_torch():
    network = make()
    assert network.parameter_count == sum(parameter.numel() for parameter in Twin(network).parameters())
