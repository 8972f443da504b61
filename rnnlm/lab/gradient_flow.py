"""How the error of one step flows back through time: why gradients vanish or explode.

For a loss E_t at one step t of a real text, the size of its gradient by the state k is followed back over the distance
t - k. One step back multiplies it by W^T diag(f'), so that for the basic cell

    |dE_t/ds_k| <= |dE_t/ds_t| (|W| max f')^(t-k)

with |W| the largest singular value. How fast it really changes is better told by W's spectral radius (its largest
eigenvalue in size) times the root mean square of f' (Pascanu, Mikolov and Bengio 2013; Sompolinsky et al. 1988).

The state is what a step hands on: h, and for the LSTM the pair (h, c), since the error reaches an earlier step by both.
A layer's state counts as handed on to its own next step; that the layer above has read it at step k is not asked.
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
WARM_UP = 100  # steps that are read before the first state that is looked at
SMALLEST = 1e-280  # a norm below it has lost digits, and its quotients say nothing
KEPT_BY_A_GATE = 2.5  # numbers of a unit that a step keeps for its way back; measured 2.7 to 4.5
LARGEST_MATRIX = 1024  # rows: the eigenvalues of larger ones take minutes

# The largest value of f' of each activation, as in the article's bound.
LARGEST_DERIVATIVE = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "identity": 1.0}


class Places(NamedTuple):
    """Stretches of a text, a column for each, that end before the token whose loss is looked at."""

    inputs: Array  # (warm-up + distance, B) ids
    targets: Array  # (B,) ids
    keep: Array | None  # (warm-up + distance, B, 1)
    distance: int


def places(ids: Array, context: str, count: int, distance: int | None = None) -> Places:
    """Up to `count` places, evenly spread over a text (N,), that have `distance` steps before them.

    In the context "sentence" they have them in their own sentence, before which the state is zero. None: as many as
    `count` places have, at most DEFAULT_DISTANCE.

    Raises:
        CorpusError: no place has so many.
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
    # In sentences, what is before the text's begin is <s> again, which starts anew.
    steps = np.maximum(chosen + np.arange(1 - distance - warm_up, 1)[:, None], 0)
    inputs = np.where(steps == 0, BOS, ids[np.maximum(steps - 1, 0)])
    return Places(inputs, ids[chosen], restart(inputs, context), distance)


def states_before(network: Network, found: Places) -> tuple[list[Step], Array]:
    """The last `distance` steps before each place, and the hidden states (B, H) that its token is predicted from."""
    first = len(found.inputs) - found.distance
    early, late = (None, None) if found.keep is None else (found.keep[:first], found.keep[first:])
    _, state, _ = network.hidden(found.inputs[:first], network.zero_state(len(found.targets)), early)
    steps = unroll(network, found.inputs[first:], state, late)
    return steps, steps[-1].hidden[0]


def error_terms(network: Network, steps: list[Step], targets: Array) -> Iterator[Array]:
    """The gradient of each column's loss after the last step by the state 0, 1, 2, ... steps back, (S, L, B, H).

    0 steps back it is that by h of the top layer, from which the output is made.
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
    """One layer: norms of the error by distance, averaged over the places, and what W says of them.

    norms, lowest, highest: (D + 1,) mean, smallest and largest over the places; below the top layer the first is 0.
    by_h, by_c: (D + 1,) the same mean for the parts of an LSTM's state, by_c None for other cells.
    radii, weight_norms: spectral radius and largest singular value of each gate's W ("" for the basic cell), empty for
    a cell without W; a radius is None where W is too large. rms_derivative: root mean square of f', None for gated
    cells. bound: (D + 1,) the article's, None where there is none: for gated cells, and below the top layer, whose
    states reach the loss on many ways.
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
        """(D + 1,) the norms as shares of the one one step back; nan where that is 0, and between overflows."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = self.norms / self.norms[1]
        return found if self.norms[1] else np.full_like(found, np.nan)

    @property
    def predicted_factor(self) -> float | None:
        """Factor per step that the spectral radius predicts, times the root mean square of f'; None for gated cells."""
        radius = self.radii.get("")
        return None if radius is None or self.rms_derivative is None else radius * self.rms_derivative

    @property
    def measured_factor(self) -> float | None:
        """Factor per step from the first step back to the last one that can be measured; None if that is the first."""
        sound = np.flatnonzero((self.norms >= SMALLEST) & np.isfinite(self.norms))
        last = int(sound[-1]) if len(sound) else 0
        if last < 2 or not self.norms[1] >= SMALLEST:
            return None
        quotient = np.log(self.norms[last]) - np.log(self.norms[1])
        return float(np.exp(quotient / (last - 1)))

    def survives(self, share: float) -> int | None:
        """Steps back up to which a share of what is there one step back is left; None: further than measured.

        0: nothing is there one step back.
        """
        if not self.norms[1]:
            return 0
        gone = np.flatnonzero(self.norms[1:] < share * self.norms[1])
        return int(gone[0]) if len(gone) else None


