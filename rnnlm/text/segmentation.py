"""Segment Chinese into words by jieba, which is loaded late, without log messages, and from its own dictionary only.

By default, jieba reads `jieba.cache` in the folder for temporary files without verifying it, whoever wrote it. Here
its tables are filled from the package's `dict.txt`, which is as fast, and the cache is neither read nor written.

rjieba is jieba in Rust, with the dictionary of jieba 0.42.1. Without HMM and user words its output is the same, so it
replaces jieba where it is installed. Which of the two cut a text is not recorded.
"""

import functools
import hashlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnlm.errors import TokenizerError

# jieba stores every prefix of every word: a word of a million characters would take half a terabyte.
LONGEST_USER_WORD = 64  # characters
MOST_USER_CHARACTERS = 1 << 22  # in all words together
MOST_USER_WORDS = 500_000  # a checkpoint's header has room for a million lists
MOST_FREQUENT = 10**12  # far beyond jieba's own frequencies, which have 6 digits
TESTED_RJIEBA = "0.2."  # prefix of the versions that were compared with jieba
# A few sentences as jieba 0.42.1 cuts them: names, numbers, mixed scripts, rare characters, and words that overlap.
_AS_JIEBA_CUTS = """
我 昨天 上学 迟到 了 ， 老师 批评 了 我 。
他 来到 了 网易 杭 研 大厦
结婚 的 和 尚未 结婚 的
研究 生命 的 起源
南京市 长江大桥 ， 长春 市长 春节 讲话
中华人民共和国中央人民政府 成立 于 1949 年 10 月 1 日
C++ 和 c# 是 什么 关系
GPT - 4 模型 的 3 . 14 % 与 A & B 公司 # 1
㐀 中 〇 国 龘 靐 的 字
""".strip().split("\n")

HAN = "[\u4e00-\u9fd5]"  # the Chinese characters of jieba's re_han_default


class UserWord(NamedTuple):
    """A word of the user's dictionary; if its frequency is None, jieba computes one that keeps the word whole."""

    word: str
    frequency: int | None


class Jieba(NamedTuple):
    """The version of jieba and the SHA-256 of its dictionary, which together determine how it segments."""

    version: str
    dictionary_sha256: str


# The jieba that rjieba reimplements.
IMITATED = Jieba("0.42.1", "7197c3211ddd98962b036cdf40324d1ea2bfaa12bd028e68faa70111a88e12a8")
Cut = Callable[[str], list[str]]


def has_han(text: str) -> bool:
    """Return whether a text contains Chinese characters that jieba knows."""
    return re.search(HAN, text) is not None


class Segmenter:
    """A segmenter that cuts blocks of Chinese as `jieba.lcut` does.

    jieba: The jieba that the text must be segmented with; None until it is known, at the latest at the first block.
    fast: Whether rjieba cuts; False until the first block.
    """

    def __init__(self, hmm: bool, user_words: Sequence[UserWord], jieba: Jieba | None = None) -> None:
        self.hmm, self.user_words, self.jieba = hmm, user_words, jieba
        self.fast = False
        self._cut: Cut | None = None

    def cut(self, block: str) -> list[str]:
        """Cut a block without white space into words, whose concatenation is the block.

        Raises:
            TokenizerError: jieba is not installed, or not the one that the text must be segmented with.
        """
        if len(block) == 1:  # cannot be cut, so jieba need not be loaded
            return [block]
        if self._cut is None:
            self._check()
            rjieba = self._rjieba()
            self.fast = rjieba is not None
            self._cut = rjieba or _load(self.user_words, self.hmm)
        return self._cut(block)

    def is_slow(self) -> bool:
        """Return whether jieba in Python cuts, not rjieba."""
        return self._rjieba() is None

    def _rjieba(self) -> Cut | None:
        return None if self.hmm or self.user_words else _load_rjieba()

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


def too_many(words: Sequence[Sequence[Any]]) -> bool:
    """Return whether there are more user words than jieba or a checkpoint's header can hold."""
    return len(words) > MOST_USER_WORDS or sum(len(word) for word, _ in words) > MOST_USER_CHARACTERS


def is_user_word(entry: Any) -> bool:
    """Return whether a value from JSON is a valid pair of a user word and its frequency."""
    if type(entry) is not list or len(entry) != len(UserWord._fields):
        return False
    word, frequency = entry
    return (
        type(word) is str
        and len(word) <= LONGEST_USER_WORD
        and word.split() == [word]
        and (frequency is None or (type(frequency) is int and 0 < frequency < MOST_FREQUENT))
    )


def is_jieba(value: Any) -> bool:
    """Return whether a value from JSON is a version and a hash that are safe to show to a user."""
    return (
        type(value) is dict
        and value.keys() == set(Jieba._fields)
        and all(type(each) is str for each in value.values())
        and re.fullmatch("[0-9A-Za-z.+!-]{1,40}", value["version"]) is not None
        and re.fullmatch("[0-9a-f]{64}", value["dictionary_sha256"]) is not None
    )


@functools.cache
def installed_jieba() -> Jieba:
    """Return the installed jieba without importing it (about 10 ms)."""
    from importlib import metadata

    content = _dictionary_file().read_bytes()
    return Jieba(metadata.version("jieba"), hashlib.sha256(content).hexdigest())


def _dictionary_file() -> Path:
    spec = importlib.util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise TokenizerError("Chinese text is segmented by jieba, which is not installed. Use: pip install jieba")
    return Path(spec.origin).with_name("dict.txt")


@functools.cache
def _load_rjieba() -> Cut | None:
    """Return the `cut` of rjieba without HMM; None if it is missing or may cut differently from the installed jieba."""
    from importlib import metadata

    try:
        if installed_jieba() != IMITATED or not metadata.version("rjieba").startswith(TESTED_RJIEBA):
            return None
        import rjieba

        # Not the module's shared instance, to which other code may have added words.
        cut = functools.partial(rjieba.Jieba().cut, hmm=False)
        words = [sentence.split() for sentence in _AS_JIEBA_CUTS]
        return cut if [cut("".join(each)) for each in words] == words else None
    except Exception:  # on any error, fall back to jieba
        return None


def _load(user_words: Sequence[UserWord], hmm: bool) -> Cut:
    """Return the `lcut` of a jieba with the package's dictionary and the user's words."""
    # On import, jieba 0.42.1 emits warnings about its escape sequences and pkg_resources.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.WARNING)
    frequencies, total = _read_dictionary()
    tokenizer = jieba.Tokenizer()
    # The table is shared between tokenizers, since cutting does not change it, but copied before words are added.
    tokenizer.FREQ = dict(frequencies) if user_words else frequencies
    tokenizer.total = total
    tokenizer.initialized = True
    for word, frequency in user_words:
        tokenizer.add_word(word, tokenizer.suggest_freq(word) if frequency is None else frequency)
    return functools.partial(tokenizer.lcut, HMM=hmm)


@functools.cache
def _read_dictionary() -> tuple[dict[str, int], int]:
    """Return the frequency of each word, 0 for prefixes of words that are not words, and the sum of frequencies."""
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
