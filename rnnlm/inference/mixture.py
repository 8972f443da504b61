"""Linear interpolation of models, p(w | h) = sum of weight_i p_i(w | h), and estimation of the weights."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError
from rnnlm.inference.model import Array, SequenceModel
from rnnlm.sentences import Sentence
from rnnlm.text.reading import restart
from rnnlm.text.vocabulary import UNK


class Mixture:
    """A weighted mean of the probabilities of several models over one vocabulary; a `SequenceModel` itself.

    A state (B, F) has a row for each column of a batch: the flattened states of all models, concatenated. It is
    float64, which represents both a network's float32 and an n-gram model's integers exactly.
    """

    kind, noun = "mixture", "a mixture of models"

    def __init__(self, models: Sequence[SequenceModel], weights: Sequence[float]) -> None:
        """Mix models with nonnegative weights that sum to one."""
        sizes = {model.vocabulary_size for model in models}
        if len(sizes) != 1 or len(models) != len(weights) or min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"{len(models)} models over vocabularies of {sizes} with the weights {list(weights)}")
        self.models, self.weights = list(models), [float(weight) for weight in weights]
        self.reach = max(getattr(model, "reach", 0) for model in models)
        self._V = sizes.pop()

    def describe(self) -> str:
        """Return a short description."""
        return Sentence("mixture of {n} models", n=len(self.models))

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Refuse to be saved, as the models are in several files.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError("A mixture of models is not saved; keep its models' files and mix them with --mix.")

    @property
    def vocabulary_size(self) -> int:
        """Vocabulary size, which all models share."""
        return self._V

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before any input, (B, F)."""
        return joined_states([model.zero_state(batch_size) for model in self.models])

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""
        parts = [model.nats(inputs, targets, own, keep) for model, own in self.with_states(state)]
        return mixed_nats([nats for nats, _ in parts], self.weights), joined_states([own for _, own in parts])

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        parts = [model.log_probabilities(inputs, own, keep) for model, own in self.with_states(state)]
        return -mixed_nats([-each for each, _ in parts], self.weights), joined_states([own for _, own in parts])

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        parts = [model.next_log_probabilities(inputs, own) for model, own in self.with_states(state)]
        return -mixed_nats([-each for each, _ in parts], self.weights), joined_states([own for _, own in parts])

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B)."""
        return joined_states([model.advance(inputs, own, keep) for model, own in self.with_states(state)])

    def rows(self, state: Array) -> Array:
        """Log probability of every next id, (B, V), from a state after at least one input."""
        return -mixed_nats([-model.rows(own) for model, own in self.with_states(state)], self.weights)

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state: some entries of `rows`."""
        parts = [-model.entries(own, columns, ids) for model, own in self.with_states(state)]
        return -mixed_nats(parts, self.weights)

    def with_states(self, state: Array) -> Iterator[tuple[SequenceModel, Array]]:
        """Yield each model with its own state, in its original shape and dtype."""
        yield from zip(self.models, split_states(state, [model.zero_state(1) for model in self.models]), strict=True)


def joined_states(states: Sequence[Array]) -> Array:
    """Join the states of several models into one state (B, F)."""
    rows = [np.moveaxis(state, -2, 0).astype(np.float64) for state in states]
    return np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1)


def split_states(state: Array, patterns: Sequence[Array]) -> Iterator[Array]:
    """Split a state of `joined_states`; patterns: a state of one column for each model, for its shape and dtype."""
    start = 0
    for each in patterns:
        pattern = np.moveaxis(each, -2, 0)
        own = state[:, start : start + pattern.size].reshape(len(state), *pattern.shape[1:])
        start += pattern.size
        yield np.ascontiguousarray(np.moveaxis(own, 0, -2), dtype=pattern.dtype)


