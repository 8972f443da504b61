"""References of n-best lists, by id or in the order of the lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from rnnlm.errors import CorpusError, shown
from rnnlm.inference.error_rates import Reference, is_unspaced
from rnnlm.inference.list_formats import FORMATS
from rnnlm.sentences import Sentence
from rnnlm.text.lines import damage, read_lines
from rnnlm.text.sources import STDIN, open_sources


class References:
    """References by id or in the order of the lists, to be requested list by list."""

    def __init__(self, texts: Sequence[str] | Mapping[str, str], name: str = "references") -> None:
        """Store the texts; `name` is their name in error messages. Set `lowercase` to ignore letter case."""
        self.texts, self._name, self.lowercase = texts, name, False
        self._asked = 0

    def of(self, list_id: str | None) -> Reference:
        """Return the reference of the next list.

        Raises:
            CorpusError: There is none.
        """
        self._asked += 1
        if isinstance(self.texts, Mapping):
            if list_id is None or list_id not in self.texts:
                raise CorpusError(
                    f"{self._name} has no reference with the id {shown(list_id)}, which a list has; expected the id "
                    "and the words of every list. Add it, or take the list out."
                )
            return Reference(self.texts[list_id], self.lowercase)
        if self._asked > len(self.texts):
            raise CorpusError(
                f"{self._name} has {len(self.texts):,} references, and there are more lists than that; expected one "
                "line for each list, in their order."
            )
        return Reference(self.texts[self._asked - 1], self.lowercase)

    def finish(self) -> str | None:
        """Check that all references were requested; for references by id, return a warning if some were not.

        Raises:
            CorpusError: There are fewer lists than lines of references.
        """
        left = len(self.texts) - self._asked
        if not left:
            return None
        if not isinstance(self.texts, Mapping):
            raise CorpusError(
                f"{self._name} has {len(self.texts):,} references for {self._asked:,} list{'s' * (self._asked != 1)}; "
                "expected one line for each list, in their order."
            )
        return Sentence(
            "{left} of the {texts} references in {name} have no list; they are not counted.",
            left=f"{left:,}",
            texts=f"{len(self.texts):,}",
            name=self._name,
        )

    @property
    def counts_characters(self) -> bool:
        """Whether errors should be counted in characters instead of words."""
        return is_unspaced(self.texts.values() if isinstance(self.texts, Mapping) else self.texts)


def read_references(path: str, format_name: str, encoding: str | None = None) -> References:
    """Read references from a file.

    For the formats "kaldi" and "espnet", lines are `id words`, in any order. For "json", lines may be objects with "id"
    and "text". Otherwise, each line is the reference of a list, in the order of the lists.

    Raises:
        CorpusError: The file cannot be read, or a line has no id.
    """
    lines = list(_lines(path, encoding))
    path = "standard input" if path == STDIN else path
    if FORMATS[format_name].reference_ids:
        return References(_by_id((_id_and_words(line, place, path) for place, line in enumerate(lines, 1)), path), path)
    if format_name == "json" and lines and lines[0].lstrip().startswith("{"):
        return References(_by_id((_id_and_text(line, place, path) for place, line in enumerate(lines, 1)), path), path)
    return References(lines, path)


def _lines(path: str, encoding: str | None) -> Iterable[str]:
    with open_sources([path]) as sources:
        for source in sources:
            for place, line in enumerate(read_lines(source, encoding), 1):
                assert line is not None  # the source is not live
                if (found := damage(line)) is not None:
                    raise CorpusError(
                        f"Line {place} of {source.name} is not text: {found}. If it is in another encoding, name that."
                    )
                yield line.removeprefix("\ufeff").rstrip("\r\n")


def _by_id(pairs: Iterable[tuple[str, str]], name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for list_id, text in pairs:
        if list_id in found:
            raise CorpusError(f"{name} has the id {shown(list_id)} twice; expected one reference for each id.")
        found[list_id] = text
    return found


def _id_and_words(line: str, place: int, name: str) -> tuple[str, str]:
    list_id, *text = line.strip().split(maxsplit=1) or [""]
    if not list_id:
        raise CorpusError(f"Line {place} of {name} is blank; expected the id of a list and its words, as: utt1 a b c")
    return list_id, "".join(text)


def _id_and_text(line: str, place: int, name: str) -> tuple[str, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "id" not in value or not isinstance(value.get("text"), str):
        raise CorpusError(
            f"Line {place} of {name} is {shown(line)}; expected an object with id and text, as its first line is one."
        )
    return str(value["id"]), value["text"]
