"""An LSTM whose input gate is one minus its forget gate, i = 1 - f, trained as the cell `cifg` and kept as an LSTM.

As sigmoid(-a) = 1 - sigmoid(a), such an LSTM is one whose input gate has the negated weights of the forget gate. Its
training needs three quarters of the recurrent work; and the LSTM can be read by whatever reads LSTMs.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.numerics import Array

LSTM = "lstm"
CIFG = "cifg"


def as_lstm(network: AnyNetwork) -> AnyNetwork:
    """Return a network of the cell `cifg` as an equal one of the cell `lstm`."""
    gates = len(CELLS[CIFG].gate_names)

    def with_input_gate(array: Array) -> Array:
        forget = np.split(array, gates)[CELLS[CIFG].gate_names.index("f")]
        return np.concatenate([-forget, array])  # i, f, g, o

    return _with_cell(network, LSTM, {name: with_input_gate(array) for name, array in _recurrent(network.params)})


def as_cifg(network: AnyNetwork) -> AnyNetwork:
    """Return the network of the cell `cifg` that `as_lstm` was called with."""
    return _with_cell(network, CIFG, without_input_gate(network.params))


def without_input_gate(params: Mapping[str, Array]) -> dict[str, Array]:
    """Return the parameters of a network of the cell `lstm` without those of its input gate, the first slab of each."""
    gates = len(CELLS[LSTM].gate_names)
    return {**params, **{name: array[len(array) // gates :] for name, array in _recurrent(params)}}


def _recurrent(params: Mapping[str, Array]) -> list[tuple[str, Array]]:
    return [(name, array) for name, array in params.items() if name.startswith("rnn.")]


def _with_cell(network: AnyNetwork, cell: str, params: Mapping[str, Array]) -> AnyNetwork:
    return type(network)(replace(network.config, cell=cell), {**network.params, **params})