def mixed_nats(nats: Sequence[Array], weights: Sequence[float | Array]) -> Array:
    """Return -ln of the weighted mean of probabilities, given as -ln p in arrays of the same shape, one per model.

    weights: one per model, numbers or arrays that broadcast to that shape.
    """
    with np.errstate(divide="ignore"):  # ln 0
        terms = [np.log(np.maximum(weight, 0)) - each for each, weight in zip(nats, weights, strict=True)]
    return -functools.reduce(np.logaddexp, terms)


class Translated:
    """A model with another vocabulary: `ids` (V,) maps the ids of that vocabulary to ids of the model.

    Words that the model does not know are read as its <unk>. The probability of <unk> is divided equally among all ids
    that map to it, including the <unk> of the other vocabulary. So probabilities sum to one if the other vocabulary
    contains all words of the model; otherwise the words that it lacks are missing from the sum. (KenLM and SRILM assign
    p(<unk>) to every unknown word, so that a mixture over a closed vocabulary would sum to more than one.)
    """

    def __init__(self, model: SequenceModel, ids: Array) -> None:
        """Wrap a model."""
        self._model, self._ids = model, ids
        unknown = ids == UNK
        self._share = np.where(unknown, np.log(max(1, unknown.sum())), 0.0)

    @property
    def vocabulary_size(self) -> int:
        """Size of the other vocabulary, not of the model's."""
        return len(self._ids)

    def zero_state(self, batch_size: int) -> Array:
        """Return the model's state before any input."""
        return self._model.zero_state(batch_size)

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""
        nats, state = self._model.nats(self._ids[inputs], self._ids[targets], state, keep)
        return nats + self._share[targets], state

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        log_probabilities, state = self._model.log_probabilities(self._ids[inputs], state, keep)
        return log_probabilities[..., self._ids] - self._share, state

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        log_probabilities, state = self._model.next_log_probabilities(self._ids[inputs], state)
        return log_probabilities[..., self._ids] - self._share, state

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B)."""
        return self._model.advance(self._ids[inputs], state, keep)

    def rows(self, state: Array) -> Array:
        """Log probability of every next id, (B, V), from a state after at least one input."""
        return self._model.rows(state)[:, self._ids] - self._share

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state: some entries of `rows`."""
        return self._model.entries(state, columns, self._ids[ids]) - self._share[ids]


class LineByLine:
    """A model of sentences as part of a mixture that reads a stream: its state is reset after every </s>."""

    def __init__(self, model: SequenceModel) -> None:
        """Wrap a model."""
        self._model, self.zero_state = model, model.zero_state
        self.rows, self.entries = model.rows, model.entries

    @property
    def vocabulary_size(self) -> int:
        """Vocabulary size."""
        return self._model.vocabulary_size

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""
        anew = inputs.copy()
        return self._model.nats(anew, targets, state, restart(anew, "sentence"))

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        anew = inputs.copy()
        return self._model.log_probabilities(anew, state, restart(anew, "sentence"))

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B)."""
        anew = inputs.copy()
        return self._model.advance(anew, state, restart(anew, "sentence"))

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        if len(inputs) > 1:
            _, state = self.nats(inputs[:-1], inputs[1:], state)
        rows, state = self.log_probabilities(inputs[-1:], state)
        return rows[0], state


def best_weights(nats: Sequence[Array], steps: int = 1000, tolerance: float = 1e-10) -> list[float]:
    """Return the mixture weights that maximise the probability of a text, given the nats (N,) of each model.

    Expectation maximisation (Jelinek and Mercer 1980): in each step, the new weight of a model is its mean share of the
    mixture's probability of a token. The log likelihood is concave in the weights, so this converges to the maximum.
    """
    table = np.stack(nats).astype(np.float64)
    table = np.exp(table.min(axis=0) - table)  # relative to the best model of each token
    weights = np.full(len(table), 1 / len(table))
    before = -np.inf
    for _ in range(steps):
        mixed = weights @ table
        likelihood = float(np.log(mixed).mean())
        if likelihood - before < tolerance:
            break
        before = likelihood
        weights *= (table / mixed).mean(axis=1)
        weights /= weights.sum()
    return [float(weight) for weight in weights]
