"""Adapter from a sequence model to the interface that the lattice search reads."""

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.model import Array, SequenceModel


class CandidateReader:
    """Log probabilities of a few candidate tokens; implements `inference.lattice.CandidateReader`."""

    def __init__(self, model: SequenceModel) -> None:
        self._model, self.vocabulary_size = model, model.vocabulary_size
        self.finite = isinstance(model, NgramModel)

    def read(self, tokens: Array, state: Array, wanted: Array) -> tuple[Array, Array]:
        """Return log probabilities (B, C) of the wanted ids (C,) after each token (B,), and the state after them."""
        after = self._model.advance(tokens[None], state)
        columns, ids = np.repeat(np.arange(len(tokens)), len(wanted)), np.tile(wanted, len(tokens))
        found = self._model.entries(after, columns, ids).astype(np.float64).reshape(len(tokens), len(wanted))
        if self.finite:
            after = after.copy()
            after[:, -1] = 0  # an n-gram model sees n - 1 tokens: states that differ only before them are equal
        return found, after
