"""rnnlm: train a recurrent language model on your text, in NumPy, and ask it things.

    import rnnlm
    model = rnnlm.train("corpus.txt")
    model.predict("我 昨天 上学", k=5).candidates
    model.save("rnnlm.npz")
    model = rnnlm.load("rnnlm.npz")

Shape letters, used everywhere: T time steps, B batch columns, V vocabulary, D embedding, H hidden, L layers.
"""

from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.api import load, train, train_ngram, tune_rescoring
    from rnnlm.language_model import LanguageModel
    from rnnlm.surprisal import surprisals

__version__ = "1.0.0"
__all__ = ["LanguageModel", "RnnlmError", "__version__", "load", "surprisals", "train", "train_ngram", "tune_rescoring"]


def __getattr__(name: str) -> Any:
    """Import a public name, and NumPy with it, on first access, so that the command line starts faster."""
    if name == "LanguageModel":
        from rnnlm.language_model import LanguageModel

        return LanguageModel
    if name == "surprisals":
        from rnnlm.surprisal import surprisals

        return surprisals
    if name in __all__:
        from rnnlm import api

        return getattr(api, name)
    raise AttributeError(f"module 'rnnlm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
