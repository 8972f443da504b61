"""<s>, </s> and <unk> that a text writes between its words, as SRILM, KenLM, Kaldi and their lists do."""

import functools
import re

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import SPECIALS, UNKNOWN

_SENTENCE_MARKS = SPECIALS[:2]
_SIGN = "<"  # that all of them begin with; most texts have none
_MARK = re.compile(r"(?<!\S)(?:</?s>|<unk>|<UNK>)(?!\S)")
_UNKNOWN = re.compile(r"(?<!\S)(?:<unk>|<UNK>)(?!\S)")


def marks_in(text: str) -> list[str]:
    """The marks that stand between spaces in a text, each once."""
    return list(dict.fromkeys(_MARK.findall(text))) if _SIGN in text else []


def without_marks(text: str) -> str:
    """The text with a space for each mark."""
    return _MARK.sub(" ", text) if _SIGN in text else text


def hypothesis_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    """Tokens of a line of an n-best list: <s> and </s> at its ends are none, <unk> is one, the unknown.

    >>> from rnnlm.text.tokenizers import CharTokenizer
    >>> hypothesis_tokens(CharTokenizer(), "<s> a <unk> </s>")
    ['a', ' ', '<unk>']
    """
    if _SIGN not in text:
        return tokenizer.tokenize(text)
    text = _without_ends(text, tokenizer.reads_marks)
    if tokenizer.reads_marks or not _UNKNOWN.search(text):
        return tokenizer.tokenize(text)
    # A character of private use is one token to every tokenizer, and changes nothing about how the others are cut.
    stand_in = next(each for each in map(chr, range(0xE000, 0x110000)) if each not in text)
    tokens = tokenizer.tokenize(_UNKNOWN.sub(stand_in, text))
    return [UNKNOWN[0] if token == stand_in else token for token in tokens]


def _without_ends(text: str, ascii_spaces: bool) -> str:
    """The text without the marks, any number of them, at its ends."""
    chunks = list(_chunk(ascii_spaces).finditer(text))
    words = [place for place, chunk in enumerate(chunks) if chunk[0] not in _SENTENCE_MARKS]
    if len(words) == len(chunks):
        return text
    return text[chunks[words[0]].start() : chunks[words[-1]].end()] if words else ""


@functools.cache
def _chunk(ascii_spaces: bool) -> re.Pattern[str]:
    return re.compile(r"\S+", re.ASCII if ascii_spaces else 0)
