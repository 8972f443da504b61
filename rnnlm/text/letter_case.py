"""Lower-casing of text, as a setting of a tokenizer."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Protocol, TypeVar

from rnnlm.errors import TokenizerError


class Cased(Protocol):
    """A tokenizer with a setting for lower case."""

    lowercase: bool


AnyCased = TypeVar("AnyCased", bound=Cased)


def lower_case(text: str) -> str:
    """Return a text in lower case with its length unchanged.

    \u0130 is the only letter whose small letter has two code points, i and a dot above. Here it becomes i.

    >>> lower_case("In The BEGINNING, \u0130stanbul")
    'in the beginning, istanbul'
    """
    return text.replace("\u0130", "i").lower()


def as_read(tokenizer: Cased, text: str) -> str:
    """Return a text in lower case if the tokenizer reads it so, else unchanged. The length is the same."""
    return lower_case(text) if tokenizer.lowercase else text


def in_lower_case(tokenizer: AnyCased) -> AnyCased:
    """Return a copy of a tokenizer that reads all text in lower case."""
    other = copy(tokenizer)
    other.lowercase = True
    return other


def case_setting(tokenizer: Cased) -> dict[str, Any]:
    """Return {"lowercase": True}, or {} if case is kept: the settings of tokenizers before the option existed."""
    return {"lowercase": True} if tokenizer.lowercase else {}


def lowercase_of(options: Mapping[str, Any]) -> bool:
    """Return the setting `lowercase` from the options of a tokenizer; False if it is missing.

    Raises:
        TokenizerError: The setting is not a bool.
    """
    lowercase = options.get("lowercase", False)
    if type(lowercase) is not bool:
        raise TokenizerError("The checkpoint's tokenizer options are damaged; use another copy of it or train again.")
    return lowercase
