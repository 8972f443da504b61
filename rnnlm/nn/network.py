"""The network: embedding or one-hot input, recurrent layers, output layer; forward, loss and gradients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike

from rnnlm.errors import CheckpointError, shown
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import Grads
from rnnlm.nn.initializers import INITIALIZERS, memory_bias
from rnnlm.nn.layers import (
    NOTHING_DROPPED,
    SharedMasks,
    distinct_rows,
    dropout,
    dropout_mask,
    lookup,
    recurrent,
    scaled_tokens,
)
from rnnlm.nn.numerics import ACTIVATIONS, Array
from rnnlm.nn.outputs import OUTPUTS, Loss, Output, tail_width
from rnnlm.schema import FLAG, Field, WrongValueError, choice, integer, list_of, number, object_of

SPECIALS = 3  # ids that stand for no word: <s>, </s>, <unk>
LARGEST = (1 << 31) - 1  # of any size in a description
MOST_CUTOFFS = 100  # of an adaptive softmax that can be read: each needs two matrices of its own
ADDED_FIELDS = (
    "cutoffs",
    "div_value",
    "tied",
    "locked_dropout",
    "weight_dropout",
    "embedding_dropout",
    "input_dropout",
)  # missing in older checkpoints, where they have their defaults, but for input_dropout
OF_TRAINING = (
    "dropout",
    "locked_dropout",
    "weight_dropout",
    "embedding_dropout",
    "input_dropout",
)  # what neither parameters nor predictions depend on


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made of. `embedding_size` 0 means one-hot input; `activation` is for the basic cell only.

    output: a name in OUTPUTS, whose fields `cutoffs`, `div_value` (adaptive) and `tied` (full softmax) are.
    dropout: of the hidden states, between layers and before the output. input_dropout: of the embedding's entries.
    locked_dropout: one mask for all steps of a batch. weight_dropout: of the recurrent matrices' entries;
    embedding_dropout: of tokens, whose rows of the input table are left out of a batch.
    """

    vocabulary_size: int
    cell: str = "lstm"
    activation: str = "tanh"
    hidden_size: int = 256
    num_layers: int = 1
    embedding_size: int = 0
    dropout: float = 0.0
    output: str = "softmax"
    bidirectional: bool = False
    cutoffs: tuple[int, ...] = ()
    div_value: float = 4.0
    tied: bool = False
    locked_dropout: bool = False
    weight_dropout: float = 0.0
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0

    @property
    def output_layer(self) -> Output:
        """The output layer with its settings."""
        kind = OUTPUTS[self.output]
        layer: Output = kind(**{field.name: getattr(self, field.name) for field in fields(kind)})
        return layer

    @property
    def directions(self) -> tuple[str, ...]:
        """Suffixes of the parameters' names: a bidirectional network has a second stack of layers."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, PyTorch's."""
        H, cell = self.hidden_size, CELLS[self.cell]
        shapes: dict[str, tuple[int, ...]] = {}
        if self.embedding_size:
            shapes["embedding.weight"] = (self.vocabulary_size, self.embedding_size)
        for layer in range(self.num_layers):
            columns = {"weight_ih": (H if layer else self.embedding_size or self.vocabulary_size,), "weight_hh": (H,)}
            for direction in self.directions:
                for part in cell.parts:
                    shapes[f"rnn.{part}_l{layer}{direction}"] = (cell.gates * H, *columns.get(part, ()))
        return shapes | self.output_layer.shapes(self.vocabulary_size, H * len(self.directions))

    def shared_masks(self, seed: Sequence[int], dtype: DTypeLike) -> SharedMasks:
        """What all columns of a batch drop alike, as a function of the seed."""
        weights, tokens = {}, None
        if self.embedding_dropout or self.weight_dropout:
            rng = np.random.default_rng(seed)
        if self.embedding_dropout:
            tokens = dropout_mask((self.vocabulary_size,), self.embedding_dropout, rng, dtype)
        if self.weight_dropout:
            recurrent = {name: shape for name, shape in self.shapes().items() if name.startswith("rnn.weight_hh_")}
            weights = {name: dropout_mask(shape, self.weight_dropout, rng, dtype) for name, shape in recurrent.items()}
        return SharedMasks(weights, tokens)

    def to_header(self) -> dict[str, Any]:
        """JSON form for the checkpoint."""
        return asdict(self) | {"cutoffs": list(self.cutoffs)}

    @property
    def drops_units(self) -> bool:
        """Whether training needs a stream of dropout masks, beside those of `shared_masks`."""
        return bool(self.dropout or self.input_dropout)

    @classmethod
    def from_header(cls, header: Any) -> "NetworkConfig":
        """Config from its JSON form.

        Raises:
            CheckpointError: a field is missing, unknown, of another type or out of range.
        """
        if isinstance(header, dict):
            default = cls(vocabulary_size=SPECIALS + 1).to_header()
            before = {name: default[name] for name in ADDED_FIELDS} | {"input_dropout": header.get("dropout")}
            header = before | header
        try:
            values = HEADER.read(header, "it")
        except WrongValueError as error:
            raise CheckpointError(
                f"The checkpoint's network description cannot be read: {error} It is damaged or was written by another "
                "program, or by a later version of this one."
            ) from None
        config = cls(**values | {"cutoffs": tuple(values["cutoffs"])})
        if not config._output_fits():
            raise CheckpointError(f"The checkpoint's network description is out of range: {shown(header)}.")
        return config

    def _output_fits(self) -> bool:
        """Whether the output layer's settings are possible with these sizes."""
        if self.output == "adaptive":
            edges = [SPECIALS - 1, *self.cutoffs, self.vocabulary_size]
            width = self.hidden_size * len(self.directions)
            return (
                len(self.cutoffs) > 0
                and all(low < high for low, high in pairwise(edges))
                and all(tail_width(width, self.div_value, i) > 0 for i in range(len(self.cutoffs)))
                and not self.tied
            )
        possible = self.embedding_size == self.hidden_size and not self.bidirectional
        return not self.cutoffs and (possible or not self.tied)


