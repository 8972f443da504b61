"""The size limit of answers, counted while they are built, so that no answer exceeds it even in memory."""

import json
from collections.abc import Iterator
from typing import Any

from rnnlm.json_values import json_value
from rnnlm.playground.refusals import RequestError

MOST_BYTES = 8 << 20
AT_ONCE = 512  # plain values that are encoded at a time, in less than a millisecond


class Room:
    """A counter of the bytes that an answer may still use."""

    def __init__(self) -> None:
        """Start with MOST_BYTES."""
        self._left = self._most = MOST_BYTES

    def take(self, size: int) -> None:
        """Use up bytes.

        Raises:
            RequestError: Fewer bytes are left.
        """
        self._left -= size
        if self._left < 0:
            message = f"The answer would be larger than {self._most:,} bytes, which is the most that is sent."
            advice = "Ask for fewer texts, tokens or probabilities."
            raise RequestError(f"{message} {advice}", code="answer_too_large", most=self._most)


class Json(str):
    """A string that is encoded JSON."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> "Json":
        """Encode a value as JSON; NaN and infinities become null."""
        try:
            return cls(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        except ValueError:
            return cls(json.dumps(json_value(value), ensure_ascii=False, separators=(",", ":")))


def json_pieces(value: Any) -> Iterator[str]:
    """Yield the JSON of a value in small pieces; parts of the value may be `Json` already."""
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
