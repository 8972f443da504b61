"""Scoring of lines of text, in blocks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rnnlm.codec import Codec
from rnnlm.inference.lines import LineScore
from rnnlm.results import ScoredLine
from rnnlm.text.marks import hypothesis_tokens

LINES_AT_A_TIME = 4096  # maximum number of lines, and of characters, to read ahead
CHARACTERS_AT_A_TIME = 1 << 18
Scorer = Callable[[Sequence[Any]], list[LineScore]]  # scores a block of lines, given as ids
Line = str | tuple[str, str]  # a line, or a pair of text before it and the line


def scored_lines(
    codec: Codec, scorer: Scorer, lines: Iterable[Line | None], hypotheses: bool, document: bool = False
) -> Iterator[ScoredLine]:
    """Yield lines of text with scores, in order; see `LanguageModel.score`.

    Args:
        codec: Converts lines to ids.
        scorer: Scores lines of ids.
        lines: Lines without "\\n", or pairs (given, line); None ends a block, and has no result.
        hypotheses: Whether the lines are from n-best lists.
        document: Whether `given` is the lines before the line; else it is the beginning of the line.
    """
    end = codec.line_end
    given = _Given(codec, document)
    for block in _blocks(lines):
        texts = [line if isinstance(line, str) else line[1] for line in block]
        tokens = [hypothesis_tokens(codec.tokenizer, text) if hypotheses else codec.tokens(text) for text in texts]
        if end is not None:
            name = codec.vocabulary.token(end)
            for each in tokens:
                each.append(name)
        ids = [codec.ids_of_line(each, end) for each in tokens]
        if given_lines := [(place, line[0]) for place, line in enumerate(block) if not isinstance(line, str)]:
            scores = _scored_after(scorer, ids, {place: given.ids(text) for place, text in given_lines}, document)
        else:
            scores = scorer(ids)
        for text, line, line_ids, score in zip(texts, tokens, ids, scores, strict=True):
            yield ScoredLine(text, line, line_ids, *score)


class _Given:
    """Encodes the text given before a line, and caches the last one."""

    def __init__(self, codec: Codec, document: bool) -> None:
        self._codec, self._document = codec, document
        self._text, self._ids = "", np.zeros(0, dtype=np.int32)

    def ids(self, text: str) -> Any:
        """Return the ids (n,) of the text; in a document, a missing line end is added."""
        if text != self._text:
            codec, self._text = self._codec, text
            if self._document:
                ends = not text or text.endswith("\n") or codec.line_end is None
                self._ids = codec.encode(text if ends else text + "\n")
            else:
                self._ids = codec.prefix(codec.encode(codec.unfinished(text)))[1:]
        return self._ids


def _scored_after(scorer: Scorer, lines: list[Any], given: dict[int, Any], document: bool) -> list[LineScore]:
    """Return scores of lines of ids; given: by index of a line, ids to read before it, which are not scored."""
    if not document:
        nothing = np.zeros(0, dtype=np.int32)
        before = [given.get(place, nothing) for place in range(len(lines))]
        scores = scorer([np.concatenate(both) for both in zip(before, lines, strict=True)])
        return [score.after(len(ids)) for score, ids in zip(scores, before, strict=True)]
    found = []
    for place, line in enumerate(lines):
        found += scorer([given[place], line] if place in given else [line])[-1:]
    return found


def _blocks(lines: Iterable[Line | None]) -> Iterator[list[Line]]:
    """Yield lines in blocks of limited size; None ends a block."""
    block: list[Line] = []
    characters = 0
    for line in lines:
        if line is not None:
            block.append(line)
            characters += len(line) if isinstance(line, str) else sum(map(len, line))
            if len(block) < LINES_AT_A_TIME and characters < CHARACTERS_AT_A_TIME:
                continue
        if block:
            yield block
            block, characters = [], 0
    if block:
        yield block
