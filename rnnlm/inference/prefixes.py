"""Cache the states of a model after prefixes of a text, so that only new tokens are read when the text grows.

Matrix products round differently for one row than for sixteen, so results would depend on how a text was split. Here, a
text of n ids is always read in the same way: first blocks of 16 ids, then the remaining ids one by one. States are
cached at these places only, so results are the same, bit for bit, with and without the cache.
"""

import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Generator

import numpy as np

from rnnlm.inference.model import Array, SequenceModel

BLOCK = 16
OVERHEAD = 300  # estimated bytes of an entry besides its array


class PrefixReader:
    """Reader of ids that caches the states of a model, up to `limit` bytes, and drops the least recently used."""

    def __init__(self, model: SequenceModel, limit: int) -> None:
        """Create a reader with an empty cache."""
        self.model, self._limit = model, limit
        self._states: OrderedDict[bytes, Array] = OrderedDict()
        self._last: tuple[Array, list[bytes]] = np.zeros(0, dtype=np.int32), [b""]  # ids read last, and their digests
        self._lock = threading.Lock()
        self.bytes = 0

    def read(self, ids: Array) -> Generator[None, None, tuple[Array, Array]]:
        """Read ids (n,), n > 0; return log probabilities (1, V) of the next id, and the state. Yield between blocks."""
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
        """Return digests of the first 0, 1, 2, ... whole blocks of ids.

        Digests of blocks shared with the previous text are reused, as a text usually extends the previous one.
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
        """Return the last place whose state is cached, and the state; 0 and the zero state if there is none."""
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
    """Return the length of the common prefix of two arrays."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


def _key(ids: Array, blocks: list[bytes], place: int) -> bytes:
    """Return the cache key of the ids before a place: the digest of the whole blocks, and the remaining ids."""
    return blocks[place // BLOCK] + ids[place // BLOCK * BLOCK : place].tobytes()
