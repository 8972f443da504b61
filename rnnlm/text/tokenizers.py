"""Text <-> tokens: characters, words in any language, or tokens that a text has made already."""

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

# The ranges are those of jieba's re_han_default, so that it cuts a block as it would cut it within the whole text.
_HAN = HAN
_BLOCK = "(?<![\u4e00-\u9fd5a-zA-Z0-9+#&._%-])[a-zA-Z0-9+#&._%-]*[\u4e00-\u9fd5][\u4e00-\u9fd5a-zA-Z0-9+#&._%-]*"
# Blocks and the marks between them, each of which is a token for jieba and for `token_pattern` alike: rjieba is so fast
# that to call it for every block would cost as much as the cutting.
_MARK = r"""(?:[，、：；？！“”‘’（）《》〈〉「」『』【】〔〕·,:;!?"'()\[\]<>/`*|]|。(?!。)|．(?!．))"""
_SPAN = f"{_BLOCK}(?:{_MARK}*+{_BLOCK})*+"
_RARE = "龘"  # begins and ends no word of jieba's dictionary
LONGEST_MEAN, LONGEST_WORD = 2.5, 8  # characters of Chinese words in text that is taken as separated

# Scripts and punctuation written without spaces: radicals to CJK compatibility, Han, full-width forms.
WIDE = "[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff]"
_EMOJI = "[\u2600-\u27bf\U0001f000-\U0001faff]"
_OPENING = frozenset("([{“‘«‹„‚¿¡$£€")
_CLOSING = frozenset(".,!?;:)]}%”’»›…")
_STRAIGHT_QUOTES = frozenset("\"'")


class Spacing(Protocol):
    """A text of tokens that grows at its end."""

    def piece(self, token: str) -> str:
        """The text that a token would add."""

    def add(self, token: str) -> str:
        """The text that a token adds."""


class Tokenizer(Protocol):
    """What the rest of the package asks of a tokenizer.

    name: the level. reads_marks: whether <unk> in a text is the unknown token, and <s> and </s> at the ends of a line
    are its marks and no tokens; else they are text. keeps_spaces: whether all white space is read. lowercase: whether
    it reads all text as if it were in lower case. cuts_words: whether a token may be a piece of a word.
    """

    name: str
    reads_marks: bool
    lowercase: bool
    cuts_words: bool

    @property
    def keeps_spaces(self) -> bool: ...  # noqa: D102

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text; none is empty."""

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Where the tokens of a line stand in it, start and end."""

    def join(self, tokens: Iterable[str]) -> str:
        """Text of tokens. More tokens only add to its end, so that text can be shown as it is made."""

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """The text of each token in turn, given out before the next token is asked for; together, the joined text."""

    def spacing(self, like: str = "") -> Spacing:
        """A joiner that also tells other tokens' pieces; spaces separate words if they do in `like`, a line."""

    def settings(self) -> dict[str, Any]:
        """What was asked for, in JSON: equal settings and equal text give equal tokens on one machine."""

    def options(self) -> dict[str, Any]:
        """The settings and what must be the same on another machine, for a checkpoint; see `from_options`."""

    def adopt(self, options: Mapping[str, Any]) -> bool:
        """Take over the options under which a tokenizer of equal settings made tokens that are now used.

        False, with nothing changed, if this tokenizer would make other tokens.
        """


