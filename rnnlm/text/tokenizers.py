"""Text <-> tokens: characters, or words in any language, Chinese among them."""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from rnnlm.errors import TokenizerError, shown
from rnnlm.text.segmentation import Jieba, Segmenter, UserWord, installed_jieba, is_jieba, is_user_word, too_many

SEGMENTERS = ("auto", "jieba", "spaces")

# What continues a word beside \w, which lacks combining marks: first and last code points of the categories M* of
# Unicode 14. Two ranges are one where only \w or unassigned code points lie between them.
_MARKS = """
0300-036F 0483-0489 0591-05BD 05BF 05C1-05C2 05C4-05C5 05C7 0610-061A 064B-065F 0670 06D6-06DC 06DF-06E8 06EA-06ED
0711-07F3 07FD 0816-082D 0859-085B 0898-08E1 08E3-0963 0981-09E3 09FE-0A75 0A81-0AE3 0AFA-0B63 0B82-0BD7 0C00-0C63
0C81-0C83 0CBC-0D4D 0D57-0D63 0D81-0DF3 0E31-0E3A 0E47-0E4E 0EB1-0ECD 0F18-0F19 0F35 0F37 0F39 0F3E-0F84 0F86-0FBC
0FC6 102B-103E 1056-109D 135D-135F 1712-1734 1752-17D3 17DD 180B-180D 180F-193B 1A17-1A1B 1A55-1A7F 1AB0-1B44
1B6B-1B73 1B80-1BF3 1C24-1C37 1CD0-1CD2 1CD4-1DFF 20D0-20F0 2CEF-2CF1 2D7F-2DFF 302A-302F 3099-309A A66F-A672
A674-A67D A69E-A6F1 A802-A827 A82C A880-A8C5 A8E0-A8F1 A8FF-A92D A947-A953 A980-A9C0 A9E5-AA4D AA7B-AAC1 AAEB-AAEF
AAF5-AAF6 ABE3-ABEA ABEC-ABED FB1E FE00-FE0F FE20-FE2F 101FD-1037A 10A01-10A3F 10AE5-10AE6 10D24-10EAC 10F46-10F50
10F82-10F85 11000-11046 11070-110BA 110C2 11100-11134 11145-11173 11180-111C0 111C9-111CC 111CE-111CF 1122C-11237
1123E 112DF-11446 1145E-114C3 115AF-115C0 115DC-11640 116AB-116B7 1171D-1172B 1182C-1183A 11930-11943 119D1-119E0
119E4-11A3E 11A47-11A99 11C2F-11C3F 11C92-11EF6 16AF0-16AF4 16B30-16B36 16F4F-16F92 16FE4-16FF1 1BC9D-1BC9E
1CF00-1CF46 1D165-1D169 1D16D-1D172 1D17B-1D182 1D185-1D18B 1D1AA-1D1AD 1D242-1D244 1DA00-1DA36 1DA3B-1DA6C 1DA75
1DA84 1DA9B-1E136 1E2AE-1E2EF 1E8D0-1E94A E0100-E01EF
"""


def _character_class(ranges: str) -> str:
    return "".join("-".join(chr(int(end, 16)) for end in each.split("-")) for each in ranges.split())


_JOINERS = "\u200c\u200d"  # inside words of Persian and Indian scripts, and inside emoji
_WORD = rf"[\w{_character_class(_MARKS)}{_JOINERS}]+"
_CONNECTOR = r"(?:['’‐‑-]|(?<=\d)[.,](?=\d))"
_RUNS = r"\.+|…+|。+|．+|-+|–+|—+|―+"
_SYMBOL = r"\S[\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f]*"


_TOKEN = rf"{_WORD}(?:{_CONNECTOR}{_WORD})*|{_RUNS}|{_SYMBOL}"

# Patterns of wide ranges take longer to compile than Python takes to start: each is compiled when it is first needed.
_compiled = functools.cache(re.compile)


