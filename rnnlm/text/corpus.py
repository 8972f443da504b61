"""Tokenize files once, into a file of ids that is mapped into memory.

The ids in the file are provisional: 3 + the rank of the token by first appearance. They depend only on the text and the
tokenizer; the vocabulary, its size and the split into training and held-out text may change without tokenizing again.
`IdSequence` maps provisional ids to a vocabulary's ids as they are read.
"""

import hashlib
import itertools
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.sentences import Sentence
from rnnlm.text import ready_made
from rnnlm.text.cache import Cache, Description, Entry, IdFile, Stamps
from rnnlm.text.encodings import LABELS, decode, note_on_encoding
from rnnlm.text.forms import SAMPLE, Form, note_on, recognised, text_of
from rnnlm.text.id_sequence import IdSequence, Stretch
from rnnlm.text.letter_case import as_read
from rnnlm.text.lines import counted_size
from rnnlm.text.marks import marks_in
from rnnlm.text.sources import Source, fingerprint, open_sources
from rnnlm.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, UNK, Vocabulary, code_points
from rnnlm.text.workers import TokenIds, useful_processes

CACHE_VERSION = 6  # increase it when equal text and settings give other ids than before
LONGEST_LINE = 1 << 20  # characters; a longer line is read in parts, so that memory stays small
_CHUNK = 1 << 22
MOST_NOTES = 5  # on files that are not plain text
_UNSEEN_AT_ONCE = 1 << 14
MOST_FILES = 1000  # more files are recorded without a digest of each
_BLANK = re.compile(r"\n[^\S\n]*+(?=\n)")  # a blank line, with the newline before it

Progress = Callable[[int, int], None]


