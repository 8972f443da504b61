"""Incremental reading of a text while it is edited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnlm.blas import one_blas_thread
from rnnlm.completion import BegunWord, begun_word, candidates, check_counts, continuations, ranked
from rnnlm.inference.model import SequenceModel, finished
from rnnlm.inference.prefixes import PrefixReader, shared
from rnnlm.results import Candidate, Continuation, Prediction
from rnnlm.stored_model import StoredModel

REMEMBERED = 64 << 20  # bytes of cached states


class TextSession:
    """An editable text and a model's cached states of it, so that only changed parts are read again.

    If the text changes before its end, it is read again from the first change. Appended text may change the last token
    ("sa", "said"), which is then read again.

    >>> session = rnnlm.load("rnnlm.npz").session("And the")  # doctest: +SKIP
    >>> session.read(" LORD")  # doctest: +SKIP
    >>> session.predict(k=5).candidates  # doctest: +SKIP
    """

    def __init__(self, model: StoredModel, predictor: SequenceModel, text: str = "") -> None:
        """Start with a text; predictor: that of the model for independent lines."""
        self._model, self._reader = model, PrefixReader(predictor, REMEMBERED)
        self._text, self._ids = "", np.zeros(0, dtype=np.int32)
        self._lines = [(0, 0)]  # starts of encoded lines: number of characters and of ids before them
        self._nats: dict[int, float] = {}  # by index of the id
        self.text = text

    @property
    def text(self) -> str:
        """Text so far; it can be set."""
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        same = len(self._text)
        if not text.startswith(self._text):
            pairs = enumerate(zip(self._text, text, strict=False))
            same = next((place for place, (one, other) in pairs if one != other), min(same, len(text)))
        while self._lines[-1][0] > same:
            self._lines.pop()
        start, known = self._lines[-1]
        last = text.rfind("\n") + 1
        ids = self._ids[:known]
        if last > start:
            ids = np.concatenate([ids, self._model.encode(text[start:last])])
            self._lines.append((last, len(ids)))
        before, self._ids = self._ids, np.concatenate([ids, self._model.encode(text[last:])])
        known = shared(before, self._ids)
        self._nats = {place: nats for place, nats in self._nats.items() if place < known}
        self._text = text

    def read(self, text: str) -> None:
        """Append to the text."""
        self.text += text

    @one_blas_thread()
    def predict(
        self, k: int = 10, *, prefix: str = "", allowed: Iterable[str] | None = None, complete: bool = False
    ) -> Prediction:
        """Return the k most probable next tokens; see `LanguageModel.predict`."""
        check_counts(k=k)
        if complete:
            found = self._continuations(1, k, prefix=prefix, allowed=allowed, complete=True)
            return Prediction(self._text, [Candidate(each.tokens[0], each.probability) for each in found])
        rows, _ = finished(self._reader.read(self._model.prefix(self._ids)))
        ids = ranked(self._model, rows[0], k, prefix, allowed)
        return Prediction(self._text, candidates(self._model, rows[0], ids))

    @one_blas_thread()
    def predict_ahead(
        self,
        length: int = 3,
        k: int = 10,
        *,
        prefix: str = "",
        allowed: Iterable[str] | None = None,
        complete: bool = False,
    ) -> list[Continuation]:
        """Return the k most probable continuations; see `LanguageModel.predict_ahead`."""
        check_counts(length=length, k=k)
        return self._continuations(length, k, prefix=prefix, allowed=allowed, complete=complete)

    @one_blas_thread()
    def nats(self) -> list[float]:
        """Return the negative log probability of each token of the last line, given all tokens before it."""
        places = range(self._lines[-1][1], len(self._ids))
        for place in places:
            if place not in self._nats:
                rows, _ = finished(self._reader.read(self._model.prefix(self._ids[:place])))
                self._nats[place] = -float(rows[0, self._ids[place]])
        return [self._nats[place] for place in places]

    @one_blas_thread()
    def begun_word(self) -> BegunWord:
        """Return the words that the end of the text may become, with a model of words; see `completion.BegunWord`."""
        model = self._model
        text = model.unfinished(self._text)
        return finished(begun_word(model, self._reader, text, self._ids, model.unknown_word_penalty))

    def _continuations(self, length: int, k: int, **options: Any) -> list[Continuation]:
        model, penalty = self._model, self._model.unknown_word_penalty
        text = model.unfinished(self._text)
        return finished(continuations(model, self._reader, text, self._ids, length, k, penalty=penalty, **options))
