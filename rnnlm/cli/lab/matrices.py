"""The matrices U, W and V of a network, and their gradients, as small tables whose rows or columns are tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rnnlm.cli.common import show_table
from rnnlm.cli.lab.presentation import SHOWN, number, vector
from rnnlm.cli.lab.subjects import shown_ids
from rnnlm.cli.languages import tr

if TYPE_CHECKING:
    from rnnlm.nn.network import LayerStack
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

SHOWN_TOKENS = 16  # of a vocabulary whose matrices are shown
SHOWN_ROWS = 4 * SHOWN  # of a matrix


def has_bias(network: LayerStack) -> bool:
    """Whether a bias of the network is not 0."""
    return any(array.any() for name, array in network.params.items() if "bias" in name)


def show_matrices(network: LayerStack, vocabulary: Vocabulary) -> None:
    """Print U, W and V of every layer and direction, row by row; of large ones their shapes."""
    from rnnlm.lab.gradients import symbol
    from rnnlm.lab.unrolled import output_matrix

    config = network.config
    for name, array in network.params.items():
        if "weight" not in name or name == "output.weight":
            continue
        one_hot = not config.embedding_size and name.startswith("rnn.weight_ih_l0")
        tokens = all_tokens(vocabulary) if one_hot or name == "embedding.weight" else ()
        show_matrix(symbol(name, config.num_layers), array, tokens, by_row=not one_hot)
    if (V := output_matrix(network)) is not None and not config.tied:
        H = config.hidden_size
        for mark, part in zip(("", "'"), (V[:, :H], V[:, H:]), strict=True):
            if part.size:
                show_matrix(f"V{mark}", part, all_tokens(vocabulary), by_row=True)


def all_tokens(vocabulary: Vocabulary) -> list[str]:
    """The tokens of a small vocabulary in their order; none of a large one."""
    return shown_ids(vocabulary, range(len(vocabulary))) if len(vocabulary) <= SHOWN_TOKENS else []


def show_matrix(name: str, matrix: Array, tokens: Sequence[str] = (), by_row: bool = False) -> None:
    """Print a small matrix row by row; of a larger one its shape.

    tokens: what its columns, or with `by_row` its rows, stand for.
    """
    rows, columns = matrix.shape
    wide = columns > SHOWN and not (tokens and not by_row)
    if rows > SHOWN_ROWS or wide:
        click.echo(tr("{name} is {rows} x {columns}.", name=name, rows=f"{rows:,}", columns=f"{columns:,}") + "\n")
        return
    if tokens and not by_row:
        cells = [["" if place else f"{name} =", *map(number, row.tolist())] for place, row in enumerate(matrix)]
        show_table(cells, ["", *tokens], "l" + "r" * len(tokens))
    else:
        labels = tokens or [""] * rows
        cells = [
            [f"{name} =" if not place else "", *([label] if tokens else []), vector(row)]
            for place, (label, row) in enumerate(zip(labels, matrix, strict=True))
        ]
        show_table(cells)
    click.echo()
