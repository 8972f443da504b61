"""Text that is read in lower case, as a setting of a tokenizer."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Protocol, TypeVar

from rnnlm.errors import TokenizerError


class Cased(Protocol):
    """A tokenizer, as far as case goes."""

    lowercase: bool


AnyCased = TypeVar("AnyCased", bound=Cased)


def lower_case(text: str) -> str:
    """A text in lower case, as long as it was.

    \u0130 alone has a small letter of two code points, i and a dot above; here it becomes i.

    >>> lower_case("In The BEGINNING, \u0130stanbul")
    'in the beginning, istanbul'
    """
    return text.replace("\u0130", "i").lower()


def as_read(tokenizer: Cased, text: str) -> str:
    """A text as its tokenizer sees it, as long as it was: in lower case, if it reads so."""
    return lower_case(text) if tokenizer.lowercase else text


def in_lower_case(tokenizer: AnyCased) -> AnyCased:
    """A tokenizer like this one that reads all text in lower case."""
    other = copy(tokenizer)
    other.lowercase = True
    return other


def case_setting(tokenizer: Cased) -> dict[str, Any]:
    """The setting of case; none where case is kept, so that settings stay what they were before there was a choice."""
    return {"lowercase": True} if tokenizer.lowercase else {}


def lowercase_of(options: Mapping[str, Any]) -> bool:
    """The setting of case among the options of a tokenizer.

    Raises:
        TokenizerError: it is neither true nor false.
    """
    lowercase = options.get("lowercase", False)
    if type(lowercase) is not bool:
        raise TokenizerError("The checkpoint's tokenizer options are damaged; use another copy of it or train again.")
    return lowercase
