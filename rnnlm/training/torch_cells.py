"""Recurrent layers that torch.nn lacks: further cells, and activations of the basic cell.

The modules have the interface of torch.nn.LSTM, for tensors (T, B, D) and packed sequences, and the parameter names of
`nn.cells`.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlm.nn.cells import CELLS

# Warning of cuDNN about weights that it has to copy; expected where it is silenced.
GATHERED = "RNN module weights are not part of single contiguous chunk"
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "identity": lambda x: x}


def recurrent_module(cell: str, activation: str, *sizes: int, **options: Any) -> torch.nn.Module:
    """Return a module of recurrent layers; sizes: D, H, number of layers. activation: of the basic cell."""
    if cell == "rnn":
        if activation in ACTIVATIONS:
            return SteppedRNN(*sizes, activation=activation, **options)
        return torch.nn.RNN(*sizes, nonlinearity=activation, **options)
    return MODULES[cell](*sizes, **options)


class Stepped:
    """Recurrent layers whose time loop runs in Python."""

    num_layers: int

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """Return the part of the gates that depends on the inputs (n, D) alone, (n, GH), for all steps at once."""
        raise NotImplementedError

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """Return h_t (B, H), given the prepared gates (B, GH) of a step and h_{t-1} (B, H)."""
        raise NotImplementedError

    def forward(self, x: Any, state: Tensor) -> tuple[Any, Tensor]:
        """Return outputs for a tensor (T, B, D) or a packed sequence, and the final h of every layer."""
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
    """torch.nn.RNN with further activations: h_t = f(U x_t + W h_{t-1} + b)."""

    def __init__(self, *sizes: int, activation: str, **options: Any) -> None:
        """Create layers as torch.nn.RNN does; activation: a name in ACTIVATIONS."""
        super().__init__(*sizes, **options)
        self.activation = ACTIVATIONS[activation]

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """Return U x_t + b."""
        weight_ih, _, bias_ih, bias_hh = self._flat_weights[4 * layer : 4 * layer + 4]
        # Not bias_ih + bias_hh: autograd would return the same tensor as gradient of both.
        return F.linear(y, weight_ih, bias_ih) + bias_hh

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """Return f(gates + W h_{t-1})."""
        return self.activation(gates + h @ self._flat_weights[4 * layer + 1].t())


class CoupledLSTM(torch.nn.GRU):  # type: ignore[misc]
    """LSTM with coupled gates, computed by torch's LSTM: the input gate is 1 - sigmoid(a) = sigmoid(-a).

    Here a is the pre-activation of the forget gate. The parameters have the shapes of a GRU's, for the gates f, g, o.
    """

    def forward(self, x: Any, state: tuple[Tensor, Tensor]) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Return outputs for a tensor (T, B, D) or a packed sequence, and the final h and c."""
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
    """h_t = (1 - z) h_{t-1} + z g, where z and g depend on the input alone; see `nn.cells.mingru`."""

    def __init__(self, width: int, hidden_size: int, num_layers: int, **options: Any) -> None:
        """Create layers as torch.nn.GRU does, without weight_hh and bias_hh."""
        super().__init__()
        self.num_layers = num_layers
        self._flat_weights_names: tuple[str, ...] = ()  # no recurrent matrix for weight dropout
        for layer in range(num_layers):
            columns = hidden_size if layer else width
            for name, shape in (("weight", (2 * hidden_size, columns)), ("bias", (2 * hidden_size,))):
                setattr(self, f"{name}_ih_l{layer}", torch.nn.Parameter(torch.zeros(shape, **options)))

    def prepared(self, layer: int, y: Tensor) -> Tensor:
        """Return 1 - z and z g, concatenated (n, 2H)."""
        z, g = F.linear(y, getattr(self, f"weight_ih_l{layer}"), getattr(self, f"bias_ih_l{layer}")).chunk(2, dim=1)
        z = z.sigmoid()
        return torch.cat([1 - z, z * g.tanh()], dim=1)

    def step(self, layer: int, gates: Tensor, h: Tensor) -> Tensor:
        """Return (1 - z) h_{t-1} + z g."""
        kept, taken = gates.chunk(2, dim=1)
        return kept * h + taken


OWN = {"cifg": CoupledLSTM, "mingru": MinimalGRU}
MODULES = {name: getattr(torch.nn, cell.torch) if cell.torch else OWN[name] for name, cell in CELLS.items()}
