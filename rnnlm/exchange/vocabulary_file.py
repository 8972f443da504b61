"""The file beside weights: what the ids mean, and what weights do not tell of a model.

Export writes JSON:

    {
      "format": "rnnlm vocabulary",
      "version": 1,
      "tokens": ["<s>", "</s>", "<unk>", "我", ...],       in the order of the ids; the first three are reserved
      "counts": [0, 0, 0, 5, ...],                         in the training text; <s> and </s> have 0
      "level": "word",                                     or "char", "token"
      "tokenizer": {"name": "word", "options": {...}},     as in a checkpoint
      "context": "sentence",                               or "stream"
      "line_before": [],                                   ids of a line that a model of a stream reads before a line
      "line_resets": false,                                whether a model of a stream may read a line from <s> on
      "network": {"cell": "lstm", "activation": "tanh", ...}
    }

To import, `tokens` is enough; what else is missing has to be said. A token of text may be spelt "</s>": it has an id
from 3 on, and is not the reserved one. Other programs write, and import reads, too:

- JSON: a list of the tokens, {token: id}, {id: token}, or an object in which one of these stands under any name;
- text: a token and its id on every line, in one order or the other, or a token alone, whose id is the line's number.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rnnlm.errors import ExchangeError, RnnlmError, shown
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import line_of_header, tokenizer_from_header
from rnnlm.names import CONTEXTS
from rnnlm.nn.network import NetworkConfig
from rnnlm.schema import choice, integer, list_of
from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import FIRST, MOST_COUNTED, SPECIALS

FORMAT, VERSION = "rnnlm vocabulary", 1
MAX_BYTES = 64 * 2**20  # as for a checkpoint's header, which will hold it
_TOKEN = re.compile(r"[ \t]*[^ \t]+[ \t]*|[ \t]")
_TOKEN_NUMBER = re.compile(r"([^ \t]+|[ \t])[ \t]+(-?[0-9][0-9.eE+-]{,30})[ \t]*")
_NUMBER_TOKEN = re.compile(r"([0-9]{1,10})[ \t]+?([^ \t]+|[ \t])")


class Described(NamedTuple):
    """What a vocabulary file says; None where it says nothing. Tokens and their counts are in the order of the ids."""

    tokens: list[str]
    counts: list[int]
    tokenizer: Tokenizer | None
    context: str | None
    network: NetworkConfig | None
    line_before: list[int]
    line_resets: bool = False


def encode(model: LanguageModel) -> bytes:
    """The content of a model's vocabulary file."""
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
    """What a vocabulary file says.

    Raises:
        ExchangeError: it is missing, has none of the forms above, or says what cannot be.
    """
    path = Path(path)
    document = _document(path)
    try:
        tokens = _plain_tokens(document)
        if tokens is None and isinstance(document, dict) and "tokens" not in document:
            tokens = _tokens_inside(document)
        if tokens is not None:
            return Described(_checked(tokens), [0] * len(tokens), None, None, None, [])
        if not isinstance(document, dict) or "tokens" not in document:
            raise ExchangeError(
                'it has no "tokens"; expected a list of them, {token: id}, or an object in which one of these stands'
            )
        _check_version(document)
        tokens = _checked(document["tokens"])
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


def _document(path: Path) -> Any:
    """The content of a file: of JSON its value, of other text its lines as tokens."""
    try:
        if not path.is_file():
            raise ExchangeError(
                f"{path} is not there, or is no file; expected the vocabulary of the weights, as JSON or as lines of "
                "text. Name it with --vocabulary."
            )
        if path.stat().st_size > MAX_BYTES:
            raise ExchangeError(f"{path} has {path.stat().st_size:,} bytes; a vocabulary has at most {MAX_BYTES:,}.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ExchangeError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{path} is not JSON in UTF-8, and no list of words: {error}. Write the tokens in the order of their ids "
            "with json.dump(tokens, file)."
        ) from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if path.suffix == ".json":
            raise ExchangeError(f"{path} is not JSON in UTF-8: {error}. Expected the vocabulary of a model.") from None
    try:
        return _tokens_of_lines(text)
    except ExchangeError as error:
        raise ExchangeError(f"{path} is not JSON, and no list of words: {error}.") from None


