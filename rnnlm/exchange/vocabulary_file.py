"""The vocabulary file of exported weights: tokens of the ids, and settings that the weights do not contain.

Export writes JSON:

    {
      "format": "rnnlm vocabulary",
      "version": 1,
      "tokens": ["<s>", "</s>", "<unk>", "我", ...],       in order of the ids; the first three are reserved
      "counts": [0, 0, 0, 5, ...],                         in the training text; <s> and </s> have 0
      "level": "word",                                     or "char", "token"
      "tokenizer": {"name": "word", "options": {...}},     as in a checkpoint
      "context": "sentence",                               or "stream"
      "line_before": [],                                   ids of a line that a model of a stream reads before a line
      "line_resets": false,                                whether a model of a stream may read a line from <s> on
      "network": {"cell": "lstm", "activation": "tanh", ...}
    }

An import needs only `tokens`; missing settings have to be given as options. A token of the text may be spelt "</s>":
its id is 3 or more, different from the reserved one. Vocabulary files of other programs are read, too; see
`text.token_lists`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlm.errors import ExchangeError, RnnlmError, VocabularyError, shown
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import line_of_header, tokenizer_from_header
from rnnlm.names import CONTEXTS
from rnnlm.nn.network import NetworkConfig
from rnnlm.schema import choice, integer, list_of
from rnnlm.text.token_lists import checked, plain_tokens, read_document, tokens_inside
from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import MOST_COUNTED, SPECIALS

FORMAT, VERSION = "rnnlm vocabulary", 1


class Described(NamedTuple):
    """Contents of a vocabulary file; None for missing fields. Tokens and counts are in order of the ids."""

    tokens: list[str]
    counts: list[int]
    tokenizer: Tokenizer | None
    context: str | None
    network: NetworkConfig | None
    line_before: list[int]
    line_resets: bool = False


def encode(model: LanguageModel) -> bytes:
    """Return the contents of the vocabulary file of a model."""
    vocabulary = model.vocabulary
    document = {
        "format": FORMAT,
        "version": VERSION,
        "level": model.level,
        "context": model.context,
        "line_before": model.line_before,
        "line_resets": model.line_resets,
        "tokenizer": {"name": model.tokenizer.name, "options": model.tokenizer.options()},
        "network": model.network.config.to_header(),
        "tokens": [*SPECIALS, *vocabulary.tokens],
        "counts": [0, 0, vocabulary.unknown, *vocabulary.counts],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def read(path: str | os.PathLike[str]) -> Described:
    """Read a vocabulary file.

    Raises:
        ExchangeError: the file is missing, of an unknown format, or invalid.
    """
    path = Path(path)
    try:
        document = read_document(path)
    except VocabularyError as error:
        raise ExchangeError(*error.args) from None
    try:
        tokens = plain_tokens(document)
        if tokens is None and isinstance(document, dict) and "tokens" not in document:
            tokens = tokens_inside(document)
        if tokens is not None:
            return Described(checked(tokens), [0] * len(tokens), None, None, None, [])
        if not isinstance(document, dict) or "tokens" not in document:
            raise ExchangeError(
                'it has no "tokens"; expected a list of them, {token: id}, or an object in which one of these stands'
            )
        _check_version(document)
        tokens = checked(document["tokens"])
        counts, context = document.get("counts"), document.get("context")
        kind = list_of(integer(0, MOST_COUNTED, exact=True), len(tokens), len(tokens))
        return Described(
            tokens,
            [0] * len(tokens) if counts is None else kind.read(counts, "counts"),
            _tokenizer(document),
            None if context is None else choice(CONTEXTS).read(context, "context"),
            None if document.get("network") is None else NetworkConfig.from_header(document["network"]),
            line_of_header(document.get("line_before"), len(tokens)),
            document.get("line_resets") is True,
        )
    except RnnlmError as error:
        reason = str(error).rstrip(".")
        raise ExchangeError(f"{path} is not the vocabulary of a model: {reason}.") from None


def _check_version(document: Mapping[str, Any]) -> None:
    kind, version = document.get("format", FORMAT), document.get("version", VERSION)
    if kind != FORMAT:
        raise ExchangeError(f"its format is {shown(kind)}, expected {FORMAT!r}")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ExchangeError(f"its version is {shown(version)}, this rnnlm reads {VERSION}. Use a newer rnnlm")


def _tokenizer(document: Mapping[str, Any]) -> Tokenizer | None:
    level, described = document.get("level"), document.get("tokenizer")
    if described is None:
        if level is None:
            return None
        described = {"name": level, "options": {}}
        if level == "word":
            from rnnlm.text.tokenizers import WordTokenizer

            return WordTokenizer()
    tokenizer = tokenizer_from_header(described)
    if level not in (None, tokenizer.name):
        raise ExchangeError(f"its level is {shown(level)}, that of its tokenizer is {tokenizer.name!r}")
    return tokenizer
