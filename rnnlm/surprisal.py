"""Surprisal and entropy of each token or word of a text, as rows of a table.

    import pandas, rnnlm
    table = pandas.DataFrame(rnnlm.surprisals(model, lines, words=True))

p(w) is the probability of a token given all tokens before it, and H the entropy of that distribution, in bits:

    surprisal           -log2 p(w)                                                 (Hale 2001, Levy 2008)
    entropy             H = -sum over all v of p(v) log2 p(v), before w is read
    entropy reduction   H - H', where H' is the entropy after w was read           (Hale 2006; of the next token alone)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rnnlm.errors import RnnlmError
from rnnlm.inference.document import DocumentScorer
from rnnlm.inference.lines import LineScorer
from rnnlm.scored_lines import Line, scored_lines
from rnnlm.text.vocabulary import EOS, FIRST, SPECIALS, UNK
from rnnlm.text.word_places import joined_tokens, word_spans

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine


class Surprisal(NamedTuple):
    """A token or word of a line; surprisal and entropies are in bits.

    line, position: counted from 1. word: the text from `start` to `end`, or </s> for the end of the line. rank: rank of
    the token in the vocabulary, 1 for the most probable; None for several tokens. entropy: entropy of the prediction of
    the first token. entropy_reduction: decrease of the entropy by reading the word, negative if it increases; None at
    the end of a line. frequency: number of occurrences in the training text; None if the model does not record it, as
    for unknown tokens, words of several tokens and words of a model of characters. oov: number of unknown tokens.
    tokens: number of tokens.
    """

    line: int
    word: str
    position: int
    start: int
    end: int
    surprisal: float
    rank: int | None
    entropy: float | None
    entropy_reduction: float | None
    frequency: int | None
    oov: int
    tokens: int


def surprisals(
    model: LanguageModel,
    lines: Iterable[Line | None],
    *,
    words: bool = False,
    document: bool = False,
    distributions: bool = True,
    threads: int = 1,
) -> Iterator[Surprisal]:
    r"""Yield a row for each token of each line, without blank lines; surprisals sum to -log2 p of the line.

    Args:
        model: The language model.
        lines: Lines without "\n", or pairs (given, line), as for `LanguageModel.score`.
        words: Yield a row per word instead of per token, see `text.word_places`; the end of a line is a word.
        document: Whether the lines are one text, each read after those before it.
        distributions: Whether to compute ranks and entropies, which need the probabilities of all tokens.
        threads: Number of threads; a document is read by one.

    Raises:
        DirectionError: the model is bidirectional.
    """
    if isinstance(lines, str):
        if "\n" in lines:
            raise RnnlmError("surprisals takes a str as one line, and this one has several; give text.splitlines().")
        lines = [lines]
    for number, scored in enumerate(scored_with_entropies(model, lines, document, distributions, threads), 1):
        yield from rows_of(model, scored, words, number)


def scored_with_entropies(
    model: LanguageModel, lines: Iterable[Line | None], document: bool, distributions: bool, threads: int
) -> Iterator[ScoredLine]:
    """Yield scored lines, as `LanguageModel.score` does, with ranks and entropies if `distributions`."""
    if not distributions:
        return model.score(lines, threads=threads, document=document)
    scorer: DocumentScorer | LineScorer
    if document:
        blank = [EOS] if model.reads_lines else None
        scorer = DocumentScorer(model.require_causal(), model.context, blank=blank, entropies=True)
    else:
        scorer = LineScorer(model.by_line, start=model.start, threads=threads, entropies=True)
    return scored_lines(model, scorer, lines, hypotheses=False, document=document)


def rows_of(model: LanguageModel, scored: ScoredLine, words: bool = False, number: int = 1) -> Iterator[Surprisal]:
    """Yield the rows of a line, none for a blank line that figures leave out; number: number of the line."""
    if model.counted_characters(scored.text) is None:
        return
    places = model.spans(scored)
    has_end = model.line_end is not None
    parts = [(place, slice(each, each + 1)) for each, place in enumerate(places)]
    if words:
        cut = word_spans(scored.text, model.tokenizer if model.level == "word" else None)
        inside = places[:-1] if has_end else places
        parts = joined_tokens(cut, inside) + parts[len(inside) :]
    bits = scored.log_probabilities / -math.log(2)
    entropies = None if scored.entropies is None else scored.entropies / math.log(2)
    for position, ((start, end), own) in enumerate(parts, 1):
        is_end = has_end and own.stop == len(places)
        ids, single = scored.ids[own].tolist(), own.stop - own.start == 1
        after = None if entropies is None or own.stop == len(places) else entropies[own.stop]
        yield Surprisal(
            number,
            SPECIALS[EOS] if is_end else scored.text[start:end],
            position,
            start,
            end,
            float(bits[own].sum()) + 0.0,  # + 0.0 turns -0.0 into 0.0
            int(scored.ranks[own.start]) if scored.ranks is not None and single else None,
            None if entropies is None else float(entropies[own.start]) + 0.0,
            None if after is None or entropies is None else float(entropies[own.start] - after) + 0.0,
            _frequency(model, ids[0]) if single and (is_end or not words or model.level != "char") else None,
            ids.count(UNK),
            len(ids),
        )


def _frequency(model: LanguageModel, token_id: int) -> int | None:
    """Return the number of occurrences of a token in the training text; None if it is not recorded."""
    counts = model.vocabulary.counts
    return counts[token_id - FIRST] or None if token_id >= FIRST else None
