"""Result types of `LanguageModel`: candidates, scored lines, figures of a text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlm.text.vocabulary import UNK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Candidate(NamedTuple):
    """A possible next token."""

    token: str
    probability: float


class Piece(NamedTuple):
    """A token of a text: its part of the text, with the whitespace before it, the token and its id."""

    text: str
    token: str
    token_id: int


class FilledText(NamedTuple):
    """A filling: text of each blank, share of the probability of all fillings compared, and the whole text."""

    tokens: list[str]
    probability: float
    text: str


class DecodedText(NamedTuple):
    """A text that was decoded from candidates.

    tokens: tokens of the text. logprob_nats: ln p of the tokens and the end. score: sum of the scores of the
    candidates. total_nats: score that texts are ranked by.
    """

    text: str
    tokens: list[str]
    logprob_nats: float
    score: float
    total_nats: float


class Prediction(NamedTuple):
    """Candidates for the token after a context, most probable first."""

    context: str
    candidates: list[Candidate]


class Continuation(NamedTuple):
    """A continuation of a text: the next tokens, their joint probability, and the text to append.

    If it completes a half-typed word, `tokens` has the complete word, `typed` its typed part, and `text` the rest.
    """

    tokens: list[str]
    probability: float
    text: str
    typed: str = ""


class Influence(NamedTuple):
    """How much a token of a text supports a prediction.

    bits: mean decrease of log2 p(prediction) when the token is replaced by one of several others; negative if the token
    makes the prediction less likely. substitute: the other token with the largest change. answer, probability: the most
    probable next token with that substitute.
    """

    token: str
    bits: float
    substitute: str
    answer: str
    probability: float


class Explanation(NamedTuple):
    """The most probable next token, and the influence of each of the last tokens of the text on it.

    left_out: number of earlier tokens, which were not examined.
    """

    token: str
    words: list[Influence]
    left_out: int


class ScoredLine(NamedTuple):
    """A line with the log probabilities of its tokens, including the token that ends it, without <s>.

    ids, log_probabilities (nats), ranks and entropies are (n,). ranks: 1 for the most probable token of the vocabulary.
    entropies: entropy in nats of the distribution that each token was predicted from. Both are None if not asked for.
    """

    text: str
    tokens: list[str]
    ids: NDArray[np.int32]
    log_probabilities: NDArray[np.float64]
    ranks: NDArray[np.int64] | None
    entropies: NDArray[np.float64] | None = None

    @property
    def logprob_nats(self) -> float:
        """Log probability of the line; unknown tokens have the probability of <unk>."""
        return float(self.log_probabilities.sum())

    @property
    def oov(self) -> int:
        """Number of unknown tokens."""
        return self.ids.tolist().count(UNK)

    @property
    def perplexity(self) -> float:
        """exp(-ln p / tokens), with unknown words at the probability of <unk>; nan if there are no tokens."""
        return _exp(-self.logprob_nats / len(self.ids)) if len(self.ids) else math.nan


@dataclass(frozen=True)
class Evaluation:
    """Figures of a text under a model. Sums are over all tokens, including </s>, without <s>."""

    tokens: int
    oov: int
    characters: int
    logprob_nats: float
    oov_logprob_nats: float
    text_bytes: int = 0  # size of the characters in UTF-8; 0 if unknown

    @classmethod
    def of(cls, nats: NDArray[Any], unknown: NDArray[Any], characters: int, text_bytes: int = 0) -> Evaluation:
        """Return the figures of a text, given the nats (N,) of its tokens and a mask (N,) of the unknown ones."""
        logprob, of_unknown = -float(nats.sum()), -float(nats[unknown].sum())
        return cls(len(nats), int(unknown.sum()), characters, logprob, of_unknown, text_bytes)

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy: -log p of the text in nats, divided by its tokens."""
        return -self.logprob_nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token), with unknown words at the probability of <unk>."""
        return _exp(self.nats_per_token)

    @property
    def perplexity_excluding_oov(self) -> float:
        """Perplexity over the known tokens; unknown ones still serve as context."""
        known = self.tokens - self.oov
        return _exp(-(self.logprob_nats - self.oov_logprob_nats) / known) if known else math.nan

    @property
    def bits_per_char(self) -> float:
        """-log2 p of the text divided by its characters, which is comparable across tokenizations."""
        return -self.logprob_nats / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """-log2 p of the text divided by its bytes in UTF-8; nan if their number is unknown."""
        return -self.logprob_nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf
