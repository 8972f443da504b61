"""What is remembered of a text that goes on: the same to the bit, and no more of it than is allowed."""

import numpy as np
import pytest

from rnnlm.playground.prefixes import BLOCK, OVERHEAD, PrefixReader


def read(reader: PrefixReader, ids) -> tuple:
    """The result of the work."""
    work = reader.read(np.array(ids, dtype=np.int32))
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


@pytest.mark.parametrize("name", ["words", "characters", "ngram"])
def test_what_was_remembered_is_what_is_read_anew(request, name):
    model = request.getfixturevalue(name).require_causal()
    ids = np.random.default_rng(2).integers(3, 16, size=3 * BLOCK + 5)
    reader = PrefixReader(model, 1 << 20)
    lengths = [*range(1, len(ids) + 1), *np.random.default_rng(3).integers(1, len(ids), size=20)]
    for length in lengths:
        remembered, state = read(reader, ids[:length])
        anew, anew_state = read(PrefixReader(model, 1 << 20), ids[:length])
        assert np.array_equal(remembered, anew)
        assert np.array_equal(state, anew_state)
    plain, _ = model.log_probabilities(ids[:, None], model.zero_state(1))
    assert remembered[0] == pytest.approx(plain[lengths[-1] - 1, 0], rel=1e-4)


def test_a_text_that_goes_on_is_not_read_again(words, monkeypatch):
    model, steps = words.require_causal(), []
    original = model.next_log_probabilities
    reader = PrefixReader(model, 1 << 20)
    ids = np.random.default_rng(2).integers(3, 16, size=100)

    def counted(inputs, state):
        steps.append(len(inputs))
        return original(inputs, state)

    monkeypatch.setattr(model, "next_log_probabilities", counted)
    for length in range(1, 101):
        read(reader, ids[:length])
    # One step for each key, and each block once more as a whole, so that what is said depends on the text alone.
    assert sum(steps) <= 2 * len(ids)


def test_the_memory_is_limited(words):
    model = words.require_causal()
    limit = 20 * (model.zero_state(1).nbytes + OVERHEAD)
    reader, rng = PrefixReader(model, limit), np.random.default_rng(4)
    for _ in range(30):
        read(reader, rng.integers(3, 16, size=50))
        assert 0 < reader.bytes <= limit
        assert len(reader._states) <= 20
