"""Gradient descent that runs into NaN, and the same with clipped gradients."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rnnlm.lab.gradients import Data
from rnnlm.nn.gradients import clipped_scale, dense, summed
from rnnlm.nn.network import Network


class Step(NamedTuple):
    """The figures of a step of gradient descent, before it changes the weights."""

    number: int  # from 1
    loss: float  # nats per token
    gradient_norm: float  # of the mean loss, before clipping
    kept: float  # share of the gradient's norm that is left after clipping
    largest_weight: float  # largest absolute weight before the step

    @property
    def lost(self) -> bool:
        """Whether the loss is NaN."""
        return math.isnan(self.loss)


def descend(network: Network, data: Data, lr: float, clip: float, steps: int) -> Iterator[Step]:
    """Run plain gradient descent on the training pairs of a text, without the safeguards of a real training.

    It ends with the first step whose loss is NaN. `network` must be float64 and is not changed.

    clip: Norm to which the gradient is clipped; 0 for no limit.
    """
    own = Network(network.config, {name: array.copy() for name, array in network.params.items()})
    state, tokens = own.zero_state(data.inputs.shape[1]), data.inputs.size
    for number in range(1, steps + 1):
        with np.errstate(all="ignore"):
            loss, _, backprop = own.loss(data.inputs, data.targets, state, data.keep, scale=1 / tokens)
            grads = dense(backprop())
            del grads["initial_state"]
            norm = summed([grads])[1]
            kept = clipped_scale(norm, clip)
            largest = float(max(np.abs(array).max() for array in own.params.values()))
            yield Step(number, loss.objective / tokens, norm, kept, largest)
            if math.isnan(loss.objective):
                return
            for name, gradient in grads.items():
                own.params[name] -= lr * kept * gradient
