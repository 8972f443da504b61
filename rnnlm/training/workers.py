"""The processes that train one network together: by default this one alone. Several are in `distributed`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Workers:
    """One process. What several decide together, it decides alone.

    rank: number of this process, from 0; size: how many there are; local_rank, local_size: the same on this machine.
    """

    rank = local_rank = 0
    size = local_size = 1

    def largest(self, number: float) -> float:
        """The largest of the numbers that the workers bring; a flag is 0 or 1."""
        return number

    def of_the_first(self, number: float) -> float:
        """The number that the first worker brings."""
        return number

    @contextmanager
    def first_of_machine_first(self) -> Iterator[None]:
        """What is done inside, the first worker of every machine does before the others: they find what it left."""
        yield

    def leave(self) -> None:
        """End the connection to the others."""


def started_by_torchrun() -> int:
    """How many workers torchrun has started, this one among them; 0 if it was not torchrun that started it."""
    found = os.environ.get("WORLD_SIZE", "") if "TORCHELASTIC_RUN_ID" in os.environ else ""
    return int(found) if found.isdecimal() else 0
