"""Answers: JSON, and refusals in OpenAI's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError
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


def error_body(message: str, kind: str) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of JSON that is bytes already."""
    from starlette.responses import Response

    return Response(body, status, headers, "application/json")


def refusal(error: RnnlmError) -> Response:
    """What is answered to a request that is refused."""
    status, kind = (error.status, error.kind) if isinstance(error, RequestError) else (400, "invalid_request_error")
    headers = {"retry-after": str(RETRY_AFTER)} if status == 503 else None
    return json_response(encoded(error_body(str(error), kind)), status, headers)
