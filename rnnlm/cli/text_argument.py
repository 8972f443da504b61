"""Read a text from the command line or from standard input."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel


def joined(words: Sequence[str], model: "LanguageModel") -> str:
    """Join the words of a command line by spaces, or without if a character model has no space in its vocabulary."""
    return ("" if model.level == "char" and " " not in model.vocabulary.tokens else " ").join(words)


def read_text_argument(text: str) -> str:
    r"""Return the argument, or for "-" all of stdin without its last line end; \r\n and \r become \n."""
    if text == "-":
        text = _standard_input().removesuffix("\n")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _standard_input() -> str:
    from rnnlm.text.sources import standard_input

    try:
        return standard_input().read().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise RnnlmError(
            f"Standard input is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}. Convert it first, for instance with iconv."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: it was closed
        raise RnnlmError(f"Standard input cannot be read: {getattr(error, 'strerror', None) or error}.") from None
