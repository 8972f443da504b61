"""Subword pieces of another model, such as a speech recogniser: SentencePiece, or Hugging Face's tokenizer.json.

Checkpoints contain the tokenizer file, compressed, so that a model reads plain text without the original file.
"""

import base64
import binascii
import hashlib
import importlib
import itertools
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

from rnnlm.errors import TokenizerError, shown
from rnnlm.text.encodings import SURROGATE
from rnnlm.text.letter_case import as_read, case_setting, lowercase_of
from rnnlm.text.vocabulary import SPECIALS, UNKNOWN

SENTENCEPIECE, HUGGING_FACE = "sentencepiece", "tokenizers"  # the packages
OPTIONS = {SENTENCEPIECE: "--sentencepiece", HUGGING_FACE: "--tokenizer"}
LARGEST_FILE = 64 << 20  # bytes
_COPY = "Use the file that the tokenizer's training wrote"
_REMEMBERED = 4  # pieces that are decoded again as context of a new piece
_LONGEST_CHARACTER = 4  # bytes in UTF-8, each of which may be a piece
_INCOMPLETE = "\ufffd"  # decoded from the bytes of an incomplete character
_STAND_IN = "\ue000"  # stands for the unknown token: it is not a piece, and is decoded to itself
_UNKNOWN = re.compile(r"(?<![^ \t\n\r\v\f])(?:<unk>|<UNK>)(?![^ \t\n\r\v\f])")
_SPACES = " \t\n\r\v\f"
_BEGIN, _END = re.compile(r"\s*<s>(?!\S)", re.ASCII), re.compile(r"(?<!\S)</s>\s*$", re.ASCII)


class Engine(Protocol):
    """The interface of the packages that cut a text into pieces."""

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text; unknown parts of it are returned as they are."""

    def places(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each piece in the text."""

    def decode(self, pieces: list[str]) -> str:
        """Return the text of pieces."""

    def inventory(self) -> list[str]:
        """Return all pieces in the order of their ids, without control pieces and the unknown piece."""


