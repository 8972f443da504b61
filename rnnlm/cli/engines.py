"""The options that choose an engine, and what several processes of it need of the command line."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from rnnlm.errors import RnnlmError, TrainingError, WorkerLostError
from rnnlm.training.workers import Workers, started_by_torchrun

if TYPE_CHECKING:
    from rnnlm.training.torch_engine import TorchSettings

NUMPY, TORCH = "numpy", "torch"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class EngineChoice:
    """What is to compute; all but the name is for PyTorch."""

    name: str = NUMPY
    device: str = "auto"
    precision: str = "float32"
    compiled: bool = False

    def torch_settings(self, threads: int) -> "TorchSettings":
        """For `TorchEngine` and `TorchModel`; imports PyTorch."""
        from rnnlm.training.torch_engine import TorchSettings

        return TorchSettings(self.device, self.precision, self.compiled, threads)


def engine_options(function: Function) -> Function:
    """Add --engine, --device, --precision and --compile; the command's `engine` is an `EngineChoice`."""
    options = [
        click.option(
            "--engine",
            type=click.Choice([NUMPY, TORCH]),
            default=None,
            show_default="numpy; under torchrun torch",
            callback=_choice,
            help="What computes; torch needs pip install 'rnnlm-cli[torch]'.",
        ),
        click.option("--device", default="auto", is_eager=True, help="Of torch: auto, cpu, cuda, cuda:1 or mps."),
        click.option(
            "--precision",
            type=click.Choice(["float32", "tf32", "bf16"]),
            default="float32",
            is_eager=True,
            help="Of torch: of matrix products.",
        ),
        click.option("--compile", "compiled", is_flag=True, is_eager=True, help="Of torch: compile the output layer."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _choice(ctx: click.Context, param: click.Parameter, name: str | None) -> EngineChoice:
    """What was chosen; the options of PyTorch are refused without it."""
    name = name or (TORCH if started_by_torchrun() else NUMPY)
    settings = {each: ctx.params.pop(each) for each in ("device", "precision", "compiled")}
    for each, option in {"device": "--device", "precision": "--precision", "compiled": "--compile"}.items():
        if name != TORCH and ctx.get_parameter_source(each) not in (None, ParameterSource.DEFAULT):
            raise click.UsageError(f"{option} is for --engine torch; the NumPy engine computes on the CPU in float32.")
    return EngineChoice(name, **settings)


@contextmanager
def working_together(choice: EngineChoice) -> Iterator[Workers]:
    """The workers of a training. An error is told once for each machine.

    Raises:
        TrainingError: PyTorch is missing, or several processes were started for an engine that works in one.
    """
    require(choice)
    workers = _met(choice)
    try:
        yield workers
    except RnnlmError as error:
        if workers.local_rank and not isinstance(error, WorkerLostError):
            raise click.exceptions.Exit(1) from None
        raise
    finally:
        workers.leave()


def require(choice: EngineChoice) -> None:
    """Refuse PyTorch where it is not installed.

    Raises:
        TrainingError: with the remedy.
    """
    if choice.name == TORCH and importlib.util.find_spec("torch") is None:
        raise TrainingError("--engine torch needs PyTorch, which is not installed: pip install 'rnnlm-cli[torch]'.")


def _met(choice: EngineChoice) -> Workers:
    """This process and those that torchrun has started beside it."""
    workers = started_by_torchrun()
    if workers <= 1:
        return Workers()
    if choice.name != TORCH:
        raise TrainingError(
            f"torchrun has started {workers} processes, but the NumPy engine works in one. Say --engine torch, or "
            "start rnnlm without torchrun."
        )
    from rnnlm.training.distributed import ProcessGroup

    return ProcessGroup(choice.device)
