"""The engine on PyTorch: on a CPU, a GPU, or several of either (see `distributed`).

It equals `numpy_engine` up to rounding, with the same batches, parameters, update rules and optimizer slots, so that
checkpoints can be exchanged between the engines. Importing this module imports PyTorch.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnlm.errors import CheckpointError
from rnnlm.inference.filling import pseudo_nats
from rnnlm.inference.scoring import Stop, never, sequence_nats
from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.gradients import clipped_scale
from rnnlm.nn.optimizers import AVERAGE, average_decay
from rnnlm.text.batches import NOT_PREDICTED, Batch
from rnnlm.training.devices import device_of
from rnnlm.training.distributed import ProcessGroup
from rnnlm.training.engine import SHARED, Array, StepResult
from rnnlm.training.torch_network import NO_DROPOUT, Dropout, NoDropout, Summed, TorchNetwork, to_array, to_tensor
from rnnlm.training.torch_optimizer import Rows, TorchOptimizer, move_averages
from rnnlm.training.workers import Workers


@dataclass(frozen=True)
class TorchSettings:
    """Settings of PyTorch. device: auto, cpu, cuda, cuda:1, mps; precision: one of names.PRECISIONS."""

    device: str = "auto"
    precision: str = "float32"
    compiled: bool = False
    threads: int = 1


class CarriedState:
    """The state at the end of a batch (S, L, B, H), on the device."""

    def __init__(self, tensor: Tensor) -> None:
        """Store a tensor (S, L, B, H)."""
        self.tensor = tensor

    def copy(self) -> Array:
        """Return the state as an array."""
        return to_array(self.tensor)


class TorchEngine:
    """Back-propagation through time by autograd; see `Engine`."""

    def __init__(
        self,
        network: AnyNetwork,
        optimizer: str,
        context: str,
        clip: float = 1.0,
        objective: str = "cross-entropy",
        settings: TorchSettings | None = None,
        workers: Workers | None = None,
        weight_decay: float | None = None,
        average: float = 0.0,
        smoothing: float = 0.0,
    ) -> None:
        """Create an engine that trains a copy of `network`; weight_decay, average, smoothing: see `NumpyEngine`.

        Raises:
            TrainingError: the device is not available.
        """
        settings = settings or TorchSettings()
        self.workers = workers or Workers()
        self.model = TorchModel(network, settings, self.workers)
        self.network, self.device = self.model.network, self.model.device
        self._learnt = _parameters(self.network)
        self.average, self.smoothing = average, smoothing
        # Evaluations use a network with the averaged parameters, which also change in place.
        self._measured = TorchModel(network, settings, self.workers) if average else self.model
        self._averages = _parameters(self._measured.network) if average else {}
        self.optimizer = TorchOptimizer(optimizer, self._learnt, weight_decay)
        self.context, self.clip, self.objective = context, clip, objective
        self.computing = False

    # --- training step ------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch, state: Any, lr: float, key: tuple[int, ...]) -> tuple[StepResult, CarriedState]:
        """Make one step on the columns of all workers; see `Engine`.

        Raises:
            CheckpointError: the state, of a resumed training, has the wrong shape.
            WorkerLostError: another worker has ended; nothing has changed.
        """
        first, columns = batch.share or (0, batch.inputs.shape[1])
        own = slice(first, first + batch.inputs.shape[1])
        before = self._state(state, columns)
        self.computing = True
        self._begin(batch.inputs, own, columns)
        try:
            # The gradient of the mean over all places; it is rescaled below to the number of predicted tokens.
            places = len(batch.inputs) * columns
            dense = list(self.network.params.values())
            tables = self.network.tables
            leaves = [*dense, *(table.rows for table in tables.values())]
            loss, final = self._loss(batch, before[:, :, own], key, own, columns)
            grads = list(_gradients(loss.objective / places, leaves))
            sums = torch.stack([loss.objective.detach(), loss.nats.detach(), _number(batch.tokens, loss.nats)])
            if isinstance(self.workers, ProcessGroup):
                grads, sums, final = self._summed(grads, sums, final, own, columns)
            objective, nats, tokens, norm = _to_host(sums, grads)
            norm, tokens = norm * places / tokens, round(tokens)
            self.computing = False
            if np.isfinite(norm):
                rows = [Rows(table.read, g) for table, g in zip(tables.values(), grads[len(dense) :], strict=True)]
                named = dict(zip([*self.network.params, *tables], [*grads[: len(dense)], *rows], strict=True))
                self.optimizer.step(self._learnt, named, lr, clipped_scale(norm, self.clip) * places / tokens)
                if self.average:
                    move_averages(self._averages, self._learnt, average_decay(self.average, self.optimizer.steps))
        finally:
            for table in self.network.tables.values():
                table.end()
        return StepResult(nats, objective, tokens, norm), CarriedState(final)

    def _state(self, state: Any, columns: int) -> Tensor:
        """Return the state of all columns as a tensor."""
        zero = self.network.zero_state(columns)
        if state is None:
            return zero
        given = state.tensor if isinstance(state, CarriedState) else state
        if tuple(given.shape) != tuple(zero.shape):
            raise CheckpointError(
                f"The state carried from the last batch has the shape {tuple(given.shape)}; expected "
                f"{tuple(zero.shape)}. The checkpoint is damaged: train again without --resume."
            )
        return given if isinstance(given, Tensor) else zero.copy_(torch.from_numpy(given))

    def _begin(self, inputs: Array, own: slice, columns: int) -> None:
        """Select the rows of the tables that any worker reads in this step."""
        if not self.network.tables:
            return
        if isinstance(self.workers, ProcessGroup):
            of_all = np.zeros((len(inputs), columns), dtype=inputs.dtype)
            of_all[:, own] = inputs
            inputs = of_all
            self.workers.add(torch.from_numpy(of_all), on_host=True)
        read: dict[str, list[Array]] = {}
        for direction, ids in self.network.reads(inputs).items():
            read.setdefault(self.network.table_of(direction), []).append(ids)
        for name, ids_of_directions in read.items():
            self.network.tables[name].begin(ids_of_directions)

    def _loss(
        self, batch: Batch, state: Tensor, key: tuple[int, ...], own: slice, columns: int
    ) -> tuple[Summed, Tensor]:
        """Return the summed losses of the columns of this worker, and their final state."""
        if own.start == own.stop:  # more workers than columns
            nothing = _total(torch.zeros(1, device=self.network.device, requires_grad=True))
            return Summed(nothing, nothing), state
        inputs, targets, two_sided = batch.inputs, batch.targets, self.network.config.bidirectional
        drop: NoDropout = NO_DROPOUT
        if self.network.config.drops_units:
            places = (len(inputs) - 2 * two_sided, columns, own)
            drop = Dropout(key, places, self.network.device, self.network.config.locked_dropout)
        shared = self.network.config.shared_masks([*key, SHARED], self.network.array_dtype)
        with self.model.precision():
            hidden, final = self.network.hidden(inputs, state, batch.keep, drop, shared)
            targets = targets[1:-1].reshape(-1) if two_sided else targets.reshape(-1)
            if two_sided:
                counted = np.flatnonzero(targets != NOT_PREDICTED)
                hidden = hidden.index_select(0, torch.from_numpy(counted).to(hidden.device))
                targets = targets[counted]
            found = self.network.losses(hidden, targets, self.objective, self.smoothing)
        return Summed(*(_total(each) for each in found)), final.detach().to(self.network.dtype)

    def _summed(
        self, grads: list[Tensor], sums: Tensor, final: Tensor, own: slice, columns: int
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return gradients and sums over all workers, and the states of all columns, by one all_reduce."""
        assert isinstance(self.workers, ProcessGroup)
        states = self.network.zero_state(columns)
        states[:, :, own] = final
        parts = [*grads, sums.to(states.dtype), states]
        buffer = torch.cat([part.reshape(-1) for part in parts])
        self.workers.add(buffer)
        pieces = buffer.split([part.numel() for part in parts])
        *grads, sums, states = (piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True))
        return grads, sums, states.clone()  # a view would keep the whole buffer in memory

    # --- evaluation and state -----------------------------------------------------------------------------------

    def evaluate(self, sequence: Any, averaged: bool = True, stop: Stop = never) -> tuple[float, int] | None:
        """Return summed nats and number of tokens of a held-out sequence, shared by all workers; see `Engine`.

        Raises:
            WorkerLostError: another worker has ended.
        """
        model, worker = self._measured if averaged else self.model, (self.workers.rank, self.workers.size)
        if self.network.config.bidirectional:
            nats, tokens = pseudo_nats(model, sequence, worker, stop)
        else:
            nats, tokens = sequence_nats(model, sequence, self.context, worker=worker, stop=stop)
        given_up = stop()
        if isinstance(self.workers, ProcessGroup):  # if one stops, all do
            totals = torch.tensor([nats, tokens, given_up], dtype=torch.float64)
            self.workers.add(totals, on_host=True)
            nats, tokens, given_up = totals[0].item(), round(totals[1].item()), totals[2].item() > 0
        return None if given_up else (nats, tokens)

    def params(self) -> dict[str, Array]:
        """Return copies of the parameters."""
        return self.network.arrays()

    def optimizer_state(self) -> tuple[int, dict[str, Array]]:
        """Return the number of steps and copies of the optimizer's arrays, including averaged parameters."""
        slots = {name: to_array(slot, self._is_transposed(name)) for name, slot in self._slots().items()}
        return self.optimizer.steps, slots

    def _slots(self) -> dict[str, Tensor]:
        return self.optimizer.slots | {AVERAGE + name: tensor.detach() for name, tensor in self._averages.items()}

    def restore(self, params: Mapping[str, Array], steps: int, slots: Mapping[str, Array]) -> None:
        """Set parameters and optimizer state.

        Raises:
            CheckpointError: an array is missing or of another shape.
        """
        shapes = self.network.config.shapes()
        of_slots = {name: shapes[name.partition(".")[2]] for name in self._slots()}
        for wanted, source in ((shapes, params), (of_slots, slots)):
            for name, shape in wanted.items():
                if name not in source or source[name].shape != shape:
                    raise CheckpointError(
                        f"The checkpoint's training state lacks {name} of shape {shape}. "
                        "It is damaged, or was trained with other options: train again without --resume."
                    )
        self.network.load(params)
        for name, slot in self._slots().items():
            slot.copy_(to_tensor(slots[name], slot.device, self._is_transposed(name)))
        self.optimizer.steps = steps

    def _is_transposed(self, slot: str) -> bool:
        """Return whether a slot belongs to one-hot input weights, whose table is stored transposed."""
        name = slot.partition(".")[2]
        return name in self.network.tables and name.startswith("rnn.")