def token_pattern() -> re.Pattern[str]:
    """A token of text that is not cut by jieba.

    Tried in this order: letters, digits, marks and _, which an apostrophe or a hyphen may connect, and . or , between
    digits; a run of one sort of dot or dash; any other character that is not whitespace, with what modifies it. What a
    token is never depends on the text before it, and on no more after it than a connector and a letter: `_reads_back`
    relies on that.
    """
    return _compiled(_TOKEN)


# The ranges are those of jieba's re_han_default, so that it cuts a block as it would cut it within the whole text.
_HAN = "[\u4e00-\u9fd5]"
_BLOCK = "(?<![\u4e00-\u9fd5a-zA-Z0-9+#&._%-])[a-zA-Z0-9+#&._%-]*[\u4e00-\u9fd5][\u4e00-\u9fd5a-zA-Z0-9+#&._%-]*"
# Blocks and the marks between them, each of which is a token for jieba and for `token_pattern` alike: rjieba is so fast
# that to call it for every block would cost as much as the cutting.
_MARK = r"""(?:[，、：；？！“”‘’（）《》〈〉「」『』【】〔〕·,:;!?"'()\[\]<>/`*|]|。(?!。)|．(?!．))"""
_SPAN = f"{_BLOCK}(?:{_MARK}*+{_BLOCK})*+"
LONGEST_MEAN, LONGEST_WORD = 2.5, 8  # characters of Chinese words in text that is taken as separated

# Scripts and punctuation written without spaces: radicals to CJK compatibility, Han, full-width forms.
_WIDE = "[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff]"
_OPENING = frozenset("([{“‘«‹„‚¿¡$£€")
_CLOSING = frozenset(".,!?;:)]}%”’»›…")
_STRAIGHT_QUOTES = frozenset("\"'")


class _Chunks(dict[str, tuple[str, ...]]):
    """The tokens of what stands between spaces: most of a text was there before, and a look-up is fast."""

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        tokens = tuple(token_pattern().findall(chunk))
        if len(self) >= MOST_CHUNKS:
            self.clear()
        if len(chunk) <= LONGEST_CHUNK:
            self[chunk] = tokens
        return tokens


MOST_CHUNKS, LONGEST_CHUNK = 1 << 16, 32  # together about 15 MB
_tokens_of_chunk = _Chunks().__getitem__


class Spacing(Protocol):
    """A text of tokens that grows at its end."""

    def piece(self, token: str) -> str:
        """The text that a token would add."""

    def add(self, token: str) -> str:
        """The text that a token adds."""


class Tokenizer(Protocol):
    """What the rest of the package asks of a tokenizer."""

    name: str

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text; none is empty."""

    def join(self, tokens: Iterable[str]) -> str:
        """Text of tokens. More tokens only add to its end, so that text can be shown as it is made."""

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """The text of each token in turn, given out before the next token is asked for; together, the joined text."""

    def spacing(self) -> Spacing:
        """What gives these pieces to one who also asks which piece another token would have been."""

    def settings(self) -> dict[str, Any]:
        """What was asked for, in JSON: equal settings and equal text give equal tokens on one machine."""

    def options(self) -> dict[str, Any]:
        """The settings and what must be the same on another machine, for a checkpoint; see `from_options`."""

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Take over the options under which a tokenizer of equal settings made tokens that are now used.

        False, with nothing changed, if this tokenizer would make other tokens.
        """


