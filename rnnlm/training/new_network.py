"""Construction of the network to train, with new weights or those of another model."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from rnnlm.free_memory import require_memory
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.bidirectional import AnyNetwork, BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.clusters import choose_cutoffs
from rnnlm.nn.coupling import as_cifg
from rnnlm.nn.network import OF_TRAINING, Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.vocabulary import BOS, FIRST, Vocabulary
from rnnlm.training.dataset import Dataset
from rnnlm.training.options import Recipe

INIT = 0  # random stream of initial weights, in addition to those of text.batches and engine


def build_network(recipe: Recipe, dataset: Dataset, old: LanguageModel | None) -> tuple[AnyNetwork, list[str]]:
    """Return the network to train, and notes for the user.

    old: a model with the initial weights.
    """
    vocabulary, counts = dataset.vocabulary, dataset.counts
    if old is not None and old.vocabulary.tokens == vocabulary.tokens:
        found = network_of(replace(old.network.config, **_of_training(recipe)), old.network.params)
        return as_cifg(found) if recipe.coupled_gates else found, []
    config = NetworkConfig(
        vocabulary_size=len(vocabulary),
        cell=recipe.trained_cell,
        activation=recipe.activation,
        hidden_size=recipe.hidden_size,
        num_layers=recipe.num_layers,
        embedding_size=recipe.embedding_size,
        bidirectional=recipe.bidirectional,
        tied=recipe.tied,
        div_value=NetworkConfig.div_value if old is None else old.network.config.div_value,
        **_of_training(recipe),
    )
    if recipe.softmax == "adaptive":
        width = config.hidden_size * len(config.directions)
        cutoffs = choose_cutoffs(counts, width, recipe.batch_size * recipe.bptt, config.div_value)
        config = replace(config, output="adaptive", cutoffs=cutoffs)
    _refuse_beyond_memory(config, recipe, int(counts.sum()))
    network = random_network(config, recipe, counts)
    return (network, []) if old is None else _mapped(network, vocabulary, old)


def seed_of(seed: int, number: int) -> int:
    """Return the random seed of the network of a number, of several that are trained with one seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) if number else seed


def random_network(config: NetworkConfig, recipe: Recipe, counts: Array) -> AnyNetwork:
    """Return a network with random weights by the recipe's seed; counts (V,) of the tokens give its output bias."""
    rng = np.random.default_rng([recipe.seed, INIT])
    kind = BidirectionalNetwork if config.bidirectional else Network
    return kind.initialize(config, rng, recipe.init, unigram_bias(counts), long_memory=recipe.long_memory)


def _of_training(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a network configuration that only training uses."""
    return {name: getattr(recipe, name) for name in OF_TRAINING}


def _refuse_beyond_memory(config: NetworkConfig, recipe: Recipe, train_tokens: int) -> None:
    """Raise RnnlmError if a training needs more memory than is free.

    Counted are the parameters, their best values, the optimizer's slots and averages, and the gates of every step for
    back-propagation.
    """
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    copies = 2 + len(OPTIMIZERS[recipe.optimizer].slots) + bool(recipe.average_weights)
    batch = min(recipe.batch_size * recipe.bptt, train_tokens)
    gates = batch * config.num_layers * CELLS[config.cell].gates * config.hidden_size
    require_memory(
        (parameters * copies + gates) * np.dtype(np.float32).itemsize,
        f"A network of {parameters:,} parameters with batches of {recipe.batch_size:,} x {recipe.bptt:,} tokens",
        "Use a smaller --hidden-size, --num-layers, --vocab-size or --batch-size.",
    )


def unigram_bias(counts: Array) -> Array:
    """Return the output bias (V,) that gives each token its frequency before training: log((n + 1) / N).

    The bias of <s>, which is never predicted, is -10,000, so that its probability and gradient are zero.
    """
    bias: Array = np.log((counts + 1) / counts.sum())
    bias[BOS] = -1e4
    return bias


def _mapped(network: AnyNetwork, vocabulary: Vocabulary, old: LanguageModel) -> tuple[AnyNetwork, list[str]]:
    """Return the new network with the weights of the old one; rows of tokens are copied by their text."""
    rows = np.concatenate([np.arange(FIRST), old.vocabulary.encode(vocabulary.tokens)])
    known = np.concatenate([np.ones(FIRST, bool), rows[FIRST:] >= FIRST])
    copied = network.output.take_over(network.params, old.network.output, old.network.params, np.where(known, rows, -1))
    one_hot = not network.config.embedding_size
    for name, array in network.params.items():
        if name.startswith("output."):
            continue
        source = old.network.params[name]
        if name == "embedding.weight":
            array[known] = source[rows[known]]
        elif name == "rnn.weight_ih_l0" and one_hot:
            array[:, known] = source[:, rows[known]]
        else:
            np.copyto(array, source)
    moved = int(known.sum() - copied.sum())
    if not moved:
        return network, []
    return network, [
        f"{moved:,} of {int(known.sum()) - FIRST:,} shared words are in another cluster of the adaptive softmax than "
        "before: their output weights are trained from scratch."
    ]
