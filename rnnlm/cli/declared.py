"""Click options made from the declarations in `rnnlm.training.options`."""

from collections.abc import Callable, Iterable
from typing import Any

import click

from rnnlm.cli.shared_options import Function, NumberRange
from rnnlm.training.declaration import LARGEST, Declaration, seconds_of
from rnnlm.training.options import DECLARATIONS, DEFAULTS


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A duration such as 90s, 10m, 5min, 1.5h or 1h30m; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        try:
            return seconds_of(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration; write 90s, 10m, 5min, 1.5h or 1h30m.", param, ctx)


def declared_options(names: Iterable[str]) -> Callable[[Function], Function]:
    """Add training options by name, in the given order."""

    def add(function: Function) -> Function:
        for name in reversed(list(names)):
            function = _option(name, DECLARATIONS[name])(function)
        return function

    return add


def _option(name: str, declaration: Declaration) -> Callable[[Function], Function]:
    typed = f"--{name.replace('_', '-')}"
    if declaration.kind is bool and declaration.negatable:
        typed += f"/--no-{name.replace('_', '-')}"
    flag: dict[str, Any] = {"is_flag": True} if declaration.kind is bool else {"type": _type(declaration)}
    shown = declaration.fitting or declaration.negatable or declaration.kind is not bool
    return click.option(typed, default=DEFAULTS[name], show_default=shown, help=declaration.help, **flag)


def _type(declaration: Declaration) -> Any:
    if declaration.choices:
        return click.Choice(declaration.choices)
    if declaration.kind is seconds_of:
        return Duration()
    if declaration.kind is str:
        return click.Path(dir_okay=False)
    least, most = (None if abs(bound) >= LARGEST else bound for bound in (declaration.least, declaration.most))
    if declaration.kind is int:
        return click.IntRange(None if least is None else int(least), None if most is None else int(most))
    return NumberRange(least, most, min_open=declaration.least_open, max_open=declaration.most_open)
