import dataclasses
import itertools

import numpy as np
import pytest

from rnnlm.lab import gradients
from rnnlm.lab.gradients import (
    CheckedGradient,
    GradientCheck,
    gradient_check,
    random_data,
    symbol,
    text_data,
)
from rnnlm.lab.sentences import vocabulary_of
from rnnlm.nn import network as network_module
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.outputs import LOSSES

V = 6
NETWORKS = [
    *(NetworkConfig(V, "rnn", activation, hidden_size=3) for activation in ACTIVATIONS),
    *(NetworkConfig(V, cell, hidden_size=3) for cell in CELLS if cell != "rnn"),
]


def check(config, seed=0, objective="cross-entropy", steps=4):
    rng = np.random.default_rng(seed)
    data = random_data(config.vocabulary_size, steps, 2, rng)
    return gradient_check(config, data, rng, objective)


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("config", NETWORKS)
def test_backpropagation_agrees_with_finite_differences(config, objective):
    assert check(config, objective=objective).wrong == []


@pytest.mark.parametrize("cell", CELLS)
def test_deep_networks_with_an_embedding_and_single_steps_agree(cell):
    assert check(NetworkConfig(V, cell, hidden_size=3, num_layers=2, embedding_size=2)).wrong == []
    assert check(NetworkConfig(V, cell, hidden_size=3), steps=1).wrong == []


def test_every_gradient_is_compared_along_a_direction_and_at_entries():
    config = NetworkConfig(V, "gru", hidden_size=3, num_layers=2, embedding_size=2)
    found = check(config).gradients
    for name, shape in (config.shapes() | {"initial_state": (1, 2, 2, 3)}).items():
        places = [each.index for each in found if each.name == name]
        assert places.count(None) == 1
        entries = [place for place in places if place is not None]
        assert len(set(entries)) == len(entries) == min(3, np.prod(shape))
        assert all(0 <= i < n for entry in entries for i, n in zip(entry, shape, strict=True))
    assert all(abs(each.actual) > 1e-3 for each in found if each.index is None), (
        "a gradient that vanishes shows nothing"
    )


@pytest.mark.parametrize("seed", range(10))
def test_correct_gradients_give_no_false_alarm(seed):
    assert check(NetworkConfig(V, "lstm", hidden_size=3), seed, "mse").wrong == []


def test_kinks_of_relu_give_no_false_alarm(monkeypatch):
    """One of 7,680 arguments of relu is within a step of 0, where the difference quotient is not a derivative."""
    config = NetworkConfig(50, "rnn", "relu", hidden_size=16, num_layers=2, embedding_size=6)
    assert gradients.RELU_ARGUMENTS >= 30 * 8 * 16 * 2

    def wrong():
        rng = np.random.default_rng(4)
        return gradient_check(config, random_data(50, 30, 8, rng), rng).wrong

    assert not wrong()
    monkeypatch.setattr(gradients, "ATTEMPTS", 1)
    assert wrong(), "this seed meets no kink: the test shows nothing"


def multiply_by_the_state(monkeypatch, activation):
    """Introduce the article's bug: delta is multiplied by the state instead of f'(state)."""
    function, _ = ACTIVATIONS[activation]
    monkeypatch.setitem(ACTIVATIONS, activation, (function, lambda s, out: np.copyto(out, s) or out))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bug_of_the_article_is_found(monkeypatch, activation):
    multiply_by_the_state(monkeypatch, activation)
    wrong = {each.symbol for each in check(NetworkConfig(V, "rnn", activation, hidden_size=3)).wrong}
    assert wrong == {"U", "W", "b_U", "b_W", "s_0"}, "V stands behind the state and is right"


@pytest.mark.parametrize("cell", CELLS)
def test_a_wrong_gradient_of_the_initial_state_alone_is_found(monkeypatch, cell):
    original = CELLS[cell].backward

    def backward(dh, dstate, trace):
        right = original(dh, dstate, trace)
        return right._replace(state=right.state * 1.0001)

    monkeypatch.setitem(CELLS, cell, CELLS[cell]._replace(backward=backward))
    assert {each.symbol for each in check(NetworkConfig(V, cell, hidden_size=3)).wrong} == {"s_0"}


@pytest.mark.parametrize(
    ("part", "symbols"), [("weight_ih", {"U"}), ("weight_hh", {"W"}), ("bias_ih", {"b_U"}), ("bias_hh", {"b_W"})]
)
def test_a_wrong_gradient_of_one_parameter_alone_is_found(monkeypatch, part, symbols):
    right = network_module.recurrent

    def recurrent(*arguments):
        y, final, backprop = right(*arguments)

        def wrong(dy, dstate):
            dx, state, grads = backprop(dy, dstate)
            return dx, state, grads | {f"rnn.{part}_l0": np.zeros_like(grads[f"rnn.{part}_l0"])}

        return y, final, wrong

    monkeypatch.setattr(network_module, "recurrent", recurrent)
    assert {each.symbol for each in check(NetworkConfig(V, "rnn", hidden_size=3)).wrong} == symbols


def test_a_kink_does_not_excuse_a_wrong_gradient(monkeypatch):
    measured = []
    original = gradients.check_gradients
    monkeypatch.setattr(gradients, "check_gradients", lambda *a, **k: measured.append(1) or original(*a, **k))
    multiply_by_the_state(monkeypatch, "relu")
    assert check(NetworkConfig(V, "rnn", "relu", hidden_size=3)).wrong
    assert len(measured) == gradients.ATTEMPTS


def test_nan_counts_as_wrong_and_as_the_worst():
    right = CheckedGradient("W", "rnn.weight_hh_l0", None, 1.0, 1.0, 0.5)
    nan = dataclasses.replace(right, relative_error=np.nan)
    found = GradientCheck([dataclasses.replace(right, relative_error=0.0), nan, right], 1e-3)
    assert found.wrong == [nan, right]
    assert found.worst is nan


def test_data_of_a_text_are_its_pairs_with_a_reset_at_each_sentence():
    lines = [["a", "b"], ["b"]]
    data = text_data(lines, vocabulary_of(["b", "b", "a"]))
    b, a = 3, 4
    assert data.inputs.tolist() == [[0], [a], [b], [0], [b]]
    assert data.targets.tolist() == [[a], [b], [1], [b], [1]]
    assert data.keep.reshape(-1).tolist() == [1, 1, 1, 0, 1]


def test_gradients_agree_on_a_text_of_several_sentences():
    lines = [["我", "昨天", "上学", "迟到", "了", "。"], ["老师", "批评", "了", "我", "。"]]
    vocabulary = vocabulary_of(itertools.chain(*lines))
    rng = np.random.default_rng(0)
    for cell in CELLS:
        config = NetworkConfig(len(vocabulary), cell, hidden_size=3)
        assert gradient_check(config, text_data(lines, vocabulary), rng).wrong == []


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_has_its_own_symbol(cell):
    names = [*NetworkConfig(V, cell, num_layers=2, embedding_size=3).shapes(), "initial_state"]
    symbols = [symbol(name, 2) for name in names]
    assert len(set(symbols)) == len(names)
    assert not set(symbols) & set(names)
