"""Surprise along a text: -log2 of the probability of each token given the tokens before it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import PlotError
from rnnlm.language_model import LanguageModel
from rnnlm.sentences import Sentence

MOST_TOKENS = 1_000_000


class Surprise(NamedTuple):
    """The tokens of a text, with their surprise in bits (n,)."""

    tokens: list[str]
    bits: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean surprise, in bits per token."""
        return float(self.bits.mean())

    def running_mean(self) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """Return token numbers from 1, the mean surprise of the window that ends at each, and the window's size."""
        n = len(self.bits)
        window = min(n, max(5, n // 50))
        sums = np.concatenate([[0.0], np.cumsum(self.bits)])
        return np.arange(window, n + 1), (sums[window:] - sums[: n + 1 - window]) / window, window

    def highest(self, count: int) -> list[int]:
        """Return the places of the `count` most surprising tokens, the most surprising first."""
        return [int(place) for place in np.argsort(-self.bits, kind="stable")[:count]]

    def summary(self) -> str:
        """Summarize the number of tokens and the mean surprise in one line."""
        perplexity = f"{2 ** min(self.mean, 99):,.4g}"
        return Sentence(
            "{tokens}, {mean} bits per token (perplexity {perplexity})",
            tokens=Sentence("{n} token" if len(self.tokens) == 1 else "{n} tokens", n=f"{len(self.tokens):,}"),
            mean=f"{self.mean:.2f}",
            perplexity=perplexity,
        )


def surprise_of(model: LanguageModel, text: str) -> Surprise | None:
    """Compute the surprise at the tokens of a text, including the end of its last line; None if there are none.

    Raises:
        PlotError: There are more than MOST_TOKENS tokens.
    """
    tokens, ids = list[str](), list[int]()
    for piece in model.cut(text, ended=True):
        tokens.append(piece.token)
        ids.append(piece.token_id)
        if len(ids) > MOST_TOKENS:
            raise PlotError(
                f"The text has more than {MOST_TOKENS:,} tokens; a picture shows a shorter one, such as: head -n 1000"
            )
    return Surprise(tokens, model.nats(np.array(ids, dtype=np.int32)) / np.log(2)) if tokens else None