class TorchModel:
    """A network on PyTorch for evaluation; implements `MeasuringModel`."""

    def __init__(self, network: AnyNetwork, settings: TorchSettings, workers: Workers | None = None) -> None:
        """Copy a network to a device.

        Raises:
            TrainingError: the device is not available.
        """
        self.device = device_of(settings.device, workers or Workers())
        self._autocast = settings.precision == "bf16"
        torch.set_num_threads(settings.threads)
        tf32 = settings.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        self.kind, self.noun = network.kind, network.noun
        self.describe, self.to_file = network.describe, network.to_file  # of the network before it was copied
        self.network = TorchNetwork(network.config, network.params, self.device, settings.compiled)

    @property
    def vocabulary_size(self) -> int:
        """Size V of the vocabulary."""
        return self.network.config.vocabulary_size

    def precision(self) -> Any:
        """Return the context manager for the precision of a forward pass."""
        if self._autocast:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def zero_state(self, batch_size: int) -> Array:
        """Return the zero state for B columns; see `MeasuringModel`."""
        return to_array(self.network.zero_state(batch_size))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Return nats (T, B) and the final state; see `MeasuringModel` and `BidirectionalNetwork`."""
        before = torch.from_numpy(state).to(self.device)
        places = slice(1, -1) if self.network.config.bidirectional else slice(None)
        counted = targets[places] != NOT_PREDICTED
        with self.precision():
            hidden, final = self.network.hidden(inputs, before, keep)
            chosen = torch.from_numpy(np.flatnonzero(counted)).to(self.device)
            found = self.network.losses(hidden.index_select(0, chosen), targets[places][counted], "cross-entropy")
        nats = np.zeros(targets.shape, dtype=state.dtype)
        nats[places][counted] = to_array(found.nats)
        return nats, to_array(final.to(self.network.dtype))


def _parameters(network: TorchNetwork) -> dict[str, Tensor]:
    """Return all parameters of a network; tables have their rows in the first dimension."""
    return network.params | {name: table.values for name, table in network.tables.items()}


def _gradients(objective: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(objective, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]


def _total(values: Tensor) -> Tensor:
    """Return the sum, in double precision if the device supports it."""
    return values.sum() if values.device.type == "mps" else values.sum(dtype=torch.float64)


def _number(value: float, like: Tensor) -> Tensor:
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def _to_host(sums: Tensor, grads: list[Tensor]) -> list[float]:
    """Return the sums and the norm of the gradients; the only place where a step waits for the device."""
    if sums.device.type == "cpu":  # torch.linalg.norm of a long float32 tensor is off by 1e-4 there
        squares = torch.stack([torch.dot(g.reshape(-1), g.reshape(-1)) for g in grads]).double().sum()
        return [*sums.tolist(), squares.sqrt().item()]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
    found: list[float] = torch.cat([sums, norm.to(sums.dtype)[None]]).tolist()
    return found
