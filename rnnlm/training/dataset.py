"""The text of a training as ids: training part, held-out part, and vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlm.codec import reads_lines
from rnnlm.errors import CorpusError, TokenizerError, TrainingError
from rnnlm.nn.numerics import Array
from rnnlm.sentences import Sentence
from rnnlm.text.corpus import TokenizedCorpus, sequence, tokenize_corpus
from rnnlm.text.held_out import VERSION, Split, measured, split
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.pieces import HUGGING_FACE, SENTENCEPIECE, PieceTokenizer
from rnnlm.text.pieces import OPTIONS as PIECE_OPTIONS
from rnnlm.text.running_text import Cohesion, cohesion
from rnnlm.text.sources import Source
from rnnlm.text.user_dictionary import make_tokenizer
from rnnlm.text.vocabulary import EOS, FIRST, UNK, Vocabulary
from rnnlm.training.configuration import TINY_TEXT
from rnnlm.training.given_tokens import build_vocabulary, check_given_tokens

if TYPE_CHECKING:
    from rnnlm.text.tokenizers import Tokenizer
    from rnnlm.training.options import Options
    from rnnlm.training.origin import Origin

MOST_VALIDATED = 200_000  # tokens of the held-out part; more would cost time for little precision
LONG_LINE = 500  # tokens; a longer mean suggests a text without real lines


@dataclass(frozen=True)
class Sources:
    """The files of a text.

    Attributes:
        corpus: Files and folders; "-" for standard input.
        valid: A file to validate on, instead of a part of the corpus.
        encoding: Encoding of the files; None to detect it for each.
        column: Column or key to read of CSV, TSV and JSONL files.
        progress: Called while a text is tokenized, with the number of bytes done and in all.
    """

    corpus: Sequence[str | Source]
    valid: str | Source | None = None
    encoding: str | None = None
    column: str | None = None
    progress: Callable[[int, int], None] | None = None

    @property
    def names(self) -> str:
        """Names of the corpus files, for messages."""
        return " ".join(each.name if isinstance(each, Source) else str(each) for each in self.corpus)

    @property
    def standard_input(self) -> bool:
        """Whether a part of the text is standard input, which can be read only once."""
        return "-" in (*self.corpus, self.valid)

    def tokenize(
        self, files: Sequence[str | Source], tokenizer: Tokenizer, context: str, processes: int
    ) -> TokenizedCorpus:
        """Tokenize some of the files."""
        return tokenize_corpus(
            files,
            tokenizer,
            lines=reads_lines(tokenizer.name, context),
            encoding=self.encoding,
            column=self.column,
            progress=self.progress,
            processes=processes,
        )


@dataclass(frozen=True)
class Reading:
    """How a text is read: tokenizer and context.

    Attributes:
        context: "sentence" or "stream".
        warnings: Warnings about the user dictionary.
        asks_text: Whether the context is chosen after reading the text.
    """

    tokenizer: Tokenizer
    context: str
    warnings: Sequence[str] = ()
    asks_text: bool = False

    @classmethod
    def of(cls, options: Options, origin: Origin | None = None) -> Reading:
        """Return the reading that the options describe, or that of the checkpoint that the training starts from.

        Raises:
            TokenizerError: options for words are given for another level, or the dictionary cannot be read.
        """
        if origin is not None:
            if options.user_dict:
                origin.check_user_words(options.user_dict)
            for kind, path in piece_files(options).items():
                origin.check_pieces(path, kind)
            return cls(origin.model.tokenizer, origin.model.context)
        if pieces := piece_files(options):
            return cls(
                _piece_tokenizer(options, pieces),
                options.context or "sentence",
                (),
                not (options.context or options.bidirectional),
            )
        tokenizer, warnings = make_tokenizer(
            options.level, options.segmenter, options.hmm, options.user_dict, options.lowercase
        )
        stream = tokenizer.name == "char" and not options.bidirectional
        asks_text = not (options.context or stream or options.bidirectional)
        return cls(tokenizer, options.context or ("stream" if stream else "sentence"), warnings, asks_text)


@dataclass(frozen=True)
class Dataset:
    """A tokenized text with its vocabulary and its held-out part.

    Attributes:
        train, valid: Ids; valid is None if nothing is held out.
        coverage: Share of the tokens of the training part that are in the vocabulary.
        counts: (V,) counts of the tokens in the training part.
        corpora: The text and, if given, the separate validation text.
        held_out: Description of the held-out part for the user; empty for a separate validation text.
        split_version: Version of the rules of holding out a part.
        shows_unknown: Whether the training part contains <unk>, so that rare words need not be read as <unk>.
        notes: Messages for the user.
        cohesion: Cohesion of consecutive lines, if it decided the context.
    """

    reading: Reading
    vocabulary: Vocabulary
    train: IdSequence
    valid: IdSequence | None
    coverage: float
    counts: Array
    corpora: list[TokenizedCorpus]
    held_out: str
    split_version: int
    shows_unknown: bool
    notes: list[str] = field(default_factory=list)
    cohesion: Cohesion | None = None

    @classmethod
    def read(
        cls,
        sources: Sources,
        options: Options,
        reading: Reading,
        processes: int = 1,
        vocabulary: Vocabulary | None = None,
        version: int = VERSION,
    ) -> Dataset:
        """Tokenize a text, hold out a part of it, and build the vocabulary from the rest.

        Args:
            sources: The text.
            options: Options of the vocabulary and `valid_fraction` are used.
            reading: Tokenizer and context.
            processes: Maximum number of processes that tokenize.
            vocabulary: A fixed vocabulary, instead of one built from the text.
            version: Version of the rules of holding out a part.

        Raises:
            CorpusError: the text cannot be read, or has nothing to train or validate on.
        """
        corpus = sources.tokenize(sources.corpus, reading.tokenizer, reading.context, processes)
        N = len(corpus.ids)
        if N < 2:
            raise CorpusError(f"{sources.names} has {N} tokens; there is nothing to learn. Use a longer text.")
        before = cohesion(corpus.ids) if reading.asks_text else None
        corpus.release()
        if before is not None and before.tells:
            reading = replace(reading, context="stream")
        corpora = [corpus]
        if sources.valid:
            corpora += [sources.tokenize([sources.valid], reading.tokenizer, reading.context, processes)]
        fraction = 0.0 if sources.valid else options.valid_fraction
        parts = split(corpus, fraction, reading.context, version)
        counts = _counts(corpus, parts)
        said = list[str]()
        if vocabulary is None:
            vocabulary, said = build_vocabulary(corpus, counts, options, reading.tokenizer)
        else:
            check_given_tokens(options, reading.tokenizer, vocabulary)
        mapping = np.concatenate([np.arange(FIRST), vocabulary.encode(corpus.tokens)])
        by_id = np.bincount(mapping, weights=counts, minlength=len(vocabulary))
        notes = [*reading.warnings, *(note for each in corpora for note in each.notes), *said]
        if fraction and not parts.held_out:
            notes.append(_nothing_held_out(corpus, reading.context, fraction))
        return cls(
            reading=reading,
            vocabulary=vocabulary,
            train=sequence(corpus, vocabulary, parts.train),
            valid=_validation(sources, corpora, parts, vocabulary),
            coverage=float(1 - by_id[UNK] / counts.sum()),
            counts=by_id,
            corpora=corpora,
            held_out=parts.how,
            split_version=version,
            shows_unknown=options.min_count > 1 or bool(vocabulary.unknown) or bool(said and by_id[UNK]),
            notes=notes,
            cohesion=before,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the texts, joined by "+"."""
        return "+".join(corpus.digest for corpus in self.corpora)

    @property
    def characters(self) -> int:
        """Number of characters of the texts."""
        return sum(corpus.characters for corpus in self.corpora)

    @property
    def rare(self) -> Array | None:
        """Mask (V,) of the words to read sometimes as <unk>, so that the model learns about unknown words.

        None if the text already contains <unk> or words outside the vocabulary, or is so short that nearly every word
        occurs once.
        """
        return None if self.shows_unknown or len(self.train) < TINY_TEXT else self.counts == 1

    def to_header(self) -> dict[str, Any]:
        """Return the record of the text in a checkpoint."""
        return {
            **self.corpora[0].to_header(),
            "digest": self.digest,
            "train_tokens": len(self.train),
            "split": self.split_version,
        }

    def changes(self, origin: Origin) -> list[str]:
        """Return messages for the user if a training is resumed on a changed text.

        Raises:
            CorpusError: the text has changed, without permission by `changed_text`.
        """
        if origin.has_text(self.digest):
            return []
        if not origin.changed_text:
            raise CorpusError(
                "The text is not the one that this checkpoint was trained on (its content has changed). Resume with "
                "the same files in the same order and the same --column, add --changed-text to continue with this one, "
                "or start a new model from these weights with --init-from."
            )
        best = " The best model is measured again on the current held-out text." if self.valid is not None else ""
        return [
            "The text is not the one that this checkpoint was trained on. The training continues at the same share of "
            f"its epoch with its old vocabulary; new tokens are read as <unk>.{best}"
        ]


