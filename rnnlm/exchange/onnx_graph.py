"""A network as an ONNX graph, for runtimes on phones, browsers and servers.

    ids (T, B) int64, h (L, B, H), for LSTMs also c -> log_probabilities (T, B, V), next_h, next_c

T and B are dynamic. With T = 1, the graph computes one step; pass its new state to the next step. A text begins with a
zero state. A bidirectional network has no state: from ids <s> ... </s> it computes log probabilities (T - 2, B, V) of
the tokens between; all sequences of a batch must have the same length.

ONNX orders the gates differently than PyTorch, and concatenates both biases in one vector.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlm import __version__
from rnnlm.errors import ExchangeError
from rnnlm.exchange.packages import load_package
from rnnlm.nn.cells import CELLS
from rnnlm.nn.cells.loop import Cell
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import Array

ACTIVATIONS: dict[str, dict[str, list[Any]]] = {
    "tanh": {"activations": ["Tanh"]},
    "relu": {"activations": ["Relu"]},
    "sigmoid": {"activations": ["Sigmoid"]},
    "identity": {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]},
}
OPERATOR_SET, IR_VERSION = 17, 8  # of 2022, so that old runtimes can read the file
MAX_BYTES = 2**31 - 2**20  # limit of protocol buffers, minus room for the graph


def states_of(config: NetworkConfig) -> list[str]:
    """Return the names of the states of a network, "h" and for LSTMs "c"."""
    return ["h", "c"][: CELLS[config.cell].states]


class Graph:
    """Builder of an ONNX graph of nodes and constants; values are identified by their names."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Array] = {}

    def constant(self, name: str, array: Array) -> str:
        """Add a constant tensor, and return its name."""
        self._constants[name] = array
        return name

    def node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Add an operation, by default with one output, and return the name of its first output."""
        outputs = outputs or (f"{operator.lower()}_{len(self._nodes)}",)
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, list(outputs), **attributes))
        return outputs[0]

    def encode(
        self, inputs: list[Any], outputs: list[Any], description: str, metadata: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the file; metadata: properties for programs that load the model."""
        size = sum(array.nbytes for array in self._constants.values())
        if size > MAX_BYTES:
            raise ExchangeError(
                f"The network has {size:,} bytes; an ONNX file has room for {MAX_BYTES:,}. Use --to safetensors."
            )
        helper, of_array = self._onnx.helper, self._onnx.numpy_helper.from_array
        constants = [of_array(np.asarray(array, order="C"), name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "rnnlm", inputs, outputs, constants, doc_string=description)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
            ir_version=IR_VERSION,
            producer_name="rnnlm",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(metadata or {}))
        encoded: bytes = model.SerializeToString(deterministic=True)
        return encoded


def encode_onnx(network: Network) -> bytes:
    """Return a network as an ONNX file.

    Raises:
        ExchangeError: the package onnx is not installed, or the network is too large for an ONNX file.
    """
    onnx = load_package("onnx")
    config = network.config
    graph = Graph(onnx)
    if config.bidirectional:
        hidden = _between(graph, network)
        states, places = [], "T-2"
    else:
        hidden = forward(graph, network, "ids", states_of(config), "")
        states, places = states_of(config), "T"
    output(graph, network, hidden)

    def floats(name: str, *shape: str | int) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    state = config.num_layers, "B", config.hidden_size
    inputs = [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["T", "B"])]
    inputs += [floats(name, *state) for name in states]
    outputs = [floats("log_probabilities", places, "B", config.vocabulary_size)]
    outputs += [floats(f"next_{name}", *state) for name in states]
    return graph.encode(inputs, outputs, (__doc__ or "").strip())


def _between(graph: Graph, network: Network) -> str:
    """Return the concatenated states of both directions at all inner places, (T - 2, B, 2H); see `nn.bidirectional`."""
    before = graph.node("Slice", ["ids", *_integers(graph, "before", 0, -2)])
    after = graph.node("Slice", ["ids", *_integers(graph, "after", 2, 2**31 - 1)])
    sides = [forward(graph, network, before, [], ""), forward(graph, network, after, [], "_reverse")]
    return graph.node("Concat", sides, axis=2)


def forward(graph: Graph, network: Network, ids: str, states: list[str], direction: str) -> str:
    """Add a stack of layers, and return the output (T, B, H) of the top layer; final states are `next_...`."""
    config = network.config
    x, input_weight = _input(graph, network, ids, direction)
    operator = CELLS[config.cell].onnx
    layers = range(config.num_layers)
    initial = {name: [f"{name}_{layer}" for layer in layers] for name in states}
    final = {name: [f"next_{name}_{layer}" for layer in layers] for name in states}
    for name in states:
        graph.node("Split", [name], *initial[name], axis=0)
    for layer in layers:
        weights = _weights(graph, network, f"l{layer}{direction}", None if layer else input_weight)
        results = [f"layer_{layer}{direction}", *(final[name][layer] for name in states)]
        y = graph.node(
            operator.name,
            [x, *weights, "", *(initial[name][layer] for name in states)],
            *results,
            hidden_size=config.hidden_size,
            direction="reverse" if direction else "forward",
            **operator.attributes,
            **(ACTIVATIONS[config.activation] if config.cell == "rnn" else {}),
        )
        x = graph.node("Squeeze", [y, graph.constant("one", np.array([1], np.int64))])  # (T, 1 direction, B, H)
    for name in states:
        graph.node("Concat", final[name], f"next_{name}", axis=0)
    return x


