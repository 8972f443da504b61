"""A completion as server-sent events: every piece is sent when it is made."""

import asyncio
from typing import Any

from rnnlm.errors import RnnlmError
from rnnlm.playground.answers import encoded, error_body, refusal
from rnnlm.playground.asgi import Receive, Scope, Send
from rnnlm.playground.completions import Completion
from rnnlm.playground.work import FullError, Workers, leaving

HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class EventStream:
    """The answer, an ASGI application. It has a place among the requests from its beginning until it ends."""

    def __init__(self, completion: Completion, workers: Workers) -> None:
        """Begin nothing yet."""
        self._completion, self._workers = completion, workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until all are there, the client has left or it takes too long."""
        try:
            with self._workers.place(True), leaving(receive) as gone:
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                await self._send_pieces(gone, send)
        except FullError as error:  # before anything was sent
            await refusal(error)(scope, receive, send)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_pieces(self, gone: "asyncio.Future[None]", send: Send) -> None:
        completion, done = self._completion, False
        work = completion.work()
        try:
            async with asyncio.timeout(self._workers.limits.seconds):
                while not done and not gone.done():
                    done, _ = await self._workers.slice(work, True)
                    for piece in completion.take():
                        await _send_event(send, piece)
                if done and completion.tells_usage:
                    await _send_event(send, completion.last_chunk())
                if done:
                    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
        except TimeoutError:
            await _send_event(send, error_body(self._workers.late()))
        except (RnnlmError, MemoryError) as error:
            await _send_event(send, error_body(error))


async def _send_event(send: Send, value: Any) -> None:
    await send({"type": "http.response.body", "body": b"data: " + encoded(value) + b"\n\n", "more_body": True})
