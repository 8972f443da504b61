"""Small models of every sort, with weights drawn at random: nothing here depends on what a network has learnt."""

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
    "one-hot-wide": {"embedding_size": 0, "hidden_size": 25},  # more gates than tokens for every cell
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
        if "rnn.bias" in name:  # which are zero in a new network: what mixes them up would not be seen
            array += rng.normal(size=array.shape).astype(array.dtype)
    return network


@pytest.fixture(params=EVERY)
def network(request):
    """A network of every sort."""
    return random_network(**EVERY[request.param])


@pytest.fixture(params=[name for name, options in EVERY.items() if not options.get("bidirectional")])
def causal_network(request):
    """A network of every sort that reads in one direction."""
    return random_network(**EVERY[request.param])


@pytest.fixture
def make_network():
    """A network with some options of NetworkConfig."""
    return random_network


@pytest.fixture
def model_of():
    """A model around a network, one of whose words is spelt like a reserved token."""

    def make(network) -> LanguageModel:
        words = ["我", "昨天", "</s>", *(f"w{i}" for i in range(network.vocabulary_size - 6))]
        vocabulary = Vocabulary(words, list(range(len(words), 0, -1)))
        tokenizer = WordTokenizer("spaces", False, [("云计算", 5)])
        return LanguageModel(tokenizer, vocabulary, network_of(network.config, network.params), "sentence")

    return make
