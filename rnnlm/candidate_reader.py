"""A model that is asked for the probabilities of a few candidates alone, as a search through a lattice asks it."""

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.model import Array, SequenceModel


class CandidateReader:
    """See `inference.lattice.CandidateReader`."""

    def __init__(self, model: SequenceModel) -> None:
        self._model, self.vocabulary_size = model, model.vocabulary_size
        self.finite = isinstance(model, NgramModel)

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """Log probabilities (B, C) of the wanted ids (C,) after each of the tokens (B,), and the state after them."""
        after = self._model.advance(tokens[None], state)
        columns, ids = np.repeat(np.arange(len(tokens)), len(wanted)), np.tile(wanted, len(tokens))
        found = self._model.entries(after, columns, ids).astype(np.float64).reshape(len(tokens), len(wanted))
        if self.finite:
            after = after.copy()
            after[:, -1] = 0  # n words are no context in an n-gram model, so states that differ there are equal
        return found, after
