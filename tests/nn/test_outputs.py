"""Output layers are distributions, losses are sums over tokens, and results do not depend on blocks."""

import json

import numpy as np
import pytest
import torch

from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.nn import outputs
from rnnlm.nn.bidirectional import NOT_PREDICTED, BidirectionalNetwork
from rnnlm.nn.gradient_check import check_gradients
from rnnlm.nn.gradients import dense
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer
from rnnlm.nn.outputs import LOSSES, OUTPUTS, AdaptiveSoftmax, Softmax

torch.set_num_threads(1)  # for such small arrays, starting threads takes longer than the work

N, V, H = 23, 11, 5
LAYERS = {
    "full": Softmax(),
    "tied": Softmax(tied=True),
    "adaptive": AdaptiveSoftmax((4, 7), 2.0),
    "adaptive, tails of one": AdaptiveSoftmax((3, 9, 10), 1.5),
}
SETTINGS = {  # the same layers by their configuration
    "full": {},
    "tied": {"tied": True},
    "adaptive": {"output": "adaptive", "cutoffs": (4, 7), "div_value": 2.0},
    "adaptive, tails of one": {"output": "adaptive", "cutoffs": (3, 9, 10), "div_value": 1.5},
}
WHERE_IT_IS = {"full": ("output.weight", "output.bias"), "tied": ("embedding.weight", "output.bias")}
WITH_OBJECTIVE = [
    (name, objective)
    for name, layer in LAYERS.items()
    for objective in LOSSES
    if objective == "cross-entropy" or isinstance(layer, Softmax)
]
ADAPTIVE = [name for name, layer in LAYERS.items() if isinstance(layer, AdaptiveSoftmax)]


def test_the_tested_layers_include_every_kind():
    assert {type(layer) for layer in LAYERS.values()} == set(OUTPUTS.values())
    assert {name: config(name).output_layer for name in SETTINGS} == LAYERS


def make(name, dtype=np.float64, scale=1.0):
    rng = np.random.default_rng(1)
    output = LAYERS[name]
    params = {key: scale * rng.normal(size=shape).astype(dtype) for key, shape in output.shapes(V, H).items()}
    return output, params, rng.normal(size=(N, H)).astype(dtype), rng.integers(0, V, N)


def config(name, **changes):
    wanted = {"cell": "gru", "hidden_size": H, "embedding_size": H, **SETTINGS[name], **changes}
    return NetworkConfig(V, **wanted)


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


# A distribution


@pytest.mark.parametrize("scale", [1, 1000])
@pytest.mark.parametrize("name", LAYERS)
def test_probabilities_sum_to_one(name, scale):
    output, params, hidden, _ = make(name, scale=scale)
    probabilities = np.exp(output.log_probabilities(params, hidden))
    assert probabilities.shape == (N, V)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-10)


@pytest.mark.parametrize("scale", [1, 1000])  # at a scale of 1000 most probabilities underflow
@pytest.mark.parametrize("name", LAYERS)
def test_nats_are_the_log_probabilities_of_the_targets(name, scale):
    output, params, hidden, targets = make(name, scale=scale)
    expected = -output.log_probabilities(params, hidden)[np.arange(N), targets]
    np.testing.assert_allclose(output.nats(params, hidden, targets), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e10])
