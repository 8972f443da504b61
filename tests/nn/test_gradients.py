"""Sparse gradients agree with numpy.add.at; sums, norms and clipping agree with those of dense gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.nn.gradients import CHUNK, RowGradient, clipped_scale, dense, pieces, summed

IDS = st.lists(st.integers(0, 6), min_size=1, max_size=40)


def rows_of(ids, width, seed=1):
    return np.random.default_rng(seed).normal(size=(len(ids), width))


def expected_sum(ids, rows):
    expected = np.zeros((7, rows.shape[1]))
    np.add.at(expected, ids, rows)
    return expected


@given(IDS, st.integers(1, 5), st.booleans())
def test_rows_of_equal_ids_are_added_up(ids, width, transposed):
    rows = rows_of(ids, width)
    gradient = RowGradient.summed(np.array(ids, np.int32), rows, 7, transposed)
    assert gradient.ids.tolist() == sorted(set(ids))
    found = gradient.dense()
    assert found.shape == gradient.shape
    np.testing.assert_allclose(found.T if transposed else found, expected_sum(ids, rows), atol=1e-14)


@given(IDS, IDS)
def test_the_sum_of_two_gradients_is_the_gradient_of_both(first, second):
    one, two = rows_of(first, 3), rows_of(second, 3, 2)
    both = RowGradient.summed(np.array(first), one, 7) + RowGradient.summed(np.array(second), two, 7)
    np.testing.assert_allclose(both.dense(), expected_sum(first, one) + expected_sum(second, two), atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_preserved(dtype):
    gradient = RowGradient.summed(np.array([2, 2, 0]), np.ones((3, 4), dtype), 5)
    assert {gradient.rows.dtype, gradient.dense().dtype, np.asarray(gradient).dtype} == {np.dtype(dtype)}
    assert (gradient + gradient).rows.dtype == dtype


def gradients(seed=3):
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(5_000, 900, replace=False))
    return {
        "long": rng.normal(size=(2 * CHUNK + 7)),
        "bias": rng.normal(size=9),
        "columns": np.asfortranarray(rng.normal(size=(130, CHUNK // 100))),
        "table": RowGradient(ids, rng.normal(size=(900, 80)), 5_000),
        "one-hot": RowGradient(ids % 5_000, rng.normal(size=(900, 12)), 5_000, transposed=True),
    }


def test_pieces_cover_every_entry_once():
    grads = gradients()
    covered = dict.fromkeys(grads, 0)
    for name, part, work in pieces(grads):
        width = grads[name].rows.shape[1] if isinstance(grads[name], RowGradient) else 1
        assert 0 < (part.stop - part.start) * width <= work <= CHUNK
        assert part.start * width == covered[name]
        covered[name] = part.stop * width
    assert covered == {
        "long": 2 * CHUNK + 7,
        "bias": 9,
        "columns": 130 * (CHUNK // 100),
        "table": 72_000,
        "one-hot": 10_800,
    }


def test_the_sum_over_threads_and_its_norm_agree_with_the_whole():
    parts = [gradients(seed) for seed in (3, 4, 5)]
    expected = {name: sum(dense(part)[name] for part in parts) for name in parts[0]}
    total, norm = summed(parts)
    for name, gradient in dense(total).items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-12, atol=1e-14)
    everything = np.concatenate([gradient.ravel() for gradient in expected.values()])
    assert norm == pytest.approx(np.linalg.norm(everything), rel=1e-12)


def test_the_gradients_of_a_single_thread_are_not_copied():
    grads = gradients()
    total, _ = summed([grads])
    assert all(total[name] is gradient for name, gradient in grads.items())


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_agrees_with_torch(limit):
    grads = dense(gradients())
    tensors = [torch.zeros(gradient.shape, dtype=torch.float64, requires_grad=True) for gradient in grads.values()]
    for tensor, gradient in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(gradient)
    expected = torch.nn.utils.clip_grad_norm_(tensors, limit)
    _, norm = summed([grads])
    assert norm == pytest.approx(float(expected), rel=1e-12)
    for tensor, gradient in zip(tensors, grads.values(), strict=True):
        # torch adds 1e-6 to the norm
        np.testing.assert_allclose(clipped_scale(norm, limit) * gradient, tensor.grad.numpy(), rtol=1e-6)


def test_a_limit_of_zero_disables_clipping():
    assert clipped_scale(1e30, 0) == 1
