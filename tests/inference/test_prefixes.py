"""PrefixReader: remembered states give the same bits, and its memory is limited."""

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.prefixes import BLOCK, OVERHEAD, PrefixReader
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.network import Network, NetworkConfig

V = 16


def network(cell: str, layers: int = 2) -> Network:
    config = NetworkConfig(V, cell, hidden_size=12, num_layers=layers, embedding_size=6)
    return Network.initialize(config, np.random.default_rng(1), "normal")


def ngram() -> NgramModel:
    return NgramModel.train(np.random.default_rng(0).integers(1, V, 200), V, 3)


MODELS = {
    "gru": lambda: network("gru"),
    "lstm": lambda: network("lstm"),
    "ngram": ngram,
    "both": lambda: NetworkWithNgram(network("lstm", 1), ngram(), [0.5, 0.3, 0.2]),
}


def read(reader: PrefixReader, ids) -> tuple:
    """Run the work of a reader to its end and return the result."""
    work = reader.read(np.array(ids, dtype=np.int32))
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


@pytest.mark.parametrize("name", MODELS)
def test_a_remembered_text_gives_the_same_bits_as_reading_it_anew(name):
    model = MODELS[name]()
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


def test_a_continued_text_is_not_read_again(monkeypatch):
    model, steps = network("gru"), []
    original = model.advance
    reader = PrefixReader(model, 1 << 20)
    ids = np.random.default_rng(2).integers(3, 16, size=100)

    def counted(inputs, state):
        steps.append(len(inputs))
        return original(inputs, state)

    monkeypatch.setattr(model, "advance", counted)
    for length in range(1, 101):
        read(reader, ids[:length])
    # One step for each key, and each block once more as a whole, so that results depend on the text alone.
    assert sum(steps) <= 2 * len(ids)
    read(reader, ids)
    assert sum(steps) <= 2 * len(ids)  # a known text needs no steps


def test_a_change_within_a_text_is_noticed():
    model, rng = network("lstm"), np.random.default_rng(5)
    reader, ids = PrefixReader(model, 1 << 20), rng.integers(3, V, size=5 * BLOCK)
    for _ in range(100):
        ids = ids.copy()
        ids[rng.integers(len(ids))] = rng.integers(3, V)
        ids = ids[: rng.integers(2 * BLOCK, 1 + len(ids))] if len(ids) > 2 * BLOCK else rng.integers(3, V, 5 * BLOCK)
        assert np.array_equal(read(reader, ids)[0], read(PrefixReader(model, 1 << 20), ids)[0])


def test_the_memory_is_limited():
    model = network("gru")
    limit = 20 * (model.zero_state(1).nbytes + OVERHEAD)
    reader, rng = PrefixReader(model, limit), np.random.default_rng(4)
    for _ in range(30):
        read(reader, rng.integers(3, 16, size=50))
        assert 0 < reader.bytes <= limit
        assert len(reader._states) <= 20
