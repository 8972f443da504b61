"""The network of `rnnlm.nn` on PyTorch: the same parameters, the same loss, gradients by autograd.

Recurrent layers are modules of torch.nn, with their fused kernels, or of `torch_cells`. With dropout, layers run one by
one, because the masks between them are generated here, for the whole batch. Each worker takes its columns, so that the
result does not depend on the number of workers.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlm.nn.cells import CELLS
from rnnlm.nn.layers import NOTHING_DROPPED, SharedMasks
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.outputs import AdaptiveSoftmax
from rnnlm.training.engine import DROPOUT
from rnnlm.training.torch_cells import GATHERED, recurrent_module
from rnnlm.training.torch_segments import Array, Segments


class NoDropout:
    """Takes the place of `Dropout` where nothing is dropped."""

    def units(self, x: Tensor, rate: float, segments: Segments | None = None) -> Tensor:
        """Return x."""
        return x

    def rows(self, rows: Tensor, rate: float) -> Tensor:
        """Return rows."""
        return rows


NO_DROPOUT = NoDropout()


class Dropout(NoDropout):
    """Inverted dropout with masks that depend only on a key, generated for all columns of a batch.

    locked: drop the same units of a column in all steps.
    """

    def __init__(
        self,
        key: tuple[int, ...],
        places: tuple[int, int, slice],
        device: torch.device,
        locked: bool = False,
    ) -> None:
        """Seed the generator; places: T, number of columns of the batch, and columns of this worker."""
        seed = int(np.random.SeedSequence([*key, DROPOUT]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        self.places, self.device, self.locked = places, device, locked
        self.generator = torch.Generator(device).manual_seed(seed)

    def units(self, x: Tensor, rate: float, segments: Segments | None = None) -> Tensor:
        """Drop a share of x (T B, D), which is in the order of the segments, if given."""
        if not rate:
            return x
        T, columns, own = self.places
        mask = self._mask((1 if self.locked else T, columns, x.shape[1]), rate, x.dtype)[:, own].flatten(0, 1)
        if segments is not None:
            return x * mask.index_select(0, segments.order % len(mask))
        return (x.reshape(-1, *mask.shape) * mask).view(x.shape)

    def rows(self, rows: Tensor, rate: float) -> Tensor:
        """Drop a share of the entries of embeddings (K, E): the same ones for all tokens that look up a row."""
        return rows * self._mask(rows.shape, rate, rows.dtype) if rate else rows

    def _mask(self, shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
        kept = torch.empty(shape, device=self.device).bernoulli_(1 - rate, generator=self.generator)
        return kept.div_(1 - rate).to(dtype)


@contextmanager
def _weights(module: torch.nn.Module, changed: Mapping[int, Tensor]) -> Iterator[None]:
    """Replace some tensors, by index, in the list of weights that the kernels of a recurrent module read."""
    if not changed:
        yield
        return
    own = module._flat_weights
    module._flat_weights = [changed.get(place, weight) for place, weight in enumerate(own)]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", GATHERED)
            yield
    finally:
        module._flat_weights = own


class Table:
    """A look-up table (V, D): the embedding, or with one-hot input the columns of weight_ih_l0.

    A training step copies the rows that it reads, and computes the gradient with respect to the copy: a few thousand
    rows instead of the whole table, without sparse tensors.
    """

    def __init__(self, values: Tensor) -> None:
        """Store the values (V, D), outside of a training step."""
        self.values = values
        self.read: Tensor | None = None  # (K,) ids of the rows of a step, ascending
        self.rows: Tensor | None = None  # (K, D) copy of the rows
        self._place: Array = np.zeros(0)

    def begin(self, ids: list[Array]) -> None:
        """Copy the rows of all ids of a step, including those that other workers read."""
        seen = np.zeros(len(self.values), dtype=bool)
        for each in ids:
            seen[each.reshape(-1)] = True
        self._place = np.cumsum(seen) - 1
        self.read = torch.from_numpy(np.flatnonzero(seen)).to(self.values.device)
        self.rows = self.values.index_select(0, self.read).requires_grad_()

    def end(self) -> None:
        """Discard the copied rows at the end of a step."""
        self.read = self.rows = None

    def __call__(self, ids: Array, dropped: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rows (T B, D) of ids (T, B); in a training step, `dropped` replaces the copied rows."""
        if self.rows is None:
            return F.embedding(torch.from_numpy(ids.reshape(-1).astype(np.int64)).to(self.values.device), self.values)
        return F.embedding(torch.from_numpy(self._place[ids.reshape(-1)]).to(self.values.device), dropped(self.rows))


