"""Answers: JSON, and refusals in OpenAI's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rnnlm.errors import CheckpointError, DirectionError, FillingError, RnnlmError, TokenizerError
from rnnlm.playground.fields import RequestError
from rnnlm.playground.work import RETRY_AFTER

if TYPE_CHECKING:
    from starlette.responses import Response


def encoded(value: Any) -> bytes:
    """JSON as bytes: numbers that it lacks are null, half a surrogate pair is written as the escape that it is."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


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
