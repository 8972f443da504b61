"""The resources of a training: engine, threads, and processes."""

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
MEASURING_SHARE = 0.005  # share of the time budget to measure the speed in


@dataclass(frozen=True)
class EngineChoice:
    """The engine and its settings; all except `name` are for PyTorch."""

    name: str = NUMPY
    device: str = "auto"
    precision: str = "float32"
    compiled: bool = False

    def torch_settings(self, threads: int) -> TorchSettings:
        """Return the settings of `TorchEngine` and `TorchModel`; imports PyTorch."""
        from rnnlm.training.torch_engine import TorchSettings

        return TorchSettings(self.device, self.precision, self.compiled, threads)

    def require(self) -> None:
        """Check that PyTorch is installed, if the engine needs it.

        Raises:
            TrainingError: it is not.
        """
        if self.name == TORCH and importlib.util.find_spec("torch") is None:
            raise TrainingError("--engine torch needs PyTorch, which is not installed: pip install 'rnnlm-cli[torch]'.")

    def meet(self) -> Workers:
        """Return the workers: this process, and the others if torchrun started several.

        Raises:
            TrainingError: PyTorch is missing, or several processes were started for the NumPy engine.
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
    """Engine, threads and processes of a training.

    Attributes:
        threads: Number of threads of this process.
        choice: The engine.
        workers: All processes of the training, including this one.
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
        """Return the batches of this worker."""
        from rnnlm.text.batches import Batches, SentenceBatches

        shape = (dataset.train, recipe.batch_size, recipe.bptt)
        settings: dict[str, Any] = {"rare": dataset.rare, "worker": (self.workers.rank, self.workers.size)}
        if recipe.bidirectional:
            return SentenceBatches(*shape, recipe.seed, **settings)
        settings |= {"shift": recipe.shift, "line_resets": recipe.line_resets}
        return Batches(*shape, recipe.context, recipe.seed, **settings)

    def speed(self, reference: Options, dataset: Dataset, seconds: float) -> float:
        """Return the training speed of a network in tokens per second, measured in a small share of `seconds`."""
        from rnnlm.training.new_network import build_network
        from rnnlm.training.speed import tokens_per_second

        recipe = Recipe.of(replace(reference, networks=1, dropout=0.0, input_dropout=0.0, lr=1.0, weight_decay=0.0))
        network, _ = build_network(recipe, dataset, None)
        engine, batches = self.engine(network, recipe), self.batches(dataset, recipe)
        return tokens_per_second(engine, batches, MEASURING_SHARE * seconds, self.workers)
