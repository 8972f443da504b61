"""From options to a recipe: what is left open is chosen, and what does not go together is refused."""

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
    """Choose what is left open, to fit the text, the time and the machine.

    Args:
        options: What was asked for.
        dataset: The text.
        machine: Its speed is measured if there is a time.
        started_from: Whether the weights are another model's.
        preset: Name of a size.

    Raises:
        TrainingError: the options do not go together.
    """

    def speed(reference: Mapping[str, Any]) -> float:
        return machine.speed(Options(**reference), dataset, options.time or 0.0)

    circumstances = Circumstances(len(dataset.train), len(dataset.vocabulary), speed, started_from, preset)
    chosen = filled_in({**asdict(options), "context": dataset.reading.context}, circumstances)
    recipe = Recipe(**chosen)
    check_output_layer(recipe)
    check_networks(recipe, started_from)
    check_decay(recipe)
    return recipe


def check_output_layer(options: Options) -> None:
    """Refuse what the output layer cannot do."""
    if options.softmax == "adaptive" and options.loss != "cross-entropy":
        raise TrainingError(
            f"--loss {options.loss} needs the probability of every token in every step, which the adaptive softmax "
            "saves to compute. Use --softmax full, or --loss cross-entropy."
        )
    if options.label_smoothing and options.softmax == "adaptive":
        raise TrainingError(
            "--label-smoothing spreads a part of each target over all tokens, whose probabilities the adaptive softmax "
            "saves to compute. Use --softmax full, or leave --label-smoothing out."
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
    """Refuse what one-hot input has not."""
    if options.input_dropout and options.embedding_size == 0:
        raise TrainingError(
            "--input-dropout drops entries of the embedding, and one-hot input has none. Leave it out, or use "
            "--embedding-dropout, which drops whole tokens."
        )


def check_cell(options: Options) -> None:
    """Refuse what the cell has not."""
    if options.weight_dropout and not CELLS[options.cell].recurrent:
        raise TrainingError(
            f"--weight-dropout drops entries of the recurrent matrix, which the cell {options.cell} does not have. "
            "Leave it out."
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
    """Refuse a decay that leaves nothing of the weights."""
    if recipe.lr * recipe.weight_decay >= 1:
        raise TrainingError(
            f"--weight-decay {recipe.weight_decay:g} times the learning rate {recipe.lr:g} takes off all weights in "
            f"one step; expected less than 1. Use a --weight-decay below {1 / recipe.lr:g}, or a smaller --lr."
        )
