r"""Read and write ARPA files: n-gram models as text, as used by KenLM, SRILM and most speech recognisers.

    \data\                      number of n-grams of each order
    ngram 1=4
    \1-grams:                   every n-gram: log10 probability, tab, words, tab, log10 back-off weight
    -99<TAB><s><TAB>-0.3        -99 stands for probability 0; the highest order has no back-off weights
    \end\

Tokens are separated by spaces, so a token that contains white space cannot be written as it is; nor can a token of the
text that is spelled <s>, </s> or <unk>. If a vocabulary has such tokens, as one of characters does, the file begins
with the comment `# rnnlm escapes`, and \u0020; in a token stands for the character with that hexadecimal code.
Backslashes are escaped too, so that every token is read back unchanged. Other files have neither comment nor escapes.
"""

import contextlib
import gzip
import os
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import BinaryIO, NoReturn

import numpy as np

from rnnlm.baselines.levels import LOG_ZERO, Level
from rnnlm.baselines.ngram import LARGEST_ORDER, LOG_MISSING, NgramModel
from rnnlm.errors import CheckpointError
from rnnlm.foreign import GZIP, known_form
from rnnlm.nn.numerics import Array
from rnnlm.text.vocabulary import FIRST, SPECIALS, UNK

File = BinaryIO | gzip.GzipFile
BOM = b"\xef\xbb\xbf"
LN10 = np.log(10)
ESCAPED = b"# rnnlm escapes: \\u0020; stands for a space, and so on\n"
LONGEST_LINE = 1 << 20  # bytes
# A compressed file is refused as a decompression bomb if it unpacks to more than MOST_UNPACKED times its size and more
# than ALWAYS_UNPACKED bytes. Models compress to about a third.
MOST_UNPACKED = 100
ALWAYS_UNPACKED = 1 << 22
_CHUNK = 1 << 16
_RESERVED = {*SPECIALS, "<UNK>"}  # KenLM reads <UNK> as <unk>
_SPECIAL_NAMES = {name.encode(): place for place, name in enumerate(SPECIALS)} | {b"<UNK>": UNK}
_ESCAPE = re.compile(r"\\u([0-9a-f]{4,6});")


# --- writing ------------------------------------------------------------------------------------------------------


def write_arpa(model: NgramModel, tokens: Sequence[str], file: File) -> None:
    """Write a model whose ids from 3 on are `tokens`, as UTF-8.

    Numbers have nine digits, so that the same 32-bit floats are read back.
    """
    needed = any(_needs_escape(token) for token in tokens)
    if needed:
        file.write(ESCAPED)
    names = np.array([*SPECIALS, *(map(_escaped, tokens) if needed else tokens)], dtype=object)
    counts = [f"ngram {k}={len(level.keys)}\n" for k, level in enumerate(model.levels, 1)]
    file.write("".join(["\\data\\\n", *counts]).encode())
    for k in range(1, model.order + 1):
        file.write(f"\n\\{k}-grams:\n".encode())
        for start in range(0, len(model.levels[k - 1].keys), _CHUNK):
            file.write("".join(_entries(model, k, slice(start, start + _CHUNK), names)).encode())
    file.write(b"\n\\end\\\n")


def _entries(model: NgramModel, k: int, part: slice, names: Array) -> Iterator[str]:
    """Format lines of some n-grams of order k."""
    level = model.levels[k - 1]
    words = model.words(k, np.arange(len(level.keys))[part])
    texts = map(" ".join, zip(*(names[column].tolist() for column in words.T), strict=True))
    probabilities = _log10(level.log_probability[part])
    if k == model.order:
        return (f"{p:.9g}\t{text}\n" for p, text in zip(probabilities, texts, strict=True))
    backoffs = _log10(level.backoff[part])
    return (f"{p:.9g}\t{text}\t{b:.9g}\n" for p, text, b in zip(probabilities, texts, backoffs, strict=True))


def _log10(nats: Array) -> list[float]:
    """Convert nats to the numbers of a file: log10, with -99 for probability 0 and without negative zeros."""
    result: list[float] = np.where(nats <= np.float32(LOG_ZERO), -99.0, nats.astype(np.float64) / LN10 + 0.0).tolist()
    return result


def _needs_escape(token: str) -> bool:
    return token in _RESERVED or any(_is_unwritable(character) for character in token)


def _is_unwritable(character: str) -> bool:
    """Return whether a character is white space, NUL (which ends strings in C), or half a surrogate pair."""
    return character.isspace() or character == "\0" or "\ud800" <= character <= "\udfff"


def _escaped(token: str) -> str:
    """Escape a token; if it is spelled like a special token, its first character is escaped."""
    return "".join(
        f"\\u{ord(each):04x};" if each == "\\" or _is_unwritable(each) or (token in _RESERVED and not place) else each
        for place, each in enumerate(token)
    )


