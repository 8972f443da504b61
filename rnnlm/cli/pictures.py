"""Pictures that commands write: check beforehand that they can be made, and save them with a message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlm.cli.languages import tr, translated
from rnnlm.cli.printing import note
from rnnlm.errors import PlotError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_picture(picture: Path, read: Iterable[str], option: str, instead: str = "") -> None:
    """Check, before the work, that a picture can be made and does not replace a file that is read.

    instead: text for the error if matplotlib is missing: what to do other than installing it.

    Raises:
        RnnlmError: the suffix is unknown, the file cannot be written or is one of `read`, or matplotlib is missing.
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
    """Write a picture and print its path; warn of characters in its texts that no font has."""
    from rnnlm.plots.figures import require_font_for, save

    if missing := require_font_for(texts):
        note(tr("Warning: {message}", message=translated(missing)))
    save(figure, picture)
    note(tr("Saved {file}.", file=picture))
