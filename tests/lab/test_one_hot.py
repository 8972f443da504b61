import numpy as np
import pytest

from rnnlm.lab.one_hot import OneHot, Product, example_matrix, one_hots, times_one_hot
from rnnlm.lab.sentences import vocabulary_of
from rnnlm.text.vocabulary import UNK

TOKENS = ["我", "昨天", "上学", "迟到", "了", "，", "老师", "批评", "了", "我", "。"]


def test_a_vector_has_a_single_1_at_the_id():
    vocabulary = vocabulary_of(TOKENS)
    for token, each in zip(TOKENS, one_hots(TOKENS, vocabulary), strict=True):
        assert each.vector.shape == (len(vocabulary),)
        assert np.flatnonzero(each.vector).tolist() == [each.id]
        assert each.vector[each.id] == 1
        assert vocabulary.token(each.id) == token == each.token


def test_different_tokens_have_orthogonal_vectors():
    vectors = np.array([each.vector for each in one_hots(list(dict.fromkeys(TOKENS)), vocabulary_of(TOKENS))])
    np.testing.assert_array_equal(vectors @ vectors.T, np.eye(len(vectors)))


def test_a_token_outside_the_vocabulary_is_unk():
    assert [each.id for each in one_hots(["今天"], vocabulary_of(TOKENS))] == [UNK]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_matrix_times_a_one_hot_vector_is_its_column(dtype):
    matrix = np.random.default_rng(0).standard_normal((5, 40)).astype(dtype)
    for column in range(40):
        product = times_one_hot(matrix, OneHot("x", column, 40))
        by_hand = [sum(matrix[row, j] * (j == column) for j in range(40)) for row in range(5)]
        np.testing.assert_array_equal(product.product, by_hand)
        np.testing.assert_array_equal(product.product, matrix[:, column])
        assert product.equal
        assert product.product.dtype == dtype


def test_a_product_that_differs_from_the_column_is_detected():
    assert not Product(np.array([1.0, 2.0]), np.array([1.0, 2.1])).equal


def test_the_example_matrix_is_printed_with_all_its_digits():
    matrix = example_matrix(200, np.random.default_rng(0))
    assert matrix.shape == (3, 200)
    np.testing.assert_array_equal(matrix.round(2), matrix)
    assert np.all((matrix != 0) & (abs(matrix) <= 1))
