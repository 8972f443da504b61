"""Files -> ids: a text is tokenized once, into a file that is mapped into memory.

The ids in the file are provisional: 3 + the order in which the tokens first appear. They depend on the text and the
tokenizer alone; the vocabulary, its size and the split into training and held-out text may change without another
pass. `IdSequence` maps them to a vocabulary's ids as they are read.
"""

import hashlib
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import CorpusError
from rnnlm.text.cache import BYTE_ORDER, Cache, Description, IdFile
from rnnlm.text.encodings import LABELS, UTF8, decode
from rnnlm.text.sources import Source, fingerprint, open_sources
from rnnlm.text.tokenizers import CharTokenizer, Tokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, UNK, Vocabulary

CACHE_VERSION = 1  # to be raised when equal text and settings give other ids than before
LONGEST_LINE = 1 << 20  # characters; a longer line is read in parts, so that memory stays small
_CHUNK = 1 << 22

Ids = NDArray[np.int32]
Progress = Callable[[int, int], None]


class TokenizedCorpus:
    """A tokenized text.

    ids: (N,) provisional ids, read-only, mapped from a file. tokens: the token of id 3, of id 4, and so on.
    characters: of the text with \\n as the end of every line, the last one included where lines end with </s>.
    bytes: of the files. digest: SHA-256 of the files, hex. lines: whether </s> ends every line that is not blank.
    notes: what was assumed about the files and the user may want to know.
    """

    def __init__(self, path: Path, description: Description, lines: bool, notes: Sequence[str]) -> None:
        """Map the file of an entry of the cache."""
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.ids: NDArray[Any] = np.frombuffer(self._map, dtype=description.dtype)
        self.tokens, self.characters, self.bytes = description.tokens, description.characters, description.bytes
        self.digest, self.lines, self.notes = description.digest, lines, list(notes)

    def counts(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """How often each id is in ids[start:stop]: (3 + types,)."""
        size = FIRST + len(self.tokens)
        total = np.zeros(size, dtype=np.int64)
        for chunk in self._chunks(start, len(self.ids) if stop is None else stop):
            total += np.bincount(chunk, minlength=size)
        return total

    def _chunks(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        for place in range(start, stop, _CHUNK):
            yield self.ids[place : min(place + _CHUNK, stop)]
            self.release()

    def split_index(self, fraction: float) -> int:
        """Where the last `fraction` of the tokens begins; with lines, at the first start of a line from there on.

        Raises:
            CorpusError: one of the two parts would be empty.
        """
        N = len(self.ids)
        place = N - round(N * fraction)
        if self.lines and 0 < place < N:
            place = self._line_start(place)
        if not 0 < place < N:
            unit = f"{int(self.counts()[EOS]):,} lines" if self.lines else f"{N:,} characters"
            raise CorpusError(
                f"A text of {unit} can not be split so that {fraction:g} of it is held out. Use a longer text, or "
                "another --valid-fraction."
            )
        return place

    def _line_start(self, place: int) -> int:
        """The first start of a line from a place on; in the last line, its own start."""
        for chunk_start in range(place - 1, len(self.ids) - 1, _CHUNK):
            ends = np.flatnonzero(self.ids[chunk_start : min(chunk_start + _CHUNK, len(self.ids) - 1)] == EOS)
            if len(ends):
                return chunk_start + int(ends[0]) + 1
        for chunk_stop in range(place - 1, 0, -_CHUNK):
            ends = np.flatnonzero(self.ids[max(0, chunk_stop - _CHUNK) : chunk_stop] == EOS)
            if len(ends):
                return max(0, chunk_stop - _CHUNK) + int(ends[-1]) + 1
        return 0

    def release(self) -> None:
        """Give back the memory of pages that were read; they are read again when needed."""
        _release(self._map)


def _release(pages: mmap.mmap) -> None:
    if hasattr(pages, "madvise") and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        pages.madvise(mmap.MADV_DONTNEED)


class IdSequence:
    """Ids of a stretch of text under a vocabulary, looked up as they are read.

    >>> IdSequence(np.array([5, 3, 4, 3]), mapping=np.array([0, 1, 2, 7, 2, 9]), start=1).take(np.array([0, 2]))
    array([7, 7], dtype=int32)

    Args:
        ids: (N,) ids in memory or mapped from a file.
        mapping: The id of a vocabulary for each of them; None if they are that already.
        start: First position.
        stop: Position after the last; None for the end.
        release: Called to give back the memory of mapped ids.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        mapping: NDArray[Any] | None = None,
        start: int = 0,
        stop: int | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._ids = ids[start:stop]
        self._mapping = None if mapping is None else np.asarray(mapping, dtype=np.int32)
        self.release = release

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Ids: ...
    def __getitem__(self, place: int | slice) -> int | Ids:
        found = self._mapped(self._ids[place])
        return found if isinstance(place, slice) else int(found)

    def take(self, positions: NDArray[np.int64]) -> Ids:
        """Ids at positions from 0 to len - 1, in the shape of `positions`."""
        return self._mapped(self._ids[positions])

    def _mapped(self, ids: NDArray[Any]) -> Ids:
        return ids.astype(np.int32) if self._mapping is None else self._mapping[ids]


def sequence(corpus: TokenizedCorpus, vocabulary: Vocabulary, start: int = 0, stop: int | None = None) -> IdSequence:
    """Positions `start` to `stop` of a text as ids of a vocabulary; unknown tokens are <unk>."""
    mapping = np.concatenate([np.array([BOS, EOS, UNK], dtype=np.int32), vocabulary.encode(corpus.tokens)])
    return IdSequence(corpus.ids, mapping, start, stop, corpus.release)


# --- tokenizing ---------------------------------------------------------------------------------------------------


def tokenize_corpus(
    paths: Sequence[str | PathLike[str]],
    tokenizer: Tokenizer,
    *,
    lines: bool,
    encoding: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> TokenizedCorpus:
    """Tokenize files, or find them tokenized in the cache by their content.

    Args:
        paths: Files, folders, "-" for standard input; gzip is unpacked. See `sources.open_sources`.
        tokenizer: Applied line by line. If it is found in the cache which jieba cut the text, it takes that over.
        lines: True: every line that is not blank gives its tokens and </s>. False: a stream of characters with \\n as
            one of them; a file that does not end with it is followed by one if another file comes.
        encoding: Of all files; None to find it out for each. See `encodings.decode`.
        cache_dir: Folder of the cache; None for that of the environment, see `cache.Cache`.
        progress: Called with bytes done and bytes in all while a text is tokenized.

    Raises:
        CorpusError: a file can not be found, read or decoded, is binary, changes while it is read, or there is no text.
        TokenizerError: the tokenizer can not work.
    """
    if not lines and not isinstance(tokenizer, CharTokenizer):
        raise ValueError(f"lines=False is for characters, not for tokens of level {tokenizer.name!r}")
    cache = Cache(cache_dir)
    with open_sources(paths) as sources:
        digest, size = fingerprint(sources)
        key = _key(digest, tokenizer, lines, encoding)
        description = cache.find(key)
        if description is None or not tokenizer.adopt(description.tokenizer):
            with cache.writing() as file:
                reader = _Reader(sources, size, encoding, progress)
                _encode(reader, tokenizer, lines, file)
                if fingerprint(sources)[0] != digest:
                    raise CorpusError("The text was changed while it was read. Try again when it is complete.")
                ...
    return TokenizedCorpus(cache.ids_path(key), description, lines, notes)
