"""A neural cache (Grave et al. 2017): what followed when the network was in a like state is likely to follow again.

    p(w | h_t) ~ sum over i of [x_i = w] exp(theta cos(h_t, h_i)),      t - N <= i < t

h_i is the network's output from which it predicted x_i. (Grave et al. take h_t . h_i; with the cosine, one theta suits
networks of all widths.) The cache is to be mixed with the model whose network it reads. <unk> is not expected again: it
stands for another unknown word each time.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnlm.errors import CheckpointError
from rnnlm.inference.mixture import Mixture, joined_states, split_states
from rnnlm.inference.model import Array
from rnnlm.nn.network import Network
from rnnlm.text.vocabulary import BOS, EOS, UNK

TOKENS, WEIGHT, THETA = 500, 0.2, 15.0  # what suits most texts; see benchmarks/RESULTS.md
NOTHING, TO_COME = -1, -2  # in the place of the id that followed: no output is there; it is not known yet


class _Memory(NamedTuple):
    """The network's state, the last N + 1 outputs (B, N + 1, H) of length 1, and the ids that followed them (B, N + 1).

    The last output is the one that is predicted from; N are before it.
    """

    network: Array
    outputs: Array
    followers: Array


class NeuralCache:
    """The cache as an `inference.model.SequenceModel`. While it is empty, all ids but <s> are equally likely.

    A state (B, F) is a `_Memory`, laid flat. The start of a line resets the network in it, and leaves the rest.
    """

    def __init__(self, network: Network, tokens: int = TOKENS, theta: float = THETA) -> None:
        """Remember the last `tokens` outputs of a network."""
        self.network, self.reach, self.theta = network, tokens, theta

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return self.network.vocabulary_size

    def zero_state(self, batch_size: int) -> Array:
        """State before anything was read."""
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
        """State after inputs (T, B) were read."""
        return self._read(inputs, state, keep)[2]

    def rows(self, state: Array) -> Array:
        """Log probability of every id (B, V) after a state that was read into."""
        return self._all(*self._last(self._split(state)))[0]

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids (n,) after columns (n,) of such a state."""
        shares, followers = self._last(self._split(state))
        shares = shares[columns]
        return self._log((shares[:, 0] * (followers[columns] == ids[:, None])).sum(axis=1)[None], shares)[0]

    def _last(self, memory: _Memory) -> tuple[Array, Array]:
        """Share of every output in the prediction after the last (B, 1, N + 1), and what followed them."""
        return self._shares(memory.outputs[:, -1:], memory.outputs, memory.followers), memory.followers

    def _all(self, shares: Array, followers: Array) -> Array:
        """Log probability of every id (T, B, V), of shares (B, T, outputs) in what followed (B, outputs)."""
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
        """Share of every output in the prediction after each input (B, T, all), what followed them, and the state."""
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
        """Softmax (B, T, all outputs) over the N outputs before each of the last T; zeros where there are none."""
        places = np.arange(all_outputs.shape[1])
        own = places[-outputs.shape[1] :, None]
        before = (own - self.reach <= places) & (places < own) & ((followers != NOTHING) & (followers != UNK))[:, None]
        likeness = np.where(before, self.theta * (outputs @ all_outputs.transpose(0, 2, 1)), -np.inf)
        highest = np.maximum(likeness.max(axis=2, keepdims=True), np.finfo(likeness.dtype).min)
        shares = np.exp(likeness - highest)
        return shares / np.maximum(shares.sum(axis=2, keepdims=True), 1)  # of those that there are, one is exp(0)

    def _log(self, probability: Array, shares: Array) -> Array:
        """Log of probabilities (T, B) or (T, B, V); where the memory is empty, of an even distribution.

        shares: (B, T, outputs), with an axis more for all of V.
        """
        empty = np.swapaxes(shares.max(axis=2) == 0, 0, 1)
        even = np.full(probability.shape[2:], 1 / (self.vocabulary_size - 1))
        if even.ndim:
            even[BOS] = 0
        with np.errstate(divide="ignore"):
            return np.log(np.where(empty, even, probability))

    def _joined(self, memory: _Memory) -> Array:
        """One array (B, F) of a memory."""
        flat = memory.outputs.reshape(len(memory.outputs), -1)
        return joined_states([memory.network, flat, memory.followers])

    def _split(self, state: Array) -> _Memory:
        """The memory of an array (B, F)."""
        network, N = self.network.zero_state(1), self.reach + 1
        patterns = [network, np.zeros((1, N * network.shape[-1]), network.dtype), np.zeros((1, N), np.int64)]
        own, flat, followers = split_states(state, patterns)
        return _Memory(own, flat.reshape(len(state), N, -1), followers)


class WithCache(Mixture):
    """A model or a mixture with a neural cache of a network that is a part of it. It is not saved."""

    def __init__(self, predictor: Any, cache: NeuralCache, weight: float) -> None:
        """Give the cache a share of the probability."""
        super().__init__([predictor, cache], [1 - weight, weight])
        self.without_cache, self.cache = predictor, cache
        self.kind, self.noun = predictor.kind, f"{predictor.noun} with a cache"

    def describe(self) -> str:
        """What it is, in a few words."""
        return f"{self.without_cache.describe()} with a cache of {self.cache.reach:,} tokens"

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Refuse: a cache is what was read last.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError("A cache is not saved; save the model that it was made of.")