_SIZE, _RATE, _FLAG = Field(integer(1, LARGEST, exact=True)), Field(number(0, 1, below=True)), Field(FLAG)
HEADER = object_of(
    {
        "vocabulary_size": Field(integer(SPECIALS + 1, LARGEST, exact=True)),
        "cell": Field(choice(CELLS)),
        "activation": Field(choice(ACTIVATIONS)),
        "hidden_size": _SIZE,
        "num_layers": Field(integer(1, 1000, exact=True)),
        "embedding_size": Field(integer(0, LARGEST, exact=True)),
        "dropout": _RATE,
        "output": Field(choice(OUTPUTS)),
        "bidirectional": _FLAG,
        "cutoffs": Field(list_of(integer(0, LARGEST, exact=True), MOST_CUTOFFS)),
        "div_value": Field(number(1, LARGEST)),
        "tied": _FLAG,
        "locked_dropout": _FLAG,
        "weight_dropout": _RATE,
        "embedding_dropout": _RATE,
        "input_dropout": _RATE,
    },
    "fields such as 'cell'",
)  # what `NetworkConfig.to_header` gives


class HiddenBackprop(Protocol):
    """Backward pass of `Network.hidden`."""

    def __call__(self, dhidden: Array, dfinal: Array | None = None) -> tuple[Grads, Array]:
        """Gradients by the parameters and by the initial state, of those by the outputs and by the final state."""


