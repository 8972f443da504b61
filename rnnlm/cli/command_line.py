"""Command lines: write one out with the values that were chosen automatically, and record what was asked for."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rnnlm.training.options import FILE_OPTIONS

OPEN = (None, "auto")  # option values that let the command choose
# Options that affect what is learnt and that a checkpoint does not record by their values.
BESIDE = ("init_from", "init_vocabulary", "encoding", *FILE_OPTIONS)
# Options that do not affect what is learnt: outputs, threads, engine.
UNDECIDING = {
    *("output", "force", "resume", "changed_text", "history", "tensorboard", "arpa"),
    *("threads", "engine", "device", "precision", "compiled"),
}
FILES = ("init_from", *(name for name in FILE_OPTIONS if name != "user_dict"))  # compared by content
GIVEN = ("user_dict",)  # compared only by whether it is given, since users edit the list and train again
TEXTS = ("corpus", "valid")  # compared by the digest of the texts
SHORTHAND = ("preset",)  # stands for values of other options, which are written out instead


def equivalent(ctx: click.Context, asked: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """Return the command line of a training with all automatic choices written out as options.

    asked: values of options as the user gave them. chosen: final values of the options; those that the user left open
    (`OPEN`) are added to the command line, but for switches that are off: left out, they are chosen to be off again.
    """
    words = [ctx.command_path]
    engine = ctx.params["engine"]  # an EngineChoice, which holds the options of PyTorch, too
    values = ctx.params | vars(engine) | {"engine": engine.name}
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if isinstance(parameter, click.Argument):
            words += [shlex.quote(_no_option(value)) for value in values[name]]
        elif name in SHORTHAND:
            continue
        elif name in chosen and asked[name] in OPEN and chosen[name] not in OPEN:
            words += [] if chosen[name] is False else _written(parameter, chosen[name])
        elif name in values and ctx.get_parameter_source(name) != ParameterSource.DEFAULT:
            words += _written(parameter, values[name])
    return " ".join(words)


def _no_option(name: str) -> str:
    """Return a file name that cannot be mistaken for an option; "-" stays, for stdin."""
    return f"./{name}" if name.startswith("-") and name != "-" else name


def _written(option: click.Parameter, value: Any) -> list[str]:
    """Return an option and its value as words for a shell, quoted."""
    if isinstance(option, click.Option) and option.is_flag:
        return (option.opts if value else option.secondary_opts)[-1:]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return [max(option.opts, key=len), shlex.quote(text)]


def asked_for(ctx: click.Context) -> dict[str, Any]:
    """Return the given options that a checkpoint records beside its recipe, by name, as JSON values without defaults.

    With --time the chosen values depend on the machine's speed, so all options that affect what is learnt are recorded.
    Otherwise the recipe determines the training, but for the options in `BESIDE`.
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
    """Return the SHA-256 of a file in hex, or "" if it cannot be read (the code that uses the file reports that)."""
    import hashlib  # slow to load

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
