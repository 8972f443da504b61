"""Dynamic evaluation (Krause et al. 2018): a network that keeps learning from the text that it is measured on."""

import numpy as np

from rnnlm.inference.model import Array
from rnnlm.nn.gradients import clipped_scale, summed
from rnnlm.nn.network import Network
from rnnlm.nn.optimizers import Optimizer
from rnnlm.text.reading import Ids, windows

CLIP = 1.0


def dynamic_nats(network: Network, sequence: Ids, context: str, lr: float, window: int) -> Array:
    """Negative log probability of every token (N,), the network learning as it reads.

    The text is read once, in one column: `window` tokens are scored, then one step of stochastic gradient descent is
    made on their mean loss, through that window only. So no token is scored by weights that have seen it. context
    "sentence": the state is zero at the start of every sentence, as always; what was learnt stays. The steps are made
    on a copy: `network` is left as it is.
    """
    learner = Network(network.config, {name: array.copy(order="K") for name, array in network.params.items()})
    optimizer = Optimizer("sgd", learner.params)
    state = learner.zero_state(1)
    parts = [np.zeros(0)]
    for _, inputs, targets, keep in windows(sequence, context, window):
        nats, _ = learner.nats(inputs, targets, state, keep)
        parts.append(nats[:, 0].astype(np.float64))
        _, state, backprop = learner.loss(inputs, targets, state, keep, scale=1 / len(inputs))
        grads = backprop()
        del grads["initial_state"]
        grads, norm = summed([grads])
        if np.isfinite(norm):
            optimizer.step(learner.params, grads, lr, clipped_scale(norm, CLIP))
    return np.concatenate(parts)
