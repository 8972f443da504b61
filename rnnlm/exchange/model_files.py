"""Export of models to files of weights with a vocabulary file, and import of such files."""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from rnnlm.codec import reads_lines
from rnnlm.errors import ExchangeError, RnnlmError, shown
from rnnlm.exchange import special_tokens, vocabulary_file, weight_files
from rnnlm.exchange.network_from_weights import recognise
from rnnlm.exchange.onnx_graph import encode_onnx
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.sentences import Sentence, listed
from rnnlm.storage.atomic import not_written, replacing
from rnnlm.text.pieces import PieceTokenizer
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, tokenizer_class
from rnnlm.text.vocabulary import BOS, FIRST, SPECIALS, UNK, Vocabulary


class Format(NamedTuple):
    """An export format."""

    extension: str
    encode: Callable[[Network], bytes]


FORMATS = {
    "torch": Format(".pt", weight_files.encode_torch),
    "safetensors": Format(".safetensors", weight_files.encode_safetensors),
    "onnx": Format(".onnx", encode_onnx),
}
VOCABULARY_EXTENSION = ".vocabulary.json"


def vocabulary_path(path: Path) -> Path:
    """Return the path of the vocabulary file that belongs to a file of weights.

    >>> str(vocabulary_path(Path("models/rnnlm.safetensors")))
    'models/rnnlm.vocabulary.json'
    """
    return path.parent / (path.stem + VOCABULARY_EXTENSION)  # with_name() fails for an empty name


class Export(NamedTuple):
    """Contents of the two files of an exported model."""

    weights: bytes
    vocabulary: bytes

    def save(self, path: Path) -> None:
        """Write both files, each atomically.

        Raises:
            SavingError: one of them cannot be written.
        """
        beside = vocabulary_path(path)
        try:
            with replacing(beside) as vocabulary, replacing(path) as weights:
                vocabulary.write(self.vocabulary)
                weights.write(self.weights)
        except OSError as error:
            raise not_written(path, error) from error


def export(model: LanguageModel, to: str) -> Export:
    """Return a model encoded in a format of FORMATS.

    Raises:
        ExchangeError: the model is not a network, a package is missing, or the network is too large for the format.
    """
    if model.kind != "rnn":
        raise ExchangeError(
            f"The model is of the kind {model.kind}; expected a recurrent network. For other programs an n-gram "
            "model is written by rnnlm ngram train --arpa."
        )
    return Export(FORMATS[to].encode(model.network), vocabulary_file.encode(model))


class Choices(NamedTuple):
    """Options of an import; None for the value in the vocabulary file, or the default."""

    activation: str | None = None
    level: str | None = None
    context: str | None = None
    segmenter: str | None = None
    bos: str | None = None  # tokens of the file that stand for <s>, </s> and <unk>
    eos: str | None = None
    unk: str | None = None
    pieces: PieceTokenizer | None = None  # tokenizer that produces the tokens of the file


def import_model(
    weights: str | PathLike[str], vocabulary: str | PathLike[str], choices: Choices | None = None
) -> tuple[LanguageModel, list[str]]:
    """Return the model of a file of weights and a vocabulary file, and notes on how they were interpreted.

    Raises:
        ExchangeError: a file is missing, damaged or of an unknown format, or the files do not match each other or the
            choices.
    """
    choices = choices or Choices()
    described = vocabulary_file.read(vocabulary)
    found = weight_files.read(weights)
    try:
        recognised = recognise(found.arrays, described.network, choices.activation)
    except ExchangeError as error:
        raise ExchangeError(f"{weights}: {error}") from None
    config = recognised.config
    tokens, notes = _fitting(described, config, vocabulary, weights)
    tokenizer = _tokenizer(described.tokenizer, choices, vocabulary)
    context = _chosen("context", described.context, choices.context, vocabulary) or _usual_context(tokenizer, config)
    named = (choices.bos, choices.eos, choices.unk)
    if described.network is not None and any(named):
        raise ExchangeError(f"{vocabulary} was written by rnnlm. Leave {', '.join(special_tokens.OPTIONS)} out.")
    try:
        arrangement = special_tokens.arrange(tokens, named, not reads_lines(tokenizer.name, context))
        config, params = special_tokens.rearranged(config, recognised.params, arrangement)
    except ExchangeError as error:
        raise ExchangeError(f"{vocabulary}: {str(error).rstrip('.')}.") from None
    words = [tokens[row] for row in arrangement.rows[FIRST:]]
    _check_characters(words, tokenizer, vocabulary)
    if choices.pieces is not None:
        _check_pieces(words, choices.pieces, vocabulary)
    counts = [described.counts[row] if row >= 0 else 0 for row in arrangement.rows]
    if context == "stream" and config.bidirectional:
        raise ExchangeError("A bidirectional model needs the end of what it reads. Use --context sentence.")
    training = {"imported": found.kind, "options": _options(config, tokenizer, context)}
    known = Vocabulary(words, counts[FIRST:], counts[UNK])
    model = LanguageModel(tokenizer, known, network_of(config, params), context, training)
    model.line_before, model.line_resets = described.line_before, described.line_resets
    try:
        model.check_savable()
    except RnnlmError as error:
        raise ExchangeError(f"{weights} and {vocabulary} do not make a model that can be saved. {error}") from None
    if not choices.context and not described.context and context == "sentence" and BOS in arrangement.silent:
        notes.append(
            Sentence(
                "Each line is read independently. If the model was trained on continuous text, use --context stream."
            )
        )
    if found.ignored:
        ignored = listed(list(map(shown, sorted(found.ignored))), 4)
        notes.append(Sentence("Ignored, because no network has it: {names}.", names=ignored))
    return model, [*notes, *recognised.notes, *arrangement.notes]


