"""Measure how the error of one step flows back through time, and why gradients vanish or explode.

For a loss E_t at one step t of a real text, the norm of its gradient with respect to the state s_k is measured for each
distance t - k. One step back multiplies the gradient by W^T diag(f'), so that for the basic cell

    |dE_t/ds_k| <= |dE_t/ds_t| (|W| max f')^(t-k)

where |W| is the largest singular value. The actual rate is better predicted by W's spectral radius (the largest
absolute eigenvalue) times the root mean square of f' (Pascanu, Mikolov and Bengio 2013; Sompolinsky et al. 1988).

The state is h, and for the LSTM the pair (h, c), since the error reaches earlier steps through both. The gradient with
respect to a layer's state at step k counts its influence on the layer's own next step only, not on the layer above.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.errors import CorpusError
from rnnlm.lab.unrolled import Step, slabs, unroll
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import summed
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS, Array
from rnnlm.text.batches import Batches
from rnnlm.text.reading import restart
from rnnlm.text.vocabulary import BOS, EOS

DEFAULT_DISTANCE = 50
WARM_UP = 100  # steps that are read before the first measured state
SMALLEST = 1e-280  # norms below it have lost digits, so that their quotients are meaningless
KEPT_BY_A_GATE = 2.5  # numbers that a step stores for the backward pass, per gate and unit; measured 2.7 to 4.5
LARGEST_MATRIX = 1024  # rows: the eigenvalues of larger matrices take minutes

# The largest value of f' of each activation, as in the article's bound.
LARGEST_DERIVATIVE = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "identity": 1.0}


class Places(NamedTuple):
    """Stretches of a text, one in each column, each of which ends before the token whose loss is measured."""

    inputs: Array  # (warm-up + distance, B) ids
    targets: Array  # (B,) ids
    keep: Array | None  # (warm-up + distance, B, 1)
    distance: int


def places(ids: Array, context: str, count: int, distance: int | None = None) -> Places:
    """Choose up to `count` places, evenly spread over a text (N,), with `distance` steps before each.

    In context "sentence", the steps are in the place's own sentence, before which the state is zero. If `distance` is
    None, it is the largest distance that `count` places have, at most DEFAULT_DISTANCE.

    Raises:
        CorpusError: No place has so many steps before it.
    """
    reach = np.arange(len(ids))
    if context == "sentence":
        ends = np.flatnonzero(ids[:-1] == EOS) + 1
        starts = np.zeros(len(ids), dtype=np.int64)
        starts[ends] = ends
        reach -= np.maximum.accumulate(starts)
    longest = int(reach.max())
    if distance is None:
        distance = max(1, min(DEFAULT_DISTANCE, int(np.sort(reach)[-min(count, len(reach))])))
    if longest < distance:
        unit = "longest sentence" if context == "sentence" else "text"
        raise CorpusError(
            f"The {unit} has {longest + 1:,} tokens, its ends included; a distance of {distance:,} steps needs at "
            f"least {distance + 1:,}. Use a smaller --distance or another text."
        )
    warm_up = min(WARM_UP, max(1, (len(ids) - distance) // 2))
    found = np.flatnonzero(reach >= distance)
    if context == "stream":
        found = found[found >= distance + warm_up - 1]
    chosen = found[np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))]
    # In sentences, positions before the text are read as <s>, which resets the state.
    steps = np.maximum(chosen + np.arange(1 - distance - warm_up, 1)[:, None], 0)
    inputs = np.where(steps == 0, BOS, ids[np.maximum(steps - 1, 0)])
    return Places(inputs, ids[chosen], restart(inputs, context), distance)


def states_before(network: Network, found: Places) -> tuple[list[Step], Array]:
    """Compute the last `distance` steps before each place, and the hidden states (B, H) that predict its token."""
    first = len(found.inputs) - found.distance
    early, late = (None, None) if found.keep is None else (found.keep[:first], found.keep[first:])
    _, state, _ = network.hidden(found.inputs[:first], network.zero_state(len(found.targets)), early)
    steps = unroll(network, found.inputs[first:], state, late)
    return steps, steps[-1].hidden[0]


def error_terms(network: Network, steps: list[Step], targets: Array) -> Iterator[Array]:
    """Yield the gradient (S, L, B, H) of each column's last loss by the state 0, 1, 2, ... steps back.

    At 0 steps, it is only the gradient by h of the top layer, from which the output is computed.
    """
    _, backprop = network.output.loss(network.params, steps[-1].hidden[0], targets, "cross-entropy", 1.0)
    dhidden = backprop()[0]
    at_output = np.zeros_like(steps[-1].state)
    at_output[0, -1] = dhidden
    yield at_output
    above = dhidden[None]
    carried: Array | None = None
    for step in reversed(steps):
        _, carried = step.backprop(above, carried)
        above = np.zeros_like(above)
        yield carried


@dataclass(frozen=True)
class LayerFlow:
    """Norms of the error in one layer by distance, and the properties of W that predict them.

    norms, lowest, highest: (D + 1,) mean, smallest and largest norm over the places, where D is the distance; below the
    top layer, the first is 0. by_h, by_c: (D + 1,) mean norms of the parts of an LSTM's state; by_c is None for others.
    radii, weight_norms: Spectral radius and largest singular value of each gate's W, with the name "" for the basic
    cell; empty for a cell without W. A radius is None if W is too large. rms_derivative: Root mean square of f'; None
    for gated cells. bound: (D + 1,) the article's bound; None for gated cells, and below the top layer, whose states
    reach the loss on several paths.
    """

    layer: int  # from 1
    norms: Array
    lowest: Array
    highest: Array
    by_h: Array
    by_c: Array | None
    radii: dict[str, float | None]
    weight_norms: dict[str, float]
    rms_derivative: float | None
    bound: Array | None

    @property
    def shares(self) -> Array:
        """Norms (D + 1,) divided by the norm one step back; nan if that is 0 or if both overflow."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = self.norms / self.norms[1]
        return found if self.norms[1] else np.full_like(found, np.nan)

    @property
    def predicted_factor(self) -> float | None:
        """Predicted factor per step: the spectral radius times the root mean square of f'; None for gated cells."""
        radius = self.radii.get("")
        return None if radius is None or self.rms_derivative is None else radius * self.rms_derivative

    @property
    def measured_factor(self) -> float | None:
        """Mean factor per step, from one step back to the last distance with a usable norm; None without these two."""
        sound = np.flatnonzero((self.norms >= SMALLEST) & np.isfinite(self.norms))
        last = int(sound[-1]) if len(sound) else 0
        if last < 2 or not self.norms[1] >= SMALLEST:
            return None
        quotient = np.log(self.norms[last]) - np.log(self.norms[1])
        return float(np.exp(quotient / (last - 1)))

    def survives(self, share: float) -> int | None:
        """Return the distance up to which the norm is at least `share` of the norm one step back.

        None if it is so at all measured distances, and 0 if the norm one step back is 0.
        """
        if not self.norms[1]:
            return 0
        gone = np.flatnonzero(self.norms[1:] < share * self.norms[1])
        return int(gone[0]) if len(gone) else None


