"""The texts that come with the package, which @chinese and @english name wherever a corpus is read."""

import os
from pathlib import Path

from rnnlm.errors import CorpusError
from rnnlm.names import OWN_TEXTS

MARK = "@"
PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "corpora", PACKAGE.parent / "corpora")  # as it is installed, and in a clone


def own_text(path: str) -> str:
    """The file of @chinese or @english; any other path, and a file of such a name that is there, as it is.

    Raises:
        CorpusError: there is no such text, or the installation lacks it.
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
