"""Every optimizer against its namesake in torch.optim; clipping against torch's."""

import numpy as np
import pytest
import torch

from rnnlm.nn.optimizers import CHUNK, OPTIMIZERS, Optimizer, clip_global_norm, global_norm

# Names that torch spells otherwise; all others are found by their letters.
TORCH_NAMES = {"momentum": "sgd", "nesterov": "sgd"}
TORCH_SETTINGS = {"nesterov": {"nesterov": True}}


def namesake(name, tensors):
    classes = {each.lower(): getattr(torch.optim, each) for each in dir(torch.optim) if each[0].isupper()}
    settings = {**OPTIMIZERS[name].settings, **TORCH_SETTINGS.get(name, {})}
    return classes[TORCH_NAMES.get(name, name)](tensors, lr=1.0, **settings)


def parameters(dtype):
    """Small and larger than a chunk, row by row and column by column."""
    rng = np.random.default_rng(1)
    shapes = {"bias": (7,), "rows": (5, 3), "columns": (4, 6), "long": (CHUNK + 5,), "wide": (130, 2 * CHUNK // 100)}
    params = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    for name in ("columns", "wide"):
        params[name] = np.asfortranarray(params[name])
    return params


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_steps_equal_those_of_torch(name, dtype, tolerance):
    params = parameters(dtype)
    assert params["wide"].size > 2 * CHUNK
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in params.items()}
    ours, theirs = Optimizer(name, params), namesake(name, list(tensors.values()))
    rng = np.random.default_rng(2)
    for lr in (0.1, 0.05, 0.2, 0.0, 0.01):
        grads = {key: rng.normal(0, 0.3, p.shape).astype(dtype) for key, p in params.items()}
        for key, gradient in grads.items():
            gradient[rng.random(gradient.shape) < 0.2] = 0  # a word that does not occur
            tensors[key].grad = torch.tensor(gradient)
        ours.step(params, {k: np.asfortranarray(g) if k in ("columns", "wide") else g for k, g in grads.items()}, lr)
        for group in theirs.param_groups:
            group["lr"] = lr
        theirs.step()
    for key, array in params.items():
        assert array.dtype == dtype
        np.testing.assert_allclose(array, tensors[key].detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_have_the_shape_and_kind_of_their_parameter(name):
    params = parameters(np.float32)
    slots = Optimizer(name, params).slots
    assert len(slots) == len(OPTIMIZERS[name].slots) * len(params)
    for key, slot in slots.items():
        owner = params[key.partition(".")[2]]
        assert (slot.shape, slot.dtype, slot.strides) == (owner.shape, owner.dtype, owner.strides)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_default_rate_goes_down_a_valley(name):
    params = {"x": np.array([3.0, -2.0])}
    optimizer = Optimizer(name, params)
    for _ in range(20):
        optimizer.step(params, {"x": 0.5 * params["x"]}, OPTIMIZERS[name].default_lr)
    assert np.linalg.norm(params["x"]) < 13**0.5


def gradients():
    rng = np.random.default_rng(3)
    return {"a": rng.normal(size=(50, 30)), "b": rng.normal(size=9), "c": np.asfortranarray(rng.normal(size=(4, 5)))}


def test_global_norm_is_the_norm_of_everything_in_one_row():
    grads = gradients()
    expected = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in grads.values()]))
    assert global_norm(grads) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("limit", [0.1, 1.0, 5.0, 1000.0])
def test_clipping_equals_that_of_torch(limit):
    grads = gradients()
    tensors = [torch.zeros(gradient.shape, dtype=torch.float64, requires_grad=True) for gradient in grads.values()]
    for tensor, gradient in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(gradient)
    expected = torch.nn.utils.clip_grad_norm_(tensors, limit)
    assert clip_global_norm(grads, limit) == pytest.approx(float(expected), rel=1e-12)
    for tensor, gradient in zip(tensors, grads.values(), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-6)  # torch adds 1e-6 to the norm
    assert global_norm(grads) == pytest.approx(min(limit, float(expected)), rel=1e-12)


def test_clipping_at_zero_changes_nothing():
    grads, untouched = gradients(), gradients()
    clip_global_norm(grads, 0)
    for name, gradient in grads.items():
        np.testing.assert_array_equal(gradient, untouched[name])
