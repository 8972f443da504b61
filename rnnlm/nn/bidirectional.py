"""The bidirectional network of the article, which predicts a token from the tokens before and after it.

    s_t = f(U x_t + W s_{t-1})      s'_t = f(U' x_t + W' s'_{t+1})      o_t = g(V s_{t-1} + V' s'_{t+1})

The token at t is predicted from the forward state at t - 1 and the backward state at t + 1, so the network never sees
it. For the same reason, deeper networks keep the two directions apart: a second layer that read both states at t - 1
would see the token at t in s'_{t-1}. (In PyTorch, this is two unidirectional stacks, not `bidirectional=True`.)
[V V'] is `output.weight`, (V, 2H).
"""

from collections.abc import Callable

import numpy as np

from rnnlm.nn.gradients import Grads
from rnnlm.nn.layers import NOTHING_DROPPED, SharedMasks
from rnnlm.nn.network import LayerStack, Network
from rnnlm.nn.numerics import Array
from rnnlm.nn.outputs import Loss

NOT_PREDICTED = -1  # the target of <s>, </s> and padding, which are not part of the loss


class BidirectionalNetwork(LayerStack):
    """A bidirectional network on whole sequences (T, B), including <s> and </s>.

    `keep` is (T, B, 2): keep[..., 0] is 0 where the forward state is reset, keep[..., 1] where the backward state is;
    both are 1 elsewhere. No state is carried between batches: methods return the `state` they receive unchanged.
    """

    def between(
        self,
        sequences: Array,
        keep: Array,
        rng: np.random.Generator | None = None,
        shared: SharedMasks = NOTHING_DROPPED,
    ) -> tuple[Array, Callable[[Array], Grads]]:
        """Return both directions' hidden states for places 1 to T - 2, (T - 2, B, 2H), and backprop(dboth) -> grads."""
        zero = self.zero_state(sequences.shape[1])
        forward, _, forward_backprop = self.hidden(sequences[:-2], zero, keep[:-2, :, :1], rng, shared=shared)
        # The backward network is a forward network on the reversed sequence.
        reverse, _, reverse_backprop = self.hidden(sequences[:1:-1], zero, keep[:1:-1, :, 1:], rng, "_reverse", shared)
        H = self.config.hidden_size

        def backprop(dboth: Array) -> Grads:
            grads, _ = forward_backprop(np.ascontiguousarray(dboth[:, :, :H]))
            reverse_grads, _ = reverse_backprop(np.ascontiguousarray(dboth[::-1, :, H:]))
            if "embedding.weight" in grads:
                reverse_grads["embedding.weight"] += grads["embedding.weight"]
            return grads | reverse_grads

        return np.concatenate([forward, reverse[::-1]], axis=2), backprop

    def loss(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        keep: Array | None = None,
        rng: np.random.Generator | None = None,
        objective: str = "cross-entropy",
        scale: float = 1.0,
        shared: SharedMasks = NOTHING_DROPPED,
        smoothing: float = 0.0,
    ) -> tuple[Loss, Array, Callable[[], Grads]]:
        """Summed loss of the places of `inputs` (T, B) whose target is not NOT_PREDICTED; see `Network.loss`."""
        assert keep is not None
        hidden, hidden_backprop = self.between(inputs, keep, rng, shared)
        places = targets[1:-1] != NOT_PREDICTED
        loss, output_backprop = self.output.loss(
            self.params, hidden[places], targets[1:-1][places], objective, scale, smoothing
        )

        def backprop() -> Grads:
            dhidden = np.zeros_like(hidden)
            dhidden[places], output_grads = output_backprop()
            return hidden_backprop(dhidden) | output_grads | {"initial_state": np.zeros_like(state)}

        return loss, state, backprop

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each token given all others, (T, B); 0 where the target is NOT_PREDICTED."""
        assert keep is not None
        hidden, _ = self.between(inputs, keep)
        places = targets[1:-1] != NOT_PREDICTED
        nats = np.zeros(targets.shape, dtype=hidden.dtype)
        nats[1:-1][places] = self.output.nats(self.params, hidden[places], targets[1:-1][places])
        return nats, state

    def log_probabilities_at(self, sequence: Array, places: Array) -> Array:
        """Log probability of every token at one place of each sequence, given the rest of the sequence.

        sequence: (T, B), with <s> and </s> at its ends and no padding. places: (B,), from 1 to T - 2. Returns (B, V).
        """
        keep = np.ones((*sequence.shape, 2), dtype=np.float32)
        hidden, _ = self.between(sequence, keep)
        chosen = hidden[places - 1, np.arange(sequence.shape[1])]
        return self.output.log_probabilities(self.params, chosen)


AnyNetwork = Network | BidirectionalNetwork