def _fitting(
    described: vocabulary_file.Described, config: NetworkConfig, vocabulary: str | PathLike[str], weights: Any
) -> tuple[list[str], list[str]]:
    """Return the tokens that the weights have rows for, and notes.

    Kaldi and icefall append #0, #1, ... to the tokens, which distinguish homophones in a lexicon; they are dropped.
    """
    tokens, size = described.tokens, config.vocabulary_size
    rest = tokens[size:]
    if rest and all(re.fullmatch(r"#[0-9]+", token) for token in rest):
        symbols = "The disambiguation symbols {first} to {last} are left out."
        return tokens[:size], [Sentence(symbols, first=rest[0], last=rest[-1])]
    if len(tokens) != size:
        reserved = f", {FIRST} of them reserved" if tuple(tokens[:FIRST]) == SPECIALS else ""
        raise ExchangeError(
            f"{vocabulary} has {len(tokens):,} tokens{reserved}; the weights in {weights} are for {size:,}. Give the "
            "vocabulary that they were trained with."
        )
    return tokens, []


def import_arpa(path: str | PathLike[str], choices: Choices | None = None) -> LanguageModel:
    """Return the n-gram model of an ARPA file; unless the choices say otherwise, tokens are separated by spaces.

    Raises:
        CheckpointError: the file cannot be read, or a line, named in the message, is invalid.
        ExchangeError: the choices do not apply to the model.
    """
    choices = choices or Choices()
    for option in ("activation", "bos", "eos", "unk", "context"):
        value = getattr(choices, option)
        if value is None or (option, value) == ("context", "sentence"):
            continue
        option = f"--{option} {value}"
        raise ExchangeError(f"{path} is an ARPA file, an n-gram model of sentences: {option} does not go with it.")
    model = LanguageModel.from_arpa(path)
    if choices.level or choices.segmenter or choices.pieces:
        model.tokenizer = _tokenizer(
            None, choices if choices.pieces else choices._replace(level=choices.level or "word"), path
        )
        _check_characters(model.vocabulary.tokens, model.tokenizer, path)
    return model


def _chosen(option: str, described: str | None, chosen: str | None, path: str | PathLike[str]) -> str | None:
    """Return the value of the file or of the user; raise ExchangeError if both are given and differ."""
    if described is not None and chosen not in (None, described):
        raise ExchangeError(f"--{option} {chosen} contradicts {path}, which says {described}. Leave --{option} out.")
    return described or chosen


def _tokenizer(tokenizer: Tokenizer | None, choices: Choices, path: str | PathLike[str]) -> Tokenizer:
    if choices.pieces is not None:
        if tokenizer is not None or choices.level not in (None, "token") or choices.segmenter is not None:
            said = f"so does {path}" if tokenizer else "so do --level and --segmenter"
            raise ExchangeError(f"A file of pieces says what a token is, and {said}. Leave one of them out.")
        return choices.pieces
    level = _chosen("level", tokenizer.name if tokenizer else None, choices.level, path)
    if level is None:
        raise ExchangeError(f"{path} does not say what a token is. Say --level word, --level token or --level char.")
    if tokenizer is None:
        kind = tokenizer_class(level)
        return WordTokenizer(choices.segmenter or "auto") if kind is WordTokenizer else kind()
    _chosen("segmenter", tokenizer.settings().get("segmenter", "none"), choices.segmenter, path)
    return tokenizer


def _check_characters(tokens: list[str], tokenizer: Tokenizer, path: str | PathLike[str]) -> None:
    """Raise ExchangeError if a model of characters has longer tokens, other than marks such as <pad>."""
    long = (token for token in tokens if len(token) > 1 and not special_tokens.is_mark(token))
    if tokenizer.name == "char" and (token := next(long, None)) is not None:
        raise ExchangeError(
            f"{path} has the token {shown(token)}, which is not one character. Say --level word or token."
        )


def _check_pieces(tokens: list[str], pieces: PieceTokenizer, path: str | PathLike[str]) -> None:
    """Raise ExchangeError if fewer than half of the tokens are pieces of the tokenizer."""
    shared = len(set(tokens) & set(pieces.inventory()))
    if 2 * shared < len(tokens):
        raise ExchangeError(
            f"Of the {len(tokens):,} tokens of {path} {shared:,} are pieces of the tokenizer. Give the file of pieces "
            "that the model was trained with."
        )


def _usual_context(tokenizer: Tokenizer, config: NetworkConfig) -> str:
    return "stream" if tokenizer.name == "char" and not config.bidirectional else "sentence"


def _options(config: NetworkConfig, tokenizer: Tokenizer, context: str) -> dict[str, Any]:
    """Return the options of `rnnlm train` that a training from this model inherits."""
    settings = tokenizer.settings()
    return {
        "level": tokenizer.name,
        "context": context,
        "segmenter": settings.get("segmenter", "auto"),
        "hmm": settings.get("hmm", False),
        "cell": config.cell,
        "activation": config.activation,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "embedding_size": config.embedding_size,
        "bidirectional": config.bidirectional,
        "softmax": "adaptive" if config.output == "adaptive" else "full",
        "tied": config.tied,
    }
