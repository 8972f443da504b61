"""Incremental scores for a decoder: log probabilities of the next token after each hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, Self, SupportsIndex

import numpy as np

from rnnlm.blas import one_blas_thread
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.text.vocabulary import EOS, UNK, Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

Token = str | SupportsIndex  # text of a token, or its id


class State:
    """State of the model after a hypothesis. Immutable; copying returns the object itself.

    It refers to a column of a batch, which stays in memory as long as one of its states. Unless `log_probs` was read,
    its size does not depend on V.
    """

    __slots__ = ("_batch", "_log_probs", "_place", "_rows")

    def __init__(self, batch: Array, place: int = 0, rows: Callable[[Array], Array] | None = None) -> None:
        """Refer to a column of a batch of states; rows: computes log probabilities (B, V) from states."""
        self._batch, self._place, self._rows = batch, place, rows
        self._log_probs: NDArray[Any] | None = None

    @property
    def memory(self) -> Array:
        """State array of the model after the tokens so far, as a batch of one column; read-only."""
        return self._batch[..., self._place : self._place + 1, :]

    @property
    def log_probs(self) -> NDArray[Any]:
        """Log probabilities (V,) in nats of the next token; read-only.

        They are computed on first access and cached. `Scorer.log_probs` computes those of many states in one batch,
        without a cache.
        """
        if self._log_probs is None:
            if self._rows is None:
                raise ValueError("this state was pickled, without its model; ask scorer.log_probs([state])")
            (self._log_probs,) = self._rows(self.memory)
            self._log_probs.setflags(write=False)  # in-place changes would corrupt the cached state
        return self._log_probs

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[Array]]:
        return type(self), (self.memory.copy(),)

    @staticmethod
    def joined(states: Sequence[State]) -> Array:
        """Return the state arrays of one or more states as one batch."""
        batch = states[0]._batch
        if any(state._batch is not batch for state in states):
            return np.concatenate([state.memory for state in states], axis=-2)
        places = [state._place for state in states]
        return batch if places == [*range(batch.shape[-2])] else np.take(batch, places, axis=-2)


class Scored(Protocol):
    """The interface of `LanguageModel` that a scorer uses."""

    vocabulary: Vocabulary

    def id_of(self, token: str) -> int:
        """Return the id of a single token."""

    @property
    def by_line(self) -> Any:
        """Predictor for independent lines."""

    @property
    def start(self) -> int:
        """Id that is read before a line."""

    @property
    def unknown_word_penalty(self) -> float:
        """Nats to add to ln p(<unk>) for the log probability of a particular unknown word."""

    @property
    def line_end(self) -> int | None:
        """Id that ends a line, or None."""


class Scorer:
    """Reads the hypotheses of a decoder token by token, in batches.

    Tokens are given as text or ids; unknown tokens are read as <unk>. "</s>" is the end of a line. A state may be used
    any number of times: to branch a hypothesis, step twice from the same state.

    >>> scorer = rnnlm.load("rnnlm.npz").scorer()  # doctest: +SKIP
    >>> log_probs, state = scorer.step(scorer.start(), "我")  # doctest: +SKIP

    Attributes:
        oov_penalty: Nats added to the log probability of <unk>.
    """

    def __init__(self, model: Scored, oov_penalty: float | None = 0.0) -> None:
        """Create a scorer; oov_penalty: None for `unknown_word_penalty` of the model.

        Raises:
            DirectionError: the model is bidirectional.
        """
        self._reader: SequenceModel = model.by_line
        self._vocabulary, self._start, self._end = model.vocabulary, model.start, model.line_end
        self.oov_penalty = float(model.unknown_word_penalty if oov_penalty is None else oov_penalty)
        self._id_of = model.id_of

    @one_blas_thread()
    def start(self) -> State:
        """Return the state before the first token."""
        return self._read([self._start], self._reader.zero_state(1))[0]

    def step(self, state: State, token: Token, candidates: Iterable[Token] | None = None) -> tuple[NDArray[Any], State]:
        """Read one token.

        Returns:
            Log probabilities in nats of the next token, (V,) or (C,) for C candidates in their order, and the state
            after the token.
        """
        after = self.steps([state], [token])[0]
        return after.log_probs if candidates is None else self.log_probs([after], candidates)[0], after

    @one_blas_thread()
    def steps(self, states: Sequence[State], tokens: Sequence[Token]) -> list[State]:
        """Read one token after each of several states, in one batch.

        Raises:
            ValueError: the numbers of states and tokens differ.
        """
        ids = self._one_each(states, tokens)
        return self._read(ids, State.joined(states)) if states else []

    @one_blas_thread()
    def log_probs(self, states: Sequence[State], candidates: Iterable[Token] | None = None) -> NDArray[Any]:
        """Return log probabilities in nats of the next token after each of n states, in one batch.

        Shape (n, V), or (n, C) for C candidates in their order. Given candidates, an n-gram model looks up only these,
        and an adaptive softmax computes only their clusters; a full softmax computes all V.
        """
        if candidates is None:
            return (
                self._rows(State.joined(states)) if states else np.zeros((0, len(self._vocabulary)), dtype=np.float32)
            )
        ids = self.ids(candidates)
        columns = np.repeat(np.arange(len(states)), len(ids))
        return self._entries(states, columns, np.tile(ids, len(states))).reshape(len(states), len(ids))

    @one_blas_thread()
    def score(self, states: Sequence[State], tokens: Sequence[Token]) -> NDArray[Any]:
        """Return the log probability (n,) in nats of one token after each of n states, in one batch.

        Raises:
            ValueError: the numbers of states and tokens differ.
        """
        ids = self._one_each(states, tokens)
        return self._entries(states, np.arange(len(ids)), ids)

    def ids(self, tokens: Iterable[Token]) -> NDArray[np.int32]:
        """Return the ids (n,) of tokens.

        Raises:
            ValueError: an id is outside the vocabulary, or `tokens` is a single str.
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
        return UNK if token == "<unk>" else self._id_of(token)

    def _one_each(self, states: Sequence[State], tokens: Sequence[Token]) -> NDArray[np.int32]:
        if len(states) != len(tokens):
            raise ValueError(f"{len(states)} states and {len(tokens)} tokens; expected one token for each state")
        return self.ids(tokens)

    def _read(self, ids: Sequence[int] | NDArray[np.int32], memory: Array) -> list[State]:
        memory = self._reader.advance(np.asarray(ids, dtype=np.int32)[None], memory)
        memory.setflags(write=False)
        return [State(memory, place, self._rows) for place in range(len(ids))]

    def _rows(self, memory: Array) -> NDArray[Any]:
        log_probs = self._reader.rows(memory)
        if self.oov_penalty:
            log_probs[:, UNK] += self.oov_penalty
        return log_probs

    def _entries(self, states: Sequence[State], columns: Array, ids: NDArray[np.int32]) -> NDArray[Any]:
        if not len(ids):
            return np.zeros(0, dtype=np.float32)
        log_probs = self._reader.entries(State.joined(states), columns, ids)
        return log_probs + self.oov_penalty * (ids == UNK) if self.oov_penalty else log_probs
