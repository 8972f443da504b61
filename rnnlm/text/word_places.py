"""Find the words of a line as a reader sees them, and the tokens of a model that belong to each word."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from rnnlm.text.segmentation import has_han
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, is_separated, spans

Span = tuple[int, int]


def word_spans(line: str, tokenizer: Tokenizer | None = None) -> list[Span]:
    """Return the start and end of each word of a line: its chunks between spaces, with unseparated Chinese cut up.

    >>> [line[start:end] for line in ["Well, I never", "我昨天上学。"] for start, end in word_spans(line)]
    ['Well,', 'I', 'never', '我', '昨天', '上学', '。']

    tokenizer: Cuts Chinese; jieba by default.

    Raises:
        TokenizerError: The line has Chinese to cut, and jieba is not installed.
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
    """Return each word with the slice of its tokens; the slices together cover all tokens.

    Tokens between two words, such as a space, belong to the word before them, because they end it. Tokens before the
    first word belong to the first word. Words that share a token are joined. A line with only spaces is one word.

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
        elif first < len(tokens) and starts[first] < end:  # else it has no token, such as a mark that the model skips
            kept.append((start, end, first))
    if not kept:
        return [((tokens[0][0], tokens[-1][1]), slice(0, len(tokens)))] if tokens else []
    edges = [0, *(first for _, _, first in kept[1:]), len(tokens)]
    return [((start, end), slice(*own)) for (start, end, _), own in zip(kept, pairwise(edges), strict=True)]