class PieceTokenizer:
    """A tokenizer of level "token" that cuts lines into pieces by a tokenizer file of another program.

    <unk> and <UNK> between spaces are the unknown token; <s> and </s> at the ends of a line are not tokens.

    Args:
        kind: "sentencepiece" or "tokenizers", the package that reads the file.
        file: Content of the file.
        lowercase: Read all text in lower case.
    """

    name = "token"
    reads_marks = cuts_words = True

    def __init__(self, kind: str, file: bytes, lowercase: bool = False) -> None:
        self.kind, self._file, self.lowercase = kind, file, lowercase
        self._digest = hashlib.sha256(file).hexdigest()

    @classmethod
    def read(cls, path: str | os.PathLike[str], kind: str) -> Self:
        """Read a tokenizer file.

        Raises:
            TokenizerError: The file cannot be read or is not of this kind, or the package is not installed.
        """
        path = Path(path)
        try:
            if path.is_file() and path.stat().st_size > LARGEST_FILE:
                raise TokenizerError(f"{path} has {path.stat().st_size:,} bytes; expected at most {LARGEST_FILE:,}.")
            tokenizer = cls(kind, path.read_bytes())
        except OSError as error:
            raise TokenizerError(f"{OPTIONS[kind]} {path} cannot be read: {error.strerror or error}.") from None
        try:
            tokenizer.inventory()
        except _NotThisError as error:
            if kind == SENTENCEPIECE:
                what = "a model of SentencePiece"
                remedy = f"Give it as {OPTIONS[HUGGING_FACE]}" if tokenizer._file.lstrip()[:1] == b"{" else _COPY
            else:
                what = "a tokenizer.json of Hugging Face"
                remedy = f"Give it as {OPTIONS[SENTENCEPIECE]}" if b"\0" in tokenizer._file[:4096] else _COPY
            raise TokenizerError(f"{path} is not {what}: {error}. {remedy}.") from None
        return tokenizer

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Return the tokenizer with the given `options()`.

        Raises:
            TokenizerError: The options are malformed.
        """
        kind, packed = options.get("pieces"), options.get("file")
        try:
            if kind not in OPTIONS or not isinstance(packed, str):
                raise ValueError
            unpacker = zlib.decompressobj()
            file = unpacker.decompress(base64.b64decode(packed, validate=True), LARGEST_FILE)
            if not unpacker.eof:
                raise ValueError
        except (ValueError, binascii.Error, zlib.error):
            raise TokenizerError(
                f"The checkpoint's pieces by {shown(kind)} are damaged; use another copy of it or train again."
            ) from None
        return cls(kind, file, lowercase_of(options))

    def settings(self) -> dict[str, Any]:
        """Return the kind, the SHA-256 of the file in hex, and, if True, `lowercase`."""
        return {"pieces": self.kind, "sha256": self._digest, **case_setting(self)}

    def options(self) -> dict[str, Any]:
        """Return the settings and the compressed file in base64."""
        return {**self.settings(), "file": base64.b64encode(zlib.compress(self._file, 9)).decode("ascii")}

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Return whether the options are those of a tokenizer with the same file."""
        return (options.get("pieces"), options.get("sha256")) == (self.kind, self._digest)

    @cached_property
    def _engine(self) -> Engine:
        return _ENGINES[self.kind](self._file)

    @cached_property
    def keeps_spaces(self) -> bool:
        """Whether spaces at the ends of a line and repeated spaces are kept."""
        line = " a  b "
        return self._engine.decode(self._engine.cut(line)) == line

    @cached_property
    def _cuts_spaces(self) -> bool:
        """Whether a word is cut differently after a space than at the beginning of a text."""
        first = self._engine.cut("b")
        return self._engine.cut("a b")[-len(first) :] != first

    def inventory(self) -> list[str]:
        """Return all pieces in the order of their ids in the file."""
        return list(dict.fromkeys(piece for piece in self._engine.inventory() if piece not in (*SPECIALS, "<UNK>", "")))

    def tokenize(self, text: str) -> list[str]:
        """Return the pieces of a line.

        Raises:
            TokenizerError: The package is not installed, or it refuses the file.
        """
        if "<" not in text:
            return self._engine.cut(as_read(self, text))
        tokens: list[str] = []
        for part, start in _parts(text, self._cuts_spaces):
            tokens += [SPECIALS[2]] if start is None else self._engine.cut(as_read(self, part))
        return tokens

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Return the start and end of each token in its line; tokens that are bytes of a character may be empty spans.

        The line is cut again, so `tokens` is not used.
        """
        del tokens
        found: list[tuple[int, int]] = []
        end = 0
        for part, start in _parts(line, self._cuts_spaces):
            if start is None:
                place = line.index(part, end)
                places = [(place, place + len(part))]
            else:
                places = [(start + first, start + last) for first, last in self._engine.places(as_read(self, part))]
            for first, last in places:
                first, end = max(first, end), max(last, end)
                first += len(line[first:end]) - len(line[first:end].lstrip()) if line[first:end].strip() else 0
                found.append((first, end))
        return found

    def join(self, tokens: Iterable[str]) -> str:
        """Return the text of tokens, without the bytes of an incomplete character at the end."""
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Yield the text that each token adds; the last of the tokens of a character adds the character."""
        return map(self.spacing().add, tokens)

    def spacing(self, like: str = "") -> "_PieceSpacing":
        """Return a new joiner of pieces; `like` is not used."""
        del like
        return _PieceSpacing(self._engine)


