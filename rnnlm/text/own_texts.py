"""The texts of the package: @chinese and @english name them wherever a corpus is read."""

import os
from pathlib import Path

from rnnlm.errors import CorpusError
from rnnlm.names import OWN_TEXTS

MARK = "@"
PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "corpora", PACKAGE.parent / "corpora")  # in an installation, and in a clone


def own_text(path: str) -> str:
    """Return the path of the text that @chinese or @english names; return any other path unchanged.

    An existing file whose name begins with @ takes precedence.

    Raises:
        CorpusError: There is no such text, or the installation lacks it.
    """
    if not path.startswith(MARK) or os.path.exists(path):
        return path
    name = path.removeprefix(MARK)
    if name not in OWN_TEXTS:
        known = " and ".join(MARK + each for each in OWN_TEXTS)
        raise CorpusError(f"{path} names no text; {known} come with rnnlm, and there is no file of that name.")
    found = [folder / f"{name}.txt" for folder in FOLDERS if (folder / f"{name}.txt").is_file()]
    if not found:
        raise CorpusError(f"{path} is not in this installation of rnnlm. Install it again, or give a text of your own.")
    return os.fspath(found[0])
