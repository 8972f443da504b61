"""Chinese words by jieba: loaded late, silent, and from its own dictionary file alone.

jieba itself would read `jieba.cache` in the folder for temporary files, whoever put it there, and never check it. Here
its tables are filled from the `dict.txt` of the package, which is as fast, and the cache is neither read nor written.

rjieba is jieba written in Rust, with the dictionary of jieba 0.42.1 inside. Without HMM and without words of the user
its output is the same, so that it cuts in jieba's place where it is installed, and nothing says which of them it was.
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

# jieba keeps every beginning of every word: a word of a million characters would take half a terabyte.
LONGEST_USER_WORD = 64  # characters
MOST_USER_CHARACTERS = 1 << 22  # in all words together
MOST_USER_WORDS = 500_000  # a checkpoint's header has room for a million lists
MOST_FREQUENT = 10**12  # far beyond jieba's own frequencies, which have 6 digits
TESTED_RJIEBA = "0.2."  # how the versions begin that were compared with jieba
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

HAN = "[\u4e00-\u9fd5]"  # a character that jieba cuts, as its re_han_default has them


class UserWord(NamedTuple):
    """A word of the user's dictionary; without a frequency jieba finds one with which the word stays whole."""

    word: str
    frequency: int | None


class Jieba(NamedTuple):
    """What decides how jieba segments: its version and the SHA-256 of its dictionary."""

    version: str
    dictionary_sha256: str


# What rjieba imitates.
IMITATED = Jieba("0.42.1", "7197c3211ddd98962b036cdf40324d1ea2bfaa12bd028e68faa70111a88e12a8")
Cut = Callable[[str], list[str]]


def has_han(text: str) -> bool:
    """Whether a text has Chinese in it, as far as jieba knows its characters."""
    return re.search(HAN, text) is not None


class Segmenter:
    """Cuts blocks of Chinese as `jieba.lcut` does.

    jieba: the one that the text must be segmented with; None until it is known, that is until the first block.
    fast: whether rjieba cuts; False until the first block.
    """

    def __init__(self, hmm: bool, user_words: Sequence[UserWord], jieba: Jieba | None = None) -> None:
        self.hmm, self.user_words, self.jieba = hmm, user_words, jieba
        self.fast = False
        self._cut: Cut | None = None

    def cut(self, block: str) -> list[str]:
        """Words of a block without whitespace; they add up to it.

        Raises:
            TokenizerError: jieba is not installed, or not the one that the text must be segmented with.
        """
        if len(block) == 1:  # nothing to cut, so nothing to load
            return [block]
        if self._cut is None:
            self._check()
            rjieba = self._rjieba()
            self.fast = rjieba is not None
            self._cut = rjieba or _load(self.user_words, self.hmm)
        return self._cut(block)

    def is_slow(self) -> bool:
        """Whether jieba itself cuts, not rjieba."""
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
    """Whether these are more words than jieba can be given, or a checkpoint can hold."""
    return len(words) > MOST_USER_WORDS or sum(len(word) for word, _ in words) > MOST_USER_CHARACTERS


def is_user_word(entry: Any) -> bool:
    """Whether a value from JSON is a word and its frequency."""
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
    """The `cut` of rjieba without HMM; None if it is not there or may cut otherwise than the jieba here does."""
    from importlib import metadata

    try:
        if installed_jieba() != IMITATED or not metadata.version("rjieba").startswith(TESTED_RJIEBA):
            return None
        import rjieba

        # Not the one that the module shares, to which others may have added words.
        cut = functools.partial(rjieba.Jieba().cut, hmm=False)
        words = [sentence.split() for sentence in _AS_JIEBA_CUTS]
        return cut if [cut("".join(each)) for each in words] == words else None
    except Exception:  # whatever is wrong with it, jieba is there
        return None


def _load(user_words: Sequence[UserWord], hmm: bool) -> Cut:
    """What cuts as a jieba that knows the package's dictionary and the user's words."""
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
    return functools.partial(tokenizer.lcut, HMM=hmm)


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