@pytest.mark.parametrize("name", LAYERS)
def test_extreme_weights_give_finite_numbers(name, scale):
    output, params, hidden, targets = make(name, np.float32, scale)
    log_probabilities = output.log_probabilities(params, hidden)
    loss, backprop = output.loss(params, hidden, targets, "cross-entropy", 1.0)
    dhidden, grads = backprop()
    found = [log_probabilities, output.nats(params, hidden, targets), np.array(loss), dhidden, *grads.values()]
    assert all(np.isfinite(array).all() for array in found)
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_rows_do_not_depend_on_other_rows(name):
    output, params, hidden, targets = make(name)
    whole, nats = output.log_probabilities(params, hidden), output.nats(params, hidden, targets)
    for row in range(N):
        alone = slice(row, row + 1)
        np.testing.assert_allclose(output.log_probabilities(params, hidden[alone]), whole[alone], rtol=1e-10)
        np.testing.assert_allclose(output.nats(params, hidden[alone], targets[alone]), nats[alone], rtol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_initial_biases_give_tokens_their_frequencies(name):
    output, params, hidden, _ = make(name)
    frequencies = np.sort(np.random.default_rng(2).dirichlet(np.ones(V)))[::-1]
    params = {key: np.zeros_like(array) for key, array in params.items()} | output.initial_bias(np.log(frequencies))
    expected = frequencies.copy()
    if isinstance(output, AdaptiveSoftmax):  # within a tail all tokens are equally probable, and their sum is right
        for part in np.split(expected, output.cutoffs)[1:]:
            part[:] = part.mean()
    np.testing.assert_allclose(np.exp(output.log_probabilities(params, hidden)), np.tile(expected, (N, 1)), rtol=1e-10)


# Losses and gradients


@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_reported_nats_are_the_sum_of_nats_for_every_objective(name, objective):
    output, params, hidden, targets = make(name)
    loss, _ = output.loss(params, hidden, targets, objective, 1.0)
    assert loss.nats == pytest.approx(output.nats(params, hidden, targets).sum(), rel=1e-12)
    assert loss.tokens == N


@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_the_objective_is_the_nats_or_half_the_squared_error(name, objective):
    output, params, hidden, targets = make(name)
    loss, _ = output.loss(params, hidden, targets, objective, 1.0)
    if objective == "cross-entropy":
        assert loss.objective == loss.nats
    else:
        error = np.exp(output.log_probabilities(params, hidden)) - np.eye(V)[targets]
        assert loss.objective == pytest.approx(np.square(error).sum() / 2, rel=1e-12)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_adaptive_softmax_refuses_squared_error(name):
    output, params, hidden, targets = make(name)
    with pytest.raises(TrainingError, match="--softmax full"):
        output.loss(params, hidden, targets, "mse", 1.0)


@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_gradients_are_derivatives_of_the_scaled_objective(name, objective):
    output, params, hidden, targets = make(name)
    dhidden, grads = output.loss(params, hidden, targets, objective, 0.25)[1]()

    def function():
        return 0.25 * output.loss(params, hidden, targets, objective, 1.0)[0].objective

    np.testing.assert_allclose(dhidden, numerical_gradient(function, hidden), atol=1e-8)
    assert grads.keys() == params.keys()
    for key, gradient in grads.items():
        np.testing.assert_allclose(gradient, numerical_gradient(function, params[key]), atol=1e-8, err_msg=key)


@pytest.mark.parametrize("wanted", [[], [0], [1, 2, 3], [10, 10, 10], [5, 1, 5]])
@pytest.mark.parametrize("name", LAYERS)
def test_a_cluster_without_targets_has_a_zero_gradient(name, wanted):
    output, params, hidden, _ = make(name)
    targets, hidden = np.array(wanted, dtype=np.int32), hidden[: len(wanted)]
    loss, backprop = output.loss(params, hidden, targets, "cross-entropy", 1.0)
    dhidden, grads = backprop()
    assert loss.nats == pytest.approx(output.nats(params, hidden, targets).sum())
    assert dhidden.shape == hidden.shape
    clusters = np.searchsorted(getattr(output, "cutoffs", ()), targets, side="right")
    for key, gradient in grads.items():
        assert gradient.shape == params[key].shape
        cluster = 1 + int(key.split(".")[2]) if "tail" in key else None  # every row has a gradient in the head
        if not wanted or (cluster is not None and cluster not in clusters):
            assert not gradient.any()
        elif cluster is None:
            assert gradient.any()


@pytest.mark.parametrize("chunk", [1, 2 * V + 1, 1 << 16])
@pytest.mark.parametrize("block", [1, V, 3 * V + 2, N * V])
@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_results_do_not_depend_on_blocks_and_chunks(name, objective, block, chunk, monkeypatch):
    output, params, hidden, targets = make(name)
    loss, backprop = output.loss(params, hidden, targets, objective, 0.5)
    nats = output.nats(params, hidden, targets)
    monkeypatch.setattr(outputs, "BLOCK", block)
    monkeypatch.setattr(outputs, "CHUNK", chunk)
    loss_by_block, backprop_by_block = output.loss(params, hidden, targets, objective, 0.5)
    assert loss_by_block == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(output.nats(params, hidden, targets), nats, rtol=1e-12)
    (dhidden, grads), (dhidden_by_block, grads_by_block) = backprop(), backprop_by_block()
    np.testing.assert_allclose(dhidden_by_block, dhidden, rtol=1e-10, atol=1e-14)
    for key, gradient in grads.items():
        np.testing.assert_allclose(grads_by_block[key], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_the_dtype_is_preserved(name, objective, dtype):
    output, params, hidden, targets = make(name, dtype)
    dhidden, grads = output.loss(params, hidden, targets, objective, 1 / N)[1]()
    found = [dhidden, *grads.values(), output.nats(params, hidden, targets), output.log_probabilities(params, hidden)]
    assert {array.dtype for array in found} == {np.dtype(dtype)}


# PyTorch


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_adaptive_softmax_agrees_with_torch(name, dtype, tolerance):
    output, params, hidden, targets = make(name, dtype)
    twin = torch.nn.AdaptiveLogSoftmaxWithLoss(H, V, list(output.cutoffs), output.div_value, head_bias=True)
    twin.to(torch.float64 if dtype == np.float64 else torch.float32)
    twin.load_state_dict({key.removeprefix("output."): torch.tensor(array) for key, array in params.items()})
    theirs = torch.tensor(hidden, requires_grad=True)
    expected = twin(theirs, torch.tensor(targets))
    expected.loss.backward()
    loss, backprop = output.loss(params, hidden, targets, "cross-entropy", 1 / N)
    dhidden, grads = backprop()
    assert loss.nats / N == pytest.approx(float(expected.loss.detach()), rel=tolerance)
    np.testing.assert_allclose(output.nats(params, hidden, targets), -expected.output.detach().numpy(), rtol=tolerance)
    np.testing.assert_allclose(
        output.log_probabilities(params, hidden), twin.log_prob(theirs).detach().numpy(), rtol=tolerance
    )
    np.testing.assert_allclose(dhidden, theirs.grad.numpy(), rtol=0, atol=tolerance)
    for key, parameter in twin.named_parameters():
        np.testing.assert_allclose(grads[f"output.{key}"], parameter.grad.numpy(), rtol=0, atol=tolerance, err_msg=key)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_a_tied_network_agrees_with_torch(dtype, tolerance):
    network = Network.initialize(config("tied"), np.random.default_rng(3), dtype=dtype)
    inputs, targets = np.random.default_rng(4).integers(0, V, (2, 6, 3))
    embedding, rnn, output = torch.nn.Embedding(V, H), torch.nn.GRU(H, H), torch.nn.Linear(H, V)
    twin = torch.nn.ModuleDict({"embedding": embedding, "rnn": rnn, "output": output})
    twin.to(torch.float64 if dtype == np.float64 else torch.float32)
    output.weight = embedding.weight  # PyTorch's way of tying
    twin.load_state_dict({name: torch.tensor(array) for name, array in network.params.items()}, strict=False)
    logits = output(rnn(embedding(torch.tensor(inputs)))[0])
    torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.tensor(targets).reshape(-1)).backward()
    backprop = network.loss(inputs, targets, network.zero_state(3), scale=1 / targets.size)[2]
    for grads in (dense(backprop()), dense(backprop())):  # a second call gives the same result
        assert "output.weight" not in grads
        for name, parameter in twin.named_parameters():
            np.testing.assert_allclose(grads[name], parameter.grad.numpy(), rtol=0, atol=tolerance, err_msg=name)


# In a network


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "objective"), WITH_OBJECTIVE)
def test_a_token_with_a_bias_of_minus_ten_thousand_has_probability_zero(name, objective, dtype):
    rng = np.random.default_rng(4)
    bias = np.zeros(V)
    bias[0] = -1e4
    network = Network.initialize(config(name), rng, output_bias=bias, dtype=dtype)
    inputs, targets, state = rng.integers(1, V, (4, 6)), rng.integers(1, V, (4, 6)), network.zero_state(6)
    log_probabilities, _ = network.log_probabilities(inputs, state)
    assert (np.exp(log_probabilities[:, :, 0]) == 0).all()
    assert np.isfinite(log_probabilities).all()
    weight, bias = (
        next(iter(network.output.shapes(V, H)))[:-6] + "weight",
        next(iter(network.output.initial_bias(bias))),
    )
    grads = dense(network.loss(inputs, targets, state, objective=objective)[2]())
    assert not grads[weight][0].any()
    assert grads[bias][0] == 0
    assert np.abs(grads[bias][1:]).min() > 1e-5
    for rule, kind in OPTIMIZERS.items():
        params = {key: array.copy() for key, array in network.params.items()}
        optimizer = Optimizer(rule, params, weight_decay=0.5)
        for _ in range(3):
            optimizer.step(params, grads, kind.default_lr)
        decayed = (1 - kind.default_lr * 0.5) ** 3
        np.testing.assert_allclose(params[weight][0], network.params[weight][0] * decayed, rtol=1e-6)
        assert params[bias][0] == -1e4  # biases are not decayed, or its probability would grow


