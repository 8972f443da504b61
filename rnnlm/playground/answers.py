"""Answers: JSON, and refusals in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rnnlm.errors import CheckpointError, DirectionError, FillingError, RnnlmError, TokenizerError
from rnnlm.playground.fields import RequestError
from rnnlm.playground.room import Room, json_pieces
from rnnlm.playground.served import Work
from rnnlm.playground.work import RETRY_AFTER

if TYPE_CHECKING:
    from starlette.responses import Response


BLOCK = 1 << 16  # bytes that are sent at a time


def encoded(value: Any) -> bytes:
    """JSON as bytes: numbers that it lacks are null, half a surrogate pair is written as the escape that it is."""
    return _bytes(json_pieces(value))


def _bytes(pieces: Iterable[str]) -> bytes:
    return "".join(pieces).encode("utf-8", "backslashreplace")


def encoding(work: Work[Any]) -> Work[list[bytes]]:
    """Do work, and make its result JSON in blocks of bytes.

    Raises:
        RequestError: it is larger than an answer may be.
    """
    value = yield from work
    blocks, waiting, characters, room = list[bytes](), list[str](), 0, Room()
    for piece in json_pieces(value):
        waiting.append(piece)
        characters += len(piece)
        if characters >= BLOCK:
            blocks.append(_bytes(waiting))
            room.take(len(blocks[-1]))
            waiting, characters = [], 0
            yield
    blocks.append(_bytes(waiting))
    room.take(len(blocks[-1]))
    return blocks


# Which mistakes the library's errors are, where a request leads to them.
CODES: dict[type[RnnlmError], str] = {
    DirectionError: "bidirectional",
    FillingError: "no_blank",
    TokenizerError: "tokenizer",
    CheckpointError: "no_network",
}


def error_body(error: RnnlmError | MemoryError) -> dict[str, Any]:
    """An error in OpenAI's form, and beside it the values in its sentence, for sentences in other languages."""
    known = as_request_error(error)
    described = {"message": str(known), "type": known.kind, "param": known.param, "code": known.code}
    return {"error": described | {"details": known.details}}


def as_request_error(error: RnnlmError | MemoryError) -> RequestError:
    """The refusal that an error amounts to."""
    if isinstance(error, MemoryError):
        return RequestError("The memory is used up; ask for less.", 503, "overloaded", code="memory")
    if isinstance(error, RequestError):
        return error
    return RequestError(str(error), code=CODES.get(type(error), "refused"))


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of JSON that is bytes already."""
    from starlette.responses import Response

    return Response(body, status, headers, "application/json")


def refusal(error: RnnlmError | MemoryError) -> Response:
    """What is answered to a request that is refused."""
    known = as_request_error(error)
    headers = {"retry-after": str(RETRY_AFTER)} if known.status == 503 else {}
    return json_response(encoded(error_body(known)), known.status, headers | known.headers)
