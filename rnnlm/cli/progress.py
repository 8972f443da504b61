"""Show the progress of a training: a bar in a terminal, else a line now and then; and write history and event files."""

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from rnnlm.cli.event_file import scalars_record, start_record, version_record
from rnnlm.cli.languages import tr, translated
from rnnlm.cli.printing import note
from rnnlm.cli.terminal import status_terminal
from rnnlm.cli.wrapping import display_width
from rnnlm.errors import TrainingError
from rnnlm.json_values import json_value
from rnnlm.training.trainer import Report

PLAIN_LINE_SECONDS = 5.0
SHORTEST_BAR, LONGEST_BAR = 4, 10
LARGEST_SCALAR = 3e38  # events store float32


class Part(NamedTuple):
    """A part of a status line. rank: 1 is the most important. more: text appended if there is room."""

    rank: int
    text: str = ""
    more: str = ""


def training_bar(share: float, parts: Sequence[Part], columns: int) -> str:
    """Return a bar and the parts of a status, leaving out the least important until the line fits `columns`."""
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
    """Shows the reports of a training on stderr."""

    def __init__(self, hidden: bool = False, advise: Callable[[Report], str | None] | None = None) -> None:
        """Start the clock; the bar appears with the first report. hidden: show nothing.

        advise: returns a line of advice on a report, or None.
        """
        self._hidden, self._advise = hidden, advise
        self._started = self._last_line = time.monotonic()
        self._first_share: float | None = None
        self._speed = 0.0  # tokens/s, a running average
        self._terminal = None if hidden else status_terminal()
        self._valid: float | None = None

    def __enter__(self) -> "Display":
        """Return self; the context manager closes the bar in any case."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the bar."""
        if self._terminal is not None:
            self._terminal.end_status(keep=True)

    def show(self, report: Report) -> None:
        """Update the bar or the status line from a report."""
        if report.tokens_per_second:
            self._speed += (report.tokens_per_second - self._speed) * (0.05 if self._speed else 1.0)
        if self._first_share is None:
            self._first_share = (
                report.progress
            )  # a resumed training does not begin at 0, which the time left depends on
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
            self.line(tr("Advice      {line}", line=translated(advice)))

    def line(self, text: str) -> None:
        """Write a line that stays above the bar."""
        self._last_line = time.monotonic()
        if not self._hidden:
            note(text)

    def _parts(self, report: Report) -> list[Part]:
        """Return the parts of the status for a report, in display order."""
        train, valid = report.train_nats_per_token, self._valid
        of_train = (
            _perplexity(train) if valid is None else ""
        )  # the perplexity of the held-out part is shown instead, if known
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
    """A file that a training appends to, which survives a full disk.

    What cannot be written is kept in memory and written first at the next attempt.
    """

    def __init__(self, path: Path, mode: str, told_as: str) -> None:
        """Open the file. told_as: its name in warnings."""
        self._file = FileIO(path, mode)
        self._told_as = told_as
        self._waiting = b""
        self._failed = False

    def append(self, data: bytes, warn: Callable[[str], None]) -> None:
        """Append bytes; `warn` is called at the first failure of several in a row."""
        self._waiting += data
        try:
            self._write_waiting()
            self._failed = False
        except OSError as error:
            if not self._failed:
                warn(f"Warning: {self._told_as} cannot be written: {error.strerror}. This is tried again.")
            self._failed = True

    def close(self) -> None:
        """Write the remaining bytes if possible, and close the file."""
        with suppress(OSError):
            self._write_waiting()
        with suppress(OSError):
            self._file.close()

    def _write_waiting(self) -> None:
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) or 0 :]


class _Log:
    """A log file of a training that is closed by a context manager; without a file nothing is written."""

    _file: _PatientFile | None = None

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class History(_Log):
    """A JSON Lines file with one object for each evaluation; see `_PatientFile` for its behaviour on a full disk."""

    def __init__(self, path: Path | None, resumed_at: int | None) -> None:
        """Open the file; None writes nothing.

        resumed_at: step at which a training is resumed, to append to its file; None for a new training. Lines that a
        killed run wrote for later steps are removed, since these steps are repeated; so is an incomplete last line.

        Raises:
            TrainingError: the file cannot be written.
        """
        if path is not None:
            try:
                if resumed_at is not None and path.is_file():
                    _cut_off(path, resumed_at)
                self._file = _PatientFile(path, "w" if resumed_at is None else "a", f"--history {path}")
            except OSError as error:
                raise TrainingError(f"--history {path} cannot be written: {error.strerror}.") from None

    def write(self, report: Report, warn: Callable[[str], None]) -> None:
        """Append a report; nan and infinity become null. See `_PatientFile.append` for `warn`."""
        if self._file is None:
            return
        self._file.append((json.dumps(json_value(report.history())) + "\n").encode(), warn)


TAGS = {
    "train_nats_per_token": "train/nats_per_token",
    "valid_nats_per_token": "valid/nats_per_token",
    **{key: f"training/{key}" for key in ("epoch", "learning_rate", "gradient_norm", "tokens_per_second")},
}


class EventLog(_Log):
    """A folder of TensorBoard event files, one file for each run, with an event for each evaluation.

    A run records the step at which it starts; TensorBoard then ignores later steps in the folder's older files.
    """

    def __init__(self, folder: Path | None, resumed_at: int | None) -> None:
        """Make the folder and the file; None writes nothing. resumed_at: as for `History`.

        Raises:
            TrainingError: the folder cannot be written.
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
        """Create and return a new file whose name sorts after those of earlier runs."""
        place = 0
        while True:
            path = folder / f"events.out.tfevents.{int(time.time()):010d}.{place:04d}.rnnlm"
            try:
                return _PatientFile(path, "x", f"--tensorboard {folder}")
            except FileExistsError:
                place += 1

    def write(self, report: Report, warn: Callable[[str], None]) -> None:
        """Append the finite numbers of a report. See `_PatientFile.append` for `warn`."""
        if self._file is None:
            return
        if report.kind == "recovery":  # the training went back to this step
            self._file.append(start_record(time.time(), report.step), warn)
        values = report.history()
        scalars = {tag: values[key] for key, tag in TAGS.items() if _fits(values[key])}
        self._file.append(scalars_record(time.time(), report.step, scalars), warn)


def _fits(value: float | None) -> bool:
    """Return whether a value is a number within the range of float32."""
    return value is not None and abs(value) <= LARGEST_SCALAR


def _cut_off(path: Path, step: int) -> None:
    """Remove from the end of a history the lines of steps after `step` and an incomplete line."""
    with path.open("r+b") as file:
        lines = file.read().splitlines(keepends=True)
        while lines and (_is_torn(lines[-1]) or _step(lines[-1]) > step):
            lines.pop()
        file.truncate(sum(map(len, lines)))


def _is_torn(line: bytes) -> bool:
    return not line.endswith(b"\n") and (b'{"step": ').startswith(line[:9])


def _step(line: bytes) -> float:
    """Return the step of a line of a history; minus infinity if it is not such a line."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError):
        return -math.inf
