"""Pictures that commands write: refused before the work where they cannot be made, saved with a note after it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlm.cli.common import note
from rnnlm.errors import PlotError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_picture(picture: Path, read: Iterable[str], option: str, instead: str = "") -> None:
    """Find out at the beginning that a picture cannot be made, or would replace one of the files that are read.

    instead: what to do without matplotlib, other than to install it.

    Raises:
        RnnlmError: the suffix, the place or the file that is there will not do, or matplotlib is missing.
    """
    from rnnlm.cli.outputs import check_not_a_text, check_output
    from rnnlm.plots.figures import check_picture, load_matplotlib

    check_picture(picture)
    check_not_a_text(picture, read, option)
    check_output(picture, option)
    try:
        load_matplotlib()
    except PlotError as error:
        raise PlotError(f"{error}{instead}") from None


def save_picture(figure: Figure, picture: Path, texts: Iterable[str] = ()) -> None:
    """Write a picture; say where it is, and which characters of its texts no font has."""
    from rnnlm.plots.figures import require_font_for, save

    if missing := require_font_for(texts):
        note(f"Warning: {missing}")
    save(figure, picture)
    note(f"Saved {picture}.")
