"""Tokenizers between text and tokens: characters, words in any language, or ready-made tokens between spaces."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, Self

from rnnlm.errors import TokenizerError, shown
from rnnlm.names import SEGMENTERS
from rnnlm.text.letter_case import as_read, case_setting, lower_case, lowercase_of
from rnnlm.text.pieces import PieceTokenizer
from rnnlm.text.segmentation import HAN, Jieba, Segmenter, UserWord, installed_jieba, is_jieba, is_user_word, too_many
from rnnlm.text.vocabulary import SPECIALS
from rnnlm.text.word_rules import RULES, chunk_tokens, compiled, is_rules, rejoined, token_pattern

# The ranges are those of jieba's re_han_default, so that jieba cuts a block as it would within the whole text.
_HAN = HAN
_BLOCK = "(?<![\u4e00-\u9fd5a-zA-Z0-9+#&._%-])[a-zA-Z0-9+#&._%-]*[\u4e00-\u9fd5][\u4e00-\u9fd5a-zA-Z0-9+#&._%-]*"
# Blocks together with the marks between them that are tokens both for jieba and for `token_pattern`. Calling rjieba for
# every block would cost as much as the cutting itself.
_MARK = r"""(?:[，、：；？！“”‘’（）《》〈〉「」『』【】〔〕·,:;!?"'()\[\]<>/`*|]|。(?!。)|．(?!．))"""
_SPAN = f"{_BLOCK}(?:{_MARK}*+{_BLOCK})*+"
_RARE = "龘"  # no word of jieba's dictionary begins or ends with it
LONGEST_MEAN, LONGEST_WORD = 2.5, 8  # characters of the Chinese words of a line in `is_separated`

# Scripts and punctuation written without spaces: CJK radicals to CJK compatibility, Han, full-width forms.
WIDE = "[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff]"
_EMOJI = "[\u2600-\u27bf\U0001f000-\U0001faff]"
_OPENING = frozenset("([{“‘«‹„‚¿¡$£€")
_CLOSING = frozenset(".,!?;:)]}%”’»›…")
_STRAIGHT_QUOTES = frozenset("\"'")


class Spacing(Protocol):
    """A stateful joiner that appends tokens to a text."""

    def piece(self, token: str) -> str:
        """Return the text that a token would add, without adding it."""

    def add(self, token: str) -> str:
        """Add a token and return the text that it adds."""


class Tokenizer(Protocol):
    """The interface of tokenizers.

    name: The level. reads_marks: Whether <unk> in a text is the unknown token, and <s> and </s> at the ends of a line
    mark them and are not tokens; else all three are text. keeps_spaces: Whether all white space is read. lowercase:
    Whether all text is read in lower case. cuts_words: Whether a token may be a part of a word.
    """

    name: str
    reads_marks: bool
    lowercase: bool
    cuts_words: bool

    @property
    def keeps_spaces(self) -> bool: ...  # noqa: D102

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text; none is empty."""

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Return the start and end of each token in its line."""

    def join(self, tokens: Iterable[str]) -> str:
        """Return the text of tokens. More tokens only append to it, so that text can be shown while it is generated."""

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Yield the text of each token before the next is read; the concatenation is the joined text."""

    def spacing(self, like: str = "") -> Spacing:
        """Return a new joiner; it separates all words by spaces if the line `like` does."""

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON values: equal settings and equal text give equal tokens on one machine."""

    def options(self) -> dict[str, Any]:
        """Return the settings and what another machine needs to give the same tokens; see `from_options`."""

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Adopt the options of a tokenizer with equal settings whose tokens are reused.

        Return False and change nothing if this tokenizer would give other tokens.
        """


class _AsWritten:
    """A tokenizer whose tokens are substrings of the text, with only white space between them."""

    reads_marks = keeps_spaces = lowercase = cuts_words = False

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Return the start and end of each token in its line; <s> at the beginning of the line is skipped."""
        mark = compiled(r"(?a:\s*<s>(?!\S))").match(line) if self.reads_marks else None
        end, found, line = mark.end() if mark else 0, [], as_read(self, line)
        for token in tokens:
            start = line.index(token, end)
            end = start + len(token)
            found.append((start, end))
        return found


class _OfCaseAlone(_AsWritten):
    """A tokenizer whose only setting is whether it reads all text in lower case."""

    def __init__(self, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Return the tokenizer with the given `options()`; raise TokenizerError if they are malformed."""
        return cls(lowercase_of(options))

    def settings(self) -> dict[str, Any]:
        """Return {"lowercase": True} if text is read in lower case, else {}."""
        return case_setting(self)

    def options(self) -> dict[str, Any]:
        """Return the settings."""
        return self.settings()

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Return True: all tokenizers of this class are equal."""
        del options
        return True


class CharTokenizer(_OfCaseAlone):
    """Every code point is a token, whitespace too.

    >>> CharTokenizer().tokenize("我 go")
    ['我', ' ', 'g', 'o']
    """

    name = "char"
    keeps_spaces = True

    def tokenize(self, text: str) -> list[str]:
        """Return the code points of a text."""
        return list(as_read(self, text))

    def join(self, tokens: Iterable[str]) -> str:
        """Return the concatenated tokens: the inverse of `tokenize`."""
        return "".join(tokens)

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Return an iterator over the tokens."""
        return iter(tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return a joiner that writes no spaces."""
        return _Spacing("")


class TokenTokenizer(_OfCaseAlone):
    """Every string between spaces is a token, as SRILM, KenLM, Kaldi and PyTorch's examples read text.

    Use it for the Penn Treebank, WikiText, BPE and SentencePiece pieces, phones, tags, SMILES and music. Spaces are the
    ASCII ones, including tabs; other white space may be part of a token. <s> at the beginning of a line and </s> at its
    end are not tokens; <unk> and <UNK> are the unknown token.

    >>> TokenTokenizer().tokenize("<s> mr. <unk> sold u.s. N shares </s>")
    ['mr.', '<unk>', 'sold', 'u.s.', 'N', 'shares']
    """

    name = "token"
    reads_marks = True

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "TokenTokenizer | PieceTokenizer":  # type: ignore[override]
        """Return the tokenizer with the given `options()`; a `PieceTokenizer` if they hold a file of pieces."""
        return PieceTokenizer.from_options(options) if "pieces" in options else cls(lowercase_of(options))

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a line."""
        tokens = compiled(r"[^ \t\n\r\v\f]+").findall(text)
        begin, end, _ = SPECIALS
        first, last = int(tokens[:1] == [begin]), len(tokens) - (tokens[-1:] == [end])
        tokens = tokens[first:last]
        return list(map(lower_case, tokens)) if self.lowercase else tokens

    def join(self, tokens: Iterable[str]) -> str:
        """Return the tokens separated by one space: the inverse of `tokenize` for a line without <s> and </s>."""
        return " ".join(tokens)

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Yield each token, with a space before all but the first."""
        return map(_Spacing(" ").add, tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return a joiner that writes a space between all tokens."""
        return _Spacing(" ")


class WordTokenizer(_AsWritten):
    """Words, numbers and punctuation marks of one line of text, in any mixture of languages.

    White space separates tokens and is dropped. Tokens match `token_pattern`, but jieba cuts blocks of Chinese:

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
        hmm: Let jieba find words that are not in its dictionary with its hidden Markov model.
        user_dictionary: Words to add to jieba's dictionary, see `user_dictionary.read_user_dictionary`.
        rules: Number of the rules that define tokens, see `word_rules`.
        lowercase: Read all text in lower case.

    Raises:
        TokenizerError: There is no such segmenter.
    """

    name = "word"

    def __init__(
        self,
        segmenter: str = "auto",
        hmm: bool = False,
        user_dictionary: Iterable[tuple[str, int | None]] | None = None,
        rules: int = RULES,
        lowercase: bool = False,
    ) -> None:
        if segmenter not in SEGMENTERS:
            raise TokenizerError(f"There is no segmenter {shown(segmenter)}; expected one of {', '.join(SEGMENTERS)}.")
        self.segmenter, self._rules, self.lowercase = segmenter, rules, lowercase
        self._words = Segmenter(hmm, [UserWord(*entry) for entry in user_dictionary or ()])

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "WordTokenizer":
        """Return the tokenizer with the given `options()`.

        If they name a jieba and another one is installed, cutting the first block of Chinese raises a TokenizerError.

        Raises:
            TokenizerError: The options are malformed.
        """
        segmenter, hmm, words, jieba = (options.get(key) for key in ("segmenter", "hmm", "user_dictionary", "jieba"))
        rules = options.get("rules", 1)  # checkpoints with rules 1 record no number
        sound = type(hmm) is bool and type(words) is list and all(map(is_user_word, words)) and not too_many(words)
        if not sound or not is_rules(rules) or not (jieba is None or is_jieba(jieba)):
            raise TokenizerError(
                "The checkpoint's tokenizer options are damaged; use another copy of it or train again."
            )
        tokenizer = cls(str(segmenter), bool(hmm), words, rules, lowercase_of(options))
        tokenizer._words.jieba = None if jieba is None else Jieba(**jieba)
        return tokenizer

    def settings(self) -> dict[str, Any]:
        """Return segmenter, hmm, the user's dictionary, the number of the rules and, if True, `lowercase`."""
        words = [list(entry) for entry in self._words.user_words]
        settings = {"segmenter": self.segmenter, "hmm": self._words.hmm, "user_dictionary": words, "rules": self._rules}
        return settings | case_setting(self)

    def options(self) -> dict[str, Any]:
        """Return the settings, and the version of jieba if it has cut any text so far."""
        jieba = self._words.jieba
        return {**self.settings(), "jieba": None if jieba is None else jieba._asdict()}

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Adopt the version of jieba that cut the text; return False if this tokenizer would use another."""
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

    @staticmethod
    def can_keep(word: str) -> bool:
        """Return whether a word can be a token at all: inside a block for jieba, or without Chinese."""
        if compiled(_BLOCK).fullmatch(f"{_RARE}{word}"):
            return True
        return not compiled(_HAN).search(word) and token_pattern().fullmatch(word) is not None

    def keeps(self, word: str) -> bool:
        """Return whether a word stays whole, alone or between Chinese characters that it cannot be joined to.

        jieba chooses the most probable cut. If the parts of a word are more probable than the word, they are so in
        every text.
        """
        return word in self.tokenize(word) or word in self.tokenize(f"{_RARE}{word}{_RARE}")

    def is_slow(self, sample: str) -> bool:
        """Return whether lines such as those of `sample` are cut by jieba in Python, not by rjieba."""
        return any(map(self._is_cut, sample.split("\n"))) and self._words.is_slow()

    def _is_cut(self, line: str) -> bool:
        if self.segmenter == "spaces" or not compiled(_HAN).search(line):
            return False
        return self.segmenter == "jieba" or not is_separated(line, self._rules)

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of one line.

        Raises:
            TokenizerError: The line has Chinese to cut, and the required version of jieba is not installed.
        """
        text = as_read(self, text)
        if not self._is_cut(text):
            return list(itertools.chain.from_iterable(map(chunk_tokens(self._rules).__getitem__, text.split())))
        find = token_pattern(self._rules).findall
        tokens, end = list[str](), 0
        for block in compiled(_SPAN if self._words.fast else _BLOCK).finditer(text):
            tokens += find(text, end, block.start())
            tokens += self._words.cut(block[0])
            end = block.end()
        tokens += find(text, end)
        return tokens if self._rules == 1 else rejoined(text, tokens)

    def join(self, tokens: Iterable[str]) -> str:
        """Return the text of tokens: Chinese without spaces, other languages with the usual ones.

        `tokenize` returns the same tokens again if they have no Chinese; the cut of Chinese depends on its context.

        >>> WordTokenizer().join(["“", "Yes", "!", "”", "she", "said", "(", "twice", ")", "."])
        '“Yes!” she said (twice).'
        >>> WordTokenizer().join(["老师", "说", "：", "“", "good", "morning", "”"])
        '老师说：“good morning”'
        """
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Yield each token, with a space before it where one belongs; it does not depend on the following tokens."""
        return map(_WordSpacing(self._rules).add, tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return the joiner of `join`, or one that writes a space between all tokens if `like` is separated."""
        return _Spacing(" ") if is_separated(like, self._rules) else _WordSpacing(self._rules)


AnyTokenizer = type[CharTokenizer] | type[WordTokenizer] | type[TokenTokenizer]
TOKENIZERS: dict[str, AnyTokenizer] = {each.name: each for each in (CharTokenizer, WordTokenizer, TokenTokenizer)}


def tokenizer_class(level: str) -> AnyTokenizer:
    """Return the tokenizer class of a level: "char", "word", "token", or "auto", which is "word".

    >>> tokenizer_class("auto").name
    'word'

    Raises:
        TokenizerError: There is no such level.
    """
    name = "word" if level == "auto" else level
    if name not in TOKENIZERS:
        raise TokenizerError(f"There is no level {level!r}; expected one of auto, {', '.join(TOKENIZERS)}.")
    return TOKENIZERS[name]


def spans(tokenizer: Tokenizer, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
    """Return the start and end of each token in its line: line[start:end] is the token.

    tokens: All tokens of the line, in order.

    >>> spans(WordTokenizer(), "go,  go", ["go", ",", "go"])
    [(0, 2), (2, 3), (5, 7)]
    """
    return tokenizer.spans(line, tokens)


def is_separated(line: str, rules: int = RULES) -> bool:
    """Return whether the Chinese words of a line are separated by spaces already.

    They are if the line has at least two chunks between spaces, and if every chunk with Chinese is a single token
    without punctuation and as long as a word: at most 2.5 characters on average, and at most 8 each.

    >>> is_separated("我 昨天 上学"), is_separated("我昨天上学"), is_separated("第一回 甄士隐梦幻识通灵")
    (True, False, False)
    """
    chunks = line.split()
    words = [chunk for chunk in chunks if compiled(_HAN).search(chunk)]
    if len(chunks) < 2 or not words:
        return False
    lengths = [len(word) for word in words]
    if max(lengths) > LONGEST_WORD or sum(lengths) > LONGEST_MEAN * len(lengths):
        return False
    return all(token_pattern(rules).fullmatch(word) for word in words)


class _Spacing:
    """A joiner that writes the same separator before every token but the first."""

    def __init__(self, separator: str) -> None:
        self._separator, self._begun = separator, False

    def piece(self, token: str) -> str:
        """Return the text that a token would add, without adding it."""
        return self._separator + token if self._begun else token

    def add(self, token: str) -> str:
        """Add a token and return the text that it adds."""
        piece = self.piece(token)
        self._begun = True
        return piece


class _WordSpacing:
    """A joiner of words: no spaces in Chinese or between equal emoji, the usual ones in other languages."""

    def __init__(self, rules: int) -> None:
        """Start an empty text."""
        self._pattern = token_pattern(rules)
        self._piece: list[str] = []  # the last tokens since a space; how a token is read depends on at most two
        self._open_quotes: set[str] = set()
        self._holds_next = self._wide = False

    def piece(self, token: str) -> str:
        """Return the token, with a space before it if one belongs there."""
        return token if not self._piece or self._is_glued(token) else f" {token}"

    def add(self, token: str) -> str:
        """Add a token and return the text that it adds."""
        glued = self._is_glued(token)
        written = token if glued or not self._piece else f" {token}"
        closes, straight = self._closes(token), token in _STRAIGHT_QUOTES
        self._piece = [*self._piece[-1:], token] if glued else [token]
        if straight:
            self._open_quotes ^= {token}
        self._holds_next = token[-1:] in _OPENING or (straight and not closes)
        # A mark that is used in several scripts, such as “ or —, counts as Chinese after Chinese.
        self._wide = compiled(WIDE).match(token[-1:]) is not None or (self._wide and not token[:1].isalnum())
        return written

    def _closes(self, token: str) -> bool:
        if token in _STRAIGHT_QUOTES:
            return token in self._open_quotes
        return token in _CLOSING or token.startswith(("..", "……"))

    def _is_glued(self, token: str) -> bool:
        touches = self._holds_next or self._closes(token) or self._wide or compiled(WIDE).match(token) is not None
        repeated = self._piece[-1:] == [token] and compiled(_EMOJI).match(token) is not None
        return (touches or repeated) and self._reads_back(token)

    def _reads_back(self, token: str) -> bool:
        """Return whether the last tokens and this one, written without a space, are cut into the same tokens again."""
        text = "".join([*self._piece, token])
        return compiled(_HAN).search(text) is not None or self._pattern.findall(text) == [*self._piece, token]
