"""Find the blanks in a text, and fill them with the tokens that a model ranks best."""

import itertools
import re
from collections.abc import Callable

import numpy as np

from rnnlm.codec import Codec
from rnnlm.errors import FillingError
from rnnlm.inference.filling import BLANK, Filling
from rnnlm.results import FilledText

# Two or three underscores that touch a letter or digit of an identifier (snake__case, __init__) are text.
BLANK_MARK = re.compile(r"_{4,}|(?<![A-Za-z0-9_])_{2,3}(?![A-Za-z0-9_])|\uff3f+")


def without_blanks(text: str) -> str:
    """Return a text with each blank replaced by a newline, so that the parts around it are read separately."""
    return BLANK_MARK.sub("\n", text)


def has_blank(text: str) -> bool:
    """Return whether a text contains a blank; see `BLANK_MARK`."""
    return BLANK_MARK.search(text) is not None


def before_blank(text: str) -> str | None:
    """Return the text before a blank at its end; None if the text does not end with a blank."""
    *before, after = BLANK_MARK.split(text)
    return None if not before or after.strip() else text[: [*BLANK_MARK.finditer(text)][-1].start()]


def filled(
    codec: Codec, fillings: Callable[[list[int]], list[Filling]], text: str, k: int, blank_tokens: int
) -> list[FilledText]:
    """Return the k best fillings of the blanks in a sentence.

    fillings: maps the ids of a sentence, with one BLANK for each missing token, to its fillings and their scores in
    nats. blank_tokens: maximum number of tokens per blank.

    Raises:
        FillingError: the text has no blank, or more than one line.
    """
    text = text.strip()
    parts = BLANK_MARK.split(text)
    if len(parts) == 1 or "\n" in text:
        raise FillingError(
            f"The text to fill is {text[:60]!r}; expected one line with at least one blank, written ____ (four "
            "underscores; two or three are a blank where no letter or digit touches them)."
        )
    contexts = [[int(i) for i in codec.encode(part)] for part in parts]
    found: list[tuple[list[list[int]], float]] = []
    for lengths in itertools.product(range(1, blank_tokens + 1), repeat=len(parts) - 1):
        ids = [*contexts[0]]
        for length, context in zip(lengths, contexts[1:], strict=True):
            ids += [BLANK] * length + context
        for tokens, score in fillings(ids):
            pieces = iter(tokens)
            found.append(([list(itertools.islice(pieces, length)) for length in lengths], score))
    return _best(codec, parts, found, k)


def _best(codec: Codec, parts: list[str], found: list[tuple[list[list[int]], float]], k: int) -> list[FilledText]:
    found.sort(key=lambda each: -each[1])
    scores = np.array([score for _, score in found])
    shares = np.exp(scores - scores.max()) if len(found) else scores
    shares /= shares.sum()
    best = []
    for (blanks, _), share in zip(found[:k], shares, strict=False):
        shown = [codec.render(blank) for blank in blanks]
        pieces = [parts[0]]
        for piece, part in zip(shown, parts[1:], strict=True):
            pieces += [piece, part]
        best.append(FilledText(shown, float(share), "".join(pieces)))
    return best
