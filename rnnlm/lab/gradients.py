"""The article's gradient check, for everything that has a gradient: U, W, V, the biases and the initial state.

The article checks only W, with the identity for f, which cannot detect a wrong f'. Here, the weights, the biases and
the initial state are random, so that no term of a gradient is zero.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.nn.gradient_check import STEPS, Comparison, check_gradients
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.text.vocabulary import BOS, EOS, Vocabulary

LIMIT = 1e-6  # largest relative error that passes

# Where a step moves the argument of a relu past 0, the difference quotient is not the derivative. With RELU_ARGUMENTS
# arguments of relu in one forward pass, one is that close to 0 in about every fourth network. So the check is repeated
# with other weights. A gradient that is really wrong is wrong with these, too.
RELU_ARGUMENTS = 10_000
ATTEMPTS = 10

SYMBOLS = {
    "embedding.weight": "E",
    "rnn.weight_ih": "U",
    "rnn.weight_hh": "W",
    "rnn.bias_ih": "b_U",
    "rnn.bias_hh": "b_W",
    "output.weight": "V",
    "output.bias": "b_V",
    "initial_state": "s_0",
}


class Data(NamedTuple):
    """Ids of inputs and targets, (T, B) each; keep (T, B, 1) is 0 where a sentence starts with a zero state."""

    inputs: Array
    targets: Array
    keep: Array | None = None


@dataclass(frozen=True)
class CheckedGradient:
    """A derivative of the loss, by the definition (expected) and by back-propagation (actual)."""

    symbol: str  # the article's
    name: str  # PyTorch's
    index: tuple[int, ...] | None  # None: along a random direction
    expected: float
    actual: float
    relative_error: float

    @property
    def passes(self) -> bool:
        """Whether the relative error is a number and at most LIMIT."""
        return self.relative_error <= LIMIT


class GradientCheck(NamedTuple):
    """All comparisons, and the size below which a numerical derivative is mostly rounding error."""

    gradients: list[CheckedGradient]
    floor: float

    @property
    def wrong(self) -> list[CheckedGradient]:
        """Comparisons that do not pass."""
        return [gradient for gradient in self.gradients if not gradient.passes]

    @property
    def worst(self) -> CheckedGradient:
        """Comparison with the largest relative error."""
        return max(self.gradients, key=lambda gradient: np.nan_to_num(gradient.relative_error, nan=np.inf))


def symbol(name: str, num_layers: int = 1) -> str:
    """Return the article's symbol for a parameter's name in PyTorch, with the layer's number if there are several.

    >>> symbol("rnn.weight_ih_l0"), symbol("rnn.weight_hh_l1", num_layers=2), symbol("rnn.bias_ih_l0_reverse")
    ('U', 'W(2)', "b_U'")
    """
    parts = re.fullmatch(r"(?P<stem>.*?)(_l(?P<layer>\d+))?(?P<reverse>_reverse)?", name)
    if parts is None or parts["stem"] not in SYMBOLS:
        return name
    layer = f"({int(parts['layer']) + 1})" if parts["layer"] and num_layers > 1 else ""
    return SYMBOLS[parts["stem"]] + ("'" if parts["reverse"] else "") + layer


def random_data(vocabulary_size: int, steps: int, batch_size: int, rng: np.random.Generator) -> Data:
    """Return random ids with T = steps and B = batch_size."""
    inputs, targets = rng.integers(0, vocabulary_size, (2, steps, batch_size))
    return Data(inputs, targets)


def text_data(lines: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Data:
    """Return the training pairs of a text's sentences, one after the other in one column (B = 1)."""
    ids = [vocabulary.encode(line) for line in lines]
    inputs = np.concatenate([np.r_[BOS, line] for line in ids])
    targets = np.concatenate([np.r_[line, EOS] for line in ids])
    keep = (inputs != BOS).astype(np.float64)
    keep[0] = 1  # the first sentence starts from the initial state, whose gradient is checked too
    return Data(inputs[:, None], targets[:, None], keep[:, None, None])


def random_network(config: NetworkConfig, rng: np.random.Generator) -> Network:
    """Return a float64 network with all parameters, including biases, uniform in +-1/sqrt(H)."""
    bound = config.hidden_size**-0.5
    return Network(config, {name: rng.uniform(-bound, bound, shape) for name, shape in config.shapes().items()})


def has_kinks(config: NetworkConfig) -> bool:
    """Return whether the loss has points without a derivative."""
    return config.cell == "rnn" and config.activation == "relu"


def gradient_check(
    config: NetworkConfig,
    data: Data,
    rng: np.random.Generator,
    objective: str = "cross-entropy",
    entries: int = 3,
    network_of: Callable[[np.random.Generator], Network] | None = None,
) -> GradientCheck:
    """Check each gradient of a random network along a random direction and at `entries` random entries.

    network_of: Makes the network, of this configuration, instead of `random_network`.

    The relative error is |expected - actual| / max(|expected| + |actual|, floor). The difference of two losses has a
    rounding error of about 1e-16 of the loss, and is divided by the step; a derivative below the floor would be mostly
    this error. With relu, the result is reliable up to T B H L = RELU_ARGUMENTS.
    """
    make = network_of or (lambda rng: random_network(config, rng))
    check = _check_once(make, data, rng, objective, entries)
    for _ in range(ATTEMPTS - 1):
        if not (check.wrong and has_kinks(config)):
            break
        check = _check_once(make, data, rng, objective, entries)
    return check


def _check_once(
    make: Callable[[np.random.Generator], Network],
    data: Data,
    rng: np.random.Generator,
    objective: str,
    entries: int,
) -> GradientCheck:
    inputs, targets, keep = data
    network = make(rng)
    state = rng.uniform(-1, 1, network.zero_state(inputs.shape[1]).shape)
    loss = network.loss(inputs, targets, state, keep, objective=objective)[0].objective
    floor = 4 * float(np.finfo(np.float64).eps) * abs(loss) / STEPS[1] / LIMIT
    found = check_gradients(network, inputs, targets, state, rng, keep, objective, directions=1, entries=entries)
    return GradientCheck([_checked(comparison, network.config.num_layers, floor) for comparison in found], floor)


def _checked(comparison: Comparison, num_layers: int, floor: float) -> CheckedGradient:
    name, index, expected, actual = comparison
    error = abs(expected - actual) / max(abs(expected) + abs(actual), floor)
    return CheckedGradient(symbol(name, num_layers), name, index, expected, actual, error)
