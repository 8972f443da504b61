"""Softmax step by step, in plain Python floats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Softmax:
    """The steps from inputs to probabilities. Lists have one entry per input."""

    inputs: list[float]
    temperature: float
    exponentials: list[float]  # e^(x / temperature), as in the formula; inf on overflow
    total: float
    shifted: list[float]  # e^((x - max) / temperature), in [0, 1], as programs compute it
    shifted_total: float
    probabilities: list[float]

    @property
    def overflows(self) -> bool:
        """Whether the formula fails without the shift, because the sum overflows or is 0."""
        return not 0 < self.total < math.inf


def softmax(inputs: Sequence[float], temperature: float = 1.0) -> Softmax:
    """Compute p_i = e^(x_i / temperature) / sum_j e^(x_j / temperature) without overflow.

    The largest input is subtracted from all inputs first, so that no power exceeds 1; the factor cancels in the
    fraction.

    Raises:
        ValueError: There are no inputs, an input is not finite, or the temperature is not a positive finite number.

    >>> [round(p, 2) for p in softmax([1, 2, 3, 4]).probabilities]
    [0.03, 0.09, 0.24, 0.64]
    """
    if not inputs or not all(math.isfinite(x) for x in inputs):
        raise ValueError("softmax needs at least one number, all of them finite")
    if not 0 < temperature < math.inf:
        raise ValueError(f"a temperature is a positive finite number, not {temperature}")
    exponentials = [_exp(x / temperature) for x in inputs]
    largest = max(inputs)
    shifted = [_exp((x - largest) / temperature) for x in inputs]
    shifted_total = math.fsum(shifted)
    return Softmax(
        list(map(float, inputs)),
        temperature,
        exponentials,
        sum(exponentials),  # not fsum, which raises an error on overflow
        shifted,
        shifted_total,
        [power / shifted_total for power in shifted],
    )


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf
