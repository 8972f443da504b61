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
from rnnlm.sentences import Sentence

SPECIALS = 3  # number of special ids: <s>, </s>, <unk>
LARGEST = (1 << 31) - 1  # largest size that a header may contain
MOST_CUTOFFS = 100  # most cutoffs that a header may contain: each adds two matrices
ADDED_FIELDS = (
    "cutoffs",
    "div_value",
    "tied",
    "locked_dropout",
    "weight_dropout",
    "embedding_dropout",
    "input_dropout",
)  # absent from older checkpoints and then set to their defaults, except input_dropout, which equals dropout
OF_TRAINING = (
    "dropout",
    "locked_dropout",
    "weight_dropout",
    "embedding_dropout",
    "input_dropout",
    "shared_input_dropout",
)  # fields on which neither the shapes of parameters nor predictions depend


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of a network. `embedding_size` 0 means one-hot input; only the basic cell uses `activation`.

    output: a key of OUTPUTS. cutoffs and div_value are settings of the adaptive softmax, tied of the full softmax.
    dropout: rate for hidden states, between layers and before the output. input_dropout: for entries of the embedding.
    locked_dropout: use one mask for all steps of a batch. weight_dropout: for entries of the recurrent matrices.
    embedding_dropout: for tokens, whose rows of the input table are zero in a whole batch. shared_input_dropout: drop
    the same entries of the embedding wherever its token occurs in a batch (Gal and Ghahramani 2016).
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
    shared_input_dropout: bool = False

    @property
    def output_layer(self) -> Output:
        """Output layer with its settings."""
        kind = OUTPUTS[self.output]
        layer: Output = kind(**{field.name: getattr(self, field.name) for field in fields(kind)})
        return layer

    @property
    def directions(self) -> tuple[str, ...]:
        """Suffixes of parameter names, one per direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter by its name; both are PyTorch's."""
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
        """Draw the dropout masks that a batch shares, from a seed."""
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
        """Return the JSON form for the checkpoint.

        How input dropout is shared is in the training's options alone: version 1.0.0 refuses a field it does not know.
        """
        header = asdict(self) | {"cutoffs": list(self.cutoffs)}
        del header["shared_input_dropout"]
        return header

    @property
    def drops_units(self) -> bool:
        """Whether training needs a random stream for dropout masks besides those of `shared_masks`."""
        return bool(self.dropout or self.input_dropout)

    @classmethod
    def from_header(cls, header: Any) -> "NetworkConfig":
        """Build a config from its JSON form.

        Raises:
            CheckpointError: A field is missing, unknown, of the wrong type or out of range.
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
        """Return whether the settings of the output layer are consistent with the sizes."""
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
)  # schema of `NetworkConfig.to_header`


class HiddenBackprop(Protocol):
    """Backward pass of `Network.hidden`."""

    def __call__(self, dhidden: Array, dfinal: Array | None = None) -> tuple[Grads, Array]:
        """Map the gradients of outputs and final state to those of the parameters and of the initial state."""


class LayerStack:
    """Embedding, recurrent layers and output: parameters under PyTorch's names, and pure functions of them.

    ids are (T, B), time first. States are (S, L, B, H) with S = 1 (h) or 2 (h, c); they are passed in and returned.
    `keep` (T, B, 1) is 0 where the state of a column is reset to zero before the step, else 1.
    """

    kind, noun = "rnn", "a recurrent network"

    def __init__(self, config: NetworkConfig, params: Mapping[str, Array]) -> None:
        """Wrap existing parameters.

        Raises:
            CheckpointError: Names or shapes differ from those of `config`.
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
        """Create a network. Biases are 0, but 1 for LSTM forget gates (Gers et al. 2000, Jozefowicz et al. 2015).

        scheme: a key of INITIALIZERS. output_bias (V,): for instance log token frequencies, so that training need not
        learn them first; zero by default. long_memory: share of the units of each layer whose gate biases start at
        `initializers.memory_bias`; no effect on the basic cell, which has no gates.
        """
        params: dict[str, Array] = {}
        H, gates = config.hidden_size, CELLS[config.cell].gate_names
        for name, shape in config.shapes().items():
            if len(shape) == 2:
                # The identity is for recurrent matrices only, not for others that happen to be square.
                fitting = "normal" if scheme == "identity" and "weight_hh" not in name else scheme
                # A tail of the adaptive softmax is scaled like a layer of the width of its projection.
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
        """Make an array contiguous: by columns if one-hot input looks up its columns, else by rows."""
        if name.startswith("rnn.weight_ih_l0") and not self.config.embedding_size:
            return np.asfortranarray(array)
        return np.ascontiguousarray(array)

    @property
    def vocabulary_size(self) -> int:
        """Vocabulary size V, including the three special ids."""
        return self.config.vocabulary_size

    def describe(self) -> str:
        """Return a short description, such as "LSTM 2 x 256"."""
        config = self.config
        described = f"{config.cell.upper()} {config.num_layers} x {config.hidden_size}"
        return Sentence("bidirectional {network}", network=described) if config.bidirectional else described

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the header fields and the arrays to store in a checkpoint."""
        return {"network": self.config.to_header()}, self.params

    @property
    def parameter_count(self) -> int:
        """Total number of entries of all parameters."""
        return sum(array.size for array in self.params.values())

    def zero_state(self, batch_size: int) -> Array:
        """Return a zero state for B columns, (S, L, B, H)."""
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

        rng: random stream of dropout, which is off without it. Dropout is applied to the embedding, between layers and
        before the output (Zaremba et al. 2014). The masks in `shared` are applied to recurrent matrices and to rows of
        the input table.
        """
        config, params = self.config, self.params
        x, places, embedding_backprop = self._embedded(inputs, rng, shared)
        callbacks = []
        final = np.empty_like(state)
        keep = None if keep is None else keep.astype(state.dtype)
        with np.errstate(over="ignore"):  # exp may overflow to inf inside a sigmoid, where 1 / inf = 0 is correct
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
        """Return the arguments x and places of `recurrent` for the first layer, and backprop(dx) -> grads.

        Without an embedding, x is the ids. Unless different entries of equal tokens are dropped, equal tokens have
        equal inputs, so each distinct token is looked up once.
        """
        config = self.config
        if not config.embedding_size:
            return inputs, None, lambda dx: {}
        table = self.params["embedding.weight"]
        if rng is None or not config.input_dropout or config.shared_input_dropout:
            rows, places, lookup_backprop = distinct_rows(table, inputs, shared.tokens)
            rows, dropout_backprop = dropout(rows, config.input_dropout, rng)
            return rows, places, lambda drows: {"embedding.weight": lookup_backprop(dropout_backprop(drows))}
        x, lookup_backprop = lookup(table, inputs)
        x, token_backprop = scaled_tokens(x, inputs, shared.tokens)
        x, dropout_backprop = dropout(x, config.input_dropout, rng, config.locked_dropout)
        return x, None, lambda dx: {"embedding.weight": lookup_backprop(token_backprop(dropout_backprop(dx)))}


