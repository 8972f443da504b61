"""User dictionaries: words that jieba should keep whole, one a line, in jieba's own format."""

import re
from os import PathLike

from rnnlm.errors import TokenizerError
from rnnlm.text.letter_case import lower_case
from rnnlm.text.segmentation import (
    LONGEST_USER_WORD,
    MOST_FREQUENT,
    MOST_USER_CHARACTERS,
    MOST_USER_WORDS,
    UserWord,
    too_many,
)
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer, tokenizer_class

LARGEST_DICTIONARY = 1 << 28  # bytes; jieba's own has 5 million
LONGEST_ENTRY = 1000  # characters of a line
MOST_NAMED = 3  # lines in a warning

# jieba's r"^(.+?)( [0-9]+)?( [a-z]+)?$", but with any white space or commas between the fields, and with tags such as
# NZ or nr2. Without a frequency before it, a capitalized word, as in "小米 Note", is not a tag but part of the word.
_SEPARATORS = r"\s,，"
_FREQUENCY = rf"[{_SEPARATORS}]++(?P<frequency>[0-9]+)(?:[{_SEPARATORS}]++[A-Za-z][A-Za-z0-9_]*)?"
_TAG = rf"[{_SEPARATORS}]++(?:[a-z]+|[A-Z]+|[A-Z][a-z])[0-9]?"
_ENTRY = re.compile(rf"(?P<word>.+?)(?:{_FREQUENCY}|{_TAG})?[{_SEPARATORS}]*")


def read_user_dictionary(path: str | PathLike[str], hmm: bool = False) -> tuple[list[UserWord], list[str]]:
    """Return the words of a dictionary file in UTF-8, and at most one warning, about entries without effect.

    Each line is `word [frequency] [tag]`, with white space or commas between the fields. # has no special meaning,
    since C# is a word. Words with marks at which text is cut before jieba sees it are left out.

    hmm: As for `WordTokenizer`.

    Raises:
        TokenizerError: The file cannot be read, is not UTF-8, or has an invalid line.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_DICTIONARY + 1)
    except OSError as error:
        raise TokenizerError(f"The user dictionary {path} cannot be read: {error.strerror}.") from error
    if len(content) > LARGEST_DICTIONARY:  # probably a model, or /dev/zero
        raise TokenizerError(
            f"The user dictionary {path} is larger than {LARGEST_DICTIONARY >> 20} MiB; expected words."
        )
    return parse_user_dictionary(content, str(path), hmm)


def make_tokenizer(
    level: str, segmenter: str, hmm: bool, user_dict: str | None, lowercase: bool = False
) -> tuple[Tokenizer, list[str]]:
    """Return the tokenizer for the given options, and warnings about the user dictionary.

    Raises:
        TokenizerError: The dictionary cannot be read, or options for words are given with another level.
    """
    kind = tokenizer_class(level)
    if kind is WordTokenizer:
        words, warnings = read_user_dictionary(user_dict, hmm) if user_dict else (None, [])
        if user_dict and segmenter == "spaces":
            warnings = [f"Warning: --user-dict {user_dict} has no effect: with --segmenter spaces jieba cuts nothing."]
        if lowercase:  # the text is in lower case when jieba cuts it
            words = [word._replace(word=lower_case(word.word)) for word in words or ()]
        return WordTokenizer(segmenter, hmm, words, lowercase=lowercase), warnings
    given = {"--segmenter": segmenter != "auto", "--hmm": hmm, "--user-dict": user_dict is not None}
    if any(given.values()):
        option = next(name for name, is_given in given.items() if is_given)
        raise TokenizerError(f"{option} is for --level word; with --level {level} it has nothing to do. Leave it out.")
    return kind(lowercase=lowercase), []


def parse_user_dictionary(content: bytes, name: str, hmm: bool = False) -> tuple[list[UserWord], list[str]]:
    """Parse the content of a dictionary, see `read_user_dictionary`; `name`: its name in messages.

    >>> parse_user_dictionary("云计算 5 n\\n人工智能\\n".encode(), "words.txt")
    ([UserWord(word='云计算', frequency=5), UserWord(word='人工智能', frequency=None)], [])

    Raises:
        TokenizerError: A line is not UTF-8 or not an entry, or there are too many words.
    """
    entries: dict[int, UserWord] = {}
    useless: dict[int, str] = {}
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            entry = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise TokenizerError(f"{name}, line {number} is not UTF-8. Convert the user dictionary to UTF-8.") from None
        if not entry:
            continue
        word = _parsed(entry, f"{name}, line {number}")
        if WordTokenizer.can_keep(word.word):
            _check_length(word.word, f"{name}, line {number}")
            entries[number] = word
        else:
            useless[number] = entry
    words = list(entries.values())
    if too_many(words):
        raise TokenizerError(
            f"{name} has {len(words):,} words; expected at most {MOST_USER_WORDS:,}, and {MOST_USER_CHARACTERS:,} "
            "characters in all. Take some of them out."
        )
    tokenizer = WordTokenizer(hmm=hmm, user_dictionary=words)
    rare = {number: each for number, each in entries.items() if not tokenizer.keeps(each.word)}
    return words, _warnings(name, useless, rare)


def _parsed(entry: str, place: str) -> UserWord:
    """Parse the word and frequency of a line that is not blank."""
    match = _ENTRY.fullmatch(entry) if len(entry) <= LONGEST_ENTRY else None
    frequency = int(match["frequency"]) if match and match["frequency"] else None
    if match is None or (frequency is not None and not 0 < frequency < MOST_FREQUENT):
        raise TokenizerError(
            f"{place} is {entry[:60]!r}, {len(entry):,} characters long; expected a word, then perhaps its frequency "
            f"(a whole number from 1, below {MOST_FREQUENT:.0e}), then perhaps a tag (letters)."
        )
    return UserWord(match["word"], frequency)


def _check_length(word: str, place: str) -> None:
    if len(word) > LONGEST_USER_WORD:
        raise TokenizerError(
            f"{place} has a word of {len(word)} characters; a word has at most {LONGEST_USER_WORD}. Shorten it or take "
            "it out."
        )


def _warnings(name: str, cut: dict[int, str], rare: dict[int, UserWord]) -> list[str]:
    """Return one warning about all entries that can never be tokens, or an empty list."""
    if not cut and not rare:
        return []
    texts = cut | {number: f"{word} {frequency}" for number, (word, frequency) in rare.items()}
    named = [f"line {number} ({texts[number][:60]!r})" for number in sorted(texts)]
    more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    entries = f"{len(named):,} entries" if len(named) > 1 else "1 entry"
    reasons = []
    if cut:
        reasons.append("Text is cut at white space and at marks such as 《 or · before jieba sees it.")
    if rare:
        reasons.append("A word that is rarer than its parts together is cut into them; give it no frequency, or more.")
    return [
        f"Warning: {entries} of {name} can never match, without effect: {', '.join(named[:MOST_NAMED])}{more}. "
        f"{' '.join(reasons)}"
    ]
