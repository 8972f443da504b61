"""Output layers: from hidden states to a distribution over the vocabulary, and the losses on it.

A layer is a dataclass; its fields are fields of the same name in `NetworkConfig`. It holds settings, no parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnlm.errors import TrainingError
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array, log_softmax, shifted_log_softmax, softmax_error

# Logits are made for so many numbers at a time (32 MB of float32): N rows of a large vocabulary would not fit.
BLOCK = 1 << 23
# What is done to the logits afterwards is a dozen sweeps: over so many numbers at a time, they stay in the cache.
CHUNK = 1 << 16


class Loss(NamedTuple):
    """Sums over the tokens of a batch."""

    objective: float  # what is minimised
    nats: float  # negative log likelihood, whatever is minimised
    tokens: int


Backprop = Callable[[], tuple[Array, dict[str, Array]]]


class Output(Protocol):
    """An output layer. hidden (N, H), targets (N,) ids; all results are per row."""

    def shapes(self, vocabulary_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters."""

    def initial_bias(self, log_frequencies: Array) -> dict[str, Array]:
        """Values of the biases with which tokens have given log probabilities (V,), as far as biases can do that."""

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
        """Log probability (n,) of tokens (n,) after the hidden states of rows (n,)."""

    def take_over(self, params: dict[str, Array], other: Any, other_params: Mapping[str, Array], ids: Array) -> Array:
        """Copy what a layer of the same kind has learnt about tokens of its own vocabulary, in place.

        ids (V,): the id there of each token here, -1 where it has none. Returns (V,), whether a token's weights could
        be copied.
        """


# --- losses on a softmax ----------------------------------------------------------------------------------------


def cross_entropy(logits: Array, bias: Array | None, targets: Array, scale: float, nats: Array) -> float:
    """Sum of -log p(target), with p = softmax(logits + bias).

    logits (n, V) become scale times the gradient by them, p - y; nats (n,) become -log p(target).
    """
    fastest(softmax_error, logits.dtype)(logits, bias, targets, scale, nats)
    return float(nats.sum(dtype=np.float64))


def squared_error(logits: Array, bias: Array | None, targets: Array, scale: float, nats: Array) -> float:
    """Sum of |p - y|^2 / 2, with p = softmax(logits + bias).

    logits (n, V) become scale times the gradient by them, p (d - d.p) with d = p - y; nats (n,) become -log p(target).
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
    """Turn the gradient (n, V) of the cross entropy with y into that with (1 - s) y + s u (Szegedy et al. 2016).

    u is uniform over all tokens but the first, <s>, whose probability is zero and has to stay so.
    """
    gradient[np.arange(len(targets)), targets] += scale * smoothing
    gradient[:, 1:] -= scale * smoothing / (gradient.shape[1] - 1)


LOSSES: dict[str, Callable[[Array, Array | None, Array, float, Array], float]] = {
    "cross-entropy": cross_entropy,
    "mse": squared_error,
}


class _Gradients(NamedTuple):
    """What `_softmax_loss` computes: sums over the rows, and gradients (N, H), (V, H), (V,) or (0,)."""

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
    """Loss of softmax(weight h + bias) and scale times its gradients.

    They are made block by block together with the loss, so that the (N, V) matrix of probabilities never exists as a
    whole.
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
    """Sum over rows (n, V) of the target's logit less the mean of all but the first's.

    So much more, times s, is the cross entropy with (1 - s) y + s u than the one with y: -log p differs by the logit.
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
    """The full softmax: o_t = softmax(V h_t + b), every word scored.

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
        """See `Output.entries`; every token's logit is needed for one."""
        return self.log_probabilities(params, hidden)[rows, ids]

    def take_over(self, params: dict[str, Array], other: Any, other_params: Mapping[str, Array], ids: Array) -> Array:
        """See `Output.take_over`."""
        known = ids >= 0
        for name in (self._weight, "output.bias"):
            params[name][known] = other_params[name][ids[known]]
        return known


class _Tail(NamedTuple):
    """A cluster of rare tokens, ids from `start` to `stop`: its entry in the head and the names of its matrices."""

    start: int
    stop: int
    entry: int
    projection: str
    weight: str


@dataclass(frozen=True)
class AdaptiveSoftmax:
    """Adaptive softmax (Grave et al. 2016): a distribution over all V tokens that costs little where they are rare.

    Ids are ordered by frequency. Those below cutoffs[0] are the shortlist. Those from cutoffs[i] on, to the next
    cutoff or V, are tail i, and have one entry in the head together:

        head  = log_softmax(W h + b)                                    shortlist and one entry for each tail
        log p(w) = head[w]                                              w in the shortlist
        log p(w) = head[entry of i] + log_softmax(W_i P_i h)[w]         w in tail i, P_i (H // div_value^(i+1), H)

    What a tail's words have in common is learnt often, so it is in the head at full width; what sets them apart is
    seen rarely and gets fewer dimensions. A training step computes the head for every row, but a tail only for the
    rows whose target is in it. Parameters are those of torch.nn.AdaptiveLogSoftmaxWithLoss(head_bias=True). The tails
    have no bias, there as here: within a tail frequencies differ little.
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
        """See `Output.initial_bias`: the tails' tokens get their probability together, not each its own."""
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
            TrainingError: the objective needs the probability of every token.
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
        """See `Output.nats`; of a tail only the rows whose target is in it are computed."""
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
        """See `Output.entries`; of a tail only the rows with a token in it are computed."""
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
        """Log probabilities of the shortlist and of the tails, (N, cutoffs[0] + tails)."""
        head = hidden @ params["output.head.weight"].T
        head += params["output.head.bias"]
        fastest(log_softmax, head.dtype)(head)
        return head

    def take_over(
        self, params: dict[str, Array], other: "AdaptiveSoftmax", other_params: Mapping[str, Array], ids: Array
    ) -> Array:
        """See `Output.take_over`: a token that is in another cluster here than there begins anew."""
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
    """What the head is to predict, the token or the entry of its tail (N,); and the rows that belong to each tail."""
    in_head = targets.copy()
    rows_of_tails = [np.flatnonzero((targets >= tail.start) & (targets < tail.stop)) for tail in tails]
    for tail, rows in zip(tails, rows_of_tails, strict=True):
        in_head[rows] = tail.entry
    return in_head, rows_of_tails


OUTPUTS: dict[str, type[Any]] = {"softmax": Softmax, "adaptive": AdaptiveSoftmax}