def _tokens_of_lines(text: str) -> list[str]:
    """Tokens, in the order of their ids, of lines with a token and its id, the same in turn, or a token alone.

    Negative and broken numbers beside the tokens are no ids but scores, as SentencePiece writes them: then, and where
    a token stands alone, the line's number is the id.
    """
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    for pattern, token, number in ((_TOKEN_NUMBER, 1, 2), (_NUMBER_TOKEN, 2, 1)):
        matches = [match for match in map(pattern.fullmatch, lines) if match]
        if len(matches) < len(lines):
            continue
        if not all(match[number].isdecimal() for match in matches):
            return [match[token] for match in matches]
        pairs = [(match[token], int(match[number])) for match in matches]
        if pattern is _NUMBER_TOKEN or _are_ids(pairs) or not all(map(_NUMBER_TOKEN.fullmatch, lines)):
            return _in_order(pairs)
    for place, line in enumerate(lines, 1):
        if not _TOKEN.fullmatch(line):
            raise ExchangeError(
                f"line {place:,} is {shown(line)}; expected on every line one token, or a token and its id"
            )
    return [line.strip(" \t") or line for line in lines]


def _plain_tokens(document: Any) -> list[Any] | None:
    """Tokens, in the order of their ids, of a JSON value that is nothing but them."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or not document:
        return None
    if all(type(token_id) is int for token_id in document.values()):
        return _in_order(list(document.items()))
    if all(key.isdecimal() and key.isascii() and len(key) < 10 for key in document):
        return _in_order([(token, int(key)) for key, token in document.items()])
    return None


def _tokens_inside(document: Mapping[str, Any]) -> list[Any] | None:
    """Tokens of an object that has them under some name; of several lists the longest, in all its forms."""
    found, refusals = [], []
    for part in document.values():
        try:
            tokens = _plain_tokens(part)
        except ExchangeError as error:  # counts are numbers, too
            refusals.append(error)
            continue
        if tokens and all(isinstance(token, str) for token in tokens):
            found.append(tokens)
    longest = [tokens for tokens in found if len(tokens) == max(map(len, found))]
    if any(tokens != longest[0] for tokens in longest):
        raise ExchangeError("it has several lists of tokens, which differ; expected one, called tokens")
    if refusals and not found:
        raise refusals[0]
    return longest[0] if longest else None


def _are_ids(pairs: Iterable[tuple[Any, int]]) -> bool:
    ids = sorted(token_id for _, token_id in pairs)
    return ids == list(range(len(ids)))


def _in_order(pairs: list[tuple[Any, int]]) -> list[Any]:
    """The tokens of (token, id), in the order of the ids, of which each must be there once."""
    if not _are_ids(pairs):
        token, token_id = max(pairs, key=lambda pair: pair[1])
        raise ExchangeError(
            f"the ids of its {len(pairs):,} tokens are not the numbers from 0 to {len(pairs) - 1:,}, each of them "
            f"once; the largest is {token_id:,}, of {shown(token)}. If they are counts, leave them out, and write the "
            "tokens in the order of their ids, one a line"
        )
    return [token for token, _ in sorted(pairs, key=lambda pair: pair[1])]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_version(document: Mapping[str, Any]) -> None:
    kind, version = document.get("format", FORMAT), document.get("version", VERSION)
    if kind != FORMAT:
        raise ExchangeError(f"its format is {shown(kind)}, expected {FORMAT!r}")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ExchangeError(f"its version is {shown(version)}, this rnnlm reads {VERSION}. Use a newer rnnlm")


def _checked(tokens: Any) -> list[str]:
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise ExchangeError("its tokens are not a list of strings of at least one character")
    if not set(tokens[:FIRST]) - set(SPECIALS) and len(tokens) <= FIRST:
        raise ExchangeError(f"its tokens are {shown(tokens)}; expected at least one token of text")
    reserved = FIRST if tuple(tokens[:FIRST]) == SPECIALS else 0  # which a text may spell, too
    seen: set[str] = set()
    for token_id, token in enumerate(tokens[reserved:], reserved):
        if token in seen:
            raise ExchangeError(f"the token {shown(token)} is there twice, the second time as id {token_id:,}")
        if any("\ud800" <= character <= "\udfff" for character in token):
            raise ExchangeError(f"the token of id {token_id:,} holds half of a surrogate pair, which is no text")
        seen.add(token)
    return tokens


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
