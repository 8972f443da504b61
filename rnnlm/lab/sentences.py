"""Read a text as the article does: as sentences of tokens, with a vocabulary of all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import Vocabulary


def sentences(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    """Return the tokens of every line of a text; lines without tokens are left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [tokens for line in lines if (tokens := tokenizer.tokenize(line))]


def vocabulary_of(tokens: Iterable[str]) -> Vocabulary:
    """Build a vocabulary of all tokens, most frequent first, after <s>, </s> and <unk>."""
    counts = Counter(tokens)
    return Vocabulary.build(list(counts), np.array(list(counts.values()), dtype=np.int64))


def flat(lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the tokens of all sentences in one list."""
    return [token for line in lines for token in line]