class TokenizedCorpus:
    """A tokenized text.

    ids: (N,) provisional ids, read-only, mapped from a file. tokens: The token of id 3, of id 4, and so on.
    characters: Number of characters for measures such as bits per character: all of a stream; of a text of lines, those
    of the lines that are not blank, with their newlines, see `lines.counted_characters`. text_bytes: The size of these
    characters in UTF-8. bytes: Size of the files. digest: SHA-256 of the files, in hex. files: A digest of the text of
    each file, independent of encoding and compression; empty if there are too many files. lines: Whether </s> ends
    every line that is not blank. notes: Sentences for the user on how the files are read. marks: `marks.marks_in` of
    the beginning of the text.
    """

    def __init__(self, entry: Entry, lines: bool, notes: Sequence[str], marks: Sequence[str] = ()) -> None:
        """Map the text of a cache entry."""
        description = entry.description
        self.ids: NDArray[Any] = np.frombuffer(entry.ids, dtype=description.dtype)
        self.release = entry.release
        self.tokens, self.characters, self.bytes = description.tokens, description.characters, description.bytes
        self.text_bytes = description.text_bytes
        self.digest, self.lines, self.notes = description.digest, lines, list(notes)
        self.files = description.files
        self.marks = list(marks)
        self._counts = np.array(description.counts, dtype=np.int64)

    def to_header(self) -> dict[str, Any]:
        """Return what a checkpoint records to recognise this text."""
        return {"digest": self.digest, "files": self.files}

    def counts(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the count of each id in ids[start:stop], (3 + types,)."""
        N = len(self.ids)
        start, stop, _ = slice(start, stop).indices(N)
        if stop - start <= N // 2:
            return self._counted(start, stop)
        # The counts of the whole text are known, and the rest is shorter to count.
        return self._counts - self._counted(0, start) - self._counted(stop, N)

    def _counted(self, start: int, stop: int) -> NDArray[np.int64]:
        total = np.zeros(len(self._counts), dtype=np.int64)
        for chunk in self._chunks(start, stop):
            total += np.bincount(chunk, minlength=len(total))
        return total

    def _chunks(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        for place in range(start, stop, _CHUNK):
            yield self.ids[place : min(place + _CHUNK, stop)]
            self.release()


def sequence(corpus: TokenizedCorpus, vocabulary: Vocabulary, stretches: Sequence[Stretch] | None = None) -> IdSequence:
    """Return stretches of a text, or all of it, as ids of a vocabulary; unknown tokens are <unk>."""
    mapping = np.concatenate([np.array([BOS, EOS, UNK], dtype=np.int32), vocabulary.encode(corpus.tokens)])
    return IdSequence(corpus.ids, mapping, stretches, corpus.release)


# --- tokenizing ---------------------------------------------------------------------------------------------------


def tokenize_corpus(
    paths: Sequence[str | PathLike[str] | Source],
    tokenizer: Tokenizer,
    *,
    lines: bool,
    encoding: str | None = None,
    column: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    processes: int = 1,
) -> TokenizedCorpus:
    """Tokenize files, or find their tokens in the cache by the content of the files.

    Args:
        paths: Files, folders, "-" for standard input, open sources; gzip is decompressed. See `sources.open_sources`.
        tokenizer: Applied line by line. It adopts the version of jieba that a cache entry records.
        lines: True: every line that is not blank gives its tokens and </s>. False: a stream of characters, including
            \\n; a file without a \\n at its end gets one if another file follows.
        encoding: Encoding of all files; None to detect it for each. See `encodings.decode`.
        column: The column of tables (CSV, TSV, JSONL) to read: a name in the first row, a key, or a number from 1 on.
            None: tables are read as they are, and `notes` says so. See `forms`.
        cache_dir: Folder of the cache; None for the default, see `cache.Cache`.
        progress: Called with the bytes done and the total bytes while a text is tokenized.
        processes: Most processes that cut words; a text that is too small for more is tokenized in this process. A
            script that asks for more than one must begin its own work under `if __name__ == "__main__"`.

    Raises:
        CorpusError: A file cannot be found, read or decoded, is binary, changes while it is read, or there is no text.
        TokenizerError: The tokenizer cannot work, for example because jieba is not installed.
    """
    if not lines and not isinstance(tokenizer, CharTokenizer):
        raise ValueError(f"lines=False is for characters, not for tokens of level {tokenizer.name!r}")
    cache, asked = Cache(cache_dir), _Asked(tokenizer, lines, encoding, column, progress, processes)
    left_out: list[str] = []
    with open_sources(paths, report=left_out.append) as sources:
        entry = _entry(cache, asked, sources)
        beginning = next(decode(sources[0].blocks(lambda read: None), sources[0].name, encoding), "")
        notes = [*cache.notes, *left_out, *_advice(beginning, tokenizer)]
    description = entry.description
    forms = [Form(**form) for form in description.forms]
    if encoding is None:
        notes += [
            said
            for source, codec in zip(sources, description.encodings, strict=False)
            if codec in LABELS and (said := note_on_encoding(codec, source.name)) is not None
        ]
    notes += _notes_on_forms(sources, forms, column)
    if not all(form.is_read_as_it_is for form in forms):  # the text differs from that of the files, so does its digest
        read = json.dumps([description.digest, column, [form.kind for form in forms]])
        description.digest = hashlib.sha256(read.encode()).hexdigest()
    return TokenizedCorpus(entry, lines, notes, marks_in(beginning))


class _Asked(NamedTuple):
    """The arguments of `tokenize_corpus`."""

    tokenizer: Tokenizer
    lines: bool
    encoding: str | None
    column: str | None
    progress: Progress | None
    processes: int

    def find(self, cache: Cache, digest: str) -> Entry | None:
        """Return the cache entry of a text, or None; the tokenizer adopts the version of jieba that cut it."""
        entry = cache.find(self.key(digest))
        return entry if entry and self.tokenizer.adopt(entry.description.tokenizer) else None

    def key(self, digest: str) -> str:
        """Return the name of an entry: a hash of everything that the ids depend on.

        That includes the byte order, since machines may share a home folder, and Python's version of Unicode, which
        defines letters.
        """
        machine = [CACHE_VERSION, sys.byteorder, unicodedata.unidata_version]
        how = [self.tokenizer.name, self.tokenizer.settings(), self.lines, self.encoding, self.column]
        return hashlib.sha256(json.dumps([*machine, digest, *how]).encode()).hexdigest()


def _entry(cache: Cache, asked: _Asked, sources: list[Source]) -> Entry:
    """Return the cache entry of the text; tokenize the text into the cache if there is none."""
    stamps, read_at = _stamps(sources), time.time_ns()
    seen = cache.seen(stamps)
    entry = asked.find(cache, seen) if seen else None
    if entry is None:  # the whole text must be read, so hash it
        digest, size = fingerprint(sources)
        entry = asked.find(cache, digest) or _new_entry(cache, asked, sources, stamps, digest, size)
    if seen != entry.description.digest and stamps == _stamps(sources):
        cache.remember(stamps, entry.description.digest, read_at)
    return entry


def _new_entry(cache: Cache, asked: _Asked, sources: list[Source], stamps: Stamps, digest: str, size: int) -> Entry:
    """Tokenize a text into the cache; stamps: those taken before the cache was searched."""
    reader = _Reader(sources, size, asked.encoding, asked.column, asked.progress, asked.tokenizer)
    with cache.writing() as file:
        tokens = _write_ids(reader, asked.tokenizer, asked.lines, file, asked.processes)
        if _written(stamps) != _written(_stamps(sources)):
            raise CorpusError("The text was changed while it was read. Try again when it is complete.")
        description = Description(
            length=file.length,
            dtype=file.dtype.name,
            tokens=tokens,
            counts=file.counts.tolist(),
            characters=reader.characters,
            text_bytes=reader.text_bytes,
            bytes=size,
            digest=digest,
            encodings=reader.encodings,
            forms=[form.to_json() for form in reader.forms],
            tokenizer=asked.tokenizer.options(),
            files=reader.files if len(reader.files) <= MOST_FILES else [],
            crc32=file.crc32,
        )
        return cache.store(asked.key(digest), file, description)


def _advice(beginning: str, tokenizer: Tokenizer) -> list[str]:
    """Return advice on the tokenizer, based on the beginning of a text."""
    if not isinstance(tokenizer, WordTokenizer):
        return []
    found = ready_made.advice(beginning)
    return [found] if found else []


def _notes_on_forms(sources: Sequence[Source], forms: Sequence[Form], column: str | None) -> list[str]:
    """Return notes on files that are not plain text, on at most MOST_NOTES of them."""
    found = [note_on(form, source.name, column) for source, form in zip(sources, forms, strict=False)]
    notes = [note for note in found if note is not None]
    more = len(notes) - MOST_NOTES
    return (
        notes if more <= 0 else [*notes[:MOST_NOTES], Sentence("{n} more files are read in such ways.", n=f"{more:,}")]
    )


def _stamps(sources: Sequence[Source]) -> Stamps:
    return [(os.path.abspath(source.name), source.stamp()) for source in sources]


def _written(stamps: Stamps) -> list[tuple[int, int] | None]:
    """Return the part of the stamps that changes only with the content."""
    return [stamp and (stamp.size, stamp.written) for _, stamp in stamps]


def _write_ids(reader: "_Reader", tokenizer: Tokenizer, lines: bool, file: IdFile, processes: int) -> list[str]:
    """Tokenize all text into a file, and return the tokens in the order of their ids."""
    texts = reader.lines() if lines else reader.stream()
    first = next(texts, "")
    processes = useful_processes(tokenizer, first, reader.size, processes)
    to_ids = _CharacterIds(tokenizer, lines) if isinstance(tokenizer, CharTokenizer) else TokenIds(tokenizer)
    with closing(to_ids.of_all(itertools.chain([first], texts), processes)) as found:
        for ids in found:
            file.write(ids, to_ids.types)
    if not file.length:
        names = ", ".join(source.name for source in reader.sources[:3])
        raise CorpusError(f"There is no text in {names}; expected at least one line that is not blank.")
    return to_ids.tokens()


class _Reader:
    """A reader of the text of several files, in pieces of about 1 MiB; counts characters and reports progress."""

    def __init__(
        self,
        sources: list[Source],
        size: int,
        encoding: str | None,
        column: str | None,
        progress: Progress | None,
        tokenizer: Tokenizer,
    ) -> None:
        self.encodings: list[str] = []
        self.forms: list[Form] = []
        self.files: list[str] = []  # a digest of each text, independent of encoding, compression and line ends
        self._column = column
        self.characters = self.text_bytes = 0
        self.sources, self.size, self._encoding, self._progress = sources, size, encoding, progress
        self._keeps_spaces, self._reads_marks = tokenizer.keeps_spaces, tokenizer.reads_marks
        self._done = 0
        self._open_line = False  # whether the last character was not a newline

    def stream(self) -> Iterator[str]:
        """Yield all characters, with a newline between two files if the first does not end with one."""
        for source in self.sources:
            for text in itertools.chain(self._end_line(), self._texts(source)):
                self.characters += len(text)
                self.text_bytes += counted_size(text, keeps_spaces=True)[1]
                yield text

    def lines(self) -> Iterator[str]:
        """Yield the lines that are not blank, each with its newline; a very long one in parts."""
        in_word = False  # whether the previous piece ended within a word
        for source in self.sources:
            for text in _without_blank_lines(itertools.chain(self._texts(source), self._end_line())):
                # Every word counts with one space or newline after it; a word that is cut into two pieces counts once.
                counted, size = counted_size(text, self._keeps_spaces, self._reads_marks)
                ends = 0 if self._keeps_spaces else (counted > 0) - (in_word and not text[0].isspace())
                in_word = not text[-1].isspace()
                self.characters += counted + ends
                self.text_bytes += size + ends
                yield text

    def _texts(self, source: Source) -> Iterator[str]:
        texts = decode(source.blocks(self._advance), source.name, self._encoding, self.encodings.append)
        begin, size = list[str](), 0
        for text in texts:
            begin.append(text)
            size += len(text)
            if size > SAMPLE:
                break
        form = recognised("".join(begin)[:SAMPLE], size <= SAMPLE, self._column)
        self.forms.append(form)
        digest, ends = hashlib.sha256(), 0  # newlines at the end of the file are left out of the digest
        for text in text_of(form, itertools.chain(begin, texts), source.name, self._column):
            self._open_line = text[-1] != "\n"
            if body := text.rstrip("\n"):
                digest.update(b"\n" * ends + body.encode("utf-8", "surrogatepass"))
                ends = 0
            ends += len(text) - len(body)
            yield text
        self.files.append(digest.hexdigest())

    def _end_line(self) -> Iterator[str]:
        if self._open_line:
            self._open_line = False
            yield "\n"

    def _advance(self, read: int) -> None:
        self._done += read
        if self._progress is not None:
            self._progress(self._done, self.size)


def _without_blank_lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield pieces of a text, cut at ends of lines, without its blank lines.

    A line longer than LONGEST_LINE is cut into parts, at white space if it has any, where a cut changes no token.
    """
    rest = ""
    begun = False  # whether a part of this line was yielded already, so that the line is not blank
    for text in texts:
        rest += text
        whole, newline, rest = rest.rpartition("\n")
        if newline:
            # A line of which a part was yielded needs its newline, even if the rest of it is blank.
            first, end, others = f"{whole}\n".partition("\n") if begun else ("", "", f"{whole}\n")
            begun = False
            if kept := first + end + _not_blank(others):
                yield kept
        if len(rest) > LONGEST_LINE:
            head, *tail = rest.rsplit(maxsplit=1) or [rest]
            cut = len(head) if tail else len(rest)
            if begun or not rest[:cut].isspace():
                yield rest[:cut]
                begun = True
            rest = rest[cut:]


def _not_blank(text: str) -> str:
    """Remove the blank lines of a text that ends with a newline."""
    return _BLANK.sub("", f"\n{text}")[1:]


class _CharacterIds:
    """Provisional ids of characters, by a table of all code points; with `lines`, a newline is </s>."""

    def __init__(self, tokenizer: Tokenizer, lines: bool) -> None:
        self._tokenizer = tokenizer
        # 0: not seen yet. 16 bits are enough for the characters of usual texts, and are read faster than 32.
        self._table: NDArray[Any] = np.zeros(0x110000, dtype=np.uint16)
        if lines:
            self._table[ord("\n")] = EOS
        self._code_points: list[int] = []

    @property
    def types(self) -> int:
        """Number of different tokens so far."""
        return len(self._code_points)

    def tokens(self) -> list[str]:
        """Return the tokens in the order of their ids."""
        return [chr(code) for code in self._code_points]

    def of_all(self, texts: Iterable[str], processes: int) -> Generator[NDArray[Any], None, None]:
        """Yield the ids of pieces of a text, in this process: encoding is faster than a copy to another one."""
        del processes
        yield from map(self, texts)

    def __call__(self, text: str) -> NDArray[Any]:
        codes = code_points(as_read(self._tokenizer, text))
        while True:
            ids: NDArray[Any] = self._table.take(codes)
            if ids.min(initial=1):
                return ids
            # Take a few unseen characters at a time, after which hardly any is left: sorting all would take longer.
            unseen = codes[ids == 0][:_UNSEEN_AT_ONCE]
            _, first = np.unique(unseen, return_index=True)
            new = unseen[np.sort(first)]
            if FIRST + self.types + len(new) > np.iinfo(self._table.dtype).max + 1:
                self._table = self._table.astype(np.uint32)
            self._table[new] = np.arange(len(new)) + FIRST + self.types
            self._code_points += new.tolist()