class _PieceSpacing:
    """A stateful joiner of pieces; the text that a piece adds may depend on the last few pieces."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written: list[str] = []  # the last pieces whose text has been returned
        self._open: list[str] = []  # pieces that are bytes of an incomplete character
        self._spaced = True  # whether the text is empty or ends with a space

    def piece(self, token: str) -> str:
        """Return the text that a token would add, without adding it."""
        return self._text(token)[0]

    def add(self, token: str) -> str:
        """Add a token and return the text that it adds."""
        text, is_whole = self._text(token)
        self._open.append(_STAND_IN if token in UNKNOWN else token)
        if is_whole:
            self._written, self._open = [*self._written, *self._open][-_REMEMBERED:], []
        if text:
            self._spaced = text[-1].isspace()
        return text

    def _text(self, token: str) -> tuple[str, bool]:
        """Return the text that a token would add, and whether it ends with a complete character."""
        if token in UNKNOWN:  # written as a word of its own
            return " " * (not self._spaced) + SPECIALS[2], True
        known = self._engine.decode(self._written) if self._written else ""
        text = self._engine.decode([*self._written, *self._open, token])
        added = text[len(known) :] if text.startswith(known) else self._engine.decode([*self._open, token])
        is_whole = not added.endswith(_INCOMPLETE) or len(self._open) + 1 >= _LONGEST_CHARACTER
        return (added if is_whole else ""), is_whole


def _parts(line: str, cuts_spaces: bool) -> Iterator[tuple[str, int | None]]:
    """Yield the parts of a line between marks, with their start, and every unknown token, with None; skip <s>, </s>.

    White space around a mark is dropped, but where the cut depends on it, the space before the next word is kept.
    """
    begin, end = _BEGIN.match(line), _END.search(line)
    start, stop = begin.end() if begin else 0, end.start() if end else len(line)
    if not begin and not end and not _UNKNOWN.search(line):
        yield line, 0
        return
    for mark in itertools.chain(_UNKNOWN.finditer(line, start, stop), [None]):
        part = line[start : mark.start() if mark else stop]
        if part.strip(_SPACES):
            before = (
                0 if cuts_spaces and start > (begin.end() if begin else 0) else len(part) - len(part.lstrip(_SPACES))
            )
            yield part[before:].rstrip(_SPACES), start + before
        if mark:
            yield mark[0], None
            start = mark.end()


# --- engines ------------------------------------------------------------------------------------------------------


class _NotThisError(TokenizerError):
    """An engine cannot read a file, which is probably of another kind."""


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TokenizerError(
            f"This needs the package {name}, which cannot be loaded ({error}). Install it with: pip install "
            "'rnnlm-cli[pieces]'"
        ) from None


def _sound(text: str) -> str:
    """Replace the surrogates that stand for undecodable bytes by U+FFFD."""
    return SURROGATE.sub(_INCOMPLETE, text)


def _reason(error: Exception) -> str:
    return shown(" ".join(str(error).split()))


class _SentencePiece:
    """The engine of SentencePiece models."""

    def __init__(self, file: bytes) -> None:
        try:
            self._model = _package(SENTENCEPIECE).SentencePieceProcessor(model_proto=file)
            if not file or not self._model.get_piece_size():
                raise ValueError("it is empty")
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise _NotThisError(_reason(error)) from None

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text."""
        found: list[str] = self._model.encode(_sound(text), out_type=str)
        return found

    def places(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each piece in characters, converted from SentencePiece's bytes."""
        text = _sound(text)
        found = self._model.encode(text, return_type="proto").pieces
        bytes_before = itertools.accumulate((len(each.encode("utf-8")) for each in text), initial=0)
        character = {place: number for number, place in enumerate(bytes_before)}
        return [(character.get(each.begin, 0), character.get(each.end, len(text))) for each in found]

    def decode(self, pieces: list[str]) -> str:
        """Return the text of pieces."""
        text: str = self._model.decode(pieces)
        return text

    def inventory(self) -> list[str]:
        """Return all pieces but the control pieces and the unknown one."""
        model = self._model
        ids = range(model.get_piece_size())
        return [model.id_to_piece(each) for each in ids if not model.is_control(each) and not model.is_unknown(each)]


class _HuggingFace:
    """The engine of tokenizer.json files, read by Hugging Face's package tokenizers."""

    def __init__(self, file: bytes) -> None:
        try:
            self._model = _package(HUGGING_FACE).Tokenizer.from_str(file.decode("utf-8"))
        except TokenizerError:
            raise
        except Exception as error:  # the package raises plain Exception
            raise _NotThisError(_reason(error)) from None
        self._model.no_truncation()
        self._model.no_padding()

        self._unknown = {UNKNOWN[0], getattr(self._model.model, "unk_token", None)}

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text; unknown ones as they stand in the text, as SentencePiece returns them."""
        found = self._model.encode(_sound(text), add_special_tokens=False)
        if self._unknown.isdisjoint(found.tokens):
            return list(found.tokens)
        written = (text[start:end] or UNKNOWN[0] for start, end in found.offsets)
        return [
            surface if token in self._unknown else token for token, surface in zip(found.tokens, written, strict=True)
        ]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each piece."""
        offsets: list[tuple[int, int]] = self._model.encode(_sound(text), add_special_tokens=False).offsets
        return offsets

    def decode(self, pieces: list[str]) -> str:
        """Return the text of pieces."""
        decoder = self._model.decoder
        return " ".join(pieces) if decoder is None else str(decoder.decode(pieces))

    def inventory(self) -> list[str]:
        """Return all pieces but the special ones."""
        special = {token.content for token in self._model.get_added_tokens_decoder().values() if token.special}
        pieces = sorted(self._model.get_vocab(with_added_tokens=True).items(), key=lambda each: each[1])
        return [piece for piece, _ in pieces if piece not in special]


_ENGINES: dict[str, Any] = {SENTENCEPIECE: _SentencePiece, HUGGING_FACE: _HuggingFace}
