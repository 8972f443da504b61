"""Which characters may have been meant where another one stands: tables of look-alikes, and homophones."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from rnnlm.errors import CorpusError, shown
from rnnlm.text.lines import damage, read_lines
from rnnlm.text.sources import open_sources

_BETWEEN = re.compile(r"[\s,:;，：；、]+")
Confusions = Mapping[str, str]  # a character: those that it may stand for


def read_confusions(path: str | PathLike[str]) -> dict[str, str]:
    """Read a table: each line a character and those that it may stand for, with spaces, commas or colons or without.

    Blank lines and lines that begin with # and a space are left out; a character may have several lines.

    Raises:
        CorpusError: the file cannot be read, or a line has a single character.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("# "):
            continue
        characters = _BETWEEN.sub("", line) or line
        if len(characters) == 1:
            raise CorpusError(
                f"Line {number} of {path} is {shown(line)}; expected a character and those that it may stand for, "
                "such as 吃迟持."
            )
        table[characters[0]] = table.get(characters[0], "") + characters[1:]
    if not table:
        raise CorpusError(f"{path} is empty; expected lines of a character and those that it may stand for.")
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
    """One table of several; no character stands for itself, and each of those it stands for is there once."""
    found: dict[str, dict[str, None]] = {}
    for character, others in itertools.chain.from_iterable(table.items() for table in tables):
        found.setdefault(character, {}).update(dict.fromkeys(others))
    return {character: "".join(each for each in others if each != character) for character, others in found.items()}


class Spellings:
    """Words by their characters, as a tree: which of them may have been meant by some characters."""

    def __init__(self, words: Iterable[str]) -> None:
        """Enter some words."""
        self._root: dict[str, dict] = {}  # type: ignore[type-arg]  # of itself; "" marks the end of a word
        for word in words:
            node = self._root
            for character in word:
                node = node.setdefault(character, {})
            node[""] = {}

    def meant(self, text: str, start: int, confusions: Confusions) -> Iterator[tuple[str, int]]:
        """Words that may have been meant by a text from a place on, and how many characters of each are replaced."""
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
