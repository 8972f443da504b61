"""Read weights written by hand: the article's U, W and V as lists of rows in JSON."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm.errors import RnnlmError
from rnnlm.lab.gradients import symbol
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import Array, are_weights

LARGEST_FILE = 1 << 24  # bytes; matrices written by hand are small
LARGEST_STATE = 512  # largest H of matrices written by hand


def read_weights(path: Path) -> dict[str, Array]:
    """Read vectors and matrices from a JSON file, by the article's symbols, such as {"W": [[0.5, 0], [0, 0.5]]}.

    Raises:
        RnnlmError: The file cannot be read or does not have such arrays.
    """
    try:
        data = path.read_bytes()
        if len(data) > LARGEST_FILE:
            raise RnnlmError(f"{path} has {len(data):,} bytes; expected matrices in at most {LARGEST_FILE:,}.")
        found = json.loads(data)
    except OSError as error:
        raise RnnlmError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found:
        raise RnnlmError(f'{path} is not a JSON object of matrices; expected such as {{"W": [[0.5, 0], [0, 0.5]]}}.')
    return {name: _numbers(path, name, value) for name, value in found.items()}


def _numbers(path: Path, name: str, value: Any) -> Array:
    """Convert a JSON value to a vector or matrix in float64."""
    rows = value if isinstance(value, list) and any(isinstance(row, list) for row in value) else [value]
    numbers = [each for row in rows if isinstance(row, list) for each in row]
    sound = all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows)
    if not sound or not numbers or any(type(each) not in (int, float) for each in numbers):
        raise RnnlmError(f"{name} in {path} is no matrix; expected a list of rows, which are lists of as many numbers.")
    try:
        array = np.array(value, dtype=np.float64)
    except OverflowError:
        array = np.full(1, np.inf)
    if not are_weights(array):
        raise RnnlmError(f"{name} in {path} has a number that is too large to compute with; expected at most 1e10.")
    return array


def state_size(weights: Mapping[str, Array], gates: int = 1) -> int | None:
    """Return H from the shape of W, else of U, else of V; None if none of them is given.

    gates: Number of the cell's gates, whose slabs are stacked in the rows of U.

    Raises:
        RnnlmError: H is 0 or larger than LARGEST_STATE.
    """
    for stem, axis in (("W", 1), ("U", 0), ("V", 1)):
        for name, array in weights.items():
            if re.fullmatch(rf"{stem}'?(\(\d+\))?", name) and array.ndim > axis:
                size = array.shape[axis] // (gates if stem == "U" else 1)
                if not 1 <= size <= LARGEST_STATE:
                    raise RnnlmError(f"{name} makes a state of {size:,} entries; expected 1 to {LARGEST_STATE}.")
                return size
    return None


def weighted(
    config: NetworkConfig, random: Mapping[str, Array], weights: Mapping[str, Array], bias: bool, tokens: str = ""
) -> dict[str, Array]:
    """Return parameters by PyTorch's names: the given weights, and `random` for the others.

    Biases that are not given are 0 if any weights are given.

    bias: False sets all biases that are not given to 0. tokens: Tokens of the vocabulary in order, for the message.

    Raises:
        RnnlmError: A matrix has another shape than the network's, or there is no parameter of its name.
    """
    names = {symbol(name, config.num_layers): name for name in random}
    weights = _as_the_network(weights)
    if unknown := [name for name in weights if name not in names]:
        raise RnnlmError(f"The network has no {unknown[0]}; it has {', '.join(names)}.")
    params = {}
    for shown, name in names.items():
        is_bias = shown.startswith("b_")
        params[name] = np.zeros_like(random[name]) if is_bias and (weights or not bias) else random[name].copy()
        if shown in weights:
            if weights[shown].shape != params[name].shape:
                order = f" The vocabulary is, in this order: {tokens}." if tokens else ""
                raise RnnlmError(
                    f"{shown} is {_shape(weights[shown])}; expected {_shape(params[name])}: a state of "
                    f"{config.hidden_size} entries and a vocabulary of {config.vocabulary_size}.{order}"
                )
            params[name] = weights[shown].copy()
    return params


def _as_the_network(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Convert the article's names: its single bias b is b_U here, and its V and V' are one matrix here."""
    found = {re.sub(r"^b(?=$|'|\()", "b_U", name): array for name, array in weights.items()}
    if "V" in found and "V'" in found and found["V"].shape == found["V'"].shape:
        found["V"] = np.concatenate([found["V"], found.pop("V'")], axis=-1)
    return found


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape)) + (" numbers" if array.ndim == 1 else "")
