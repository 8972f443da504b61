"""Models that are asked for the probabilities of a few candidates alone, as a search through a lattice asks them."""

from collections.abc import Sequence

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.lattice import CandidateReader
from rnnlm.inference.mixture import Mixture, joined_states, mixed_nats
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.network import Network


def candidate_reader(model: SequenceModel) -> CandidateReader:
    """Return a model as `inference.lattice` reads it; equal to picking from its whole distributions, and faster."""
    if isinstance(model, NgramModel):
        return OfNgram(model)
    if isinstance(model, NetworkWithNgram):
        return OfNetworkWithNgram(model)
    if isinstance(model, Mixture):
        return OfMixture(model)
    if isinstance(model, Network):
        return OfNetwork(model)
    return OfModel(model)


class OfModel:
    """Any model: the candidates are picked from the whole distribution."""

    finite = False

    def __init__(self, model: SequenceModel) -> None:
        self._model, self.vocabulary_size = model, model.vocabulary_size

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """See `CandidateReader.read`."""
        rows, state = self._model.next_log_probabilities(tokens[None], state)
        return rows[:, wanted].astype(np.float64), state


class OfNetwork:
    """A recurrent network: the parts of its output layer without candidates are not computed."""

    finite = False

    def __init__(self, network: Network) -> None:
        self._network, self.vocabulary_size = network, network.vocabulary_size

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """See `CandidateReader.read`."""
        hidden, final, _ = self._network.hidden(tokens[None], state)
        rows = self._network.output.log_probabilities_of(self._network.params, hidden[-1], wanted)
        return rows.astype(np.float64), final


class OfNgram:
    """An n-gram model: nothing but the candidates is looked up."""

    finite = True

    def __init__(self, ngram: NgramModel) -> None:
        self._ngram, self.vocabulary_size = ngram, ngram.vocabulary_size

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """See `CandidateReader.read`."""
        contexts = self._ngram.contexts(tokens[None], state)[-1].copy()
        contexts[:, -1] = 0  # n words are no context in an n-gram model, so states that differ there are equal
        return self.log_probabilities(contexts, wanted), contexts

    def log_probabilities(self, contexts: Array, wanted: Array) -> Array:
        """Log probability (B, C) of the wanted ids (C,) after contexts (B, order), by backing off from the longest."""
        levels = self._ngram.levels
        result = np.repeat(levels[0].log_probability[wanted].astype(np.float64)[None], len(contexts), axis=0)
        for k in range(1, len(levels)):
            known = np.flatnonzero(contexts[:, k - 1] >= 0)
            if not len(known) or not len(levels[k].keys):
                continue
            context = contexts[known, k - 1][:, None]
            result[known] += levels[k - 1].backoff[context]
            words = np.broadcast_to(wanted, (len(known), len(wanted)))
            found = levels[k].find(context, words, self.vocabulary_size)
            rows, columns = np.nonzero(found >= 0)
            result[known[rows], columns] = levels[k].log_probability[found[rows, columns]]
        return result


class OfNetworkWithNgram:
    """A network and an n-gram model of the same text."""

    finite = False

    def __init__(self, model: NetworkWithNgram) -> None:
        self._model, self.vocabulary_size = model, model.vocabulary_size
        self._network, self._ngram = OfNetwork(model.network), OfNgram(model.ngram)

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """See `CandidateReader.read`."""
        of_network, of_ngram = (own for _, own in self._model.with_states(state))
        log_probabilities, final = self._network.read(tokens, of_network, wanted)
        contexts = self._model.ngram.contexts(tokens[None], of_ngram)[-1]
        lengths = self._model.ngram.context_lengths(contexts)[:, None]
        by_ngram = self._ngram.log_probabilities(contexts, wanted)
        return -self._model.weighted(-log_probabilities, -by_ngram, lengths), joined_states([final, contexts])


class OfMixture:
    """A mixture of models."""

    finite = False

    def __init__(self, mixture: Mixture) -> None:
        self._mixture, self.vocabulary_size = mixture, mixture.vocabulary_size
        self._readers = [candidate_reader(model) for model in mixture.models]

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """See `CandidateReader.read`."""
        states = [own for _, own in self._mixture.with_states(state)]
        parts = [reader.read(tokens, own, wanted) for reader, own in zip(self._readers, states, strict=True)]
        return self._mixed([rows for rows, _ in parts]), joined_states([after for _, after in parts])

    def _mixed(self, rows: Sequence[Array]) -> Array:
        return -mixed_nats([-each for each in rows], self._mixture.weights)
