"""Output layers: from hidden states to a distribution over the vocabulary, and the losses on it.

A layer is a dataclass whose fields are those of the same name in `NetworkConfig`. It holds settings, not parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnlm.errors import TrainingError
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array, log_softmax, shifted_log_softmax, softmax_error

# Logits are computed in blocks of this many entries (32 MB of float32): (N, V) would need too much memory.
BLOCK = 1 << 23
# Losses sweep over the logits a dozen times, in chunks of this many entries, which stay in the cache.
CHUNK = 1 << 16


class Loss(NamedTuple):
    """Sums over the tokens of a batch."""

    objective: float  # the loss that is minimised
    nats: float  # negative log likelihood, whatever the objective
    tokens: int


Backprop = Callable[[], tuple[Array, dict[str, Array]]]


class Output(Protocol):
    """An output layer. hidden is (N, H), targets are ids (N,)."""

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters."""

    def initial_bias(self, log_frequencies: Array) -> dict[str, Array]:
        """Biases that give tokens the log probabilities (V,) at zero hidden state, as far as biases alone can."""

    def loss(
        self,
        params: Mapping[str, Array],
        hidden: Array,
        targets: Array,
        objective: str,
        scale: float,
        smoothing: float = 0.0,
    ) -> tuple[Loss, Backprop]:
        """Summed loss, and backprop() -> (dhidden, grads) of scale times the objective; smoothing: see `smooth`."""

    def nats(self, params: Mapping[str, Array], hidden: Array, targets: Array) -> Array:
        """Negative log probability of each target, (N,)."""

    def log_probabilities(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """Log probability of every token, (N, V)."""

    def entries(self, params: Mapping[str, Array], hidden: Array, rows: Array, ids: Array) -> Array:
        """Log probability (n,) of the token ids[i] given hidden[rows[i]]; rows and ids are (n,)."""

    def take_over(self, params: dict[str, Array], other: Any, other_params: Mapping[str, Array], ids: Array) -> Array:
        """Copy the weights of tokens from a layer of the same kind with another vocabulary, in place.

        ids (V,): the id in the other vocabulary of each token, -1 if it has none. Returns a mask (V,) of the tokens
        whose weights were copied.
        """


# --- losses on a softmax ----------------------------------------------------------------------------------------


def cross_entropy(logits: Array, bias: Array | None, targets: Array, scale: float, nats: Array) -> float:
    """Sum of -log p(target), with p = softmax(logits + bias).

    Overwrites logits (n, V) with their gradient times `scale`, scale (p - y), and nats (n,) with -log p(target).
    """
    fastest(softmax_error, logits.dtype)(logits, bias, targets, scale, nats)
    return float(nats.sum(dtype=np.float64))


def squared_error(logits: Array, bias: Array | None, targets: Array, scale: float, nats: Array) -> float:
    """Sum of |p - y|^2 / 2, with p = softmax(logits + bias).

    Overwrites logits (n, V) with their gradient times `scale`, scale p (d - d.p) with d = p - y, and nats (n,) with
    -log p(target).
    """
    fastest(softmax_error, logits.dtype)(logits, bias, targets, 1.0, nats)
    objective = 0.5 * float(np.square(logits).sum(dtype=np.float64))
    probabilities = logits.copy()
    probabilities[np.arange(len(targets)), targets] += 1
    logits -= (logits * probabilities).sum(axis=1, keepdims=True)
    np.multiply(probabilities, scale, out=probabilities)
    np.multiply(logits, probabilities, out=logits)
    return objective


def smooth(gradient: Array, targets: Array, smoothing: float, scale: float) -> None:
    """Turn the cross entropy's gradient (n, V) into that with labels (1 - s) y + s u, in place (Szegedy et al. 2016).

    s is `smoothing`; u is uniform over all tokens except <s>, the first, whose probability must stay zero.
    """
    gradient[np.arange(len(targets)), targets] += scale * smoothing
    gradient[:, 1:] -= scale * smoothing / (gradient.shape[1] - 1)


LOSSES: dict[str, Callable[[Array, Array | None, Array, float, Array], float]] = {
    "cross-entropy": cross_entropy,
    "mse": squared_error,
}


class _Gradients(NamedTuple):
    """Result of `_softmax_loss`: sums over the rows, and gradients (N, H), (V, H) and (V,), or (0,) without bias."""

    objective: float
    nats: float
    hidden: Array
    weight: Array
    bias: Array


def _softmax_loss(
    hidden: Array,
    weight: Array,
    bias: Array | None,
    targets: Array,
    objective: str,
    scale: float,
    smoothing: float = 0.0,
) -> _Gradients:
    """Loss of softmax(weight h + bias) and `scale` times its gradients.

    Both are computed block by block, so that the whole (N, V) matrix of probabilities is never in memory.
    """
    dhidden = np.empty_like(hidden)
    dweight = np.empty_like(weight) if len(hidden) else np.zeros_like(weight)
    dbias = np.zeros(0 if bias is None else len(bias), dtype=weight.dtype)
    total, nats = 0.0, 0.0
    targets = targets.astype(np.int64)
    for rows in _slices(len(hidden), BLOCK // len(weight)):
        block = hidden[rows] @ weight.T
        for part in _slices(len(block), CHUNK // len(weight)):
            chunk, chunk_targets = block[part], targets[rows][part]
            if smoothing:
                total += smoothing * _excess(chunk, bias, chunk_targets)
            chunk_nats = np.empty(len(chunk), dtype=chunk.dtype)
            total += LOSSES[objective](chunk, bias, chunk_targets, scale, chunk_nats)
            if smoothing:
                smooth(chunk, chunk_targets, smoothing, scale)
            nats += float(chunk_nats.sum(dtype=np.float64))
            if bias is not None:
                dbias += chunk.sum(axis=0)
        np.matmul(block, weight, out=dhidden[rows])
        if rows.start == 0:
            np.matmul(block.T, hidden[rows], out=dweight)
        else:
            dweight += block.T @ hidden[rows]
    return _Gradients(total, nats, dhidden, dweight, dbias)


def _excess(logits: Array, bias: Array | None, targets: Array) -> float:
    """Sum over rows (n, V) of the target's logit minus the mean logit of all tokens but the first.

    Label smoothing by s adds s times this sum to the cross entropy, as log p differs between tokens like the logits.
    """
    of_targets = logits[np.arange(len(targets)), targets].sum(dtype=np.float64)
    mean = logits[:, 1:].mean(axis=1, dtype=np.float64).sum()
    if bias is not None:
        of_targets += bias[targets].sum(dtype=np.float64)
        mean += len(targets) * bias[1:].mean(dtype=np.float64)
    return float(of_targets - mean)


def _softmax_nats(hidden: Array, weight: Array, bias: Array | None, targets: Array) -> Array:
    """-log p(target) (N,) under softmax(weight h + bias)."""
    nats = np.empty(len(targets), dtype=hidden.dtype)
    targets = targets.astype(np.int64)
    for rows in _slices(len(hidden), BLOCK // len(weight)):
        block = hidden[rows] @ weight.T
        for part in _slices(len(block), CHUNK // len(weight)):
            fastest(softmax_error, block.dtype)(block[part], bias, targets[rows][part], 0.0, nats[rows][part])
    return nats


def _slices(length: int, step: int) -> list[slice]:
    step = max(1, step)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


# --- layers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Softmax:
    """Full softmax over all tokens: o_t = softmax(V h_t + b).

    With `tied`, V is the embedding (Press and Wolf 2017), which must be as wide as the hidden state.
    """

    tied: bool = False

    @property
    def _weight(self) -> str:
        return "embedding.weight" if self.tied else "output.weight"

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Parameters output.weight (V, H), or embedding.weight, and output.bias (V,)."""
        return {self._weight: (vocabulary_size, hidden_size), "output.bias": (vocabulary_size,)}

    def initial_bias(self, log_frequencies: Array) -> dict[str, Array]:
        """See `Output.initial_bias`."""
        return {"output.bias": log_frequencies}

    def loss(
        self,
        params: Mapping[str, Array],
        hidden: Array,
        targets: Array,
        objective: str,
        scale: float,
        smoothing: float = 0.0,
    ) -> tuple[Loss, Backprop]:
        """See `Output.loss`."""
        weight, bias = params[self._weight], params["output.bias"]
        found = _softmax_loss(hidden, weight, bias, targets, objective, scale, smoothing)
        grads = {self._weight: found.weight, "output.bias": found.bias}
        return Loss(found.objective, found.nats, len(targets)), lambda: (found.hidden, grads)

    def nats(self, params: Mapping[str, Array], hidden: Array, targets: Array) -> Array:
        """See `Output.nats`."""
        return _softmax_nats(hidden, params[self._weight], params["output.bias"], targets)

    def log_probabilities(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """See `Output.log_probabilities`."""
        logits = hidden @ params[self._weight].T
        logits += params["output.bias"]
        fastest(log_softmax, logits.dtype)(logits)
        return logits

    def entries(self, params: Mapping[str, Array], hidden: Array, rows: Array, ids: Array) -> Array:
        """See `Output.entries`; needs the logits of all tokens."""
        return self.log_probabilities(params, hidden)[rows, ids]

    def take_over(self, params: dict[str, Array], other: Any, other_params: Mapping[str, Array], ids: Array) -> Array:
        """See `Output.take_over`."""
        known = ids >= 0
        for name in (self._weight, "output.bias"):
            params[name][known] = other_params[name][ids[known]]
        return known


class _Tail(NamedTuple):
    """A cluster of rare tokens, with ids from `start` up to `stop`: its head entry and the names of its matrices."""

    start: int
    stop: int
    entry: int
    projection: str
    weight: str


@dataclass(frozen=True)
class AdaptiveSoftmax:
    """Adaptive softmax (Grave et al. 2016): a distribution over all V tokens that is cheap for rare tokens.

    Ids are ordered by frequency. Those below cutoffs[0] are the shortlist. Those from cutoffs[i] to the next cutoff,
    or to V, are tail i, which has one entry in the head:

        head  = log_softmax(W h + b)                                    shortlist and one entry for each tail
        log p(w) = head[w]                                              w in the shortlist
        log p(w) = head[entry of i] + log_softmax(W_i P_i h)[w]         w in tail i, P_i (H // div_value^(i+1), H)

    What the tokens of a tail have in common is learnt often, by the head at full width; what tells them apart is learnt
    from few examples and has fewer dimensions. A training step computes the head for every row, but a tail only for
    the rows whose target is in it. Parameters are those of torch.nn.AdaptiveLogSoftmaxWithLoss(head_bias=True), where
    tails have no bias either: within a tail, frequencies differ little.
    """

    cutoffs: tuple[int, ...]
    div_value: float = 4.0

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Parameters output.head.{weight,bias}, and for tail i output.tail.i.0.weight (P_i), output.tail.i.1.weight."""
        entries = self.cutoffs[0] + len(self.cutoffs)
        shapes: dict[str, tuple[int, ...]] = {
            "output.head.weight": (entries, hidden_size),
            "output.head.bias": (entries,),
        }
        for i, (start, stop) in enumerate(pairwise([*self.cutoffs, vocabulary_size])):
            width = tail_width(hidden_size, self.div_value, i)
            shapes[f"output.tail.{i}.0.weight"] = (width, hidden_size)
            shapes[f"output.tail.{i}.1.weight"] = (stop - start, width)
        return shapes

    def initial_bias(self, log_frequencies: Array) -> dict[str, Array]:
        """See `Output.initial_bias`; a tail's total probability is set, not that of each of its tokens."""
        shares = [np.logaddexp.reduce(part) for part in np.split(log_frequencies, self.cutoffs)[1:]]
        return {"output.head.bias": np.concatenate([log_frequencies[: self.cutoffs[0]], shares])}

    def loss(
        self,
        params: Mapping[str, Array],
        hidden: Array,
        targets: Array,
        objective: str,
        scale: float,
        smoothing: float = 0.0,
    ) -> tuple[Loss, Backprop]:
        """See `Output.loss`.

        Raises:
            TrainingError: The objective, or label smoothing, needs the probability of every token.
        """
        if smoothing:
            raise TrainingError("Smoothed labels need the full softmax. Train with --softmax full.")
        if objective != "cross-entropy":
            raise TrainingError(
                f"The loss {objective} needs the probability of every token, which the adaptive softmax saves to "
                "compute. Train with --softmax full, or with --loss cross-entropy."
            )
        tails = self._tails(params)
        head_targets, rows_of_tails = _assigned(targets, tails)
        weight, bias = params["output.head.weight"], params["output.head.bias"]
        head = _softmax_loss(hidden, weight, bias, head_targets, objective, scale)
        grads = {"output.head.weight": head.weight, "output.head.bias": head.bias}
        nats = head.nats
        for tail, rows in zip(tails, rows_of_tails, strict=True):
            chosen, projection = hidden[rows], params[tail.projection]
            projected = chosen @ projection.T
            found = _softmax_loss(projected, params[tail.weight], None, targets[rows] - tail.start, objective, scale)
            nats += found.nats
            grads |= {tail.projection: found.hidden.T @ chosen, tail.weight: found.weight}
            head.hidden[rows] += found.hidden @ projection
        return Loss(nats, nats, len(targets)), lambda: (head.hidden, grads)

    def nats(self, params: Mapping[str, Array], hidden: Array, targets: Array) -> Array:
        """See `Output.nats`; a tail is computed only for the rows whose target is in it."""
        tails = self._tails(params)
        head_targets, rows_of_tails = _assigned(targets, tails)
        nats = _softmax_nats(hidden, params["output.head.weight"], params["output.head.bias"], head_targets)
        for tail, rows in zip(tails, rows_of_tails, strict=True):
            projected = hidden[rows] @ params[tail.projection].T
            nats[rows] += _softmax_nats(projected, params[tail.weight], None, targets[rows] - tail.start)
        return nats

    def log_probabilities(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """See `Output.log_probabilities`."""
        tails, head = self._tails(params), self._head(params, hidden)
        normalise = fastest(shifted_log_softmax, head.dtype)
        result = np.empty((len(hidden), tails[-1].stop), dtype=hidden.dtype)
        result[:, : self.cutoffs[0]] = head[:, : self.cutoffs[0]]
        for tail in tails:
            of_tail = result[:, tail.start : tail.stop]
            np.matmul(hidden @ params[tail.projection].T, params[tail.weight].T, out=of_tail)
            normalise(of_tail, head[:, tail.entry].copy())
        return result

    def entries(self, params: Mapping[str, Array], hidden: Array, rows: Array, ids: Array) -> Array:
        """See `Output.entries`; a tail is computed only for the rows with one of its tokens."""
        tails, head = self._tails(params), self._head(params, hidden)
        in_head, places_of_tails = _assigned(ids, tails)
        result = head[rows, in_head]
        for tail, places in zip(tails, places_of_tails, strict=True):
            asked, among = np.unique(rows[places], return_inverse=True)
            of_tail = (hidden[asked] @ params[tail.projection].T) @ params[tail.weight].T
            fastest(log_softmax, of_tail.dtype)(of_tail)
            result[places] += of_tail[among, ids[places] - tail.start]
        return result

    def _head(self, params: Mapping[str, Array], hidden: Array) -> Array:
        """Log probabilities of the shortlist and of the tails, (N, cutoffs[0] + number of tails)."""
        head = hidden @ params["output.head.weight"].T
        head += params["output.head.bias"]
        fastest(log_softmax, head.dtype)(head)
        return head

    def take_over(
        self, params: dict[str, Array], other: "AdaptiveSoftmax", other_params: Mapping[str, Array], ids: Array
    ) -> Array:
        """See `Output.take_over`; weights are copied only for tokens in the same cluster of both layers."""
        copied = np.zeros(len(ids), dtype=bool)
        here, there = self.cutoffs[0], other.cutoffs[0]
        known = np.flatnonzero((ids[:here] >= 0) & (ids[:here] < there))
        copied[known] = True
        for name in ("output.head.weight", "output.head.bias"):
            params[name][known] = other_params[name][ids[known]]
        for tail, its in zip(self._tails(params), other._tails(other_params), strict=False):
            for name in ("output.head.weight", "output.head.bias"):
                params[name][tail.entry] = other_params[name][its.entry]
            np.copyto(params[tail.projection], other_params[its.projection])
            known = tail.start + np.flatnonzero((ids[tail.start :] >= its.start) & (ids[tail.start :] < its.stop))
            known = known[known < tail.stop]
            copied[known] = True
            params[tail.weight][known - tail.start] = other_params[its.weight][ids[known] - its.start]
        return copied

    def _tails(self, params: Mapping[str, Array]) -> list[_Tail]:
        tails = []
        for i, start in enumerate(self.cutoffs):
            projection, weight = f"output.tail.{i}.0.weight", f"output.tail.{i}.1.weight"
            tails.append(_Tail(start, start + len(params[weight]), self.cutoffs[0] + i, projection, weight))
        return tails


def tail_width(hidden_size: int, div_value: float, i: int) -> int:
    """Dimensions of tail i: H // div_value^(i+1), as in PyTorch."""
    return int(hidden_size // div_value ** (i + 1))


def _assigned(targets: Array, tails: list[_Tail]) -> tuple[Array, list[Array]]:
    """Return the head's targets (N,), which are tokens of the shortlist or entries of tails, and each tail's rows."""
    in_head = targets.copy()
    rows_of_tails = [np.flatnonzero((targets >= tail.start) & (targets < tail.stop)) for tail in tails]
    for tail, rows in zip(tails, rows_of_tails, strict=True):
        in_head[rows] = tail.entry
    return in_head, rows_of_tails


OUTPUTS: dict[str, type[Any]] = {"softmax": Softmax, "adaptive": AdaptiveSoftmax}
