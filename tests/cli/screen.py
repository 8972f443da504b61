"""Run commands in a pseudo-terminal and read the screen with a terminal emulator."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyte

ROWS = 1000  # enough that nothing scrolls away
QUIET_SECONDS = 0.03  # shorter than the time between two drawings of a bar
ENVIRONMENT = {"TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])}


class Screen(pyte.Screen):
    """A screen that records the lines that it had to wrap."""

    def __init__(self, columns: int) -> None:
        self.too_long: list[str] = []
        self._drawing = False
        super().__init__(columns, ROWS)

    def draw(self, data: str) -> None:
        self._drawing = True
        super().draw(data)
        self._drawing = False

    def linefeed(self) -> None:
        if self._drawing:
            self.too_long.append(self.rows()[-1])
        super().linefeed()

    def rows(self) -> list[str]:
        """Return the rows down to the cursor, without trailing spaces."""
        return ["".join(row[x].data for x in range(self.columns)).rstrip() for row in self._down_to_cursor()]

    def _down_to_cursor(self) -> list[pyte.screens.StaticDefaultDict]:
        return [self.buffer[y] for y in range(self.cursor.y + 1)]


def written_to(terminal: int, patience: float | None = None) -> Iterator[bytes]:
    """Yield what is written to a pseudo-terminal until the other side closes it.

    patience: stop also when nothing has come for this many seconds.
    """
    while select.select([terminal], [], [], patience)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # on Linux: the other side is closed
            return
        if not data:
            return
        yield data


def screen_of(
    arguments: Sequence[str],
    columns: int = 80,
    cwd: Path | None = None,
    watch: Callable[[Screen, Callable[[int], None]], None] | None = None,
    program: Sequence[str] = ("-m", "rnnlm"),
    code: int = 0,
) -> Screen:
    """Run a command whose standard streams are all a terminal, and return the screen at its end.

    watch: called after every piece of output with the screen and a function that changes the number of columns. That
    function first waits until no output is on its way, since output for the old width would wrap at the new one.
    """
    ours, theirs = pty.openpty()
    screen = Screen(columns)
    stream = pyte.ByteStream(screen)

    def resize(to: int) -> None:
        for data in written_to(ours, QUIET_SECONDS):
            stream.feed(data)
        screen.resize(columns=to)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 30, to, 0, 0))

    resize(columns)
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment | ENVIRONMENT,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        for data in written_to(ours):
            stream.feed(data)
            if watch is not None:
                watch(screen, resize)
    os.close(ours)
    assert process.returncode == code, "\n".join(screen.rows())
    return screen


class Dialogue:
    """A command in a pseudo-terminal: type keys into it and wait for what the screen shows."""

    def __init__(self, arguments: Sequence[str], columns: int = 80, rows: int = 24, cwd: Path | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = pyte.Screen(columns, rows)
        self.screen.write_process_input = self.type  # answers a program that asks for the cursor position
        self._stream = pyte.ByteStream(self.screen)
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rnnlm", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment | ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def type(self, keys: str) -> None:
        """Send keys as a terminal does."""
        os.write(self._ours, keys.encode())

    def rows(self) -> list[str]:
        """Return the rows of the screen without trailing spaces and trailing empty rows."""
        rows = [row.rstrip() for row in self.screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def wait(self, shown: Callable[[list[str]], object], seconds: float = 30.0) -> list[str]:
        """Wait until `shown` is true of the rows, and return them."""
        end = time.monotonic() + seconds
        while not shown(self.rows()):
            assert time.monotonic() < end, "\n".join(self.rows())
            for data in written_to(self._ours, QUIET_SECONDS):
                self._stream.feed(data)
        return self.rows()

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.killpg(self._process.pid, signal.SIGWINCH)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait until the command has ended and return its exit code."""
        for data in written_to(self._ours):
            self._stream.feed(data)
        os.close(self._ours)
        return self._process.wait(60)

    def __enter__(self) -> "Dialogue":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
