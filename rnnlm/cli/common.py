"""What several commands share: the model option, JSON lines, reading a text argument."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel

DEFAULT_MODEL = "rnnlm.npz"
Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(function: Function) -> Function:
    """Add -m/--model."""
    return click.option(
        "-m",
        "--model",
        "model_path",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="RNNLM_MODEL",
        default=DEFAULT_MODEL,
        show_default="$RNNLM_MODEL, else rnnlm.npz",
        help="Checkpoint to use.",
    )(function)


def json_option(function: Function) -> Function:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object per result.")(function)


def threads_option(function: Function) -> Function:
    """Add --threads."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=None,
        show_default="all cores",
        help="Threads to compute with.",
    )(function)


class MixPart(click.ParamType[tuple[str, float | None]]):
    """A second model and its weight, as other.npz:0.3; the weight is None where it is left out."""

    name = "FILE:WEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        """File and weight."""
        path, _, number = str(value).rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            return str(value), None
        if not path or not 0 < weight < 1:
            self.fail(
                f"{value!r} has the weight {number}; write FILE:WEIGHT with a weight between 0 and 1.", param, ctx
            )
        return path, weight


def mix_option(needs_weights: bool = True) -> Callable[[Function], Function]:
    """Add --mix; the command's `mix` is a list of files and weights, for `rnnlm.mixing.mixed`."""

    def check(
        ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, float | None], ...]
    ) -> list[tuple[str, float | None]]:
        weights = [weight for _, weight in value]
        if needs_weights and None in weights:
            raise click.BadParameter(f"{value[weights.index(None)][0]} has no weight; write FILE:0.3.", ctx, param)
        if sum(weight or 0 for weight in weights) >= 1:
            raise click.BadParameter("the weights sum to 1 or more; nothing is left for the model.", ctx, param)
        return list(value)

    return click.option(
        "--mix",
        type=MixPart(),
        multiple=True,
        callback=check,
        help="Mix the probabilities with those of another model, .npz or ARPA file, of this weight; repeatable. The "
        "model itself has the rest.",
    )


def load_model(path: Path) -> "LanguageModel":
    """Model of a checkpoint file."""
    from rnnlm.language_model import LanguageModel

    return LanguageModel.load(path)


def use_threads(threads: int | None) -> int:
    """Number of threads to use, all cores by default; call before NumPy is imported.

    Our threads each work on their own columns of a batch, so BLAS gets one thread inside each.
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "numpy" not in sys.modules:
        for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
            os.environ.setdefault(variable, "1")
    return threads


def print_json(value: Any) -> None:
    """One JSON object on a line of its own, as UTF-8; numbers that JSON lacks become null."""
    click.echo(json.dumps(_finite(value), ensure_ascii=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def read_text_argument(text: str) -> str:
    """The argument itself, or all of stdin for "-", without the last line end."""
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise RnnlmError(
            f"Standard input is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}. Convert it first, for instance with iconv."
        ) from None


def note(message: str) -> None:
    """A line about the answer, to stderr."""
    click.echo(message, err=True)


def warn_of_unknown(model: "LanguageModel", text: str) -> None:
    """Name the tokens that the model has never seen."""
    unknown = model.unknown_tokens(text)
    if unknown:
        shown = " ".join(unknown[:10]) + (" ..." if len(unknown) > 10 else "")
        note(f"Warning: not in the vocabulary, read as <unk>: {shown}")
