"""Choosing among the candidates of a recogniser: what it said of them and what a language model says, added up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Evidence(NamedTuple):
    """What is known of a candidate, all logarithms to one base; what a list does not tell is 0."""

    incoming: float  # acoustic or total score that came with it
    old_language_model: float  # score of the language model that made the list
    language_model: float
    words: float
    oov: float  # how many of the words the model does not know


@dataclass(frozen=True)
class Weights:
    """What each kind of evidence counts.

    total = incoming + old_lm_weight * old LM score + lm_weight * LM score + word_penalty * words + oov_penalty * oov

    A word penalty above 0 makes up for the fact that every further word makes a sentence less probable. An OOV penalty
    below 0 makes up for <unk>, whose probability is that of all unknown words together.
    """

    lm_weight: float = 1.0
    old_lm_weight: float = 0.0
    word_penalty: float = 0.0
    oov_penalty: float = 0.0

    def total(self, evidence: Evidence) -> float:
        """The score by which candidates are ranked: the greater, the better."""
        return (
            evidence.incoming
            + self.old_lm_weight * evidence.old_language_model
            + self.lm_weight * evidence.language_model
            + self.word_penalty * evidence.words
            + self.oov_penalty * evidence.oov
        )


def ranking(totals: Sequence[float]) -> list[int]:
    """Places of candidates from the best to the worst; equal ones stay in the order in which they came."""
    return sorted(range(len(totals)), key=lambda place: -totals[place])
