"""The JSON file beside exported weights: what the ids mean, and what weights do not tell of a model.

    {
      "format": "rnnlm vocabulary",
      "version": 1,
      "tokens": ["<s>", "</s>", "<unk>", "我", ...],       in the order of the ids; the first three are reserved
      "counts": [0, 0, 0, 5, ...],                         in the training text; <s> and </s> have 0
      "level": "word",                                     or "char", "token"
      "tokenizer": {"name": "word", "options": {...}},     as in a checkpoint
      "context": "sentence",                               or "stream"
      "line_before": [],                                   ids of a line that a model of a stream reads before a line
      "network": {"cell": "lstm", "activation": "tanh", ...}
    }

To import, `tokens` is enough, or a JSON list of them in the place of the object; what else is missing has to be said.
A token of text may be spelt "</s>": it has an id from 3 on, and is not the reserved one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rnnlm.errors import ExchangeError, RnnlmError, shown
from rnnlm.language_model import CONTEXTS, LanguageModel, line_of_header, tokenizer_from_header
from rnnlm.nn.network import NetworkConfig
from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import FIRST, MOST_COUNTED, SPECIALS, UNK, Vocabulary

FORMAT, VERSION = "rnnlm vocabulary", 1
MAX_BYTES = 64 * 2**20  # as for a checkpoint's header, which will hold it


class Described(NamedTuple):
    """What a vocabulary file says; None where it says nothing."""

    vocabulary: Vocabulary
    tokenizer: Tokenizer | None
    context: str | None
    network: NetworkConfig | None
    line_before: list[int]


def encode(model: LanguageModel) -> bytes:
    """The content of a model's vocabulary file."""
    vocabulary = model.vocabulary
    document = {
        "format": FORMAT,
        "version": VERSION,
        "level": model.level,
        "context": model.context,
        "line_before": model.line_before,
        "tokenizer": {"name": model.tokenizer.name, "options": model.tokenizer.options()},
        "network": model.network.config.to_header(),
        "tokens": [*SPECIALS, *vocabulary.tokens],
        "counts": [0, 0, vocabulary.unknown, *vocabulary.counts],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def read(path: str | os.PathLike[str]) -> Described:
    """What a vocabulary file says.

    Raises:
        ExchangeError: it is missing, is not JSON, or says what can not be.
    """
    document = _json(Path(path))
    try:
        if isinstance(document, list):
            return Described(_vocabulary(document, None), None, None, None, [])
        if not isinstance(document, dict) or "tokens" not in document:
            raise ExchangeError('it has no "tokens"; expected a list of them, or an object in which it stands')
        _check_version(document)
        vocabulary = _vocabulary(document["tokens"], document.get("counts"))
        return Described(
            vocabulary,
            _tokenizer(document),
            _context(document.get("context")),
            None if document.get("network") is None else NetworkConfig.from_header(document["network"]),
            line_of_header(document.get("line_before"), len(vocabulary)),
        )
    except RnnlmError as error:
        reason = str(error).rstrip(".")
        raise ExchangeError(f"{path} is not the vocabulary of a model: {reason}.") from None


def _json(path: Path) -> Any:
    try:
        if not path.is_file():
            raise ExchangeError(
                f"{path} is not there, or is no file; expected the vocabulary of the weights, as JSON. Name it with "
                "--vocabulary."
            )
        if path.stat().st_size > MAX_BYTES:
            raise ExchangeError(f"{path} has {path.stat().st_size:,} bytes; a vocabulary has at most {MAX_BYTES:,}.")
        return json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_constant)
    except OSError as error:
        raise ExchangeError(f"{path} can not be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{path} is not JSON in UTF-8: {error}. Expected the vocabulary of a model.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_version(document: Mapping[str, Any]) -> None:
    kind, version = document.get("format", FORMAT), document.get("version", VERSION)
    if kind != FORMAT:
        raise ExchangeError(f"its format is {shown(kind)}, expected {FORMAT!r}")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ExchangeError(f"its version is {shown(version)}, this rnnlm reads {VERSION}. Use a newer rnnlm")


def _vocabulary(tokens: Any, counts: Any) -> Vocabulary:
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise ExchangeError("its tokens are not a list of strings of at least one character")
    if tuple(tokens[:FIRST]) != SPECIALS:
        raise ExchangeError(
            f"its first tokens are {', '.join(map(shown, tokens[:FIRST]))}; expected the reserved ones, "
            f"{', '.join(SPECIALS)}, as ids 0, 1 and 2"
        )
    words = tokens[FIRST:]
    seen: set[str] = set()
    for token_id, token in enumerate(words, FIRST):
        if token in seen:
            raise ExchangeError(f"the token {shown(token)} is there twice, the second time as id {token_id:,}")
        if any("\ud800" <= character <= "\udfff" for character in token):
            raise ExchangeError(f"the token of id {token_id:,} holds half of a surrogate pair, which is no text")
        seen.add(token)
    counts = [0] * len(tokens) if counts is None else counts
    if (
        not isinstance(counts, list)
        or len(counts) != len(tokens)
        or not all(type(count) is int and 0 <= count <= MOST_COUNTED for count in counts)
    ):
        raise ExchangeError(f"its counts are not {len(tokens):,} whole numbers up to 2^53, one for each token")
    return Vocabulary(words, counts[FIRST:], counts[UNK])


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


def _context(context: Any) -> str | None:
    if context is not None and context not in CONTEXTS:
        raise ExchangeError(f"its context is {shown(context)}; expected one of {', '.join(CONTEXTS)}")
    return context