def piece_files(options: Options) -> dict[str, str]:
    """Return the given files of subword tokenizers, by kind."""
    files = {SENTENCEPIECE: options.sentencepiece, HUGGING_FACE: options.tokenizer}
    return {kind: path for kind, path in files.items() if path is not None}


def _piece_tokenizer(options: Options, files: dict[str, str]) -> PieceTokenizer:
    """Read a subword tokenizer.

    Raises:
        TokenizerError: options of another tokenizer are given, too.
    """
    kind, path = next(iter(files.items()))
    others = {
        "--level": options.level not in ("auto", "token"),
        "--segmenter": options.segmenter != "auto",
        "--hmm": options.hmm,
        "--user-dict": options.user_dict is not None,
        "--tokenizer": len(files) > 1,
    }
    if option := next((name for name, is_given in others.items() if is_given), None):
        raise TokenizerError(
            f"{PIECE_OPTIONS[kind]} says what a token is, and so does {option}. Leave {option} out, or the other."
        )
    tokenizer = PieceTokenizer.read(path, kind)
    tokenizer.lowercase = options.lowercase
    return tokenizer


def check_reading(options: Options, context: str) -> None:
    """Check that the options can be combined with the context, if possible before the text is read.

    Raises:
        TrainingError: they cannot.
    """
    if options.bidirectional and context == "stream":
        raise TrainingError(
            "A bidirectional model needs the end of what it reads; --context stream has none. Use --context sentence."
        )
    if options.line_resets and (context == "sentence" or options.level == "char"):
        raise TrainingError(
            "--line-resets is for words or tokens that are read as one stream. The state is reset at every sentence "
            "anyway, and a stream of characters has no lines. Leave it out, or use --context stream."
        )
    if options.shift and context == "sentence":
        raise TrainingError(
            "--shift is for a text that is read as one stream; here it is read sentence by sentence, in a new order "
            "every epoch. Leave --shift out, or use --context stream."
        )