@dataclass(frozen=True)
class Clipping:
    """Norms (n,) of the whole gradient of the mean loss of n windows, and the limit to which they are clipped."""

    norms: Array
    limit: float

    @property
    def share_cut(self) -> float:
        """Share of the windows whose gradient norm exceeds the limit; 0 without a limit."""
        return float((self.norms > self.limit).mean()) if self.limit else 0.0

    @property
    def kept(self) -> float:
        """Share of the sum of all norms that is left after clipping."""
        total = float(self.norms.sum())
        return float(np.minimum(self.norms, self.limit).sum()) / total if self.limit and total else 1.0


@dataclass(frozen=True)
class GradientFlow:
    """The gradient flow of a network: its layers, the number of places, and its clipping if requested."""

    name: str
    config: NetworkConfig
    layers: list[LayerFlow]
    places: int
    clipping: Clipping | None = None


def least_memory(config: NetworkConfig, found: Places) -> float:
    """Return a lower bound of the bytes of memory that `gradient_flow` needs."""
    gates, places = CELLS[config.cell].gates, len(found.targets)
    steps = KEPT_BY_A_GATE * gates * found.distance * places * config.num_layers * config.hidden_size
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    return 8 * (steps + parameters)


def gradient_flow(name: str, network: Network, found: Places, clipping: Clipping | None = None) -> GradientFlow:
    """Measure how the error flows back in a float64 network."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        steps, _ = states_before(network, found)
        norms = np.array([_lengths(term) for term in error_terms(network, steps, found.targets)])
        norms[np.isnan(norms)] = np.inf  # from inf - inf: the gradient has exploded
        layers = [_layer(network, layer, steps, norms[:, :, layer]) for layer in range(network.config.num_layers)]
    return GradientFlow(name, network.config, layers, len(found.targets), clipping)


def _lengths(vectors: Array) -> Array:
    """Return Euclidean norms along the last axis, without overflow or underflow of the squares."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.linalg.norm(vectors / unit, axis=-1) * unit[..., 0]


