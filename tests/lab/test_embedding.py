"""The plane of an embedding is that of the largest variance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import PlotError
from rnnlm.lab.embedding import embedding_map, principal_components, token_vectors
from rnnlm.model_header import network_of
from rnnlm.nn.network import NetworkConfig
from rnnlm.text.vocabulary import Vocabulary


@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(1, 6))
@settings(max_examples=30)
def test_the_plane_is_spanned_by_the_eigenvectors_of_the_covariance(seed, n, D):
    vectors = np.random.default_rng(seed).normal(size=(n, D)) * np.arange(1, D + 1)
    places, explained = principal_components(vectors)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(vectors.T).reshape(D, D)))[::-1]
    expected = np.append(eigenvalues, 0.0)[:2]
    assert places.var(axis=0, ddof=1) == pytest.approx(expected, abs=1e-9)
    assert explained == pytest.approx(expected / eigenvalues.sum(), abs=1e-9)
    assert places.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert abs(np.mean(places[:, 0] * places[:, 1])) < 1e-9 * max(1.0, expected[0])


def test_a_plane_preserves_distances_within_it():
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(7, 2)) @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2] + 3
    places, explained = principal_components(flat)
    distances = np.linalg.norm(flat[:, None] - flat, axis=-1)
    assert np.linalg.norm(places[:, None] - places, axis=-1) == pytest.approx(distances)
    assert sum(explained) == pytest.approx(1)


def test_negating_all_vectors_does_not_change_the_picture():
    vectors = np.random.default_rng(1).normal(size=(9, 4))
    assert principal_components(vectors)[1] == pytest.approx(principal_components(-vectors)[1])
    assert principal_components(vectors)[0] == pytest.approx(principal_components(vectors.copy())[0])


VOCABULARY = Vocabulary([f"w{place}" for place in range(6)], [9, 7, 5, 3, 2, 1])


def network(**options):
    config = NetworkConfig(**{"vocabulary_size": 9, "cell": "gru", "hidden_size": 4, "embedding_size": 4, **options})
    rng = np.random.default_rng(1)
    return network_of(config, {name: rng.normal(size=shape).astype("f") for name, shape in config.shapes().items()})


@pytest.mark.parametrize("tied", [False, True])
def test_vectors_of_an_embedding_are_its_rows(tied):
    source, vectors = token_vectors(network(tied=tied))
    assert source == "embedding.weight"
    assert vectors.shape == (9, 4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_vectors_of_one_hot_input_are_what_tokens_add_to_the_gates(bidirectional):
    model = network(embedding_size=0, bidirectional=bidirectional)
    source, vectors = token_vectors(model)
    assert source.startswith("columns of rnn.weight_ih_l0")
    assert vectors.shape == (9, 3 * 4 * (1 + bidirectional))
    assert vectors[5, :12] == pytest.approx(model.params["rnn.weight_ih_l0"] @ np.eye(9)[5])


def test_the_most_frequent_tokens_of_text_are_shown():
    model = network()
    found = embedding_map(model, VOCABULARY, 4)
    assert found.tokens == ["w0", "w1", "w2", "w3"]
    assert found.counts == [9, 7, 5, 3]
    assert found.places == pytest.approx(principal_components(model.params["embedding.weight"][3:7].astype(float))[0])
    assert len(embedding_map(model, VOCABULARY, 99).tokens) == 6


def test_too_few_or_identical_tokens_are_refused():
    with pytest.raises(PlotError, match="three tokens"):
        embedding_map(network(vocabulary_size=5), Vocabulary(["a", "b"], [1, 1]), 9)
    equal = network()
    equal.params["embedding.weight"][:] = 1
    with pytest.raises(PlotError, match="same vector"):
        embedding_map(equal, VOCABULARY, 5)
