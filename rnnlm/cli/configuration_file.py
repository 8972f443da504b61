"""Options from a TOML file."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import click

from rnnlm.errors import shown

LARGEST_CONFIG = 1 << 16  # bytes
MOST_BITS = 1024  # of an integer; the largest float has as many
# A key of many parts, a.b.c, takes tomllib a time that grows with the square of their number.
_LONG_KEY = re.compile(r"[\w \t.\"'-]{4096}")


def read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Take options from a TOML file; the command line and environment variables go before them."""
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
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, a number of thousands of digits
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
    """A value of a configuration file as it would be written on the command line, so that it is checked alike."""
    if parameter.nargs == -1 and isinstance(value, list):
        return [_setting(click.Argument(["one"]), each, place) for each in value]
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if type(value) is int and value.bit_length() > MOST_BITS:
        raise click.UsageError(f"{place}: {shown(value)} is no number that an option takes.")
    if is_flag == isinstance(value, bool) and isinstance(value, bool | int | float | str) and "\0" not in str(value):
        return value if is_flag else str(value)
    raise click.UsageError(f"{place}: {shown(value)} is not {'true or false' if is_flag else 'a text or a number'}.")


def _names(parameter: click.Parameter) -> list[str]:
    """Spellings of an option in a configuration file: as on the command line, or with underscores."""
    names = [str(parameter.name), *(name.lstrip("-") for name in parameter.opts)]
    return list(dict.fromkeys([*names, *(name.replace("-", "_") for name in names)]))
