"""Measuring the speed of a machine leaves the engine unchanged."""

import numpy as np
import pytest

from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.batches import Batches
from rnnlm.training import speed
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.workers import Workers


@pytest.fixture
def engine():
    config = NetworkConfig(9, hidden_size=8, embedding_size=4)
    return NumpyEngine(Network.initialize(config, np.random.default_rng(1)), "adam", "stream")


@pytest.fixture
def batches():
    return Batches(np.random.default_rng(2).integers(3, 9, 500).astype(np.int32), 4, 5, "stream", seed=1)


def test_measuring_keeps_the_parameters(engine, batches):
    before = engine.params()
    assert speed.tokens_per_second(engine, batches, 0.01, Workers()) > 0
    for name, array in engine.params().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_speed_is_that_of_the_median_step(engine, batches, monkeypatch):
    moments = iter([0.0, *(t for start in range(4) for t in (start, start + (0.5 if start != 2 else 0.9))), 4.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(moments))
    assert speed.tokens_per_second(engine, batches, 0.0, _Alone()) == 20 / 0.5


class _Alone(Workers):
    """Worker that reports that all others have finished."""

    def largest(self, number):
        return 0.0


def test_workers_take_equally_many_steps_and_agree(engine, batches):
    class Slow(Workers):
        asked = 0

        def largest(self, number):
            self.asked += 1
            return 0.0 if self.asked < 5 else 1.0  # the others still have time left

        def of_the_first(self, number):
            return 1234.5

    workers = Slow()
    assert speed.tokens_per_second(engine, batches, 0.5, workers) == 1234.5
    assert workers.asked == 5
