"""The marks <s>, </s> and <unk> in texts and n-best lists, as SRILM, KenLM and Kaldi write them."""

import functools
import re

from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import SPECIALS, UNKNOWN

_SENTENCE_MARKS = SPECIALS[:2]
_SIGN = "<"  # the beginning of every mark; most texts do not have it
_MARK = re.compile(r"(?<!\S)(?:</?s>|<unk>|<UNK>)(?!\S)")
_UNKNOWN = re.compile(r"(?<!\S)(?:<unk>|<UNK>)(?!\S)")


def marks_in(text: str) -> list[str]:
    """Return the different marks that stand between spaces in a text."""
    return list(dict.fromkeys(_MARK.findall(text))) if _SIGN in text else []


def without_marks(text: str) -> str:
    """Replace each mark in a text by a space."""
    return _MARK.sub(" ", text) if _SIGN in text else text


def hypothesis_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the tokens of a line of an n-best list, without <s> and </s> at its ends, and with <unk> as one token.

    >>> from rnnlm.text.tokenizers import CharTokenizer
    >>> hypothesis_tokens(CharTokenizer(), "<s> a <unk> </s>")
    ['a', ' ', '<unk>']
    """
    if _SIGN not in text:
        return tokenizer.tokenize(text)
    text = _without_ends(text, tokenizer.reads_marks)
    if tokenizer.reads_marks or not _UNKNOWN.search(text):
        return tokenizer.tokenize(text)
    # A private-use character is one token in every tokenizer, and does not change how the rest is cut.
    stand_in = next(each for each in map(chr, range(0xE000, 0x110000)) if each not in text)
    tokens = tokenizer.tokenize(_UNKNOWN.sub(stand_in, text))
    return [UNKNOWN[0] if token == stand_in else token for token in tokens]


def _without_ends(text: str, ascii_spaces: bool) -> str:
    """Remove all <s> and </s> at the ends of a text; ascii_spaces: only ASCII white space separates words."""
    chunks = list(_chunk(ascii_spaces).finditer(text))
    words = [place for place, chunk in enumerate(chunks) if chunk[0] not in _SENTENCE_MARKS]
    if len(words) == len(chunks):
        return text
    return text[chunks[words[0]].start() : chunks[words[-1]].end()] if words else ""


@functools.cache
def _chunk(ascii_spaces: bool) -> re.Pattern[str]:
    return re.compile(r"\S+", re.ASCII if ascii_spaces else 0)
