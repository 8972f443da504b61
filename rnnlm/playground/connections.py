"""Connections within limits: what uvicorn's protocol leaves open, to be mixed into it.

- A request's head has to come within a time, from the first connection on; so an idle or a half-sent one is closed.
- What was sent has to be read within a time; else the connection is cut, and with it ends the work on its request.
- There are at most so many connections. A new one takes the place of the one that has waited longest for the rest of a
  request; where all of them are being answered, its request is refused.
- What is no HTTP gets an answer with the headers of all others, and no traceback.
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

SPARE_FILES = 64  # that are open beside the connections: models, sockets, what Python needs
FEWEST = 8
TURNS = 3  # of the event loop, after which what a client sent at once has been read
RECORDS, PERIOD = 5, 60.0  # records of a kind that are logged in so many seconds
KINDS = 100


class Connection(asyncio.Protocol):
    """The limits of one connection. limits and most, the number of connections, belong to the class that is made."""

    limits: Limits
    most: int
    transport: Any  # these three are uvicorn's
    connections: set[Any]
    cycle: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Wait for nothing yet."""
        super().__init__(*arguments, **options)
        self.idle_since: float | None = None
        self._refused = False
        self._head: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    # --- heads --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)  # so that `pause_writing` says whenever something is not read
        self._wait_for_head()
        self._settle(TURNS)
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Stop waiting when a request's head is complete, and when its body is."""
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
        """Wait for the next request; uvicorn closes the connection if nothing at all comes."""
        super().on_response_complete()  # type: ignore[misc]
        self._settle(TURNS)

    @property
    def is_answering(self) -> bool:
        """Whether there is a request, of which the body may still be on its way, that has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _settle(self, turns: int) -> None:
        """Count as idle from now on, unless a request is there in a few turns of the event loop."""
        if turns:
            asyncio.get_running_loop().call_soon(self._settle, turns - 1)
        elif not self.is_answering or self.cycle.more_body:
            self.idle_since = time.monotonic()

    def _wait_for_head(self) -> None:
        self._head = asyncio.get_running_loop().call_later(self.limits.head_seconds, self.transport.close)

    # --- answers that nobody reads ------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Cut the connection if what was sent is not read soon."""
        super().pause_writing()
        self._stalled = asyncio.get_running_loop().call_later(self.limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it was read."""
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        _cancel(self._head)
        _cancel(self._stalled)
        super().connection_lost(exc)

    # --- number -------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Close the connection that has been idle longest; where there is none, refuse what this one will ask."""
        idle = [each for each in self.connections if each is not self and each.idle_since is not None]
        if idle:
            longest: Connection = min(idle, key=lambda each: float(each.idle_since))
            longest.idle_since = None
            longest.transport.abort()
        elif len(self.connections) > 2 * self.most:
            self.transport.abort()
        else:
            self._refused = True

    # --- what is no request -------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP; in the middle of an answer the connection is only cut."""
        answering = self.is_answering
        if answering:  # a body that is none: its request is given up
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
        """Log nothing: the request is answered as if it had not asked for another protocol, or refused by `Guard`."""


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def most_connections(limits: Limits) -> int:
    """How many connections are answered: twice as many are still below the number of files that we may open."""
    if sys.platform == "win32":
        return limits.connections
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits.connections
    return min(limits.connections, max(FEWEST, (files - SPARE_FILES) // 2))


class Sparing(logging.Filter):
    """Lets a few records of each kind through in a minute, so that no client can fill a disk with them."""

    def __init__(self) -> None:
        """Count anew."""
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged; the last of a kind says so."""
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
