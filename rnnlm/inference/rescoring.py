"""Rank candidates of a recogniser by a weighted sum of its scores and those of a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Evidence(NamedTuple):
    """Scores and counts of a candidate; scores are logarithms to the same base. Values that a list lacks are 0."""

    incoming: float  # acoustic or total score in the list
    old_language_model: float  # score of the language model with which the list was made
    language_model: float
    words: float
    oov: float  # number of words that the model does not know


@dataclass(frozen=True)
class Weights:
    """Weights of the evidence.

    total = incoming + old_lm_weight * old LM score + lm_weight * LM score + word_penalty * words + oov_penalty * oov

    A positive word penalty compensates for the decrease of the probability with each word. A negative OOV penalty
    compensates for <unk>, whose probability is that of all unknown words together.
    """

    lm_weight: float = 1.0
    old_lm_weight: float = 0.0
    word_penalty: float = 0.0
    oov_penalty: float = 0.0

    def total(self, evidence: Evidence) -> float:
        """Return the score by which candidates are ranked: higher is better."""
        return (
            evidence.incoming
            + self.old_lm_weight * evidence.old_language_model
            + self.lm_weight * evidence.language_model
            + self.word_penalty * evidence.words
            + self.oov_penalty * evidence.oov
        )


def ranking(totals: Sequence[float]) -> list[int]:
    """Return the indices of candidates, best first; equal ones keep their order."""
    return sorted(range(len(totals)), key=lambda place: -totals[place])
