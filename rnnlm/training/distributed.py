"""Distributed training: processes started by torchrun, each with some columns of every batch.

torch.nn.parallel.DistributedDataParallel averages dense gradients, with one collective per bucket of parameters. Here
the gradients of all parameters are summed in one flat buffer, by one all_reduce after the backward pass:

- Of a table, only the rows that the batch read are sent, a few thousand of perhaps fifty thousand. DDP would send all
  rows, or torch.sparse tensors, which the update would have to coalesce in every process.
- Columns may be distributed unevenly, and a worker may have none. This is no problem for sums, unlike averages.
- The buffer also has the sums of the losses, and the state at the end of each column. So every process has the complete
  state of the training after every step, and can save it if another process ends.

The disadvantage is that communication does not overlap with the backward pass.
"""

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rnnlm.errors import TrainingError, WorkerLostError
from rnnlm.training.clock import RunningClock
from rnnlm.training.devices import device_of
from rnnlm.training.workers import Workers

PATIENCE = datetime.timedelta(hours=24)  # timeout; other workers may tokenize a large text, or save to a slow disk


class ProcessGroup(Workers):
    """Processes started by torchrun, which describes them in environment variables."""

    def __init__(self, device: str) -> None:
        """Join the process group; tensors on GPUs are exchanged by NCCL, others by gloo.

        Raises:
            TrainingError: the others do not connect, or the device (see `device_of`) is not available.
        """
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        on_gpu = (found := device_of(device, self)).type == "cuda"
        if on_gpu:
            torch.cuda.set_device(found)
        try:
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
            self._on_host = dist.new_group(backend="gloo", timeout=PATIENCE) if on_gpu else None
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"The {self.size} workers cannot connect to each other ({_first_line(error)}). Start them with "
                "torchrun."
            ) from None

    def add(self, tensor: Tensor, on_host: bool = False) -> None:
        """Sum a tensor over all workers, in place; on_host: whether it is in CPU memory."""
        self._together(lambda: dist.all_reduce(tensor, group=self._on_host if on_host else None))

    def largest(self, number: float) -> float:
        """Return the maximum over all workers; see `Workers`."""
        value = torch.tensor(number, dtype=torch.float64)
        self._together(lambda: dist.all_reduce(value, dist.ReduceOp.MAX, group=self._on_host))
        return value.item()

    def of_the_first(self, number: float) -> float:
        """Return the number of the first worker; see `Workers`."""
        value = torch.tensor(number, dtype=torch.float64)
        self._together(lambda: dist.broadcast(value, 0, group=self._on_host))
        return value.item()

    @contextmanager
    def first_of_machine_first(self) -> Iterator[None]:
        """Run the block in the first worker of every machine before the others; see `Workers`."""
        if self.local_rank:
            self._wait()
        yield
        if not self.local_rank:
            self._wait()

    def _wait(self) -> None:
        self._together(lambda: dist.barrier(group=self._on_host))

    def leave(self) -> None:
        """Leave the process group."""
        with suppress(RuntimeError):
            dist.destroy_process_group()

    def _together(self, collective: Callable[[], Any]) -> None:
        """Run a collective operation, which all workers call.

        Raises:
            WorkerLostError: another worker has ended.
        """
        try:
            collective()
        except RuntimeError as error:
            raise WorkerLostError(f"One of the {self.size} workers is gone ({_first_line(error)})") from error


class SharedClock:
    """The clock of the first worker, read by all at the same places, so that a time budget ends at the same step."""

    def __init__(self, workers: Workers) -> None:
        """Start at zero."""
        self._workers, self._own = workers, RunningClock()

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self._workers.of_the_first(self._own())

    def ticking(self) -> Any:
        """Return the context in which the clock runs; see `RunningClock.ticking`."""
        return self._own.ticking()


def _first_line(error: BaseException) -> str:
    """Return the first sentence of a library's error message, without the location in its source."""
    line = str(error).partition("\n")[0].strip()
    if line.startswith("["):
        line = line.partition("] ")[2]
    return line.partition(". ")[0].rstrip(".")[:200] or type(error).__name__
