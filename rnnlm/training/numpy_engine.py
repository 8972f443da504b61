"""The default engine: NumPy, with the columns of a batch distributed over threads."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError
from rnnlm.inference.filling import pseudo_nats
from rnnlm.inference.scoring import Stop, never, sequence_nats
from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.gradients import CHUNK, Grads, Piece, clipped_scale, summed
from rnnlm.nn.layers import SharedMasks
from rnnlm.nn.optimizers import AVERAGE, Optimizer, average_decay, move_averages
from rnnlm.nn.outputs import Loss
from rnnlm.text.batches import Batch
from rnnlm.training.engine import DROPOUT, SHARED, Array, StepResult

MIN_COLUMNS = 2  # per thread; with fewer, reading the weights would dominate
# The trainer detects and reports explosions; NumPy's warnings would only confuse.
SILENT = np.errstate(over="ignore", invalid="ignore")


class NumpyEngine:
    """Back-propagation through time in NumPy.

    Each thread computes its own columns of the batch, so that every operation of the time loop runs in parallel, not
    only the matrix products. NumPy releases the GIL in these operations. With several threads, limit BLAS to one
    (OPENBLAS_NUM_THREADS=1), as the command line does.
    """

    def __init__(
        self,
        network: AnyNetwork,
        optimizer: str,
        context: str,
        clip: float = 1.0,
        objective: str = "cross-entropy",
        threads: int = 1,
        weight_decay: float | None = None,
        average: float = 0.0,
        smoothing: float = 0.0,
    ) -> None:
        """Create an engine that changes the parameters of `network` in place.

        weight_decay: None for the default of the optimizer. average: decay of the moving average of the parameters; 0
        for none. smoothing: label smoothing, the share of each target that is spread over all tokens.
        """
        self.network = network
        self.optimizer = Optimizer(optimizer, network.params, weight_decay)
        self.context, self.clip, self.objective = context, clip, objective
        self.threads, self.average, self.smoothing = threads, average, smoothing
        # Evaluations use a network with the averaged parameters, which also change in place.
        self._measured = type(network)(network.config, self.params()) if average else network
        self.computing = False
        self._others = ThreadPoolExecutor(max(1, threads - 1))  # besides the calling thread; starts none before it must

    @SILENT
    def train_step(
        self, batch: Batch, state: Array | None, lr: float, key: tuple[int, ...]
    ) -> tuple[StepResult, Array]:
        """Make one step of stochastic gradient descent; see `Engine`.

        Raises:
            CheckpointError: the state, of a resumed training, has the wrong shape.
        """
        B = batch.inputs.shape[1]
        zero = self.network.zero_state(B)
        state = zero if state is None else state
        if state.shape != zero.shape:
            raise CheckpointError(
                f"The state carried from the last batch has the shape {state.shape}; expected {zero.shape}. "
                "The checkpoint is damaged: train again without --resume."
            )
        self.computing = True
        shared = self.network.config.shared_masks([*key, SHARED], state.dtype)
        work = partial(self._columns, batch, state, key, 1 / batch.tokens, shared)
        losses, states, all_grads = zip(*self._each(work, self._shares(B)), strict=True)
        grads, norm = summed(all_grads, self._in_threads)
        self.computing = False
        if np.isfinite(norm):
            scale = clipped_scale(norm, self.clip)
            self.optimizer.step(self.network.params, grads, lr, scale, self._in_threads)
            if self.average:
                decay = average_decay(self.average, self.optimizer.steps)
                move_averages(self._measured.params, self.network.params, decay, self._in_threads)
        loss = Loss(*(sum(values) for values in zip(*losses, strict=True)))
        return StepResult(loss.nats, loss.objective, loss.tokens, norm), np.concatenate(states, axis=2)

    def _shares(self, B: int) -> list[slice]:
        workers = max(1, min(self.threads, B // MIN_COLUMNS))
        edges = [B * worker // workers for worker in range(workers + 1)]
        return [slice(*pair) for pair in pairwise(edges)]

    @SILENT
    def _columns(
        self, batch: Batch, state: Array, key: tuple[int, ...], scale: float, shared: SharedMasks, columns: slice
    ) -> tuple[Loss, Array, Grads]:
        rng = None
        if self.network.config.drops_units:
            rng = np.random.default_rng([*key, DROPOUT, columns.start])
        loss, final, backprop = self.network.loss(
            np.ascontiguousarray(batch.inputs[:, columns]),
            np.ascontiguousarray(batch.targets[:, columns]),
            np.ascontiguousarray(state[:, :, columns]),
            None if batch.keep is None else batch.keep[:, columns],
            rng,
            self.objective,
            scale,
            shared,
            self.smoothing,
        )
        grads = backprop()
        del grads["initial_state"]  # truncated back-propagation stops at the batch
        return loss, final, grads

    def _in_threads(self, work: Callable[[list[Piece]], Any], found: list[Piece]) -> list[Any]:
        """Run `work` on a share of the pieces per thread; return the results in the order of the pieces."""
        done = np.cumsum([piece.work for piece in found])
        threads = min(self.threads, 1 + done[-1] // CHUNK)  # waking a thread takes as long as updating a chunk
        edges = np.searchsorted(done, done[-1] * np.arange(1, threads) / threads, side="right")
        return self._each(SILENT(work), [found[start:stop] for start, stop in pairwise([0, *edges, len(found)])])

    def _each(self, work: Callable[[Any], Any], shares: list[Any]) -> list[Any]:
        """Run `work` on every share, the first one in this thread; return the results in their order."""
        first, *others = shares
        running = [self._others.submit(work, share) for share in others]
        return [work(first), *(each.result() for each in running)]

    @SILENT
    def evaluate(self, sequence: Any, averaged: bool = True, stop: Stop = never) -> tuple[float, int] | None:
        """Return summed nats and number of tokens of a held-out sequence; see `Engine`."""
        network = self._measured if averaged else self.network
        if network.config.bidirectional:
            found = pseudo_nats(network, sequence, stop=stop)
        else:
            found = sequence_nats(network, sequence, self.context, self.threads, stop=stop)
        return None if stop() else found

    def params(self) -> dict[str, Array]:
        """Return copies of the parameters."""
        return {name: array.copy(order="K") for name, array in self.network.params.items()}

    def optimizer_state(self) -> tuple[int, dict[str, Array]]:
        """Return the number of steps and copies of the optimizer's arrays, including averaged parameters."""
        return self.optimizer.steps, {n: a.copy(order="K") for n, a in self._slots().items()}

    def _slots(self) -> dict[str, Array]:
        averages = self._measured.params if self.average else {}
        return self.optimizer.slots | {AVERAGE + name: array for name, array in averages.items()}

    def restore(self, params: Mapping[str, Array], steps: int, slots: Mapping[str, Array]) -> None:
        """Set parameters and optimizer state.

        Raises:
            CheckpointError: an array is missing or of another shape.
        """
        for target, source in ((self.network.params, params), (self._slots(), slots)):
            for name, array in target.items():
                if name not in source or source[name].shape != array.shape:
                    raise CheckpointError(
                        f"The checkpoint's training state lacks {name} of shape {array.shape}. "
                        "It is damaged, or was trained with other options: train again without --resume."
                    )
                np.copyto(array, source[name])
        self.optimizer.steps = steps
