"""What is known of an option of a training: its kind, range, choices, and how checkpoints treat it."""

import math
import re
from dataclasses import dataclass
from typing import Any

ALWAYS = object()  # in the place of what was done before there was an option: there always was
LARGEST = 1e18  # of any number that a checkpoint says
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_DURATION = (
    rf"(?:{_NUMBER}\s*(?:hours?|hrs?|h))?\s*(?:{_NUMBER}\s*(?:minutes?|mins?|m))?"
    rf"\s*(?:{_NUMBER}\s*(?:seconds?|secs?|s))?"
)


def seconds_of(duration: str | float) -> float:
    """Seconds of a duration such as 90s, 10m, 5min, 1.5h or 1h30m; a bare number is seconds.

    >>> seconds_of("1h30m"), seconds_of("90"), seconds_of(2)
    (5400.0, 90.0, 2.0)

    Raises:
        ValueError: it is none.
    """
    text = str(duration).strip()
    if found := re.fullmatch(_DURATION, text, re.ASCII | re.IGNORECASE):
        parts = (float(number or 0) for number in found.groups())
        seconds = sum(unit * part for unit, part in zip((3600, 60, 1), parts, strict=True))
    else:
        seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


@dataclass(frozen=True)
class Declaration:
    """What is known of an option beside its default.

    Attributes:
        kind: int, float, bool, str (a name or a path), or `seconds_of`.
        help: A sentence for `--help` and for the docstring of `rnnlm.train`.
        choices: The values of a name.
        least, most: Bounds of a number; open ones are not values themselves.
        fitting: What is chosen where the option is left open, in words.
        fixed: Whether a checkpoint fixes it: "text" and "network" for every training that takes its weights, "run" for
            one that is resumed, "" for none.
        is_text: Whether it says how a text is read, for n-gram models, too.
        may_be_none: Whether None is a value and not only a choice that is left open.
        negatable: Whether the command line has --no-NAME beside --NAME.
        before: What a checkpoint was trained with whose version lacked the option.
        before_like: The option whose value it had then, instead.
    """

    kind: Any
    help: str
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    least_open: bool = False
    most_open: bool = False
    fitting: str | None = None
    fixed: str = ""
    is_text: bool = False
    may_be_none: bool = False
    negatable: bool = False
    before: Any = ALWAYS
    before_like: str = ""

    def admits(self, value: Any) -> bool:
        """Whether a value that is not None is possible."""
        if self.choices:
            return type(value) is str and value in self.choices
        if self.kind in (bool, str):
            return type(value) is self.kind
        if type(value) is not int and (type(value) is not float or self.kind is int):
            return False
        above = value > self.least if self.least_open else value >= self.least
        below = value < self.most if self.most_open else value <= self.most
        return above and below and abs(value) < LARGEST

    def expected(self) -> str:
        """What is possible, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind in (bool, str):
            return {bool: "True or False", str: "a name of a file"}[self.kind]
        what = {int: "a whole number", float: "a number"}.get(self.kind, "seconds or a duration such as '10m'")
        low = f"{'more than' if self.least_open else 'at least'} {self.least:g}" if self.least > -math.inf else ""
        high = f"{'less than' if self.most_open else 'at most'} {self.most:g}" if self.most < math.inf else ""
        return " ".join([what, *(["of", " and ".join(filter(None, (low, high)))] if low or high else [])])