class Summed(NamedTuple):
    """Objective and nats of targets, (N,) or summed."""

    objective: Tensor
    nats: Tensor


class TorchNetwork:
    """A network on a device. `params` are the dense parameters, `tables` the look-up tables.

    ids and `keep` are NumPy arrays as in `nn.Network`; states are tensors (S, L, B, H).
    """

    def __init__(
        self, config: NetworkConfig, params: Mapping[str, Array], device: torch.device, compiled: bool = False
    ) -> None:
        """Copy the parameters; compiled: use torch.compile for the softmax of the output layer."""
        self.config, self.device = config, device
        self.array_dtype = params["rnn.bias_ih_l0"].dtype
        self.dtype = torch.from_numpy(params["rnn.bias_ih_l0"]).dtype
        self.params: dict[str, Tensor] = {}
        self.tables: dict[str, Table] = {}
        for name in config.shapes():
            if self.is_table(name):
                self.tables[name] = Table(to_tensor(params[name], device, transposed=name.startswith("rnn.")))
            elif not name.startswith("rnn."):
                self.params[name] = torch.nn.Parameter(torch.tensor(params[name], device=device))
        self._layers = {direction: self._stack(direction) for direction in config.directions}
        self.load(params)
        self._softmax = torch.compile(_softmax_nats) if compiled else _softmax_nats

    def is_table(self, name: str) -> bool:
        """Return whether only the rows that a batch reads have a gradient, which is not so for a tied embedding."""
        if self.config.embedding_size:
            return name == "embedding.weight" and not self.config.tied
        return name.startswith("rnn.weight_ih_l0")

    def _stack(self, direction: str) -> list[tuple[torch.nn.Module, slice]]:
        """Return the recurrent modules from bottom to top, each with the slice of its layers."""
        config = self.config
        L, H = config.num_layers, config.hidden_size
        one_hot = CELLS[config.cell].gates * H
        stack = []
        for layers in [slice(layer, layer + 1) for layer in range(L)] if config.dropout else [slice(0, L)]:
            width = H if layers.start else config.embedding_size or one_hot
            sizes, options = (width, H, layers.stop - layers.start), {"device": self.device, "dtype": self.dtype}
            module = recurrent_module(config.cell, config.activation, *sizes, **options)
            for part, weight in module.named_parameters():
                kind, _, layer = part.rpartition("_l")
                name = f"rnn.{kind}_l{layers.start + int(layer)}{direction}"
                if name in self.tables:  # the look-up already yields the product
                    weight.requires_grad_(False).copy_(torch.eye(one_hot))
                else:
                    self.params[name] = weight
            stack.append((module, layers))
        return stack

    # --- parameters ---------------------------------------------------------------------------------------------

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def load(self, params: Mapping[str, Array]) -> None:
        """Set the parameters, given in the form of `nn.Network`."""
        for name, parameter in self.params.items():
            parameter.copy_(torch.from_numpy(params[name]))
        for name, table in self.tables.items():
            table.values.copy_(to_tensor(params[name], self.device, transposed=name.startswith("rnn.")))

    def arrays(self) -> dict[str, Array]:
        """Return copies of the parameters in the form of `nn.Network`."""
        return {
            name: to_array(self.tables[name].values, transposed=name.startswith("rnn."))
            if name in self.tables
            else to_array(self.params[name])
            for name in self.config.shapes()
        }

    def zero_state(self, batch_size: int) -> Tensor:
        """Return the zero state (S, L, B, H) for B columns."""
        config = self.config
        shape = (CELLS[config.cell].states, config.num_layers, batch_size, config.hidden_size)
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    # --- forward ------------------------------------------------------------------------------------------------

    def reads(self, inputs: Array) -> dict[str, Array]:
        """Return the ids that each direction reads, from left to right."""
        return {"": inputs[:-2], "_reverse": inputs[2:]} if self.config.bidirectional else {"": inputs}

    def table_of(self, direction: str) -> str:
        """Return the name of the table of a direction."""
        return "embedding.weight" if self.config.embedding_size else f"rnn.weight_ih_l0{direction}"

    def hidden(
        self,
        inputs: Array,
        state: Tensor,
        keep: Array | None,
        drop: NoDropout = NO_DROPOUT,
        shared: SharedMasks = NOTHING_DROPPED,
    ) -> tuple[Tensor, Tensor]:
        """Return the input of the output layer, (T B, H) or if bidirectional ((T - 2) B, 2H), and the final state."""
        if not self.config.bidirectional:
            return self._direction("", inputs, state, None if keep is None else keep[:, :, 0], drop, shared)
        assert keep is not None
        forward, _ = self._direction("", inputs[:-2], state, keep[:-2, :, 0], drop, shared)
        reverse, _ = self._direction("_reverse", inputs[:1:-1], state, keep[:1:-1, :, 1], drop, shared)
        reverse = reverse.view(len(inputs) - 2, -1).flip(0).view(forward.shape)
        return torch.cat([forward, reverse], dim=1), state

    def _direction(
        self, direction: str, ids: Array, state: Tensor, keep: Array | None, drop: NoDropout, shared: SharedMasks
    ) -> tuple[Tensor, Tensor]:
        """Return the output of the top layer (T B, H), and the final state."""
        T, B = ids.shape
        segments = None if keep is None or keep.all() else Segments.of(keep, self.device)
        x = self._looked_up(direction, ids, drop, shared)
        if segments is not None:
            x = x.index_select(0, segments.order)
            state = state.index_select(2, segments.columns) * segments.carried
        finals = []
        for module, layers in self._layers[direction]:
            before = tuple(each.contiguous() for each in state[:, layers])
            steps = x.view(T, B, -1) if segments is None else PackedSequence(x, segments.sizes)
            weights = {
                place: module._flat_weights[place] * torch.from_numpy(shared.weights[name]).to(self.device)
                for place, name in self._recurrent_matrices(module, layers, direction)
                if name in shared.weights
            }
            with _weights(module, weights):
                steps, after = module(steps, before if len(before) > 1 else before[0])
            x = drop.units(steps.flatten(0, 1) if segments is None else steps.data, self.config.dropout, segments)
            finals.append(torch.stack(after) if len(before) > 1 else after[None])
        final = torch.cat(finals, dim=1)
        if segments is None:
            return x, final
        return x.index_select(0, segments.inverse), final.index_select(2, segments.last)

    def _recurrent_matrices(self, module: torch.nn.Module, layers: slice, direction: str) -> Iterator[tuple[int, str]]:
        """Yield index and parameter name of each weight_hh of a module."""
        for place, part in enumerate(module._flat_weights_names):
            kind, _, layer = part.rpartition("_l")
            if kind == "weight_hh":
                yield place, f"rnn.{kind}_l{layers.start + int(layer)}{direction}"

    def _looked_up(self, direction: str, ids: Array, drop: NoDropout, shared: SharedMasks) -> Tensor:
        """Return the input of the first layer (T B, D), of which a share is dropped."""
        name = self.table_of(direction)
        rate = self.config.input_dropout if self.config.embedding_size else 0.0
        rate_of_rows, rate_of_units = (rate, 0.0) if self.config.shared_input_dropout else (0.0, rate)
        dropped = partial(drop.rows, rate=rate_of_rows)
        if name in self.tables:
            x = self.tables[name](ids, dropped)
        else:
            x = F.embedding(self._tensor(ids.reshape(-1)), dropped(self.params[name]))
        if shared.tokens is not None:
            x = x * torch.from_numpy(shared.tokens[ids.reshape(-1, 1)]).to(self.device)
        return drop.units(x, rate_of_units)

    def _tensor(self, ids: Array) -> Tensor:
        return torch.from_numpy(ids.astype(np.int64)).to(self.device)

    # --- output layers ------------------------------------------------------------------------------------------

    def losses(self, hidden: Tensor, targets: Array, objective: str, smoothing: float = 0.0) -> Summed:
        """Return objective and -log p of each target (N,); smoothing: see `nn.outputs.smooth`."""
        if isinstance(self.config.output_layer, AdaptiveSoftmax):
            nats = self._adaptive_nats(hidden, targets)
            return Summed(nats, nats)
        weight = self.params["embedding.weight" if self.config.tied else "output.weight"]
        bias, ids = self.params["output.bias"], self._tensor(targets)
        if objective == "mse":
            return _squared_error(F.linear(hidden, weight, bias).to(self.dtype), ids)
        nats = self._softmax(hidden, weight, bias, ids)
        if not smoothing:
            return Summed(nats, nats)
        # Logit of the target minus the mean logit of all tokens but <s>; the normalizers of -log p cancel.
        rows = weight.index_select(0, ids) - weight[1:].mean(dim=0)
        excess = (hidden * rows).sum(dim=1) + bias.index_select(0, ids) - bias[1:].mean()
        return Summed(nats + smoothing * excess, nats)

    def _adaptive_nats(self, hidden: Tensor, targets: Array) -> Tensor:
        """Return -log p; see `nn.outputs.AdaptiveSoftmax`. Clusters are found on the host, without waiting."""
        cutoffs = self.config.cutoffs
        clusters = np.searchsorted(cutoffs, targets, side="right")
        entries = np.where(clusters == 0, targets, cutoffs[0] + clusters - 1)
        weight, bias = self.params["output.head.weight"], self.params["output.head.bias"]
        nats = self._softmax(hidden, weight, bias, self._tensor(entries))
        for i, start in enumerate(cutoffs):
            rows = np.flatnonzero(clusters == i + 1)
            chosen = self._tensor(rows)
            projected = F.linear(hidden.index_select(0, chosen), self.params[f"output.tail.{i}.0.weight"])
            weight = self.params[f"output.tail.{i}.1.weight"]
            of_tail = _softmax_nats(projected, weight, None, self._tensor(targets[rows] - start))
            nats = nats.index_add(0, chosen, of_tail)
        return nats


def _softmax_nats(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias).to(weight.dtype), targets, reduction="none")


def _squared_error(logits: Tensor, targets: Tensor) -> Summed:
    """Return |p - y|^2 / 2 and -log p(target) of each row."""
    log_probabilities = F.log_softmax(logits, dim=1)
    probabilities = log_probabilities.exp()
    of_targets = probabilities.gather(1, targets[:, None])[:, 0]
    nats = -log_probabilities.gather(1, targets[:, None])[:, 0]
    return Summed((probabilities.square().sum(dim=1) - 2 * of_targets + 1) / 2, nats)


def to_tensor(array: Array, device: torch.device, transposed: bool = False) -> Tensor:
    """Return a copy of an array on a device, in row order; transposed: columns become rows."""
    return torch.tensor(np.ascontiguousarray(array.T if transposed else array), device=device)


def to_array(tensor: Tensor, transposed: bool = False) -> Array:
    """Return a copy of a tensor as an array; the inverse of `to_tensor`."""
    array: Array = np.array(tensor.detach().cpu().numpy())
    return array.T if transposed else array