class Network(LayerStack):
    """A language model on ids: probabilities of the next id, given the ids before it."""

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
        """Summed loss of predicting `targets` (T, B) from `inputs` (T, B), the final state, and backprop() -> grads.

        The gradients are those of scale * objective; with scale 1 / tokens, of the mean. They include "initial_state",
        which truncated back-propagation ignores. rng, shared: see `hidden`. smoothing: label smoothing, see
        `outputs.smooth`.
        """
        hidden, final, hidden_backprop = self.hidden(inputs, state, keep, rng, shared=shared)
        flat = hidden.reshape(-1, hidden.shape[-1])
        loss, output_backprop = self.output.loss(self.params, flat, targets.reshape(-1), objective, scale, smoothing)

        def backprop() -> Grads:
            dhidden, output_grads = output_backprop()
            grads, dstate = hidden_backprop(dhidden.reshape(hidden.shape))
            if self.config.tied:  # one matrix with two gradients: of all rows as output, of a few rows as input
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
        """Return the state after reading inputs (T, B)."""
        return self.hidden(inputs, state, keep)[1]

    def rows(self, state: Array) -> Array:
        """Log probability of every next token, (B, V), from a state after at least one step: its h is the output."""
        return self.output.log_probabilities(self.params, state[0, -1])

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state; see `rows`."""
        return self.output.entries(self.params, state[0, -1], columns, ids)
