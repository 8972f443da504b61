"""Ctrl-C and its relatives: the first one asks a command to end well, the second one ends it at once."""

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

# What a terminal and a shut-down send; SIGHUP when the terminal is closed, SIGBREAK on Windows; and by which batch
# systems say that the time is nearly up (Slurm's --signal=USR1, the limit of processor time, an alarm).
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")
SIGNALS = tuple(number for name in _NAMES if (number := getattr(signal, name, None)))
GRACE = 0.5  # seconds that the second signal leaves for removing a file that is half written


class Interrupted(KeyboardInterrupt):
    """A signal asks to leave; `at_once` if it is not the first one."""

    def __init__(self, number: int, at_once: bool) -> None:
        """Say which signal."""
        super().__init__(number, at_once)
        self.number, self.at_once = number, at_once


class Interruptions:
    """Receives the signals while the context is open.

    The first one is asked about: if `asked()` says so, `Interrupted` is raised where the program is, else the program
    looks at `received` at its next occasion. The second one raises `Interrupted` in any case. Python delivers a signal
    only between two of its own instructions, and a write to a slow disk is one; so after the second one, a thread to
    which the system itself reports them ends the process if that has not happened soon.
    """

    def __init__(self, settling: float = 0.0) -> None:
        """Nothing is installed yet.

        settling: seconds after the first signal in which others are taken for the same one. What a terminal sends to
        all processes of a command, torchrun sends to its workers once more.
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
        if threading.current_thread() is not threading.main_thread():  # the only one that signals reach
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
        """Put back the old handlers."""
        if self._sender is None:
            return
        for number, old in self._previous.items():
            # What torchrun sends to the workers that are left must not cut off the last message of one of them.
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
        """Wait for the second signal, whatever the main thread does; then give that a moment and leave."""
        count = 0
        with receiver:
            while numbers := receiver.recv(1):
                self._since = min(self._since, time.monotonic())
                count += numbers[0] in SIGNALS and not (count and self._settles())
                if count > 1:
                    if not self._over.wait(GRACE):
                        os._exit(128 + numbers[0])
                    return
