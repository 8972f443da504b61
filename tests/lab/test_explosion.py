"""A training that explodes to NaN, and the ways to prevent it."""

import math

import numpy as np
import pytest

from rnnlm.lab.explosion import descend
from rnnlm.lab.gradient_flow import fresh_network
from rnnlm.lab.gradients import text_data
from rnnlm.lab.sentences import vocabulary_of
from rnnlm.nn.network import NetworkConfig

TOKENS = ["我", "昨天", "上学", "迟到", "了", "，", "老师", "批评", "了", "我", "。"]


def run(activation="identity", radius=1.2, clip=0.0, lr=0.2, steps=12):
    vocabulary = vocabulary_of(TOKENS)
    network = fresh_network(NetworkConfig(len(vocabulary), "rnn", activation, hidden_size=8), "uniform", 0, radius)
    before = {name: array.copy() for name, array in network.params.items()}
    found = list(descend(network, text_data([TOKENS], vocabulary), lr, clip, steps))
    assert all(np.array_equal(before[name], array) for name, array in network.params.items()), "the network is kept"
    return found


def test_the_training_explodes_and_ends_with_nan():
    found = run()
    assert found[-1].lost
    assert not any(step.lost for step in found[:-1])
    assert found[-3].gradient_norm > 1e6 * found[0].gradient_norm


@pytest.mark.parametrize(
    ("activation", "radius", "clip"), [("identity", 1.2, 1.0), ("tanh", 1.2, 0.0), ("identity", 0.5, 0)]
)
def test_clipping_tanh_or_a_small_w_prevent_the_explosion(activation, radius, clip):
    found = run(activation, radius, clip)
    assert len(found) == 12
    assert found[-1].loss < found[0].loss


def test_clipping_bounds_the_step():
    for step in run(clip=1.0):
        assert step.kept * step.gradient_norm <= 1 + 1e-12
        assert step.kept == 1 or step.gradient_norm > 1


def test_a_step_is_plain_gradient_descent():
    first, second = run(lr=1e-6, steps=2)
    predicted = -1e-6 * first.gradient_norm**2  # of the loss, to first order
    assert second.loss - first.loss == pytest.approx(predicted, rel=1e-3)
    assert not math.isnan(second.loss)
