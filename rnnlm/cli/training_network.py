"""The network of a training: a new one, or one with the weights of another model."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from rnnlm.cli.memory import require_memory
from rnnlm.cli.training_options import Options
from rnnlm.language_model import LanguageModel, network_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.clusters import choose_cutoffs
from rnnlm.nn.network import OF_TRAINING, Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.vocabulary import BOS, FIRST, Vocabulary

INIT = 0  # stream of randomness for initial weights, beside those of text.batches and numpy_engine


def build_network(
    options: Options, vocabulary: Vocabulary, counts: Array, old: LanguageModel | None
) -> tuple[Network, list[str]]:
    """The network to train, and what is worth telling about it. counts: (V,) of the tokens in the training text."""
    if old is not None and old.vocabulary.tokens == vocabulary.tokens:
        return network_of(replace(old.network.config, **_of_training(options)), old.network.params), []
    assert options.hidden_size is not None
    assert options.embedding_size is not None
    assert options.long_memory is not None
    config = NetworkConfig(
        vocabulary_size=len(vocabulary),
        cell=options.cell,
        activation=options.activation,
        hidden_size=options.hidden_size,
        num_layers=options.num_layers,
        embedding_size=options.embedding_size,
        bidirectional=options.bidirectional,
        tied=options.tied,
        div_value=NetworkConfig.div_value if old is None else old.network.config.div_value,
        **_of_training(options),
    )
    if options.softmax == "adaptive":
        assert options.batch_size is not None
        assert options.bptt is not None
        width = config.hidden_size * len(config.directions)
        cutoffs = choose_cutoffs(counts, width, options.batch_size * options.bptt, config.div_value)
        config = replace(config, output="adaptive", cutoffs=cutoffs)
    _refuse_beyond_memory(config, options, int(counts.sum()))
    rng = np.random.default_rng([options.seed, INIT])
    kind = BidirectionalNetwork if options.bidirectional else Network
    network = kind.initialize(config, rng, options.init, unigram_bias(counts), long_memory=options.long_memory)
    return (network, []) if old is None else _mapped(network, vocabulary, old)


def _of_training(options: Options) -> dict[str, Any]:
    """The fields of a network's description that only its training reads."""
    return {name: getattr(options, name) for name in OF_TRAINING}


def _refuse_beyond_memory(config: NetworkConfig, options: Options, train_tokens: int) -> None:
    """Refuse a training that is too large for the machine.

    Each parameter is there as it is, as it was at its best, and with what the optimizer remembers of it;
    back-propagation needs the gates of every step.
    """
    assert options.batch_size is not None
    assert options.bptt is not None
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    copies = 2 + len(OPTIMIZERS[options.optimizer].slots) + bool(options.average_weights)
    batch = min(options.batch_size * options.bptt, train_tokens)
    gates = batch * config.num_layers * CELLS[config.cell].gates * config.hidden_size
    require_memory(
        (parameters * copies + gates) * np.dtype(np.float32).itemsize,
        f"A network of {parameters:,} parameters with batches of {options.batch_size:,} x {options.bptt:,} tokens",
        "Use a smaller --hidden-size, --num-layers, --vocab-size or --batch-size.",
    )


def unigram_bias(counts: Array) -> Array:
    """Output bias (V,) with which an untrained network gives each token its frequency: log((n + 1) / N).

    <s> gets -10,000, a probability of zero whose gradient is zero as well: it is context, never predicted.
    """
    bias: Array = np.log((counts + 1) / counts.sum())
    bias[BOS] = -1e4
    return bias


def _mapped(network: Network, vocabulary: Vocabulary, old: LanguageModel) -> tuple[Network, list[str]]:
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
