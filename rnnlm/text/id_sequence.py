"""Sequences of ids that are mapped to a vocabulary as they are read."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rnnlm.text.vocabulary import EOS

# Mapped pages count as resident memory until they are released. The columns of a batch touch pages all over the text,
# and the system also maps the 64 KiB around each page, so even a small read counts as SCATTERED ids.
SCATTERED, MOST_TOUCHED = 1 << 21, 1 << 25

Ids = NDArray[np.int32]


class Stretch(NamedTuple):
    """Positions start to stop of a text. cut: Whether its last line continues after it, so that </s> is added."""

    start: int
    stop: int
    cut: bool = False


class IdSequence:
    """The concatenated ids of stretches of a text, mapped to a vocabulary as they are read.

    >>> ids, mapping = np.array([5, 3, 4, 3]), np.array([0, 1, 2, 7, 2, 9])
    >>> IdSequence(ids, mapping, [Stretch(0, 1, cut=True), Stretch(2, 4)]).take(np.array([0, 1, 2, 3]))
    array([9, 1, 2, 7], dtype=int32)

    Args:
        ids: (N,) ids in memory or mapped from a file.
        mapping: Array from `ids` to ids of a vocabulary; None if they are ids of the vocabulary already.
        stretches: The stretches to read, none of them empty; None for all ids.
        release: Called to release the memory of mapped ids.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        mapping: NDArray[Any] | None = None,
        stretches: Sequence[Stretch] | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._ids = ids
        self._mapping = None if mapping is None else np.asarray(mapping, dtype=np.int32)
        self.release = release
        self._touched = 0
        stretches = [Stretch(0, len(ids))] if stretches is None else list(stretches)
        starts, stops, cut = np.array(stretches, dtype=np.int64).reshape(-1, 3).T
        self._stops = np.cumsum(stops - starts + cut)  # position after each stretch
        # Position p of the sequence is position p + shift of the text, except for the </s> added to cut stretches.
        self._shifts = stops + cut - self._stops
        self._ends = self._stops[cut > 0] - 1
        self._length = int(self._stops[-1]) if stretches else 0
        self._whole = (
            ids[stretches[0].start : stretches[0].stop] if len(stretches) == 1 and not len(self._ends) else None
        )

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Ids: ...
    def __getitem__(self, place: int | slice) -> int | Ids:
        if self._whole is not None:
            found = self._mapped(self._whole[place])
        else:
            found = self._taken(np.asarray(range(self._length)[place], dtype=np.int64))
        return found if isinstance(place, slice) else int(found)

    def take(self, positions: NDArray[np.int64]) -> Ids:
        """Return the ids at positions from 0 to len - 1, in the shape of `positions`."""
        self._touched += max(positions.size, SCATTERED)
        if self._touched > MOST_TOUCHED:
            self.release()
            self._touched = 0
        return self._mapped(self._whole[positions]) if self._whole is not None else self._taken(positions)

    def _taken(self, positions: NDArray[np.int64]) -> Ids:
        places = positions + self._shifts[np.searchsorted(self._stops, positions, side="right")]
        if not len(self._ends):
            return self._mapped(self._ids[places])
        found = self._mapped(self._ids[np.minimum(places, len(self._ids) - 1)])
        return np.where(np.isin(positions, self._ends), np.int32(EOS), found)

    def _mapped(self, ids: NDArray[Any]) -> Ids:
        mapped: Ids = ids.astype(np.int32) if self._mapping is None else self._mapping[ids]
        return mapped
