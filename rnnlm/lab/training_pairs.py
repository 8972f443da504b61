"""The training pairs of a language model: every token is the label of the token before it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rnnlm.text.vocabulary import BOS, EOS, SPECIALS


class Pair(NamedTuple):
    """The input of the network at one step, and its label."""

    input: str
    label: str


def training_pairs(tokens: Sequence[str]) -> list[Pair]:
    """Return the n + 1 pairs of a sentence of n tokens: <s> is the first input, </s> the last label.

    >>> training_pairs(["我", "昨天"])
    [Pair(input='<s>', label='我'), Pair(input='我', label='昨天'), Pair(input='昨天', label='</s>')]
    """
    return [Pair(*pair) for pair in pairwise([SPECIALS[BOS], *tokens, SPECIALS[EOS]])]
