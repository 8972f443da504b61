"""Recurrent layers that torch.nn lacks: cells of our own, and activations of the basic one.

Each is made and called as torch.nn.LSTM is, on a tensor (T, B, D) or a packed sequence, and has parameters under the
names of `nn.cells`.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlm.nn.cells import CELLS

# cuDNN gathers weights that are not its own, which is meant wherever it is silenced.
GATHERED = "RNN module weights are not part of single contiguous chunk"
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "identity": lambda x: x}


def recurrent_module(cell: str, activation: str, *sizes: int, **options: Any) -> torch.nn.Module:
    """Layers of a cell, (D, H, layers) in size, as a module; activation: of the basic cell."""
    if cell == "rnn":
        if activation in ACTIVATIONS:
            return SteppedRNN(*sizes, activation=activation, **options)
        return torch.nn.RNN(*sizes, nonlinearity=activation, **options)
    return MODULES[cell](*sizes, **options)


class Stepped:
    """Layers whose steps are a loop in Python."""

    num_layers: int

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """What all steps of a layer have of their input at once, (n, GH) of the inputs (n, D)."""
        raise NotImplementedError

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """h_t (B, H) of what was prepared for a step, and of h_{t-1}."""
        raise NotImplementedError

    def forward(self, x: Any, state: Tensor) -> tuple[Any, Tensor]:
        """Outputs of a tensor (T, B, D) or a packed sequence, and the final h of every layer."""
        packed = isinstance(x, PackedSequence)
        sizes = x.batch_sizes.tolist() if packed else [x.shape[1]] * x.shape[0]
        y = x.data if packed else x.flatten(0, 1)
        finals = []
        for layer in range(self.num_layers):
            h, outputs, ended = state[layer], [], []
            for gates in self.prepared(layer, y).split(sizes):
                ended.append(h[len(gates) :])
                h = self.step(layer, gates, h[: len(gates)])
                outputs.append(h)
            y = torch.cat(outputs)
            finals.append(torch.cat([h, *reversed(ended)]))
        whole = PackedSequence(y, x.batch_sizes) if packed else y.view(len(sizes), -1, y.shape[1])
        return whole, torch.stack(finals)


class SteppedRNN(Stepped, torch.nn.RNN):  # type: ignore[misc]
    """torch.nn.RNN with an activation that it lacks: h_t = f(U x_t + W h_{t-1} + b)."""

    def __init__(self, *sizes: int, activation: str, **options: Any) -> None:
        """As torch.nn.RNN; activation: a name in ACTIVATIONS."""
        super().__init__(*sizes, **options)
        self.activation = ACTIVATIONS[activation]

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """U x_t + b."""
        weight_ih, _, bias_ih, bias_hh = self._flat_weights[4 * layer : 4 * layer + 4]
        # Not bias_ih + bias_hh: autograd would give both one and the same tensor as gradient.
        return F.linear(y, weight_ih, bias_ih) + bias_hh

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """f of it and of W h_{t-1}."""
        return self.activation(gates + h @ self._flat_weights[4 * layer + 1].t())


class CoupledLSTM(torch.nn.GRU):  # type: ignore[misc]
    """The LSTM with coupled gates: torch's, whose input gate is 1 - sigmoid(a) = sigmoid(-a) with a the forget gate's.

    Its parameters have the shapes of a GRU's: the slabs f, g, o.
    """

    def forward(self, x: Any, state: tuple[Tensor, Tensor]) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Outputs of a tensor (T, B, D) or a packed sequence, and the final h and c."""
        weights = [torch.cat([-weight[: self.hidden_size], weight]) for weight in self._flat_weights]
        options = (True, self.num_layers, 0.0, False, False)  # with biases, without dropout, in one direction
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", GATHERED)
            if isinstance(x, PackedSequence):
                y, h, c = torch._VF.lstm(x.data, x.batch_sizes, state, weights, *options)
                return PackedSequence(y, x.batch_sizes), (h, c)
            y, h, c = torch._VF.lstm(x, state, weights, *options, False)
            return y, (h, c)


class MinimalGRU(Stepped, torch.nn.Module):  # type: ignore[misc]
    """h_t = (1 - z) h_{t-1} + z g with z and g of the input alone; see `nn.cells.mingru`."""

    def __init__(self, width: int, hidden_size: int, num_layers: int, **options: Any) -> None:
        """As torch.nn.GRU, without weight_hh and bias_hh."""
        super().__init__()
        self.num_layers = num_layers
        self._flat_weights_names: tuple[str, ...] = ()  # no recurrent matrix, of which entries could be dropped
        for layer in range(num_layers):
            columns = hidden_size if layer else width
            for name, shape in (("weight", (2 * hidden_size, columns)), ("bias", (2 * hidden_size,))):
                setattr(self, f"{name}_ih_l{layer}", torch.nn.Parameter(torch.zeros(shape, **options)))

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """1 - z and z g, side by side."""
        z, g = F.linear(y, getattr(self, f"weight_ih_l{layer}"), getattr(self, f"bias_ih_l{layer}")).chunk(2, dim=1)
        z = z.sigmoid()
        return torch.cat([1 - z, z * g.tanh()], dim=1)

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """What is kept of h_{t-1}, and what is taken in."""
        kept, taken = gates.chunk(2, dim=1)
        return kept * h + taken


OWN = {"cifg": CoupledLSTM, "mingru": MinimalGRU}
MODULES = {name: getattr(torch.nn, cell.torch) if cell.torch else OWN[name] for name, cell in CELLS.items()}
