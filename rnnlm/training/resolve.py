"""Conversion of options to a recipe: choose the open options, and check the combination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rnnlm.errors import TrainingError
from rnnlm.nn.cells import CELLS
from rnnlm.training.configuration import Circumstances, filled_in
from rnnlm.training.dataset import Dataset
from rnnlm.training.machine import Machine
from rnnlm.training.options import Options, Recipe


def resolve(
    options: Options, dataset: Dataset, machine: Machine, started_from: bool = False, preset: str | None = None
) -> Recipe:
    """Choose the options that are None, for the text, the time budget and the machine.

    Args:
        options: Options of the training.
        dataset: The text.
        machine: Engine and threads; their speed is measured if there is a time budget.
        started_from: Whether the initial weights are those of another model.
        preset: Name of a model size.

    Raises:
        TrainingError: the options cannot be combined.
    """

    def speed(reference: Mapping[str, Any]) -> float:
        return machine.speed(Options(**reference), dataset, options.time or 0.0)

    circumstances = Circumstances(len(dataset.train), len(dataset.vocabulary), speed, started_from, preset)
    chosen = filled_in({**asdict(options), "context": dataset.reading.context}, circumstances)
    recipe = Recipe(**chosen)
    check_output_layer(recipe)
    check_coupling(recipe, started_from)
    check_networks(recipe, started_from)
    check_decay(recipe)
    return recipe


def check_output_layer(options: Options) -> None:
    """Raise TrainingError if the output layer does not support the options."""
    if options.softmax == "adaptive" and options.loss != "cross-entropy":
        raise TrainingError(
            f"--loss {options.loss} needs the probability of every token in every step, which the adaptive softmax "
            "does not compute. Use --softmax full, or --loss cross-entropy."
        )
    if options.label_smoothing and options.softmax == "adaptive":
        raise TrainingError(
            "--label-smoothing spreads a part of each target over all tokens, whose probabilities the adaptive softmax "
            "does not compute. Use --softmax full, or leave --label-smoothing out."
        )
    if options.label_smoothing and options.loss != "cross-entropy":
        raise TrainingError(
            f"--label-smoothing is for --loss cross-entropy, not for {options.loss}. Leave one of them out."
        )
    if options.tied and options.softmax == "adaptive":
        raise TrainingError(
            "--tied makes the embedding the matrix of the full softmax; the adaptive one has no such matrix. Use "
            "--softmax full, or leave --tied out."
        )
    if options.tied and options.bidirectional:
        raise TrainingError(
            "--tied needs an output as wide as the embedding, but that of a bidirectional network reads two hidden "
            "states. Leave --tied out."
        )
    if options.tied and options.hidden_size not in (None, options.embedding_size):
        raise TrainingError(
            f"--tied uses the embedding as the output's matrix, so both must be of one width; --embedding-size is "
            f"{options.embedding_size} and --hidden-size {options.hidden_size}. Add --embedding-size "
            f"{options.hidden_size}."
        )


def check_input(options: Options) -> None:
    """Raise TrainingError for input dropout of one-hot input."""
    if options.input_dropout and options.embedding_size == 0:
        raise TrainingError(
            "--input-dropout drops entries of the embedding, and one-hot input has none. Leave it out, or use "
            "--embedding-dropout, which drops whole tokens."
        )


def check_cell(options: Options) -> None:
    """Raise TrainingError for weight dropout of a cell without a recurrent matrix."""
    if options.weight_dropout and not CELLS[options.cell].recurrent:
        raise TrainingError(
            f"--weight-dropout drops entries of the recurrent matrix, which the cell {options.cell} does not have. "
            "Leave it out."
        )


def check_coupling(recipe: Recipe, started_from: bool) -> None:
    """Raise TrainingError if gates cannot be coupled: of another cell than the LSTM, or with weights that exist."""
    if not recipe.coupled_gates:
        return
    if recipe.cell != "lstm":
        raise TrainingError(
            f"--coupled-gates trains an LSTM, and the cell is {recipe.cell}. Leave --coupled-gates out"
            + (", as the gates of cifg are coupled." if recipe.cell == "cifg" else ", or use --cell lstm.")
        )
    if started_from:
        raise TrainingError(
            "--coupled-gates needs weights that were coupled from the start, and those of --init-from may have another "
            "input gate. Leave --coupled-gates out."
        )


def check_networks(recipe: Recipe, started_from: bool) -> None:
    """Refuse several networks where their average would be none."""
    if recipe.networks == 1:
        return
    if recipe.tied:
        raise TrainingError(
            f"--networks {recipe.networks} are averaged by their output matrices, which --tied makes the embeddings. "
            "Leave one of them out."
        )
    if started_from:
        raise TrainingError(
            f"--networks {recipe.networks} begin with random weights, --init-from with those of a model. Leave one of "
            "them out."
        )


def check_decay(recipe: Recipe) -> None:
    """Raise TrainingError if weight decay would remove all weights in one step."""
    if recipe.lr * recipe.weight_decay >= 1:
        raise TrainingError(
            f"--weight-decay {recipe.weight_decay:g} times the learning rate {recipe.lr:g} removes all weights in "
            f"one step; expected less than 1. Use a --weight-decay below {1 / recipe.lr:g}, or a smaller --lr."
        )
