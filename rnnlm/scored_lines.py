"""Lines of text to lines with scores, a block at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rnnlm.codec import Codec
from rnnlm.inference.lines import LineScore
from rnnlm.results import ScoredLine
from rnnlm.text.marks import hypothesis_tokens

LINES_AT_A_TIME = 4096  # lines and characters that are read ahead at most
CHARACTERS_AT_A_TIME = 1 << 18
Scorer = Callable[[Sequence[Any]], list[LineScore]]  # of a block of lines of ids
Line = str | tuple[str, str]  # a line, or what is given before it and the line


def scored_lines(
    codec: Codec, scorer: Scorer, lines: Iterable[Line | None], hypotheses: bool, document: bool = False
) -> Iterator[ScoredLine]:
    """Score lines of text, in their order; see `LanguageModel.score`.

    Args:
        codec: What makes ids of them.
        scorer: What scores these.
        lines: Without "\\n", some of them behind what is given before them; a None says that more would have to be
            waited for.
        hypotheses: Whether they are those of n-best lists.
        document: Whether what is given are lines before the line; else it is how the line begins.
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
    """What is given before a line, as ids; the same text again costs nothing."""

    def __init__(self, codec: Codec, document: bool) -> None:
        self._codec, self._document = codec, document
        self._text, self._ids = "", np.zeros(0, dtype=np.int32)

    def ids(self, text: str) -> Any:
        """Ids (n,) of the text, which ends with a line's end if it is a part of a document."""
        if text != self._text:
            codec, self._text = self._codec, text
            if self._document:
                ends = not text or text.endswith("\n") or codec.line_end is None
                self._ids = codec.encode(text if ends else text + "\n")
            else:
                self._ids = codec.prefix(codec.encode(codec.unfinished(text)))[1:]
        return self._ids


def _scored_after(scorer: Scorer, lines: list[Any], given: dict[int, Any], document: bool) -> list[LineScore]:
    """Scores of lines of ids, of which those at some places are read after given ids, whose scores are left out."""
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
    """Lines in blocks that are large enough to be scored together and small enough to be kept; None ends one."""
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
