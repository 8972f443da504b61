"""rnnlm: train a recurrent language model on your text, in NumPy, and ask it things.

    from rnnlm import LanguageModel
    model = LanguageModel.load("rnnlm.npz")
    model.predict("我 昨天 上学")

Shape letters, used everywhere: T time steps, B batch columns, V vocabulary, D embedding, H hidden, L layers.
"""

from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel

__version__ = "0.5.0"
__all__ = ["LanguageModel", "RnnlmError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import LanguageModel, and NumPy with it, when it is first asked for: the command line starts faster."""
    if name == "LanguageModel":
        from rnnlm.language_model import LanguageModel

        return LanguageModel
    raise AttributeError(f"module 'rnnlm' has no attribute {name!r}")