def _validation(
    sources: Sources, corpora: list[TokenizedCorpus], parts: Split, vocabulary: Vocabulary
) -> IdSequence | None:
    if len(corpora) > 1:
        valid = sequence(corpora[1], vocabulary)
        if not len(valid):
            raise CorpusError(f"{sources.valid} has no tokens; nothing can be validated on it.")
        return valid
    if not parts.held_out:
        return None
    return sequence(corpora[0], vocabulary, measured(corpora[0], parts.held_out, MOST_VALIDATED))


def _counts(corpus: TokenizedCorpus, parts: Split) -> Array:
    """Return the count of each id of the corpus in the training part; a cut line counts as one with </s>."""
    counts = corpus.counts()
    for stretch in parts.held_out:
        counts -= corpus.counts(stretch.start, stretch.stop)
    counts[EOS] += sum(stretch.cut for stretch in parts.train)
    return counts


def _nothing_held_out(corpus: TokenizedCorpus, context: str, fraction: float) -> str:
    lines = int(corpus.counts()[EOS])
    counted = Sentence("{n} line" if lines == 1 else "{n} lines", n=f"{lines:,}")
    why = "a text of {lines} has no place where about {share} of it can be cut off"
    remedy = "--valid FILE"
    if context == "stream":
        why = "{share} of {tokens} tokens would be too few"
    elif len(corpus.ids) > LONG_LINE * lines:
        remedy = "--valid FILE, or --context stream for text without lines"
    return Sentence(
        "Nothing is held out to validate on: {why}. The whole text is used for training, and the last model is kept. "
        "To validate, use {remedy}.",
        why=Sentence(why, lines=counted, share=f"{fraction:g}", tokens=f"{len(corpus.ids):,}"),
        remedy=Sentence(remedy),
    )
