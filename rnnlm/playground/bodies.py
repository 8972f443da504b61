"""Read the bodies of requests within limits, and parse them as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from rnnlm.playground.refusals import GoneError, RequestError
from rnnlm.playground.work import Limits
from rnnlm.schema import wrong

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read the body of a request, whose content type must be application/json.

    Raises:
        RequestError: The content type is another one, or the body is too large or arrives too slowly.
        GoneError: The client has disconnected.
    """
    from starlette.requests import ClientDisconnect

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limits.body:
                    parts.append(part)
                elif size > limits.drained:
                    break
    except ClientDisconnect:
        raise GoneError from None
    except TimeoutError:
        message = f"The body was not complete after {limits.body_seconds:g} s."
        raise RequestError(message, 408, code="too_slow", seconds=limits.body_seconds) from None
    if kind != "application/json":
        raise RequestError(f"The content type is {kind[:60]!r}; expected application/json.", 415, code="not_json")
    if size > limits.body:
        message = f"The body is larger than {limits.body:,} bytes, which is the most that is read."
        raise RequestError(message, 413, code="too_large", most=limits.body)
    return b"".join(parts)


def parse(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        RequestError: The body is not JSON in UTF-8, or it is nested too deeply.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}."
    except RecursionError:
        message = "The body is nested too deeply; expected a flat JSON object."
    except ValueError as error:  # also for integers of thousands of digits
        message = f"The body is not JSON: {str(error)[:100]}."
    raise RequestError(message, code="not_json")


def _no_number(name: str) -> Any:
    raise wrong(name, "A number", "a number that JSON has")
