"""Rules that cut text into tokens of level "word" wherever jieba does not: letters, numbers, punctuation, emoji.

A model reads every text by the rules that its training text was read by, so checkpoints record the number of the rules.
Rules 1 were used up to version 0.4. Rules 2 also keep some sequences whole, so that `join` writes them as they were
read: times such as 10:30, a name with the bracket after it as in range(10), sequences of emoji, and GPT-4 or 3.14
within Chinese.
"""

import functools
import re

RULES = 2  # the rules of a new tokenizer

# Combining marks, which continue a word but are not in \w: first and last code points of the categories M* of
# Unicode 14. Ranges are merged where only \w or unassigned code points lie between them.
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


_JOINERS = "\u200c\u200d"  # occur inside words of Persian and Indian scripts, and inside emoji
_WORD = rf"[\w{_character_class(_MARKS)}{_JOINERS}]+"
_RUNS = r"\.+|…+|。+|．+|-+|–+|—+|―+"
_HYPHENS = "['’‐‑-]"

_FIRST_CONNECTOR = rf"(?:{_HYPHENS}|(?<=\d)[.,](?=\d))"
_FIRST_SYMBOL = r"\S[\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f]*"

_CONNECTOR = rf"(?:{_HYPHENS}|(?<=\d)[.,:](?=\d))"
_CALL = r"(?:(?<=[A-Za-z0-9_])[(\[])?"
# Emoji (Unicode UTS #51): a symbol with modifiers (variation, skin tone, tags), and further symbols after joiners.
# Flags are pairs of letters.
_MODIFIERS = "[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
_KEYCAP = "[0-9#*]\ufe0f?\u20e3"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_SYMBOL = rf"{_FLAG}|[^\s\w]{_MODIFIERS}(?:\u200d[^\s\w]{_MODIFIERS})*\u200d*"

_PATTERNS = {
    1: rf"{_WORD}(?:{_FIRST_CONNECTOR}{_WORD})*|{_RUNS}|{_FIRST_SYMBOL}",
    2: rf"{_KEYCAP}|{_WORD}(?:{_CONNECTOR}{_WORD})*{_CALL}|{_RUNS}|{_SYMBOL}",
}
# Places where jieba cuts inside a token of rules 2: at a connector between letters or digits, and before a bracket.
_JOINTS = rf"(?<=[A-Za-z0-9]){_HYPHENS}(?=[A-Za-z0-9])|(?<=[0-9])[.,:](?=[0-9])|(?<=[A-Za-z0-9_])[(\[]"

# Patterns with wide ranges take longer to compile than Python takes to start, so each is compiled on first use.
compiled = functools.cache(re.compile)


def token_pattern(rules: int = RULES) -> re.Pattern[str]:
    """Return the pattern of a token in text that jieba does not cut.

    The alternatives, in this order, are: a word of letters, digits, marks and _, in which an apostrophe or a hyphen may
    connect, and between digits one of . , or :, together with a bracket that opens right after a Latin letter or a
    digit; a run of one kind of dot or dash; any other character that is not whitespace, with its modifiers and the
    characters joined to it. A match never depends on the text before it, nor on more text after it than a connector and
    a letter: `tokenizers._WordSpacing` relies on that.

    Args:
        rules: Number of the rules, see the module.
    """
    return compiled(_PATTERNS[rules])


def is_rules(value: object) -> bool:
    """Return whether a value from JSON is the number of existing rules."""
    return type(value) is int and value in _PATTERNS


class _Chunks(dict[str, tuple[str, ...]]):
    """A cache of the tokens of each chunk between spaces: most chunks of a text are repeated, and a look-up is fast."""

    def __init__(self, rules: int) -> None:
        super().__init__()
        self._find = token_pattern(rules).findall

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        tokens = tuple(self._find(chunk))
        if len(self) >= MOST_CHUNKS:
            self.clear()
        if len(chunk) <= LONGEST_CHUNK:
            self[chunk] = tokens
        return tokens


MOST_CHUNKS, LONGEST_CHUNK = 1 << 16, 32  # together about 15 MB


@functools.cache
def chunk_tokens(rules: int) -> "_Chunks":
    """Return the cache that maps a chunk, which is text without white space, to its tokens."""
    return _Chunks(rules)


def rejoined(text: str, tokens: list[str]) -> list[str]:
    """Join the tokens of a text with Chinese where jieba split a Latin word or a number.

    >>> rejoined("用GPT-4算3.14", ["用", "GPT", "-", "4", "算", "3", ".", "14"])
    ['用', 'GPT-4', '算', '3.14']

    Args:
        text: A line.
        tokens: All its tokens in order. Only white space stands between them in the line.
    """
    joints = {found.start() for found in compiled(_JOINTS).finditer(text)}
    if not joints:
        return tokens
    whole: list[str] = []
    end = 0  # of the previous token
    joined = -1  # a token that starts here is joined to the previous one
    for token in tokens:
        start = text.index(token, end)
        if whole and (start == joined or (start == end and start in joints and len(token) == 1)):
            whole[-1] += token
            if start in joints and token not in "([":
                joined = start + 1
        else:
            whole.append(token)
        end = start + len(token)
    return whole
