"""Small networks of every kind with random weights, since export does not depend on what a network has learnt."""

import itertools

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

V = 23
CONFIGS = {
    f"{cell}-{activation}": {"cell": cell, "activation": activation}
    for cell, activation in [("rnn", a) for a in ("tanh", "relu", "sigmoid", "identity")]
    + [(cell, "tanh") for cell in CELLS if cell != "rnn"]
}
FOR_EVERY_CELL = {
    "one-hot": {"embedding_size": 0},
    "one-hot-wide": {"embedding_size": 0, "hidden_size": 25},  # more gate columns than tokens for every cell
    "two-layers": {"num_layers": 2},
}
EVERY = {
    **CONFIGS,
    **{
        f"{cell}-{name}": {"cell": cell, **options}
        for cell, (name, options) in itertools.product(CELLS, FOR_EVERY_CELL.items())
    },
    "tied": {"cell": "gru", "embedding_size": 6, "tied": True},
    "adaptive": {"cell": "lstm", "output": "adaptive", "cutoffs": (7, 13), "div_value": 2.0},
    "three-layers-adaptive": {"cell": "rnn", "num_layers": 3, "output": "adaptive", "cutoffs": (5,)},
    "bidirectional": {"cell": "gru", "bidirectional": True},
    "bidirectional-deep": {"cell": "lstm", "bidirectional": True, "num_layers": 2, "embedding_size": 0},
    "bidirectional-adaptive": {"cell": "rnn", "bidirectional": True, "output": "adaptive", "cutoffs": (9,)},
}


def config_of(**options) -> NetworkConfig:
    defaults = {"vocabulary_size": V, "hidden_size": 6, "embedding_size": 5, "dropout": 0.25}
    return NetworkConfig(**{**defaults, **options})


def random_network(seed=0, **options) -> Network:
    config = config_of(**options)
    rng = np.random.default_rng(seed)
    kind = BidirectionalNetwork if config.bidirectional else Network
    network = kind.initialize(config, rng, output_bias=rng.normal(size=config.vocabulary_size))
    for name, array in network.params.items():
        if "rnn.bias" in name:  # zero after initialization, which would hide a mix-up
            array += rng.normal(size=array.shape).astype(array.dtype)
    return network


@pytest.fixture(params=EVERY)
def network(request):
    """A network of every kind."""
    return random_network(**EVERY[request.param])


@pytest.fixture(params=[name for name, options in EVERY.items() if not options.get("bidirectional")])
def causal_network(request):
    """A one-directional network of every kind."""
    return random_network(**EVERY[request.param])


@pytest.fixture
def make_network():
    """A function that makes a network with the given options of NetworkConfig."""
    return random_network


@pytest.fixture
def model_of():
    """A function that makes a model of a network, with a word that is spelt like a special token."""

    def make(network) -> LanguageModel:
        words = ["我", "昨天", "</s>", *(f"w{i}" for i in range(network.vocabulary_size - 6))]
        vocabulary = Vocabulary(words, list(range(len(words), 0, -1)))
        tokenizer = WordTokenizer("spaces", False, [("云计算", 5)])
        return LanguageModel(tokenizer, vocabulary, network_of(network.config, network.params), "sentence")

    return make