@pytest.mark.parametrize("name", [name for name in LAYERS if config(name).output == "softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_label_smoothing_agrees_with_torch_without_the_start_symbol(name, dtype):
    """Torch spreads the smoothed share over all classes; here <s>, which cannot occur, gets none of it."""
    rng = np.random.default_rng(5)
    bias = rng.normal(size=V)
    bias[0] = -1e4
    network = Network.initialize(config(name), rng, output_bias=bias, dtype=dtype)
    layer, params, N, s = network.output, network.params, 9, 0.2
    matrix = next(key for key in layer.shapes(V, H) if key.endswith(".weight"))
    hidden, targets = rng.normal(size=(N, H)).astype(dtype), rng.integers(1, V, N)
    loss, backprop = layer.loss(params, hidden, targets, "cross-entropy", 0.3, s)
    tensors = [torch.tensor(each, requires_grad=True) for each in (hidden, params[matrix], params["output.bias"])]
    logits = (tensors[0] @ tensors[1].T + tensors[2])[:, 1:]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(targets) - 1, label_smoothing=s, reduction="sum")
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    assert loss.objective == pytest.approx(float(expected.detach()), rel=tolerance)
    (0.3 * expected).backward()
    dhidden, grads = backprop()
    for found, tensor in zip((dhidden, grads[matrix], grads["output.bias"]), tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=100 * tolerance, atol=tolerance)
    assert np.abs(grads[matrix][0]).max() < 1e-30
    assert abs(grads["output.bias"][0]) < 1e-30


@pytest.mark.parametrize("name", [name for name in LAYERS if config(name).output == "softmax"])
def test_label_smoothing_agrees_with_torch_for_given_probabilities(name):
    """This holds for any bias of <s>, and the reported nats are the plain loss."""
    rng = np.random.default_rng(5)
    network = Network.initialize(config(name), rng, output_bias=rng.normal(size=V), dtype=np.float64)
    layer, params, N, s = network.output, network.params, 9, 0.2
    matrix = next(key for key in layer.shapes(V, H) if key.endswith(".weight"))
    hidden, targets = rng.normal(size=(N, H)), rng.integers(0, V, N)
    loss, backprop = layer.loss(params, hidden, targets, "cross-entropy", 0.3, s)
    plain, _ = layer.loss(params, hidden, targets, "cross-entropy", 0.3)
    assert (loss.nats, loss.tokens) == (plain.nats, N)
    tensors = [torch.tensor(each, requires_grad=True) for each in (hidden, params[matrix], params["output.bias"])]
    wanted = torch.full((N, V), s / (V - 1), dtype=torch.float64)
    wanted[:, 0] = 0
    wanted[torch.arange(N), torch.tensor(targets)] += 1 - s
    expected = torch.nn.functional.cross_entropy(tensors[0] @ tensors[1].T + tensors[2], wanted, reduction="sum")
    assert loss.objective == pytest.approx(float(expected.detach()), rel=1e-12)
    (0.3 * expected).backward()
    dhidden, grads = backprop()
    for found, tensor in zip((dhidden, grads[matrix], grads["output.bias"]), tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_a_network_are_derivatives(name):
    rng = np.random.default_rng(5)
    network = Network.initialize(config(name), rng, output_bias=rng.normal(size=V), dtype=np.float64)
    inputs, targets = rng.integers(0, V, (2, 5, 3))
    found = check_gradients(network, inputs, targets, network.zero_state(3), rng)
    assert {each.name for each in found} == {*network.params, "initial_state"}
    assert max(each.relative_error for each in found) < 1e-6


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "tied"])
def test_gradients_of_a_bidirectional_network_are_derivatives(name):
    rng = np.random.default_rng(6)
    network = BidirectionalNetwork.initialize(config(name, bidirectional=True), rng, dtype=np.float64)
    sequences, keep = rng.integers(0, V, (7, 3)), np.ones((7, 3, 2))
    targets = sequences.copy()
    targets[[0, -1]] = NOT_PREDICTED
    found = check_gradients(network, sequences, targets, network.zero_state(3), rng, keep)
    assert max(each.relative_error for each in found if each.name != "initial_state") < 1e-6
    at_two = network.log_probabilities_at(sequences, np.full(3, 2))
    nats, _ = network.nats(sequences, targets, network.zero_state(3), keep)
    np.testing.assert_allclose(-at_two[np.arange(3), sequences[2]], nats[2], rtol=1e-10)


