"""How large an answer may become: counted while it is made, so that none is ever larger in memory than it may be."""

import json
from collections.abc import Iterator
from typing import Any

from rnnlm.json_values import json_value
from rnnlm.playground.refusals import RequestError

MOST_BYTES = 8 << 20
AT_ONCE = 512  # plain values that become JSON at a time, in less than a millisecond


class Room:
    """The bytes that are left of those that an answer may have."""

    def __init__(self) -> None:
        """Begin with all of them."""
        self._left = self._most = MOST_BYTES

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            RequestError: there are not so many left.
        """
        self._left -= size
        if self._left < 0:
            message = f"The answer would be larger than {self._most:,} bytes, which is the most that is sent."
            advice = "Ask for fewer texts, tokens or probabilities."
            raise RequestError(f"{message} {advice}", code="answer_too_large", most=self._most)


class Json(str):
    """A text that is JSON already."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> "Json":
        """The JSON of a value; numbers that JSON lacks are null."""
        try:
            return cls(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        except ValueError:
            return cls(json.dumps(json_value(value), ensure_ascii=False, separators=(",", ":")))


def json_pieces(value: Any) -> Iterator[str]:
    """The JSON of a value in pieces, each of which is made in a moment; parts of it may be `Json` already."""
    if isinstance(value, Json):
        yield value
    elif isinstance(value, dict):
        for place, (key, each) in enumerate(value.items()):
            yield f"{',' if place else '{'}{Json.of(key)}:"
            yield from json_pieces(each)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        yield "["
        if any(isinstance(each, Json | dict | list) for each in value):
            for place, each in enumerate(value):
                if place:
                    yield ","
                yield from json_pieces(each)
        else:
            for start in range(0, len(value), AT_ONCE):
                yield ("," if start else "") + Json.of(value[start : start + AT_ONCE])[1:-1]
        yield "]"
    else:
        yield Json.of(value)
