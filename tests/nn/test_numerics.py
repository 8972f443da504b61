"""Elementwise functions against float64 references, in both variants; row sums against a plain loop."""

import numpy as np
import pytest

from rnnlm.nn import numerics
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import ACTIVATIONS, log_softmax, sigmoid, softmax, softmax_error, tanh

POINTS = np.concatenate([np.linspace(-30, 30, 2001), np.logspace(-8, 1, 50), -np.logspace(-8, 1, 50), [0.0]])
REFERENCES = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "relu": lambda x: np.where(x > 0, x, 0),
    "identity": lambda x: x,
}


@pytest.fixture(params=[False, True], ids=["through exp", "through tanh"])
def variant(request, monkeypatch):
    """Both ways to compute sigmoid and tanh, whichever this machine would choose."""
    monkeypatch.setattr(numerics, "_tanh_is_vectorised_widely", lambda: request.param)
    return request.param


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-7), (np.float64, 4e-16)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_their_float64_reference(name, dtype, tolerance):
    x = POINTS.astype(dtype)
    expected = REFERENCES[name](x.astype(np.float64))
    out = np.full_like(x, np.nan)
    assert ACTIVATIONS[name][0](x, out) is out
    assert out.dtype == dtype
    np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(x, POINTS.astype(dtype))  # the argument is not changed


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_in_place_and_on_slices(name):
    x = POINTS[:2000].reshape(20, 100).copy()
    expected = ACTIVATIONS[name][0](x, np.empty_like(x))
    part = x[:, 10:50]
    ACTIVATIONS[name][0](part, part)
    np.testing.assert_array_equal(part, expected[:, 10:50])
    np.testing.assert_array_equal(x[:, 50:], POINTS[:2000].reshape(20, 100)[:, 50:])


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_and_tanh_reach_their_limits(dtype):
    x = np.array([-1e4, -100, 0, 100, 1e4], dtype=dtype)
    with np.errstate(over="ignore"):  # as the network calls them
        np.testing.assert_allclose(sigmoid(x, np.empty_like(x)), [0, 0, 0.5, 1, 1], atol=1e-30)
        np.testing.assert_array_equal(tanh(x, np.empty_like(x)), [-1, -1, 0, 1, 1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_agree_with_the_reference(name):
    x = np.linspace(-3, 3, 60)  # without 0, where relu has no derivative
    step = 1e-5
    expected = (REFERENCES[name](x + step) - REFERENCES[name](x - step)) / (2 * step)
    value = REFERENCES[name](x)
    found = ACTIVATIONS[name][1](value, np.empty_like(value))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_array_equal(value, REFERENCES[name](x))


def test_the_choice_of_variant_is_repeatable():
    choice = numerics._tanh_is_vectorised_widely()
    numerics._tanh_is_vectorised_widely.cache_clear()
    assert numerics._tanh_is_vectorised_widely() is choice


def test_softmax_of_one_to_four_has_the_known_values():
    np.testing.assert_allclose(softmax(np.array([1.0, 2, 3, 4])), [0.03, 0.09, 0.24, 0.64], atol=0.005)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_softmax_equals_the_quotient_of_exponentials(dtype, tolerance):
    logits = np.random.default_rng(1).normal(0, 5, (3, 4, 50)).astype(dtype)
    exponentials = np.exp(logits.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
    probabilities, logs = softmax(logits.copy()), logits.copy()
    log_softmax(logs)
    assert probabilities.dtype == logs.dtype == dtype
    np.testing.assert_allclose(probabilities, expected, rtol=tolerance * 10)
    np.testing.assert_allclose(logs, np.log(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_extreme_values_is_exact(dtype):
    logits = np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [0, -1e4, -200]], dtype=dtype)
    expected = np.array([[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])
    np.testing.assert_allclose(softmax(logits.copy()), expected, rtol=1e-6, atol=1e-30)
    logs = logits.copy()
    log_softmax(logs)
    np.testing.assert_allclose(logs[0], [-np.log(2), -2e4 - np.log(2), -np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(logs[1], [-np.log(3)] * 3, rtol=1e-3 if dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(logs[2], [0, -1e4, -200])  # exact, even where exp underflows


@pytest.mark.parametrize("columns", range(1, 9))
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_on_columns_of_an_array(name, columns):
    table = np.random.default_rng(1).normal(size=(5, columns)).astype(np.float32)
    alone, column = table[:, -1].copy(), table[:, -1:]
    ACTIVATIONS[name][0](alone, alone)
    ACTIVATIONS[name][0](column, column)
    np.testing.assert_array_equal(column[:, 0], alone)


@pytest.mark.parametrize("error", [softmax_error, fastest(softmax_error)], ids=["numpy", "fastest"])
def test_the_gradient_of_a_batch_is_not_denormal(error):
    logits = -np.arange(0, 120, 0.25, dtype=np.float32)[None]  # probabilities down to 1e-52
    tokens, weight = 100_000, 1e-8
    error(logits, None, np.array([0]), 1 / tokens, np.empty(1, np.float32))
    products = np.abs(logits * np.float32(weight))
    assert ((products == 0) | (products >= np.finfo(np.float32).tiny)).all()
    assert 100 < np.count_nonzero(products) < logits.size
