"""A text as the article reads it: sentences of tokens, and the vocabulary they make."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import Vocabulary


def sentences(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    """Tokens of every line of a text, at any level; lines without tokens are left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [tokens for line in lines if (tokens := tokenizer.tokenize(line))]


def vocabulary_of(tokens: Iterable[str]) -> Vocabulary:
    """Vocabulary of all tokens, most frequent first, after the reserved <s>, </s> and <unk>."""
    counts = Counter(tokens)
    return Vocabulary.build(list(counts), np.array(list(counts.values()), dtype=np.int64))


def flat(lines: Iterable[Sequence[str]]) -> list[str]:
    """The sentences' tokens in one list."""
    return [token for line in lines for token in line]
