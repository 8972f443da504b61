"""A clock for time budgets: it counts the seconds during which this process runs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK = 0.25  # seconds between two looks at the real clock
LONGEST_GAP = 1.0  # seconds between two looks that count at most


class RunningClock:
    """Seconds in which this process was running; those in which it was stopped, or the machine slept, do not count.

    While `ticking`, a thread looks at the real clock four times a second. As long as the process runs, no gap between
    two looks is long, however slow its work is and however busy the machine. When it was stopped (SIGSTOP, Ctrl-Z, a
    closed laptop), so was the thread: the gap that it finds on waking counts as one second. (Processor time would not
    do: it differs from the time on the wall with the number of threads, and stands still while a disk is waited for.)
    A real clock that jumps back counts as no time.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start at zero; `now` is the real clock, in seconds."""
        self._now, self._last, self._total = now, now(), 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds so far."""
        with self._lock:
            now = self._now()
            self._total += min(max(now - self._last, 0.0), LONGEST_GAP)
            self._last = now
            return self._total

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Keep looking; whatever is longer than LONGEST_GAP is to be measured inside."""
        self()
        over = threading.Event()

        def look() -> None:
            while not over.wait(TICK):
                self()

        thread = threading.Thread(target=look, name="rnnlm clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
