"""Answers: JSON that is made whole, completions as server-sent events, and refusals in OpenAI's form."""

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

BLOCK = 1 << 16  # bytes that are sent at a time
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
# Which mistakes the library's errors are, where a request leads to them.
CODES: dict[type[RnnlmError], str] = {
    DirectionError: "bidirectional",
    FillingError: "no_blank",
    TokenizerError: "tokenizer",
    CheckpointError: "no_network",
}


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


# --- refusals -----------------------------------------------------------------------------------------------------


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
    if isinstance(error, WrongValueError):
        return RequestError(str(error), code=error.code, param=error.param, **error.details)
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


# --- answers to work ----------------------------------------------------------------------------------------------


def whole_answer(work: Work[Any], is_long: bool, workers: Workers) -> Application:
    """The result of work as JSON. The request has a place among the others until the last byte is sent."""

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
            return  # too late for another answer: this one is cut off
        except GoneError:
            await json_response(b"", 499)(scope, receive, send)  # nobody reads it
        except (RnnlmError, MemoryError) as error:
            await refusal(error)(scope, receive, send)

    return answer


def event_stream(completion: Completion, workers: Workers) -> Application:
    """A completion as server-sent events, every piece sent when it is made.

    The request has a place among the others from the beginning until all pieces are sent, the client has left or it
    takes too long.
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
