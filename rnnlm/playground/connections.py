"""Limits on connections, as a mixin for uvicorn's HTTP protocol, which has no such limits.

- The head of a request must arrive in time after the connection is made; an idle or half-sent one is closed.
- The client must read what was sent in time; otherwise the connection is aborted, which ends the work on its request.
- The number of connections is limited. A new one replaces the one that has been idle longest; if all of them are being
  answered, its request is refused.
- Input that is not HTTP gets an answer with the usual headers, without a traceback in the log.
"""

import asyncio
import logging
import sys
import time
from http import HTTPStatus
from typing import Any

from rnnlm.playground.answers import refusal
from rnnlm.playground.refusals import FullError, RequestError
from rnnlm.playground.security import HEADERS
from rnnlm.playground.work import Limits

SPARE_FILES = 64  # open files other than connections: models, sockets, Python's own
FEWEST = 8
TURNS = 3  # of the event loop until data that a client sent at once has been read
RECORDS, PERIOD = 5, 60.0  # log records of a kind in a period of seconds
KINDS = 100  # of log records that are counted separately


class Connection(asyncio.Protocol):
    """The limits of one connection. `web_server` makes a subclass that sets `limits` and `most`, the number of them."""

    limits: Limits
    most: int
    transport: Any  # this and the following two belong to uvicorn
    connections: set[Any]
    cycle: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start without timers."""
        super().__init__(*arguments, **options)
        self.idle_since: float | None = None
        self._refused = False
        self._head: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    # --- heads --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a request."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)  # `pause_writing` is called whenever something is not read
        self._wait_for_head()
        self._settle(TURNS)
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Stop the timer when a request's head is complete; count as busy when its body is."""
        if self._refused:
            self._answer(FullError())
            return
        super().data_received(data)
        if not self.is_answering:
            if self._head is None:
                self._wait_for_head()
            return
        _cancel(self._head)
        self._head = None
        if not self.cycle.more_body:
            self.idle_since = None

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn closes the connection if none arrives."""
        super().on_response_complete()  # type: ignore[misc]
        self._settle(TURNS)

    @property
    def is_answering(self) -> bool:
        """Whether a request has no complete answer yet; its body may still be incomplete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _settle(self, turns: int) -> None:
        """Count as idle from now on, unless a request arrives in a few turns of the event loop."""
        if turns:
            asyncio.get_running_loop().call_soon(self._settle, turns - 1)
        elif not self.is_answering or self.cycle.more_body:
            self.idle_since = time.monotonic()

    def _wait_for_head(self) -> None:
        self._head = asyncio.get_running_loop().call_later(self.limits.head_seconds, self.transport.close)

    # --- answers that nobody reads ------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Start the timer that aborts the connection if the client does not read what was sent."""
        super().pause_writing()
        self._stalled = asyncio.get_running_loop().call_later(self.limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer: the client has read what was sent."""
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        _cancel(self._head)
        _cancel(self._stalled)
        super().connection_lost(exc)

    # --- number -------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Abort the connection that has been idle longest; if none is idle, refuse this one's request."""
        idle = [each for each in self.connections if each is not self and each.idle_since is not None]
        if idle:
            longest: Connection = min(idle, key=lambda each: float(each.idle_since))
            longest.idle_since = None
            longest.transport.abort()
        elif len(self.connections) > 2 * self.most:
            self.transport.abort()
        else:
            self._refused = True

    # --- invalid requests ---------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Answer input that is not HTTP; if another answer has begun, only abort the connection."""
        answering = self.is_answering
        if answering:  # the body of a request is invalid: abandon the request
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if answering and self.cycle.response_started:
            self.transport.abort()
        else:
            self._answer(RequestError("This is no HTTP request that can be read.", code="not_http"))

    def _answer(self, error: RequestError) -> None:
        answer = refusal(error)
        headers = HEADERS | dict(answer.headers) | {"connection": "close"}
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + bytes(answer.body))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing, unlike uvicorn: `Guard` refuses the request, or it is answered without an upgrade."""


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def most_connections(limits: Limits) -> int:
    """Return the number of connections that are answered; twice as many stay below this process's limit of files."""
    if sys.platform == "win32":
        return limits.connections
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits.connections
    return min(limits.connections, max(FEWEST, (files - SPARE_FILES) // 2))


class Sparing(logging.Filter):
    """A filter that passes a few records of each kind in a minute, so that no client can fill the disk with logs."""

    def __init__(self) -> None:
        """Start with no records."""
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged; add to the last record of a kind that more are not shown."""
        kind = f"{record.name} {str(record.msg).partition(chr(10))[0][:80]}"
        begun, number = self._seen.get(kind, (record.created, 0))
        if record.created - begun > PERIOD:
            begun, number = record.created, 0
        if kind not in self._seen and len(self._seen) >= KINDS:
            self._seen.clear()
        self._seen[kind] = begun, number + 1
        if number + 1 == RECORDS:
            record.msg = f"{record.getMessage()} (more of these are not shown for {PERIOD:g} s)"
            record.args = None
        return number < RECORDS
