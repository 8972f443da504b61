"""Options and parameter types that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from rnnlm.blas import limit_blas

DEFAULT_MODEL = "rnnlm.npz"
Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(function: Function) -> Function:
    """Add -m/--model."""
    return click.option(
        "-m",
        "--model",
        "model_path",
        type=click.Path(path_type=Path),
        envvar="RNNLM_MODEL",
        default=DEFAULT_MODEL,
        show_default="$RNNLM_MODEL, else rnnlm.npz",
        help="Model to use: a checkpoint (.npz) or an ARPA file.",
    )(function)


def json_option(function: Function) -> Function:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object per result.")(function)


def threads_option(function: Function) -> Function:
    """Add --threads."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=None,
        show_default="all cores",
        help="Number of threads.",
    )(function)


def product_threads_option(function: Function) -> Function:
    """Add --threads to a command that reads a text step by step and can only parallelise matrix products."""

    def use(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
        if value is not None:
            limit_blas(value, replace=True)

    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=None,
        show_default="1",
        expose_value=False,
        callback=use,
        help="Number of threads for matrix products.",
    )(function)


def lowercase_option(function: Function) -> Function:
    """Add --lowercase to a command that uses a model."""
    return click.option(
        "--lowercase",
        is_flag=True,
        help="Read all text in lower case, for a model of lower-case text; one of `train --lowercase` always does.",
    )(function)


def force_option(function: Function) -> Function:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Replace existing files.")(function)


LARGEST_NUMBER = 1e30  # sums of larger numbers may overflow


class Number(click.types.FloatParamType):
    """A number for click; nan, infinity and magnitudes above LARGEST_NUMBER are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        return _finite_number(self, super().convert(value, param, ctx), param, ctx)


class NumberRange(click.FloatRange):
    """A number within bounds; nan, which click accepts, infinity and magnitudes above LARGEST_NUMBER are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        return _finite_number(self, super().convert(value, param, ctx), param, ctx)


def _finite_number(
    kind: "click.ParamType[float]", number: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    if not abs(number) <= LARGEST_NUMBER:
        kind.fail(f"{number} is out of range; expected a number of at most {LARGEST_NUMBER:g}.", param, ctx)
    return number


class Text(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A text argument; undecodable bytes, which Python passes on as lone surrogates, are refused."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        text = str(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail("is not valid in the terminal's encoding; expected UTF-8. Put the text into a file.", param, ctx)
        return text


class MixPart(click.ParamType):  # type: ignore[type-arg]
    """A second model and its weight, such as other.npz:0.3; the weight is None if it is left out."""

    name = "FILE:WEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        """Return file and weight."""
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
    """Add --mix; the command's `mix` is a list of (file, weight) for `rnnlm.mixing.mixed`."""

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
        help="Mix in the probabilities of another model (.npz or ARPA file) with this weight; repeatable. The main "
        "model gets the remaining weight.",
    )


def with_details(*names: str) -> Callable[[click.Context, click.Parameter, Any], tuple[Any, ...] | None]:
    """Return a callback for an option that turns a feature on: it returns (value, *details), or None if it is off.

    names: the options with the details; they must be eager and are refused while the feature is off.
    """

    def joined_options(ctx: click.Context, param: click.Parameter, value: Any) -> tuple[Any, ...] | None:
        details = [ctx.params.pop(name) for name in names]
        for name in names:
            if not value and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --{param.name}.")
        return (value, *details) if value else None

    return joined_options


def together(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Add several options, which --help lists in this order."""

    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def cache_options(function: Function) -> Function:
    """Add --cache, --cache-weight and --cache-theta; the command's `cache` is a tuple of the three, or None."""
    return together(
        click.option(
            "--cache",
            type=click.IntRange(0, 10_000),
            default=0,
            show_default="0: none",
            callback=with_details("cache_weight", "cache_theta"),
            help="Neural cache of this many tokens, such as 500: makes those after similar contexts more probable.",
        ),
        click.option(
            "--cache-weight",
            type=NumberRange(0, 1, min_open=True, max_open=True),
            default=0.2,
            show_default=True,
            is_eager=True,
            help="Weight of the cache in the mixture with the model.",
        ),
        click.option(
            "--cache-theta",
            type=NumberRange(0, 1000),
            default=15.0,
            show_default=True,
            is_eager=True,
            help="How strongly the cache prefers contexts similar to the present one; 0: all count the same.",
        ),
    )(function)