# --- reading ------------------------------------------------------------------------------------------------------


def read_arpa(path: str | PathLike[str]) -> tuple[NgramModel, list[str]]:
    """Read the model and its tokens (for ids 3, 4, ...) from an ARPA file, plain or compressed by gzip.

    Like KenLM, this refuses files without <s> or </s> and n-grams whose context is not listed. If the file has no
    <unk>, its probability is 10^-100.

    Raises:
        CheckpointError: The file cannot be read, or violates the format in a line that the message names.
    """
    if form := known_form(path):
        raise CheckpointError(f"{path} {form}")
    try:
        with contextlib.ExitStack() as stack:
            file: File = stack.enter_context(open(path, "rb"))
            if file.read(len(GZIP)) == GZIP:
                file.seek(0)
                file = stack.enter_context(gzip.open(file))
            else:
                file.seek(0)
            return _read(_Lines(file, str(path), max(ALWAYS_UNPACKED, MOST_UNPACKED * os.path.getsize(path))))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; expected an n-gram model in an ARPA file.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Compress it again or give the plain file.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error


class _Lines:
    """Reader of the lines of a file, with line numbers for error messages."""

    def __init__(self, file: File, name: str, most: int) -> None:
        """Read at most `most` bytes."""
        self._file, self._name, self._left, self.number = file, name, most, 0

    def next(self) -> bytes:
        """Return the next line without white space around it; raise an error at the end of the file."""
        line = self._file.readline(LONGEST_LINE)
        self.number += 1
        self._left -= len(line)
        if self._left < 0:
            self.fail(
                f"the file unpacks to more than {MOST_UNPACKED} times its size. If that is meant, unpack it first"
            )
        if not line:
            self.fail("the file ends here; expected more, and \\end\\ as the last line. The file is cut off")
        if len(line) >= LONGEST_LINE:
            self.fail(f"the line has more than {LONGEST_LINE:,} bytes; an ARPA file has one n-gram on each")
        return line.strip()

    def next_filled(self) -> bytes:
        """Return the next line that is not blank."""
        while not (line := self.next()):
            pass
        return line

    def fail(self, what: str, number: int | None = None) -> NoReturn:
        raise CheckpointError(f"{self._name}, line {number or self.number}: {what}.")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace"))


def _read(lines: _Lines) -> tuple[NgramModel, list[str]]:
    counts, escapes = _read_counts(lines)
    ids = dict(_SPECIAL_NAMES)
    levels: list[Level] = []
    for k, count in enumerate(counts, 1):
        entries = _read_section(lines, k, count, ids)
        levels.append(_unigrams(entries, len(set(ids.values()))) if k == 1 else _level(entries, levels, k))
        if k == len(counts):
            levels[-1] = Level(levels[-1].keys, levels[-1].log_probability, np.zeros_like(levels[-1].backoff))
        following = lines.next_filled()
        expected = f"\\{k + 1}-grams:" if k < len(counts) else "\\end\\"
        if following != expected.encode():
            lines.fail(f"found {_shown(following)} where {expected} was expected: \\data\\ says {count:,} {k}-grams")
    names = [name.decode() for name in ids if name not in _SPECIAL_NAMES]
    tokens = [_unescaped(name) for name in names] if escapes else names
    return NgramModel(len(levels[0].keys), levels), tokens


def _read_counts(lines: _Lines) -> tuple[list[int], bool]:
    r"""Read up to the line \1-grams:; return the number of n-grams of each order, and whether tokens have escapes."""
    escapes = False
    while (line := lines.next().removeprefix(BOM)) != b"\\data\\":
        escapes |= line == ESCAPED.strip()
        if b"\0" in line or lines.number > 1000:
            lines.fail("no line \\data\\ so far; expected an n-gram model in an ARPA file")
    counts: list[int] = []
    while (line := lines.next_filled()) != b"\\1-grams:":
        match = re.fullmatch(rb"ngram\s+(\d{1,2})\s*=\s*(\d{1,15})", line)
        if match is None or int(match[1]) != len(counts) + 1:
            lines.fail(f"found {_shown(line)} where 'ngram {len(counts) + 1}=' and a number were expected")
        counts.append(int(match[2]))
    if not 1 <= len(counts) <= LARGEST_ORDER:
        lines.fail(f"the model has order {len(counts)}; orders 1 to {LARGEST_ORDER} can be read")
    return counts, escapes


