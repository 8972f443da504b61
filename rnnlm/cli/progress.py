"""How a training shows itself: a bar in a terminal, a plain line now and then elsewhere; and files."""

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from rnnlm.cli.common import note
from rnnlm.cli.event_file import scalars_record, start_record, version_record
from rnnlm.cli.languages import tr
from rnnlm.cli.terminal import status_terminal
from rnnlm.cli.wrapping import display_width
from rnnlm.errors import TrainingError
from rnnlm.json_values import json_value
from rnnlm.training.trainer import Report

PLAIN_LINE_SECONDS = 5.0
SHORTEST_BAR, LONGEST_BAR = 4, 10
LARGEST_SCALAR = 3e38  # of an event: four bytes


class Part(NamedTuple):
    """A part of a status. rank: 1 for what matters most. more: what is said with it where there is room."""

    rank: int
    text: str = ""
    more: str = ""


def training_bar(share: float, parts: Sequence[Part], columns: int) -> str:
    """A bar and beside it the parts of a status; what matters least is left out until a line of `columns` holds it."""
    by_rank = sorted(range(len(parts)), key=lambda place: -parts[place].rank)
    room, shown = columns - len("100%|| ") - SHORTEST_BAR, list(parts)
    for keeps_text in (True, False):
        for place in by_rank:
            if display_width(_status(shown)) > room:
                shown[place] = Part(parts[place].rank, parts[place].text if keeps_text else "")
    status = _status(shown)
    length = min(LONGEST_BAR, columns - len("100%|| ") - display_width(status))
    filled = round(share * length)
    return f"{100 * share:3.0f}%|{'█' * filled}{' ' * (length - filled)}| {status}"[:columns]


def _status(parts: Sequence[Part]) -> str:
    return "  ".join(part.text + part.more for part in parts if part.text)


def _perplexity(nats: float) -> str:
    return tr(" (perplexity {perplexity})", perplexity=f"{math.exp(nats):.4g}") if nats < 300 else ""


class Display:
    """Shows reports on stderr while a training goes on."""

    def __init__(self, hidden: bool = False, advise: Callable[[Report], str | None] | None = None) -> None:
        """Start the clock; the bar appears with the first report. hidden: show nothing.

        advise: tells in a line what a report asks the user to do, if anything.
        """
        self._hidden, self._advise = hidden, advise
        self._started = self._last_line = time.monotonic()
        self._first_share: float | None = None
        self._speed = 0.0  # tokens/s, a running average
        self._terminal = None if hidden else status_terminal()
        self._valid: float | None = None

    def __enter__(self) -> "Display":
        """Use as a context manager, so that the bar is closed whatever happens."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the bar."""
        if self._terminal is not None:
            self._terminal.end_status(keep=True)

    def show(self, report: Report) -> None:
        """Show where the training is."""
        if report.tokens_per_second:
            self._speed += (report.tokens_per_second - self._speed) * (0.05 if self._speed else 1.0)
        if self._first_share is None:
            self._first_share = report.progress  # what a resumed training did before took none of this run's time
        if report.kind == "evaluation" and report.valid_nats_per_token is not None:
            self._valid = report.valid_nats_per_token
        if report.kind == "recovery":
            self.line(report.message)
        parts = self._parts(report)
        if self._terminal is not None:
            self._terminal.show_status(lambda columns: training_bar(report.progress, parts, columns))
        elif report.kind == "evaluation" or time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            left, *others = parts
            self.line(f"{100 * report.progress:3.0f}%  {_status([*others, left])}")
        if self._advise and (advice := self._advise(report)):
            self.line(tr("Advice      {line}", line=advice))

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self._last_line = time.monotonic()
        if not self._hidden:
            note(text)

    def _parts(self, report: Report) -> list[Part]:
        """What is told of a report, in the order in which it is shown."""
        train, valid = report.train_nats_per_token, self._valid
        of_train = _perplexity(train) if valid is None else ""  # that of the held-out part is the one that counts
        return [
            Part(1, self._left(report)),
            Part(4, tr("epoch {n}", n=f"{report.epoch:.2f}")),
            Part(3, tr("loss {nats}", nats=f"{train:.3f}"), of_train),
            Part(2, *(() if valid is None else (tr("valid {nats}", nats=f"{valid:.3f}"), _perplexity(valid)))),
            Part(5, tr("{n} tokens/s", n=f"{self._speed:,.0f}")),
        ]

    def _left(self, report: Report) -> str:
        done = report.progress - (self._first_share or 0.0)
        if done <= 0:
            return ""
        seconds = round((time.monotonic() - self._started) / done * (1 - report.progress))
        return tr("{time} left", time=f"{seconds // 60}:{seconds % 60:02d}")


