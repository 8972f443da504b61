"""Confusion tables: which characters may have been meant where another one is written."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from rnnlm.errors import CorpusError, shown
from rnnlm.text.lines import damage, read_lines
from rnnlm.text.sources import open_sources

_BETWEEN = re.compile(r"[\s,:;，：；、]+")
Confusions = Mapping[str, str]  # written character: the characters that may replace it


def read_confusions(path: str | PathLike[str]) -> dict[str, str]:
    """Read a confusion table: each line has a character and the characters that may replace it.

    Spaces, commas or colons may separate the characters. Blank lines and lines that begin with "# " are skipped. A
    character may have several lines.

    Raises:
        CorpusError: The file cannot be read or is empty, or a line has a single character.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("# "):
            continue
        characters = _BETWEEN.sub("", line) or line
        if len(characters) == 1:
            raise CorpusError(
                f"Line {number} of {path} is {shown(line)}; expected a character and the characters that may "
                "replace it, such as 吃迟持."
            )
        table[characters[0]] = table.get(characters[0], "") + characters[1:]
    if not table:
        raise CorpusError(f"{path} is empty; expected lines of a character and the characters that may replace it.")
    return joined([table])


def _lines(path: str | PathLike[str]) -> Iterator[str]:
    with open_sources([path]) as sources:
        for source in sources:
            for number, line in enumerate(read_lines(source), 1):
                if line is None:
                    continue
                if (found := damage(line)) is not None:
                    raise CorpusError(f"Line {number} of {source.name}: {found}. Convert the table to UTF-8.")
                yield line.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def joined(tables: Iterable[Confusions]) -> dict[str, str]:
    """Merge tables into one, without duplicates, and without characters that stand for themselves."""
    found: dict[str, dict[str, None]] = {}
    for character, others in itertools.chain.from_iterable(table.items() for table in tables):
        found.setdefault(character, {}).update(dict.fromkeys(others))
    return {character: "".join(each for each in others if each != character) for character, others in found.items()}


class Spellings:
    """A prefix tree of words, to look up the words that may have been meant by a text."""

    def __init__(self, words: Iterable[str]) -> None:
        """Build the tree."""
        self._root: dict[str, dict] = {}  # type: ignore[type-arg]  # recursive; the key "" marks the end of a word
        for word in words:
            node = self._root
            for character in word:
                node = node.setdefault(character, {})
            node[""] = {}

    def meant(self, text: str, start: int, confusions: Confusions) -> Iterator[tuple[str, int]]:
        """Yield (word, number of replaced characters) for every word that may be meant at text[start:]."""
        open_nodes = [(self._root, "", 0)]
        while open_nodes:
            node, word, replaced = open_nodes.pop()
            if "" in node:
                yield word, replaced
            if start + len(word) == len(text):
                continue
            written = text[start + len(word)]
            for character in {written, *confusions.get(written, "")} & node.keys():
                open_nodes.append((node[character], word + character, replaced + (character != written)))
