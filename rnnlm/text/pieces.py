"""Pieces of words as a recogniser or another model cuts them: by SentencePiece, or by Hugging Face's tokenizer.json.

The file that says how to cut is kept in the checkpoint, packed: a model reads plain text without it.
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
_REMEMBERED = 4  # pieces before the last ones that the text of these may depend on
_LONGEST_CHARACTER = 4  # bytes, each of which may be a piece
_INCOMPLETE = "\ufffd"  # what bytes that are no character yet are decoded to
_STAND_IN = "\ue000"  # is no piece, and decoded as it is
_UNKNOWN = re.compile(r"(?<![^ \t\n\r\v\f])(?:<unk>|<UNK>)(?![^ \t\n\r\v\f])")
_SPACES = " \t\n\r\v\f"
_BEGIN, _END = re.compile(r"\s*<s>(?!\S)", re.ASCII), re.compile(r"(?<!\S)</s>\s*$", re.ASCII)


class Engine(Protocol):
    """What cuts a text into pieces."""

    def cut(self, text: str) -> list[str]:
        """Pieces of a text; what the engine does not know stands for itself."""

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each piece stands in the text, start and end."""

    def decode(self, pieces: list[str]) -> str:
        """The text of pieces."""

    def inventory(self) -> list[str]:
        """All pieces of text in the order of their ids, without the marks of a text's ends and the unknown one."""


class PieceTokenizer:
    """Pieces of the lines of a text, cut by a file of another program. Its level is "token".

    Between spaces, <unk> and <UNK> are the unknown token; <s> and </s> at the ends of a line are its marks.

    Args:
        kind: "sentencepiece" or "tokenizers", the package that reads the file.
        file: Its content.
        lowercase: read all text in lower case.
    """

    name = "token"
    reads_marks = cuts_words = True

    def __init__(self, kind: str, file: bytes, lowercase: bool = False) -> None:
        self.kind, self._file, self.lowercase = kind, file, lowercase
        self._digest = hashlib.sha256(file).hexdigest()

    @classmethod
    def read(cls, path: str | os.PathLike[str], kind: str) -> Self:
        """The tokenizer of a file.

        Raises:
            TokenizerError: the file cannot be read, or is none of this kind; or the package is not installed.
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
        """The tokenizer whose `options()` these are.

        Raises:
            TokenizerError: they are malformed.
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
        """Return what cuts, a digest of its file, and whether text is read in lower case, if it is."""
        return {"pieces": self.kind, "sha256": self._digest, **case_setting(self)}

    def options(self) -> dict[str, Any]:
        """The settings and the file."""
        return {**self.settings(), "file": base64.b64encode(zlib.compress(self._file, 9)).decode("ascii")}

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Whether these are the options of a tokenizer with the same file."""
        return (options.get("pieces"), options.get("sha256")) == (self.kind, self._digest)

    @cached_property
    def _engine(self) -> Engine:
        return _ENGINES[self.kind](self._file)

    @cached_property
    def keeps_spaces(self) -> bool:
        """Whether spaces at the ends of a line and several together are read, and not dropped."""
        line = " a  b "
        return self._engine.decode(self._engine.cut(line)) == line

    @cached_property
    def _cuts_spaces(self) -> bool:
        """Whether a word after a space is cut otherwise than one at the beginning of a text."""
        first = self._engine.cut("b")
        return self._engine.cut("a b")[-len(first) :] != first

    def inventory(self) -> list[str]:
        """All pieces of text, in the order of the file's ids."""
        return list(dict.fromkeys(piece for piece in self._engine.inventory() if piece not in (*SPECIALS, "<UNK>", "")))

    def tokenize(self, text: str) -> list[str]:
        """Pieces of a line.

        Raises:
            TokenizerError: the package that cuts is not installed, or does not take its file.
        """
        if "<" not in text:
            return self._engine.cut(as_read(self, text))
        tokens: list[str] = []
        for part, start in _parts(text, self._cuts_spaces):
            tokens += [SPECIALS[2]] if start is None else self._engine.cut(as_read(self, part))
        return tokens

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Where each token stands in its line; tokens that are bytes of one character stand at its end."""
        del tokens  # which the line is cut into again
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
        """Text of tokens, without bytes at the end that are no whole character."""
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """The text that each token adds; of a character of several tokens the last one adds it."""
        return map(self.spacing().add, tokens)

    def spacing(self, like: str = "") -> "_PieceSpacing":
        """Return what writes the pieces one after the other."""
        del like
        return _PieceSpacing(self._engine)


class _PieceSpacing:
    """A text of pieces that grows at its end: what a piece adds may depend on the last ones before it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written: list[str] = []  # the last pieces whose text is given out
        self._open: list[str] = []  # bytes of a character that is not whole
        self._spaced = True  # whether a space, or nothing, is at the end

    def piece(self, token: str) -> str:
        """Return the text that a token would add."""
        return self._text(token)[0]

    def add(self, token: str) -> str:
        """Return the text that a token adds."""
        text, is_whole = self._text(token)
        self._open.append(_STAND_IN if token in UNKNOWN else token)
        if is_whole:
            self._written, self._open = [*self._written, *self._open][-_REMEMBERED:], []
        if text:
            self._spaced = text[-1].isspace()
        return text

    def _text(self, token: str) -> tuple[str, bool]:
        """The text, and whether it ends with a whole character."""
        if token in UNKNOWN:  # which is written as a word of its own
            return " " * (not self._spaced) + SPECIALS[2], True
        known = self._engine.decode(self._written) if self._written else ""
        text = self._engine.decode([*self._written, *self._open, token])
        added = text[len(known) :] if text.startswith(known) else self._engine.decode([*self._open, token])
        is_whole = not added.endswith(_INCOMPLETE) or len(self._open) + 1 >= _LONGEST_CHARACTER
        return (added if is_whole else ""), is_whole


