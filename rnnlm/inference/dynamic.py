"""Dynamic evaluation (Krause et al. 2018): a network that keeps learning from the text that it is measured on."""

import numpy as np

from rnnlm.inference.model import Array
from rnnlm.inference.scoring import Sequence
from rnnlm.nn.gradients import clipped_scale, summed
from rnnlm.nn.network import Network
from rnnlm.nn.optimizers import Optimizer
from rnnlm.text.vocabulary import BOS, EOS

CLIP = 1.0


def dynamic_nats(network: Network, sequence: Sequence, context: str, lr: float, window: int) -> Array:
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
    for start in range(0, len(sequence), window):
        inputs, targets, keep = _window(sequence, context, start, min(start + window, len(sequence)))
        nats, _ = learner.nats(inputs, targets, state, keep)
        parts.append(nats[:, 0].astype(np.float64))
        _, state, backprop = learner.loss(inputs, targets, state, keep, scale=1 / len(inputs))
        grads = backprop()
        del grads["initial_state"]
        grads, norm = summed([grads])
        if np.isfinite(norm):
            optimizer.step(learner.params, grads, lr, clipped_scale(norm, CLIP))
    return np.concatenate(parts)


def _window(sequence: Sequence, context: str, start: int, stop: int) -> tuple[Array, Array, Array | None]:
    """Inputs, targets and keep, (T, 1) each, of positions `start` to `stop`."""
    positions = np.arange(start, stop, dtype=np.int64)[:, None]
    inputs = sequence.take(np.maximum(positions - 1, 0))
    inputs[positions == 0] = BOS
    keep = None
    if context == "sentence":
        inputs[inputs == EOS] = BOS
        keep = (inputs != BOS).astype(np.float32)[:, :, None]
    return inputs, sequence.take(positions), keep
