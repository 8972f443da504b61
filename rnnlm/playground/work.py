"""Work in threads beside the event loop: cut into slices that take turns, limited in number and in time."""

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

SLICE = 0.01  # seconds until another has its turn


@dataclass(frozen=True)
class Limits:
    """What a server takes upon itself at most."""

    body: int = 1 << 20  # bytes of a request
    drained: int = 64 << 20  # bytes of a larger one that are read away, so that its sender gets to read the answer
    body_seconds: float = 15.0
    send_seconds: float = 10.0  # until the client has read what was sent
    seconds: float = 120.0  # for a request, waiting and sending included
    head_seconds: float = 10.0  # until the head of a request is complete
    keep_alive: int = 15  # seconds for which an idle connection is kept
    connections: int = 512  # at most, and less where this process may open few files
    places: int = 64  # requests that are worked on or wait
    long_places: int = 32  # of them, those that may take long


class Workers:
    """Threads that work on requests. All methods belong to the event loop's thread."""

    def __init__(self, threads: int, limits: Limits) -> None:
        """Start with no work."""
        self.limits = limits
        self._threads = threads
        self.pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="rnnlm")
        # Work waits here for its next slice, in turn: a key stroke waits for slices of long work and not for all of it.
        # More threads at once would only slow each other down, since most of what they do is Python.
        self._turns = asyncio.Semaphore(threads)
        self._long_turn = asyncio.Lock()  # beside key strokes, long work has one thread
        self.working = self.working_long = self._slices_of_long = 0

    @contextmanager
    def place(self, is_long: bool) -> Iterator[None]:
        """A place for a request.

        Raises:
            FullError: there is none.
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
        """The result of work.

        Raises:
            GoneError: `gone` was done first.
            RequestError: it took too long.
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
        """What is said of work that took too long."""
        seconds = self.limits.seconds
        message = f"This took longer than {seconds:g} s and was given up; ask for less, or try again later."
        return RequestError(message, 503, "timeout", code="timeout", seconds=seconds)

    async def slice(self, work: Work[Any], is_long: bool) -> tuple[bool, Any]:
        """Go on with work for a moment: whether it is done, and its result."""
        loop = asyncio.get_running_loop()
        if not is_long:
            # Long work that took all threads before the key stroke came may be in a step that cannot be cut.
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
        """Let the threads end."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def leaving(receive: Receive) -> Iterator["asyncio.Future[None]"]:
    """Is done when the client has left."""

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
