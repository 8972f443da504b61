"""Batches divided among workers: together they are the whole batch, and each worker reads only its columns."""

import numpy as np
import pytest

from rnnlm.text.batches import Batches, SentenceBatches
from rnnlm.text.vocabulary import EOS


class Recorded:
    """A sequence that records which of its ids were read."""

    def __init__(self, ids):
        self.ids, self.read = ids, np.zeros(len(ids), dtype=bool)

    def __len__(self):
        return len(self.ids)

    def take(self, positions):
        self.read[positions] = True
        return self.ids[positions]


def ids():
    rng = np.random.default_rng(1)
    found = np.where(rng.random(500) < 0.2, EOS, rng.integers(2, 20, 500)).astype(np.int32)
    found[-1] = EOS
    return found


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
@pytest.mark.parametrize("kind", ["stream", "stream, shifted", "sentence", "both sides"])
def test_shares_of_all_workers_are_the_whole_batch(kind, workers):
    rare = np.arange(20) % 3 == 0

    def source(worker):
        if kind == "both sides":
            return SentenceBatches(ids(), 7, 9, seed=1, rare=rare, rare_rate=0.5, worker=worker)
        context, _, shift = kind.partition(", ")
        return Batches(ids(), 7, 9, context, seed=1, rare=rare, rare_rate=0.5, worker=worker, shift=shift == "shifted")

    whole, shares = source((0, 1)), [source((worker, workers)) for worker in range(workers)]
    assert {share.per_epoch for share in shares} == {whole.per_epoch}
    for epoch, number in ((0, 0), (0, 1), (1, whole.per_epoch - 1)):
        expected = whole.batch(epoch, number)
        found = [share.batch(epoch, number) for share in shares]
        for name in ("inputs", "targets", "keep"):
            parts = [getattr(part, name) for part in found]
            if getattr(expected, name) is None:
                assert parts == [None] * workers
            else:
                np.testing.assert_array_equal(np.concatenate(parts, axis=1), getattr(expected, name))
        firsts = np.cumsum([0] + [part.inputs.shape[1] for part in found])
        assert [part.share for part in found] == [(first, firsts[-1]) for first in firsts[:-1]]
        assert sum(part.tokens for part in found) == expected.tokens


def test_a_worker_reads_only_its_own_columns():
    sequence = Recorded(ids())
    batches = Batches(sequence, 10, 9, "stream", seed=1, worker=(1, 5))
    for number in range(batches.per_epoch):
        batches.batch(0, number)
    read = np.flatnonzero(sequence.read)
    assert (read.min(), read.max()) == (2 * 50 - 1, 4 * 50 - 1)  # columns 2 and 3, and the id before them
