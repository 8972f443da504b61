"""Handle Ctrl-C and similar signals: the first one asks a command to finish in order, the second ends it at once."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

# Sent by a terminal or a shutdown: SIGINT, SIGTERM, SIGHUP (terminal closed), SIGBREAK (Windows). Sent by batch systems
# shortly before the time limit: SIGUSR1 and SIGUSR2 (Slurm's --signal), SIGXCPU (CPU time limit), SIGALRM.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")
SIGNALS = tuple(number for name in _NAMES if (number := getattr(signal, name, None)))
GRACE = 0.5  # seconds after the second signal in which a half-written file can be removed


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end; `at_once` if it is not the first signal."""

    def __init__(self, number: int, at_once: bool) -> None:
        """Store the number of the signal."""
        super().__init__(number, at_once)
        self.number, self.at_once = number, at_once


class Interruptions:
    """Context manager that handles the signals in `SIGNALS`.

    On the first signal `asked()` is called: if it returns True, `Interrupted` is raised at once; otherwise the program
    is expected to check `received` at its next opportunity. The second signal always raises `Interrupted`. Python
    handles signals only between bytecode instructions, and a write to a slow disk may be a long one. Therefore a thread
    that the system informs of signals ends the process if the second signal has no effect within `GRACE` seconds.
    """

    def __init__(self, settling: float = 0.0) -> None:
        """Prepare without installing handlers.

        settling: seconds after the first signal in which further ones count as the same. torchrun forwards to its
        workers a signal that the terminal has sent to them already.
        """
        self._settling, self._since = settling, math.inf
        self.received = 0  # number of the first signal
        self.asked: Callable[[], bool] = lambda: True
        self._previous: dict[int, Any] = {}
        self._old_wakeup = -1
        self._sender: socket.socket | None = None
        self._over = threading.Event()

    def __enter__(self) -> "Interruptions":
        """Install the handlers; signals that are ignored, as under nohup, stay ignored."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread may install handlers
            return self
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        threading.Thread(target=self._guard, args=(receiver,), daemon=True).start()
        self._old_wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the old handlers."""
        if self._sender is None:
            return
        for number, old in self._previous.items():
            # Signals that torchrun sends to the remaining workers must not cut off the last message of one of them.
            signal.signal(number, signal.SIG_IGN if self._settling else old)
        signal.set_wakeup_fd(self._old_wakeup)
        self._over.set()
        self._sender.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.received
        self._since = min(self._since, time.monotonic())
        if not first and self._settles():
            return
        self.received = self.received or number
        if not first or self.asked():
            raise Interrupted(number, at_once=not first)

    def _settles(self) -> bool:
        return time.monotonic() - self._since < self._settling

    def _guard(self, receiver: socket.socket) -> None:
        """Wait for the second signal; end the process if the context is still open `GRACE` seconds later."""
        count = 0
        with receiver:
            while numbers := receiver.recv(1):
                self._since = min(self._since, time.monotonic())
                count += numbers[0] in SIGNALS and not (count and self._settles())
                if count > 1:
                    if not self._over.wait(GRACE):
                        os._exit(128 + numbers[0])
                    return
