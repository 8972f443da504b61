"""Scores for a decoder: what may come next after each hypothesis, which grows token by token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, SupportsIndex

import numpy as np

from rnnlm.blas import one_blas_thread
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.text.vocabulary import EOS, UNK, Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray


class State(NamedTuple):
    """A hypothesis as far as it was read.

    Attributes:
        log_probs: (V,) Log probability in nats of every token that may come next; read-only.
        memory: What the model knows of the tokens so far.
    """

    log_probs: NDArray[Any]
    memory: Array


class Scored(Protocol):
    """What a scorer needs of a `LanguageModel`."""

    vocabulary: Vocabulary

    @property
    def by_line(self) -> Any:
        """The predictor for lines, each for itself."""

    @property
    def start(self) -> int:
        """The id that is read before a line."""

    @property
    def line_end(self) -> int | None:
        """The id that ends a line."""


class Scorer:
    """Reads hypotheses of a decoder token by token, as many side by side as it has.

    Tokens are given as they are written or by their ids; one that the vocabulary lacks is read as <unk>. "</s>" is the
    line's end. A state may be used any number of times: a hypothesis branches by stepping twice from the same one.

    >>> scorer = rnnlm.load("rnnlm.npz").scorer()  # doctest: +SKIP
    >>> log_probs, state = scorer.step(scorer.start(), "我")  # doctest: +SKIP
    """

    def __init__(self, model: Scored) -> None:
        """Prepare to read with a model.

        Raises:
            DirectionError: it is bidirectional.
        """
        self._reader: SequenceModel = model.by_line
        self._vocabulary, self._start, self._end = model.vocabulary, model.start, model.line_end

    @one_blas_thread()
    def start(self) -> State:
        """Return the state before the first token."""
        return self._read([self._start], self._reader.zero_state(1))[0]

    def step(
        self, state: State, token: str | SupportsIndex, candidates: Iterable[str | SupportsIndex] | None = None
    ) -> tuple[NDArray[Any], State]:
        """Read one token.

        Returns:
            The log probabilities in nats of what may come next, (V,) or those of the candidates alone in their order,
            and the state after the token.
        """
        after = self.steps([state], [token])[0]
        return after.log_probs if candidates is None else after.log_probs[self.ids(candidates)], after

    @one_blas_thread()
    def steps(self, states: Sequence[State], tokens: Sequence[str | SupportsIndex]) -> list[State]:
        """Read one token after each of several states, in one batch.

        Raises:
            ValueError: there are not as many tokens as states.
        """
        if len(states) != len(tokens):
            raise ValueError(f"{len(states)} states and {len(tokens)} tokens; expected one token for each state")
        if not states:
            return []
        return self._read(self.ids(tokens), np.concatenate([state.memory for state in states], axis=-2))

    def ids(self, tokens: Iterable[str | SupportsIndex]) -> NDArray[np.int32]:
        """Return ids (n,) of tokens.

        Raises:
            ValueError: an id is outside the vocabulary, or a str stands where several tokens were expected.
            TypeError: a token is neither a str nor a whole number.
        """
        if isinstance(tokens, str):
            raise ValueError(f"{tokens!r} is one str; expected a list of tokens")
        found = [self._id(token) if isinstance(token, str) else index(token) for token in tokens]
        wrong = [each for each in found if not 0 <= each < len(self._vocabulary)]
        if wrong:
            raise ValueError(f"id {wrong[0]} is outside the vocabulary; expected 0 to {len(self._vocabulary) - 1}")
        return np.array(found, dtype=np.int32)

    def _id(self, token: str) -> int:
        if token == "</s>":
            return EOS if self._end is None else self._end
        return UNK if token == "<unk>" else int(self._vocabulary.encode([token])[0])

    def _read(self, ids: Sequence[int] | NDArray[np.int32], memory: Array) -> list[State]:
        log_probs, memory = self._reader.next_log_probabilities(np.asarray(ids, dtype=np.int32)[None], memory)
        log_probs.setflags(write=False)  # a decoder that adds its own scores in place would spoil the state
        return [State(row, memory[..., [place], :]) for place, row in enumerate(log_probs)]
