"""A command as it could have been written."""

import shlex
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

OPEN = (None, "auto")  # values that leave the choice to the command


def equivalent(ctx: click.Context, asked: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """The command line of a command with its choices written out.

    asked: the values of options as they were asked for; chosen: what became of those that were left open.
    """
    words = [ctx.command_path]
    engine = ctx.params["engine"]  # which has taken in the options of PyTorch
    values = ctx.params | vars(engine) | {"engine": engine.name}
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if isinstance(parameter, click.Argument):
            words += [shlex.quote(_no_option(value)) for value in values[name]]
        elif name in chosen and asked[name] in OPEN and chosen[name] not in OPEN:
            words += _written(parameter, chosen[name])
        elif name in values and ctx.get_parameter_source(name) != ParameterSource.DEFAULT:
            words += _written(parameter, values[name])
    return " ".join(words)


def _no_option(name: str) -> str:
    """A file's name that is not taken for an option; "-" is stdin."""
    return f"./{name}" if name.startswith("-") and name != "-" else name


def _written(option: click.Parameter, value: Any) -> list[str]:
    """An option and its value, as words of a shell."""
    if isinstance(option, click.Option) and option.is_flag:
        return (option.opts if value else option.secondary_opts)[-1:]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return [max(option.opts, key=len), shlex.quote(text)]
