"""A clock for time budgets, which counts only the time in which the process is running."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK = 0.25  # seconds between readings of the real clock
LONGEST_GAP = 1.0  # maximum seconds to count between two readings


class RunningClock:
    """Seconds in which this process was running, without those in which it was stopped or the machine slept.

    While `ticking`, a thread reads the real clock four times a second. As long as the process runs, the gap between two
    readings is short, even on a busy machine. If it is stopped (SIGSTOP, Ctrl-Z, a closed laptop), so is the thread,
    and the gap counts as one second. (CPU time is no alternative: it depends on the number of threads, and excludes
    waiting for a disk.) If the real clock is set back, the gap counts as zero.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start at zero; `now` is the real clock, in seconds."""
        self._now, self._last, self._total = now, now(), 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the seconds so far."""
        with self._lock:
            now = self._now()
            self._total += min(max(now - self._last, 0.0), LONGEST_GAP)
            self._last = now
            return self._total

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Read the clock in a thread; needed to measure anything longer than LONGEST_GAP."""
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
