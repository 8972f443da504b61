"""An answer that is made whole before any of it is sent."""

import asyncio
from typing import Any

from rnnlm.errors import RnnlmError
from rnnlm.playground.answers import BLOCK, encoding, json_response, refusal
from rnnlm.playground.asgi import Receive, Scope, Send
from rnnlm.playground.served import Work
from rnnlm.playground.work import GoneError, Workers, leaving


class WholeAnswer:
    """The answer, an ASGI application. It has a place among the requests until its last byte is sent."""

    def __init__(self, work: Work[Any], is_long: bool, workers: Workers) -> None:
        """Begin nothing yet."""
        self._work, self._is_long, self._workers = work, is_long, workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work and send its result, or why there is none."""
        limits, loop = self._workers.limits, asyncio.get_running_loop()
        end = loop.time() + limits.seconds
        try:
            with self._workers.place(self._is_long), leaving(receive) as gone:
                blocks = await self._workers.finish(encoding(self._work), self._is_long, gone)
                async with asyncio.timeout_at(max(end, loop.time() + limits.send_seconds)):
                    await _send(send, blocks)
        except TimeoutError:
            return  # too late for another answer: this one is cut off
        except GoneError:
            await json_response(b"", 499)(scope, receive, send)  # nobody reads it
        except (RnnlmError, MemoryError) as error:
            await refusal(error)(scope, receive, send)


async def _send(send: Send, blocks: list[bytes]) -> None:
    length = str(sum(map(len, blocks))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for block in blocks:
        for start in range(0, len(block), BLOCK):
            await send({"type": "http.response.body", "body": block[start : start + BLOCK], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