class _Entries:
    """The n-grams of a section, in the order of the file."""

    def __init__(self, lines: _Lines, k: int) -> None:
        self.lines, self.first_line = lines, lines.number + 1
        self._words, self._probabilities, self._backoffs, self._k = array("i"), array("d"), array("d"), k

    def add(self, words: list[int], probability: float, backoff: float) -> None:
        self._words.extend(words)
        self._probabilities.append(probability)
        self._backoffs.append(backoff)

    def words(self) -> Array:
        """Return the ids of the words, (M, k)."""
        return np.array(self._words, dtype=np.int64).reshape(-1, self._k)

    def nats(self) -> tuple[Array, Array]:
        """Return log probabilities and back-off weights in nats (M,), after checking them."""
        probabilities, backoffs = np.array(self._probabilities), np.array(self._backoffs)
        wrong = ~(probabilities <= 1e-6)  # true for nan; rounding may leave a probability slightly above one
        wrong |= ~(backoffs < 99)
        if wrong.any():
            row = int(wrong.argmax())
            self.fail(
                row,
                f"found the log10 probability {probabilities[row]:g} and back-off weight {backoffs[row]:g}; expected "
                "numbers, the probability at most 0",
            )
        clipped = (np.clip(probabilities * LN10, LOG_ZERO, 0), np.maximum(backoffs * LN10, LOG_ZERO))
        return clipped[0].astype(np.float32), clipped[1].astype(np.float32)

    def fail(self, row: int, what: str) -> NoReturn:
        self.lines.fail(what, self.first_line + row)


def _read_section(lines: _Lines, k: int, count: int, ids: dict[bytes, int]) -> _Entries:
    """Read the n-grams of one order; those of order 1 are added to `ids`."""
    entries = _Entries(lines, k)
    seen: set[int] = set()
    for _ in range(count):
        line = lines.next()
        fields = line.split()
        if not k + 1 <= len(fields) <= k + 2:
            lines.fail(
                f"found {_shown(line)} where a log10 probability, {k} word{'s' * (k > 1)} and perhaps a back-off "
                f"weight were expected: \\data\\ says {count:,} {k}-grams"
            )
        if k == 1:
            _add_word(lines, fields[1], ids, seen)
        try:
            words = [ids[word] for word in fields[1 : k + 1]]
            entries.add(words, float(fields[0]), float(fields[k + 1]) if len(fields) > k + 1 else 0.0)
        except KeyError as error:
            lines.fail(f"the word {_shown(error.args[0])} is not among the 1-grams")
        except ValueError:
            lines.fail(f"found {_shown(line)} where the first field and one after {k} words should be numbers")
    if k == 1 and (missing := [name for name in SPECIALS[:2] if _SPECIAL_NAMES[name.encode()] not in seen]):
        lines.fail(f"the 1-grams end here without {missing[0]}; expected a model of sentences between <s> and </s>")
    if k == 1 and len(ids) == len(_SPECIAL_NAMES):
        lines.fail("the 1-grams end here without any word beside <s>, </s> and <unk>; expected some")
    return entries


def _add_word(lines: _Lines, word: bytes, ids: dict[bytes, int], seen: set[int]) -> None:
    """Assign an id to a word, unless it is one of the three special words."""
    try:
        word.decode()
    except UnicodeDecodeError:
        lines.fail(f"the word {_shown(word)} is not UTF-8. Convert the file first, for instance with iconv")
    place = ids.setdefault(word, FIRST + len(ids) - len(_SPECIAL_NAMES))
    if place in seen:
        lines.fail(f"the word {_shown(word)} is listed twice")
    seen.add(place)


def _unigrams(entries: _Entries, V: int) -> Level:
    """Return level 1, which has an entry for each id, including <unk> even if the file has none."""
    log_probability, backoff = np.full(V, LOG_MISSING, dtype=np.float32), np.zeros(V, dtype=np.float32)
    words = entries.words()[:, 0]
    log_probability[words], backoff[words] = entries.nats()
    return Level(np.arange(V, dtype=np.int64), log_probability, backoff)


def _level(entries: _Entries, below: Sequence[Level], k: int) -> Level:
    """Return level k > 1, with keys made of the index of the context in the level below and the last word."""
    V, words = len(below[0].keys), entries.words()
    context = words[:, 0]
    for place in range(1, k - 1):
        context = below[place].find(context, words[:, place], V)
    if (context < 0).any():
        entries.fail(
            int((context < 0).argmax()),
            f"the first {k - 1} words of this {k}-gram are not listed among the {k - 1}-grams; a model needs the "
            "contexts of all its n-grams",
        )
    keys = context * V + words[:, -1]
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(twice):
        entries.fail(int(order[twice + 1].min()), f"this {k}-gram is listed twice")
    log_probability, backoff = entries.nats()
    return Level(keys[order], log_probability[order], backoff[order])


def _unescaped(name: str) -> str:
    return _ESCAPE.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), name)