def _parts(line: str, cuts_spaces: bool) -> Iterator[tuple[str, int | None]]:
    """What stands between the marks of a line with its place, and every unknown token, with None.

    The space before a mark is its own, and the one after it that of the next word, if the cut depends on it.
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


# --- what cuts ----------------------------------------------------------------------------------------------------


class _NotThisError(TokenizerError):
    """A file is none that an engine reads."""


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TokenizerError(
            f"This needs the package {name}, which cannot be loaded ({error}). Install it with: pip install "
            "'rnnlm-cli[pieces]'"
        ) from None


def _sound(text: str) -> str:
    """The text with U+FFFD for what stands for bytes that could not be decoded."""
    return SURROGATE.sub(_INCOMPLETE, text)


def _reason(error: Exception) -> str:
    return shown(" ".join(str(error).split()))


class _SentencePiece:
    """A model of SentencePiece."""

    def __init__(self, file: bytes) -> None:
        try:
            self._model = _package(SENTENCEPIECE).SentencePieceProcessor(model_proto=file)
            if not file or not self._model.get_piece_size():
                raise ValueError("it is empty")
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise _NotThisError(_reason(error)) from None

    def cut(self, text: str) -> list[str]:
        """Pieces of a text."""
        found: list[str] = self._model.encode(_sound(text), out_type=str)
        return found

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each piece stands: places of bytes become those of characters."""
        text = _sound(text)
        found = self._model.encode(text, return_type="proto").pieces
        bytes_before = itertools.accumulate((len(each.encode("utf-8")) for each in text), initial=0)
        character = {place: number for number, place in enumerate(bytes_before)}
        return [(character.get(each.begin, 0), character.get(each.end, len(text))) for each in found]

    def decode(self, pieces: list[str]) -> str:
        """The text of pieces."""
        text: str = self._model.decode(pieces)
        return text

    def inventory(self) -> list[str]:
        """All pieces but those of control and the unknown one."""
        model = self._model
        ids = range(model.get_piece_size())
        return [model.id_to_piece(each) for each in ids if not model.is_control(each) and not model.is_unknown(each)]


class _HuggingFace:
    """A tokenizer.json, as the package tokenizers reads it."""

    def __init__(self, file: bytes) -> None:
        try:
            self._model = _package(HUGGING_FACE).Tokenizer.from_str(file.decode("utf-8"))
        except TokenizerError:
            raise
        except Exception as error:  # it raises Exception itself
            raise _NotThisError(_reason(error)) from None
        self._model.no_truncation()
        self._model.no_padding()

        self._unknown = {UNKNOWN[0], getattr(self._model.model, "unk_token", None)}

    def cut(self, text: str) -> list[str]:
        """Pieces of a text; unknown ones as they are written, as SentencePiece gives them."""
        found = self._model.encode(_sound(text), add_special_tokens=False)
        if self._unknown.isdisjoint(found.tokens):
            return list(found.tokens)
        written = (text[start:end] or UNKNOWN[0] for start, end in found.offsets)
        return [
            surface if token in self._unknown else token for token, surface in zip(found.tokens, written, strict=True)
        ]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each piece stands."""
        offsets: list[tuple[int, int]] = self._model.encode(_sound(text), add_special_tokens=False).offsets
        return offsets

    def decode(self, pieces: list[str]) -> str:
        """The text of pieces."""
        decoder = self._model.decoder
        return " ".join(pieces) if decoder is None else str(decoder.decode(pieces))

    def inventory(self) -> list[str]:
        """All pieces but the special ones."""
        special = {token.content for token in self._model.get_added_tokens_decoder().values() if token.special}
        pieces = sorted(self._model.get_vocab(with_added_tokens=True).items(), key=lambda each: each[1])
        return [piece for piece, _ in pieces if piece not in special]


_ENGINES: dict[str, Any] = {SENTENCEPIECE: _SentencePiece, HUGGING_FACE: _HuggingFace}