def _input(graph: Graph, network: Network, ids: str, direction: str) -> tuple[str, Array | None]:
    """Return the input of the first layer (T, B, .), and its input matrix if it is not the parameter.

    A one-hot vector times U is a column of U. The graph looks up rows of a table, the smaller of two: one-hot vectors,
    which the layer multiplies by U, or U^T, whose rows it multiplies by the identity.
    """
    if network.config.embedding_size:
        table, weight = _parameter(graph, network, "embedding.weight"), None
    else:
        U = network.params[f"rnn.weight_ih_l0{direction}"]
        rows, V = U.shape
        name = f"rnn.input{direction}"
        if rows >= V:
            table, weight = graph.constant(name, np.eye(V, dtype=np.float32)), None
        else:
            table, weight = graph.constant(name, _float32(U.T)), np.eye(rows, dtype=np.float32)
    return graph.node("Gather", [table, ids], axis=0), weight


def _weights(graph: Graph, network: Network, layer: str, input_weight: Array | None) -> list[str]:
    """Return W, R and B of a layer, (1, GH, .), in the gate order of ONNX."""
    params, cell = network.params, CELLS[network.config.cell]
    W = params[f"rnn.weight_ih_{layer}"] if input_weight is None else input_weight
    bias = params[f"rnn.bias_ih_{layer}"]
    R = params.get(f"rnn.weight_hh_{layer}", np.zeros((len(bias), network.config.hidden_size)))
    biases = [_slabs(each, cell) for each in (bias, params.get(f"rnn.bias_hh_{layer}", np.zeros_like(bias)))]
    arrays = {"W": _slabs(W, cell), "R": _slabs(R, cell), "B": np.concatenate(biases)}
    return [graph.constant(f"rnn.{layer}.{letter}", _float32(array)[None]) for letter, array in arrays.items()]


def _slabs(array: Array, cell: Cell) -> Array:
    """Return the gates of an array (GH, ...) in the order of ONNX."""
    names = cell.gate_names or ("",)
    ours = dict(zip(names, np.split(array, len(names)), strict=True))
    ours |= {f"-{name}": -slab for name, slab in ours.items()} | {"0": np.zeros_like(ours[names[0]])}
    return np.concatenate([ours[name] for name in cell.onnx.gates])


def output(graph: Graph, network: Network, hidden: str) -> None:
    """Add the output layer: from `hidden` (T, B, H) to `log_probabilities` (T, B, V); see `nn.outputs`."""
    config = network.config
    if config.output != "adaptive":
        weight = "embedding.weight" if config.tied else "output.weight"
        logits = graph.node(
            "Add", [_product(graph, network, hidden, weight), _parameter(graph, network, "output.bias")]
        )
        graph.node("LogSoftmax", [logits], "log_probabilities", axis=-1)
        return
    logits = _product(graph, network, hidden, "output.head.weight")
    head = graph.node("LogSoftmax", [graph.node("Add", [logits, _parameter(graph, network, "output.head.bias")])])
    shortlist = config.cutoffs[0]
    parts = [graph.node("Slice", [head, *_integers(graph, "shortlist", 0, shortlist, axis=2)])]
    for i in range(len(config.cutoffs)):
        entry = graph.node("Slice", [head, *_integers(graph, f"tail_{i}", shortlist + i, shortlist + i + 1, axis=2)])
        projected = _product(graph, network, hidden, f"output.tail.{i}.0.weight")
        within = graph.node("LogSoftmax", [_product(graph, network, projected, f"output.tail.{i}.1.weight")])
        parts.append(graph.node("Add", [within, entry]))
    graph.node("Concat", parts, "log_probabilities", axis=2)


def _product(graph: Graph, network: Network, x: str, weight: str) -> str:
    transposed = graph.node("Transpose", [_parameter(graph, network, weight)])
    return graph.node("MatMul", [x, transposed])


def _parameter(graph: Graph, network: Network, name: str) -> str:
    return graph.constant(name, _float32(network.params[name]))


def _integers(graph: Graph, name: str, start: int, end: int, axis: int = 0) -> list[str]:
    """Return the inputs start, end and axis of a Slice."""
    values = {"start": start, "end": end, "axis": axis}
    return [graph.constant(f"{name}_{key}", np.array([value], np.int64)) for key, value in values.items()]


def _float32(array: Array) -> Array:
    return np.asarray(array, np.float32)
