"""A network and an n-gram model of the same text, whose probabilities are mixed: what a training leaves in one file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.mixture import Mixture, joined_states, mixed_nats
from rnnlm.inference.model import Array
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.network import Network
from rnnlm.text.reading import Ids

MIXED = "mixed_ngram."  # begins the names of the arrays of the n-gram model in the network's checkpoint


class NetworkWithNgram(Mixture):
    """A network and an n-gram model of the same text, as one checkpoint holds them.

    p(w | h) = (1 - a_k) p_network(w | h) + a_k p_ngram(w | h), where k is the number of the last words of h that the
    n-gram model knows as a context: it is trusted as far as it has seen what it is asked about.
    """

    kind, noun = "rnn", "a recurrent network with an n-gram model"

    def __init__(self, network: Network, ngram: NgramModel, weights: Sequence[float]) -> None:
        """Mix the two; weights: a_0, a_1, ... of the n-gram model, as many as its order."""
        if len(weights) != ngram.order or not all(0 <= each <= 1 for each in weights):
            raise ValueError(f"the weights {list(weights)} of an n-gram model of order {ngram.order}")
        super().__init__([network, ngram], [1.0, 0.0])
        self.network, self.ngram, self.weights = network, ngram, [float(each) for each in weights]

    def describe(self) -> str:
        """What it is, in a few words."""
        return f"{self.network.describe()} with a {self.ngram.describe()}"

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a checkpoint says of it, and its arrays. Earlier versions do not see the n-gram model's."""
        header, arrays = self.network.to_file()
        described = {"mixed_ngram": {"order": self.ngram.order, "weights": self.weights}}
        return header | described, arrays | {f"mixed_{name}": each for name, each in self.ngram.arrays().items()}

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        nats, final = network.nats(inputs, targets, of_network, keep)
        contexts, found = self.ngram.located(inputs, targets, of_ngram, keep)
        lengths = self.ngram.context_lengths(contexts[1:])
        mixed = self.weighted(nats, self.ngram.nats_of(targets, contexts, found), lengths)
        return mixed, joined_states([final, contexts[-1]])

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        log_probabilities, final = network.log_probabilities(inputs, of_network, keep)
        contexts = self.ngram.contexts(inputs, of_ngram, keep)
        return self._mixed_rows(log_probabilities, contexts[1:]), joined_states([final, contexts[-1]])

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        (network, of_network), (_, of_ngram) = self.with_states(state)
        log_probabilities, final = network.next_log_probabilities(inputs, of_network)
        last = self.ngram.contexts(inputs, of_ngram)[-1]
        return self._mixed_rows(log_probabilities, last), joined_states([final, last])

    def rows(self, state: Array) -> Array:
        """Log probability of every id (B, V) after a state that was read into."""
        (network, of_network), (_, contexts) = self.with_states(state)
        return self._mixed_rows(network.rows(of_network), contexts)

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids (n,) after columns (n,) of such a state."""
        (network, of_network), (ngram, contexts) = self.with_states(state)
        lengths = self.ngram.context_lengths(contexts[columns])
        by_network, by_ngram = network.entries(of_network, columns, ids), ngram.entries(contexts, columns, ids)
        return -self.weighted(-by_network, -by_ngram, lengths)

    def _mixed_rows(self, log_probabilities: Array, contexts: Array) -> Array:
        """Log probability of every id by both together, (..., V).

        log_probabilities (..., V) are the network's; contexts (..., order) those of the n-gram model. Probabilities
        are summed, which is several times as fast as `mixed_nats`; what is beyond float32, such as <s>, becomes ln 0.
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
        """Nats (...) of both together; lengths (...) of the contexts that are known."""
        weights = np.array(self.weights)[lengths]
        return mixed_nats([of_network, of_ngram], [1 - weights, weights])

    def along(self, of_network: Array, ids: Ids, context: str, threads: int = 1) -> tuple[Array, Array]:
        """Nats (N,) of a text's tokens by both together and by the n-gram model; of_network (N,): by the network."""
        of_ngram, lengths = along_text(self.ngram, ids, context, threads)
        return self.weighted(of_network, of_ngram, lengths), of_ngram


class _ContextLengths:
    """Takes the place of a model where a text is read: tells how long a context an n-gram model knows."""

    def __init__(self, ngram: NgramModel) -> None:
        self._ngram, self.zero_state = ngram, ngram.zero_state

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        contexts = self._ngram.contexts(inputs, state, keep)
        return self._ngram.context_lengths(contexts[1:]), contexts[-1]


def along_text(ngram: NgramModel, ids: Ids, context: str, threads: int = 1) -> tuple[Array, Array]:
    """Nats (N,) of a text's tokens by an n-gram model, and the lengths (N,) of the contexts that it knows."""
    nats = token_nats(ngram, ids, context, threads)
    return nats, token_nats(_ContextLengths(ngram), ids, context, threads)
