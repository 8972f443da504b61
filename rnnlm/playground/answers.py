"""HTTP answers: whole JSON documents, completions as server-sent events, and errors in OpenAI's form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rnnlm.errors import CheckpointError, DirectionError, FillingError, RnnlmError, TokenizerError
from rnnlm.playground.asgi import Application, Receive, Scope, Send
from rnnlm.playground.completions import Completion
from rnnlm.playground.refusals import RETRY_AFTER, FullError, GoneError, RequestError
from rnnlm.playground.room import Room, json_pieces
from rnnlm.playground.served import Work
from rnnlm.playground.work import Workers, leaving
from rnnlm.schema import WrongValueError

if TYPE_CHECKING:
    from starlette.responses import Response

BLOCK = 1 << 16  # bytes sent at a time
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
# Error codes of the library's errors that a request can cause.
CODES: dict[type[RnnlmError], str] = {
    DirectionError: "bidirectional",
    FillingError: "no_blank",
    TokenizerError: "tokenizer",
    CheckpointError: "no_network",
}


def encoded(value: Any) -> bytes:
    """Encode a value as JSON: NaN and infinities as null, lone surrogates as escapes."""
    return _bytes(json_pieces(value))


def _bytes(pieces: Iterable[str]) -> bytes:
    return "".join(pieces).encode("utf-8", "backslashreplace")


def encoding(work: Work[Any]) -> Work[list[bytes]]:
    """Run work, and encode its result as JSON in blocks of bytes.

    Raises:
        RequestError: The result is larger than an answer may be.
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


# --- refusals -----------------------------------------------------------------------------------------------------


def error_body(error: RnnlmError | MemoryError) -> dict[str, Any]:
    """Return an error in OpenAI's form; `details` has the values in its message, for messages in other languages."""
    known = as_request_error(error)
    described = {"message": str(known), "type": known.kind, "param": known.param, "code": known.code}
    return {"error": described | {"details": known.details}}


def as_request_error(error: RnnlmError | MemoryError) -> RequestError:
    """Convert an error to a `RequestError`."""
    if isinstance(error, MemoryError):
        return RequestError("The memory is used up; ask for less.", 503, "overloaded", code="memory")
    if isinstance(error, RequestError):
        return error
    if isinstance(error, WrongValueError):
        return RequestError(str(error), code=error.code, param=error.param, **error.details)
    return RequestError(str(error), code=CODES.get(type(error), "refused"))


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response whose body is encoded JSON."""
    from starlette.responses import Response

    return Response(body, status, headers, "application/json")


def refusal(error: RnnlmError | MemoryError) -> Response:
    """Return the response to a request that is refused."""
    known = as_request_error(error)
    headers = {"retry-after": str(RETRY_AFTER)} if known.status == 503 else {}
    return json_response(encoded(error_body(known)), known.status, headers | known.headers)


# --- answers to work ----------------------------------------------------------------------------------------------


def whole_answer(work: Work[Any], is_long: bool, workers: Workers) -> Application:
    """Answer with the result of work as JSON; the request keeps its place until the last byte is sent."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        limits, loop = workers.limits, asyncio.get_running_loop()
        end = loop.time() + limits.seconds
        try:
            with workers.place(is_long), leaving(receive) as gone:
                blocks = await workers.finish(encoding(work), is_long, gone)
                async with asyncio.timeout_at(max(end, loop.time() + limits.send_seconds)):
                    length = str(sum(map(len, blocks))).encode()
                    await _begin(send, [(b"content-type", b"application/json"), (b"content-length", length)])
                    for block in blocks:
                        for start in range(0, len(block), BLOCK):
                            await _send(send, block[start : start + BLOCK])
                    await _send(send, b"", more=False)
        except TimeoutError:
            return  # the answer has begun, so it can only be cut off
        except GoneError:
            await json_response(b"", 499)(scope, receive, send)  # the client has disconnected
        except (RnnlmError, MemoryError) as error:
            await refusal(error)(scope, receive, send)

    return answer


def event_stream(completion: Completion, workers: Workers) -> Application:
    """Answer with a completion as server-sent events, each sent as soon as it is generated.

    The request keeps its place until all pieces are sent, the client disconnects or the time is up.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with workers.place(True), leaving(receive) as gone:
                await _begin(send, STREAM_HEADERS)
                await _send_pieces(completion, workers, gone, send)
        except FullError as error:  # before anything was sent
            await refusal(error)(scope, receive, send)
            return
        await _send(send, b"", more=False)

    return answer


async def _send_pieces(completion: Completion, workers: Workers, gone: asyncio.Future[None], send: Send) -> None:
    work, done = completion.work(), False
    try:
        async with asyncio.timeout(workers.limits.seconds):
            while not done and not gone.done():
                done, _ = await workers.slice(work, True)
                for piece in completion.take():
                    await _send_event(send, piece)
            if done:
                await _send(send, b"data: [DONE]\n\n")
    except TimeoutError:
        await _send_event(send, error_body(workers.late()))
    except (RnnlmError, MemoryError) as error:
        await _send_event(send, error_body(error))


async def _send_event(send: Send, value: Any) -> None:
    await _send(send, b"data: " + encoded(value) + b"\n\n")


async def _begin(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
