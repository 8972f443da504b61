"""A vocabulary whose tokens are given by a file: the token list of a recogniser, or a subword tokenizer.

All tokens of the file are in the vocabulary, even if the text lacks them, in the order of the file after <s>, </s> and
<unk>. Only for the adaptive softmax are they sorted by frequency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlm.errors import CheckpointError, TrainingError, VocabularyError, shown
from rnnlm.sentences import Sentence
from rnnlm.text.token_lists import read_tokens
from rnnlm.text.vocabulary import FIRST, SPECIALS, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from rnnlm.nn.numerics import Array
    from rnnlm.text.corpus import TokenizedCorpus
    from rnnlm.text.tokenizers import Tokenizer
    from rnnlm.training.options import Options

MOST_NAMED = 4  # tokens in a message


def given_tokens(options: Options, tokenizer: Tokenizer) -> list[str] | None:
    """Return all tokens of --vocabulary or of a subword tokenizer; None if the vocabulary is built from the text.

    The latter holds for a subword tokenizer, too, if the size is limited.

    Raises:
        TrainingError: --vocabulary is given with a limit of the size.
        VocabularyError: the file is not a list of tokens.
    """
    limited = options.min_count > 1 or options.vocab_size is not None
    if options.vocabulary is None:
        inventory = getattr(tokenizer, "inventory", None)
        return None if inventory is None or limited else inventory()
    if limited:
        name = "--min-count" if options.min_count > 1 else "--vocab-size"
        raise TrainingError(
            f"{name} leaves tokens out, but every token of --vocabulary has its place. Leave one of them out."
        )
    tokens = [token for token in read_tokens(options.vocabulary) if token not in (*SPECIALS, *UNKNOWN)]
    if not tokens:
        raise VocabularyError(f"{options.vocabulary} has no token but {', '.join(SPECIALS)}; expected those of a text.")
    return tokens


def build_vocabulary(
    corpus: TokenizedCorpus, counts: Array, options: Options, tokenizer: Tokenizer
) -> tuple[Vocabulary, list[str]]:
    """Return the vocabulary of a text, and notes for the user.

    counts: (3 + types,) counts in the training part, by id of the corpus.

    Raises:
        VocabularyError: the vocabulary would be empty, or the text has none of the given tokens.
    """
    tokens = given_tokens(options, tokenizer)
    if tokens is None:
        return Vocabulary.build(corpus.tokens, counts[FIRST:], options.min_count, options.vocab_size), []
    found = dict(zip(corpus.tokens, counts[FIRST:].tolist(), strict=True))
    written = sum(found.pop(token, 0) for token in UNKNOWN)
    source = options.vocabulary or "The tokenizer"
    if not any(found.get(token) for token in tokens):
        raise VocabularyError(
            f"{source} has {len(tokens):,} tokens ({_some(tokens)}), and none of them is in the text "
            f"({_some(list(found))}). Give a vocabulary whose tokens occur in the text, with its --level."
        )
    if options.softmax == "adaptive":
        tokens = sorted(tokens, key=lambda token: -found.get(token, 0))
    vocabulary = Vocabulary(tokens, [found.get(token, 0) for token in tokens], int(written))
    return vocabulary, [_note(source, vocabulary, found)]


def _note(source: str, vocabulary: Vocabulary, found: dict[str, int]) -> str:
    """Return a note on the differences between the given tokens and those of the text."""
    absent = vocabulary.counts.count(0)
    known = set(vocabulary.tokens)
    unknown = [token for token, count in found.items() if count and token not in known]
    gives = "{source} gives {n} tokens, of which the training text lacks {absent}."
    note = Sentence(gives, source=Sentence(source), n=f"{len(vocabulary.tokens):,}", absent=f"{absent:,}")
    if not unknown:
        return note
    return Sentence(
        "{note} {n} tokens of the text are unknown, {times} times: {tokens}.",
        note=note,
        n=f"{len(unknown):,}",
        times=f"{sum(found[token] for token in unknown):,}",
        tokens=_some(unknown),
    )


def _some(tokens: list[str]) -> str:
    return " ".join(map(shown, tokens[:MOST_NAMED])) + " ..." * (len(tokens) > MOST_NAMED)


def check_given_tokens(options: Options, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    """Check that --vocabulary, if given, has the tokens of the checkpoint whose vocabulary is kept.

    Raises:
        CheckpointError: it has others.
    """
    tokens = given_tokens(options, tokenizer) if options.vocabulary is not None else None
    if tokens is not None and sorted(tokens) != sorted(vocabulary.tokens):
        raise CheckpointError(
            f"--vocabulary {options.vocabulary} has {len(tokens):,} tokens, which are not the "
            f"{len(vocabulary.tokens):,} of the checkpoint. Leave it out: the checkpoint has its own copy."
        )


def is_by_frequency(vocabulary: Vocabulary) -> bool:
    """Return whether tokens are sorted by decreasing frequency, as the adaptive softmax requires."""
    return all(before >= after for before, after in zip(vocabulary.counts, vocabulary.counts[1:], strict=False))
