"""Errors for requests that are refused or abandoned."""

from collections.abc import Mapping
from typing import Any

from rnnlm.errors import RnnlmError

RETRY_AFTER = 1  # seconds


class RequestError(RnnlmError):
    """A request is refused, with an HTTP status and OpenAI's name for the kind of error.

    code and details: Identifier of the error and the values in its message, for a page with translated messages.
    param: The field with the error. headers: Headers of the answer.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        kind: str = "invalid_request_error",
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        """Set the message and the other properties of the answer."""
        super().__init__(message)
        self.status, self.kind, self.code, self.param, self.details = status, kind, code, param, details
        self.headers = dict(headers or {})


class FullError(RequestError):
    """The server has no place for another request."""

    def __init__(self) -> None:
        """Set the message, which says when to try again."""
        message = f"The server is busy with as many requests as it takes; try again in {RETRY_AFTER} s."
        super().__init__(message, 503, "overloaded", code="overloaded")


class GoneError(Exception):
    """The client has disconnected, so its request is abandoned."""
