"""Lines of text to lines with scores, a block at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rnnlm.codec import Codec
from rnnlm.inference.lines import LineScore
from rnnlm.results import ScoredLine
from rnnlm.text.marks import hypothesis_tokens

LINES_AT_A_TIME = 4096  # lines and characters that are read ahead at most
CHARACTERS_AT_A_TIME = 1 << 18
Scorer = Callable[[Sequence[Any]], list[LineScore]]  # of a block of lines of ids


def scored_lines(codec: Codec, scorer: Scorer, lines: Iterable[str | None], hypotheses: bool) -> Iterator[ScoredLine]:
    """Score lines of text, in their order; see `LanguageModel.score`.

    Args:
        codec: What makes ids of them.
        scorer: What scores these.
        lines: Without "\\n"; a None says that more would have to be waited for.
        hypotheses: Whether they are those of n-best lists.
    """
    end = codec.line_end
    for texts in _blocks(lines):
        tokens = [hypothesis_tokens(codec.tokenizer, text) if hypotheses else codec.tokens(text) for text in texts]
        if end is not None:
            for each in tokens:
                each.append(codec.vocabulary.token(end))
        ids = [codec.ids_of_line(each, end) for each in tokens]
        for text, line, line_ids, score in zip(texts, tokens, ids, scorer(ids), strict=True):
            yield ScoredLine(text, line, line_ids, *score)


def _blocks(lines: Iterable[str | None]) -> Iterator[list[str]]:
    """Lines in blocks that are large enough to be scored together and small enough to be kept; None ends one."""
    block: list[str] = []
    characters = 0
    for line in lines:
        if line is not None:
            block.append(line)
            characters += len(line)
            if len(block) < LINES_AT_A_TIME and characters < CHARACTERS_AT_A_TIME:
                continue
        if block:
            yield block
            block, characters = [], 0
    if block:
        yield block
