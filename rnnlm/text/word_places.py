"""The words of a line as its reader sees them, and which tokens of a model belong to each."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from rnnlm.text.segmentation import has_han
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, is_separated, spans

Span = tuple[int, int]


def word_spans(line: str, tokenizer: Tokenizer | None = None) -> list[Span]:
    """Start and end of the words of a line: what stands between its spaces, or what Chinese without spaces is cut into.

    >>> [line[start:end] for line in ["Well, I never", "我昨天上学。"] for start, end in word_spans(line)]
    ['Well,', 'I', 'never', '我', '昨天', '上学', '。']

    tokenizer: cuts Chinese; jieba, if it is not given.

    Raises:
        TokenizerError: there is Chinese to be cut, and no jieba to do it.
    """
    chunks = [found.span() for found in re.finditer(r"\S+", line)]
    if not has_han(line) or is_separated(line):
        return chunks
    tokenizer = tokenizer or WordTokenizer("jieba")
    tokens = spans(tokenizer, line, tokenizer.tokenize(line))
    starts = [start for start, _ in tokens]
    found: list[Span] = []
    for start, end in chunks:
        inside = tokens[bisect_left(starts, start) : bisect_left(starts, end)]
        found += inside if has_han(line[start:end]) else [(start, end)]
    return found


def joined_tokens(words: Sequence[Span], tokens: Sequence[Span]) -> list[tuple[Span, slice]]:
    """The words, each with the slice of the tokens that are its own; all of them together are all the tokens.

    What stands between two words, such as a space that is a token, belongs to the first of them: with it the word is
    over. What stands before the first word belongs to that one. Words that share a token are one. A line of spaces
    alone is one word.

    >>> joined_tokens([(0, 2), (3, 4)], [(0, 1), (1, 2), (2, 3), (3, 4)])
    [((0, 2), slice(0, 3, None)), ((3, 4), slice(3, 4, None))]
    """
    starts = [start for start, _ in tokens]
    kept: list[tuple[int, int, int]] = []  # start, end, first token
    for start, end in words:
        first = bisect_left(starts, start)
        if first and tokens[first - 1][1] > start:
            begin, _, first = kept.pop() if kept else (start, end, first - 1)
            kept.append((begin, end, first))
        elif first < len(tokens) and starts[first] < end:  # else it has none, as a mark that the model does not read
            kept.append((start, end, first))
    if not kept:
        return [((tokens[0][0], tokens[-1][1]), slice(0, len(tokens)))] if tokens else []
    edges = [0, *(first for _, _, first in kept[1:]), len(tokens)]
    return [((start, end), slice(*own)) for (start, end, _), own in zip(kept, pairwise(edges), strict=True)]
