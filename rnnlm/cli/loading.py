"""Load the model of a command, with what is mixed into it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlm.cli.languages import tr
from rnnlm.cli.printing import note
from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel


def check_cache(model: "LanguageModel", path: Path) -> None:
    """Raise RnnlmError if --cache is used with an n-gram model, which has no states to compare."""
    if model.kind == "ngram":
        raise RnnlmError(f"--cache compares the states of a recurrent network, and {path} is an n-gram model.")


def load_model(
    path: Path,
    mix: Sequence[tuple[str, float]] = (),
    cache: tuple[int, float, float] | None = None,
    document: bool = False,
    lowercase: bool = False,
) -> "LanguageModel":
    """Load a model, mix it with the models of --mix and a --cache, and print the notes on the files.

    document: whether each line is read after the lines before it, even by a model of sentences. lowercase: make the
    model read text in lower case.
    """
    from rnnlm.language_model import LanguageModel
    from rnnlm.training.allocator import keep_freed_memory

    keep_freed_memory()  # a loaded model is used for computing, which allocates again and again
    model = LanguageModel.load(path)
    if lowercase:
        model.read_in_lower_case()
    if cache:
        check_cache(model, path)
        if model.context == "sentence" and not document:
            note(tr("This model reads each line for itself, so --cache remembers tokens of the same line only."))
    if mix or cache:
        from rnnlm.mixing import mixed

        model = mixed(model, mix, cache)
    for message in model.notes:
        note(message)
    return model
