"""Print the matrices U, W and V of a network, and their gradients, as small tables labelled with tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rnnlm.cli.lab.presentation import SHOWN, number, vector
from rnnlm.cli.lab.subjects import shown_ids
from rnnlm.cli.languages import tr
from rnnlm.cli.printing import show_table

if TYPE_CHECKING:
    from rnnlm.nn.network import LayerStack
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

SHOWN_TOKENS = 16  # largest vocabulary whose tokens label rows or columns
SHOWN_ROWS = 4 * SHOWN  # most rows of a matrix that is printed


def has_bias(network: LayerStack) -> bool:
    """Return whether the network has a bias that is not 0."""
    return any(array.any() for name, array in network.params.items() if "bias" in name)


def show_matrices(network: LayerStack, vocabulary: Vocabulary) -> None:
    """Print U, W and V of every layer and direction row by row, or only the shapes of large ones."""
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
    """Return the tokens of a vocabulary in the order of their ids; [] if there are more than SHOWN_TOKENS."""
    return shown_ids(vocabulary, range(len(vocabulary))) if len(vocabulary) <= SHOWN_TOKENS else []


def show_matrix(name: str, matrix: Array, tokens: Sequence[str] = (), by_row: bool = False) -> None:
    """Print a matrix row by row, or only the shape of a large one.

    tokens: labels of the columns, or with `by_row` of the rows.
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