class _PatientFile:
    """A file that grows with a training.

    A disk that is full for a while ends no training: what could not be written waits, and comes first the next time.
    """

    def __init__(self, path: Path, mode: str, told_as: str) -> None:
        """Open it. told_as: what it is called in a warning."""
        self._file = FileIO(path, mode)
        self._told_as = told_as
        self._waiting = b""
        self._failed = False

    def append(self, data: bytes, warn: Callable[[str], None]) -> None:
        """Write bytes; the first failure is said through `warn`."""
        self._waiting += data
        try:
            self._write_waiting()
            self._failed = False
        except OSError as error:
            if not self._failed:
                warn(f"Warning: {self._told_as} cannot be written: {error.strerror}. This is tried again.")
            self._failed = True

    def close(self) -> None:
        """Write what waits, if that can be done, and close it."""
        with suppress(OSError):
            self._write_waiting()
        with suppress(OSError):
            self._file.close()

    def _write_waiting(self) -> None:
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) or 0 :]


class _Log:
    """A file of the course of a training that closes itself as a context manager; None writes nothing."""

    _file: _PatientFile | None = None

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class History(_Log):
    """A file of JSON Lines, one object for each evaluation; see `_PatientFile` for what a full disk does to it."""

    def __init__(self, path: Path | None, resumed_at: int | None) -> None:
        """Open the file; None writes nothing.

        resumed_at: the step at which a training goes on (None: it is a new one). Its lines are appended. What the run
        before, if it was killed, wrote of later steps is made anew, so it is cut off, and so is half a line.

        Raises:
            TrainingError: it cannot be written.
        """
        if path is not None:
            try:
                if resumed_at is not None and path.is_file():
                    _cut_off(path, resumed_at)
                self._file = _PatientFile(path, "w" if resumed_at is None else "a", f"--history {path}")
            except OSError as error:
                raise TrainingError(f"--history {path} cannot be written: {error.strerror}.") from None

    def write(self, report: Report, warn: Callable[[str], None]) -> None:
        """Append a report; numbers that JSON lacks become null. The first failure is said through `warn`."""
        if self._file is None:
            return
        self._file.append((json.dumps(json_value(report.history())) + "\n").encode(), warn)


TAGS = {
    "train_nats_per_token": "train/nats_per_token",
    "valid_nats_per_token": "valid/nats_per_token",
    **{key: f"training/{key}" for key in ("epoch", "learning_rate", "gradient_norm", "tokens_per_second")},
}


class EventLog(_Log):
    """A folder of events that TensorBoard shows, one for each evaluation, in a file of this run.

    A run that is resumed, or trained anew, says with which step it starts: TensorBoard leaves out what older files in
    the folder have of later steps.
    """

    def __init__(self, folder: Path | None, resumed_at: int | None) -> None:
        """Make the folder and the file; None writes nothing. resumed_at: as for `History`.

        Raises:
            TrainingError: it cannot be written.
        """
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._opened(folder)
        except OSError as error:
            raise TrainingError(
                f"--tensorboard {folder} cannot be written: {error.strerror}. Give a folder that may be written in."
            ) from None
        now = time.time()
        start = version_record(now) + start_record(now, 0 if resumed_at is None else resumed_at + 1)
        self._file.append(start, note)

    @staticmethod
    def _opened(folder: Path) -> _PatientFile:
        """A new file, whose name sorts after those of the runs before."""
        place = 0
        while True:
            path = folder / f"events.out.tfevents.{int(time.time()):010d}.{place:04d}.rnnlm"
            try:
                return _PatientFile(path, "x", f"--tensorboard {folder}")
            except FileExistsError:
                place += 1

    def write(self, report: Report, warn: Callable[[str], None]) -> None:
        """Append the numbers of a report that are numbers. The first failure is said through `warn`."""
        if self._file is None:
            return
        if report.kind == "recovery":  # which went back to this step
            self._file.append(start_record(time.time(), report.step), warn)
        values = report.history()
        scalars = {tag: values[key] for key, tag in TAGS.items() if _fits(values[key])}
        self._file.append(scalars_record(time.time(), report.step, scalars), warn)


def _fits(value: float | None) -> bool:
    """Whether a value is a number that four bytes can hold."""
    return value is not None and abs(value) <= LARGEST_SCALAR


def _cut_off(path: Path, step: int) -> None:
    """Remove from the end of a history the lines of steps after `step`, and half a line; nothing else."""
    with path.open("r+b") as file:
        lines = file.read().splitlines(keepends=True)
        while lines and (_is_torn(lines[-1]) or _step(lines[-1]) > step):
            lines.pop()
        file.truncate(sum(map(len, lines)))


def _is_torn(line: bytes) -> bool:
    return not line.endswith(b"\n") and (b'{"step": ').startswith(line[:9])


def _step(line: bytes) -> float:
    """The step of a line of a history; minus infinity of a line that is none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError):
        return -math.inf
