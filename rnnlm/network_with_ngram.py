"""A network mixed with an n-gram model of the same text, as a training saves them in one checkpoint."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.mixture import Mixture, joined_states, mixed_nats
from rnnlm.inference.model import Array
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.network import Network
from rnnlm.sentences import Sentence
from rnnlm.text.reading import Ids

MIXED = "mixed_ngram."  # prefix of the names of the n-gram model's arrays in a checkpoint


class NetworkWithNgram(Mixture):
    """A network mixed with an n-gram model of the same text.

    p(w | h) = (1 - a_k) p_network(w | h) + a_k p_ngram(w | h), where k is the length of the longest suffix of h that
    the n-gram model has as a context. So the n-gram model can have more weight in contexts that it has seen.
    """

    kind, noun = "rnn", "a recurrent network with an n-gram model"

    def __init__(self, network: Network, ngram: NgramModel, weights: Sequence[float]) -> None:
        """Mix the two models; weights: a_0, a_1, ... of the n-gram model, as many as its order."""
        if len(weights) != ngram.order or not all(0 <= each <= 1 for each in weights):
            raise ValueError(f"the weights {list(weights)} of an n-gram model of order {ngram.order}")
        super().__init__([network, ngram], [1.0, 0.0])
        self.network, self.ngram, self.weights = network, ngram, [float(each) for each in weights]

    def describe(self) -> str:
        """Return a short description of the model."""
        return Sentence("{network} with a {ngram}", network=self.network.describe(), ngram=self.ngram.describe())

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return header fields and arrays for a checkpoint. Earlier versions of rnnlm ignore the n-gram model."""
        header, arrays = self.network.to_file()
        described = {"mixed_ngram": {"order": self.ngram.order, "weights": self.weights}}
        return header | described, arrays | {f"mixed_{name}": each for name, each in self.ngram.arrays().items()}

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Return the negative log probability of each target (T, B), and the state after the last input."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        nats, final = network.nats(inputs, targets, of_network, keep)
        contexts, found = self.ngram.located(inputs, targets, of_ngram, keep)
        lengths = self.ngram.context_lengths(contexts[1:])
        mixed = self.weighted(nats, self.ngram.nats_of(targets, contexts, found), lengths)
        return mixed, joined_states([final, contexts[-1]])

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Return log probabilities of all ids after each input (T, B, V), and the state after the last input."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        log_probabilities, final = network.log_probabilities(inputs, of_network, keep)
        contexts = self.ngram.contexts(inputs, of_ngram, keep)
        return self._mixed_rows(log_probabilities, contexts[1:]), joined_states([final, contexts[-1]])

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Return log probabilities of all ids after the last input (B, V), and the state after it."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        log_probabilities, final = network.next_log_probabilities(inputs, of_network)
        last = self.ngram.contexts(inputs, of_ngram)[-1]
        return self._mixed_rows(log_probabilities, last), joined_states([final, last])

    def rows(self, state: Array) -> Array:
        """Return log probabilities of all ids (B, V) after a state that `advance` returned."""
        (network, of_network), (_, contexts) = self.with_states(state)
        return self._mixed_rows(network.rows(of_network), contexts)

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Return log probabilities (n,) of ids (n,) after columns (n,) of a state that `advance` returned."""
        (network, of_network), (ngram, contexts) = self.with_states(state)
        lengths = self.ngram.context_lengths(contexts[columns])
        by_network, by_ngram = network.entries(of_network, columns, ids), ngram.entries(contexts, columns, ids)
        return -self.weighted(-by_network, -by_ngram, lengths)

    def _mixed_rows(self, log_probabilities: Array, contexts: Array) -> Array:
        """Return log probabilities (..., V) of all ids under the mixture.

        log_probabilities (..., V): of the network. contexts (..., order): of the n-gram model. Probabilities are summed
        in float32, several times as fast as `mixed_nats`; those that underflow, such as that of <s>, become ln 0.
        """
        weights = np.array(self.weights, dtype=np.float32)[self.ngram.context_lengths(contexts)][..., None]
        of_ngram = self.ngram.probabilities(contexts)
        of_ngram *= weights
        mixed = np.exp(log_probabilities, dtype=np.float32)
        mixed *= 1 - weights
        mixed += of_ngram
        with np.errstate(divide="ignore"):
            return np.log(mixed, out=mixed)

    def weighted(self, of_network: Array, of_ngram: Array, lengths: Array) -> Array:
        """Return nats (...) under the mixture; lengths (...): of the known contexts."""
        weights = np.array(self.weights)[lengths]
        return mixed_nats([of_network, of_ngram], [1 - weights, weights])

    def along(self, of_network: Array, ids: Ids, context: str, threads: int = 1) -> tuple[Array, Array]:
        """Return nats (N,) of a text under the mixture and the n-gram model; of_network (N,): under the network."""
        of_ngram, lengths = along_text(self.ngram, ids, context, threads)
        return self.weighted(of_network, of_ngram, lengths), of_ngram


class _ContextLengths:
    """Adapter whose `nats` are the lengths of the contexts that an n-gram model knows, to read a text for them."""

    def __init__(self, ngram: NgramModel) -> None:
        self._ngram, self.zero_state = ngram, ngram.zero_state

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        contexts = self._ngram.contexts(inputs, state, keep)
        return self._ngram.context_lengths(contexts[1:]), contexts[-1]


def along_text(ngram: NgramModel, ids: Ids, context: str, threads: int = 1) -> tuple[Array, Array]:
    """Return nats (N,) of the tokens of a text under an n-gram model, and the lengths (N,) of its known contexts."""
    nats = token_nats(ngram, ids, context, threads)
    return nats, token_nats(_ContextLengths(ngram), ids, context, threads)
