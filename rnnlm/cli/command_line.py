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
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if isinstance(parameter, click.Argument):
            words += [shlex.quote(str(value)) for value in ctx.params[name]]
        elif name in chosen and asked[name] in OPEN and chosen[name] not in OPEN:
            words += _written(parameter, chosen[name])
        elif name in ctx.params and ctx.get_parameter_source(name) != ParameterSource.DEFAULT:
            words += _written(parameter, ctx.params[name])
    return " ".join(words)


def _written(option: click.Parameter, value: Any) -> list[str]:
    """An option and its value, as words of a shell."""
    if isinstance(option, click.Option) and option.is_flag:
        return (option.opts if value else option.secondary_opts)[-1:]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else getattr(value, "name", str(value))
    return [max(option.opts, key=len), shlex.quote(str(text))]
