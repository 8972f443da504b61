"""A command as it was typed, and as it could have been."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rnnlm.training.options import FILE_OPTIONS

OPEN = (None, "auto")  # values that leave the choice to the command
# Options that decide what is learnt beside those that a checkpoint records by their values.
BESIDE = ("init_from", "init_vocabulary", "encoding", *FILE_OPTIONS)
# Options that say where results go and what computes them, not what is learnt.
UNDECIDING = {
    *("output", "force", "resume", "changed_text", "history", "tensorboard", "arpa"),
    *("threads", "engine", "device", "precision", "compiled"),
}
FILES = ("init_from", *(name for name in FILE_OPTIONS if name != "user_dict"))  # compared by their content
GIVEN = ("user_dict",)  # compared by whether they are given: a list of words is mended and the command typed again
TEXTS = ("corpus", "valid")  # compared by the digest of the texts
SHORTHAND = ("preset",)  # for the values of other options, which are written out


def equivalent(ctx: click.Context, asked: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """The command line of a command with its choices written out.

    asked: the values of options as they were asked for; chosen: what became of those that were left open, without
    what could not be otherwise.
    """
    words = [ctx.command_path]
    engine = ctx.params["engine"]  # which has taken in the options of PyTorch
    values = ctx.params | vars(engine) | {"engine": engine.name}
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if isinstance(parameter, click.Argument):
            words += [shlex.quote(_no_option(value)) for value in values[name]]
        elif name in SHORTHAND:
            continue
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


def asked_for(ctx: click.Context) -> dict[str, Any]:
    """What a checkpoint records of a training command beside the values of its options, as JSON; defaults are left out.

    With a time the rules go by the machine's speed, so that the same command may lead to other values: then it is all
    that was typed. Else the values tell the rest.
    """
    timed = ctx.params.get("time") is not None
    asked: dict[str, Any] = {}
    for parameter in ctx.command.params:
        name, value = str(parameter.name), ctx.params.get(str(parameter.name))
        wanted = name not in (*UNDECIDING, *TEXTS) if timed else name in BESIDE
        if not wanted or value in (None, parameter.default):
            continue
        if ctx.get_parameter_source(name) != ParameterSource.DEFAULT:
            asked[name] = _content(Path(value)) if name in FILES else name in GIVEN or value
    return asked


def _content(path: Path) -> str:
    """SHA-256 of a file, in hex; that it cannot be read is said where it is used."""
    import hashlib  # which takes as long to load as all else here

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