class CharTokenizer:
    """Every code point is a token, whitespace too.

    >>> CharTokenizer().tokenize("我 go")
    ['我', ' ', 'g', 'o']
    """

    name = "char"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "CharTokenizer":
        """The tokenizer; it has no options."""
        del options
        return cls()

    def tokenize(self, text: str) -> list[str]:
        """Code points of a text."""
        return list(text)

    def join(self, tokens: Iterable[str]) -> str:
        """Concatenation: the inverse of `tokenize`."""
        return "".join(tokens)

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """The tokens."""
        return iter(tokens)

    def spacing(self) -> Spacing:
        """None."""
        return _NoSpacing()

    def settings(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def options(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """True: all tokenizers of characters are equal."""
        del options
        return True


class WordTokenizer:
    """Words, numbers and punctuation marks of one line of text, in any mixture of languages.

    Whitespace separates and is dropped. `token_pattern` says what a token is; a block of Chinese is cut by jieba:

    - segmenter "auto": unless the words of the line are separated already (see `is_separated`);
    - "jieba": always;
    - "spaces": never.

    >>> WordTokenizer().tokenize("Don't pay 1,000 for a well-known one...")
    ["Don't", 'pay', '1,000', 'for', 'a', 'well-known', 'one', '...']
    >>> WordTokenizer().tokenize("我 昨天 上学")
    ['我', '昨天', '上学']
    >>> WordTokenizer().tokenize("我昨天上学迟到了。")
    ['我', '昨天', '上学', '迟到', '了', '。']

    Args:
        segmenter: "auto", "jieba" or "spaces".
        hmm: let jieba invent words that are not in its dictionary.
        user_dictionary: words that jieba shall know, see `segmentation.read_user_dictionary`.

    Raises:
        TokenizerError: there is no such segmenter.
    """

    name = "word"

    def __init__(
        self,
        segmenter: str = "auto",
        hmm: bool = False,
        user_dictionary: Iterable[tuple[str, int | None]] | None = None,
    ) -> None:
        if segmenter not in SEGMENTERS:
            raise TokenizerError(f"There is no segmenter {shown(segmenter)}; expected one of {', '.join(SEGMENTERS)}.")
        self.segmenter = segmenter
        self._words = Segmenter(hmm, [UserWord(*entry) for entry in user_dictionary or ()])

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "WordTokenizer":
        """The tokenizer whose `options()` these are.

        Where they name a jieba, another one is refused when the first block of Chinese is to be cut.

        Raises:
            TokenizerError: the options are malformed.
        """
        segmenter, hmm, words, jieba = (options.get(key) for key in ("segmenter", "hmm", "user_dictionary", "jieba"))
        sound = type(hmm) is bool and type(words) is list and all(map(is_user_word, words)) and not too_many(words)
        if not sound or not (jieba is None or is_jieba(jieba)):
            raise TokenizerError(
                "The checkpoint's tokenizer options are damaged; use another copy of it or train again."
            )
        tokenizer = cls(str(segmenter), bool(hmm), words)
        tokenizer._words.jieba = None if jieba is None else Jieba(**jieba)
        return tokenizer

    def settings(self) -> dict[str, Any]:
        """Segmenter, hmm and the words of the user's dictionary."""
        dictionary = [list(entry) for entry in self._words.user_words]
        return {"segmenter": self.segmenter, "hmm": self._words.hmm, "user_dictionary": dictionary}

    def options(self) -> dict[str, Any]:
        """The settings, and which jieba cut the text if one did so far."""
        jieba = self._words.jieba
        return {**self.settings(), "jieba": None if jieba is None else jieba._asdict()}

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Take over which jieba cut the text; False if this tokenizer would ask another."""
        try:
            theirs = self.from_options(options)._words.jieba
        except TokenizerError:
            return False
        if theirs is None:
            return True
        if theirs != (self._words.jieba or installed_jieba()):
            return False
        self._words.jieba = theirs
        return True

    def is_slow(self, sample: str) -> bool:
        """Whether jieba itself, in Python, cuts lines of a text such as this."""
        return any(map(self._is_cut, sample.split("\n"))) and self._words.is_slow()

    def _is_cut(self, line: str) -> bool:
        if self.segmenter == "spaces" or not _compiled(_HAN).search(line):
            return False
        return self.segmenter == "jieba" or not is_separated(line)

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one line.

        Raises:
            TokenizerError: Chinese is to be cut and the jieba that it takes is not installed.
        """
        if not self._is_cut(text):
            return list(itertools.chain.from_iterable(map(_tokens_of_chunk, text.split())))
        tokens, end = [], 0
        for block in _compiled(_SPAN if self._words.fast else _BLOCK).finditer(text):
            tokens += token_pattern().findall(text, end, block.start())
            tokens += self._words.cut(block[0])
            end = block.end()
        return tokens + token_pattern().findall(text, end)

    def join(self, tokens: Iterable[str]) -> str:
        """Text of tokens: Chinese without spaces, other languages with the usual ones.

        `tokenize` gives the same tokens again where they hold no Han; how Chinese is cut depends on what is around it.

        >>> WordTokenizer().join(["“", "Yes", "!", "”", "she", "said", "(", "twice", ")", "."])
        '“Yes!” she said (twice).'
        >>> WordTokenizer().join(["老师", "说", "：", "“", "good", "morning", "”"])
        '老师说：“good morning”'
        """
        return "".join(_spaced(tokens))

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Each token, with a space before it where one belongs."""
        return _spaced(tokens)

    def spacing(self) -> Spacing:
        """That of `join`."""
        return _WordSpacing()


TOKENIZERS: dict[str, type[CharTokenizer] | type[WordTokenizer]] = {"char": CharTokenizer, "word": WordTokenizer}


def tokenizer_class(level: str) -> type[CharTokenizer] | type[WordTokenizer]:
    """Tokenizer of a level: "char", "word", or "auto", which is words.

    >>> tokenizer_class("auto").name
    'word'

    Raises:
        TokenizerError: there is no such level.
    """
    name = "word" if level == "auto" else level
    if name not in TOKENIZERS:
        raise TokenizerError(f"There is no level {level!r}; expected one of auto, {', '.join(TOKENIZERS)}.")
    return TOKENIZERS[name]


def is_separated(line: str) -> bool:
    """Whether the Chinese words of a line are separated by spaces already.

    So they are if what stands between spaces is Chinese in more than one place, or Chinese beside something else, has
    no punctuation stuck to it and is as long as words are: 2.5 characters on average, 8 at most.

    >>> is_separated("我 昨天 上学"), is_separated("我昨天上学"), is_separated("第一回 甄士隐梦幻识通灵")
    (True, False, False)
    """
    chunks = line.split()
    words = [chunk for chunk in chunks if _compiled(_HAN).search(chunk)]
    if len(chunks) < 2 or not words:
        return False
    lengths = [len(word) for word in words]
    if max(lengths) > LONGEST_WORD or sum(lengths) > LONGEST_MEAN * len(lengths):
        return False
    return all(token_pattern().fullmatch(word) for word in words)


def _spaced(tokens: Iterable[str]) -> Iterator[str]:
    """Each token, with a space before it where one belongs; what follows it is not looked at."""
    return map(_WordSpacing().add, tokens)


class _NoSpacing:
    """The spacing of characters: none."""

    def piece(self, token: str) -> str:
        """The token."""
        return token

    add = piece


class _WordSpacing:
    """The spacing of words: none in Chinese, the usual one in other languages."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._piece: list[str] = []  # the last tokens since a space: two are as far as a reading can depend on
        self._open_quotes: set[str] = set()
        self._holds_next = self._wide = False

    def piece(self, token: str) -> str:
        """The token, with a space before it if one belongs there."""
        return token if not self._piece or self._is_glued(token) else f" {token}"

    def add(self, token: str) -> str:
        """Write the token; its piece."""
        glued = self._is_glued(token)
        written = token if glued or not self._piece else f" {token}"
        closes, straight = self._closes(token), token in _STRAIGHT_QUOTES
        self._piece = [*self._piece[-1:], token] if glued else [token]
        if straight:
            self._open_quotes ^= {token}
        self._holds_next = token in _OPENING or (straight and not closes)
        # A mark that is at home in several scripts, such as “ or —, is Chinese after Chinese.
        self._wide = _compiled(_WIDE).match(token[-1:]) is not None or (self._wide and not token[:1].isalnum())
        return written

    def _closes(self, token: str) -> bool:
        if token in _STRAIGHT_QUOTES:
            return token in self._open_quotes
        return token in _CLOSING or token.startswith(("..", "……"))

    def _is_glued(self, token: str) -> bool:
        touches = self._holds_next or self._closes(token) or self._wide or _compiled(_WIDE).match(token) is not None
        return touches and _reads_back(self._piece, token)


def _reads_back(piece: Sequence[str], token: str) -> bool:
    """Whether a token written right after a piece of text leaves the reading of both as it is."""
    text = "".join([*piece, token])
    return _compiled(_HAN).search(text) is not None or token_pattern().findall(text) == [*piece, token]
