"""What a model answers: candidates, scored lines, figures of a text."""

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
    """A token of a text: the part of the text that it is, with the whitespace before it, the token and its id."""

    text: str
    token: str
    token_id: int


class FilledText(NamedTuple):
    """A filling: what stands in each blank, its share of the probability of all that were compared, the whole text."""

    tokens: list[str]
    probability: float
    text: str


class DecodedText(NamedTuple):
    """A text that was found among candidates.

    tokens: as the model reads it. logprob_nats: ln p of them and of the end. score: sum of the scores that came with
    the candidates. total_nats: what texts are ranked by.
    """

    text: str
    tokens: list[str]
    logprob_nats: float
    score: float
    total_nats: float


class Prediction(NamedTuple):
    """What may follow a context; the candidates are ranked."""

    context: str
    candidates: list[Candidate]


class Continuation(NamedTuple):
    """What a text may go on with: the next tokens, the probability of all of them, and what is to be appended.

    A word that was half typed is whole among the tokens. The text is what it lacks, and `typed` what was there.
    """

    tokens: list[str]
    probability: float
    text: str
    typed: str = ""


class Influence(NamedTuple):
    """How much a token of a text speaks for a prediction.

    bits: log2 p(prediction) minus what it is with another token in this one's place, the mean over several others;
    below 0 the token speaks against it. substitute: the other token that changes it most. answer, probability: the
    most probable next token with that substitute.
    """

    token: str
    bits: float
    substitute: str
    answer: str
    probability: float


class Explanation(NamedTuple):
    """The most probable next token, and how much each of a text's last tokens speaks for it.

    left_out: number of tokens before those, which were not examined.
    """

    token: str
    words: list[Influence]
    left_out: int


class ScoredLine(NamedTuple):
    """A line with the log probabilities of its tokens; what ends it is a token of it, <s> is not.

    ids, log_probabilities (nats) and ranks (1: the most probable of all; None if not asked for) are (n,), and so are
    the entropies (nats; None if not asked for) of the distributions that the tokens were predicted from.
    """

    text: str
    tokens: list[str]
    ids: NDArray[np.int32]
    log_probabilities: NDArray[np.float64]
    ranks: NDArray[np.int64] | None
    entropies: NDArray[np.float64] | None = None

    @property
    def logprob_nats(self) -> float:
        """ln p of the line: the sum over its tokens, unknown ones at the probability of <unk>."""
        return float(self.log_probabilities.sum())

    @property
    def oov(self) -> int:
        """Number of unknown tokens."""
        return self.ids.tolist().count(UNK)

    @property
    def perplexity(self) -> float:
        """exp(-ln p / tokens), unknown words at the probability of <unk>; nan where there are no tokens."""
        return _exp(-self.logprob_nats / len(self.ids)) if len(self.ids) else math.nan


@dataclass(frozen=True)
class Evaluation:
    """Figures of a text under a model. Sums are over all tokens, </s> included, <s> never."""

    tokens: int
    oov: int
    characters: int
    logprob_nats: float
    oov_logprob_nats: float
    text_bytes: int = 0  # of the characters, in UTF-8; 0 if it is not known

    @classmethod
    def of(cls, nats: NDArray[Any], unknown: NDArray[Any], characters: int, text_bytes: int = 0) -> Evaluation:
        """Figures of a text's tokens, given the nats (N,) of each and which of them (N,) are unknown."""
        logprob, of_unknown = -float(nats.sum()), -float(nats[unknown].sum())
        return cls(len(nats), int(unknown.sum()), characters, logprob, of_unknown, text_bytes)

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy: -log p of the text in nats, divided by its tokens."""
        return -self.logprob_nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats per token), unknown words counted at the probability of <unk>."""
        return _exp(self.nats_per_token)

    @property
    def perplexity_excluding_oov(self) -> float:
        """The same over the known tokens only; unknown ones still serve as context."""
        known = self.tokens - self.oov
        return _exp(-(self.logprob_nats - self.oov_logprob_nats) / known) if known else math.nan

    @property
    def bits_per_char(self) -> float:
        """-log2 p of the text divided by its characters: comparable between any two tokenizations of a text."""
        return -self.logprob_nats / math.log(2) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """The same divided by the bytes of those characters in UTF-8; nan if they are not known."""
        return -self.logprob_nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf
