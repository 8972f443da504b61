"""Options that choose an engine, and the context in which the processes of a distributed training run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from rnnlm.cli.shared_options import together
from rnnlm.errors import RnnlmError, WorkerLostError
from rnnlm.names import ENGINES, PRECISIONS
from rnnlm.training.machine import NUMPY, TORCH, EngineChoice
from rnnlm.training.workers import Workers, started_by_torchrun

Function = TypeVar("Function", bound=Callable[..., Any])


def engine_options(function: Function) -> Function:
    """Add --engine, --device, --precision and --compile; the command's `engine` is an `EngineChoice`."""
    return together(
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default=None,
            show_default="numpy; under torchrun torch",
            callback=_choice,
            help="Engine that computes; torch needs pip install 'rnnlm-cli[torch]'.",
        ),
        click.option("--device", default="auto", is_eager=True, help="PyTorch device: auto, cpu, cuda, cuda:1 or mps."),
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS),
            default="float32",
            is_eager=True,
            help="Precision of PyTorch's matrix products.",
        ),
        click.option("--compile", "compiled", is_flag=True, is_eager=True, help="PyTorch: compile the output layer."),
    )(function)


def _choice(ctx: click.Context, param: click.Parameter, name: str | None) -> EngineChoice:
    """Return the choice of engine with its options; refuse the options of PyTorch with another engine."""
    name = name or (TORCH if started_by_torchrun() else NUMPY)
    settings = {each: ctx.params.pop(each) for each in ("device", "precision", "compiled")}
    for each, option in {"device": "--device", "precision": "--precision", "compiled": "--compile"}.items():
        if name != TORCH and ctx.get_parameter_source(each) not in (None, ParameterSource.DEFAULT):
            raise click.UsageError(f"{option} is for --engine torch; the NumPy engine computes on the CPU in float32.")
    return EngineChoice(name, **settings)


@contextmanager
def working_together(choice: EngineChoice) -> Iterator[Workers]:
    """Yield the workers of a training; only the first worker of each machine reports an error.

    Raises:
        TrainingError: PyTorch is missing, or several processes were started for an engine that works in one.
    """
    workers = choice.meet()
    try:
        yield workers
    except RnnlmError as error:
        if workers.local_rank and not isinstance(error, WorkerLostError):
            raise click.exceptions.Exit(1) from None
        raise
    finally:
        workers.leave()
