"""A neural cache (Grave et al. 2017), which predicts the tokens that followed similar states of the network.

    p(w | h_t) ~ sum over i of [x_i = w] exp(theta cos(h_t, h_i)),      t - N <= i < t

h_i is the network's output from which it predicted x_i. (Grave et al. use h_t . h_i; with the cosine, the same theta
suits networks of all widths.) The cache is meant to be mixed with the model whose network it reads. It does not predict
<unk>, which stands for a different word each time.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnlm.errors import CheckpointError
from rnnlm.inference.mixture import Mixture, joined_states, split_states
from rnnlm.inference.model import Array
from rnnlm.nn.network import Network
from rnnlm.sentences import Sentence
from rnnlm.text.vocabulary import BOS, EOS, UNK

TOKENS, WEIGHT, THETA = 500, 0.2, 15.0  # defaults, which suit most texts; see benchmarks/RESULTS.md
NOTHING, TO_COME = -1, -2  # in place of the id after an output: there is no output; the id is not known yet


class _Memory(NamedTuple):
    """The network's state, the last N + 1 outputs (B, N + 1, H) of unit length, and the ids after them (B, N + 1).

    The last output is the current one, from which the next id is predicted.
    """

    network: Array
    outputs: Array
    followers: Array


class NeuralCache:
    """The cache as an `inference.model.SequenceModel`. While it is empty, all ids but <s> are equally likely.

    A state (B, F) is a flattened `_Memory`. The start of a line resets the network's state in it, but not the rest.
    """

    def __init__(self, network: Network, tokens: int = TOKENS, theta: float = THETA) -> None:
        """Create a cache of the last `tokens` outputs of a network."""
        self.network, self.reach, self.theta = network, tokens, theta

    @property
    def vocabulary_size(self) -> int:
        """Vocabulary size."""
        return self.network.vocabulary_size

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before any input."""
        outputs = np.zeros((batch_size, self.reach + 1, self.network.config.hidden_size))
        return self._joined(_Memory(self.network.zero_state(batch_size), outputs, np.full(outputs.shape[:2], NOTHING)))

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input."""
        shares, followers, final = self._read(inputs, state, keep)
        probability = (shares * (followers[:, None] == targets.T[:, :, None])).sum(axis=2).T
        return -self._log(probability, shares), final

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        shares, followers, final = self._read(inputs, state, keep)
        return self._all(shares, followers), final

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B)."""
        return self._read(inputs, state, keep)[2]

    def rows(self, state: Array) -> Array:
        """Log probability of every next id, (B, V), from a state after at least one input."""
        return self._all(*self._last(self._split(state)))[0]

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state: some entries of `rows`."""
        shares, followers = self._last(self._split(state))
        shares = shares[columns]
        return self._log((shares[:, 0] * (followers[columns] == ids[:, None])).sum(axis=1)[None], shares)[0]

    def _last(self, memory: _Memory) -> tuple[Array, Array]:
        """Return each output's share in the current prediction, (B, 1, N + 1), and the ids after the outputs."""
        return self._shares(memory.outputs[:, -1:], memory.outputs, memory.followers), memory.followers

    def _all(self, shares: Array, followers: Array) -> Array:
        """Log probability of every id (T, B, V), from shares (B, T, outputs) and the ids after them (B, outputs)."""
        B, T, _ = shares.shape
        probability = np.zeros((T, B, self.vocabulary_size))
        for b in range(B):
            real = np.flatnonzero(followers[b] >= 0)
            for t in range(T):
                np.add.at(probability[t, b], followers[b, real], shares[b, t, real])
        return self._log(probability, shares[..., None])

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        if len(inputs) > 1:
            state = self._read(inputs[:-1], state)[2]
        rows, final = self.log_probabilities(inputs[-1:], state)
        return rows[0], final

    def _read(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array, Array]:
        """Read inputs (T, B).

        Returns each output's share in the prediction after each input (B, T, outputs), the ids after the outputs
        (B, outputs), and the new state.
        """
        before = self._split(state)
        hidden, final, _ = self.network.hidden(inputs, before.network, keep)
        outputs = hidden.transpose(1, 0, 2)
        outputs = outputs / np.maximum(np.linalg.norm(outputs, axis=2, keepdims=True), np.finfo(np.float32).tiny)
        read = np.where(inputs == BOS, EOS, inputs).T
        earlier = before.followers
        earlier[:, -1] = np.where(earlier[:, -1] == TO_COME, read[:, 0], NOTHING)
        followers = np.concatenate([earlier, read[:, 1:], np.full((len(read), 1), TO_COME)], axis=1)
        all_outputs = np.concatenate([before.outputs, outputs], axis=1)
        shares = self._shares(outputs, all_outputs, followers)
        kept = slice(-self.reach - 1, None)
        memory = _Memory(final, all_outputs[:, kept], followers[:, kept])
        return shares, followers, self._joined(memory)

    def _shares(self, outputs: Array, all_outputs: Array, followers: Array) -> Array:
        """Softmax (B, T, all outputs) over the N outputs before each of the last T; zeros where there is none."""
        places = np.arange(all_outputs.shape[1])
        own = places[-outputs.shape[1] :, None]
        before = (own - self.reach <= places) & (places < own) & ((followers != NOTHING) & (followers != UNK))[:, None]
        likeness = np.where(before, self.theta * (outputs @ all_outputs.transpose(0, 2, 1)), -np.inf)
        highest = np.maximum(likeness.max(axis=2, keepdims=True), np.finfo(likeness.dtype).min)
        shares = np.exp(likeness - highest)
        return shares / np.maximum(shares.sum(axis=2, keepdims=True), 1)  # the sum is 0, or at least exp(0) = 1

    def _log(self, probability: Array, shares: Array) -> Array:
        """Log of probabilities (T, B) or (T, B, V), or of the uniform distribution where the memory is empty.

        shares: (B, T, outputs), or (B, T, outputs, 1) for probabilities (T, B, V).
        """
        empty = np.swapaxes(shares.max(axis=2) == 0, 0, 1)
        even = np.full(probability.shape[2:], 1 / (self.vocabulary_size - 1))
        if even.ndim:
            even[BOS] = 0
        with np.errstate(divide="ignore"):
            return np.log(np.where(empty, even, probability))

    def _joined(self, memory: _Memory) -> Array:
        """Flatten a memory to one array (B, F)."""
        flat = memory.outputs.reshape(len(memory.outputs), -1)
        return joined_states([memory.network, flat, memory.followers])

    def _split(self, state: Array) -> _Memory:
        """Return the memory in a state (B, F), the inverse of `_joined`."""
        network, N = self.network.zero_state(1), self.reach + 1
        patterns = [network, np.zeros((1, N * network.shape[-1]), network.dtype), np.zeros((1, N), np.int64)]
        own, flat, followers = split_states(state, patterns)
        return _Memory(own, flat.reshape(len(state), N, -1), followers)


class WithCache(Mixture):
    """A model or a mixture, mixed with a neural cache that reads one of its networks. It cannot be saved."""

    def __init__(self, predictor: Any, cache: NeuralCache, weight: float) -> None:
        """Mix a predictor with a cache, whose share of the probability is `weight`."""
        super().__init__([predictor, cache], [1 - weight, weight])
        self.without_cache, self.cache = predictor, cache
        self.kind, self.noun = predictor.kind, f"{predictor.noun} with a cache"

    def describe(self) -> str:
        """Return a short description."""
        model, tokens = self.without_cache.describe(), f"{self.cache.reach:,}"
        return Sentence("{model} with a cache of {tokens} tokens", model=model, tokens=tokens)

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Refuse to be saved.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError("A cache is not saved; save the model that it was made of.")
