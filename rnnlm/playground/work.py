"""Run work in threads beside the event loop, in time slices that take turns, with limits on number and time."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from rnnlm.playground.asgi import Receive
from rnnlm.playground.refusals import FullError, GoneError, RequestError
from rnnlm.playground.served import Work

SLICE = 0.01  # seconds


@dataclass(frozen=True)
class Limits:
    """The limits of a server."""

    body: int = 1 << 20  # bytes of a request's body
    drained: int = 64 << 20  # bytes of a larger body that are read and dropped, so that its sender reads the refusal
    body_seconds: float = 15.0
    send_seconds: float = 10.0  # until the client has read what was sent
    seconds: float = 120.0  # for a request, including waiting and sending
    head_seconds: float = 10.0  # until the head of a request is complete
    keep_alive: int = 15  # seconds for which an idle connection is kept open
    connections: int = 512  # fewer if this process may open only few files
    places: int = 64  # requests that are running or waiting
    long_places: int = 32  # of these, requests that may take long


class Workers:
    """Threads that work on requests. All methods must be called in the event loop's thread."""

    def __init__(self, threads: int, limits: Limits) -> None:
        """Create the thread pool."""
        self.limits = limits
        self._threads = threads
        self.pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="rnnlm")
        # Work waits here for its next slice, in turn, so that the request of a key stroke waits for slices of long work
        # and not for all of it. More threads at once would slow each other down, since most of their work is Python.
        self._turns = asyncio.Semaphore(threads)
        self._long_turn = asyncio.Lock()  # while short requests run, long work uses one thread
        self.working = self.working_long = self._slices_of_long = 0

    @contextmanager
    def place(self, is_long: bool) -> Iterator[None]:
        """Reserve a place for a request.

        Raises:
            FullError: No place is free.
        """
        if self.working >= self.limits.places or (is_long and self.working_long >= self.limits.long_places):
            raise FullError
        self.working += 1
        self.working_long += is_long
        try:
            yield
        finally:
            self.working -= 1
            self.working_long -= is_long

    async def finish(self, work: Work[Any], is_long: bool, gone: "asyncio.Future[Any]") -> Any:
        """Run work to its end and return its result.

        Raises:
            GoneError: `gone` was done first.
            RequestError: The work took too long.
        """
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    done, result = await self.slice(work, is_long)
                    if done:
                        return result
                    if gone.done():
                        raise GoneError
        except TimeoutError:
            raise self.late() from None

    def late(self) -> RequestError:
        """Return the error for work that took too long."""
        seconds = self.limits.seconds
        message = f"This took longer than {seconds:g} s and was given up; ask for less, or try again later."
        return RequestError(message, 503, "timeout", code="timeout", seconds=seconds)

    async def slice(self, work: Work[Any], is_long: bool) -> tuple[bool, Any]:
        """Run work for one time slice; return whether it is done, and its result."""
        loop = asyncio.get_running_loop()
        if not is_long:
            # If long work holds all threads, it may be in a step that cannot be interrupted: do not wait for it.
            blocked = self._slices_of_long >= self._threads
            async with nullcontext() if blocked else self._turns:
                return await loop.run_in_executor(self.pool, _go_on, work)
        async with self._long_turn if self.working > self.working_long else nullcontext(), self._turns:
            self._slices_of_long += 1
            try:
                return await loop.run_in_executor(self.pool, _go_on, work)
            finally:
                self._slices_of_long -= 1

    def close(self) -> None:
        """Shut down the thread pool without waiting."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def leaving(receive: Receive) -> Iterator["asyncio.Future[None]"]:
    """Provide a future that is done when the client has disconnected."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.ensure_future(wait())
    try:
        yield gone
    finally:
        gone.cancel()


def _go_on(work: Work[Any]) -> tuple[bool, Any]:
    end = time.perf_counter() + SLICE
    try:
        while True:
            next(work)
            if time.perf_counter() >= end:
                return False, None
    except StopIteration as done:
        return True, done.value
