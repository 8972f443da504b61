"""The processes of a training: here a single one; see `distributed` for several."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Workers:
    """A single process, with the interface of several.

    rank: index of this process; size: number of processes; local_rank, local_size: the same on this machine.
    """

    rank = local_rank = 0
    size = local_size = 1

    def largest(self, number: float) -> float:
        """Return the maximum of a number over all workers."""
        return number

    def of_the_first(self, number: float) -> float:
        """Return the number of the first worker."""
        return number

    @contextmanager
    def first_of_machine_first(self) -> Iterator[None]:
        """Run the block in the first worker of every machine before the others, which can then use its files."""
        yield

    def leave(self) -> None:
        """Close the connection to the other workers."""


def started_by_torchrun() -> int:
    """Return the number of workers that torchrun started, including this one; 0 without torchrun."""
    found = os.environ.get("WORLD_SIZE", "") if "TORCHELASTIC_RUN_ID" in os.environ else ""
    return int(found) if found.isdecimal() else 0
