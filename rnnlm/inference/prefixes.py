"""What a model knows after a text, kept for when the text goes on: after each key only the new tokens are read.

A matrix product rounds differently for one row than for sixteen, so what was read in another way would differ in the
last digit. Here a text of n ids is always read in one way: whole blocks of 16 ids from its beginning, then what is left
one by one. States are kept at those places only, so what comes from the cache is, to the bit, what comes without it.
"""

import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Generator

import numpy as np

from rnnlm.inference.model import Array, SequenceModel

BLOCK = 16
OVERHEAD = 300  # bytes of an entry beside its array


class PrefixReader:
    """Reads rows of ids with a model and remembers the states on the way, at most `limit` bytes of them."""

    def __init__(self, model: SequenceModel, limit: int) -> None:
        """Remember nothing yet."""
        self.model, self._limit = model, limit
        self._states: OrderedDict[bytes, Array] = OrderedDict()
        self._last: tuple[Array, list[bytes]] = np.zeros(0, dtype=np.int32), [b""]  # ids that were read, their digests
        self._lock = threading.Lock()
        self.bytes = 0

    def read(self, ids: Array) -> Generator[None, None, tuple[Array, Array]]:
        """Log probabilities of what follows ids (n,), n > 0, as (1, V), and the state; stops after every block."""
        ids = np.ascontiguousarray(ids, dtype=np.int32)
        blocks = self._digests(ids)
        place, state = self._nearest(ids, blocks)
        while place < len(ids):
            step = BLOCK if place + BLOCK <= len(ids) else 1
            state = self.model.advance(ids[place : place + step, None], state)
            place += step
            self._remember(_key(ids, blocks, place), state)
            if place < len(ids):
                yield
        return self.model.rows(state), state

    def _digests(self, ids: Array) -> list[bytes]:
        """A digest of the ids before each whole block, and of those before what is left.

        A text is mostly the last one with more at its end: digests of blocks that both have are not made again.
        """
        before, digests = self._last
        known = shared(before, ids) // BLOCK
        digests = digests[: known + 1]
        for start in range(known * BLOCK, len(ids) - BLOCK + 1, BLOCK):
            block = ids[start : start + BLOCK].tobytes()
            digests.append(hashlib.blake2b(digests[-1] + block, digest_size=16).digest())
        self._last = ids, digests
        return digests

    def _nearest(self, ids: Array, blocks: list[bytes]) -> tuple[int, Array]:
        """The last place whose state is known, and the state."""
        whole = len(ids) // BLOCK * BLOCK
        places = itertools.chain(range(len(ids), whole, -1), range(whole, 0, -BLOCK))
        with self._lock:
            for place in places:
                state = self._states.get(key := _key(ids, blocks, place))
                if state is not None:
                    self._states.move_to_end(key)
                    return place, state
        return 0, self.model.zero_state(1)

    def _remember(self, key: bytes, state: Array) -> None:
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
                return
            self._states[key] = state
            self.bytes += state.nbytes + OVERHEAD
            while self.bytes > self._limit and self._states:
                _, old = self._states.popitem(last=False)
                self.bytes -= old.nbytes + OVERHEAD


def shared(one: Array, other: Array) -> int:
    """Number of ids with which both begin."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


def _key(ids: Array, blocks: list[bytes], place: int) -> bytes:
    """What stands for the ids before a place: the digest of the whole blocks, and the others."""
    return blocks[place // BLOCK] + ids[place // BLOCK * BLOCK : place].tobytes()