@pytest.mark.parametrize("scheme", ["uniform", "xavier", "orthogonal", "identity", "normal", "article"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_initialization_predicts_roughly_the_frequencies(name, scheme):
    frequencies = np.full(V, 1 / V)
    network = Network.initialize(config(name), np.random.default_rng(7), scheme, np.log(frequencies))
    log_probabilities, _ = network.log_probabilities(np.arange(V)[None], network.zero_state(V))
    assert np.abs(log_probabilities - np.log(frequencies)).max() < 1.5


# Header of a checkpoint


@pytest.mark.parametrize("name", LAYERS)
def test_a_configuration_survives_a_round_trip_through_its_header(name):
    wanted = config(name)
    assert NetworkConfig.from_header(json.loads(json.dumps(wanted.to_header()))) == wanted


def test_a_header_without_an_output_layer_means_the_full_softmax():
    header = config("full").to_header()
    for added in ("cutoffs", "div_value", "tied"):
        del header[added]
    assert NetworkConfig.from_header(header) == config("full")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *(
            ("adaptive", {"cutoffs": bad})
            for bad in ([], [2], [4, 4], [7, 4], [4, V], [-4], [4, 1 << 40], [4.0], [True])
        ),
        *(("adaptive", {"cutoffs": bad}) for bad in (None, 4, "4", {"4": 7}, [[4]], [None])),
        *(
            ("adaptive", {"div_value": bad})
            for bad in (0, 0.5, -2.0, 3.0, 1e300, float("nan"), float("inf"), None, "4")
        ),
        ("adaptive", {"tied": True}),
        ("full", {"cutoffs": [4, 7]}),
        ("tied", {"embedding_size": H + 1}),
        ("tied", {"embedding_size": 0}),
        ("tied", {"bidirectional": True}),
        ("tied", {"tied": 1}),
    ],
)
def test_impossible_settings_are_refused(name, changes):
    with pytest.raises(CheckpointError):
        NetworkConfig.from_header(config(name).to_header() | changes)


