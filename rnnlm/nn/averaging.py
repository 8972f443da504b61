"""The average of several networks, as one network that is as wide as all of them together.

The mean of the logits of K networks is the geometric mean of their probabilities, normalised anew. A network whose
hidden state is the K states side by side, whose recurrent matrices are block-diagonal, and whose output matrix is the K
matrices side by side, divided by K, has just these logits. It is a network like any other: it is saved, exported and
trained further as one. The price is K times as many recurrent weights as the K networks have, most of them 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import Array


def widened(config: NetworkConfig, count: int) -> NetworkConfig:
    """Return the description of the average of `count` networks that `config` describes."""
    return replace(config, hidden_size=count * config.hidden_size, embedding_size=count * config.embedding_size)


def narrowed(config: NetworkConfig, count: int) -> NetworkConfig:
    """Return the description of each of the `count` networks whose average `config` describes.

    Raises:
        ValueError: It cannot be the average of so many.
    """
    if count < 1 or config.hidden_size % count or config.embedding_size % count:
        raise ValueError(f"{count} networks")
    return replace(config, hidden_size=config.hidden_size // count, embedding_size=config.embedding_size // count)


def average(networks: Sequence[AnyNetwork]) -> AnyNetwork:
    """Return the network whose logits are the mean of those of `networks`.

    Those of an adaptive softmax are averaged in the head and in each tail.

    Raises:
        ValueError: the networks are not of one description, or their output matrix is the embedding (`tied`).
    """
    config = networks[0].config
    if config.tied or any(each.config != config for each in networks):
        raise ValueError("expected networks of one description that are not tied")
    wide, params = widened(config, len(networks)), {}
    for name, shape in wide.shapes().items():
        joined = _joined(name, [each.params[name] for each in networks], config)
        # Each tail's width is rounded down, so that the wide network's may be larger than their sum.
        params[name] = np.pad(joined, [(0, there - here) for there, here in zip(shape, joined.shape, strict=True)])
    return type(networks[0])(wide, params)


def _joined(name: str, arrays: Sequence[Array], config: NetworkConfig) -> Array:
    """Return a parameter of the wide network, without padding."""
    if name == "embedding.weight":
        return _beside(arrays)
    if name.startswith("rnn."):
        slabs = [array.reshape(CELLS[config.cell].gates, config.hidden_size, -1) for array in arrays]
        reads_own = "bias" not in name and (config.embedding_size or "weight_ih_l0" not in name)
        gates = [_block_diagonal(gate) if reads_own else np.concatenate(gate) for gate in zip(*slabs, strict=True)]
        return np.concatenate(gates).reshape(-1, *gates[0].shape[1 : arrays[0].ndim])
    directions = len(config.directions)
    if name.startswith("output.tail.") and name.endswith(".0.weight"):
        return _block_diagonal(arrays, directions)
    if name.endswith(".bias"):
        return np.mean(arrays, axis=0, dtype=arrays[0].dtype)
    # A tail reads its projection, which has no directions; the head and the full softmax read the hidden states.
    return _beside(arrays, 1 if name.startswith("output.tail.") else directions) / len(arrays)


def _beside(matrices: Sequence[Array], directions: int = 1) -> Array:
    """Put the columns of matrices side by side, those of each direction together."""
    rows = len(matrices[0])
    return np.concatenate([each.reshape(rows, directions, -1) for each in matrices], axis=2).reshape(rows, -1)


def _block_diagonal(blocks: Sequence[Array], directions: int = 1) -> Array:
    """Put matrices on the diagonal of a matrix of zeros."""
    zero = np.zeros_like(blocks[0])
    rows = ([each if at == place else zero for at, each in enumerate(blocks)] for place in range(len(blocks)))
    return np.concatenate([_beside(row, directions) for row in rows])
