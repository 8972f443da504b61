"""Print a result of the laboratory as tables or JSON lines, and draw its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.pictures import save_picture
from rnnlm.cli.printing import note, print_json, say, show_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rnnlm.nn.numerics import Array

SHOWN = 4  # entries of a vector shown in a table


def present(
    objects: Iterable[Mapping[str, Any]],
    show: Callable[[], None],
    draw: Callable[[], Figure] | None = None,
    texts: Sequence[str] = (),
    notes: Iterable[str] = (),
    verdict: str = "",
) -> None:
    """Print a result as tables, or as JSON lines with --json, and save the picture of --plot.

    objects: the JSON objects. show: prints the tables. draw: makes the picture; texts: the texts in it. notes: lines
    for stderr. verdict: last paragraph of the result, on stderr with --json.
    """
    options = click.get_current_context().params
    if options["as_json"]:
        for each in objects:
            print_json(each)
    else:
        show()
    for line in notes:
        note(line)
    if verdict:
        say(verdict, err=options["as_json"])
    if draw is not None and options["picture"] is not None:
        save_picture(draw(), options["picture"], texts)


def show_titled(rows: Iterable[Sequence[object]], titles: Sequence[str], align: str = "", keys: int = 1) -> None:
    """Print a table with titles translated to the user's language."""
    show_table(rows, [tr(title) for title in titles], align, keys)


def vector(values: Array) -> str:
    """Return the first SHOWN entries of a vector in brackets.

    >>> vector([0.5, -1, 0, 0, 0])
    '[ 0.500 -1.000  0.000  0.000 …]'
    """
    shown = " ".join(number(float(value)) for value in values[:SHOWN])
    return f"[{shown}{' …' if len(values) > SHOWN else ''}]"


def number(value: float) -> str:
    """Format a number with three decimal places, or in scientific notation if it is small or large.

    >>> number(0.25), number(-0.00012), number(0.0)
    (' 0.250', '-1.2e-04', ' 0.000')
    """
    return f"{value: .3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value: .1e}"
