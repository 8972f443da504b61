"""Options from a TOML file."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import click

from rnnlm.errors import shown

LARGEST_CONFIG = 1 << 16  # bytes
MOST_BITS = 1024  # of an integer, as in the largest float
# tomllib takes quadratic time in the number of parts of a dotted key (a.b.c).
_LONG_KEY = re.compile(r"[\w \t.\"'-]{4096}")


def read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Read option defaults from a TOML file; the command line and environment variables take precedence."""
    if value is None:
        return
    try:
        with value.open("rb") as file:
            written = file.read(LARGEST_CONFIG + 1)
        if len(written) > LARGEST_CONFIG:  # a model, or /dev/zero
            raise click.UsageError(f"--config {value} is larger than {LARGEST_CONFIG:,} bytes; expected a TOML file.")
        text = written.decode("utf-8")
        if _LONG_KEY.search(text):
            raise click.UsageError(
                f"--config {value} has a key or a word of thousands of characters; expected options."
            )
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, not TOML, a number of thousands of digits
        reason = str(error).rstrip(".")
        raise click.UsageError(f"--config {value} cannot be read as TOML: {reason}.") from None
    except RecursionError:
        raise click.UsageError(f"--config {value} is nested too deeply; expected one option on each line.") from None
    known = {name: p for p in ctx.command.params for name in _names(p) if p.name not in ("config", "help")}
    settings: dict[str, Any] = {}
    for key, setting in content.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"--config {value} has the unknown key {shown(key)}.{hint}")
        settings[str(known[key].name)] = _setting(known[key], setting, f"--config {value}, {key}")
    ctx.default_map = {**settings, **(ctx.default_map or {})}


def _setting(parameter: click.Parameter, value: Any, place: str) -> Any:
    """Return a value of the configuration file as it would be typed on the command line, so it is checked alike."""
    if parameter.nargs == -1 and isinstance(value, list):
        return [_setting(click.Argument(["one"]), each, place) for each in value]
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if type(value) is int and value.bit_length() > MOST_BITS:
        raise click.UsageError(f"{place}: {shown(value)} is too large for an option.")
    if is_flag == isinstance(value, bool) and isinstance(value, bool | int | float | str) and "\0" not in str(value):
        return value if is_flag else str(value)
    raise click.UsageError(f"{place}: {shown(value)} is not {'true or false' if is_flag else 'a text or a number'}.")


def _names(parameter: click.Parameter) -> list[str]:
    """Return the spellings of an option in a configuration file: as on the command line, or with underscores."""
    names = [str(parameter.name), *(name.lstrip("-") for name in parameter.opts)]
    return list(dict.fromkeys([*names, *(name.replace("-", "_") for name in names)]))