def _layer(network: Network, layer: int, steps: list[Step], norms: Array) -> LayerFlow:
    """Compute the figures of one layer from norms (D + 1, S, B)."""
    config, W = network.config, network.params.get(f"rnn.weight_hh_l{layer}")
    gates = {} if W is None else dict(zip(slabs(config), np.split(W, CELLS[config.cell].gates), strict=True))
    whole = np.hypot(norms[:, 0], norms[:, -1]) if norms.shape[1] > 1 else norms[:, 0]
    mean, weight_norms = whole.mean(axis=1), {gate: float(np.linalg.norm(slab, 2)) for gate, slab in gates.items()}
    rms = bound = None
    if config.cell == "rnn":
        rms = _rms_derivative(config.activation, np.array([step.state[0, layer] for step in steps]))
        if layer == config.num_layers - 1:
            factor = weight_norms[""] * LARGEST_DERIVATIVE[config.activation]
            bound = mean[0] * factor ** np.arange(len(mean))
    return LayerFlow(
        layer + 1,
        mean,
        whole.min(axis=1),
        whole.max(axis=1),
        norms[:, 0].mean(axis=1),
        norms[:, 1].mean(axis=1) if norms.shape[1] > 1 else None,
        {gate: spectral_radius(slab) for gate, slab in gates.items()},
        weight_norms,
        rms,
        bound,
    )


def _rms_derivative(activation: str, states: Array) -> float:
    derivative = ACTIVATIONS[activation][1](states, np.empty_like(states))
    return float(np.sqrt(np.square(derivative).mean()))


def spectral_radius(matrix: Array) -> float | None:
    """Return the largest absolute eigenvalue; None if the matrix has more than LARGEST_MATRIX rows."""
    return float(np.abs(np.linalg.eigvals(matrix)).max()) if len(matrix) <= LARGEST_MATRIX else None


def gradient_norms(network: Network, batches: Batches, count: int, objective: str = "cross-entropy") -> Array:
    """Return the gradient norms (n,) of the mean losses of the first `count` batches of an epoch, as in training.

    The state is carried from batch to batch. There is no dropout, and the parameters do not change.
    """
    norms, state = [], network.zero_state(0)
    for number in range(min(count, batches.per_epoch)):
        batch = batches.batch(0, number)
        if not number:
            state = network.zero_state(batch.inputs.shape[1])
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            _, state, backprop = network.loss(
                batch.inputs, batch.targets, state, batch.keep, objective=objective, scale=1 / batch.tokens
            )
            grads = backprop()
            del grads["initial_state"]  # truncated back-propagation ignores what is before the window
            norms.append(summed([grads])[1])
    found = np.array(norms)
    found[np.isnan(found)] = np.inf
    return found


# --- networks to compare ----------------------------------------------------------------------------------------

# Cell and activation by name: the basic cell with each nonlinear activation, and every other cell.
FAMILIES = {activation: ("rnn", activation) for activation in ("tanh", "relu", "sigmoid")} | {
    cell: (cell, "tanh") for cell in CELLS if cell != "rnn"
}
RADII = (0.5, 0.9, 1.0, 1.1, 1.5, 3.0)


class ReluBesideTanh(NamedTuple):
    """Why relu keeps less of the gradient than tanh. kept: Root mean square of f', the share of the norm after a step.

    uniform: Whether the two networks are named as those with uniform weights. off: Share of the units where f' is 0.
    """

    uniform: bool
    off: float
    kept: float
    kept_by_tanh: float
    off_with_identity: float | None  # `off` with the identity as W, if it was measured


def relu_beside_tanh(flows: Sequence[GradientFlow]) -> ReluBesideTanh | None:
    """Explain why relu keeps less of the gradient than tanh; None if it does not, or if one of them is missing.

    With zero-mean weights, the argument of f is below 0 as often as above. So f' of relu is 0 in half of the units, and
    a step back multiplies the error's norm by about sqrt(1/2). tanh with small arguments keeps nearly all of it.
    Multiplying W by the quotient of the two, about 1.4, compensates for that. So does the identity as W (Le, Jaitly and
    Hinton 2015), with which an active unit stays active.
    """
    tops = {flow.name: flow.layers[-1] for flow in flows}
    relu, tanh = (tops.get(f"{name} uniform", tops.get(name)) for name in ("relu", "tanh"))
    if relu is None or tanh is None or relu.rms_derivative is None or tanh.rms_derivative is None:
        return None
    if (relu.measured_factor or 0.0) >= (tanh.measured_factor or 0.0):
        return None
    identity = tops.get("relu identity")
    off_with_identity = None
    if identity is not None and identity.rms_derivative is not None:
        off_with_identity = 1 - identity.rms_derivative**2
    off, kept = 1 - relu.rms_derivative**2, relu.rms_derivative
    return ReluBesideTanh("relu uniform" in tops, off, kept, tanh.rms_derivative, off_with_identity)


def fresh_network(config: NetworkConfig, init: str, seed: int, radius: float | None = None) -> Network:
    """Return an untrained float64 network; radius: Spectral radius to which every gate's W is scaled."""
    network = Network.initialize(config, np.random.default_rng(seed), init, dtype=np.float64)
    if radius is not None:
        for name, array in network.params.items():
            if name.startswith("rnn.weight_hh"):
                for slab in np.split(array, CELLS[config.cell].gates):
                    slab *= radius / float(np.abs(np.linalg.eigvals(slab)).max())
    return network
