"""Weights from the user's JSON file replace those of the network, or are refused in a sentence."""

import json

import numpy as np
import pytest

from rnnlm.errors import RnnlmError
from rnnlm.lab.gradients import random_network
from rnnlm.lab.weights import LARGEST_STATE, read_weights, state_size, weighted
from rnnlm.nn.network import NetworkConfig

U, W, V = [[1, 2, 3, 4], [5, 6, 7, 8]], [[0.5, 0], [0, 0.25]], [[1, 0], [0, 1], [1, 1], [0, 0]]


def written(tmp_path, content):
    path = tmp_path / "weights.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_weights(path)


def params(weights, bias=True, **settings):
    config = NetworkConfig(4, "rnn", hidden_size=2, **settings)
    random = {name: array.copy() for name, array in random_network(config, np.random.default_rng(0)).params.items()}
    return weighted(config, random, weights, bias), random


def test_given_weights_are_used_and_the_others_are_random(tmp_path):
    found, random = params(written(tmp_path, {"U": U, "W": W, "b": [1, 2]}))
    np.testing.assert_array_equal(found["rnn.weight_ih_l0"], U)
    np.testing.assert_array_equal(found["rnn.weight_hh_l0"], W)
    np.testing.assert_array_equal(found["rnn.bias_ih_l0"], [1, 2])
    np.testing.assert_array_equal(found["output.weight"], random["output.weight"])
    assert not found["rnn.bias_hh_l0"].any()
    assert not found["output.bias"].any()


def test_without_given_weights_the_network_is_random():
    with_bias, random = params({})
    without, _ = params({}, bias=False)
    for name, array in random.items():
        np.testing.assert_array_equal(with_bias[name], array)
        np.testing.assert_array_equal(without[name], 0 * array if "bias" in name else array)


def test_weights_of_both_directions_and_layers_have_their_names():
    both, _ = params({"V": np.array(V), "V'": 2 * np.array(V), "W'": np.array(W)}, bidirectional=True)
    np.testing.assert_array_equal(both["output.weight"], np.hstack([V, 2 * np.array(V)]))
    np.testing.assert_array_equal(both["rnn.weight_hh_l0_reverse"], W)
    deep, _ = params({"W(2)": np.array(W), "b(2)": np.ones(2)}, num_layers=2)
    np.testing.assert_array_equal(deep["rnn.weight_hh_l1"], W)
    np.testing.assert_array_equal(deep["rnn.bias_ih_l1"], [1, 1])


def test_the_matrices_determine_the_size_of_the_state():
    arrays = {"U": np.zeros((8, 4)), "W": np.zeros((8, 2)), "V": np.zeros((4, 2))}
    assert [state_size({name: array}, gates=4) for name, array in arrays.items()] == [2, 2, 2]
    assert state_size({"b": np.zeros(3)}) is None
    with pytest.raises(RnnlmError, match="513 entries"):
        state_size({"W": np.zeros((1, LARGEST_STATE + 1))})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{}", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ({"W": [[1, 2], [3]]}, "W in .* no matrix"),
        ({"W": [[1, "2"]]}, "no matrix"),
        ({"W": [[True]]}, "no matrix"),
        ({"W": [[]]}, "no matrix"),
        ({"W": [1, [2]]}, "no matrix"),
        ({"W": [[[1]]]}, "no matrix"),
        ({"W": 3}, "no matrix"),
        ('{"W": [[1e300]]}', "too large"),
        ('{"W": [[NaN]]}', "too large"),
        ('{"W": [[1' + "0" * 400 + "]]}", "too large"),
    ],
)
def test_files_without_matrices_are_refused(content, said, tmp_path):
    with pytest.raises(RnnlmError, match=said):
        written(tmp_path, content)


def test_missing_and_too_large_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(RnnlmError, match="cannot be read"):
        read_weights(tmp_path / "none.json")
    monkeypatch.setattr("rnnlm.lab.weights.LARGEST_FILE", 10)
    with pytest.raises(RnnlmError, match="bytes"):
        written(tmp_path, {"W": W})


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"W": np.zeros((3, 3))}, "W is 3 x 3; expected 2 x 2"), ({"X": np.zeros(1)}, "has no X"),
     ({"b": np.zeros((1, 2))}, "b_U is 1 x 2; expected 2 numbers"), ({"W'": np.zeros((2, 2))}, "has no W'")],
)  # fmt: skip
def test_wrong_shapes_and_unknown_names_are_refused(weights, said):
    with pytest.raises(RnnlmError, match=said):
        params(weights)
