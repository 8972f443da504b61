"""Why a request is refused or given up."""

from collections.abc import Mapping
from typing import Any

from rnnlm.errors import RnnlmError

RETRY_AFTER = 1  # seconds


class RequestError(RnnlmError):
    """A request that is refused: the HTTP status, and what kind of mistake it is in OpenAI's words.

    code and details: which mistake it is and the values in its sentence, for a page that has sentences of its own.
    param: the field that it is about. headers: of the answer.
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
        """Say why."""
        super().__init__(message)
        self.status, self.kind, self.code, self.param, self.details = status, kind, code, param, details
        self.headers = dict(headers or {})


class FullError(RequestError):
    """There is no place for another request."""

    def __init__(self) -> None:
        """Say when to come back."""
        message = f"The server is busy with as many requests as it takes; try again in {RETRY_AFTER} s."
        super().__init__(message, 503, "overloaded", code="overloaded")


class GoneError(Exception):
    """Nobody waits for the answer any more."""
