"""Sentences for the user that can be translated: the text in English, and what it was made of."""

from collections.abc import Sequence
from typing import Self


class Sentence(str):
    """An English text that remembers its template and values, which the command line translates; see `cli.languages`.

    A value may be a `Sentence`, too, which is then translated with it. Numbers are given as formatted texts.

    >>> said = Sentence("{size} tokens", size=f"{3000:,}")
    >>> said, said.template, said.values
    ('3,000 tokens', '{size} tokens', {'size': '3,000'})
    """

    __slots__ = ("template", "values")
    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Return the text: the template with {names} replaced by values."""
        made = super().__new__(cls, template.format(**values) if values else template)
        made.template, made.values = template, values
        return made


def listed(names: Sequence[str], most: int) -> str:
    """Return at most `most` names, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown, more = ", ".join(names[:most]), len(names) - most
    return Sentence("{listed} and {n} more", listed=shown, n=f"{more:,}") if more > 0 else shown
