"""A training that is let run into NaN, and the same one with its gradients clipped."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rnnlm.lab.gradients import Data
from rnnlm.nn.gradients import clipped_scale, dense, summed
from rnnlm.nn.network import Network


class Step(NamedTuple):
    """A step of gradient descent: what it finds, before it changes the weights."""

    number: int  # from 1
    loss: float  # nats per token
    gradient_norm: float  # of the mean loss, before it is cut
    kept: float  # share of the gradient's length that clipping leaves
    largest_weight: float  # in size, before the step

    @property
    def lost(self) -> bool:
        """Whether the loss is no number any more."""
        return math.isnan(self.loss)


def descend(network: Network, data: Data, lr: float, clip: float, steps: int) -> Iterator[Step]:
    """Plain gradient descent on the pairs of a text, without the guards of a real training, in a float64 network.

    clip: norm to which the gradient is cut, 0: no limit. It ends with the first step whose loss is NaN. The network
    itself stays as it is.
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
