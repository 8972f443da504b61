import json
import re
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.errors import ExchangeError
from rnnlm.exchange import onnx_graph
from rnnlm.exchange.onnx_graph import encode_onnx, states_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.numerics import ACTIVATIONS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
FIXTURES = Path(__file__).parents[1] / "data" / "format1"
# Log probabilities of <s> are very negative, so in float32 they have fewer decimal places than others.
CLOSE = {"atol": 1e-5, "rtol": 1e-6}


@pytest.fixture
def session():
    """A function that makes an inference session of ONNX Runtime for an encoded graph."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    runtime.set_default_logger_severity(3)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return lambda encoded: runtime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])


def ids_of(network, T, B, seed=1):
    return np.random.default_rng(seed).integers(0, network.vocabulary_size, (T, B))


def test_the_graph_is_valid_and_documents_its_use(network):
    model = onnx.load_from_string(encode_onnx(network))
    onnx.checker.check_model(model, full_check=True)
    assert "log_probabilities" in model.graph.doc_string
    names = [each.name for each in model.graph.input]
    assert names == ["ids", *([] if network.config.bidirectional else states_of(network.config))]
    assert encode_onnx(network) == encode_onnx(network)


def test_graph_and_network_agree_on_sequences_and_single_steps(causal_network, session):
    network = causal_network
    run = session(encode_onnx(network)).run
    ids, rng = ids_of(network, 9, 3), np.random.default_rng(2)
    state = rng.normal(size=network.zero_state(3).shape).astype(np.float32)
    expected, final = network.log_probabilities(ids, state)
    names = states_of(network.config)
    whole, *after = run(None, {"ids": ids, **dict(zip(names, state, strict=True))})
    np.testing.assert_allclose(whole, expected, **CLOSE)
    np.testing.assert_allclose(np.stack(after), final, **CLOSE)
    for t in range(len(ids)):
        step, *state = run(None, {"ids": ids[t : t + 1], **dict(zip(names, state, strict=True))})
        np.testing.assert_allclose(step[0], expected[t], **CLOSE)
    np.testing.assert_allclose(np.stack(state), final, **CLOSE)


@pytest.mark.parametrize("name", ["bidirectional", "deep", "adaptive"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_bidirectional_graph_agrees_with_the_network_at_every_place(name, cell, make_network, session):
    options = {"deep": {"num_layers": 2, "embedding_size": 0}, "adaptive": {"output": "adaptive", "cutoffs": (9,)}}
    network = make_network(cell=cell, bidirectional=True, **options.get(name, {}))
    assert isinstance(network, BidirectionalNetwork)
    ids = ids_of(network, 7, 3)
    (found,) = session(encode_onnx(network)).run(None, {"ids": ids})
    assert found.shape == (5, 3, network.vocabulary_size)
    for place in range(1, 6):
        expected = network.log_probabilities_at(ids, np.full(3, place))
        np.testing.assert_allclose(found[place - 1], expected, **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_a_large_network_agrees_within_the_tolerance(cell, make_network, session):
    network = make_network(
        cell=cell, vocabulary_size=3000, hidden_size=128, embedding_size=64, num_layers=2, output="adaptive",
        cutoffs=(300, 1000),
    )  # fmt: skip
    ids = ids_of(network, 40, 2)
    state = network.zero_state(2)
    found = session(encode_onnx(network)).run(
        ["log_probabilities"], {"ids": ids, **dict(zip(states_of(network.config), state, strict=True))}
    )[0]
    np.testing.assert_allclose(found, network.log_probabilities(ids, state)[0], **CLOSE)


def test_every_cell_and_activation_has_an_onnx_operator():
    assert set(ACTIVATIONS) == set(onnx_graph.ACTIVATIONS)
    for cell in CELLS.values():
        assert {slab.removeprefix("-") for slab in cell.onnx.gates if slab != "0"} == set(cell.gate_names or ("",))


def test_a_network_too_large_for_onnx_is_refused(make_network, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MAX_BYTES", 1000)
    with pytest.raises(ExchangeError, match=re.escape("room for 1,000. Use --to safetensors")):
        encode_onnx(make_network())


def test_one_hot_input_is_encoded_in_the_smaller_of_two_ways(make_network):
    for options in ({"hidden_size": 2}, {"hidden_size": 25}):
        network = make_network(embedding_size=0, cell="lstm", **options)
        rows, V = network.params["rnn.weight_ih_l0"].shape
        constants = {
            each.name: list(each.dims) for each in onnx.load_from_string(encode_onnx(network)).graph.initializer
        }
        assert constants["rnn.input"] == [V, min(rows, V)]
        assert json.dumps(constants["rnn.l0.W"]) == json.dumps([1, rows, min(rows, V)])


@pytest.mark.parametrize("name", ["char-stream-lstm", "word-sentence-gru", "one-hot-rnn"])
def test_trained_networks_agree_with_their_graph(name, session):
    network = LanguageModel.load(FIXTURES / f"{name}.npz").network
    ids, state = ids_of(network, 60, 2), network.zero_state(2)
    given = {"ids": ids, **dict(zip(states_of(network.config), state, strict=True))}
    (found,) = session(encode_onnx(network)).run(["log_probabilities"], given)
    np.testing.assert_allclose(found, network.log_probabilities(ids, state)[0], **CLOSE)
