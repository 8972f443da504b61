"""The network of a training: a new one, or one with the weights of another model."""

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
from rnnlm.nn.network import OF_TRAINING, Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.vocabulary import BOS, FIRST, Vocabulary
from rnnlm.training.dataset import Dataset
from rnnlm.training.options import Recipe

INIT = 0  # stream of randomness for initial weights, beside those of text.batches and numpy_engine


def build_network(recipe: Recipe, dataset: Dataset, old: LanguageModel | None) -> tuple[AnyNetwork, list[str]]:
    """Return the network to train, and what is worth telling about it.

    old: a model whose weights to begin with.
    """
    vocabulary, counts = dataset.vocabulary, dataset.counts
    if old is not None and old.vocabulary.tokens == vocabulary.tokens:
        return network_of(replace(old.network.config, **_of_training(recipe)), old.network.params), []
    config = NetworkConfig(
        vocabulary_size=len(vocabulary),
        cell=recipe.cell,
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
    rng = np.random.default_rng([recipe.seed, INIT])
    kind = BidirectionalNetwork if recipe.bidirectional else Network
    network = kind.initialize(config, rng, recipe.init, unigram_bias(counts), long_memory=recipe.long_memory)
    return (network, []) if old is None else _mapped(network, vocabulary, old)


def seed_of(seed: int, number: int) -> int:
    """Return the random seed of the network of a number, of several that are trained with one seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) if number else seed


def another(network: AnyNetwork, recipe: Recipe, dataset: Dataset) -> AnyNetwork:
    """Return a new network like `network`, whose weights are random by the recipe's seed."""
    rng, bias = np.random.default_rng([recipe.seed, INIT]), unigram_bias(dataset.counts)
    return type(network).initialize(network.config, rng, recipe.init, bias, long_memory=recipe.long_memory)


def _of_training(recipe: Recipe) -> dict[str, Any]:
    """The fields of a network's description that only its training reads."""
    return {name: getattr(recipe, name) for name in OF_TRAINING}


def _refuse_beyond_memory(config: NetworkConfig, recipe: Recipe, train_tokens: int) -> None:
    """Refuse a training that is too large for the machine.

    Each parameter is there as it is, as it was at its best, and with what the optimizer remembers of it;
    back-propagation needs the gates of every step.
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
    """Output bias (V,) with which an untrained network gives each token its frequency: log((n + 1) / N).

    <s> gets -10,000, a probability of zero whose gradient is zero as well: it is context, never predicted.
    """
    bias: Array = np.log((counts + 1) / counts.sum())
    bias[BOS] = -1e4
    return bias


def _mapped(network: AnyNetwork, vocabulary: Vocabulary, old: LanguageModel) -> tuple[AnyNetwork, list[str]]:
    """The new network with the old one's weights, rows of shared tokens carried over by their text."""
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
        "before: what predicts them is learnt anew."
    ]