# Change of vocabulary


@pytest.mark.parametrize("name", LAYERS)
def test_take_over_copies_the_weights_of_shared_tokens(name):
    output, source, hidden, _ = make(name)
    ids = np.array([0, 1, 2, -1, 3, 6, 4, 10, 9, -1, 5, 8])  # the new vocabulary has two new tokens and lacks token 7
    rng = np.random.default_rng(8)
    params = {key: rng.normal(size=shape) for key, shape in output.shapes(len(ids), H).items()}
    fresh = {key: array.copy() for key, array in params.items()}
    copied = output.take_over(params, output, source, ids)
    assert not copied[ids < 0].any()
    if isinstance(output, Softmax):
        assert (copied == (ids >= 0)).all()
    else:
        cluster, its = np.searchsorted(output.cutoffs, [np.arange(len(ids)), ids], side="right")
        assert (copied == ((ids >= 0) & (cluster == its))).all()
    assert 5 < copied.sum() < len(ids)
    # Within a cluster, copied tokens keep their relative probabilities; other tokens do not change.
    here, there = output.log_probabilities(params, hidden), output.log_probabilities(source, hidden)
    clusters = np.searchsorted(getattr(output, "cutoffs", ()), np.arange(len(ids)), side="right")
    for cluster in set(clusters):
        kept = np.flatnonzero(copied & (clusters == cluster))
        ours, theirs = here[:, kept], there[:, ids[kept]]
        np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], rtol=1e-9, atol=1e-9)
    new = [row for row in range(len(ids)) if not copied[row]]
    first = next(iter(params))
    for row in new:
        if row < len(params[first]) and row < getattr(output, "cutoffs", (len(ids),))[0]:
            assert (params[first][row] == fresh[first][row]).all()
