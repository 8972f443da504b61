"""Chinese words by jieba: loaded late, silent, and from its own dictionary file alone.

jieba itself would read `jieba.cache` in the folder for temporary files, whoever put it there, and never check it. Here
its tables are filled from the `dict.txt` of the package, which is as fast, and the cache is neither read nor written.
"""

import functools
import hashlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from rnnlm.errors import TokenizerError

MOST_FREQUENT = 10**12  # far beyond jieba's own frequencies, which have 6 digits
_ENTRY = re.compile(r"(?P<word>\S+)(\s+(?P<frequency>[1-9][0-9]{0,11}))?(\s+[a-z]+)?")


class UserWord(NamedTuple):
    """A word of the user's dictionary; without a frequency jieba finds one with which the word stays whole."""

    word: str
    frequency: int | None


class Jieba(NamedTuple):
    """What decides how jieba segments: its version and the SHA-256 of its dictionary."""

    version: str
    dictionary_sha256: str


class Segmenter:
    """Cuts blocks of Chinese as `jieba.lcut` does.

    jieba: the one that the text must be segmented with; None until it is known, that is until the first block.
    """

    def __init__(self, hmm: bool, user_words: Sequence[UserWord], jieba: Jieba | None = None) -> None:
        self.hmm, self.user_words, self.jieba = hmm, user_words, jieba
        self._cut: Callable[..., Any] | None = None

    def cut(self, block: str) -> list[str]:
        """Words of a block without whitespace; they add up to it.

        Raises:
            TokenizerError: jieba is not installed, or not the one that the text must be segmented with.
        """
        if len(block) == 1:  # nothing to cut, so nothing to load
            return [block]
        if self._cut is None:
            self._check()
            self._cut = _load(self.user_words)
        return list(self._cut(block, HMM=self.hmm))

    def _check(self) -> None:
        found = installed_jieba()
        self.jieba = self.jieba or found
        if self.jieba == found:
            return
        wanted = self.jieba.version
        again = " --force-reinstall" if wanted == found.version else ""
        raise TokenizerError(
            f"The model's text was segmented with jieba {wanted} (dictionary {self.jieba.dictionary_sha256[:12]}); "
            f"jieba {found.version} (dictionary {found.dictionary_sha256[:12]}) is installed and may cut other words. "
            f"Use: pip install{again} jieba=={wanted}, or give text whose words are separated by spaces."
        )


def read_user_dictionary(path: str | PathLike[str]) -> list[UserWord]:
    """Words of a dictionary file in jieba's format: UTF-8, on each line `word [frequency] [tag]`.

    Raises:
        TokenizerError: the file can not be read, is not UTF-8, or a line is something else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise TokenizerError(f"The user dictionary {path} can not be read: {error.strerror}.") from error
    return parse_user_dictionary(content, str(path))


def parse_user_dictionary(content: bytes, name: str) -> list[UserWord]:
    """Words of a dictionary's content; `name` is what errors call it.

    The fields are separated by any whitespace, a tag is letters a-z. # has no special meaning, since C# is a word.

    >>> parse_user_dictionary("云计算 5 n\\n人工智能\\n".encode(), "words.txt")
    [UserWord(word='云计算', frequency=5), UserWord(word='人工智能', frequency=None)]

    Raises:
        TokenizerError: naming the line that is none of this.
    """
    words = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            entry = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise TokenizerError(f"{name}, line {number} is not UTF-8. Convert the user dictionary to UTF-8.") from None
        if entry:
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise TokenizerError(
                    f"{name}, line {number} is {entry[:60]!r}; expected a word, then perhaps its frequency (a whole "
                    "number from 1), then perhaps a tag (letters a-z)."
                )
            words.append(UserWord(match["word"], int(match["frequency"]) if match["frequency"] else None))
    return words


def is_user_word(entry: Any) -> bool:
    """Whether a value from JSON is a word and its frequency."""
    if type(entry) is not list or len(entry) != len(UserWord._fields):
        return False
    word, frequency = entry
    return (
        type(word) is str
        and word.split() == [word]
        and (frequency is None or (type(frequency) is int and 0 < frequency < MOST_FREQUENT))
    )


def is_jieba(value: Any) -> bool:
    """Whether a value from JSON is a version and a hash, and nothing that should not be shown to a user."""
    return (
        type(value) is dict
        and value.keys() == set(Jieba._fields)
        and all(type(each) is str for each in value.values())
        and re.fullmatch("[0-9A-Za-z.+!-]{1,40}", value["version"]) is not None
        and re.fullmatch("[0-9a-f]{64}", value["dictionary_sha256"]) is not None
    )


@functools.cache
def installed_jieba() -> Jieba:
    """The jieba that would be imported, found without importing it (about 10 ms)."""
    content = _dictionary_file().read_bytes()
    return Jieba(metadata.version("jieba"), hashlib.sha256(content).hexdigest())


def _dictionary_file() -> Path:
    spec = importlib.util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise TokenizerError("Chinese text is segmented by jieba, which is not installed. Use: pip install jieba")
    return Path(spec.origin).with_name("dict.txt")


def _load(user_words: Sequence[UserWord]) -> Callable[..., Any]:
    """The `cut` of a jieba tokenizer that knows the package's dictionary and the user's words."""
    # On import jieba 0.42.1 warns of its own escape sequences and of pkg_resources.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.WARNING)
    frequencies, total = _read_dictionary()
    tokenizer = jieba.Tokenizer()
    # Shared between tokenizers, for cutting does not change it; adding words does.
    tokenizer.FREQ = dict(frequencies) if user_words else frequencies
    tokenizer.total = total
    tokenizer.initialized = True
    for word, frequency in user_words:
        tokenizer.add_word(word, tokenizer.suggest_freq(word) if frequency is None else frequency)
    cut: Callable[..., Any] = tokenizer.cut
    return cut


@functools.cache
def _read_dictionary() -> tuple[dict[str, int], int]:
    """Word -> frequency, with every beginning of a word at 0 if it is none itself, and the sum of the frequencies."""
    frequencies: dict[str, int] = {}
    total = 0
    with open(_dictionary_file(), encoding="utf-8") as file:
        for line in file:
            word, frequency, _ = line.split(" ", 2)
            count = frequencies[word] = int(frequency)
            total += count
            for end in range(1, len(word)):
                frequencies.setdefault(word[:end], 0)
    return frequencies, total