@dataclass(frozen=True)
class Clipping:
    """Norms of the whole gradient (n,) of the mean loss of n windows, and the norm to which larger ones are cut."""

    norms: Array
    limit: float

    @property
    def share_cut(self) -> float:
        """Share of the windows whose gradient is longer than the limit; 0 without a limit."""
        return float((self.norms > self.limit).mean()) if self.limit else 0.0

    @property
    def kept(self) -> float:
        """What clipping leaves of the length of all gradients together."""
        total = float(self.norms.sum())
        return float(np.minimum(self.norms, self.limit).sum()) / total if self.limit and total else 1.0


@dataclass(frozen=True)
class GradientFlow:
    """A network's layers, the number of places, and its clipping where that was asked for."""

    name: str
    config: NetworkConfig
    layers: list[LayerFlow]
    places: int
    clipping: Clipping | None = None


def least_memory(config: NetworkConfig, found: Places) -> float:
    """Bytes that following the error back takes, and a little more in truth."""
    gates, places = CELLS[config.cell].gates, len(found.targets)
    steps = KEPT_BY_A_GATE * gates * found.distance * places * config.num_layers * config.hidden_size
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    return 8 * (steps + parameters)


def gradient_flow(name: str, network: Network, found: Places, clipping: Clipping | None = None) -> GradientFlow:
    """How the error flows back in a float64 network."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        steps, _ = states_before(network, found)
        norms = np.array([_lengths(term) for term in error_terms(network, steps, found.targets)])
        norms[np.isnan(norms)] = np.inf  # inf - inf: it has exploded
        layers = [_layer(network, layer, steps, norms[:, :, layer]) for layer in range(network.config.num_layers)]
    return GradientFlow(name, network.config, layers, len(found.targets), clipping)


def _lengths(vectors: Array) -> Array:
    """Lengths along the last axis, also of what is so small or large that its square is no number."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.linalg.norm(vectors / unit, axis=-1) * unit[..., 0]


def _layer(network: Network, layer: int, steps: list[Step], norms: Array) -> LayerFlow:
    """One layer's figures; norms (D + 1, S, B)."""
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
    """Size of the largest eigenvalue; None if the matrix has more than LARGEST_MATRIX rows."""
    return float(np.abs(np.linalg.eigvals(matrix)).max()) if len(matrix) <= LARGEST_MATRIX else None


def gradient_norms(network: Network, batches: Batches, count: int, objective: str = "cross-entropy") -> Array:
    """Norm of the gradient of the mean loss of the first `count` batches of an epoch (n,), as in training.

    The state is carried from batch to batch; nothing is dropped and nothing learnt.
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
            del grads["initial_state"]  # truncated: what came before the window is not asked
            norms.append(summed([grads])[1])
    found = np.array(norms)
    found[np.isnan(found)] = np.inf
    return found


# --- networks to compare ----------------------------------------------------------------------------------------

# Cell and activation by name: the basic cell with each activation that bends, and every other cell.
FAMILIES = {activation: ("rnn", activation) for activation in ("tanh", "relu", "sigmoid")} | {
    cell: (cell, "tanh") for cell in CELLS if cell != "rnn"
}
RADII = (0.5, 0.9, 1.0, 1.1, 1.5, 3.0)


class ReluBesideTanh(NamedTuple):
    """Why relu keeps less of the gradient than tanh. kept: root mean square of f', what a step back keeps of a length.

    uniform: whether the networks are those of uniform weights among others. off: share of the units where f' is 0.
    """

    uniform: bool
    off: float
    kept: float
    kept_by_tanh: float
    off_with_identity: float | None  # with the identity as W, where that was looked at


def relu_beside_tanh(flows: Sequence[GradientFlow]) -> ReluBesideTanh | None:
    """Why relu keeps less of the gradient than tanh; None where it does not, or is not there.

    With zero-mean weights the argument of f is as often below 0 as above. So f' of relu is 0 in half of the units, and
    a step back keeps the square root of the other half of the error's length. tanh with small arguments keeps nearly
    all of it. W times the quotient of the two, about 1.4, makes up for it; so does the identity (Le, Jaitly and Hinton
    2015), by which a unit that is on stays on.
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
    """An untrained float64 network; radius: what the spectral radius of every gate's W is scaled to."""
    network = Network.initialize(config, np.random.default_rng(seed), init, dtype=np.float64)
    if radius is not None:
        for name, array in network.params.items():
            if name.startswith("rnn.weight_hh"):
                for slab in np.split(array, CELLS[config.cell].gates):
                    slab *= radius / float(np.abs(np.linalg.eigvals(slab)).max())
    return network
