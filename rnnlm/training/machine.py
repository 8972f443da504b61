"""What computes a training: the engine that was chosen, its threads, and the processes that train together."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rnnlm.errors import TrainingError
from rnnlm.names import ENGINES
from rnnlm.training.options import Options, Recipe
from rnnlm.training.workers import Workers, started_by_torchrun

if TYPE_CHECKING:
    from rnnlm.nn.bidirectional import AnyNetwork
    from rnnlm.text.batches import BatchSource
    from rnnlm.training.dataset import Dataset
    from rnnlm.training.engine import Engine
    from rnnlm.training.torch_engine import TorchSettings

NUMPY, TORCH = ENGINES
MEASURING_SHARE = 0.005  # of a time, in which the speed of the machine is measured


@dataclass(frozen=True)
class EngineChoice:
    """Which engine computes. All but the name is for PyTorch."""

    name: str = NUMPY
    device: str = "auto"
    precision: str = "float32"
    compiled: bool = False

    def torch_settings(self, threads: int) -> TorchSettings:
        """For `TorchEngine` and `TorchModel`; imports PyTorch."""
        from rnnlm.training.torch_engine import TorchSettings

        return TorchSettings(self.device, self.precision, self.compiled, threads)

    def require(self) -> None:
        """Refuse PyTorch where it is not installed.

        Raises:
            TrainingError: with the remedy.
        """
        if self.name == TORCH and importlib.util.find_spec("torch") is None:
            raise TrainingError("--engine torch needs PyTorch, which is not installed: pip install 'rnnlm-cli[torch]'.")

    def meet(self) -> Workers:
        """Return this process and those that torchrun has started beside it.

        Raises:
            TrainingError: PyTorch is missing, or several processes were started for an engine that works in one.
        """
        self.require()
        workers = started_by_torchrun()
        if workers <= 1:
            return Workers()
        if self.name != TORCH:
            raise TrainingError(
                f"torchrun has started {workers} processes, but the NumPy engine works in one. Say --engine torch, or "
                "start rnnlm without torchrun."
            )
        from rnnlm.training.distributed import ProcessGroup

        return ProcessGroup(self.device)


@dataclass(frozen=True)
class Machine:
    """What computes.

    Attributes:
        threads: Of this process.
        choice: The engine.
        workers: The processes that train together, this one among them.
    """

    threads: int = 1
    choice: EngineChoice = EngineChoice()
    workers: Workers = field(default_factory=Workers)

    def engine(self, network: AnyNetwork, recipe: Recipe) -> Engine:
        """Return an engine that trains a network."""
        settings: dict[str, Any] = {
            "clip": recipe.clip,
            "objective": recipe.loss,
            "weight_decay": recipe.weight_decay,
            "average": recipe.average_weights,
            "smoothing": recipe.label_smoothing,
        }
        if self.choice.name == NUMPY:
            from rnnlm.training.numpy_engine import NumpyEngine

            return NumpyEngine(network, recipe.optimizer, recipe.context, threads=self.threads, **settings)
        from rnnlm.training.torch_engine import TorchEngine

        settings |= {"settings": self.choice.torch_settings(self.threads), "workers": self.workers}
        return TorchEngine(network, recipe.optimizer, recipe.context, **settings)

    def batches(self, dataset: Dataset, recipe: Recipe) -> BatchSource:
        """Return what the engine of this worker reads."""
        from rnnlm.text.batches import Batches, SentenceBatches

        shape = (dataset.train, recipe.batch_size, recipe.bptt)
        settings: dict[str, Any] = {"rare": dataset.rare, "worker": (self.workers.rank, self.workers.size)}
        if recipe.bidirectional:
            return SentenceBatches(*shape, recipe.seed, **settings)
        settings |= {"shift": recipe.shift, "line_resets": recipe.line_resets}
        return Batches(*shape, recipe.context, recipe.seed, **settings)

    def speed(self, reference: Options, dataset: Dataset, seconds: float) -> float:
        """Return the tokens per second with which a network is trained; a small share of `seconds` is used."""
        from rnnlm.training.new_network import build_network
        from rnnlm.training.speed import tokens_per_second

        recipe = Recipe.of(replace(reference, networks=1, dropout=0.0, input_dropout=0.0, lr=1.0, weight_decay=0.0))
        network, _ = build_network(recipe, dataset, None)
        engine, batches = self.engine(network, recipe), self.batches(dataset, recipe)
        return tokens_per_second(engine, batches, MEASURING_SHARE * seconds, self.workers)
