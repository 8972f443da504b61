"""Scores for a decoder: what may come next after each hypothesis, which grows token by token."""

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

Token = str | SupportsIndex  # as it is written, or its id


class State:
    """A hypothesis as far as it was read: a value, which nothing changes. Copies of it are itself.

    It is a column of what was read in one batch, which is kept as long as one of its states is. Nothing of it grows
    with V.
    """

    __slots__ = ("_batch", "_log_probs", "_place", "_rows")

    def __init__(self, batch: Array, place: int = 0, rows: Callable[[Array], Array] | None = None) -> None:
        """Take a column of a batch's memory; rows: gives the log probabilities of what may come next."""
        self._batch, self._place, self._rows = batch, place, rows
        self._log_probs: NDArray[Any] | None = None

    @property
    def memory(self) -> Array:
        """What the model knows of the tokens so far, as a batch of one column; read-only."""
        return self._batch[..., self._place : self._place + 1, :]

    @property
    def log_probs(self) -> NDArray[Any]:
        """(V,) Log probability in nats of every token that may come next; read-only.

        It is computed when it is first asked for, and kept with the state. `Scorer.log_probs` computes those of many
        states at once and keeps none.
        """
        if self._log_probs is None:
            if self._rows is None:
                raise ValueError("this state was pickled, without its model; ask scorer.log_probs([state])")
            (self._log_probs,) = self._rows(self.memory)
            self._log_probs.setflags(write=False)  # a decoder that adds its own scores in place would spoil the state
        return self._log_probs

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[Array]]:
        return type(self), (self.memory.copy(),)

    @staticmethod
    def joined(states: Sequence[State]) -> Array:
        """Return the memory of several states, at least one, as one batch."""
        batch = states[0]._batch
        if any(state._batch is not batch for state in states):
            return np.concatenate([state.memory for state in states], axis=-2)
        places = [state._place for state in states]
        return batch if places == [*range(batch.shape[-2])] else np.take(batch, places, axis=-2)


class Scored(Protocol):
    """What a scorer needs of a `LanguageModel`."""

    vocabulary: Vocabulary

    def id_of(self, token: str) -> int:
        """Id of a token that is given by itself."""

    @property
    def by_line(self) -> Any:
        """The predictor for lines, each for itself."""

    @property
    def start(self) -> int:
        """The id that is read before a line."""

    @property
    def unknown_word_penalty(self) -> float:
        """What to add to ln p(<unk>) for one certain unknown word, in nats."""

    @property
    def line_end(self) -> int | None:
        """The id that ends a line."""


class Scorer:
    """Reads hypotheses of a decoder token by token, as many side by side as it has.

    Tokens are given as they are written or by their ids; one that the vocabulary lacks is read as <unk>. "</s>" is the
    line's end. A state may be used any number of times: a hypothesis branches by stepping twice from the same one.

    >>> scorer = rnnlm.load("rnnlm.npz").scorer()  # doctest: +SKIP
    >>> log_probs, state = scorer.step(scorer.start(), "我")  # doctest: +SKIP

    Attributes:
        oov_penalty: What is added to the log probability of <unk>, in nats.
    """

    def __init__(self, model: Scored, oov_penalty: float | None = 0.0) -> None:
        """Prepare to read with a model; oov_penalty: None takes the model's own.

        Raises:
            DirectionError: it is bidirectional.
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
            The log probabilities in nats of what may come next, (V,) or those of the candidates alone in their order,
            and the state after the token.
        """
        after = self.steps([state], [token])[0]
        return after.log_probs if candidates is None else self.log_probs([after], candidates)[0], after

    @one_blas_thread()
    def steps(self, states: Sequence[State], tokens: Sequence[Token]) -> list[State]:
        """Read one token after each of several states, in one batch.

        Raises:
            ValueError: there are not as many tokens as states.
        """
        ids = self._one_each(states, tokens)
        return self._read(ids, State.joined(states)) if states else []

    @one_blas_thread()
    def log_probs(self, states: Sequence[State], candidates: Iterable[Token] | None = None) -> NDArray[Any]:
        """Return log probabilities in nats of what may come next after each of n states, in one batch.

        They are (n, V), or (n, C) those of C candidates alone, in their order. For a candidate, an n-gram model looks
        up what it needs, and an adaptive softmax computes the clusters that have one; a full softmax needs all V.
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
            ValueError: there are not as many tokens as states.
        """
        ids = self._one_each(states, tokens)
        return self._entries(states, np.arange(len(ids)), ids)

    def ids(self, tokens: Iterable[Token]) -> NDArray[np.int32]:
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