class _AsWritten:
    """A tokenizer whose tokens stand in a text as they are, and nothing but white space between them."""

    reads_marks = keeps_spaces = lowercase = cuts_words = False

    def spans(self, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
        """Return the places; a mark <s> at the beginning is no token."""
        mark = compiled(r"(?a:\s*<s>(?!\S))").match(line) if self.reads_marks else None
        end, found, line = mark.end() if mark else 0, [], as_read(self, line)
        for token in tokens:
            start = line.index(token, end)
            end = start + len(token)
            found.append((start, end))
        return found


class _OfCaseAlone(_AsWritten):
    """A tokenizer that has no other setting than whether it reads all text in lower case."""

    def __init__(self, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """The tokenizer whose `options()` these are; a TokenizerError if they are malformed."""
        return cls(lowercase_of(options))

    def settings(self) -> dict[str, Any]:
        """Return whether text is read in lower case, if it is."""
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
        """Code points of a text."""
        return list(as_read(self, text))

    def join(self, tokens: Iterable[str]) -> str:
        """Concatenation: the inverse of `tokenize`."""
        return "".join(tokens)

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """The tokens."""
        return iter(tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return the spacing of characters: none."""
        return _Spacing("")


class TokenTokenizer(_OfCaseAlone):
    """What stands between spaces is a token, whatever it is, as SRILM, KenLM, Kaldi and PyTorch's examples read text.

    So are read the Penn Treebank, WikiText, BPE and SentencePiece pieces, phones, tags, SMILES, music. Spaces are those
    of ASCII, tabs among them: other white space may be part of a token. <s> at the beginning of a line and </s> at its
    end are its marks, and no tokens; <unk> and <UNK> are the unknown token.

    >>> TokenTokenizer().tokenize("<s> mr. <unk> sold u.s. N shares </s>")
    ['mr.', '<unk>', 'sold', 'u.s.', 'N', 'shares']
    """

    name = "token"
    reads_marks = True

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "TokenTokenizer | PieceTokenizer":  # type: ignore[override]
        """Make the tokenizer, or that of pieces if the options name a file of them."""
        return PieceTokenizer.from_options(options) if "pieces" in options else cls(lowercase_of(options))

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a line."""
        tokens = compiled(r"[^ \t\n\r\v\f]+").findall(text)
        begin, end, _ = SPECIALS
        first, last = int(tokens[:1] == [begin]), len(tokens) - (tokens[-1:] == [end])
        tokens = tokens[first:last]
        return list(map(lower_case, tokens)) if self.lowercase else tokens

    def join(self, tokens: Iterable[str]) -> str:
        """Tokens with one space between them: the inverse of `tokenize` for a line without marks."""
        return " ".join(tokens)

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Each token, with a space before it but for the first."""
        return map(_Spacing(" ").add, tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return the spacing of tokens: a space between all."""
        return _Spacing(" ")


class WordTokenizer(_AsWritten):
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
        user_dictionary: words that jieba shall know, see `user_dictionary.read_user_dictionary`.
        rules: number of the rules of what a token is, see `word_rules`.
        lowercase: read all text in lower case.

    Raises:
        TokenizerError: there is no such segmenter.
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
        """The tokenizer whose `options()` these are.

        Where they name a jieba, another one is refused when the first block of Chinese is to be cut.

        Raises:
            TokenizerError: the options are malformed.
        """
        segmenter, hmm, words, jieba = (options.get(key) for key in ("segmenter", "hmm", "user_dictionary", "jieba"))
        rules = options.get("rules", 1)  # which had no number
        sound = type(hmm) is bool and type(words) is list and all(map(is_user_word, words)) and not too_many(words)
        if not sound or not is_rules(rules) or not (jieba is None or is_jieba(jieba)):
            raise TokenizerError(
                "The checkpoint's tokenizer options are damaged; use another copy of it or train again."
            )
        tokenizer = cls(str(segmenter), bool(hmm), words, rules, lowercase_of(options))
        tokenizer._words.jieba = None if jieba is None else Jieba(**jieba)
        return tokenizer

    def settings(self) -> dict[str, Any]:
        """Return segmenter, hmm, the words of the user's dictionary, the number of the rules and, if set, the case."""
        words = [list(entry) for entry in self._words.user_words]
        settings = {"segmenter": self.segmenter, "hmm": self._words.hmm, "user_dictionary": words, "rules": self._rules}
        return settings | case_setting(self)

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

    @staticmethod
    def can_keep(word: str) -> bool:
        """Whether a word can be a token of some text: as part of what jieba is given, or without Chinese."""
        if compiled(_BLOCK).fullmatch(f"{_RARE}{word}"):
            return True
        return not compiled(_HAN).search(word) and token_pattern().fullmatch(word) is not None

    def keeps(self, word: str) -> bool:
        """Whether a word, alone or between Chinese words that it cannot join, is a token.

        jieba's cut is the most probable one. If the parts of a word are more probable together than the word, they are
        so in every text.
        """
        return word in self.tokenize(word) or word in self.tokenize(f"{_RARE}{word}{_RARE}")

    def is_slow(self, sample: str) -> bool:
        """Whether jieba itself, in Python, cuts lines of a text such as this."""
        return any(map(self._is_cut, sample.split("\n"))) and self._words.is_slow()

    def _is_cut(self, line: str) -> bool:
        if self.segmenter == "spaces" or not compiled(_HAN).search(line):
            return False
        return self.segmenter == "jieba" or not is_separated(line, self._rules)

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one line.

        Raises:
            TokenizerError: Chinese is to be cut and the jieba that it takes is not installed.
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
        """Text of tokens: Chinese without spaces, other languages with the usual ones.

        `tokenize` gives the same tokens again where they hold no Han; how Chinese is cut depends on what is around it.

        >>> WordTokenizer().join(["“", "Yes", "!", "”", "she", "said", "(", "twice", ")", "."])
        '“Yes!” she said (twice).'
        >>> WordTokenizer().join(["老师", "说", "：", "“", "good", "morning", "”"])
        '老师说：“good morning”'
        """
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[str]) -> Iterator[str]:
        """Each token, with a space before it where one belongs; what follows it is not looked at."""
        return map(_WordSpacing(self._rules).add, tokens)

    def spacing(self, like: str = "") -> Spacing:
        """Return the spacing of `join`, or that of a line whose words are separated."""
        return _Spacing(" ") if is_separated(like, self._rules) else _WordSpacing(self._rules)


AnyTokenizer = type[CharTokenizer] | type[WordTokenizer] | type[TokenTokenizer]
TOKENIZERS: dict[str, AnyTokenizer] = {each.name: each for each in (CharTokenizer, WordTokenizer, TokenTokenizer)}


def tokenizer_class(level: str) -> AnyTokenizer:
    """Tokenizer of a level: "char", "word", "token", or "auto", which is words.

    >>> tokenizer_class("auto").name
    'word'

    Raises:
        TokenizerError: there is no such level.
    """
    name = "word" if level == "auto" else level
    if name not in TOKENIZERS:
        raise TokenizerError(f"There is no level {level!r}; expected one of auto, {', '.join(TOKENIZERS)}.")
    return TOKENIZERS[name]


def spans(tokenizer: Tokenizer, line: str, tokens: Iterable[str]) -> list[tuple[int, int]]:
    """Where the tokens of a line, all of them in order, stand in it: line[start:end] is the token.

    >>> spans(WordTokenizer(), "go,  go", ["go", ",", "go"])
    [(0, 2), (2, 3), (5, 7)]
    """
    return tokenizer.spans(line, tokens)


def is_separated(line: str, rules: int = RULES) -> bool:
    """Whether the Chinese words of a line are separated by spaces already.

    So they are if what stands between spaces is Chinese in more than one place, or Chinese beside something else, has
    no punctuation stuck to it and is as long as words are: 2.5 characters on average, 8 at most.

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
    """A spacing that is the same everywhere: the separator before every token but the first."""

    def __init__(self, separator: str) -> None:
        self._separator, self._begun = separator, False

    def piece(self, token: str) -> str:
        """Return the text that a token would add."""
        return self._separator + token if self._begun else token

    def add(self, token: str) -> str:
        """Return the text that a token adds."""
        piece = self.piece(token)
        self._begun = True
        return piece


class _WordSpacing:
    """The spacing of words: none in Chinese or between equal emoji, the usual one in other languages."""

    def __init__(self, rules: int) -> None:
        """Nothing was written yet."""
        self._pattern = token_pattern(rules)
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
        self._holds_next = token[-1:] in _OPENING or (straight and not closes)
        # A mark that is at home in several scripts, such as “ or —, is Chinese after Chinese.
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
        """Whether a token written right after the last ones leaves the reading of all as it is."""
        text = "".join([*self._piece, token])
        return compiled(_HAN).search(text) is not None or self._pattern.findall(text) == [*self._piece, token]
