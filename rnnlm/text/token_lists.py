"""Read vocabularies of other programs as lists of tokens in the order of their ids.

- JSON: a list of tokens, {token: id}, {id: token}, or an object that has one of these under any name;
- text: a token and its id on every line, in either order, or a token alone, whose id is its line number from 0 on.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rnnlm.errors import RnnlmError, VocabularyError, shown
from rnnlm.text.vocabulary import FIRST, SPECIALS

MAX_BYTES = 64 * 2**20  # the limit of a checkpoint's header, which will hold the vocabulary
_TOKEN = re.compile(r"[ \t]*[^ \t]+[ \t]*|[ \t]")
_TOKEN_NUMBER = re.compile(r"([^ \t]+|[ \t])[ \t]+(-?[0-9][0-9.eE+-]{,30})[ \t]*")
_NUMBER_TOKEN = re.compile(r"([0-9]{1,10})[ \t]+?([^ \t]+|[ \t])")


def read_tokens(path: str | os.PathLike[str]) -> list[str]:
    """Return all tokens of a file, in the order of their ids.

    Raises:
        VocabularyError: The file is missing, has none of the forms above, or is not a valid vocabulary.
    """
    path = Path(path)
    document = read_document(path)
    try:
        return checked(tokens_of(document))
    except RnnlmError as error:
        reason = str(error).rstrip(".")
        raise VocabularyError(f"{path} is not the vocabulary of a model: {reason}.") from None


def tokens_of(document: Any) -> list[Any]:
    """Return the tokens of a JSON value: the value itself, its member "tokens", or a member that is a list of tokens.

    Raises:
        VocabularyError: There are none.
    """
    tokens = plain_tokens(document)
    if tokens is None and isinstance(document, dict):
        tokens = document["tokens"] if "tokens" in document else tokens_inside(document)
    if tokens is None:
        raise VocabularyError(
            'it has no "tokens"; expected a list of them, {token: id}, or an object in which one of these stands'
        )
    return tokens


def read_document(path: Path) -> Any:
    """Return the content of a file: the value of JSON, or the list of tokens of other text."""
    try:
        if not path.is_file():
            raise VocabularyError(
                f"{path} is not there, or is no file; expected a vocabulary, as JSON or as lines of "
                "text. Name it with --vocabulary."
            )
        if path.stat().st_size > MAX_BYTES:
            raise VocabularyError(f"{path} has {path.stat().st_size:,} bytes; a vocabulary has at most {MAX_BYTES:,}.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise VocabularyError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise VocabularyError(
            f"{path} is not JSON in UTF-8, and no list of words: {error}. Write the tokens in the order of their ids "
            "with json.dump(tokens, file)."
        ) from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if path.suffix == ".json":
            raise VocabularyError(
                f"{path} is not JSON in UTF-8: {error}. Expected the vocabulary of a model."
            ) from None
    try:
        return _tokens_of_lines(text)
    except VocabularyError as error:
        raise VocabularyError(f"{path} is not JSON, and no list of words: {error}.") from None


def _tokens_of_lines(text: str) -> list[str]:
    """Return the tokens, in the order of their ids, of lines "token id", "id token" or "token".

    Negative or fractional numbers after the tokens are scores, as SentencePiece writes them, and not ids. Then, and
    where tokens stand alone, the tokens keep the order of the lines.
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
            raise VocabularyError(
                f"line {place:,} is {shown(line)}; expected on every line one token, or a token and its id"
            )
    return [line.strip(" \t") or line for line in lines]


def plain_tokens(document: Any) -> list[Any] | None:
    """Return the tokens, in the order of their ids, of a list, {token: id} or {id: token}; None of other values."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or not document:
        return None
    if all(type(token_id) is int for token_id in document.values()):
        return _in_order(list(document.items()))
    if all(key.isdecimal() and key.isascii() and len(key) < 10 for key in document):
        return _in_order([(token, int(key)) for key, token in document.items()])
    return None


def tokens_inside(document: Mapping[str, Any]) -> list[Any] | None:
    """Return the longest list of tokens among the members of an object; None if there is none.

    Raises:
        VocabularyError: Several lists of that length differ, or all that look like lists have wrong ids.
    """
    found, refusals = [], []
    for part in document.values():
        try:
            tokens = plain_tokens(part)
        except VocabularyError as error:  # may be {token: count}
            refusals.append(error)
            continue
        if tokens and all(isinstance(token, str) for token in tokens):
            found.append(tokens)
    longest = [tokens for tokens in found if len(tokens) == max(map(len, found))]
    if any(tokens != longest[0] for tokens in longest):
        raise VocabularyError("it has several lists of tokens, which differ; expected one, called tokens")
    if refusals and not found:
        raise refusals[0]
    return longest[0] if longest else None


def _are_ids(pairs: Iterable[tuple[Any, int]]) -> bool:
    ids = sorted(token_id for _, token_id in pairs)
    return ids == list(range(len(ids)))


def _in_order(pairs: list[tuple[Any, int]]) -> list[Any]:
    """Return the tokens of pairs (token, id) in the order of ids; each id from 0 on must occur once."""
    if not _are_ids(pairs):
        token, token_id = max(pairs, key=lambda pair: pair[1])
        raise VocabularyError(
            f"the ids of its {len(pairs):,} tokens are not the numbers from 0 to {len(pairs) - 1:,}, each of them "
            f"once; the largest is {token_id:,}, of {shown(token)}. If they are counts, leave them out, and write the "
            "tokens in the order of their ids, one a line"
        )
    return [token for token, _ in sorted(pairs, key=lambda pair: pair[1])]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def checked(tokens: Any) -> list[str]:
    """Return the tokens if they are a valid vocabulary, else raise a VocabularyError."""
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise VocabularyError("its tokens are not a list of strings of at least one character")
    if not set(tokens[:FIRST]) - set(SPECIALS) and len(tokens) <= FIRST:
        raise VocabularyError(f"its tokens are {shown(tokens)}; expected at least one token of text")
    reserved = FIRST if tuple(tokens[:FIRST]) == SPECIALS else 0  # a token of text may be spelt like them
    seen: set[str] = set()
    for token_id, token in enumerate(tokens[reserved:], reserved):
        if token in seen:
            raise VocabularyError(f"the token {shown(token)} is there twice, the second time as id {token_id:,}")
        if any("\ud800" <= character <= "\udfff" for character in token):
            raise VocabularyError(f"the token of id {token_id:,} holds half of a surrogate pair")
        seen.add(token)
    return tokens