class LayerStack:
    """Embedding, recurrent layers and output: parameters under PyTorch's names, and pure functions of them.

    ids are (T, B), time first; states are (S, L, B, H) with S = 1 (h) or 2 (h, c) and are values that go in and
    come out. `keep` (T, B, 1) is 0 where a column starts anew (its state is set to zero before that step), else 1.
    """

    kind, noun = "rnn", "a recurrent network"

    def __init__(self, config: NetworkConfig, params: Mapping[str, Array]) -> None:
        """Wrap existing parameters.

        Raises:
            CheckpointError: names or shapes are not those of `config`.
        """
        expected = config.shapes()
        found = {name: array.shape for name, array in params.items()}
        if found != expected:
            wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))[0]
            raise CheckpointError(
                f"Parameter {wrong} has shape {found.get(wrong)}; the network described beside it needs "
                f"{expected.get(wrong)}. The checkpoint is damaged or was edited."
            )
        self.config = config
        self.output = config.output_layer
        self.params = {name: self._laid_out(name, params[name]) for name in expected}

    @classmethod
    def initialize(
        cls,
        config: NetworkConfig,
        rng: np.random.Generator,
        scheme: str = "uniform",
        output_bias: Array | None = None,
        dtype: Any = np.float32,
        long_memory: float = 0.0,
    ) -> Self:
        """New network. Biases are zero but for the forget gate of LSTMs, 1 (Gers et al. 2000, Jozefowicz et al. 2015).

        scheme: a name in INITIALIZERS. output_bias (V,): for instance log word frequencies, which spares the first
        steps of training the work of finding them; zero when not given. long_memory: share of the units of each layer
        whose gates begin with `initializers.memory_bias`; the basic cell has no gates.
        """
        params: dict[str, Array] = {}
        H, gates = config.hidden_size, CELLS[config.cell].gate_names
        for name, shape in config.shapes().items():
            if len(shape) == 2:
                # The identity is meant for what carries the state on, not for whatever happens to be square.
                fitting = "normal" if scheme == "identity" and "weight_hh" not in name else scheme
                # A tail reads a projection of few dimensions: its weights are as large as those of a layer so narrow.
                width = shape[1] if name.startswith("output.tail.") else H
                params[name] = INITIALIZERS[fitting](rng, *shape, width).astype(dtype)
            else:
                params[name] = np.zeros(shape, dtype)
            if "f" in gates and "bias_ih" in name:
                params[name][gates.index("f") * H :][:H] = 1
            if "bias_ih" in name:
                bias = memory_bias(round(long_memory * H))
                for gate, sign in CELLS[config.cell].memory_gates.items():
                    params[name][gates.index(gate) * H :][: len(bias)] = sign * bias
        if output_bias is not None:
            biases = config.output_layer.initial_bias(output_bias)
            params |= {name: bias.astype(dtype) for name, bias in biases.items()}
        return cls(config, params)

    def _laid_out(self, name: str, array: Array) -> Array:
        """One-hot input reads columns of weight_ih_l0: keep those contiguous; everything else row by row."""
        if name.startswith("rnn.weight_ih_l0") and not self.config.embedding_size:
            return np.asfortranarray(array)
        return np.ascontiguousarray(array)

    @property
    def vocabulary_size(self) -> int:
        """V, the three special ids included."""
        return self.config.vocabulary_size

    def describe(self) -> str:
        """What it is, in a few words."""
        config = self.config
        sides = "bidirectional " * config.bidirectional
        return f"{sides}{config.cell.upper()} {config.num_layers} x {config.hidden_size}"

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a checkpoint says of it, and its arrays."""
        return {"network": self.config.to_header()}, self.params

    @property
    def parameter_count(self) -> int:
        """Number of trained numbers."""
        return sum(array.size for array in self.params.values())

    def zero_state(self, batch_size: int) -> Array:
        """Zero state for B columns, (S, L, B, H)."""
        config = self.config
        shape = (CELLS[config.cell].states, config.num_layers, batch_size, config.hidden_size)
        return np.zeros(shape, dtype=self.params["rnn.bias_ih_l0"].dtype)

    def hidden(
        self,
        inputs: Array,
        state: Array,
        keep: Array | None = None,
        rng: np.random.Generator | None = None,
        direction: str = "",
        shared: SharedMasks = NOTHING_DROPPED,
    ) -> tuple[Array, Array, HiddenBackprop]:
        """Outputs of the top layer (T, B, H), final state, and backprop(dhidden, dfinal) -> (grads, dstate).

        rng: the dropout stream; without it nothing is dropped. Dropout stands on the embedding, between layers and
        before the output (Zaremba et al. 2014), never on the recurrent connections: of those, as of whole rows of the
        embedding, `shared` is dropped.
        """
        config, params = self.config, self.params
        x, places, embedding_backprop = self._embedded(inputs, rng, shared)
        callbacks = []
        final = np.empty_like(state)
        keep = None if keep is None else keep.astype(state.dtype)
        with np.errstate(over="ignore"):  # exp may overflow to inf inside a sigmoid, where 1 / inf = 0 is meant
            for layer in range(config.num_layers):
                x, final[:, layer], layer_backprop = recurrent(
                    params,
                    f"l{layer}{direction}",
                    config.cell,
                    config.activation,
                    x,
                    state[:, layer],
                    keep,
                    shared,
                    None if layer else places,
                )
                x, dropout_backprop = dropout(x, config.dropout, rng, config.locked_dropout)
                callbacks.append((layer_backprop, dropout_backprop))

        def backprop(dhidden: Array, dfinal: Array | None = None) -> tuple[Grads, Array]:
            dx: Any = dhidden
            grads: Grads = {}
            dstate = np.empty_like(state)
            for layer in reversed(range(config.num_layers)):
                layer_backprop, dropout_backprop = callbacks[layer]
                last = None if dfinal is None else dfinal[:, layer]
                dx, dstate[:, layer], layer_grads = layer_backprop(dropout_backprop(dx), last)
                grads |= layer_grads
            return grads | embedding_backprop(dx), dstate

        return x, final, backprop

    def _embedded(
        self, inputs: Array, rng: np.random.Generator | None, shared: SharedMasks
    ) -> tuple[Array, Array | None, Callable[[Any], Grads]]:
        """Input of the first layer, as `recurrent` takes it: x and places; and backprop(dx) -> grads.

        Without an embedding, these are the ids. What is dropped of each step alike is dropped of each token once.
        """
        config = self.config
        if not config.embedding_size:
            return inputs, None, lambda dx: {}
        table = self.params["embedding.weight"]
        if rng is None or not config.input_dropout:
            rows, places, backprop = distinct_rows(table, inputs, shared.tokens)
            return rows, places, lambda drows: {"embedding.weight": backprop(drows)}
        x, lookup_backprop = lookup(table, inputs)
        x, token_backprop = scaled_tokens(x, inputs, shared.tokens)
        x, dropout_backprop = dropout(x, config.input_dropout, rng, config.locked_dropout)
        return x, None, lambda dx: {"embedding.weight": lookup_backprop(token_backprop(dropout_backprop(dx)))}


class Network(LayerStack):
    """A language model on ids: the next one's probabilities, given those before it."""

    def loss(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        keep: Array | None = None,
        rng: np.random.Generator | None = None,
        objective: str = "cross-entropy",
        scale: float = 1.0,
        shared: SharedMasks = NOTHING_DROPPED,
        smoothing: float = 0.0,
    ) -> tuple[Loss, Array, Callable[[], Grads]]:
        """Summed loss of predicting `targets` (T, B) from `inputs` (T, B), the final state, and the gradients.

        The gradients are those of scale * objective; with scale 1 / tokens, of the mean. `initial_state` among them
        is the gradient by the initial state, which truncated back-propagation drops. rng, shared: see `hidden`;
        smoothing: of the labels, see `outputs.smooth`.
        """
        hidden, final, hidden_backprop = self.hidden(inputs, state, keep, rng, shared=shared)
        flat = hidden.reshape(-1, hidden.shape[-1])
        loss, output_backprop = self.output.loss(self.params, flat, targets.reshape(-1), objective, scale, smoothing)

        def backprop() -> Grads:
            dhidden, output_grads = output_backprop()
            grads, dstate = hidden_backprop(dhidden.reshape(hidden.shape))
            if self.config.tied:  # the two uses of one matrix: every row as output, a few as input
                looked_up, both = grads["embedding.weight"], output_grads["embedding.weight"].copy()
                both[looked_up.ids] += looked_up.rows
                output_grads = output_grads | {"embedding.weight": both}
            return grads | output_grads | {"initial_state": dstate}

        return loss, final, backprop

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the final state."""
        hidden, final, _ = self.hidden(inputs, state, keep)
        flat = hidden.reshape(-1, hidden.shape[-1])
        nats = self.output.nats(self.params, flat, targets.reshape(-1))
        return nats.reshape(targets.shape), final

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every token after each step, (T, B, V), and the final state."""
        hidden, final, _ = self.hidden(inputs, state, keep)
        flat = hidden.reshape(-1, hidden.shape[-1])
        log_probabilities = self.output.log_probabilities(self.params, flat)
        return log_probabilities.reshape(*hidden.shape[:2], -1), final

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every token after the last step only, (B, V), and the final state."""
        hidden, final, _ = self.hidden(inputs, state)
        return self.output.log_probabilities(self.params, hidden[-1]), final

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """State after inputs (T, B) were read."""
        return self.hidden(inputs, state, keep)[1]

    def rows(self, state: Array) -> Array:
        """Log probability of every token (B, V) after a state that was read into: its h is the last output."""
        return self.output.log_probabilities(self.params, state[0, -1])

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of tokens (n,) after columns (n,) of such a state."""
        return self.output.entries(self.params, state[0, -1], columns, ids)
