"""Read and validate the learning curves that `rnnlm train --history` writes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import PlotError, shown
from rnnlm.sentences import Sentence

LOSSES = {"train_nats_per_token": "train", "valid_nats_per_token": "valid"}
X_KEYS = ("step", "epoch", "seconds")
KEYS = (*X_KEYS, *LOSSES, "learning_rate", "gradient_norm", "tokens_per_second")
PANELS = (
    ("loss", tuple(LOSSES)),
    ("learning rate", ("learning_rate",)),
    ("gradient norm", ("gradient_norm",)),
    ("tokens/s", ("tokens_per_second",)),
)
LONGEST_LINE = 1 << 16  # bytes; usual lines have some 200
MOST_LINES = 1_000_000
LARGEST = 1e30  # beyond it, differences overflow
LONGEST_NAME = 40
HOW = "expected the file of: rnnlm train --history FILE"


class Curves(NamedTuple):
    """The history of one training: a column (n,) for each of KEYS, nan where a value is missing, and notes to report.

    Steps increase: records that a resumed or recovered training wrote again have replaced the earlier ones.
    """

    name: str
    columns: dict[str, NDArray[np.float64]]
    notes: list[str]

    def points(self, x: str, key: str, perplexity: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the values of `x` and `key` where both exist; with `perplexity`, a loss as perplexity."""
        across, up = self.columns[x], self.columns[key]
        if perplexity and key in LOSSES:
            up = self.perplexities()[f"{LOSSES[key]}_perplexity"]
        there = np.isfinite(across) & np.isfinite(up)
        return across[there], up[there]

    def perplexities(self) -> dict[str, NDArray[np.float64]]:
        """Return the losses as perplexities, (n,) each, by names such as "valid_perplexity"."""
        losses = {name: np.minimum(self.columns[key], np.log(LARGEST)) for key, name in LOSSES.items()}
        return {f"{name}_perplexity": np.exp(loss) for name, loss in losses.items()}

    def best(self) -> tuple[str, float, float] | None:
        """Return key, step and value of the smallest loss on the held-out text, else on the training text."""
        for key in reversed(LOSSES):
            steps, losses = self.points("step", key)
            if len(losses):
                place = int(np.argmin(losses))
                return key, float(steps[place]), float(losses[place])
        return None


def read(name: str, file: BinaryIO) -> Curves:
    """Read a history. An incomplete last line, as a crash may leave it, is skipped with a note.

    Raises:
        PlotError: The file is not a history, is empty, or is damaged before its last line.
    """
    notes: list[str] = []
    records: list[dict[str, Any]] = []
    gone_back = 0
    for record in _records(name, file, notes):
        before = len(records)
        while records and _number(records[-1].get("step")) >= _number(record.get("step")):
            records.pop()
        gone_back += len(records) < before
        records.append(record)
    if gone_back:
        times = Sentence("once" if gone_back == 1 else "{n} times", n=gone_back)
        back = "{name}: the steps go back {times}. What was done anew is shown, not what it replaced."
        notes.append(Sentence(back, name=name, times=times))
    columns = {key: np.array([_number(record.get(key)) for record in records], np.float64) for key in KEYS}
    foreign = sum(not isinstance(record.get(key), int | float | None) for record in records for key in KEYS)
    if foreign:
        values = Sentence("{n} values" if foreign > 1 else "{n} value", n=f"{foreign:,}")
        none = "{name}: {values} that should be numbers are none; they are left out."
        notes.append(Sentence(none, name=name, values=values))
    if not any(np.isfinite(columns[key]).any() for key in LOSSES):
        raise PlotError(f"{name} has no losses ({' or '.join(LOSSES)}); {HOW}")
    return Curves(name, columns, notes)


def _records(name: str, file: BinaryIO, notes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects on the lines of a file."""
    place, found = 0, 0
    while line := file.readline(LONGEST_LINE + 1):
        place += 1
        if place == 1 and line.startswith(b"PK"):
            raise PlotError(f"{name} is a checkpoint or another archive, no history; {HOW}")
        if place > MOST_LINES:
            raise PlotError(f"{name} has more than {MOST_LINES:,} lines; {HOW}")
        if not line.strip():
            continue
        record = _record(line)
        if record is None and found and not file.readline(1):
            incomplete = "{name}: its last line, number {place}, is not complete and left out."
            notes.append(Sentence(incomplete, name=name, place=f"{place:,}"))
            return
        if record is None:
            raise PlotError(f"Line {place:,} of {name} is {shown(_beginning(line))}, not an object of JSON; {HOW}")
        found += 1
        yield record
    if not found:
        raise PlotError(f"{name} is empty; {HOW}. The first line comes with the first evaluation")


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line; None if there is none."""
    try:
        record = json.loads(line.decode("utf-8-sig")) if len(line) <= LONGEST_LINE else None
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _beginning(line: bytes) -> str:
    return line[:60].decode("utf-8", "replace").strip()


def _number(value: Any) -> float:
    """Return a number that can be drawn; nan for everything else."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan
    except OverflowError:
        return np.nan
    return number if abs(number) <= LARGEST else np.nan


def check_x(histories: Sequence[Curves], x: str) -> None:
    """Refuse a key for the x axis without values.

    Raises:
        PlotError: A history has no values for it, or `x` is "seconds" and the training did not measure time.
    """
    for history in histories:
        there = history.columns[x][np.isfinite(history.columns[x])]
        if not len(there):
            raise PlotError(f'{history.name} has no "{x}"; choose another axis with --x.')
        if x == "seconds" and len(there) > 1 and not there.any():
            raise PlotError(
                f"{history.name} counts no seconds, which only a training with --time does. Use --x step or --x epoch."
            )


def short_name(name: str) -> str:
    """Return a name for a legend: the end of a long path."""
    return name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME + 1 :]}"
